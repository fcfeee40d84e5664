/* SPDX-License-Identifier: MIT */
/* Threads of one process, and the ends of what there is: marks, seats, handles. */
#include "check.h"

#include "blob.h"
#include "region.h"

#include <comap/seat.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READY, GO, THREADS_IN, THREADS_GO };

static const char *path;

static struct comap *open_with(uint32_t seat_count, uint32_t thread_count)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 8u << 20;
	options.seat_count = seat_count;
	options.thread_count = thread_count;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return region;
}

/* --- threads and their marks ------------------------------------------------------------------- */

static uint32_t records_held(struct comap *region)
{
	struct comap_seat seat;

	PROC_REQUIRE_OK(comap_seat_at(region, (uint32_t)comap_seat_self(region), &seat));
	return seat.thread_count;
}

/* Ends inside a section: nobody is held back by it afterwards. */
static void *reads_and_ends(void *region)
{
	return (void *)(intptr_t)comap_read_begin(region);
}

static void run_thread(void *(*function)(void *), struct comap *region, intptr_t expected)
{
	pthread_t thread;
	void *result;

	PROC_REQUIRE(pthread_create(&thread, NULL, function, region) == 0);
	PROC_REQUIRE(pthread_join(thread, &result) == 0);
	PROC_REQUIRE((intptr_t)result == expected);
}

static int thread_exits(void *arg)
{
	struct comap *region = open_with(4, 4);
	uint32_t before;

	PROC_REQUIRE_OK(comap_thread_register(region));
	before = records_held(region);
	PROC_REQUIRE(before == 1);
	for (int i = 0; i < 100; i++) /* many more threads than records */
		run_thread(reads_and_ends, region, 0);
	PROC_REQUIRE(records_held(region) == before);
	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(3000)));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_a_threads_exit_frees_its_mark(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("threads", thread_exits, NULL));
}

static void *stays(void *region)
{
	int code = comap_read_begin(region);

	if (code == 0)
		comap_read_end(region);
	proc_post(THREADS_IN);
	proc_await(THREADS_GO, 1);
	return (void *)(intptr_t)code;
}

static int marks_run_out(void *arg)
{
	struct comap *region = open_with(4, 3);
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		PROC_REQUIRE(pthread_create(&threads[i], NULL, stays, region) == 0);
	proc_await(THREADS_IN, 2);
	PROC_REQUIRE_OK(comap_thread_register(region));
	run_thread(reads_and_ends, region, -EUSERS);
	proc_post(THREADS_GO);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	run_thread(reads_and_ends, region, 0); /* and there are some again */
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_marks_run_out(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("threads", marks_run_out, NULL));
}

/* All records are held by a process that is killed: the next one gets one, nobody has to sweep. */
static int holds_all_marks(void *arg)
{
	struct comap *region = open_with(4, 3);
	uint32_t before = proc_point(THREADS_IN);
	pthread_t thread;

	PROC_REQUIRE_OK(comap_thread_register(region));
	for (unsigned i = 0; i < 2; i++)
		PROC_REQUIRE(pthread_create(&thread, NULL, stays, region) == 0);
	proc_await(THREADS_IN, before + 2);
	proc_post(READY);
	for (;;)
		pause();
	return 0;
}

/* Dies while it sweeps in the janitor's name, having no record of its own. */
static int dies_as_janitor(void *arg)
{
	struct comap *region = open_with(4, 3);

	proc_post(READY);
	proc_await(GO, proc_point(READY) / 2);
	proc_fault(PROC_FAULT_KILL, arg, 1);
	(void)comap_thread_register(region);
	return 0;
}

