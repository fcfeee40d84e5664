/* SPDX-License-Identifier: MIT */
/* fork, exec, descriptors that travel or are closed: whose seat is it, and who is alive? */
#include "forked.h"

#include "region.h"
#include "seat.h"

#include <comap/seat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY, GO, FORKED };

static enum comap_seat_life life_of(uint32_t seat)
{
	struct comap *guest = check_open(my.path, COMAP_GUEST);
	struct comap_seat found;

	PROC_REQUIRE_OK(comap_seat_at(guest, seat, &found));
	PROC_REQUIRE_OK(comap_close(guest));
	return found.life;
}

/* --- fork -------------------------------------------------------------------------------------- */

/* Every call says that the child is not attached, inside a section and outside. */
static void unattached_child(void)
{
	char bytes[CHECK_VALUE_BYTES] = { 0 };

	PROC_REQUIRE(comap_read_begin(my.region) == -ECHILD);
	PROC_REQUIRE(comap_read_end(my.region) == -ECHILD);
	PROC_REQUIRE(comap_value_put(my.value, bytes, sizeof bytes) == -ECHILD);
	PROC_REQUIRE(comap_synchronize(my.region) == -ECHILD);
	PROC_REQUIRE(comap_seat_self(my.region) == -ECHILD);
}

static int parent_of_unattached(void *arg)
{
	pid_t pid;
	int own;

	attach_with_value();
	check_value_put(my.value, 1);
	own = comap_seat_self(my.region);
	PROC_REQUIRE_OK(comap_read_begin(my.region));
	pid = fork();
	if (pid == 0) {
		unattached_child();
		_exit(0);
	}
	wait_for_child(pid);
	PROC_REQUIRE_OK(comap_read_end(my.region)); /* the child's end has not ended ours */
	PROC_REQUIRE(life_of((uint32_t)own) == COMAP_LIFE_ALIVE);
	PROC_REQUIRE(comap_seat_self(my.region) == own);
	check_value_put(my.value, 2);
	leave();
	return 0;
}

static void test_a_child_is_not_attached(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("parent", parent_of_unattached, NULL));
	require_survivor(2);
}

static int parent_of_attached(void *arg)
{
	pid_t pid;
	int own;

	attach_with_value();
	check_value_put(my.value, 1);
	own = comap_seat_self(my.region);
	pid = fork();
	if (pid == 0) {
		PROC_REQUIRE_OK(comap_attach(my.region));
		PROC_REQUIRE(comap_seat_self(my.region) >= 0 && comap_seat_self(my.region) != own);
		PROC_REQUIRE(check_value_number(my.region, my.value) == 1);
		PROC_REQUIRE(comap_value_claim(my.value) == -EBUSY);
		PROC_REQUIRE_OK(comap_synchronize(my.region));
		leave();
		_exit(0);
	}
	wait_for_child(pid);
	PROC_REQUIRE(comap_seat_self(my.region) == own);
	PROC_REQUIRE(life_of((uint32_t)own) == COMAP_LIFE_ALIVE);
	check_value_put(my.value, 2);
	leave();
	return 0;
}

static void test_a_child_attaches_anew(void **state)
{
	my.path = proc_path(PROC_DISK, "region");
	proc_assert_ok(proc_spawn("parent", parent_of_attached, NULL));
	require_survivor(2);
}

static pid_t attached_child(bool stay)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(10); /* who hangs fails */
	PROC_REQUIRE_OK(comap_attach(my.region));
	proc_post(FORKED);
	while (stay)
		pause();
	PROC_REQUIRE_OK(comap_close(my.region));
	_exit(0);
}

/* Who attaches sweeps the seats that it finds dead: also on a handle that has not written yet. */
static int parent_of_a_dead_child(void *arg)
{
	pid_t pid;

	my.region = check_open(my.path, COMAP_CREATE);
	pid = attached_child(true);
	proc_await(FORKED, 1);
	PROC_REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	wait_for_child(attached_child(false));
	PROC_REQUIRE_OK(comap_close(my.region));
	return 0;
}

static void test_a_child_attaches_after_a_death(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("parent", parent_of_a_dead_child, NULL));
}

/* The child closes what it inherited: the parent stays attached. */
static int parent_of_closer(void *arg)
{
	pid_t pid;
	int own;

	attach_with_value();
	check_value_put(my.value, 1);
	own = comap_seat_self(my.region);
	pid = fork();
	if (pid == 0) {
		leave();
		_exit(0);
	}
	wait_for_child(pid);
	PROC_REQUIRE(life_of((uint32_t)own) == COMAP_LIFE_ALIVE);
	check_value_put(my.value, 2);
	leave();
	return 0;
}

static void test_a_child_closes_its_copy(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("parent", parent_of_closer, NULL));
	require_survivor(2);
}

