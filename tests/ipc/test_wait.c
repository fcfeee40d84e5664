/* SPDX-License-Identifier: MIT */
/* Sleeping and waking: flags, the lock between processes, objects and regions that are waited for. */
#include <comap.h>

#include "futex.h"
#include "mutex.h"
#include "proc.h"
#include "region.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THERE, GO };

/* --- flags --- */

/* A sleeper on its way to sleep, a wake, and then another sleeper's flag: the first must not be put to
 * sleep by it. (Model: wake.pml, two sleepers and a plain flag.) */
static void test_flag_of_a_later_sleeper_is_not_ours(void **state)
{
	struct comap_u32 flag = { 0 };
	uint32_t mine = comap__flag_set(&flag), other;
	uint64_t begun_ns;

	comap__flag_wake(&flag);
	other = comap__flag_set(&flag);
	assert_int_not_equal(mine, other);
	begun_ns = comap_now_ns();
	comap__flag_sleep(&flag, mine, comap_deadline_ms(900));
	assert_true(comap_now_ns() - begun_ns < 500000000u);
}

static void test_flag_costs_nothing_while_nobody_sleeps(void **state)
{
	struct comap_u32 flag = { 6 };

	comap__flag_wake(&flag);
	assert_int_equal(flag.v, 6);
	assert_int_equal(comap__flag_set(&flag), 7);
	comap__flag_wake(&flag);
	assert_int_equal(flag.v, 8);
}

struct sleeper {
	struct comap_u32 *flag;
	struct comap_u32 awake;
};

static void *sleep_on_flag(void *argument)
{
	struct sleeper *sleeper = argument;
	uint32_t seen = comap__flag_set(sleeper->flag);

	proc_post(THERE);
	comap__flag_sleep(sleeper->flag, seen, comap_deadline_ms(900));
	comap_u32_store_release(&sleeper->awake, 1); /* read after the join */
	return NULL;
}

static void test_flag_wakes_all_its_sleepers(void **state)
{
	struct comap_u32 flag = { 0 };
	struct sleeper sleepers[3];
	pthread_t threads[3];
	uint64_t begun_ns;

	for (int i = 0; i < 3; i++) {
		sleepers[i] = (struct sleeper){ .flag = &flag };
		assert_int_equal(pthread_create(&threads[i], NULL, sleep_on_flag, &sleepers[i]), 0);
	}
	proc_await(THERE, 3);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	begun_ns = comap_now_ns();
	comap__flag_wake(&flag);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(comap_now_ns() - begun_ns < 500000000u);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sleepers[i].awake.v, 1);
}

/* --- the lock between processes --- */

static struct comap *open_region(const char *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 16u << 20;
	region = comap_open_with(path, &options);
	if (!region)
		fail_msg("%s", comap_error_text());
	return region;
}

/* Takes the directory's lock, and stays or dies with it. */
static int hold_lock(void *path)
{
	struct comap *region = comap_open(path, 0);
	struct comap__row *row;

	PROC_REQUIRE(region != NULL);
	row = comap__thread_row(region);
	PROC_REQUIRE(row != NULL);
	PROC_REQUIRE(comap__mutex_lock(region, &region->control->directory_mutex, row->token,
	                               COMAP_FOREVER) == 0);
	proc_post(THERE);
	proc_await(GO, 1);
	comap__mutex_unlock(&region->control->directory_mutex, row->token);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_lock_of_a_living_owner_is_waited_for_and_named(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path);
	struct comap__row *row = comap__thread_row(region);
	struct proc *owner = proc_spawn("owner", hold_lock, (void *)(uintptr_t)path);
	struct comap_u64 *word = &region->control->directory_mutex;

	proc_await(THERE, 1);
	proc_stop(owner); /* never robbed, though it does not run */
	assert_int_equal(comap__mutex_trylock(region, word, row->token), -EBUSY);
	assert_int_equal(comap__mutex_lock(region, word, row->token, comap_deadline_ms(50)), -ETIMEDOUT);
	assert_int_equal(comap_last_error()->seat, 1);
	proc_continue(owner);
	proc_post(GO);
	assert_int_equal(comap__mutex_lock(region, word, row->token, comap_deadline_ms(5000)), 0);
	assert_int_equal(comap__mutex_lock(region, word, row->token, 0), -EDEADLK);
	comap__mutex_unlock(word, row->token);
	assert_int_equal(word->v, 0);
	proc_assert_ok(owner);
	assert_int_equal(comap_close(region), 0);
}

static void test_lock_of_a_dead_owner_is_taken_over(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap *region = open_region(path);
	struct comap__row *row = comap__thread_row(region);
	struct proc *owner = proc_spawn("owner", hold_lock, (void *)(uintptr_t)path);
	struct comap_u64 *word = &region->control->directory_mutex;

	proc_await(THERE, 1);
	proc_kill(owner);
	assert_int_equal(comap__mutex_lock(region, word, row->token, comap_deadline_ms(5000)), 1);
	comap__mutex_unlock(word, row->token);
	assert_int_equal(comap__mutex_lock(region, word, row->token, 0), 0);
	comap__mutex_unlock(word, row->token);
	assert_int_equal(comap_close(region), 0);
}

