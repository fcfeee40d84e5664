/* SPDX-License-Identifier: MIT */
/* Tables as caches: the budget, what goes and what stays, the account of it.
 *
 *     test_table-cache [SECONDS]      with an argument the storm alone; `./run long cache-storm` */
#include "check.h"

#include <comap/table_bulk.h>

#include "blob.h"
#include "table.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGET (2u << 20)
#define WRITERS 8u
#define STORM_PLAYERS 6u
enum { BEGIN, STOP };
enum { WORST, EVICTED, PUTS, READS, REFUSED, LOOKS, PAUSE_NS, STOPS };

static double storm_seconds = 3;

static struct comap *region;
static struct comap_table *table;

static void open_cache(const char *path, uint64_t heap_max_bytes, uint64_t budget_bytes)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table_options table_options = COMAP_TABLE_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = heap_max_bytes;
	options.seat_count = 32;
	options.thread_count = 64;
	options.pin_policy = COMAP_PIN_WAIT;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table_options.budget_bytes = budget_bytes;
	table = comap_table_open_with(region, "t", NULL, &table_options);
	if (!table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

static void close_cache(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

static struct comap_table_stats stats(void)
{
	struct comap_table_stats stats;

	PROC_REQUIRE_OK(comap_table_stats(table, &stats));
	return stats;
}

static uint64_t put(uint64_t key, const void *value, size_t value_bytes, uint64_t ttl_ns)
{
	uint64_t evicted = 0;
	struct comap_table_write write = {
		.key = &key, .key_bytes = sizeof key, .value = value, .value_bytes = value_bytes,
		.ttl_ns = ttl_ns, .ret_evicted = &evicted,
	};

	PROC_REQUIRE_OK(comap_table_write(table, &write, NULL));
	return evicted;
}

static bool has(uint64_t key)
{
	bool found = false;

	COMAP_READ(region)
		found = comap_table_view(table, &key, sizeof key).data != NULL;
	return found;
}

/* Every entry that ever came is here or has gone for a reason; and the region is whole. */
static void require_account(void)
{
	struct comap_table_stats now = stats();

	PROC_REQUIRE(now.inserted == now.entries + now.removed + now.expired + now.evicted_budget +
	             now.evicted_full);
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
}

/* --- one process ------------------------------------------------------------------------------ */

static int keep_budget(void *path)
{
	static char value[1000];
	uint64_t evicted = 0;

	open_cache(path, 64u << 20, BUDGET);
	for (uint64_t key = 0; key < 60000; key++) {
		evicted += put(key, value, key % 7 ? 100 : proc_random_below(sizeof value), COMAP_TTL_DEFAULT);
		PROC_REQUIRE(has(key));
		PROC_REQUIRE(stats().used_bytes <= BUDGET + BUDGET / 64);
	}
	PROC_REQUIRE(stats().used_bytes > BUDGET - BUDGET / 32);
	PROC_REQUIRE(evicted > 40000 && evicted == stats().evicted_budget);
	require_account();
	close_cache();
	return 0;
}

static void test_budget_is_kept(void **state)
{
	proc_assert_ok(proc_spawn("writer", keep_budget, (void *)proc_path(PROC_SHM, "region")));
}

static int fill_store(void *path)
{
	static char value[1000];
	uint64_t key = 0;
	int code = 0;

	open_cache(path, 2u << 20, 0);
	for (; !code; key++)
		code = comap_table_put(table, &key, sizeof key, value, sizeof value);
	PROC_REQUIRE(code == -ENOSPC);
	for (uint64_t i = 0; i < key - 1; i++)
		PROC_REQUIRE(has(i));
	PROC_REQUIRE(stats().evicted_full == 0 && stats().evicted_budget == 0);
	PROC_REQUIRE(comap_table_set_budget(table, 1u << 20) == -EOPNOTSUPP);
	close_cache();
	return 0;
}

static void test_store_evicts_nothing(void **state)
{
	proc_assert_ok(proc_spawn("writer", fill_store, (void *)proc_path(PROC_SHM, "region")));
}

static int fill_region(void *path)
{
	static char value[4000];
	uint64_t evicted = 0;

	open_cache(path, 4u << 20, 4u << 20);
	for (uint64_t key = 0; key < 5000; key++)
		evicted += put(key, value, 1 + proc_random_below(sizeof value), COMAP_TTL_DEFAULT);
	/* Values that need pages without a gap come where small ones are. */
	for (uint64_t key = 0; key < 20; key++)
		evicted += put(key << 32, value, sizeof value, COMAP_TTL_DEFAULT);
	PROC_REQUIRE(stats().evicted_full > 0);
	PROC_REQUIRE(evicted == stats().evicted_full + stats().evicted_budget);
	require_account();
	close_cache();
	return 0;
}

static void test_full_region_evicts(void **state)
{
	proc_assert_ok(proc_spawn("writer", fill_region, (void *)proc_path(PROC_SHM, "region")));
}

/* A few large values: stripes have none, or more than their share. */
static int lend(void *path)
{
	static char value[1000000];
	unsigned present = 0;

	open_cache(path, 64u << 20, 8u << 20);
	for (uint64_t key = 0; key < 200; key++) {
		put(key, value, 500000 + proc_random_below(500000), COMAP_TTL_DEFAULT);
		PROC_REQUIRE(has(key));
		PROC_REQUIRE(stats().used_bytes <= (8u << 20) + (1u << 20));
	}
	for (uint64_t key = 0; key < 200; key++)
		present += has(key);
	PROC_REQUIRE(present >= 7 && present == stats().entries);
	require_account();
	close_cache();
	return 0;
}

static void test_stripes_lend(void **state)
{
	proc_assert_ok(proc_spawn("writer", lend, (void *)proc_path(PROC_SHM, "region")));
}

static int scan_beside_hot(void *path)
{
	uint64_t hot = 0;

	open_cache(path, 64u << 20, BUDGET);
	for (uint64_t key = 0; key < 2000; key++)
		put(key, "hot", 3, COMAP_TTL_DEFAULT);
	for (int round = 0; round < 3; round++)
		for (uint64_t key = 0; key < 2000; key++)
			PROC_REQUIRE(has(key));
	for (uint64_t key = 0; key < 100000; key++) {
		put(1000000 + key, "cold", 4, COMAP_TTL_DEFAULT);
		(void)has(key * 17 % 2000);
	}
	for (uint64_t key = 0; key < 2000; key++)
		hot += has(key);
	PROC_REQUIRE(hot > 1950);
	require_account();
	close_cache();
	return 0;
}

static void test_scan_leaves_hot_ones(void **state)
{
	proc_assert_ok(proc_spawn("writer", scan_beside_hot, (void *)proc_path(PROC_SHM, "region")));
}

/* What is written and removed again and again leaves nothing behind, in the queues either. */
static int churn(void *path)
{
	uint64_t key = 0, used;

	open_cache(path, 64u << 20, BUDGET);
	for (key = 0; key < 3000; key++)
		put(key, "x", 1, COMAP_TTL_DEFAULT);
	used = stats().used_bytes;
	for (uint64_t i = 0; i < 200000; i++) {
		key = 3000 + i % 5;
		put(key, "x", 1, COMAP_TTL_DEFAULT);
		PROC_REQUIRE_OK(comap_table_remove(table, &key, sizeof key));
	}
	PROC_REQUIRE(stats().used_bytes < used + used / 4);
	PROC_REQUIRE(stats().entries == 3000 && stats().evicted_budget == 0);
	PROC_REQUIRE_OK(comap_table_clear(table));
	for (key = 0; key < 30000; key++)
		put(key, "x", 1, COMAP_TTL_DEFAULT);
	require_account();
	close_cache();
	return 0;
}

static void test_churn_leaves_nothing(void **state)
{
	proc_assert_ok(proc_spawn("writer", churn, (void *)proc_path(PROC_SHM, "region")));
}

static int refuse(void *path)
{
	static char value[BUDGET];
	struct comap_table_options options = { .budget_bytes = BUDGET * 2 };
	struct comap_table *again;
	uint64_t key = 1, before;

	open_cache(path, 64u << 20, BUDGET);
	PROC_REQUIRE(comap_table_put(table, &key, sizeof key, value, BUDGET / 8) == -EMSGSIZE);
	PROC_REQUIRE(!comap_table_open_with(region, "t", NULL, &options));
	PROC_REQUIRE(comap_last_error()->code == EEXIST);
	options.budget_bytes = 1000;
	PROC_REQUIRE(!comap_table_open_with(region, "u", NULL, &options));
	PROC_REQUIRE(comap_last_error()->code == EINVAL);
	PROC_REQUIRE(!comap_table_bulk_begin(table, 100));
	PROC_REQUIRE(comap_last_error()->code == EOPNOTSUPP);
	again = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(again == table);
	comap_table_close(again);
	for (key = 0; key < 20000; key++)
		put(key, "x", 1, COMAP_TTL_DEFAULT);
	before = stats().entries;
	PROC_REQUIRE_OK(comap_table_set_budget(table, BUDGET / 2));
	PROC_REQUIRE(stats().used_bytes <= BUDGET / 2 && stats().budget_bytes == BUDGET / 2);
	PROC_REQUIRE(stats().entries < before && stats().entries > before / 5); /* the buckets stay */
	require_account();
	close_cache();
	return 0;
}

static void test_refusals_and_another_budget(void **state)
{
	proc_assert_ok(proc_spawn("writer", refuse, (void *)proc_path(PROC_SHM, "region")));
}

/* Entries whose time is over go first, whatever their marks. */
static int expire(void *path)
{
	open_cache(path, 64u << 20, BUDGET);
	for (uint64_t key = 0; key < 3000; key++) {
		put(key, "x", 1, 20000000);
		put(key + 100000, "x", 1, COMAP_TTL_DEFAULT);
		(void)has(key);
	}
	usleep(60000);
	for (uint64_t key = 0; key < 8000; key++)
		put(key + 200000, "x", 1, COMAP_TTL_DEFAULT);
	PROC_REQUIRE(stats().expired > 2000);
	require_account();
	close_cache();
	return 0;
}

static void test_expired_go_first(void **state)
{
	proc_assert_ok(proc_spawn("writer", expire, (void *)proc_path(PROC_SHM, "region")));
}

/* Who writes one key over and over comes by where nobody writes, too; also in a store. */
static void expire_all(const char *path, uint64_t budget_bytes)
{
	open_cache(path, 64u << 20, budget_bytes);
	for (uint64_t key = 0; key < 3000; key++)
		put(key, "x", 1, 20000000);
	put(5000, "stays", 5, COMAP_TTL_NONE);
	usleep(60000);
	for (unsigned i = 0; i < 30000 && stats().entries > 1; i++)
		put(5000, "stays", 5, COMAP_TTL_NONE);
	PROC_REQUIRE(stats().entries == 1 && stats().expired == 3000);
	PROC_REQUIRE(has(5000));
	if (budget_bytes)
		require_account();
	close_cache();
}

static int expire_in_cache(void *path)
{
	expire_all(path, BUDGET);
	return 0;
}

static int expire_in_store(void *path)
{
	expire_all(path, 0);
	return 0;
}

static void test_expired_go_where_nobody_writes(void **state)
{
	proc_assert_ok(proc_spawn("cache", expire_in_cache, (void *)proc_path(PROC_SHM, "region")));
	proc_assert_ok(proc_spawn("store", expire_in_store, (void *)proc_path(PROC_SHM, "another")));
}

/* Overwriting, touching and counting keep an entry's place in the queues. */
static int change(void *path)
{
	static char value[300];
	uint64_t key;

	open_cache(path, 64u << 20, BUDGET);
	for (uint64_t i = 0; i < 60000; i++) {
		key = proc_random_below(12000);
		switch (proc_random_below(5)) {
		case 0:
			PROC_REQUIRE(comap_table_touch(table, &key, sizeof key, 3600000000000ull) >= 0);
			break;
		case 1:
			PROC_REQUIRE(comap_table_remove(table, &key, sizeof key) >= 0);
			break;
		case 2:
			key += 100000;
			PROC_REQUIRE_OK(comap_table_add(table, &key, sizeof key, 1, NULL));
			break;
		default:
			put(key, value, proc_random_below(sizeof value), COMAP_TTL_DEFAULT);
		}
	}
	PROC_REQUIRE(stats().replaced > 1000 && stats().evicted_budget > 100);
	require_account();
	close_cache();
	return 0;
}

static void test_changes_keep_places(void **state)
{
	proc_assert_ok(proc_spawn("writer", change, (void *)proc_path(PROC_SHM, "region")));
}

/* --- several ---------------------------------------------------------------------------------- */

static int writer(void *path)
{
	static char value[2000];
	uint64_t evicted = 0, puts = 0, key;

	open_cache(path, 64u << 20, BUDGET);
	proc_meet(BEGIN, WRITERS + 1);
	while (!proc_point(STOP)) {
		key = proc_random_below(100000);
		if (proc_random_below(8) == 0)
			PROC_REQUIRE(comap_table_remove(table, &key, sizeof key) >= 0);
		else
			evicted += put(key, value, proc_random_below(sizeof value), COMAP_TTL_DEFAULT);
		(void)has(proc_random_below(100));
		puts++;
	}
	comap_u64_add_relaxed(proc_counter(EVICTED), evicted); /* relaxed, both: statistics */
	comap_u64_add_relaxed(proc_counter(PUTS), puts);
	close_cache();
	return 0;
}

/* The stripes are looked at one after the other: a sum counts where nobody has told the table of a change
 * meanwhile. */
static int watcher(void *path)
{
	open_cache(path, 64u << 20, BUDGET);
	proc_meet(BEGIN, WRITERS + 1);
	while (!proc_point(STOP)) {
		uint64_t before = comap_u64_load_acquire(&table->cache->used_bytes), sum = stats().used_bytes;

		if (comap_u64_load_acquire(&table->cache->used_bytes) != before)
			continue;
		comap_u64_max_acq_rel(proc_counter(WORST), sum);
		comap_u64_add_relaxed(proc_counter(LOOKS), 1); /* relaxed: a statistic */
	}
	close_cache();
	return 0;
}

static int auditor(void *path)
{
	struct comap_table_stats now;

	open_cache(path, 64u << 20, BUDGET);
	now = stats();
	/* relaxed, both: they have ended */
	PROC_REQUIRE(now.evicted_budget == comap_u64_load_relaxed(proc_counter(EVICTED)));
	PROC_REQUIRE(now.evicted_full == 0);
	require_account();
	close_cache();
	return 0;
}

static void test_budget_among_eight(void **state)
{
	void *path = (void *)proc_path(PROC_SHM, "region");
	struct proc *all[WRITERS + 1];
	uint64_t worst;

	for (unsigned i = 0; i < WRITERS; i++)
		all[i] = proc_spawn("writer", writer, path);
	all[WRITERS] = proc_spawn("watcher", watcher, path);
	sleep(2);
	proc_post(STOP);
	for (unsigned i = 0; i <= WRITERS; i++)
		proc_assert_ok(all[i]);
	proc_assert_ok(proc_spawn("auditor", auditor, path));
	worst = comap_u64_load_relaxed(proc_counter(WORST)); /* relaxed: it has ended */
	print_message("%llu operations, %llu entries evicted; at most %.2f %% over the budget in %llu looks\n",
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(PUTS)),
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(EVICTED)),
	              worst > BUDGET ? 100.0 * (double)(worst - BUDGET) / BUDGET : 0.0,
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(LOOKS)));
	assert_true(comap_u64_load_relaxed(proc_counter(LOOKS)) > 100);
	assert_true(worst > BUDGET / 2);
	/* The stated slack: a sixty-fourth, and an entry for each who writes. */
	assert_true(worst <= BUDGET + BUDGET / 64 + WRITERS * 2048);
	assert_true(comap_u64_load_relaxed(proc_counter(EVICTED)) > 1000);
}

