/* SPDX-License-Identifier: MIT */
/* Order between processes: sections, grace periods, parking, the pin budget, liburcu hosts.
 *
 * What is tried: the contract of rcu.h, line by line, between a test process and readers that hold
 * sections, park them, are stopped, die, or read under liburcu. */
#include <comap.h>

#include "layout.h"
#include "proc.h"
#include "region.h"
#include "seat.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <urcu-bp.h>
#include <urcu/flavor.h>

enum { INSIDE, GO, DONE };

static struct comap *open_region(const char *path, struct comap_options options)
{
	struct comap *region;

	options.flags |= COMAP_CREATE;
	region = comap_open_with(path, &options);
	if (!region)
		fail_msg("%s", comap_error_text());
	return region;
}

static struct comap_options defaults(void)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.heap_max_bytes = 64u << 20;
	return options;
}

/* --- roles --- */

static int hold_section(void *path)
{
	struct comap *region = comap_open(path, 0);

	PROC_REQUIRE(region != NULL);
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(INSIDE);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	proc_post(DONE);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Returns 0 where the section could be resumed, 3 where a writer had ended it. */
static int hold_parked(void *path)
{
	struct comap *region = comap_open(path, 0);
	int code;

	PROC_REQUIRE(region != NULL);
	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE_OK(comap_read_park(region));
	proc_post(INSIDE);
	proc_await(GO, 1);
	code = comap_read_resume(region);
	PROC_REQUIRE(code == 0 || code == -ESTALE);
	if (code == 0)
		PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_close(region));
	return code == 0 ? 0 : 3;
}

static int hold_host_section(void *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_value *value;
	struct comap_view view;
	struct comap *region;

	options.host_flavor = &urcu_bp_flavor;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region != NULL);
	value = comap_value_open(region, "x", NULL);
	PROC_REQUIRE(value != NULL);
	urcu_bp_read_lock();
	view = comap_value_view(value);
	PROC_REQUIRE(view.data != NULL && view.version == 1);
	proc_post(INSIDE);
	proc_await(GO, 1);
	PROC_REQUIRE(memcmp(view.data, "first", 5) == 0);
	urcu_bp_read_unlock();
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* --- sections --- */

static void test_section_refuses_what_would_deadlock(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"), defaults());

	assert_int_equal(comap_read_begin(NULL), -EINVAL);
	assert_int_equal(comap_read_end(region), -EINVAL);
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_synchronize(region), -EDEADLK);
	assert_int_equal(comap_close(region), -EDEADLK);
	assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_synchronize(region), 0);
	assert_int_equal(comap_close(region), 0);
}

static void test_section_nests_to_its_limit(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"), defaults());

	for (int i = 0; i < 1023; i++)
		assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_read_begin(region), -EOVERFLOW);
	for (int i = 0; i < 1023; i++)
		assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_read_end(region), -EINVAL);
	assert_int_equal(comap_synchronize(region), 0);
	assert_int_equal(comap_close(region), 0);
}

static void test_block_is_left_by_any_way(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"), defaults());
	int entered = 0;

	COMAP_READ(region) {
		entered++;
		break;
	}
	for (int i = 0; i < 2; i++) {
		COMAP_READ(region) {
			entered++;
			continue;
		}
	}
	assert_int_equal(entered, 3);
	assert_int_equal(comap_read_end(region), -EINVAL);
	assert_int_equal(comap_close(region), 0);
}

/* --- grace periods --- */

static void test_grace_period_waits_for_a_section_and_names_it(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct proc *reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	uint64_t ticket;

	proc_await(INSIDE, 1);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(50)), -ETIMEDOUT);
	assert_int_equal(comap_last_error()->seat, 1);
	assert_non_null(strstr(comap_error_text(), "seat 1"));
	ticket = comap_synchronize_start(region);
	assert_true(ticket > 0);
	assert_int_equal(comap_synchronize_poll(region, ticket), 0);
	assert_int_equal(comap_synchronize_poll(region, ticket + 1000), -EINVAL);
	proc_post(GO);
	proc_await(DONE, 1);
	assert_int_equal(comap_synchronize_poll(region, ticket), 1);
	proc_assert_ok(reader);
	assert_int_equal(comap_close(region), 0);
}

