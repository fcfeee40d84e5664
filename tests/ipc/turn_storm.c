/* SPDX-License-Identifier: MIT */
/* Those who compute, killed and stopped at random moments, against an oracle.
 *
 * Workers fetch keys that expire at once. Whoever has a turn writes itself down, computes a little, crosses
 * itself out and ends the turn. Of the first half of the keys nothing is removed, and nobody is robbed: there
 * whoever has a turn finds nobody written down who still lives. The second half is removed at random, after
 * its source has changed: what is fetched after that is not of before. Nobody waits beyond its deadline.
 *
 *     test_turn-storm [SECONDS] */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STOP };
enum { TURNS, VALUES, STALE, NEGATIVES, LOST, TIMEOUTS, REMOVALS, LONGEST_NS };
enum { WORKERS = 6, KEYS = 16, DEADLINE_MS = 400 };

struct oracle {
	struct comap_u64 computing[KEYS];  /* pid of the one at it */
	struct comap_u64 source[KEYS];
	struct comap_u64 floor[KEYS];      /* values from before it are over */
	struct comap_u64 computed[KEYS];
};

static double seconds = 3;
static const char *path;
static struct oracle *oracle;
static struct comap *region;
static struct comap_table *table;
static struct proc *workers[WORKERS];
static uint64_t wake_ns[WORKERS];

static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a counter */
}

static int storm_open(void)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 16u << 20;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region);
	table = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(table);
	return 0;
}

static void storm_close(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

static bool is_gone(uint64_t pid)
{
	char name[40], line[256];
	const char *at;
	FILE *file;
	bool gone = true;

	snprintf(name, sizeof name, "/proc/%llu/stat", (unsigned long long)pid);
	file = fopen(name, "re");
	if (!file)
		return true;
	if (fgets(line, sizeof line, file)) {
		at = strrchr(line, ')');
		gone = !at || at[2] == 'Z' || at[2] == 'X';
	}
	fclose(file);
	return gone;
}

/* The turn is ours: nobody else who lives may be at it. */
static void write_down(uint64_t key)
{
	uint64_t before = comap_u64_exchange_acq_rel(&oracle->computing[key], (uint64_t)getpid());

	if (key < KEYS / 2 && before && before != (uint64_t)getpid() && !is_gone(before))
		proc_fail(__FILE__, __LINE__, "key %llu is computed by %llu and by %d",
		          (unsigned long long)key, (unsigned long long)before, (int)getpid());
	comap_u64_add_relaxed(&oracle->computed[key], 1); /* relaxed: a counter */
}

static void compute(uint64_t key, struct comap_turn *turn)
{
	uint64_t value;
	int code;

	count(TURNS);
	write_down(key);
	value = comap_u64_load_acquire(&oracle->source[key]);
	usleep((useconds_t)proc_random_below(3000));
	comap_u64_store_release(&oracle->computing[key], 0);
	switch (proc_random_below(8)) {
	case 0: code = comap_table_turn_drop(turn); break;
	case 1: code = comap_table_turn_none(turn); break;
	default: code = comap_table_turn_put(turn, &value, sizeof value); break;
	}
	PROC_REQUIRE(code == COMAP_TABLE_DONE || code == COMAP_TABLE_CHANGED || code == -ETIMEDOUT ||
	             code == -EBUSY);
	PROC_REQUIRE(code != COMAP_TABLE_CHANGED || key >= KEYS / 2);
	if (code == COMAP_TABLE_CHANGED)
		count(LOST);
}

static void fetch(uint64_t key)
{
	struct comap_fetch_options options = {
		.ttl_ns = 1000000 * (1 + proc_random_below(10)), .negative_ttl_ns = 1000000,
		.stale_ns = key % 2 ? 5000000 : 0, .deadline_ns = comap_deadline_ms(DEADLINE_MS),
	};
	uint64_t floor = comap_u64_load_acquire(&oracle->floor[key]);
	uint64_t begun_ns = comap_now_ns(), value = 0;
	struct comap_turn turn;
	int code = comap_table_fetch(table, &key, sizeof key, &options, &value, sizeof value, NULL, &turn);

	comap_u64_max_acq_rel(proc_counter(LONGEST_NS), comap_now_ns() - begun_ns);
	if (code == COMAP_FETCH_YOURS)
		compute(key, &turn);
	else if (code == COMAP_FETCH_VALUE || code == COMAP_FETCH_STALE)
		PROC_REQUIRE(value >= floor && value <= comap_u64_load_acquire(&oracle->source[key]));
	else
		PROC_REQUIRE(code == COMAP_FETCH_NEGATIVE || code == -ETIMEDOUT || code == -EBUSY);
	if (code != COMAP_FETCH_YOURS)
		count(code == COMAP_FETCH_VALUE ? VALUES : code == COMAP_FETCH_STALE ? STALE :
		      code < 0 ? TIMEOUTS : NEGATIVES);
}

static void change_source(uint64_t key)
{
	uint64_t source = comap_u64_add_acq_rel(&oracle->source[key], 1) + 1;

	if (comap_table_remove(table, &key, sizeof key) < 0)
		return;
	comap_u64_max_acq_rel(&oracle->floor[key], source);
	count(REMOVALS);
}

static int work(void *number)
{
	storm_open();
	for (uintptr_t i = 0; i < (uintptr_t)number; i++)
		(void)proc_random();
	while (proc_point(STOP) == 0) {
		uint64_t key = proc_random_below(KEYS);

		if (key >= KEYS / 2 && proc_random_below(20) == 0)
			change_source(key);
		else
			fetch(key);
	}
	storm_close();
	return 0;
}

/* Workers begin with numbers of their own. */
static void enter(unsigned i)
{
	static uintptr_t number;

	workers[i] = proc_spawn("worker", work, (void *)++number);
	wake_ns[i] = 0;
}

static void strike(unsigned *kills, unsigned *stops)
{
	unsigned i = (unsigned)proc_random_below(WORKERS);

	if (proc_wait_ms(workers[i], 0) != PROC_TIMEOUT)
		fail_msg("a worker ended with %d: %s", workers[i]->result, proc_verdict(workers[i]));
	if (proc_random_below(3) > 0) {
		proc_signal(workers[i], SIGKILL);
		if (proc_wait(workers[i]) != -SIGKILL)
			fail_msg("a worker ended with %d: %s", workers[i]->result, proc_verdict(workers[i]));
		proc_release(workers[i]);
		enter(i);
		++*kills;
	} else if (!wake_ns[i]) {
		proc_signal(workers[i], SIGSTOP);
		wake_ns[i] = comap_now_ns() + 1000000 * proc_random_below(60);
		++*stops;
	}
}

static void wake_the_stopped(bool all)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		if (!wake_ns[i] || (!all && comap_now_ns() < wake_ns[i]))
			continue;
		proc_continue(workers[i]);
		wake_ns[i] = 0;
	}
}

