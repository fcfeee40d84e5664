/* SPDX-License-Identifier: MIT */
/* The size contract's ladder: check, notice, cooperation, and the replaced file. (Seals are in
 * test_mapping.c, the guard in test_guard.c.) */
#include <comap/contract.h>
#include <comap/guard.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)

static struct comap_map *open_map(const char *path, const struct comap_map_options *options)
{
	struct comap_map *map = NULL;

	MUST(comap_map_open(path, options, &map) == 0);
	files_guard();
	return map;
}

static void sleep_ms(unsigned duration_ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = duration_ms * 1000000l }, NULL);
}

static void changes_show_in_the_stamp(void **state)
{
	for (enum proc_place place = 0; place < PROC_PLACES; place++) {
		const char *path = files_make(place, "stamped", 10000);
		struct comap_map *map = open_map(path, NULL);
		struct comap_stamp stamp;

		assert_int_equal(comap_map_stamp(map, &stamp), 0);
		/* Just written: a change in the same tick would not show, so it is not vouched for. */
		assert_int_equal(comap_map_check(map, &stamp), COMAP_MAP_CHANGED);
		sleep_ms(40);
		assert_int_equal(comap_map_stamp(map, &stamp), 0);
		assert_int_equal(comap_map_check(map, &stamp), COMAP_MAP_SAME);
		files_write(path, 100, 1);
		assert_int_equal(comap_map_check(map, &stamp), COMAP_MAP_CHANGED);
		assert_int_equal(comap_map_check(map, NULL), 0);
		comap_map_close(map);
	}
}

static void regrown_files_are_not_the_same(void **state)
{
	const char *path = files_make(PROC_DISK, "regrown", 10000);
	struct comap_map *map = open_map(path, NULL);
	struct comap_stamp stamp;

	sleep_ms(40);
	assert_int_equal(comap_map_stamp(map, &stamp), 0);
	files_resize(path, 9999); /* in the last page: no fault, and a byte has become zero */
	assert_int_equal(comap_map_check(map, &stamp), -ESTALE);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TRUNCATED);
	files_resize(path, 10000);
	assert_int_equal(comap_map_status(map), 0);
	assert_int_equal(comap_map_check(map, &stamp), COMAP_MAP_CHANGED);
	comap_map_close(map);
}

static void faults_show_in_the_stamp(void **state)
{
	const char *path = files_make(PROC_DISK, "faulted", 10000);
	struct comap_map *map = open_map(path, NULL);
	struct comap_stamp stamp;

	sleep_ms(40);
	assert_int_equal(comap_map_stamp(map, &stamp), 0);
	files_resize(path, 100);
	(void)*(const volatile char *)comap_map_at(map, 9000, 1, 1);
	files_write(path, 0, 10000);
	assert_int_equal(comap_map_check(map, NULL), -ESTALE);
	assert_int_equal(comap_map_repair(map), 0);
	assert_int_equal(comap_map_check(map, NULL), 0);
	assert_int_equal(comap_map_check(map, &stamp), COMAP_MAP_CHANGED);
	comap_map_close(map);
}

static void replaced_files_are_noticed(void **state)
{
	const char *path = files_make(PROC_DISK, "log", 100), *next = files_make(PROC_DISK, "log.next", 100);
	struct comap_map *map = open_map(path, NULL), *nameless = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(comap_map_check_path(map), 0);
	assert_int_equal(rename(next, path), 0);
	assert_int_equal(comap_map_check_path(map), -ESTALE);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_REPLACED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(comap_map_check_path(map), -ENOENT);
	assert_int_equal(comap_map_open_fd(fd, NULL, &nameless), 0);
	assert_int_equal(comap_map_check_path(nameless), -EINVAL);
	close(fd);
	comap_map_close(map);
	comap_map_close(nameless);
}

static void relative_paths_outlive_chdir(void **state)
{
	const char *path = files_make(PROC_DISK, "relative", 100);
	char here[4096];
	struct comap_map *map;

	MUST(getcwd(here, sizeof here) && chdir(proc_folder(PROC_DISK)) == 0);
	map = open_map("relative", NULL);
	MUST(chdir("/") == 0);
	assert_int_equal(comap_map_check_path(map), 0);
	MUST(chdir(here) == 0 && unlink(path) == 0);
	assert_int_equal(comap_map_check_path(map), -ENOENT);
	comap_map_close(map);
}

