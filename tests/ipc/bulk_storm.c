/* SPDX-License-Identifier: MIT */
/* The storm over bulk loads: loaders, writers, readers and a guest, killed and stopped at random moments.
 *
 *     test_bulk-storm [SECONDS]       2 by default
 *
 * Each load bears a number that only grows, and each of its entries says it. What is claimed: one call for
 * many keys is answered from one load; nobody who has seen a load sees an older one; a load that was
 * acknowledged is not followed by what was there before; a write that is acknowledged is there until the
 * next load; at the end every block is accounted for. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOADERS = 2, WRITERS = 2, READERS = 3, GUEST = LOADERS + WRITERS + READERS, PLAYERS };
enum { STOP };
enum { LOADS, ABORTS, WRITES, LOOKS, COPIES, REFUSED, GIVEN_UP, WRITE_NS, STOPS, COUNTED = STOPS + PLAYERS };
enum { KEYS = 3000, GROUP = 40 };

/* Outlives everybody. */
struct oracle {
	struct comap_u64 begun;      /* the number of the newest load that somebody has begun to build */
	struct comap_u64 done;       /* ... that was acknowledged */
};

static double seconds = 2;
static const char *path;
static struct oracle *oracle;
static struct comap *region;
static struct comap_table *table;

static bool over(void) { return proc_point(STOP) > 0; }
static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a statistic */
}

static void storm_open(uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.heap_max_bytes = 64u << 20;
	options.seat_count = 64;
	options.thread_count = 64;
	options.pin_policy = COMAP_PIN_WAIT;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table = comap_table_open(region, "t", NULL);
	if (!table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

static void storm_close(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

static bool refused(int code)
{
	if (code != -ETIMEDOUT && code != -EBUSY)
		return false;
	count(REFUSED);
	return true;
}

/* --- roles ------------------------------------------------------------------------------------ */

static void load(void)
{
	struct comap_bulk *bulk = comap_table_bulk_begin(table, proc_random_below(2) * KEYS);
	uint64_t number;

	if (!bulk) {
		PROC_REQUIRE(refused(-comap_last_error()->code));
		return;
	}
	/* drawn as the loader: so the numbers are published in order */
	number = comap_u64_add_acq_rel(&oracle->begun, 1) + 1;
	for (uint64_t key = 0; key < KEYS; key++)
		PROC_REQUIRE_OK(comap_table_bulk_put(bulk, &key, sizeof key, &number, sizeof number));
	if (proc_random_below(8) == 0) {
		comap_table_bulk_abort(bulk);
		count(ABORTS);
		return;
	}
	while (comap_table_bulk_commit(bulk) != 0)
		PROC_REQUIRE(refused(-comap_last_error()->code));
	comap_u64_max_acq_rel(&oracle->done, number);
	count(LOADS);
}

static int loader(void *arg)
{
	storm_open(COMAP_CREATE);
	while (!over())
		load();
	storm_close();
	return 0;
}

/* Keys of its own beside those that are loaded: there until a load takes them away. */
static void write_one(uint64_t self, uint64_t n)
{
	uint64_t key = KEYS + self * 1000 + proc_random_below(500), found = 0, begun_ns = comap_now_ns();
	uint64_t stops = comap_u64_load_relaxed(proc_counter(STOPS + (unsigned)self));
	uint64_t done = comap_u64_load_acquire(&oracle->done);
	int code = comap_table_put(table, &key, sizeof key, &n, sizeof n);

	if (stops == comap_u64_load_relaxed(proc_counter(STOPS + (unsigned)self)))
		comap_u64_max_acq_rel(proc_counter(WRITE_NS), comap_now_ns() - begun_ns);
	if (refused(code))
		return;
	PROC_REQUIRE_OK(code);
	code = comap_table_get(table, &key, sizeof key, &found, sizeof found, NULL);
	PROC_REQUIRE(code == 0 || code == -ENOENT);
	if (code == 0)
		PROC_REQUIRE(found == n);
	else /* only a load can have taken it away, one that was being built or begun since */
		PROC_REQUIRE(comap_u64_load_acquire(&oracle->begun) > done);
	if (proc_random_below(4) == 0)
		(void)refused(comap_table_remove(table, &key, sizeof key));
	count(WRITES);
}

static int writer(void *arg)
{
	storm_open(COMAP_CREATE);
	for (uint64_t n = 1; !over(); n++)
		write_one((uint64_t)(uintptr_t)arg, n);
	storm_close();
	return 0;
}

static uint64_t number_of(const struct comap_view *view)
{
	uint64_t number = 0;

	PROC_REQUIRE(!view->data || view->size_bytes == sizeof number);
	if (view->data)
		memcpy(&number, view->data, sizeof number);
	return number;
}

/* All of one load; not older than what was acknowledged before, nor newer than what was begun. */
static uint64_t look(uint64_t before)
{
	uint64_t keys[GROUP], number = 0, done = comap_u64_load_acquire(&oracle->done);
	struct comap_view views[GROUP];
	struct comap_key names[GROUP];

	for (unsigned i = 0; i < GROUP; i++) {
		keys[i] = proc_random_below(KEYS);
		names[i] = (struct comap_key){ &keys[i], sizeof keys[i] };
	}
	COMAP_READ(region) {
		int found = comap_table_view_many(table, GROUP, names, views);

		PROC_REQUIRE(found == GROUP || found == 0);
		number = number_of(&views[0]);
		for (unsigned i = 0; i < GROUP; i++)
			PROC_REQUIRE(number_of(&views[i]) == number);
	}
	PROC_REQUIRE(number >= before && number >= done);
	PROC_REQUIRE(number <= comap_u64_load_acquire(&oracle->begun));
	count(LOOKS);
	return number;
}

static int reader(void *arg)
{
	uint64_t number = 0;

	storm_open(COMAP_CREATE);
	while (!over())
		number = look(number);
	storm_close();
	return 0;
}

static int guest(void *arg)
{
	uint64_t before = 0, number, done, key;
	int code;

	storm_open(COMAP_GUEST | COMAP_WAIT);
	while (!over()) {
		number = 0;
		key = proc_random_below(KEYS);
		done = comap_u64_load_acquire(&oracle->done);
		code = comap_table_get(table, &key, sizeof key, &number, sizeof number, NULL);
		if (code == -EAGAIN) {
			count(GIVEN_UP);
			continue;
		}
		PROC_REQUIRE(code == 0 || (code == -ENOENT && before == 0));
		PROC_REQUIRE(number >= before && number >= done);
		before = number;
		count(COPIES);
	}
	storm_close();
	return 0;
}

/* --- the storm -------------------------------------------------------------------------------- */

static struct proc *players[PLAYERS];
static uint64_t wake_ns[PLAYERS];

static void enter(unsigned number)
{
	void *arg = (void *)(uintptr_t)number;

	players[number] = number < LOADERS ? proc_spawn("loader", loader, arg)
		: number < LOADERS + WRITERS ? proc_spawn("writer", writer, arg)
		: number < GUEST ? proc_spawn("reader", reader, arg)
		: proc_spawn("guest", guest, arg);
	wake_ns[number] = 0;
}

static void strike(unsigned *kills, unsigned *stops)
{
	unsigned number = (unsigned)proc_random_below(PLAYERS);
	struct proc *player = players[number];
	int result;

	if (proc_wait_ms(player, 0) != PROC_TIMEOUT)
		fail_msg("%s ended with %d: %s", player->name, player->result, proc_verdict(player));
	if (proc_random_below(3) > 0) {
		proc_signal(player, SIGKILL);
		result = proc_wait(player);
		if (result != -SIGKILL)
			fail_msg("%s ended with %d: %s", player->name, result, proc_verdict(player));
		proc_release(player);
		enter(number);
		++*kills;
	} else if (!wake_ns[number]) {
		count(STOPS + number);
		proc_signal(player, SIGSTOP);
		wake_ns[number] = comap_now_ns() + 1000000 * proc_random_below(40);
		++*stops;
	}
}

static void wake_the_stopped(bool all)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!wake_ns[i] || (!all && comap_now_ns() < wake_ns[i]))
			continue;
		proc_continue(players[i]);
		wake_ns[i] = 0;
	}
}

