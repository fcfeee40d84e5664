/* SPDX-License-Identifier: MIT */
/* Caches: death at every fault point that a write passes on its way to room, as test_table_death.c does for
 * stores: the budget's reservation, eviction from the own stripe and from others, the move to the main queue,
 * expiry, a smaller budget, a full region.
 *
 * Which entries are evicted is nobody's promise. What is: an entry that is found is whole, and the key's;
 * each that came is there or has gone for a reason; the bytes are counted right by the stripes and in the
 * sum; what the dead one had reserved comes back; and the budget is kept and used by those who go on. */
#include "check.h"
#include "step.h"

#include "blob.h"
#include "table_cache.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BUDGET (512u << 10)
#define VALUE_BYTES 200u
#define LARGE_BYTES (BUDGET / 10)
#define LARGEST_BYTES (LARGE_BYTES + 64u)
#define SUBJECT 1000000u        /* and those behind it: what the operation writes */
#define MANY 600u
#define TTL_NS 1000000u
#define ARRIVALS 2u
#define TOLERANCE (BUDGET / COMAP_STRIPES)

struct operation {
	const char *name;
	uint64_t heap_max_bytes;
	void (*prepare)(void);
	int (*operate)(void);
	const char *passes;     /* a fault point that it is about */
};

static struct comap *region;
static struct comap_table *table;

/* A budget of 0: the cache that is there, whatever it has. */
static void open_cache(const char *path, uint64_t heap_max_bytes, uint64_t budget_bytes)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table_options table_options = COMAP_TABLE_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = heap_max_bytes;
	options.seat_count = 8;
	options.thread_count = 8;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table_options.budget_bytes = budget_bytes;
	table = comap_table_open_with(region, "t", NULL, &table_options);
	if (!table || !table->cache)
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

static int put_blob(uint64_t key, size_t value_bytes, uint64_t ttl_ns)
{
	static uint64_t blob[LARGEST_BYTES / 8];
	struct comap_table_write write = {
		.key = &key, .key_bytes = sizeof key, .value = blob, .value_bytes = value_bytes,
		.ttl_ns = ttl_ns,
	};

	blob_fill(blob, value_bytes, key);
	return comap_table_write(table, &write, NULL);
}

static int put(uint64_t key) { return put_blob(key, VALUE_BYTES, COMAP_TTL_DEFAULT); }

/* What is found is whole, and the key's. */
static bool has(uint64_t key)
{
	struct comap_view view;
	bool found = false;

	COMAP_READ(region) {
		view = comap_table_view(table, &key, sizeof key);
		found = view.data != NULL;
		PROC_REQUIRE(!found || (blob_whole(view.data, view.size_bytes) && blob_number(view.data) == key));
	}
	return found;
}

/* --- before ----------------------------------------------------------------------------------- */

static uint64_t fill_with(uint64_t ttl_ns)
{
	uint64_t key = 0;

	while (stats().used_bytes + 2 * VALUE_BYTES < BUDGET)
		PROC_REQUIRE_OK(put_blob(key++, VALUE_BYTES, ttl_ns));
	return key;
}

static void prepare_full(void) { fill_with(COMAP_TTL_DEFAULT); }

static void prepare_read(void)
{
	for (uint64_t key = fill_with(COMAP_TTL_DEFAULT); key-- > 0;)
		(void)(has(key) && has(key));
}

static void prepare_expired(void)
{
	fill_with(TTL_NS);
	usleep(20 * TTL_NS / 1000);
}

static void prepare_full_region(void)
{
	for (uint64_t key = 0; stats().evicted_full == 0; key++)
		PROC_REQUIRE_OK(put(key));
}

/* --- the operations --------------------------------------------------------------------------- */

static int put_one(void) { return put(SUBJECT); }
static int put_large(void) { return put_blob(SUBJECT, LARGE_BYTES, COMAP_TTL_DEFAULT); }
static int put_over(void) { return put_blob(7, 2 * VALUE_BYTES, COMAP_TTL_DEFAULT); }

static int put_many(void)
{
	int code = 0;

	for (uint64_t i = 0; i < MANY && !code; i++)
		code = put(SUBJECT + i);
	return code;
}

static int put_over_many(void)
{
	int code = 0;

	for (uint64_t i = 0; i < MANY && !code; i++)
		code = put(SUBJECT);
	return code;
}

static int remove_some(void)
{
	int code = 0;

	for (uint64_t key = 0; key < 50 && code >= 0; key++)
		code = comap_table_remove(table, &key, sizeof key);
	return code < 0 ? code : 0;
}

static int halve_budget(void) { return comap_table_set_budget(table, BUDGET / 2); }

#define HEAP (16u << 20)

