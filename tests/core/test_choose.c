/* SPDX-License-Identifier: MIT */
/* Choose: the way of reading follows the file, the use, and what the page cache holds. */
#include <comap/mapping.h>
#include <comap/scan.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static struct comap_choice choose(const char *path, struct comap_use use)
{
	struct comap_choice choice;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	use.struct_bytes = sizeof use;
	MUST(fd >= 0);
	assert_int_equal(comap_choose(fd, &use, &choice), 0);
	assert_true(strlen(choice.reason) > 10);
	close(fd);
	return choice;
}

static void choices(void **state)
{
	const char *small = files_make(PROC_SHM, "small", 1000);
	const char *large = files_make(PROC_DISK, "large", 16 << 20);
	struct comap_choice choice;
	int ends[2];

	assert_int_equal(choose(small, (struct comap_use){ 0 }).method, COMAP_METHOD_WHOLE);
	assert_int_equal(choose(small, (struct comap_use){ .writes = 1 }).method, COMAP_METHOD_MAP_WRITE);
	assert_int_equal(choose("/proc/self/maps", (struct comap_use){ 0 }).method, COMAP_METHOD_STREAM);
	assert_int_equal(choose(large, (struct comap_use){ .follows = 1 }).method, COMAP_METHOD_STREAM);
	assert_int_equal(choose(large, (struct comap_use){ .pass_count = 10 }).method, COMAP_METHOD_MAP);
	choice = choose(files_make(PROC_DISK, "middle", 4 << 20), (struct comap_use){ 0 });
	assert_int_equal(choice.method, COMAP_METHOD_STREAM);
	assert_int_equal(choice.resident_percent, -1); /* it was not worth a look */
	choice = choose(large, (struct comap_use){ .random = 1 });
	assert_int_equal(choice.method, COMAP_METHOD_MAP);
	assert_int_equal(choice.resident_percent, 100);
	assert_int_equal(choice.advice, 0);
	assert_true(choice.fault_bytes == 0 ||
	            (choice.fault_bytes >= 4096 && choice.fault_bytes <= 2 << 20));
	choice = choose(large, (struct comap_use){ 0 });
	assert_int_equal(choice.method, choice.folios == COMAP_FOLIOS_LARGE ? COMAP_METHOD_MAP
	                                                                    : COMAP_METHOD_STREAM);
	MUST(pipe2(ends, O_CLOEXEC) == 0);
	assert_int_equal(comap_choose(ends[0], NULL, &choice), 0);
	assert_int_equal(choice.method, COMAP_METHOD_STREAM);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(comap_choose(-1, NULL, &choice), -EBADF);
	assert_int_equal(comap_choose(0, NULL, NULL), -EINVAL);
}

static void choice_counts_the_jumps(void **state)
{
	const char *path = files_make(PROC_DISK, "jumps", 64 << 20);
	struct comap_use use = { .random = 1, .access_count = 20 };
	struct comap_choice choice = choose(path, use);

	assert_int_equal(choice.method, COMAP_METHOD_PREAD);
	assert_int_equal(choice.resident_percent, -1); /* so few are not worth a look */
	assert_string_equal(comap_method_name(choice.method), "pread");
	use.access_count = 1000000; /* 15 for each page */
	assert_int_equal(choose(path, use).method, COMAP_METHOD_MAP);
	use.access_count = UINT64_MAX;
	assert_int_equal(choose(path, use).method, COMAP_METHOD_MAP);
	/* Whole files many times over: copying them costs more than mapping them once. */
	use = (struct comap_use){ .random = 1, .access_count = 1000, .access_bytes = UINT64_MAX };
	assert_int_equal(choose(path, use).method, COMAP_METHOD_MAP);
	use = (struct comap_use){ .random = 0, .access_count = 20 };
	assert_int_not_equal(choose(path, use).method, COMAP_METHOD_PREAD);
}

/* A use as it was before jumps were counted: shorter, and still understood. */
static void shorter_uses_are_understood(void **state)
{
	int fd = open(files_make(PROC_DISK, "older", 16 << 20), O_RDONLY | O_CLOEXEC);
	struct comap_use use = { .struct_bytes = offsetof(struct comap_use, access_count), .random = 1,
	                         .access_count = 1 };
	struct comap_choice choice;

	MUST(fd >= 0);
	assert_int_equal(comap_choose(fd, &use, &choice), 0);
	assert_int_equal(choice.method, COMAP_METHOD_MAP);
	close(fd);
}

/* No scan jumps. */
static void no_scan_takes_pread(void **state)
{
	struct comap_scan *scan;

	assert_int_equal(comap_scan_open("/proc/self/maps", COMAP_SCAN_OPTIONS(.method =
	                 COMAP_METHOD_PREAD), &scan), -EINVAL);
}

static void choice_follows_the_cache(void **state)
{
	const char *path = files_make(PROC_DISK, "cold", 16 << 20);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct comap_choice choice;

	MUST(fd >= 0);
	if (fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		skip();
	close(fd);
	choice = choose(path, (struct comap_use){ .random = 1 });
	if (choice.resident_percent == 100) {
		print_message("skipped: this file system keeps its pages\n");
		skip();
	}
	assert_int_equal(choice.resident_percent, 0);
	assert_int_equal(choice.advice, COMAP_ADVICE_RANDOM);
	choice = choose(path, (struct comap_use){ .random = 1, .access_count = 1000 });
	assert_int_equal(choice.method, COMAP_METHOD_PREAD);
	choice = choose(path, (struct comap_use){ 0 });
	assert_int_equal(choice.method, COMAP_METHOD_STREAM);
	assert_int_equal(choice.resident_percent, 0); /* looking did not read it in */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(choices),
		PROC_TEST(choice_counts_the_jumps),
		PROC_TEST(shorter_uses_are_understood),
		PROC_TEST(no_scan_takes_pread),
		PROC_TEST(choice_follows_the_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