static void test_dead_reader_holds_nobody_for_50_ms(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct proc *reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	uint64_t begun_ns;

	proc_await(INSIDE, 1);
	begun_ns = comap_now_ns();
	proc_kill(reader);
	assert_int_equal(comap_synchronize(region), 0);
	/* The bound is 50 ms on an idle machine; a busy one is allowed a little more. */
	assert_true(comap_now_ns() - begun_ns < 50000000u * (proc_limit_ms / 30000));
	assert_int_equal(comap_close(region), 0);
}

static void test_fenced_region_needs_no_membarrier(void **state)
{
	struct comap_options options = defaults();
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region;
	struct proc *reader;

	options.flags = COMAP_FENCED;
	region = open_region(path, options);
	reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(20)), -ETIMEDOUT);
	proc_post(GO);
	proc_assert_ok(reader);
	assert_int_equal(comap_synchronize(region), 0);
	assert_int_equal(comap_close(region), 0);
}

static void test_epochs_end_with_an_error(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"), defaults());

	comap_u64_store_relaxed(&region->control->epoch, (1ull << 52) - 6); /* relaxed: nobody else */
	for (int i = 0; i < 3; i++)
		assert_int_equal(comap_synchronize(region), 0);
	assert_int_equal(comap_synchronize(region), -ERANGE);
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_close(region), 0);
}

/* --- parking --- */

static void test_parked_section_goes_on_when_nobody_needs_memory(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct proc *reader = proc_spawn("reader", hold_parked, (void *)(uintptr_t)path);

	proc_await(INSIDE, 1);
	proc_post(GO);
	assert_int_equal(proc_wait(reader), 0);
	assert_int_equal(comap_close(region), 0);
}

static void test_parked_section_is_ended_by_a_writer(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct proc *reader = proc_spawn("reader", hold_parked, (void *)(uintptr_t)path);

	proc_await(INSIDE, 1);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(1000)), 0);
	proc_post(GO);
	assert_int_equal(proc_wait(reader), 3);
	assert_int_equal(comap_close(region), 0);
}

/* A section that is begun anew at the epoch of a parked one before is not the parked one. */
static void test_section_after_a_parked_one_holds(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"), defaults());
	uint64_t ticket;

	assert_int_equal(comap_read_park(region), -EINVAL);
	assert_int_equal(comap_read_resume(region), -EINVAL);
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_read_park(region), 0);
	assert_int_equal(comap_read_park(region), -EINVAL);
	assert_int_equal(comap_read_begin(region), -EINVAL); /* a writer may be using what it would see */
	assert_int_equal(comap_read_end(region), 0);
	ticket = comap_synchronize_start(region);
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_synchronize_poll(region, ticket), 1);
	assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_close(region), 0);
}

/* --- the pin budget --- */

static int publish(struct comap_value *value, size_t size_bytes)
{
	void *data;
	int code = comap_value_reserve(value, size_bytes, &data);

	if (code)
		return code;
	memset(data, 7, size_bytes);
	return comap_value_publish(value);
}

