/* SPDX-License-Identifier: MIT */
/* fork in a process of several threads, and in the middle of things: what the child finds locked, what
 * it finds half-done, and whose that is. */
#include "forked.h"

#include "blob.h"
#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY };

/* Forks while it builds a version: the version stays the parent's, and the child is not stuck. */
static int parent_that_builds(void *arg)
{
	uint64_t blob[CHECK_VALUE_BYTES / 8] = { 0 };
	void *data;
	pid_t pid;

	attach_with_value();
	check_value_put(my.value, 1);
	PROC_REQUIRE_OK(comap_value_reserve(my.value, CHECK_VALUE_BYTES, &data));
	pid = fork();
	if (pid == 0) {
		alarm(20);
		PROC_REQUIRE_OK(comap_attach(my.region));
		PROC_REQUIRE(comap_value_publish(my.value) < 0); /* it has reserved nothing */
		PROC_REQUIRE(comap_value_abort(my.value) < 0);
		PROC_REQUIRE(comap_value_put(my.value, blob, sizeof blob) == -EBUSY);
		PROC_REQUIRE(check_value_number(my.region, my.value) == 1);
		leave();
		_exit(0);
	}
	wait_for_child(pid);
	blob_fill(data, CHECK_VALUE_BYTES, 2);
	PROC_REQUIRE_OK(comap_value_publish(my.value));
	leave();
	return 0;
}

static void *publishes_anothers(void *arg)
{
	PROC_REQUIRE(comap_thread_register(my.region) == 0);
	PROC_REQUIRE(comap_value_publish(my.value) == -EINVAL);
	PROC_REQUIRE(comap_value_abort(my.value) == -EINVAL);
	return NULL;
}

static int builds_beside_a_thread(void *arg)
{
	pthread_t thread;
	void *data;

	attach_with_value();
	PROC_REQUIRE(comap_value_publish(my.value) == -EINVAL);
	PROC_REQUIRE_OK(comap_value_reserve(my.value, CHECK_VALUE_BYTES, &data));
	PROC_REQUIRE(comap_value_reserve(my.value, CHECK_VALUE_BYTES, &data) == -EDEADLK);
	PROC_REQUIRE(pthread_create(&thread, NULL, publishes_anothers, NULL) == 0);
	pthread_join(thread, NULL);
	blob_fill(data, CHECK_VALUE_BYTES, 1);
	PROC_REQUIRE_OK(comap_value_publish(my.value));
	PROC_REQUIRE(comap_value_publish(my.value) == -EINVAL);
	leave();
	return 0;
}

static void test_a_thread_publishes_no_others_version(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("builds", builds_beside_a_thread, NULL));
	require_survivor(1);
}

static void test_fork_while_building(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("builds", parent_that_builds, NULL));
	require_survivor(2);
}

static struct comap_u32 stop_threads;

static void *reads_once(void *arg)
{
	COMAP_READ(my.region) {
		(void)comap_value_view(my.value);
	}
	return NULL;
}

/* Threads come and go all the time: the process's own locks are taken and given back. */
static void *makes_threads(void *arg)
{
	pthread_t thread;

	while (!comap_u32_load_relaxed(&stop_threads)) /* relaxed: seen sooner or later */
		if (pthread_create(&thread, NULL, reads_once, NULL) == 0)
			pthread_join(thread, NULL);
	return NULL;
}

static void attached_grandchild(void)
{
	alarm(20); /* a lock that the fork found taken stays taken */
	PROC_REQUIRE_OK(comap_attach(my.region));
	(void)check_value_number(my.region, my.value);
	leave();
	_exit(0);
}

static int forks_among_threads(void *arg)
{
	pthread_t threads[2];

	attach_with_value();
	check_value_put(my.value, 1);
	for (unsigned i = 0; i < 2; i++)
		PROC_REQUIRE(pthread_create(&threads[i], NULL, makes_threads, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0)
			attached_grandchild();
		wait_for_child(pid);
	}
	comap_u32_store_relaxed(&stop_threads, 1); /* relaxed: as above */
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	leave();
	return 0;
}

static void test_fork_among_threads(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("forks", forks_among_threads, NULL));
	require_survivor(1);
}

#ifdef COMAP_FAULTS
/* Inside the end of a thread, which holds the lock over the process's threads: dawdles while the other
 * thread forks. */
static void dawdle(const char *name)
{
	if (strcmp(name, "reclaim.freed") != 0)
		return;
	comap__fault_hook = NULL;
	proc_post(READY);
	usleep(300000);
}

static void *retires_and_ends(void *arg)
{
	for (uint64_t number = 2; number <= 6; number++)
		check_value_put(my.value, number);
	PROC_REQUIRE_OK(comap_synchronize(my.region));
	comap__fault_hook = dawdle;
	return NULL;
}

static int forks_in_the_middle(void *arg)
{
	pthread_t thread;
	pid_t pid;

	attach_with_value();
	check_value_put(my.value, 1);
	PROC_REQUIRE(pthread_create(&thread, NULL, retires_and_ends, NULL) == 0);
	proc_await(READY, 1);
	pid = fork();
	if (pid == 0)
		attached_grandchild();
	wait_for_child(pid);
	pthread_join(thread, NULL);
	leave();
	return 0;
}
#endif

static void test_fork_in_the_middle_of_a_threads_end(void **state)
{
#ifdef COMAP_FAULTS
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("forks", forks_in_the_middle, NULL));
	require_survivor(6);
#else
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_thread_publishes_no_others_version),
		PROC_TEST(test_fork_while_building),
		PROC_TEST(test_fork_among_threads),
		PROC_TEST(test_fork_in_the_middle_of_a_threads_end),
	};

	return cmocka_run_group_tests_name("fork among threads", tests, NULL, NULL);
}
