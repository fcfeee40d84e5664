/* SPDX-License-Identifier: MIT */
/* Pages: the counts agree with what was mapped and touched, and what is hidden is an error. */
#include <comap/error.h>
#include <comap/pages.h>

#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES 64u
#define OTHERS 3u
#define SKIPPED 77 /* meson's word for it */

struct fixture {
	int fd;
	size_t page_bytes;
	struct comap_pages_key key;
	unsigned char *shared; /* PAGES pages of the file */
	pid_t others[OTHERS];
};

static unsigned char *map_file(const struct fixture *f, int flags)
{
	void *at;
	int code = comap__vm_map(PAGES * f->page_bytes, PROT_READ | PROT_WRITE, flags, f->fd, 0, &at);

	return code ? NULL : at;
}

static unsigned touch(const struct fixture *f, const unsigned char *at)
{
	unsigned sum = 0;

	for (size_t i = 0; i < PAGES; i++)
		sum += ((const volatile unsigned char *)at)[i * f->page_bytes];
	return sum;
}

/* A file without a name, in $TMPDIR, or in /tmp without it; -1 and errno. */
static int make_file(void)
{
	const char *folder = getenv("TMPDIR");
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/comap-pages-XXXXXX", folder && *folder ? folder : "/tmp");
	fd = mkstemp(path);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char *bytes;

	assert_non_null(f);
	f->page_bytes = comap__vm_page_bytes();
	f->fd = make_file();
	assert_true(f->fd >= 0);
	bytes = malloc(PAGES * f->page_bytes);
	assert_non_null(bytes);
	memset(bytes, 1, PAGES * f->page_bytes);
	assert_int_equal(write(f->fd, bytes, PAGES * f->page_bytes), PAGES * f->page_bytes);
	free(bytes);
	assert_int_equal(comap_pages_key(f->fd, &f->key), 0);
	f->shared = map_file(f, MAP_SHARED);
	assert_non_null(f->shared);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < OTHERS; i++)
		if (f->others[i] > 0) {
			kill(f->others[i], SIGKILL);
			waitpid(f->others[i], NULL, 0);
		}
	comap__vm_unmap(f->shared, PAGES * f->page_bytes);
	close(f->fd);
	free(f);
	return 0;
}

