/* SPDX-License-Identifier: MIT */
/* Limits that docs/caveats.md names, and who stands in whose way: each bullet that can be tried, tried. */
#include "check.h"

#include "futex.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { READY, GO };

static const char *path;

static int maker(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	check_value_put(value, 1);
	comap_value_close(value);
	return comap_close(region);
}

static void make(enum proc_place place)
{
	path = proc_path(place, "region");
	proc_assert_ok(proc_spawn("maker", maker, NULL));
}

static void expect_survivor(uint64_t found)
{
	assert_int_equal(check_survive(path), found);
}

/* --- regions of one process -------------------------------------------------------------------- */

static int opens_too_many(void *arg)
{
	struct comap *regions[COMAP__ROW_COUNT], *again;
	char name[512];

	for (unsigned i = 0; i < COMAP__ROW_COUNT; i++) {
		snprintf(name, sizeof name, "%s-%u", path, i);
		regions[i] = check_open(name, COMAP_CREATE);
		PROC_REQUIRE_OK(comap_read_begin(regions[i])); /* all of them at once */
	}
	snprintf(name, sizeof name, "%s-more", path);
	PROC_REQUIRE(!check_open_small(name, COMAP_CREATE));
	PROC_REQUIRE(comap_last_error()->code == EMFILE);
	snprintf(name, sizeof name, "%s-7", path);
	again = check_open(name, 0); /* what is open is no further region */
	PROC_REQUIRE(again == regions[7]);
	PROC_REQUIRE_OK(comap_close(again));
	for (unsigned i = 0; i < COMAP__ROW_COUNT; i++)
		PROC_REQUIRE_OK(comap_read_end(regions[i]));
	PROC_REQUIRE_OK(comap_close(regions[9]));
	snprintf(name, sizeof name, "%s-more", path);
	regions[9] = check_open(name, COMAP_CREATE);
	for (unsigned i = 0; i < COMAP__ROW_COUNT; i++)
		PROC_REQUIRE_OK(comap_close(regions[i]));
	return 0;
}

static void test_64_regions_and_no_more(void **state)
{
	char name[16];

	path = proc_path(PROC_SHM, "many");
	for (unsigned i = 0; i < COMAP__ROW_COUNT; i++) {
		snprintf(name, sizeof name, "many-%u", i);
		(void)proc_path(PROC_SHM, name); /* for the teardown */
	}
	(void)proc_path(PROC_SHM, "many-more");
	proc_assert_ok(proc_spawn("opens", opens_too_many, NULL));
}

/* --- sections in signal handlers ------------------------------------------------------------------ */

static struct comap *handlers_region;
static struct comap_value *handlers_value;
static uint64_t handled, bad;

static void reads(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	if (comap_read_begin(handlers_region) == 0) {
		struct comap_view view = comap_value_view(handlers_value);

		bad += !view.data || view.size_bytes != CHECK_VALUE_BYTES;
		bad += comap_read_end(handlers_region) != 0;
		handled++;
	} else {
		bad++;
	}
	errno = saved;
}

/* The thread is registered, and no section was entered outside of a handler yet: enough. Then handlers
 * between any two instructions of the sections of the thread itself. */
static int interrupted(void *arg)
{
	struct itimerval every = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	uint64_t end_ns = comap_deadline_ms(1000);

	handlers_region = check_open(path, 0);
	handlers_value = comap_value_open(handlers_region, "v", NULL);
	PROC_REQUIRE(handlers_value);
	PROC_REQUIRE_OK(comap_thread_register(handlers_region));
	PROC_REQUIRE(signal(SIGALRM, reads) != SIG_ERR);
	raise(SIGALRM);
	PROC_REQUIRE(handled == 1);
	PROC_REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (comap_now_ns() < end_ns)
		for (unsigned i = 0; i < 1000; i++) {
			PROC_REQUIRE(comap_read_begin(handlers_region) == 0);
			PROC_REQUIRE(comap_value_view(handlers_value).data);
			PROC_REQUIRE(comap_read_end(handlers_region) == 0);
		}
	PROC_REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0);
	PROC_REQUIRE(handled > 20 && bad == 0);
	/* no section was left open by any of them */
	PROC_REQUIRE_OK(comap_synchronize_until(handlers_region, comap_deadline_ms(10000)));
	comap_value_close(handlers_value);
	return comap_close(handlers_region);
}