static void *lock_and_end(void *argument)
{
	struct comap *region = argument;
	struct comap__row *row = comap__thread_row(region);

	return (void *)(intptr_t)comap__mutex_lock(region, &region->control->directory_mutex, row->token,
	                                           COMAP_FOREVER);
}

/* A thread that ends holding a lock is found like a dead process. */
static void test_lock_of_an_ended_thread_is_taken_over(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"));
	struct comap__row *row = comap__thread_row(region);
	pthread_t thread;
	void *code;

	assert_int_equal(pthread_create(&thread, NULL, lock_and_end, region), 0);
	pthread_join(thread, &code);
	assert_ptr_equal(code, NULL);
	assert_int_equal(comap__mutex_lock(region, &region->control->directory_mutex, row->token,
	                                   comap_deadline_ms(5000)), 1);
	comap__mutex_unlock(&region->control->directory_mutex, row->token);
	assert_int_equal(comap_close(region), 0);
}

/* --- a thread that ends in the middle --- */

static void *reserve_and_end(void *value)
{
	void *data;

	return (void *)(intptr_t)comap_value_reserve(value, 1000, &data);
}

static void test_thread_that_ends_while_it_builds_leaves_nothing(void **state)
{
	struct comap *region = open_region(proc_path(PROC_SHM, "a"));
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct comap_check check;
	pthread_t thread;
	void *code;

	assert_int_equal(comap_value_put(value, "first", 6), 0);
	assert_int_equal(pthread_create(&thread, NULL, reserve_and_end, value), 0);
	pthread_join(thread, &code);
	assert_ptr_equal(code, NULL);
	assert_int_equal(comap_value_put(value, "second", 7), 0);
	assert_int_equal(comap_value_version(value), 2);
	if (comap_check(region, &check) != 0)
		fail_msg("%s", check.first_flaw);
	assert_int_equal(check.private_bytes, 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* --- names --- */

static void test_relative_name_is_of_the_folder_of_now(void **state)
{
	char before[512], after[512], folder[512];
	int code;

	assert_non_null(getcwd(folder, sizeof folder));
	assert_int_equal(comap_path("./a", before, sizeof before), 0);
	assert_int_equal(before[0], '/');
	assert_int_equal(chdir("/"), 0);
	code = comap_path("./a", after, sizeof after);
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(code, 0);
	assert_string_not_equal(before, after);
}

/* --- any start order --- */

static int wait_for_everything(void *path)
{
	struct comap *region = comap_open(path, COMAP_WAIT);
	struct comap_value *value;

	PROC_REQUIRE(region != NULL);
	proc_post(THERE);
	value = comap_value_open(region, "later", NULL);
	PROC_REQUIRE(value != NULL);
	PROC_REQUIRE_OK(comap_value_wait(value, 0, comap_deadline_ms(10000)));
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_consumer_may_start_first(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct proc *consumer = proc_spawn("consumer", wait_for_everything, (void *)(uintptr_t)path);
	struct comap_value *value;
	struct comap *region;

	assert_int_equal(proc_wait_ms(consumer, 50), PROC_TIMEOUT);
	region = open_region(path);
	proc_await(THERE, 1);
	assert_int_equal(proc_wait_ms(consumer, 50), PROC_TIMEOUT);
	value = comap_value_open(region, "later", NULL);
	assert_non_null(value);
	assert_int_equal(comap_value_put(value, "x", 1), 0);
	proc_assert_ok(consumer);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

static void *open_another(void *path)
{
	struct comap *region = comap_open(path, COMAP_CREATE);

	comap_close(region);
	proc_post(GO);
	return region;
}

/* A thread that waits for a region does not hold up the others' opens. */
static void test_waiting_open_holds_up_no_other(void **state)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	const char *other = proc_path(PROC_SHM, "b");
	pthread_t thread;

	options.flags = COMAP_WAIT;
	options.deadline_ns = comap_deadline_ms(300);
	assert_int_equal(pthread_create(&thread, NULL, open_another, (void *)(uintptr_t)other), 0);
	assert_null(comap_open_with(proc_path(PROC_SHM, "a"), &options));
	assert_int_equal(comap_last_error()->code, ETIMEDOUT);
	assert_int_equal(proc_point(GO), 1);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_flag_of_a_later_sleeper_is_not_ours),
		PROC_TEST(test_flag_costs_nothing_while_nobody_sleeps),
		PROC_TEST(test_flag_wakes_all_its_sleepers),
		PROC_TEST(test_lock_of_a_living_owner_is_waited_for_and_named),
		PROC_TEST(test_lock_of_a_dead_owner_is_taken_over),
		PROC_TEST(test_lock_of_an_ended_thread_is_taken_over),
		PROC_TEST(test_thread_that_ends_while_it_builds_leaves_nothing),
		PROC_TEST(test_relative_name_is_of_the_folder_of_now),
		PROC_TEST(test_consumer_may_start_first),
		PROC_TEST(test_waiting_open_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
