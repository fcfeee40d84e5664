/* SPDX-License-Identifier: MIT */
/* Who holds back a grace period, and for how long: readers that die, stand still, or end; publishers
 * that die or stand in the way. */
#include "check.h"

#include "region.h"

#include <comap/seat.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_SECTION, GO, KILLED, DONE };

static const char *path;

static int maker(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	check_value_put(value, 1);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void make_region(enum proc_place place)
{
	path = proc_path(place, "region");
	proc_assert_ok(proc_spawn("maker", maker, NULL));
}

/* In a section until it is told, or killed. */
static int reader(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(IN_SECTION);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* --- a dead reader ----------------------------------------------------------------------------- */

enum { KILLS = 15, KILLS_ASLEEP = 5 };

/* Counters: when the grace period was over, and how long the synchronizer waited for a processor. */
enum { OVER_NS, DELAY_NS };

/* A grace period that had to wait for a death. What the machine took of it is not the library's: a process
 * that was killed must get a processor to die on, and so must the synchronizer, to see it. With eight
 * busy processes for each processor that alone is 50 to 130 ms. */
struct waited {
	uint64_t whole_ns;      /* from the kill to the end */
	uint64_t ours_ns;       /* without the dying, and without the synchronizer's wait for a processor */
};

static int compare_whole(const void *a, const void *b)
{
	const struct waited *x = a, *y = b;

	return x->whole_ns < y->whole_ns ? -1 : x->whole_ns > y->whole_ns;
}

static int compare_ours(const void *a, const void *b)
{
	const struct waited *x = a, *y = b;

	return x->ours_ns < y->ours_ns ? -1 : x->ours_ns > y->ours_ns;
}

static void judge(const char *what, struct waited *waited, unsigned count)
{
	uint64_t middle_ns, most_ns;

	qsort(waited, count, sizeof *waited, compare_whole);
	middle_ns = waited[count / 2].whole_ns;
	most_ns = waited[count - 1].whole_ns;
	qsort(waited, count, sizeof *waited, compare_ours);
	print_message("%s: p50 %.2f ms, max %.2f ms; ours: p50 %.2f ms, max %.2f ms; %u kills\n", what,
	              (double)middle_ns / 1e6, (double)most_ns / 1e6,
	              (double)waited[count / 2].ours_ns / 1e6, (double)waited[count - 1].ours_ns / 1e6, count);
	assert_true(waited[count / 2].ours_ns <= 50000000);
}

/* Synchronizes, and leaves in the counters what the test wants to know. */
static void synchronize_and_tell(struct comap *region)
{
	uint64_t delay_ns = proc_delay_ns();

	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(proc_limit_ms)));
	comap_u64_store_relaxed(proc_counter(OVER_NS), comap_now_ns()); /* relaxed: a point follows */
	comap_u64_store_relaxed(proc_counter(DELAY_NS), proc_delay_ns() - delay_ns);
	proc_post(DONE);
}

/* The zombie is part of it: nobody waits for the dying before the grace period is begun. */
static struct waited kill_and_wait(struct proc *dying, unsigned number)
{
	uint64_t killed_ns = comap_now_ns(), dead_ns, over_ns, delay_ns;
	struct waited waited;

	proc_signal(dying, SIGKILL);
	proc_post(KILLED);
	(void)proc_wait(dying);
	dead_ns = comap_now_ns();
	/* or the next reader's section may be older than this grace period, which waits for it */
	proc_await(DONE, number + 1);
	over_ns = comap_u64_load_relaxed(proc_counter(OVER_NS)); /* relaxed, both: after the point */
	delay_ns = comap_u64_load_relaxed(proc_counter(DELAY_NS));
	waited.whole_ns = over_ns - killed_ns;
	waited.ours_ns = over_ns > dead_ns + delay_ns ? over_ns - dead_ns - delay_ns : 0;
	proc_release(dying);
	return waited;
}