/* Other processes map the file anew, touch all of it, and wait for their end. */
static void start_others(struct fixture *f, int flags, bool write_all)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	for (size_t i = 0; i < OTHERS; i++) {
		f->others[i] = fork();
		assert_true(f->others[i] >= 0);
		if (f->others[i] == 0) {
			unsigned char *at;

			comap__vm_unmap(f->shared, PAGES * f->page_bytes);
			at = map_file(f, flags);
			if (!at || touch(f, at) != PAGES)
				_exit(1);
			for (size_t page = 0; write_all && page < PAGES; page++)
				((volatile unsigned char *)at)[page * f->page_bytes] = 2;
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
	}
	close(ready[1]);
	for (size_t i = 0; i < OTHERS; i++)
		assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void key_is_what_stat_says(void **state)
{
	struct fixture *f = *state;
	struct stat status;
	int memory = memfd_create("pages", MFD_CLOEXEC);
	struct comap_pages_key key = { 0 };

	assert_int_equal(fstat(f->fd, &status), 0);
	assert_int_equal(f->key.inode, status.st_ino);
	assert_int_equal(f->key.device, status.st_dev);
	assert_int_equal(comap_pages_key(memory, &key), 0); /* empty, and yet it has one */
	assert_int_equal(fstat(memory, &status), 0);
	assert_int_equal(key.inode, status.st_ino);
	close(memory);
	assert_int_equal(comap_pages_key(-1, &key), -EBADF);
	assert_int_equal(comap_pages_key(f->fd, NULL), -EINVAL);
}

static void untouched_costs_nothing(void **state)
{
	struct fixture *f = *state;
	struct comap_pages pages;

	assert_int_equal(comap_pages_file(0, f->key, &pages), 0);
	assert_int_equal(pages.mapping_count, 1);
	assert_int_equal(pages.mapped_bytes, PAGES * f->page_bytes);
	assert_int_equal(pages.rss_bytes, 0);
	assert_int_equal(pages.pss_bytes, 0);
}

static void alone_pss_is_rss(void **state)
{
	struct fixture *f = *state;
	struct comap_pages pages, whole;

	assert_int_equal(touch(f, f->shared), PAGES);
	assert_int_equal(comap_pages_file(0, f->key, &pages), 0);
	assert_int_equal(pages.rss_bytes, PAGES * f->page_bytes);
	assert_int_equal(pages.pss_bytes, pages.rss_bytes);
	assert_int_equal(pages.private_clean_bytes + pages.private_dirty_bytes, pages.rss_bytes);
	assert_int_equal(pages.shared_clean_bytes + pages.shared_dirty_bytes, 0);
	assert_int_equal(comap_pages_process(0, &whole), 0);
	assert_true(whole.rss_bytes > pages.rss_bytes);
	assert_true(whole.mapped_bytes > whole.rss_bytes);
	assert_true(whole.page_table_bytes > 0);
}

static void four_processes_pay_once(void **state)
{
	struct fixture *f = *state;
	struct comap_pages pages;
	uint64_t pss_bytes = 0, rss_bytes = 0;

	touch(f, f->shared);
	start_others(f, MAP_SHARED, false);
	for (size_t i = 0; i <= OTHERS; i++) {
		assert_int_equal(comap_pages_file(i ? f->others[i - 1] : 0, f->key, &pages), 0);
		assert_int_equal(pages.shared_clean_bytes + pages.shared_dirty_bytes, pages.rss_bytes);
		pss_bytes += pages.pss_bytes;
		rss_bytes += pages.rss_bytes;
	}
	assert_int_equal(rss_bytes, PAGES * f->page_bytes * (OTHERS + 1));
	assert_int_equal(pss_bytes, PAGES * f->page_bytes);
}

static void who_maps_it(void **state)
{
	struct fixture *f = *state;
	pid_t pids[OTHERS + 1];
	size_t count, hidden;
	unsigned found = 0;

	start_others(f, MAP_SHARED, false);
	assert_int_equal(comap_pages_sharers(f->key, pids, OTHERS + 1, &count, &hidden), 0);
	assert_int_equal(count, OTHERS + 1);
	for (size_t i = 0; i <= OTHERS; i++) {
		found += pids[i] == getpid();
		for (size_t k = 0; k < OTHERS; k++)
			found += pids[i] == f->others[k];
	}
	assert_int_equal(found, OTHERS + 1);
	assert_int_equal(comap_pages_sharers(f->key, NULL, 0, &count, &hidden), 0);
	assert_int_equal(count, OTHERS + 1);
}

static void need_frames(const struct fixture *f)
{
	uint64_t frame;
	int code;

	touch(f, f->shared);
	code = comap_pages_frames(0, f->key, 0, 1, &frame);
	if (code == -EPERM) {
		print_message("skipped: %s\n", comap_error_text());
		skip();
	}
	assert_int_equal(code, 0);
}

static void frames_are_the_same_memory(void **state)
{
	struct fixture *f = *state;
	struct comap_pages_match match;
	uint64_t frames[PAGES], counts[PAGES], folio_bytes;

	need_frames(f);
	start_others(f, MAP_SHARED, false);
	for (size_t i = 0; i < OTHERS; i++) {
		assert_int_equal(comap_pages_compare(0, f->others[i], f->key, 0, PAGES, &match), 0);
		assert_int_equal(match.page_count, PAGES);
		assert_int_equal(match.both_count, PAGES);
		assert_int_equal(match.same_count, PAGES);
	}
	assert_int_equal(comap_pages_frames(0, f->key, 0, PAGES, frames), 0);
	assert_int_equal(comap_pages_mapcount(frames, PAGES, counts), 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(counts[i], OTHERS + 1);
	assert_int_equal(comap_pages_folio(frames[PAGES / 2], &folio_bytes), 0);
	assert_true(folio_bytes >= f->page_bytes);
	assert_int_equal(folio_bytes & (folio_bytes - 1), 0);
}

static void written_private_copies_are_not(void **state)
{
	struct fixture *f = *state;
	struct comap_pages_match match;
	struct comap_pages pages;

	need_frames(f);
	start_others(f, MAP_PRIVATE, true);
	assert_int_equal(comap_pages_compare(0, f->others[0], f->key, 0, PAGES, &match), 0);
	assert_int_equal(match.both_count, PAGES);
	assert_int_equal(match.same_count, 0);
	assert_int_equal(comap_pages_file(f->others[0], f->key, &pages), 0);
	assert_int_equal(pages.private_dirty_bytes, PAGES * f->page_bytes);
}

static void frames_outside_are_none(void **state)
{
	struct fixture *f = *state;
	uint64_t frames[PAGES + 2];

	need_frames(f);
	assert_int_equal(comap_pages_frames(0, f->key, 1, PAGES + 2, frames), 0);
	for (size_t i = 0; i < PAGES - 1; i++)
		assert_true(frames[i] != COMAP_FRAME_NONE);
	for (size_t i = PAGES - 1; i < PAGES + 2; i++)
		assert_int_equal(frames[i], COMAP_FRAME_NONE);
	assert_int_equal(comap_pages_frames(0, f->key, UINT64_MAX, 2, frames), -EINVAL);
}

/* 0: the counts are there and the frames are refused, both as they must be. */
static int look_without_privilege(const struct fixture *f)
{
	struct comap_pages pages;
	uint64_t frame = 77, count;

	if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_DUMPABLE, 1) != 0)
		return 1;
	touch(f, f->shared);
	if (comap_pages_file(0, f->key, &pages) != 0 || pages.rss_bytes != PAGES * f->page_bytes)
		return 2;
	if (comap_pages_frames(0, f->key, 0, 1, &frame) != -EPERM)
		return 3;
	if (comap_pages_mapcount(&frame, 1, &count) != -EPERM)
		return 4;
	if (comap_pages_file(getppid(), f->key, &pages) != -EACCES)
		return 5;
	return 0;
}