static int publishes(void *arg)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	for (uint64_t number = 2; proc_point(GO) == 0; number++)
		check_value_put(value, number);
	comap_value_close(value);
	return comap_close(region);
}

static void test_sections_in_signal_handlers(void **state)
{
	struct proc *publisher;

	make(PROC_SHM);
	publisher = proc_spawn("publishes", publishes, NULL);
	proc_assert_ok(proc_spawn("interrupted", interrupted, NULL));
	proc_post(GO);
	proc_assert_ok(publisher);
}

/* --- who stands still ------------------------------------------------------------------------------ */

static int makes_an_object(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *other;

	proc_fault(PROC_FAULT_STOP, "directory.written", 1);
	other = comap_value_open(region, "other", NULL);
	if (!other)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	comap_value_close(other);
	return comap_close(region);
}

/* What is there is read and written; a new object is not to be had, and the error says whose fault it is. */
static int beside_the_maker(void *arg)
{
	int pid = *(int *)arg;
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL), *more;
	struct comap_seat seat;
	int64_t blocker;

	PROC_REQUIRE(value);
	check_value_put(value, 2);
	PROC_REQUIRE(check_value_number(region, value) == 2);
	more = comap_value_open(region, "more", NULL);
	PROC_REQUIRE(!more && comap_last_error()->code == ETIMEDOUT);
	blocker = comap_last_error()->seat;
	PROC_REQUIRE(blocker >= 0);
	PROC_REQUIRE_OK(comap_seat_at(region, (uint32_t)blocker, &seat));
	PROC_REQUIRE((int)seat.pid == pid && seat.stopped);
	comap_value_close(value);
	return comap_close(region);
}

static void test_a_stopped_owner_of_the_directory_is_named(void **state)
{
	struct proc *standing;
	int pid;

	if (!proc_has_faults())
		skip();
	make(PROC_SHM);
	standing = proc_spawn("makes", makes_an_object, NULL);
	pid = standing->pid;
	assert_int_equal(proc_wait_stopped(standing), 0);
	proc_assert_ok(proc_spawn("beside", beside_the_maker, &pid));
	proc_continue(standing);
	proc_assert_ok(standing);
	expect_survivor(2);
}

static int dies_publishing(void *arg)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 2);
	proc_fault(PROC_FAULT_KILL, "intent.begun", 1);
	check_value_put(value, 3);
	return 1;
}

/* At its attach, which puts the dead one's affairs in order. */
static int stops_sweeping(void *arg)
{
	struct comap *region;

	proc_fault(PROC_FAULT_STOP, "repair.settled", 1);
	region = check_open(path, 0);
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	return comap_close(region);
}

static int beside_the_sweeper(void *arg)
{
	struct comap *region = check_open(path, 0);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	uint64_t bytes[CHECK_VALUE_BYTES / 8] = { 0 }, begun_ns = comap_now_ns();

	PROC_REQUIRE(value);
	PROC_REQUIRE(check_value_number(region, value) == 2);
	PROC_REQUIRE_OK(comap_synchronize_until(region, comap_deadline_ms(10000)));
	PROC_REQUIRE(comap_value_put(value, bytes, sizeof bytes) == -EBUSY);
	PROC_REQUIRE(comap_now_ns() - begun_ns < 20000000000u);
	PROC_REQUIRE(check_value_number(region, value) == 2);
	comap_value_close(value);
	return comap_close(region);
}

