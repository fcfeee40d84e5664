/* SPDX-License-Identifier: MIT */
/* Containers and sandboxes: PID namespaces, bind mounts, no membarrier(), file systems that are full. */
#include "check.h"

#include <comap/seat.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY, GO, DONE };

static const char *path;

static int successor(void *arg)
{
	PROC_REQUIRE(check_survive(path) == *(uint64_t *)arg);
	return 0;
}

static void require_survivor(uint64_t found)
{
	proc_assert_ok(proc_spawn("successor", successor, &found));
}

static bool can_unshare(int flags)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(unshare(flags) == 0 ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A mount namespace of its own, from which nothing gets out. */
static void own_mounts(void)
{
	PROC_REQUIRE(proc_own_mounts());
}

/* --- two containers, both of them PID 1 --------------------------------------------------------- */

struct container {
	void (*inside)(void);
	unsigned number;
};

/* The inside's PID as the test sees it stands in counter `number`. */
static int container(void *arg)
{
	struct container *c = arg;
	int status;
	pid_t pid;

	PROC_REQUIRE(unshare(CLONE_NEWPID) == 0);
	own_mounts();
	pid = fork();
	if (pid == 0) {
		PROC_REQUIRE(getpid() == 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		PROC_REQUIRE(mount("proc", "/proc", "proc", 0, NULL) == 0);
		c->inside();
		_exit(0);
	}
	PROC_REQUIRE(pid > 0);
	comap_u64_store_release(proc_counter(c->number), (uint64_t)pid);
	PROC_REQUIRE(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? 50 : 51;
	return WEXITSTATUS(status);
}

static void publishes_and_reads(void)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
}

static void waits_for_the_other(void)
{
	struct comap *region = check_open(path, 0);
	struct comap_seat seat;

	PROC_REQUIRE_OK(comap_seat_at(region, 0, &seat));
	PROC_REQUIRE(seat.pid == 1 && !seat.same_namespace && seat.life == COMAP_LIFE_ALIVE);
	PROC_REQUIRE(comap_synchronize_until(region, comap_deadline_ms(100)) == -ETIMEDOUT);
	PROC_REQUIRE(comap_last_error()->seat == 0);
	proc_post(DONE);
	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(10000)));
	PROC_REQUIRE_OK(comap_close(region));
}

static void test_two_containers_that_are_both_pid_1(void **state)
{
	struct container one = { publishes_and_reads, 0 }, two = { waits_for_the_other, 1 };
	struct proc *first, *second;

	if (!can_unshare(CLONE_NEWPID | CLONE_NEWNS) || !proc_can_own_mounts())
		skip();
	path = proc_path(PROC_SHM, "region");
	first = proc_spawn("container 1", container, &one);
	proc_await(READY, 1);
	second = proc_spawn("container 2", container, &two);
	proc_await(DONE, 1); /* alive, in a section: it was waited for, though "PID 1" asked */
	assert_int_equal(kill((pid_t)comap_u64_load_acquire(proc_counter(0)), SIGKILL), 0);
	assert_int_equal(proc_wait(first), 50);
	proc_assert_ok(second); /* dead: it is not */
	require_survivor(1);
}

/* --- one file, two paths -------------------------------------------------------------------------- */

static int bind_mount(void *arg)
{
	char elsewhere[512], *slash;
	struct comap *one, *two;

	own_mounts();
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", proc_folder(PROC_DISK));
	PROC_REQUIRE(mkdir(elsewhere, 0700) == 0);
	PROC_REQUIRE(mount(proc_folder(PROC_SHM), elsewhere, NULL, MS_BIND, NULL) == 0);
	slash = elsewhere + strlen(elsewhere);
	snprintf(slash, sizeof elsewhere - strlen(elsewhere), "/region");
	one = check_open(path, COMAP_CREATE);
	two = check_open(elsewhere, COMAP_CREATE);
	/* Known by its path, it is opened twice and has two seats; they see each other. */
	PROC_REQUIRE(comap_seat_self(one) == 0 && comap_seat_self(two) == 1);
	PROC_REQUIRE_OK(comap_read_begin(two));
	PROC_REQUIRE(comap_synchronize_until(one, comap_deadline_ms(50)) == -ETIMEDOUT);
	PROC_REQUIRE(comap_last_error()->seat == 1);
	PROC_REQUIRE_OK(comap_read_end(two));
	PROC_REQUIRE_OK(comap_synchronize(one));
	PROC_REQUIRE_OK(comap_close(two));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_close(one));
	*slash = 0;
	PROC_REQUIRE(umount(elsewhere) == 0 && rmdir(elsewhere) == 0);
	return 0;
}