static int wants_a_mark(void *arg)
{
	struct comap *region = open_with(4, 3);

	proc_post(READY);
	PROC_REQUIRE(comap_thread_register(region) == -EUSERS);
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_thread_register(region));
	PROC_REQUIRE_OK(comap_synchronize(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_marks_of_the_dead_are_found(void **state)
{
	struct proc *holder, *waiting;

	path = proc_path(PROC_SHM, "region");
	holder = proc_spawn("holder", holds_all_marks, NULL);
	proc_await(READY, 1);
	waiting = proc_spawn("wants", wants_a_mark, NULL);
	proc_await(READY, 3);
	proc_kill(holder);
	proc_post(GO);
	proc_assert_ok(waiting);
	proc_assert_ok(proc_spawn("later", thread_exits, NULL));
}

static void test_a_janitor_dies(void **state)
{
	static const char *const points[] = { "janitor.claimed", "sweep.repaired", "sweep.done" };

	if (!proc_has_faults())
		skip();
	path = proc_path(PROC_SHM, "region");
	for (unsigned i = 0; i < 3; i++) {
		struct proc *holder = proc_spawn("holder", holds_all_marks, NULL), *janitor;

		proc_await(READY, 2 * i + 1);
		janitor = proc_spawn("janitor", dies_as_janitor, (void *)(uintptr_t)points[i]);
		proc_await(READY, 2 * i + 2);
		proc_kill(holder);
		proc_post(GO);
		assert_int_equal(proc_wait(janitor), -SIGKILL);
		proc_assert_ok(proc_spawn("later", thread_exits, NULL));
	}
}

/* --- seats ---------------------------------------------------------------------------------------- */

static int sits(void *arg)
{
	struct comap *region = open_with(3, 8);

	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int finds_no_seat(void *arg)
{
	PROC_REQUIRE(comap_open(path, 0) == NULL);
	PROC_REQUIRE(comap_last_error()->code == EUSERS);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_SEATS);
	return 0;
}

static int looks(void *arg)
{
	struct comap *region = check_open(path, COMAP_GUEST);
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(region, &info)); /* a guest needs no seat */
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int finds_a_seat(void *arg)
{
	struct comap *region = open_with(3, 8);

	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(3000)));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_seats_run_out(void **state)
{
	struct proc *sitting[3];

	path = proc_path(PROC_SHM, "region");
	for (unsigned i = 0; i < 3; i++)
		sitting[i] = proc_spawn("sits", sits, NULL);
	proc_await(READY, 3);
	proc_assert_ok(proc_spawn("fourth", finds_no_seat, NULL));
	proc_assert_ok(proc_spawn("guest", looks, NULL));
	proc_stop(sitting[0]);
	proc_assert_ok(proc_spawn("fourth, one stopped", finds_no_seat, NULL));
	proc_continue(sitting[0]);
	proc_post(GO);
	for (unsigned i = 0; i < 3; i++)
		proc_assert_ok(sitting[i]);
	proc_assert_ok(proc_spawn("late", finds_a_seat, NULL));
}

/* All seats are dead ones, in their sections: the next to come sits down. */
static void test_seats_of_the_dead_are_found(void **state)
{
	struct proc *sitting[3];

	path = proc_path(PROC_SHM, "region");
	for (unsigned i = 0; i < 3; i++)
		sitting[i] = proc_spawn("sits", sits, NULL);
	proc_await(READY, 3);
	for (unsigned i = 0; i < 3; i++)
		proc_kill(sitting[i]);
	proc_assert_ok(proc_spawn("next", finds_a_seat, NULL));
}

static int sits_busily(void *arg)
{
	struct comap *region = open_with(3, 8);
	struct comap_value *value;
	char name[16];
	void *data;

	snprintf(name, sizeof name, "v%d", comap_seat_self(region));
	value = comap_value_open(region, name, NULL);
	PROC_REQUIRE(value);
	for (uint64_t i = 1; i < 20; i++)
		check_value_put(value, i);
	PROC_REQUIRE_OK(comap_value_reserve(value, 4096, &data)); /* holds a block, and retired ones */
	proc_post(READY);
	for (;;)
		pause();
	return 0;
}

/* The same, and the dead hold blocks that have to be given back before a seat is free. */
static void test_seats_of_the_dead_who_held_blocks(void **state)
{
	struct proc *sitting[3];

	path = proc_path(PROC_SHM, "region");
	for (unsigned i = 0; i < 3; i++) {
		sitting[i] = proc_spawn("sits", sits_busily, NULL);
		proc_await(READY, i + 1);
	}
	for (unsigned i = 0; i < 3; i++)
		proc_kill(sitting[i]);
	proc_assert_ok(proc_spawn("next", finds_a_seat, NULL));
}

/* --- opening twice, closing under readers ------------------------------------------------------------ */

static int opens_twice(void *arg)
{
	struct comap *one = open_with(4, 4), *two = open_with(4, 4), *other;
	const char *first = path;

	PROC_REQUIRE(one == two);
	PROC_REQUIRE(comap_seat_self(one) == 0);
	path = arg;
	other = open_with(4, 4);
	PROC_REQUIRE(other != one);
	path = first;
	PROC_REQUIRE_OK(comap_read_begin(other));
	PROC_REQUIRE_OK(comap_synchronize(one)); /* another region's section is none of its own */
	PROC_REQUIRE_OK(comap_read_end(other));
	PROC_REQUIRE_OK(comap_close(two));
	PROC_REQUIRE_OK(comap_read_begin(one)); /* still open */
	PROC_REQUIRE_OK(comap_read_end(one));
	PROC_REQUIRE_OK(comap_close(one));
	PROC_REQUIRE_OK(comap_close(other));
	one = open_with(4, 4); /* and again, from nothing */
	PROC_REQUIRE_OK(comap_read_begin(one));
	PROC_REQUIRE_OK(comap_read_end(one));
	PROC_REQUIRE_OK(comap_close(one));
	return 0;
}

static void test_one_process_opens_twice(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("opens", opens_twice,
	                          (void *)(uintptr_t)proc_path(PROC_DISK, "another")));
}