static const struct operation operations[] = {
	{ "first key", HEAP, NULL, put_one, "cache.pushed" },
	{ "put one, full", HEAP, prepare_full, put_one, "cache.reserved" },
	{ "put a large one, full", HEAP, prepare_full, put_large, "cache.reserved" },
	{ "put over, full", HEAP, prepare_full, put_over, "cache.told" },
	{ "put many, full", HEAP, prepare_full, put_many, "cache.segment" },
	{ "put many, read", HEAP, prepare_read, put_many, "cache.moved" },
	{ "put many, expired", HEAP, prepare_expired, put_many, "cache.advanced" },
	{ "put over many, expired", HEAP, prepare_expired, put_over_many, "table.settled" },
	{ "put many, region full", BUDGET, prepare_full_region, put_many, "cache.advanced" },
	{ "remove", HEAP, prepare_full, remove_some, "table.settled" },
	{ "half the budget", HEAP, prepare_full, halve_budget, "cache.told" },
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

/* --- roles ------------------------------------------------------------------------------------ */

struct act {
	const struct operation *operation;
	const char *original, *path;
	enum proc_fault fault;
	const char *point;
	unsigned nth;
};

static int maker(void *arg)
{
	struct act *act = arg;

	open_cache(act->original, act->operation->heap_max_bytes, BUDGET);
	if (act->operation->prepare)
		act->operation->prepare();
	close_cache();
	return 0;
}

static int victim(void *arg)
{
	struct act *act = arg;

	open_cache(act->path, act->operation->heap_max_bytes, 0);
	proc_fault(act->fault, act->point, act->nth);
	PROC_REQUIRE_OK(act->operation->operate());
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	close_cache();
	return 0;
}

static uint64_t count_found(void)
{
	uint64_t count = 0;

	for (uint64_t key = 0; key < BUDGET / VALUE_BYTES; key++)
		count += has(key);
	for (uint64_t i = 0; i < 2 * MANY; i++)
		count += has(SUBJECT + i);
	return count;
}

/* A write to every stripe: each is repaired. */
static void write_to_all(void)
{
	uint64_t done = 0;

	for (uint64_t key = SUBJECT + MANY; done != UINT64_MAX; key++) {
		uint64_t bit = 1ull << comap__hash_stripe(comap__table_hash(table, &key, sizeof key));

		if (!(done & bit))
			PROC_REQUIRE_OK(put(key));
		done |= bit;
	}
}

/* What the stripe says of its buckets and queues is what they take. */
static void require_overhead(uint32_t index)
{
	const struct comap_cache_stripe_shm *cache = &table->cache_stripes[index];
	const struct comap_stripe_shm *stripe = &table->stripes[index];
	/* relaxed, all of it: nobody else is there */
	uint64_t bytes = comap_u64_load_relaxed(&stripe->overflows) * sizeof(struct comap_bucket_shm), ref;

	for (uint32_t i = 0; i < COMAP_STRIPE_SEGMENTS; i++) {
		ref = comap_u64_load_relaxed(&stripe->segments[i]);
		bytes += ref ? comap__block_bytes(region, (struct comap_ref){ ref }) : 0;
	}
	for (uint32_t i = 0; i < COMAP_QUEUES; i++)
		bytes += comap__cache_queue_bytes(table, &cache->queues[i], NULL, NULL);
	PROC_REQUIRE(comap_u64_load_relaxed(&cache->overhead_bytes) == bytes);
}

static void require_account(void)
{
	struct comap_table_stats now = stats();
	struct comap_check report;

	PROC_REQUIRE(now.inserted == now.entries + now.removed + now.expired + now.evicted_budget +
	             now.evicted_full);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		require_overhead(i);
	if (comap_check(region, &report) != 0)
		proc_fail(__FILE__, __LINE__, "the checker: %s", report.first_flaw);
	check_alone(region);
}

/* The sum that writers reserve from is right again, but for what a recount passes over. */
static void require_sum(void)
{
	uint64_t known, counted;

	for (unsigned i = 0; i < 256; i++) /* one of so many writes to a stripe recounts */
		PROC_REQUIRE_OK(put(SUBJECT));
	known = comap_u64_load_relaxed(&table->cache->used_bytes); /* relaxed: nobody else is there */
	counted = stats().used_bytes;
	if (known > counted + TOLERANCE || counted > known + TOLERANCE)
		proc_fail(__FILE__, __LINE__, "%llu bytes are said to be used, and %llu are",
		          (unsigned long long)known, (unsigned long long)counted);
}

/* Whoever goes on fills the budget, and keeps it. */
static void require_budget(const struct operation *operation)
{
	uint64_t budget_bytes = stats().budget_bytes;

	PROC_REQUIRE(budget_bytes == BUDGET || budget_bytes == BUDGET / 2);
	for (uint64_t key = 2 * SUBJECT; key < 2 * SUBJECT + 2500; key++)
		PROC_REQUIRE_OK(put(key));
	PROC_REQUIRE(stats().used_bytes <= budget_bytes + TOLERANCE + VALUE_BYTES * 2);
	PROC_REQUIRE(operation->heap_max_bytes == BUDGET ||
	             stats().used_bytes > budget_bytes - budget_bytes / 16);
}

static int survivor(void *arg)
{
	struct act *act = arg;

	open_cache(act->path, act->operation->heap_max_bytes, 0);
	(void)count_found();
	write_to_all();
	PROC_REQUIRE(act->operation->prepare == prepare_expired || count_found() == stats().entries);
	require_account();
	require_sum();
	require_budget(act->operation);
	require_account();
	close_cache();
	return 0;
}

static void finish(struct proc *proc)
{
	proc_assert_ok(proc);
	proc_release(proc);
}

/* How many points there are; the operation passes the one that it is about. */
static unsigned collect(struct act *act)
{
	unsigned count = 0;
	bool passes = false;

	step_copy(act->original, act->path);
	act->fault = PROC_FAULT_COLLECT;
	finish(proc_spawn("through", victim, act));
	finish(proc_spawn("survivor", survivor, act));
	for (; proc_fault_name(count); count++)
		passes |= strcmp(proc_fault_name(count), act->operation->passes) == 0;
	if (!passes)
		fail_msg("%s does not pass %s", act->operation->name, act->operation->passes);
	return count;
}

static unsigned kill_at(struct act *act)
{
	unsigned killed = 0;
	struct proc *p;
	int result;

	act->fault = PROC_FAULT_KILL;
	for (act->nth = 1; act->nth <= ARRIVALS; act->nth++) {
		step_copy(act->original, act->path);
		p = proc_spawn("victim", victim, act);
		result = proc_wait(p);
		if (result != -SIGKILL && result != 0)
			fail_msg("%s, killed at %s: %d %s", act->operation->name, act->point, result,
			         proc_verdict(p));
		proc_release(p);
		if (result == 0)
			return killed;
		killed++;
		p = proc_spawn("survivor", survivor, act);
		if (proc_wait(p) != 0)
			fail_msg("%s, killed at %s (%u): the survivor: %d %s", act->operation->name, act->point,
			         act->nth, p->result, proc_verdict(p));
		proc_release(p);
	}
	return killed;
}

static void test_kill_everywhere(void **state)
{
	unsigned kills = 0;

	if (!proc_has_faults())
		skip();
	for (unsigned o = 0; o < OPERATION_COUNT; o++) {
		struct act act = {
			&operations[o], proc_path(PROC_SHM, operations[o].name), proc_path(PROC_SHM, "region"),
			PROC_FAULT_NONE, NULL, 1
		};
		unsigned points, killed = 0;

		finish(proc_spawn("maker", maker, &act));
		points = collect(&act);
		for (unsigned i = 0; i < points; i++) {
			act.point = proc_fault_name(i);
			killed += kill_at(&act);
		}
		print_message("%-24s killed %3u times\n", operations[o].name, killed);
		assert_true(killed > 0);
		kills += killed;
	}
	print_message("%u kills\n", kills);
}

/* --- standing still --------------------------------------------------------------------------- */

static bool is_held(uint32_t stripe)
{
	return comap_u64_load_relaxed(&table->stripes[stripe].mutex) != 0; /* relaxed: its holder stands */
}

/* One stripe is held. Who writes in another looks for expired entries in all of them, but waits for none. */
static int bystander(void *arg)
{
	struct act *act = arg;
	uint64_t key = SUBJECT + MANY, before_ns;
	unsigned held = 0;

	open_cache(act->path, act->operation->heap_max_bytes, 0);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		held += is_held(i);
	PROC_REQUIRE(held == 1);
	while (is_held(comap__hash_stripe(comap__table_hash(table, &key, sizeof key))))
		key++;
	before_ns = comap_now_ns();
	for (unsigned i = 0; i < 5000; i++)
		PROC_REQUIRE_OK(put(key));
	PROC_REQUIRE(comap_now_ns() - before_ns < 2 * COMAP_TABLE_LOCK_MS * 1000000ull);
	PROC_REQUIRE(stats().expired > 0);
	close_cache();
	return 0;
}

static void test_expiry_elsewhere_waits_for_nobody(void **state)
{
	struct act act = {
		&operations[6], proc_path(PROC_SHM, "original"), proc_path(PROC_SHM, "region"),
		PROC_FAULT_STOP, "table.journal", 1
	};
	struct proc *standing;

	if (!proc_has_faults())
		skip();
	assert_string_equal(operations[6].name, "put many, expired");
	finish(proc_spawn("maker", maker, &act));
	step_copy(act.original, act.path);
	standing = proc_spawn("standing", victim, &act);
	assert_int_equal(proc_wait_stopped(standing), 0);
	finish(proc_spawn("bystander", bystander, &act));
	proc_continue(standing);
	finish(standing);
	finish(proc_spawn("survivor", survivor, &act));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_kill_everywhere),
		PROC_TEST(test_expiry_elsewhere_waits_for_nobody),
	};

	return cmocka_run_group_tests_name("caches, and those who die in them", tests, NULL, NULL);
}