/* --- killed and stopped ----------------------------------------------------------------------- */

static size_t blob_of(uint64_t key, uint64_t *blob)
{
	size_t size_bytes = 8 * (1 + proc_random_below(200));

	blob_fill(blob, size_bytes, key << 20 | proc_random_below(1u << 20));
	return size_bytes;
}

/* How long a write took counts where its process was not stopped meanwhile. */
static void note_pause(unsigned index, uint64_t stops, uint64_t begin_ns)
{
	if (comap_u64_load_acquire(proc_counter(STOPS + index)) == stops)
		comap_u64_max_acq_rel(proc_counter(PAUSE_NS), comap_now_ns() - begin_ns);
}

/* Most are put; some live a millisecond, some are removed. */
static int write_something(uint64_t key, const uint64_t *blob, size_t size_bytes)
{
	struct comap_table_write write = {
		.key = &key, .key_bytes = sizeof key, .value = blob, .value_bytes = size_bytes,
	};
	uint64_t dice = proc_random_below(16);

	if (dice < 2)
		return comap_table_remove(table, &key, sizeof key);
	if (dice == 2)
		return comap_table_touch(table, &key, sizeof key, 1000000);
	write.mode = dice == 3 ? COMAP_TABLE_INSERT : dice == 4 ? COMAP_TABLE_REPLACE : COMAP_TABLE_PUT;
	write.ttl_ns = dice < 8 ? 1000000 : COMAP_TTL_DEFAULT;
	return comap_table_write(table, &write, NULL);
}