static int sits_beside(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE(comap_seat_self(region) == 1); /* the other path's process is seen */
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_bind_mount(void **state)
{
	struct proc *mounting;

	if (!proc_can_own_mounts())
		skip();
	path = proc_path(PROC_SHM, "region");
	(void)proc_folder(PROC_DISK); /* before the fork: the teardown is to know it */
	mounting = proc_spawn("mounts", bind_mount, NULL);
	if (!proc_await_ms(READY, 1, 5000))
		proc_assert_ok(mounting);
	proc_assert_ok(proc_spawn("beside", sits_beside, NULL));
	proc_post(GO);
	proc_assert_ok(mounting);
}

/* --- no membarrier() ------------------------------------------------------------------------------- */

static void forbid_membarrier(uint32_t error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof code[0], code };

	PROC_REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
}

static void sandboxed(bool may_synchronize)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	int code;

	PROC_REQUIRE(value);
	PROC_REQUIRE(check_value_number(region, value) == 1);
	for (uint64_t number = 2; number <= 50; number++)
		check_value_put(value, number);
	code = comap_synchronize(region);
	PROC_REQUIRE(code == (may_synchronize ? 0 : -EOPNOTSUPP));
	PROC_REQUIRE_OK(comap_value_release(value));
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(READY);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
}

/* The filter is there before the program begins, as in a container: the test begins again. What would
 * come after it is liburcu's: it decides at the start of the program whether there is a membarrier(),
 * and ends the program where there is none any more. */
static int in_a_sandbox(void *error)
{
	forbid_membarrier(*(uint32_t *)error);
	return proc_exec("--sandboxed", path);
}

static int in_a_sandbox_fenced(void *error)
{
	forbid_membarrier(*(uint32_t *)error);
	return proc_exec("--sandboxed-fenced", path);
}

static int makes_fenced(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE | COMAP_FENCED);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int makes(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Waits for the sandboxed reader, although no barrier reaches it. */
static int synchronizes(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE(comap_synchronize_until(region, comap_deadline_ms(100)) == -ETIMEDOUT);
	proc_post(GO);
	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(10000)));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void without_membarrier(int (*make)(void *), int (*role)(void *), uint32_t error)
{
	struct proc *sandbox;

	path = proc_path(PROC_SHM, "region");
	remove(path);
	proc_assert_ok(proc_spawn("makes", make, NULL));
	sandbox = proc_spawn("sandboxed", role, &error);
	if (!proc_await_ms(READY, 1, 10000)) {
		if (proc_wait(sandbox) == 77)
			skip();
		proc_assert_ok(sandbox);
	}
	proc_assert_ok(proc_spawn("synchronizes", synchronizes, NULL));
	proc_assert_ok(sandbox);
	require_survivor(50);
}

static void test_no_membarrier_enosys(void **state)
{
	without_membarrier(makes, in_a_sandbox, ENOSYS);
}

static void test_no_membarrier_eperm(void **state)
{
	without_membarrier(makes, in_a_sandbox, EPERM);
}

static void test_no_membarrier_in_a_fenced_region(void **state)
{
	without_membarrier(makes_fenced, in_a_sandbox_fenced, ENOSYS);
}

/* --- a file system that is full ------------------------------------------------------------------------ */

static void fill(const char *file)
{
	static char block[1 << 16];
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	PROC_REQUIRE(fd >= 0);
	for (size_t size = sizeof block; size >= 512; size /= 2)
		while (write(fd, block, size) > 0)
			;
	close(fd);
}

/* More and more values, each with a version of its own, until one finds no room. */
static unsigned put_until_full(struct comap *region)
{
	static uint64_t blob[200000 / 8];
	unsigned count = 0;
	int code = 0;

	for (; count < 30 && code == 0; count++) {
		struct comap_value *more;
		char name[16];

		snprintf(name, sizeof name, "large%u", count);
		more = comap_value_open(region, name, NULL);
		if (!more) {
			code = -comap_last_error()->code;
			break;
		}
		code = comap_value_put(more, blob, sizeof blob);
		comap_value_close(more);
	}
	PROC_REQUIRE(code == -ENOSPC);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_NO_SPACE);
	return count;
}