/* Every key can be had: a turn of the dead is taken over. */
static int successor(void *unused)
{
	storm_open();
	for (uint64_t key = 0; key < KEYS; key++) {
		struct comap_fetch_options options = { .deadline_ns = comap_deadline_ms(5000) };
		struct comap_turn turn;
		uint64_t value;
		int code = comap_table_fetch(table, &key, sizeof key, &options, &value, sizeof value, NULL, &turn);

		PROC_REQUIRE(code >= 0);
		if (code == COMAP_FETCH_YOURS)
			PROC_REQUIRE(comap_table_turn_put(&turn, &key, sizeof key) == COMAP_TABLE_DONE);
		/* relaxed: everybody has ended */
		PROC_REQUIRE(comap_u64_load_relaxed(&oracle->computed[key]) > 0);
	}
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
	for (unsigned i = 0; i < KEYS; i++)
		oracle->source[i].v = 1;
	for (unsigned i = 0; i < WORKERS; i++)
		enter(i);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(1000 + proc_random_below(14000)));
		strike(&kills, &stops);
		wake_the_stopped(false);
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < WORKERS; i++) {
		proc_assert_ok(workers[i]);
		proc_release(workers[i]);
	}
	proc_assert_ok(proc_spawn("successor", successor, NULL));
	print_message("%u kills, %u stops; %llu turns (%llu lost to a removal), %llu values, %llu stale, %llu "
	              "negative, %llu removals, %llu waits beyond the deadline or a lock's; longest fetch "
	              "%.1f ms\n", kills, stops, counted(TURNS), counted(LOST), counted(VALUES), counted(STALE),
	              counted(NEGATIVES), counted(REMOVALS), counted(TIMEOUTS), (double)counted(LONGEST_NS) / 1e6);
	munmap(oracle, sizeof *oracle);
	assert_true(kills > 5 && stops > 0);
	assert_true(counted(TURNS) > 100 && counted(VALUES) > 100 && counted(STALE) > 0);
	/* Its own standstill, a lock's two seconds, and no more. */
	assert_true(counted(LONGEST_NS) < (DEADLINE_MS + 2000u + 1000u) * 1000000u);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { PROC_TEST(test_storm) };

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("turn storm", tests, NULL, NULL);
}