/* What is found is whole and the key's; what is written may be refused while somebody stands still. */
static int play(const char *path, unsigned index)
{
	static uint64_t blob[200];
	uint64_t key, stops, begin_ns;
	struct comap_view view;
	size_t size;
	int code;

	open_cache(path, 64u << 20, BUDGET);
	while (!proc_point(STOP)) {
		key = proc_random_below(20000);
		size = blob_of(key, blob);
		stops = comap_u64_load_acquire(proc_counter(STOPS + index));
		begin_ns = comap_now_ns();
		code = write_something(key, blob, size);
		note_pause(index, stops, begin_ns);
		PROC_REQUIRE(code >= 0 || code == -ETIMEDOUT || code == -EBUSY);
		comap_u64_add_relaxed(proc_counter(code < 0 ? REFUSED : PUTS), 1); /* relaxed: a statistic */
		key = proc_random_below(20000);
		COMAP_READ(region) {
			view = comap_table_view(table, &key, sizeof key);
			PROC_REQUIRE(!view.data || (blob_whole(view.data, view.size_bytes) &&
			                            blob_number(view.data) >> 20 == key));
			comap_u64_add_relaxed(proc_counter(READS), view.data != NULL); /* relaxed: the same */
		}
	}
	close_cache();
	return 0;
}