enum { OPENERS = 3, ROUNDS = 400 };
static struct comap_u32 stop_opening;

/* Opens by name, looks, closes, as fast as it can. */
static void *opens_and_looks(void *arg)
{
	uint64_t *looked = arg;

	/* relaxed: seen sooner or later */
	while (!comap_u32_load_relaxed(&stop_opening)) {
		struct comap *region = open_with(4, 8);
		struct comap_value *value = comap_value_open(region, "v", NULL);

		PROC_REQUIRE(value);
		COMAP_READ(region) {
			struct comap_view view = comap_value_view(value);

			PROC_REQUIRE(!view.data || blob_whole(view.data, view.size_bytes));
			++*looked;
		}
		comap_value_close(value);
		PROC_REQUIRE_OK(comap_close(region));
	}
	return NULL;
}

/* The main thread publishes and closes, again and again: now and then it is the last to close. */
static int closes_under_readers(void *arg)
{
	pthread_t threads[OPENERS];
	uint64_t looked[OPENERS] = { 0 };

	for (unsigned i = 0; i < OPENERS; i++)
		PROC_REQUIRE(pthread_create(&threads[i], NULL, opens_and_looks, &looked[i]) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct comap *region = open_with(4, 8);
		struct comap_value *value = comap_value_open(region, "v", NULL);

		PROC_REQUIRE(value);
		check_value_put(value, comap_value_version(value) + 1);
		comap_value_close(value);
		PROC_REQUIRE_OK(comap_close(region));
	}
	comap_u32_store_relaxed(&stop_opening, 1); /* relaxed: seen sooner or later */
	for (unsigned i = 0; i < OPENERS; i++) {
		pthread_join(threads[i], NULL);
		PROC_REQUIRE(looked[i] > 0);
	}
	return 0;
}

static int successor(void *arg)
{
	PROC_REQUIRE(check_survive(path) == ROUNDS);
	return 0;
}

static void test_threads_read_while_another_closes(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("closes", closes_under_readers, NULL));
	proc_assert_ok(proc_spawn("successor", successor, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_threads_exit_frees_its_mark),
		PROC_TEST(test_marks_run_out),
		PROC_TEST(test_marks_of_the_dead_are_found),
		PROC_TEST(test_a_janitor_dies),
		PROC_TEST(test_seats_run_out),
		PROC_TEST(test_seats_of_the_dead_are_found),
		PROC_TEST(test_seats_of_the_dead_who_held_blocks),
		PROC_TEST(test_one_process_opens_twice),
		PROC_TEST(test_threads_read_while_another_closes),
	};

	return cmocka_run_group_tests_name("threads, seats, marks, handles", tests, NULL, NULL);
}