/* The child lives on when the parent is killed: the parent's seat is dead all the same. */
static int parent_that_dies(void *arg)
{
	attach_with_value();
	check_value_put(my.value, 1);
	PROC_REQUIRE_OK(comap_read_begin(my.region));
	if (fork() == 0) {
		/* not in the kit's list: it goes when told, or when its alarm rings */
		alarm(60);
		proc_post(FORKED);
		proc_await(GO, 1);
		proc_post(READY);
		_exit(0);
	}
	for (;;)
		pause();
	return 0;
}

static void test_a_living_child_keeps_no_dead_parent_alive(void **state)
{
	struct proc *parent;

	my.path = proc_path(PROC_SHM, "region");
	parent = proc_spawn("parent", parent_that_dies, NULL);
	proc_await(FORKED, 1);
	proc_kill(parent);
	require_survivor(1);
	proc_post(GO);
	proc_await(READY, 1);
}

static int maker(void *arg)
{
	attach_with_value();
	check_value_put(my.value, 1);
	leave();
	return 0;
}

/* The parent has only read. The child finds a dead seat when it attaches, and writes to repair it. */
static int parent_that_only_reads(void *arg)
{
	pid_t pid;

	my.region = check_open(my.path, 0);
	proc_post(FORKED);
	proc_await(READY, 1);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		PROC_REQUIRE_OK(comap_attach(my.region));
		PROC_REQUIRE_OK(comap_close(my.region));
		_exit(0);
	}
	wait_for_child(pid);
	PROC_REQUIRE_OK(comap_close(my.region));
	return 0;
}

static int dies_publishing(void *arg)
{
	void *data;

	attach_with_value();
	PROC_REQUIRE_OK(comap_value_reserve(my.value, 100, &data));
	kill(getpid(), SIGKILL);
	return 1;
}

static void test_a_child_attaches_and_repairs(void **state)
{
	struct proc *parent;

	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("maker", maker, NULL));
	parent = proc_spawn("parent", parent_that_only_reads, NULL);
	proc_await(FORKED, 1);
	assert_int_equal(proc_wait(proc_spawn("dies", dies_publishing, NULL)), -SIGKILL);
	proc_post(READY);
	proc_assert_ok(parent);
	require_survivor(1);
}

enum { STORM_FORKS = 150 };

static void *forks(void *arg)
{
	for (int i = 0; i < STORM_FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(comap_read_begin(my.region) == -ECHILD ? 0 : 1);
		wait_for_child(pid);
	}
	return NULL;
}

/* One thread forks without end while the process publishes and reads. */
static int fork_storm(void *arg)
{
	pthread_t thread;
	uint64_t number = 0;

	attach_with_value();
	PROC_REQUIRE(pthread_create(&thread, NULL, forks, NULL) == 0);
	do {
		check_value_put(my.value, ++number);
		PROC_REQUIRE(check_value_number(my.region, my.value) == number);
	} while (pthread_tryjoin_np(thread, NULL) == EBUSY);
	leave();
	comap_u64_store_release(proc_counter(0), number);
	return 0;
}

static void test_fork_storm(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("storm", fork_storm, NULL));
	require_survivor(comap_u64_load_acquire(proc_counter(0)));
}

/* Forks in the middle of it, and is killed: the fork may hold a copy of the locked description for
 * an instant. Whatever happens, the seat is found dead. */
static int fork_at_attach(void *arg)
{
	for (;;) {
		my.region = check_open(my.path, COMAP_CREATE);
		if (fork() == 0)
			_exit(0);
		PROC_REQUIRE_OK(comap_close(my.region));
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		proc_post(READY);
	}
	return 0;
}

static void test_killed_between_forks(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	for (uint32_t i = 0; i < 20; i++) {
		struct proc *p = proc_spawn("forks", fork_at_attach, NULL);

		proc_await(READY, proc_point(READY) + 1);
		usleep((useconds_t)proc_random_below(3000));
		proc_kill(p);
		require_survivor(i * 2);
	}
}

/* --- exec ----------------------------------------------------------------------------------------- */

static int turns_into_sleep(void *arg)
{
	attach_with_value();
	check_value_put(my.value, 1);
	PROC_REQUIRE_OK(comap_read_begin(my.region));
	proc_post(READY);
	execl("/bin/sleep", "sleep", "60", (char *)NULL);
	return 1;
}