static void test_budget_fails_the_writer_and_names_the_seat(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap_options options = defaults();
	struct comap_value *value;
	struct comap *region;
	struct proc *reader;
	struct comap_info info;
	int code = 0, published = 0;

	options.pin_budget_bytes = 1u << 20;
	region = open_region(path, options);
	value = comap_value_open(region, "x", NULL);
	reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	while (code == 0 && published < 1000) {
		code = publish(value, 60000);
		published += code == 0;
	}
	assert_int_equal(code, -EBUSY);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_PINNED);
	assert_int_equal(comap_last_error()->seat, 1);
	assert_in_range(published, 10, 40);
	assert_int_equal(comap_value_version(value), (uint64_t)published);
	assert_int_equal(comap_info(region, &info), 0);
	assert_in_range(info.retired_bytes, 1, (1u << 20) + 2 * 65536);
	proc_post(GO);
	proc_assert_ok(reader);
	assert_int_equal(publish(value, 60000), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* So it is where the thread records' rings are full before the budget is. */
static void test_full_rings_name_the_seat(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap_options options = defaults();
	struct comap_value *value;
	struct comap *region;
	struct proc *reader;
	int code = 0;

	options.thread_count = 5;
	region = open_region(path, options);
	value = comap_value_open(region, "x", NULL);
	reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	for (unsigned i = 0; i < 5 * COMAP_RING_ENTRIES && code == 0; i++)
		code = publish(value, 100);
	assert_int_equal(code, -EBUSY);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_PINNED);
	assert_int_equal(comap_last_error()->seat, 1);
	proc_post(GO);
	proc_assert_ok(reader);
	assert_int_equal(publish(value, 100), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* A reader that stays does not stop a publisher after a ring's worth of versions. */
static void test_full_ring_spills(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct proc *reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	struct comap_check check;

	proc_await(INSIDE, 1);
	for (unsigned i = 0; i < 4 * COMAP_RING_ENTRIES; i++)
		assert_int_equal(publish(value, 100), 0);
	assert_int_equal(comap_check(region, &check), 0);
	assert_true(check.retired_bytes > 3 * COMAP_RING_ENTRIES * 128);
	proc_post(GO);
	proc_assert_ok(reader);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* --- liburcu hosts --- */

static void test_host_section_protects_region_memory(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct proc *reader;

	assert_int_equal(comap_value_put(value, "first", 6), 0);
	reader = proc_spawn("host", hold_host_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	for (int i = 0; i < 600; i++)
		assert_int_equal(comap_value_put(value, "later", 6), 0);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(50)), -ETIMEDOUT);
	assert_int_equal(comap_last_error()->seat, 1);
	proc_post(GO);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(5000)), 0);
	proc_assert_ok(reader);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

static void test_idle_host_holds_nobody(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap_options options = defaults();
	struct comap *region;

	options.host_flavor = &urcu_bp_flavor;
	region = open_region(path, options);
	for (int i = 0; i < 20; i++)
		assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(2000)), 0);
	urcu_bp_read_lock();
	assert_int_equal(comap_synchronize(region), -EDEADLK);
	urcu_bp_read_unlock();
	assert_int_equal(comap_close(region), 0);
}

static void test_dead_host_holds_nobody(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct proc *reader;

	assert_int_equal(comap_value_put(value, "first", 6), 0);
	reader = proc_spawn("host", hold_host_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	proc_kill(reader);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(2000)), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

static void test_stopped_host_is_named(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct proc *reader;

	assert_int_equal(comap_value_put(value, "first", 6), 0);
	reader = proc_spawn("host", hold_host_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	proc_stop(reader);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(50)), -ETIMEDOUT);
	assert_int_equal(comap_last_error()->seat, 1);
	proc_continue(reader);
	proc_post(GO);
	proc_assert_ok(reader);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(5000)), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* The child of a host has no helper; it attaches anew, and gets one. */
static int fork_as_host(void *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;
	int status;
	pid_t child;

	options.host_flavor = &urcu_bp_flavor;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region != NULL);
	child = fork();
	if (child == 0) {
		if (comap_synchronize(region) != -ECHILD || comap_attach(region) != 0)
			_exit(1);
		for (int i = 0; i < 5; i++)
			if (comap_synchronize_until(region, comap_deadline_ms(5000)) != 0)
				_exit(2);
		_exit(comap_close(region) == 0 ? 0 : 3);
	}
	PROC_REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(5000)));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_host_forks(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());

	proc_assert_ok(proc_spawn("host", fork_as_host, (void *)(uintptr_t)path));
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(5000)), 0);
	assert_int_equal(comap_close(region), 0);
}

/* --- the budget's other policy --- */