static int synchronizer(void *arg)
{
	struct comap *region = check_open(path, 0);

	for (unsigned i = 0; i < KILLS; i++) {
		proc_post(IN_SECTION + 10);
		proc_await(KILLED, i + 1);
		synchronize_and_tell(region);
	}
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_dead_reader_holds_nobody_back(void **state)
{
	struct waited waited[KILLS];
	struct proc *synchronizing, *dying;

	make_region(PROC_SHM);
	synchronizing = proc_spawn("synchronizer", synchronizer, NULL);
	for (unsigned i = 0; i < KILLS; i++) {
		dying = proc_spawn("reader", reader, NULL);
		proc_await(IN_SECTION, i + 1);
		proc_await(IN_SECTION + 10, i + 1);
		waited[i] = kill_and_wait(dying, i);
	}
	proc_assert_ok(synchronizing);
	judge("grace period after a reader's SIGKILL", waited, KILLS);
}

static int waits_already(void *arg)
{
	struct comap *region = check_open(path, 0);

	proc_post(GO + 10);
	synchronize_and_tell(region);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* The synchronizer sleeps already when the reader dies, and nobody wakes it. */
static void test_death_during_the_wait(void **state)
{
	struct waited waited[KILLS_ASLEEP];

	make_region(PROC_SHM);
	for (unsigned i = 0; i < KILLS_ASLEEP; i++) {
		struct proc *dying = proc_spawn("reader", reader, NULL), *waiting;

		proc_await(IN_SECTION, i + 1);
		waiting = proc_spawn("waits", waits_already, NULL);
		proc_await(GO + 10, i + 1);
		assert_int_equal(proc_wait_ms(waiting, 100), PROC_TIMEOUT); /* it is being waited for */
		waited[i] = kill_and_wait(dying, i);
		proc_assert_ok(waiting);
	}
	judge("from the kill to the end of a wait", waited, KILLS_ASLEEP);
}

/* --- a reader that stands still ------------------------------------------------------------------ */

static int impatient(void *arg)
{
	int holder_pid = *(int *)arg;
	struct comap *region = check_open(path, 0);
	uint64_t ticket = comap_synchronize_start(region);
	struct comap_seat seat;
	int blocker;

	PROC_REQUIRE(comap_synchronize_until(region, comap_deadline_ms(100)) == -ETIMEDOUT);
	blocker = (int)comap_last_error()->seat;
	PROC_REQUIRE(blocker >= 0); /* the error names who is in the way */
	PROC_REQUIRE_OK(comap_seat_at(region, (uint32_t)blocker, &seat));
	PROC_REQUIRE((int)seat.pid == holder_pid);
	PROC_REQUIRE(seat.stopped);
	PROC_REQUIRE(seat.life == COMAP_LIFE_ALIVE);
	PROC_REQUIRE(seat.reading_count == 1 && seat.behind > 0);
	PROC_REQUIRE(comap_synchronize_poll(region, ticket) == 0);
	proc_post(DONE);
	PROC_REQUIRE_OK(comap_synchronize(region));
	PROC_REQUIRE(comap_synchronize_poll(region, ticket) == 1);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_stopped_reader_is_named_and_waited_for(void **state)
{
	struct proc *holder, *waiting;
	int holder_pid;

	make_region(PROC_SHM);
	holder = proc_spawn("reader", reader, NULL);
	holder_pid = holder->pid;
	proc_await(IN_SECTION, 1);
	proc_stop(holder);
	waiting = proc_spawn("impatient", impatient, &holder_pid);
	proc_await(DONE, 1);
	proc_post(GO);
	assert_int_equal(proc_wait_ms(waiting, 100), PROC_TIMEOUT); /* stopped: not dead */
	proc_continue(holder);
	proc_assert_ok(holder);
	proc_assert_ok(waiting);
}

static int own_section(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE(comap_synchronize(region) == -EDEADLK);
	PROC_REQUIRE(comap_close(region) == -EDEADLK);
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_synchronize(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_own_section_is_refused(void **state)
{
	make_region(PROC_SHM);
	proc_assert_ok(proc_spawn("own section", own_section, NULL));
}

/* --- publishers ------------------------------------------------------------------------------------ */

static int publisher(void *arg)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 2);
	comap_u64_store_release(proc_counter(1), (uint64_t)comap_seat_self(region));
	proc_post(IN_SECTION);
	proc_await(GO, 1);
	check_value_put(value, 3);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int second_publisher(void *arg)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	uint64_t bytes[CHECK_VALUE_BYTES / 8] = { 0 };
	int first = (int)comap_u64_load_acquire(proc_counter(1));

	PROC_REQUIRE(value);
	PROC_REQUIRE(comap_value_put(value, bytes, sizeof bytes) == -EBUSY);
	PROC_REQUIRE(comap_last_error()->seat == first);
	PROC_REQUIRE(comap_value_claim(value) == -EBUSY);
	PROC_REQUIRE(comap_value_publisher(value) == first);
	PROC_REQUIRE(check_value_number(region, value) == 2);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int successor(void *arg)
{
	PROC_REQUIRE(check_survive(path) == *(uint64_t *)arg);
	return 0;
}

static void test_second_publisher_is_refused(void **state)
{
	struct proc *first;
	uint64_t found = 3;

	make_region(PROC_SHM);
	first = proc_spawn("publisher", publisher, NULL);
	proc_await(IN_SECTION, 1);
	proc_assert_ok(proc_spawn("second", second_publisher, NULL));
	proc_stop(first);
	proc_assert_ok(proc_spawn("second, the first stopped", second_publisher, NULL));
	proc_continue(first);
	proc_post(GO);
	proc_assert_ok(first);
	proc_assert_ok(proc_spawn("successor", successor, &found)); /* it left in order */
}

static void test_dead_publishers_role_passes_on(void **state)
{
	struct proc *first;
	uint64_t found = 2;

	make_region(PROC_DISK);
	first = proc_spawn("publisher", publisher, NULL);
	proc_await(IN_SECTION, 1);
	proc_kill(first);
	proc_assert_ok(proc_spawn("successor", successor, &found));
}

/* --- waiting for a version --------------------------------------------------------------------------- */

static int waiter(void *arg)
{
	struct comap *region = check_open(path, *(uint32_t *)arg);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	PROC_REQUIRE(comap_value_wait(value, 1, comap_deadline_ms(50)) == -ETIMEDOUT);
	proc_post(DONE);
	PROC_REQUIRE_OK(comap_value_wait(value, 1, comap_deadline_ms(10000)));
	PROC_REQUIRE(comap_value_version(value) >= 2);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Two waiters sleep, one of them is killed: the other one is woken all the same. */
static void test_a_dead_waiter_takes_no_wake_along(void **state)
{
	uint32_t seated = 0, guest = COMAP_GUEST;
	struct proc *dying, *living, *looking, *first;

	make_region(PROC_SHM);
	dying = proc_spawn("dying", waiter, &seated);
	living = proc_spawn("living", waiter, &seated);
	looking = proc_spawn("guest", waiter, &guest);
	proc_await(DONE, 3);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	proc_kill(dying);
	first = proc_spawn("publisher", publisher, NULL);
	proc_assert_ok(living);
	proc_assert_ok(looking);
	proc_post(GO);
	proc_assert_ok(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_dead_reader_holds_nobody_back),
		PROC_TEST(test_death_during_the_wait),
		PROC_TEST(test_stopped_reader_is_named_and_waited_for),
		PROC_TEST(test_own_section_is_refused),
		PROC_TEST(test_second_publisher_is_refused),
		PROC_TEST(test_dead_publishers_role_passes_on),
		PROC_TEST(test_a_dead_waiter_takes_no_wake_along),
	};

	return cmocka_run_group_tests_name("grace periods and roles", tests, NULL, NULL);
}