static void hidden_is_said(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t child;

	if (getuid() != 0)
		skip(); /* nobody to step down from */
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(look_without_privilege(f));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void held_follows_the_touch(void **state)
{
	struct fixture *f = *state;
	struct comap_pages_held held;

	assert_int_equal(comap_pages_held(f->shared, PAGES * f->page_bytes, &held), 0);
	assert_int_equal(held.page_count, PAGES);
	assert_int_equal(held.present_count, 0);
	touch(f, f->shared);
	assert_int_equal(comap_pages_held(f->shared + 5, PAGES * f->page_bytes - 5, &held), 0);
	assert_int_equal(held.page_count, PAGES);
	assert_int_equal(held.present_count, PAGES);
	assert_int_equal(held.exclusive_count, PAGES);
	assert_int_equal(held.file_count, PAGES);
	start_others(f, MAP_SHARED, false);
	assert_int_equal(comap_pages_held(f->shared, PAGES * f->page_bytes, &held), 0);
	assert_int_equal(held.exclusive_count, 0);
}

static void cached_follows_the_cache(void **state)
{
	struct fixture *f = *state;
	struct comap_pages_cache cache;
	uint64_t cached;
	int code;

	assert_int_equal(comap_pages_cached(f->shared, PAGES * f->page_bytes, &cached), 0);
	assert_int_equal(cached, PAGES);
	assert_int_equal(comap_pages_cached(f->shared + 1, f->page_bytes, &cached), 0);
	assert_int_equal(cached, 2);
	code = comap_pages_cache(f->fd, 0, 0, &cache);
	if (code == -EOPNOTSUPP)
		skip();
	assert_int_equal(code, 0);
	assert_int_equal(cache.cached_count, PAGES);
	assert_true(cache.dirty_count <= PAGES);
	assert_int_equal(comap_pages_cache(f->fd, 3 * f->page_bytes, f->page_bytes, &cache), 0);
	assert_int_equal(cache.cached_count, 1);
}

static void evicted_is_not_cached(void **state)
{
	struct fixture *f = *state;
	uint64_t cached;

	if (fsync(f->fd) != 0 || posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		skip();
	assert_int_equal(comap_pages_cached(f->shared, PAGES * f->page_bytes, &cached), 0);
	if (cached == PAGES) {
		print_message("skipped: this file system keeps its pages\n");
		skip();
	}
	assert_int_equal(cached, 0);
}

static void the_dead_are_not_there(void **state)
{
	struct fixture *f = *state;
	struct comap_pages pages = { .rss_bytes = 77 };
	uint64_t frame;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	assert_int_equal(comap_pages_process(child, &pages), -ESRCH);
	assert_int_equal(comap_pages_file(child, f->key, &pages), -ESRCH);
	assert_int_equal(comap_pages_frames(child, f->key, 0, 1, &frame), -ESRCH);
	assert_int_equal(pages.rss_bytes, 77); /* written only on success */
	assert_int_equal(comap_pages_process(-4, &pages), -EINVAL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_is_what_stat_says),
		TEST(untouched_costs_nothing),
		TEST(alone_pss_is_rss),
		TEST(four_processes_pay_once),
		TEST(who_maps_it),
		TEST(frames_are_the_same_memory),
		TEST(written_private_copies_are_not),
		TEST(frames_outside_are_none),
		TEST(hidden_is_said),
		TEST(held_follows_the_touch),
		TEST(cached_follows_the_cache),
		TEST(evicted_is_not_cached),
		TEST(the_dead_are_not_there),
	};
	int fd = make_file();

	if (fd < 0) {
		printf("SKIPPED: no file can be made in $TMPDIR (or /tmp): %s\n", strerror(errno));
		return SKIPPED;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
