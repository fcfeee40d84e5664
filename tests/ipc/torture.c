/* SPDX-License-Identifier: MIT */
/* Torture of the grace period, in rcutorture's shape, over processes.
 *
 *     test_torture [SECONDS]    3 by default; `./run long torture SECONDS`
 *
 * An updater puts a fresh element into the current place and lets the one before go down a pipe: its
 * age is 1 from the moment it is unlinked, and one more after each grace period; at 10 it may be used
 * again. A reader that holds an element in a section must never see it older than 1: then a grace
 * period would have ended under it. The elements lie in memory beside the region, so that only the
 * grace period stands between reader and updater.
 *
 * Readers nest, read in signal handlers, are stopped and killed; updaters are killed; others ask for
 * grace periods all the time, waiting and polling. As a negative control the updater leaves the
 * grace period out: then the readers must see old elements. */
#include "check.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define PIPE_LENGTH 10u
#define ELEMENTS 30u
#define AGE_FREE 100u

enum { STOP };
/* Counters: statistics, the ages that were seen, then the elements: three words each. */
enum { READS, HANDLER_READS, UPDATES, PERIODS, POLLED, BARRIER_ERRORS, CURRENT, AGES = 16,
       ELEMENT_WORDS = 32 };

static double seconds = 3;
static const char *path;
static bool leave_grace_period_out;
static uint32_t region_flags;

static struct comap *region;

static struct comap_u64 *age_of(uint64_t element)
{
	return proc_counter(ELEMENT_WORDS + (unsigned)element * 2);
}

/* 1 while the element is initialised: written before it is published. */
static struct comap_u64 *ready_of(uint64_t element)
{
	return proc_counter(ELEMENT_WORDS + (unsigned)element * 2 + 1);
}

static bool over(void)
{
	return proc_point(STOP) > 0;
}

static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a statistic */
}

static void torture_open(void)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE | region_flags;
	options.heap_max_bytes = 4u << 20;
	options.seat_count = 64;
	options.thread_count = 64;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

/* --- readers ------------------------------------------------------------------------------------- */

static void linger(void)
{
	uint64_t dice = proc_random_below(4096);

	if (dice == 0)
		usleep(1000);
	else if (dice < 8)
		sched_yield();
	else
		for (uint64_t i = 0; i < dice / 16; i++)
			comap_spin_pause();
}

static void read_once(unsigned depth, bool in_handler)
{
	uint64_t element, age;

	for (unsigned i = 0; i < depth; i++)
		PROC_REQUIRE(comap_read_begin(region) == 0);
	element = comap_u64_load_acquire(proc_counter(CURRENT));
	if (comap_u64_load_acquire(ready_of(element)) != 1)
		count(BARRIER_ERRORS);
	if (in_handler)
		comap_spin_pause();
	else
		linger();
	age = comap_u64_load_acquire(age_of(element));
	if (age > PIPE_LENGTH)
		age = PIPE_LENGTH;
	count(AGES + (unsigned)age);
	count(in_handler ? HANDLER_READS : READS);
	for (unsigned i = 0; i < depth; i++)
		PROC_REQUIRE(comap_read_end(region) == 0);
}

static void on_timer(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	read_once(1, true);
	errno = saved;
}

static int reader(void *arg)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };

	torture_open();
	PROC_REQUIRE_OK(comap_thread_register(region));
	signal(SIGPROF, on_timer);
	setitimer(ITIMER_PROF, &often, NULL);
	while (!over())
		read_once(1 + (unsigned)proc_random_below(6), false);
	setitimer(ITIMER_PROF, &never, NULL);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* --- updaters ------------------------------------------------------------------------------------- */

static void grace_period(void)
{
	uint64_t ticket;
	int done;

	count(PERIODS);
	if (leave_grace_period_out)
		return;
	if (proc_random_below(4) > 0) {
		PROC_REQUIRE_OK(comap_synchronize(region));
		return;
	}
	ticket = comap_synchronize_start(region);
	while ((done = comap_synchronize_poll(region, ticket)) == 0)
		usleep(50);
	PROC_REQUIRE(done == 1);
	count(POLLED);
}

static void age_all(uint64_t current)
{
	for (uint64_t element = 0; element < ELEMENTS; element++) {
		uint64_t age = comap_u64_load_acquire(age_of(element));

		if (element == current || age == AGE_FREE || age == 0)
			continue;
		if (age < PIPE_LENGTH) {
			comap_u64_store_release(age_of(element), age + 1);
			continue;
		}
		comap_u64_store_release(ready_of(element), 0);
		comap_u64_store_release(age_of(element), AGE_FREE);
	}
}

/* The one before may have died between its two stores: what it unlinked goes down the pipe too. */
static void take_over(uint64_t current)
{
	for (uint64_t element = 0; element < ELEMENTS; element++)
		if (element != current && comap_u64_load_acquire(age_of(element)) == 0)
			comap_u64_store_release(age_of(element), 1);
	grace_period();
}