static void mount_small(const char *folder, const char *size)
{
	own_mounts();
	PROC_REQUIRE(mount("tmpfs", folder, "tmpfs", 0, size) == 0);
}

/* The file system fills up under a region: an error, no signal, and the version before stands. */
static int fills_up(void *arg)
{
	char filler[512];
	struct comap *region;
	struct comap_value *value;

	mount_small(proc_folder(PROC_SHM), "size=2m");
	snprintf(filler, sizeof filler, "%s/filler", proc_folder(PROC_SHM));
	region = check_open(path, COMAP_CREATE);
	value = comap_value_open(region, "v", NULL);
	PROC_REQUIRE(value);
	check_value_put(value, 1);
	fill(filler);
	(void)put_until_full(region);
	PROC_REQUIRE(check_value_number(region, value) == 1);
	check_value_put(value, 2); /* for this there is room: memory is used again */
	PROC_REQUIRE(unlink(filler) == 0);
	check_value_put(value, 3);
	PROC_REQUIRE(check_value_number(region, value) == 3);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	PROC_REQUIRE(check_survive(path) == 3);
	return 0;
}

static void test_file_system_fills_up(void **state)
{
	if (!proc_can_own_mounts())
		skip();
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("fills up", fills_up, NULL));
}

/* The region's own maximum is an error of the same kind. */
static int region_is_full(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	static uint64_t blob[700000 / 8];
	struct comap_value *more[2];

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	for (unsigned i = 0; i < 2; i++) {
		more[i] = comap_value_open(region, i ? "b" : "a", NULL);
		PROC_REQUIRE(more[i]);
	}
	/* 4 MiB hold no more than five of these at once, but any number one after the other. */
	for (unsigned i = 0; i < 40; i++)
		PROC_REQUIRE_OK(comap_value_put(more[i % 2], blob, sizeof blob));
	PROC_REQUIRE(comap_value_put(more[0], blob, 5u << 20) < 0);
	PROC_REQUIRE(comap_last_error()->code == ENOSPC || comap_last_error()->code == EMSGSIZE);
	PROC_REQUIRE(check_value_number(region, value) == 1);
	check_value_put(value, 2);
	for (unsigned i = 0; i < 2; i++)
		comap_value_close(more[i]);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	PROC_REQUIRE(check_survive(path) == 2);
	return 0;
}

static void test_region_is_full(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("full", region_is_full, NULL));
}

/* No room from the start: the creator says so and leaves no file; one page less than enough too. */
static int create_where_full(void *arg)
{
	char filler[512];
	struct comap *region;

	mount_small(proc_folder(PROC_SHM), "size=256k");
	snprintf(filler, sizeof filler, "%s/filler", proc_folder(PROC_SHM));
	fill(filler);
	for (off_t left = 256 << 10; left > 0; left -= 16 << 10) {
		PROC_REQUIRE(truncate(filler, left) == 0);
		region = check_open_small(path, COMAP_CREATE);
		if (region) { /* there was room for this, from here on down */
			PROC_REQUIRE_OK(comap_close(region));
			PROC_REQUIRE(left < 256 << 10);
			return 0;
		}
		PROC_REQUIRE(comap_last_error()->code == ENOSPC);
		if (access(path, F_OK) == 0)
			PROC_REQUIRE(unlink(path) == 0); /* made, but no seat: it stays, and is whole */
	}
	return 1;
}

static void test_create_where_there_is_no_room(void **state)
{
	if (!proc_can_own_mounts())
		skip();
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("creates", create_where_full, NULL));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_two_containers_that_are_both_pid_1),
		PROC_TEST(test_bind_mount),
		PROC_TEST(test_no_membarrier_enosys),
		PROC_TEST(test_no_membarrier_eperm),
		PROC_TEST(test_no_membarrier_in_a_fenced_region),
		PROC_TEST(test_file_system_fills_up),
		PROC_TEST(test_region_is_full),
		PROC_TEST(test_create_where_there_is_no_room),
	};

	if (argc == 3 && proc_executed()) {
		path = argv[2];
		sandboxed(strcmp(argv[1], "--sandboxed-fenced") == 0);
		return 0;
	}
	return cmocka_run_group_tests_name("containers, sandboxes, full disks", tests, NULL, NULL);
}