struct part {
	const char *path;
	unsigned index;
};

static int player(void *arg)
{
	const struct part *part = arg;

	return play(part->path, part->index);
}

static struct proc *spawn_player(const char *path, unsigned index)
{
	return proc_spawn("player", player, &(struct part){ path, index });
}

/* Nobody's pause counts from before it is stopped until after. */
static void stop_a_while(struct proc *proc, unsigned index)
{
	comap_u64_add_acq_rel(proc_counter(STOPS + index), 1);
	proc_stop(proc);
	usleep((useconds_t)proc_random_below(10000));
	proc_continue(proc);
}

/* After a write to every stripe the account is exact, whoever died where. */
static int storm_auditor(void *path)
{
	open_cache(path, 64u << 20, BUDGET);
	for (uint64_t key = 0; key < 3000; key++)
		put(key, "after", 5, COMAP_TTL_DEFAULT);
	PROC_REQUIRE(stats().used_bytes <= BUDGET + BUDGET / 64 + 2048);
	PROC_REQUIRE(stats().repairs > 0);
	require_account();
	for (uint64_t key = 0; key < 100000; key++) /* what the dead had reserved is found again */
		put(key, "after", 5, COMAP_TTL_DEFAULT);
	PROC_REQUIRE(stats().used_bytes > BUDGET - BUDGET / 16);
	require_account();
	close_cache();
	return 0;
}