enum { READY, ENDED };

static int truncate_it(void *path)
{
	proc_post(READY);
	files_resize(path, 10);
	proc_post(ENDED);
	return 0;
}

static void truncation_waits_for_the_lease(void **state)
{
	const char *path = files_make(PROC_DISK, "leased", 10000);
	struct comap_map *map = open_map(path, NULL);
	struct proc *proc;
	siginfo_t info;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	assert_int_equal(comap_map_notice_begin(map, SIGUSR1), 0);
	assert_int_equal(comap_map_notice(map), COMAP_NOTICE_QUIET);
	proc = proc_spawn("truncate", truncate_it, (void *)(uintptr_t)path);
	assert_int_equal(sigtimedwait(&usr1, &info, &(struct timespec){ .tv_sec = 20 }), SIGUSR1);
	assert_int_equal(info.si_fd, comap_map_descriptor(map));
	assert_int_equal(comap_map_notice(map), COMAP_NOTICE_ASKED);
	assert_false(proc_await_ms(ENDED, 1, 50));
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 10000), 10000); /* whole until we say so */
	assert_int_equal(comap_map_notice_end(map), 0);
	proc_assert_ok(proc);
	assert_int_equal(comap_map_check(map, NULL), -ESTALE);
	comap_map_close(map);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
}

static void written_files_have_no_lease(void **state)
{
	const char *path = files_make(PROC_DISK, "written", 100);
	struct comap_map *writer = open_map(path, WRITE()), *reader = open_map(path, NULL);

	assert_int_equal(comap_map_notice_begin(reader, SIGUSR1), -EBUSY);
	assert_int_equal(comap_map_notice_begin(writer, SIGUSR1), -EOPNOTSUPP);
	assert_int_equal(comap_map_notice_begin(reader, 0), -EINVAL);
	comap_map_close(writer);
	comap_map_close(reader);
}

static void shrinking_waits_for_readers(void **state)
{
	const char *path = files_make(PROC_DISK, "shared", 10000);
	struct comap_map *writer = open_map(path, WRITE()), *reader = open_map(path, NULL);
	uint64_t start_ns = comap_now_ns();

	assert_int_equal(comap_map_size_lock(reader, COMAP_SIZE_EXCLUSIVE, 0), -EACCES);
	assert_int_equal(comap_map_size_lock(reader, COMAP_SIZE_SHARED, 0), 0);
	assert_int_equal(comap_map_truncate_file(writer, 100, 0), -EBUSY);
	assert_int_equal(comap_map_truncate_file(writer, 100, comap_deadline_ms(30)), -ETIMEDOUT);
	assert_true(comap_now_ns() - start_ns >= 30000000);
	assert_int_equal(files_size_bytes(path), 10000);
	assert_int_equal(comap_map_size_unlock(reader), 0);
	assert_int_equal(comap_map_truncate_file(writer, 100, COMAP_FOREVER), 0);
	assert_int_equal(files_size_bytes(path), 100);
	assert_int_equal(comap_map_size_bytes(writer), 100);
	comap_map_close(writer);
	comap_map_close(reader);
}

static int die_holding(void *path)
{
	struct comap_map *map = open_map(path, WRITE());

	PROC_REQUIRE_OK(comap_map_size_lock(map, COMAP_SIZE_EXCLUSIVE, 0));
	raise(SIGKILL);
	return 0;
}

static void lock_goes_with_its_holder(void **state)
{
	const char *path = files_make(PROC_DISK, "holder", 100);
	struct comap_map *map = open_map(path, NULL);

	assert_int_equal(proc_wait(proc_spawn("holder", die_holding, (void *)(uintptr_t)path)), -SIGKILL);
	assert_int_equal(comap_map_size_lock(map, COMAP_SIZE_SHARED, 0), 0);
	comap_map_close(map);
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(changes_show_in_the_stamp),
	PROC_TEST(regrown_files_are_not_the_same),
	PROC_TEST(faults_show_in_the_stamp),
	PROC_TEST(replaced_files_are_noticed),
	PROC_TEST(relative_paths_outlive_chdir),
	PROC_TEST(truncation_waits_for_the_lease),
	PROC_TEST(written_files_have_no_lease),
	PROC_TEST(shrinking_waits_for_readers),
	PROC_TEST(lock_goes_with_its_holder),
};

int main(void)
{
	return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