static void test_a_stopped_sweeper_is_not_waited_for_for_ever(void **state)
{
	struct proc *dying, *sweeping;

	if (!proc_has_faults())
		skip();
	make(PROC_SHM);
	dying = proc_spawn("dies", dies_publishing, NULL);
	assert_int_equal(proc_wait(dying), -SIGKILL);
	sweeping = proc_spawn("sweeps", stops_sweeping, NULL);
	assert_int_equal(proc_wait_stopped(sweeping), 0);
	proc_assert_ok(proc_spawn("beside", beside_the_sweeper, NULL));
	proc_continue(sweeping);
	proc_assert_ok(sweeping);
	expect_survivor(2);
}

/* The same, and the sweeper is killed: the next one sweeps. */
static void test_a_killed_sweeper_is_replaced(void **state)
{
	struct proc *dying, *sweeping;

	if (!proc_has_faults())
		skip();
	make(PROC_SHM);
	dying = proc_spawn("dies", dies_publishing, NULL);
	assert_int_equal(proc_wait(dying), -SIGKILL);
	sweeping = proc_spawn("sweeps", stops_sweeping, NULL);
	assert_int_equal(proc_wait_stopped(sweeping), 0);
	proc_kill(sweeping);
	expect_survivor(2);
}

/* --- a filter against membarrier() that comes late -------------------------------------------------- */

static bool forbid_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof code[0], code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* It goes on, and ends as one that was never filtered: no signal, no abort. What it may not do any more
 * is complete a grace period. */
static int filtered_late(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL), *other;

	PROC_REQUIRE(value);
	check_value_put(value, 2);
	if (!forbid_membarrier())
		return 77;
	check_value_put(value, 3);
	PROC_REQUIRE(check_value_number(region, value) == 3);
	PROC_REQUIRE(comap_synchronize_until(region, comap_deadline_ms(1000)) < 0);
	for (uint64_t number = 4; number < 50; number++)
		check_value_put(value, number);
	other = comap_value_open(region, "other", NULL);
	if (!other)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	comap_value_close(other);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	region = check_open(path, 0); /* and again: it is not registered anew, and fences itself */
	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE_OK(comap_read_end(region));
	return comap_close(region);
}

static void test_a_late_filter_ends_nobody(void **state)
{
	struct proc *filtered;

	make(PROC_SHM);
	filtered = proc_spawn("filtered", filtered_late, NULL);
	if (proc_wait(filtered) == 77)
		skip();
	proc_assert_ok(filtered);
	expect_survivor(49);
}

/* --- the machine ----------------------------------------------------------------------------------- */

static int with_little_address_space(void *arg)
{
	const struct rlimit little = { 2ul << 30, 2ul << 30 };
	struct comap *region;

	PROC_REQUIRE(setrlimit(RLIMIT_AS, &little) == 0);
	PROC_REQUIRE(!comap_open(path, COMAP_CREATE)); /* the default maximum is tens of GiB */
	PROC_REQUIRE(comap_last_error()->code == ENOMEM);
	PROC_REQUIRE(strstr(comap_error_text(), "address space"));
	PROC_REQUIRE(access(path, F_OK) != 0 || unlink(path) == 0);
	region = check_open(path, COMAP_CREATE); /* a small one has room */
	return comap_close(region);
}

static void test_little_address_space_is_an_error(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); /* its own needs are larger */
#endif
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("little", with_little_address_space, NULL));
}

/* The merged path and the upper one share pages and not locks: the living would look dead. The region is
 * made by the one, and asked for by the other. */