static int let_go_later(void *path)
{
	struct comap *region = comap_open(path, 0);

	PROC_REQUIRE(region != NULL);
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(INSIDE);
	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_budget_may_wait_for_the_reader(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap_options options = defaults();
	struct comap_value *value;
	struct comap *region;
	struct proc *reader;

	options.pin_budget_bytes = 1u << 20;
	options.pin_policy = COMAP_PIN_WAIT;
	region = open_region(path, options);
	value = comap_value_open(region, "x", NULL);
	reader = proc_spawn("reader", let_go_later, (void *)(uintptr_t)path);
	proc_await(INSIDE, 1);
	for (int i = 0; i < 60; i++)
		assert_int_equal(publish(value, 60000), 0);
	proc_assert_ok(reader);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* --- death by event --- */

static void test_death_wakes_who_waits_for_it(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path, defaults());
	struct proc *reader = proc_spawn("reader", hold_section, (void *)(uintptr_t)path);
	struct comap_seat seat;

	proc_await(INSIDE, 1);
	assert_int_equal(comap_seat_at(region, 1, &seat), 0);
	assert_int_equal(seat.life, COMAP_LIFE_ALIVE);
	assert_int_equal(seat.reading_count, 1);
	assert_int_equal(comap_seat_wait(region, 1, seat.generation, comap_deadline_ms(30)), -ETIMEDOUT);
	assert_int_equal(comap_seat_wait(region, 0, 0, COMAP_FOREVER), -EDEADLK);
	proc_kill(reader);
	assert_int_equal(comap_seat_wait(region, 1, seat.generation, COMAP_FOREVER), 0);
	assert_int_equal(comap_seat_wait(region, 1, seat.generation, comap_deadline_ms(1000)), 0);
	assert_int_equal(comap_seat_at(region, 1, &seat), 0);
	assert_int_equal(seat.life, COMAP_LIFE_DEAD);
	assert_int_equal(comap_close(region), 0);
}

static int wait_for_seat_1(void *generation)
{
	struct comap *region = comap_open(proc_path(PROC_SHM, "region"), 0);

	PROC_REQUIRE(region != NULL);
	proc_post(INSIDE);
	PROC_REQUIRE_OK(comap_seat_wait(region, 1, *(uint64_t *)generation, COMAP_FOREVER));
	proc_post(DONE);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* The waiter does not run in the moment in which the seat is free: the next holder is not the one
 * that it waits for. */
static void test_seat_that_is_taken_again_was_left(void **state)
{
	const char *path = proc_path(PROC_SHM, "region");
	struct comap *region = open_region(path, defaults());
	struct proc *first = proc_spawn("first", hold_section, (void *)(uintptr_t)path), *waiter, *next;
	struct comap_seat seat;
	uint64_t generation;

	proc_await(INSIDE, 1);
	assert_int_equal(comap_seat_at(region, 1, &seat), 0);
	generation = seat.generation;
	waiter = proc_spawn("waiter", wait_for_seat_1, &generation);
	proc_await(INSIDE, 2);
	assert_int_equal(proc_wait_ms(waiter, 50), PROC_TIMEOUT); /* it sleeps in the kernel by now */
	proc_stop(waiter);
	proc_kill(first);
	assert_int_equal(comap__seats_reap(region), 1);
	next = proc_spawn("next", hold_section, (void *)(uintptr_t)path);
	proc_await(INSIDE, 3);
	assert_int_equal(comap_seat_at(region, 1, &seat), 0);
	assert_int_equal(seat.life, COMAP_LIFE_ALIVE);
	assert_true(seat.generation > generation);
	proc_continue(waiter);
	assert_true(proc_await_ms(DONE, 1, 3000));
	proc_post(GO);
	proc_assert_ok(waiter);
	proc_assert_ok(next);
	assert_int_equal(comap_close(region), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_section_refuses_what_would_deadlock),
		PROC_TEST(test_section_nests_to_its_limit),
		PROC_TEST(test_block_is_left_by_any_way),
		PROC_TEST(test_grace_period_waits_for_a_section_and_names_it),
		PROC_TEST(test_dead_reader_holds_nobody_for_50_ms),
		PROC_TEST(test_fenced_region_needs_no_membarrier),
		PROC_TEST(test_epochs_end_with_an_error),
		PROC_TEST(test_parked_section_goes_on_when_nobody_needs_memory),
		PROC_TEST(test_parked_section_is_ended_by_a_writer),
		PROC_TEST(test_section_after_a_parked_one_holds),
		PROC_TEST(test_budget_fails_the_writer_and_names_the_seat),
		PROC_TEST(test_full_rings_name_the_seat),
		PROC_TEST(test_full_ring_spills),
		PROC_TEST(test_seat_that_is_taken_again_was_left),
		PROC_TEST(test_host_section_protects_region_memory),
		PROC_TEST(test_idle_host_holds_nobody),
		PROC_TEST(test_dead_host_holds_nobody),
		PROC_TEST(test_stopped_host_is_named),
		PROC_TEST(test_host_forks),
		PROC_TEST(test_budget_may_wait_for_the_reader),
		PROC_TEST(test_death_wakes_who_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
