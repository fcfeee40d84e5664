/* SPDX-License-Identifier: MIT */
/* A mapping is lazy, and advice decides how far one byte reaches (examples/core/lazy.c prints it). */
#include <comap/mapping.h>
#include <comap/pages.h>

#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGES 4096u /* 16 MiB: more than any read-ahead of one fault */
#define BYTES (PAGES * 4096ull)

static const char *path;

static uint64_t cached(const struct comap_map *map)
{
	uint64_t count = 0;

	MUST(comap_pages_cached(comap_map_data(map), BYTES, &count) == 0);
	return count;
}

static struct comap_map *map_cold(void)
{
	struct comap_map *map = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	close(fd);
	MUST(comap_map_open(path, NULL, &map) == 0);
	return map;
}

static long major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_majflt;
}

/* Pages in memory after touching one byte in the middle. */
static uint64_t pages_of_a_byte(int advice, long *ret_major)
{
	struct comap_map *map = map_cold();
	uint64_t count;
	long before;

	assert_int_equal(cached(map), 0); /* mapping reads nothing */
	if (advice >= 0)
		assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, (enum comap_advice)advice), 0);
	before = major_faults();
	assert_int_equal(*(const volatile unsigned char *)comap_map_at(map, BYTES / 2, 1, 1),
	                 files_pattern(BYTES / 2));
	*ret_major = major_faults() - before;
	count = cached(map);
	/* Nothing is left on its way, which could arrive when the next one looks. */
	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_POPULATE_READ), 0);
	comap_map_close(map);
	return count;
}

static void one_byte_brings_what_was_advised(void **state)
{
	long major;
	uint64_t plain, normal, alone, ahead, wanted, all;

	plain = pages_of_a_byte(-1, &major);
	assert_int_equal(major, 1);
	assert_in_range(plain, 2, PAGES - 1); /* its neighbours, not the file */
	normal = pages_of_a_byte(COMAP_ADVICE_NORMAL, &major);
	assert_in_range(normal, 2, PAGES - 1);
	alone = pages_of_a_byte(COMAP_ADVICE_RANDOM, &major);
	assert_int_equal(major, 1);
	assert_in_range(alone, 1, 16); /* one page, or one folio of 64 KiB */
	ahead = pages_of_a_byte(COMAP_ADVICE_SEQUENTIAL, &major);
	assert_in_range(ahead, 2, PAGES - 1);
	wanted = pages_of_a_byte(COMAP_ADVICE_WILLNEED, &major);
	assert_in_range(wanted, 2, PAGES); /* it is begun, and may be under way */
	all = pages_of_a_byte(COMAP_ADVICE_POPULATE_READ, &major);
	assert_int_equal(all, PAGES);
	assert_int_equal(major, 0);
	printf("one byte of %u pages: %llu plain, %llu NORMAL, %llu RANDOM, %llu SEQUENTIAL, %llu WILLNEED, "
	       "%llu POPULATE_READ\n", PAGES, (unsigned long long)plain, (unsigned long long)normal,
	       (unsigned long long)alone, (unsigned long long)ahead, (unsigned long long)wanted,
	       (unsigned long long)all);
}

/* What is in memory comes without I/O, and others brought it: the cache is everybody's. */
static void warm_pages_cost_no_major_fault(void **state)
{
	struct comap_map *map = map_cold(), *other = NULL;
	long before;

	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_POPULATE_READ), 0);
	MUST(comap_map_open(path, NULL, &other) == 0);
	before = major_faults();
	for (uint64_t at = 0; at < BYTES; at += 4096)
		(void)*(const volatile char *)comap_map_at(other, at, 1, 1);
	assert_int_equal(major_faults() - before, 0);
	comap_map_close(map);
	comap_map_close(other);
}

static int set_up(void **state)
{
	if (proc_setup(state) != 0)
		return -1;
	path = files_make(PROC_DISK, "lazy", BYTES);
	return 0;
}

/* On a tmpfs the cache is the file: nothing can be put out. */
static void skip_where_nothing_leaves_the_cache(void)
{
	const char *probe = "lazy-probe";
	int fd = open(probe, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	struct comap_map *map = NULL;
	uint64_t count = 1;

	MUST(fd >= 0 && unlink(probe) == 0 && ftruncate(fd, 4096) == 0 && pwrite(fd, "x", 1, 0) == 1);
	MUST(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	MUST(comap_map_open_fd(fd, NULL, &map) == 0);
	MUST(comap_pages_cached(comap_map_data(map), 4096, &count) == 0);
	comap_map_close(map);
	close(fd);
	if (count)
		files_skip("this folder's file system keeps its pages in memory");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(one_byte_brings_what_was_advised, set_up, proc_teardown),
	cmocka_unit_test_setup_teardown(warm_pages_cost_no_major_fault, set_up, proc_teardown),
};

int main(void)
{
	skip_where_nothing_leaves_the_cache();
	return cmocka_run_group_tests_name("lazy", tests, NULL, NULL);
}
