/* SPDX-License-Identifier: MIT */
/* The living are not taken for dead, however odd /proc looks; and those who leave last leave a region
 * in order, though others died in it. */
#include "check.h"

#include <comap/seat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum { READY, GO };

static const char *path;

/* A look at seat 0 from here, and a grace period that its section has to hold up. */
static void require_alive_and_reading(void)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_seat seat;

	PROC_REQUIRE_OK(comap_seat_at(region, 0, &seat));
	PROC_REQUIRE(seat.life == COMAP_LIFE_ALIVE);
	PROC_REQUIRE(comap_synchronize_until(region, comap_deadline_ms(100)) == -ETIMEDOUT);
	PROC_REQUIRE(comap_last_error()->seat == 0);
	PROC_REQUIRE_OK(comap_close(region));
}

static int observer(void *arg)
{
	require_alive_and_reading();
	return 0;
}

/* --- a process whose first thread has ended ----------------------------------------------------- */

static void *stays(void *arg)
{
	struct comap *region = arg;
	char state[256] = "";
	int fd;

	/* Until /proc shows the process as a zombie, which it is not. */
	for (int i = 0; i < 2000 && !strstr(state, ") Z "); i++) {
		usleep(1000);
		fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		PROC_REQUIRE(fd >= 0 && read(fd, state, sizeof state - 1) > 0);
		close(fd);
	}
	PROC_REQUIRE(strstr(state, ") Z "));
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	_exit(0);
}

static int first_thread_ends(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	pthread_t thread;

	PROC_REQUIRE(pthread_create(&thread, NULL, stays, region) == 0);
	pthread_exit(NULL);
}

static void test_a_process_without_its_first_thread_is_alive(void **state)
{
	struct proc *proc;

	path = proc_path(PROC_SHM, "region");
	proc = proc_spawn("first thread ends", first_thread_ends, NULL);
	proc_await(READY, 1);
	proc_assert_ok(proc_spawn("observer", observer, NULL));
	proc_post(GO);
	assert_int_equal(proc_wait(proc), 0);
}

/* --- time namespaces ------------------------------------------------------------------------------ */

static int reader(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);

	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static bool enter_other_time(void)
{
	static const char offsets[] = "monotonic 86400 0\nboottime 86400 0\n";
	int fd;
	bool done;

	if (unshare(CLONE_NEWTIME) != 0)
		return false;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, offsets, sizeof offsets - 1) == (ssize_t)(sizeof offsets - 1);
	close(fd);
	return done;
}

/* The same PIDs, but another time since boot: start times differ though nobody was replaced. */
static int observer_of_another_time(void *arg)
{
	int status;
	pid_t pid;

	if (!enter_other_time())
		return 77;
	pid = fork(); /* the child is in it */
	if (pid == 0) {
		require_alive_and_reading();
		_exit(0);
	}
	PROC_REQUIRE(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void test_start_times_differ_between_time_namespaces(void **state)
{
	struct proc *proc, *other;
	int result;

	path = proc_path(PROC_SHM, "region");
	proc = proc_spawn("reader", reader, NULL);
	proc_await(READY, 1);
	other = proc_spawn("observer", observer_of_another_time, NULL);
	result = proc_wait(other);
	proc_post(GO);
	proc_assert_ok(proc);
	if (result == 77)
		skip();
	proc_assert_ok(other);
}

/* --- a taker that comes late ---------------------------------------------------------------------- */

static int passes(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);

	PROC_REQUIRE_OK(comap_attach(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int comes_late(void *arg)
{
	proc_fault(PROC_FAULT_STOP, "attach.chosen", 1);
	return passes(NULL);
}

/* It has chosen a seat that was free; until it goes on, two others have had that seat, and the second has it
 * still. It must leave nothing of itself there: after its end, the one who sits there would be gone, too. */
static void test_who_comes_late_for_a_seat_leaves_no_word_there(void **state)
{
	struct proc *late, *sitting;

	if (!proc_has_faults())
		skip();
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("makes", passes, NULL));
	late = proc_spawn("comes late", comes_late, NULL);
	assert_int_equal(proc_wait_stopped(late), 0);
	proc_assert_ok(proc_spawn("passes", passes, NULL));
	sitting = proc_spawn("sits", reader, NULL);
	proc_await(READY, 1);
	proc_signal(late, SIGCONT);
	proc_assert_ok(late);
	proc_assert_ok(proc_spawn("observer", observer, NULL));
	proc_post(GO);
	proc_assert_ok(sitting);
}

/* --- the last one out ----------------------------------------------------------------------------- */

static int dies_attached(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	proc_post(READY);
	raise(SIGKILL);
	return 0;
}

static int comes_and_leaves(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);

	proc_post(GO);
	proc_await(READY, 1);
	usleep(50000);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int finds_it_clean(void *arg)
{
	struct comap *region = check_open(path, COMAP_GUEST);
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(region, &info));
	PROC_REQUIRE(info.attached == 0);
	PROC_REQUIRE(info.clean);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Who leaves last puts the affairs of the dead in order first. */
static void test_the_last_to_leave_marks_the_region_clean(void **state)
{
	struct proc *survivor, *dying;

	path = proc_path(PROC_SHM, "region");
	survivor = proc_spawn("survivor", comes_and_leaves, NULL);
	proc_await(GO, 1);
	dying = proc_spawn("dies", dies_attached, NULL);
	assert_int_equal(proc_wait(dying), -SIGKILL);
	proc_assert_ok(survivor);
	proc_assert_ok(proc_spawn("looks", finds_it_clean, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_process_without_its_first_thread_is_alive),
		PROC_TEST(test_start_times_differ_between_time_namespaces),
		PROC_TEST(test_who_comes_late_for_a_seat_leaves_no_word_there),
		PROC_TEST(test_the_last_to_leave_marks_the_region_clean),
	};

	return cmocka_run_group_tests_name("the living", tests, NULL, NULL);
}