static int through_an_overlay(void *arg)
{
	struct comap *region, *other;
	int code;

	PROC_REQUIRE(proc_own_mounts());
	PROC_REQUIRE(chdir(proc_folder(PROC_DISK)) == 0);
	PROC_REQUIRE(mkdir("t", 0700) == 0 && mount("tmpfs", "t", "tmpfs", 0, NULL) == 0);
	PROC_REQUIRE(chdir("t") == 0);
	PROC_REQUIRE(!mkdir("l", 0700) && !mkdir("u", 0700) && !mkdir("w", 0700) && !mkdir("m", 0700));
	code = mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=w") ? 77 : 0;
	if (!code) {
		region = check_open("u/region", COMAP_CREATE);
		other = check_open_small("m/region", 0);
		if (other || comap_last_error()->code != ESTALE)
			proc_fail(__FILE__, __LINE__, "the merged path: %s", other ? "opened" : comap_error_text());
		PROC_REQUIRE_OK(comap_close(region));
		PROC_REQUIRE(umount("m") == 0);
	}
	PROC_REQUIRE(chdir("..") == 0 && umount("t") == 0 && rmdir("t") == 0);
	return code;
}

static void test_an_overlays_merged_path_is_refused(void **state)
{
	struct proc *through;

	if (!proc_can_own_mounts())
		skip();
	(void)proc_folder(PROC_DISK);
	through = proc_spawn("through", through_an_overlay, NULL);
	if (proc_wait(through) == 77)
		skip();
	proc_assert_ok(through);
}

/* --- another boot ------------------------------------------------------------------------------------ */

/* The boot id in the file becomes another one, as if the machine had been started anew since. */
static void restart_the_machine(void)
{
	const off_t at = COMAP_IDENTITY_BYTES + offsetof(struct comap_control_shm, boot_id);
	uint8_t boot_id[16];
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, boot_id, sizeof boot_id, at), sizeof boot_id);
	boot_id[3] ^= 0x55;
	assert_int_equal(pwrite(fd, boot_id, sizeof boot_id, at), sizeof boot_id);
	close(fd);
}

static int uses(void *arg)
{
	struct comap *region = check_open_small(path, 0);

	return region ? comap_close(region) : comap_last_error()->code;
}

static int dies_attached(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE(region);
	raise(SIGKILL);
	return 0;
}

static void test_after_a_restart_clean_is_used_and_dirty_refused(void **state)
{
	struct proc *dying;

	make(PROC_DISK);
	restart_the_machine();
	proc_assert_ok(proc_spawn("uses", uses, NULL));
	dying = proc_spawn("dies", dies_attached, NULL);
	assert_int_equal(proc_wait(dying), -SIGKILL);
	restart_the_machine();
	assert_int_equal(proc_wait(proc_spawn("uses", uses, NULL)), ESTALE);
}

/* --- numbers that end ------------------------------------------------------------------------------ */

static void *wakes(void *flag)
{
	proc_await(READY, 1);
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	comap__flag_wake(flag);
	return NULL;
}

/* The generation of a flag's wakes begins anew after 2^31 of them: a sleeper over that is woken. */
static void test_a_flags_generations_begin_anew(void **state)
{
	struct comap_u32 flag = { 0xfffffffe };
	uint64_t begun_ns = comap_now_ns();
	pthread_t thread;
	uint32_t seen;

	assert_int_equal(pthread_create(&thread, NULL, wakes, &flag), 0);
	seen = comap__flag_set(&flag);
	assert_int_equal(seen, 0xffffffff);
	proc_post(READY);
	comap__flag_sleep(&flag, seen, comap_deadline_ms(10000));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(flag.v, 0);
	assert_true(comap_now_ns() - begun_ns < 900000000u); /* not by the limit of a second */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_64_regions_and_no_more),
		PROC_TEST(test_sections_in_signal_handlers),
		PROC_TEST(test_a_stopped_owner_of_the_directory_is_named),
		PROC_TEST(test_a_stopped_sweeper_is_not_waited_for_for_ever),
		PROC_TEST(test_a_killed_sweeper_is_replaced),
		PROC_TEST(test_a_late_filter_ends_nobody),
		PROC_TEST(test_little_address_space_is_an_error),
		PROC_TEST(test_an_overlays_merged_path_is_refused),
		PROC_TEST(test_after_a_restart_clean_is_used_and_dirty_refused),
		PROC_TEST(test_a_flags_generations_begin_anew),
	};

	return cmocka_run_group_tests_name("caveats", tests, NULL, NULL);
}