static int successor(void *arg)
{
	storm_open(0);
	(void)look(0);
	for (uint64_t key = 0; key < 2000; key++) /* every stripe has a writer once more */
		PROC_REQUIRE_OK(comap_table_put(table, &key, sizeof key, "12345678", 8));
	for (int i = 0; i < 2; i++)
		load();
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	storm_close();
	return 0;
}

static unsigned long long counted(unsigned counter)
{
	return comap_u64_load_relaxed(proc_counter(counter)); /* relaxed: everybody has ended */
}

static void test_storm(void **state)
{
	uint64_t deadline_ns = comap_now_ns() + (uint64_t)(seconds * 1e9);
	unsigned kills = 0, stops = 0;

	path = proc_path(PROC_SHM, "region");
	oracle = mmap(NULL, sizeof *oracle, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(oracle != MAP_FAILED);
	for (unsigned i = 0; i < PLAYERS; i++)
		enter(i);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(3000 + proc_random_below(20000)));
		strike(&kills, &stops);
		wake_the_stopped(false);
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	proc_assert_ok(proc_spawn("successor", successor, NULL));
	print_message("%u kills, %u stops; %llu loads published, %llu aborted, %llu writes, %llu refused, %llu "
	              "looks at %u keys, %llu copies by guests (%llu given up): all of one load, none older than "
	              "the one before; longest write of one not stopped itself: %.1f ms\n", kills, stops,
	              counted(LOADS), counted(ABORTS), counted(WRITES), counted(REFUSED), counted(LOOKS),
	              (unsigned)GROUP, counted(COPIES), counted(GIVEN_UP), (double)counted(WRITE_NS) / 1e6);
	munmap(oracle, sizeof *oracle);
	assert_true(kills > 5);
	assert_true(counted(LOADS) > 0 && counted(LOOKS) > 10 && counted(WRITES) > 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_storm),
	};

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("bulk storm", tests, NULL, NULL);
}