static uint64_t fresh_element(uint64_t current)
{
	for (uint64_t element = 0; element < ELEMENTS; element++)
		if (element != current && comap_u64_load_acquire(age_of(element)) == AGE_FREE)
			return element;
	return ELEMENTS;
}

static int updater(void *arg)
{
	uint64_t current = comap_u64_load_acquire(proc_counter(CURRENT)), fresh;

	torture_open();
	take_over(current);
	while (!over()) {
		fresh = fresh_element(current);
		if (fresh < ELEMENTS) {
			comap_u64_store_release(ready_of(fresh), 1);
			comap_u64_store_release(age_of(fresh), 0);
			comap_u64_store_release(proc_counter(CURRENT), fresh);
			comap_u64_store_release(age_of(current), 1);
			current = fresh;
			count(UPDATES);
		}
		grace_period();
		age_all(current);
	}
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Wants grace periods for nothing, beside the updater. */
static int fake_updater(void *arg)
{
	torture_open();
	while (!over()) {
		grace_period();
		usleep((useconds_t)proc_random_below(300));
	}
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* --- the run ---------------------------------------------------------------------------------------- */

enum { READERS = 4, FAKES = 2, PLAYERS = 1 + FAKES + READERS };
static struct proc *players[PLAYERS];
static uint64_t wake_ns[PLAYERS];

static void enter(unsigned number)
{
	players[number] = number == 0 ? proc_spawn("updater", updater, NULL)
		: number <= FAKES ? proc_spawn("fake updater", fake_updater, NULL)
		: proc_spawn("reader", reader, NULL);
	wake_ns[number] = 0;
}

static void strike(unsigned *kills, unsigned *stops)
{
	unsigned number = (unsigned)proc_random_below(PLAYERS);
	struct proc *player = players[number];
	int result = proc_wait_ms(player, 0);

	if (result != PROC_TIMEOUT)
		fail_msg("%s ended with %d: %s", player->name, result, proc_verdict(player));
	if (proc_random_below(2)) {
		proc_signal(player, SIGKILL);
		result = proc_wait(player);
		if (result != -SIGKILL)
			fail_msg("%s ended with %d: %s", player->name, result, proc_verdict(player));
		proc_release(player);
		enter(number);
		++*kills;
	} else if (!wake_ns[number]) {
		proc_signal(player, SIGSTOP);
		wake_ns[number] = comap_now_ns() + 1000000 * proc_random_below(30);
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

static unsigned long long counted(unsigned counter)
{
	return comap_u64_load_relaxed(proc_counter(counter)); /* relaxed: everybody has ended */
}

static unsigned long long too_old(void)
{
	unsigned long long sum = 0;

	for (unsigned age = 2; age <= PIPE_LENGTH; age++)
		sum += counted(AGES + age);
	return sum;
}

static void torture(uint32_t flags, double duration_s)
{
	uint64_t deadline_ns = comap_now_ns() + (uint64_t)(duration_s * 1e9);
	unsigned kills = 0, stops = 0;

	path = proc_path(PROC_SHM, "region");
	region_flags = flags;
	for (uint64_t element = 0; element < ELEMENTS; element++)
		comap_u64_store_release(age_of(element), element ? AGE_FREE : 0);
	comap_u64_store_release(ready_of(0), 1);
	for (unsigned i = 0; i < PLAYERS; i++)
		enter(i);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(1000 + proc_random_below(15000)));
		strike(&kills, &stops);
		wake_the_stopped(false);
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	print_message("%u kills, %u stops; %llu reads, %llu in handlers; %llu updates, %llu grace periods "
	              "(%llu polled); seen at age 0: %llu, 1: %llu, older: %llu; barrier errors: %llu\n",
	              kills, stops, counted(READS), counted(HANDLER_READS), counted(UPDATES),
	              counted(PERIODS), counted(POLLED), counted(AGES), counted(AGES + 1), too_old(),
	              counted(BARRIER_ERRORS));
}

static void require_sound(void)
{
	assert_int_equal(too_old(), 0);
	assert_int_equal(counted(BARRIER_ERRORS), 0);
	assert_true(counted(READS) > 1000);
	assert_true(counted(HANDLER_READS) > 0);
	assert_true(counted(UPDATES) > 20);
	assert_true(counted(POLLED) > 0);
}

static void test_torture(void **state)
{
	torture(0, seconds / 2);
	require_sound();
}

static void test_torture_fenced(void **state)
{
	torture(COMAP_FENCED, seconds / 2);
	require_sound();
}

static void test_without_grace_periods_it_is_seen(void **state)
{
	leave_grace_period_out = true;
	torture(0, 0.7);
	leave_grace_period_out = false;
	assert_true(too_old() > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_torture),
		PROC_TEST(test_torture_fenced),
		PROC_TEST(test_without_grace_periods_it_is_seen),
	};

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("torture", tests, NULL, NULL);
}