static void test_killed_and_stopped(void **state)
{
	void *path = (void *)proc_path(PROC_SHM, "region");
	uint64_t end_ns = comap_now_ns() + (uint64_t)(storm_seconds * 1e9);
	struct proc *players[STORM_PLAYERS];
	unsigned kills = 0, stops = 0;

	for (unsigned i = 0; i < STORM_PLAYERS; i++)
		players[i] = spawn_player(path, i);
	while (comap_now_ns() < end_ns) {
		unsigned i = (unsigned)proc_random_below(STORM_PLAYERS);

		usleep((useconds_t)(1000 + proc_random_below(8000)));
		if (proc_random_below(4) == 0) {
			stop_a_while(players[i], i);
			stops++;
			continue;
		}
		proc_kill(players[i]);
		proc_release(players[i]);
		players[i] = spawn_player(path, i);
		kills++;
	}
	proc_post(STOP);
	for (unsigned i = 0; i < STORM_PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	proc_assert_ok(proc_spawn("auditor", storm_auditor, path));
	/* relaxed, all of it: everybody has ended */
	print_message("%u kills, %u stops, %llu writes, %llu refused, %llu values read; "
	              "longest write of one not stopped itself: %.1f ms\n", kills, stops,
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(PUTS)),
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(REFUSED)),
	              (unsigned long long)comap_u64_load_relaxed(proc_counter(READS)),
	              (double)comap_u64_load_relaxed(proc_counter(PAUSE_NS)) / 1e6);
	assert_true(kills > 20 && comap_u64_load_relaxed(proc_counter(READS)) > 1000);
}

