/* SPDX-License-Identifier: MIT */
/* The process kit tests itself: verdicts arrive, deaths are told apart, leaks are found. */
#include "proc.h"

#include "fault.h"
#include "traces.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READY, GO, DONE };

static int role_exit(void *code)
{
	return *(int *)code;
}

static void test_exit_code(void **state)
{
	int code = 7;
	struct proc *p = proc_spawn("exit", role_exit, &code);

	assert_int_equal(proc_wait(p), 7);
	assert_int_equal(proc_wait(p), 7); /* said again, not waited for again */
}

static int role_fails(void *arg)
{
	PROC_REQUIRE(1 + 1 == 3);
	return 0;
}

static void test_verdict(void **state)
{
	struct proc *p = proc_spawn("fails", role_fails, NULL);

	assert_int_equal(proc_wait(p), PROC_FAILED);
	assert_non_null(strstr(proc_verdict(p), "1 + 1 == 3"));
}

static int role_waits(void *arg)
{
	proc_post(READY);
	proc_await(GO, 1);
	comap_u64_store_relaxed(proc_counter(0), 42); /* relaxed: the exit is waited for */
	return 0;
}

static void test_points(void **state)
{
	struct proc *p = proc_spawn("waits", role_waits, NULL);

	proc_await(READY, 1);
	assert_int_equal(proc_wait_ms(p, 20), PROC_TIMEOUT);
	proc_post(GO);
	proc_assert_ok(p);
	assert_int_equal(comap_u64_load_relaxed(proc_counter(0)), 42); /* relaxed: as above */
}

static void test_kill_and_stop(void **state)
{
	struct proc *p = proc_spawn("waits", role_waits, NULL);

	proc_await(READY, 1);
	proc_stop(p);
	proc_post(GO);
	assert_int_equal(proc_wait_ms(p, 30), PROC_TIMEOUT); /* stopped: does not see it */
	proc_continue(p);
	proc_assert_ok(p);
	p = proc_spawn("killed", role_waits, NULL);
	proc_await(READY, 2);
	proc_signal(p, SIGKILL);
	(void)proc_wait(p);
	assert_true(p->result == -SIGKILL || p->result == 0); /* GO was posted: either may win */
}

static int role_faults(void *arg)
{
	proc_fault(PROC_FAULT_KILL, "kit.b", 2);
	COMAP_FAULT("kit.b");
	proc_post(READY);
	COMAP_FAULT("kit.a");
	COMAP_FAULT("kit.b");
	proc_post(DONE);
	return 0;
}

static int role_collects(void *arg)
{
	proc_fault(PROC_FAULT_COLLECT, NULL, 0);
	COMAP_FAULT("kit.b");
	COMAP_FAULT("kit.a");
	COMAP_FAULT("kit.b");
	return 0;
}

static void test_fault_points(void **state)
{
	if (!proc_has_faults())
		skip();
	assert_int_equal(proc_wait(proc_spawn("faults", role_faults, NULL)), -SIGKILL);
	assert_int_equal(proc_point(READY), 1);
	assert_int_equal(proc_point(DONE), 0);
	proc_assert_ok(proc_spawn("collects", role_collects, NULL));
	assert_string_equal(proc_fault_name(0), "kit.b");
	assert_string_equal(proc_fault_name(1), "kit.a");
	assert_null(proc_fault_name(2));
}

/* The kit must see what is left; each of these is cleaned up again before the real teardown. */
static void test_leaks_are_found(void **state)
{
	const char *asked = proc_path(PROC_SHM, "asked");
	char stray[512];
	int fd;

	fd = open(asked, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	snprintf(stray, sizeof stray, "%s/stray", proc_folder(PROC_SHM));
	close(open(stray, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	print_message("two things are left behind on purpose:\n");
	assert_int_equal(traces_end(), 2); /* the descriptor and the stray file */
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_exit_code),
		PROC_TEST(test_verdict),
		PROC_TEST(test_points),
		PROC_TEST(test_kill_and_stop),
		PROC_TEST(test_fault_points),
		PROC_TEST(test_leaks_are_found),
	};

	return cmocka_run_group_tests_name("proc kit", tests, NULL, NULL);
}