/* The same process, another program: its seat is free for the taking, its section over. */
static void test_exec_ends_the_attachment(void **state)
{
	struct proc *p;

	my.path = proc_path(PROC_SHM, "region");
	p = proc_spawn("exec", turns_into_sleep, NULL);
	proc_await(READY, 1);
	/* Until it sleeps: it has the new name a little before the old mappings, and their lock, are gone. */
	for (int i = 0; i < 10000; i++) {
		char line[512] = "", file[64];
		int fd;

		snprintf(file, sizeof file, "/proc/%d/stat", p->pid);
		fd = open(file, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_true(read(fd, line, sizeof line - 1) > 0);
		close(fd);
		if (strstr(line, "(sleep) S"))
			break;
		usleep(1000);
	}
	require_survivor(1);
	proc_kill(p);
}

/* --- descriptors ------------------------------------------------------------------------------------ */

static void close_everything(void)
{
	for (int fd = 3; fd < 256; fd++)
		close(fd);
}

/* As daemons do. The life lock hangs on no descriptor; the ones that are needed are opened again. */
static int closes_descriptors(void *arg)
{
	char large[300000] = { 0 };
	struct comap_value *other;
	int own;

	attach_with_value();
	check_value_put(my.value, 1);
	own = comap_seat_self(my.region);
	PROC_REQUIRE_OK(comap_read_begin(my.region));
	close_everything();
	PROC_REQUIRE(open("/dev/null", O_RDONLY) >= 0); /* takes the number of ours */
	PROC_REQUIRE(life_of((uint32_t)own) == COMAP_LIFE_ALIVE);
	PROC_REQUIRE_OK(comap_read_end(my.region));
	check_value_put(my.value, 2);
	other = comap_value_open(my.region, "other", NULL);
	PROC_REQUIRE(other);
	PROC_REQUIRE_OK(comap_value_put(other, large, sizeof large)); /* grows the file */
	comap_value_close(other);
	leave();
	PROC_REQUIRE(fcntl(3, F_GETFD) >= 0); /* nobody closed the stranger */
	return 0;
}

static void test_closed_descriptors(void **state)
{
	my.path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("daemon", closes_descriptors, NULL));
	my.path = proc_path(PROC_DISK, "region");
	proc_assert_ok(proc_spawn("daemon", closes_descriptors, NULL));
}

static int sockets[2];

static int sends_descriptors(void *arg)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
	                          .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	attach_with_value();
	check_value_put(my.value, 1);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &my.region->fd, sizeof(int));
	PROC_REQUIRE(sendmsg(sockets[0], &message, 0) == 1);
	proc_post(READY);
	for (;;)
		pause();
	return 0;
}

/* Holds the description that the dead process worked with, and opens the region through it. */
static int receives_descriptors(void *arg)
{
	char byte, control[CMSG_SPACE(sizeof(int))], link[64];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
	                          .msg_controllen = sizeof control };
	int fd;

	PROC_REQUIRE(recvmsg(sockets[1], &message, 0) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	my.region = comap_open(link, 0);
	PROC_REQUIRE(my.region); /* the sender lives: another seat */
	PROC_REQUIRE(comap_seat_self(my.region) == 1);
	PROC_REQUIRE_OK(comap_close(my.region));
	proc_post(FORKED);
	proc_await(GO, 1);
	return 0;
}

static void test_descriptor_sent_over_a_socket(void **state)
{
	struct proc *sender, *receiver;

	my.path = proc_path(PROC_SHM, "region");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	sender = proc_spawn("sender", sends_descriptors, NULL);
	proc_await(READY, 1);
	receiver = proc_spawn("receiver", receives_descriptors, NULL);
	proc_await(FORKED, 1);
	proc_kill(sender);
	require_survivor(1); /* though its description lives on in the receiver */
	proc_post(GO);
	proc_assert_ok(receiver);
	close(sockets[0]);
	close(sockets[1]);
}

/* A backup tool's read lock over the whole file is no sign of life. */
static int backup_tool(void *arg)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd = open(my.path, O_RDONLY | O_CLOEXEC);

	PROC_REQUIRE(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
	proc_post(READY);
	proc_await(GO, 1);
	return 0;
}

static int sees_a_dead_seat(void *arg)
{
	PROC_REQUIRE(life_of(0) == COMAP_LIFE_DEAD);
	return 0;
}

static int publish_and_stay(void *arg)
{
	attach_with_value();
	check_value_put(my.value, 1);
	proc_post(FORKED);
	for (;;)
		pause();
	return 0;
}

static void test_a_backup_tools_lock_is_no_life(void **state)
{
	struct proc *dying, *tool;

	my.path = proc_path(PROC_SHM, "region");
	dying = proc_spawn("publisher", publish_and_stay, NULL);
	proc_await(FORKED, 1);
	proc_kill(dying);
	tool = proc_spawn("tool", backup_tool, NULL);
	proc_await(READY, 1);
	proc_assert_ok(proc_spawn("looks", sees_a_dead_seat, NULL));
	proc_post(GO);
	proc_assert_ok(tool);
	require_survivor(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_child_is_not_attached),
		PROC_TEST(test_a_child_attaches_anew),
		PROC_TEST(test_a_child_attaches_after_a_death),
		PROC_TEST(test_a_child_closes_its_copy),
		PROC_TEST(test_a_living_child_keeps_no_dead_parent_alive),
		PROC_TEST(test_a_child_attaches_and_repairs),
		PROC_TEST(test_fork_storm),
		PROC_TEST(test_killed_between_forks),
		PROC_TEST(test_exec_ends_the_attachment),
		PROC_TEST(test_closed_descriptors),
		PROC_TEST(test_descriptor_sent_over_a_socket),
		PROC_TEST(test_a_backup_tools_lock_is_no_life),
	};

	return cmocka_run_group_tests_name("fork, exec, descriptors", tests, NULL, NULL);
}