static int guest(void *path)
{
	uint64_t key = 7;
	char value[8];

	region = comap_open(path, COMAP_GUEST);
	PROC_REQUIRE(region);
	table = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(table);
	PROC_REQUIRE_OK(comap_table_get(table, &key, sizeof key, value, sizeof value, NULL));
	PROC_REQUIRE(stats().budget_bytes == BUDGET && stats().entries == 1);
	close_cache();
	return 0;
}

static void test_guests_read_a_cache(void **state)
{
	const char *path = proc_path(PROC_SHM, "region");

	open_cache(path, 64u << 20, BUDGET);
	put(7, "x", 1, COMAP_TTL_DEFAULT);
	proc_assert_ok(proc_spawn("guest", guest, (void *)path));
	close_cache();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest storm[] = {
		PROC_TEST(test_killed_and_stopped),
	};
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_budget_is_kept),
		PROC_TEST(test_store_evicts_nothing),
		PROC_TEST(test_full_region_evicts),
		PROC_TEST(test_stripes_lend),
		PROC_TEST(test_scan_leaves_hot_ones),
		PROC_TEST(test_churn_leaves_nothing),
		PROC_TEST(test_refusals_and_another_budget),
		PROC_TEST(test_expired_go_first),
		PROC_TEST(test_expired_go_where_nobody_writes),
		PROC_TEST(test_changes_keep_places),
		PROC_TEST(test_budget_among_eight),
		PROC_TEST(test_killed_and_stopped),
		PROC_TEST(test_guests_read_a_cache),
	};

	if (argc > 1) {
		storm_seconds = atof(argv[1]);
		proc_limit_ms += (unsigned)(storm_seconds * 1000);
		return cmocka_run_group_tests_name("storm over a cache", storm, NULL, NULL);
	}
	return cmocka_run_group_tests_name("table as a cache", tests, NULL, NULL);
}
