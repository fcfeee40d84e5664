/* SPDX-License-Identifier: MIT */
/* Mappings: open, look, close. Every behaviour of memmap2's own tests, and what it does not test;
 * changing an open mapping is in test_mapping_change.c. */
#include <comap/flush.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)

static struct comap_map *open_map(const char *path, const struct comap_map_options *options)
{
	struct comap_map *map = NULL;
	int code = comap_map_open(path, options, &map);

	if (code)
		fail_msg("%s: %s", path, comap_error_text());
	return map;
}

static void assert_refused(const char *path, const struct comap_map_options *options, int code,
                           enum comap_cause cause)
{
	struct comap_map *map = NULL;

	assert_int_equal(comap_map_open(path, options, &map), code);
	assert_int_equal(comap_last_error()->cause, cause);
	assert_null(map);
}

static void file_is_read(void **state)
{
	const char *path = files_make(PROC_DISK, "read", 3 * 4096 + 17);
	struct comap_map *map = open_map(path, NULL);

	assert_int_equal(comap_map_size_bytes(map), 3 * 4096 + 17);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 3 * 4096 + 17), 3 * 4096 + 17);
	assert_null(comap_map_data_mutable(map));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_READ_ONLY);
	comap_map_close(map);
}

static void file_is_written(void **state)
{
	const char *path = files_make(PROC_DISK, "write", 4096);
	struct comap_map *map = open_map(path, WRITE()), *reader = open_map(path, NULL);

	memcpy(comap_map_data_mutable(map), "written", 7);
	assert_memory_equal(comap_map_data(reader), "written", 7); /* at once, read-only or not */
	comap_map_close(reader);
	assert_true(files_equal(path, 0, "written", 7));
	comap_map_close(map);
	assert_true(files_equal(path, 0, "written", 7));
}

static void descriptor_is_opened_anew(void **state)
{
	const char *path = files_make(PROC_SHM, "by-fd", 100);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct comap_map *map = NULL;

	assert_int_equal(comap_map_open_fd(fd, NULL, &map), 0);
	close(fd);
	assert_int_equal(*(const unsigned char *)comap_map_data(map), files_pattern(0));
	/* A read-only handle cannot punch, not even through its mapping: the description is O_RDONLY. */
	assert_int_equal(fcntl(comap_map_descriptor(map), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(madvise((void *)(uintptr_t)comap_map_data(map), 4096, MADV_REMOVE), -1);
	comap_map_close(map);
}

static void descriptor_without_a_path_is_duplicated(void **state)
{
	const char *path = files_make(PROC_DISK, "given", 100);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct comap_map *map = NULL;

	/* Given by somebody who may open it to somebody who may not. */
	assert_int_equal(chmod(path, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(comap_map_open_fd(fd, NULL, &map), 0);
	assert_int_equal(comap_map_open_fd(fd, WRITE(), &map), -EACCES);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	close(fd);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 100), 100);
	comap_map_close(map);
}

static void empty_file_maps_nothing(void **state)
{
	const char *path = files_make(PROC_DISK, "empty", 0);
	struct comap_map *map = open_map(path, WRITE());

	assert_int_equal(comap_map_size_bytes(map), 0);
	assert_non_null(comap_map_data(map));
	assert_non_null(comap_map_at(map, 0, 0, 1));
	assert_null(comap_map_at(map, 0, 1, 1));
	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_WILLNEED), 0);
	assert_int_equal(comap_map_lock(map, 0, COMAP_MAP_REST, COMAP_LOCK_NOW), 0);
	assert_false(comap_map_may_fault(map));
	comap_map_close(map);
	comap_map_close(NULL);
}

static void nothing_of_a_file_is_mapped(void **state)
{
	const char *path = files_make(PROC_DISK, "tail", 5000);
	struct comap_map *map = open_map(path, COMAP_MAP_OPTIONS(.offset_bytes = 5000));

	assert_int_equal(comap_map_size_bytes(map), 0);
	comap_map_close(map);
	map = open_map(path, COMAP_MAP_OPTIONS(.size_bytes = COMAP_MAP_EMPTY));
	assert_int_equal(comap_map_size_bytes(map), 0);
	comap_map_close(map);
}

static void anonymous_memory_is_zeroed(void **state)
{
	struct comap_map *map = NULL;
	unsigned char *bytes;

	assert_int_equal(comap_map_open_anonymous(13000, NULL, &map), 0);
	bytes = comap_map_data_mutable(map);
	for (unsigned i = 0; i < 13000; i++)
		assert_int_equal(bytes[i], 0);
	memset(bytes, 42, 13000);
	assert_int_equal(comap_map_descriptor(map), -1);
	assert_false(comap_map_may_fault(map));
	comap_map_close(map);
	assert_int_equal(comap_map_open_anonymous(0, NULL, &map), 0);
	assert_int_equal(comap_map_size_bytes(map), 0);
	comap_map_close(map);
	assert_int_equal(comap_map_open_anonymous(UINT64_MAX - 5, NULL, &map), -ENOMEM);
	assert_int_equal(comap_map_open_anonymous((uint64_t)PTRDIFF_MAX + 1, WRITE(), &map), -ENOMEM);
}

static int store_in_both(void *maps)
{
	struct comap_map **pair = maps;

	*(char *)comap_map_data_mutable(pair[0]) = 's';
	*(char *)comap_map_data_mutable(pair[1]) = 'p';
	return 0;
}

static void anonymous_memory_is_shared_or_not(void **state)
{
	struct comap_map *maps[2];

	assert_int_equal(comap_map_open_anonymous(100, WRITE(), &maps[0]), 0);
	assert_int_equal(comap_map_open_anonymous(100, NULL, &maps[1]), 0);
	proc_assert_ok(proc_spawn("child", store_in_both, maps));
	assert_int_equal(*(const char *)comap_map_data(maps[0]), 's');
	assert_int_equal(*(const char *)comap_map_data(maps[1]), 0);
	comap_map_close(maps[0]);
	comap_map_close(maps[1]);
}

static void private_copy_stays_private(void **state)
{
	const char *path = files_make(PROC_DISK, "copy", 4096);
	struct comap_map *map = open_map(path, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY));
	struct comap_map *other = open_map(path, NULL);

	memcpy(comap_map_data_mutable(map), "mine", 4);
	assert_memory_equal(comap_map_data(map), "mine", 4);
	assert_int_equal(files_first_wrong(comap_map_data(other), 0, 4096), 4096);
	comap_map_close(map);
	comap_map_close(other);
	map = open_map(path, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY_READ));
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 4096), 4096);
	assert_null(comap_map_data_mutable(map));
	comap_map_close(map);
}

static void offset_is_any(void **state)
{
	const uint64_t far = ((uint64_t)1 << 32) + 1; /* beyond what 32 bits hold */
	const char *path = files_make(PROC_DISK, "far", 0);
	struct comap_map *map;

	files_resize(path, far + 10000);
	files_write(path, far, 10000);
	map = open_map(path, WRITE(.offset_bytes = far));
	assert_int_equal(comap_map_size_bytes(map), 10000);
	assert_int_equal(files_first_wrong(comap_map_data(map), far, 10000), 10000);
	memcpy(comap_map_at_mutable(map, 9997, 3, 1), "end", 3);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), 0);
	assert_true(files_equal(path, far + 9997, "end", 3));
	comap_map_close(map);
}

static void range_must_be_there(void **state)
{
	const char *path = files_make(PROC_DISK, "short", 5000);

	assert_refused(path, COMAP_MAP_OPTIONS(.offset_bytes = 5001), -ERANGE, COMAP_CAUSE_BOUNDS);
	assert_refused(path, COMAP_MAP_OPTIONS(.size_bytes = 5001), -ERANGE, COMAP_CAUSE_BOUNDS);
	assert_refused(path, COMAP_MAP_OPTIONS(.offset_bytes = 4999, .size_bytes = 2), -ERANGE,
	               COMAP_CAUSE_BOUNDS);
	assert_refused(path, COMAP_MAP_OPTIONS(.offset_bytes = 8, .size_bytes = UINT64_MAX - 4), -EINVAL,
	               COMAP_CAUSE_ARGUMENT);
	assert_refused(path, COMAP_MAP_OPTIONS(.offset_bytes = UINT64_MAX), -ERANGE, COMAP_CAUSE_BOUNDS);
	assert_int_equal(files_size_bytes(path), 5000);
}

static void extending_makes_space(void **state)
{
	for (enum proc_place place = 0; place < PROC_PLACES; place++) {
		const char *path = files_make(place, "extended", 10);
		struct comap_map *map = open_map(path, WRITE(.flags = COMAP_MAP_EXTEND, .size_bytes = 100001));

		assert_int_equal(files_size_bytes(path), 100001);
		assert_true(files_allocated_bytes(path) >= 100001);
		assert_int_equal(files_first_wrong(comap_map_data(map), 0, 10), 10);
		comap_map_close(map);
	}
}

static void creation_is_by_flag(void **state)
{
	const char *path = proc_path(PROC_DISK, "created");
	struct comap_map *map;
	struct stat st;

	assert_refused(path, WRITE(), -ENOENT, COMAP_CAUSE_NOT_FOUND);
	umask(0);
	map = open_map(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND | COMAP_MAP_EXCLUSIVE,
	                           .size_bytes = 64));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	comap_map_close(map);
	assert_refused(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXCLUSIVE), -EEXIST,
	               COMAP_CAUSE_EXISTS);
	assert_refused(path, COMAP_MAP_OPTIONS(.flags = COMAP_MAP_CREATE), -EINVAL, COMAP_CAUSE_ARGUMENT);
}

static void only_regular_files(void **state)
{
	const char *path = proc_path(PROC_DISK, "fifo");

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(path, NULL, -EINVAL, COMAP_CAUSE_NOT_REGULAR); /* and does not hang */
	assert_refused("/", NULL, -EINVAL, COMAP_CAUSE_NOT_REGULAR);
	assert_refused("/dev/null", NULL, -EINVAL, COMAP_CAUSE_NOT_REGULAR);
}

static void links_are_followed_unless_refused(void **state)
{
	const char *path = files_make(PROC_DISK, "target", 10), *link = proc_path(PROC_DISK, "link");

	assert_int_equal(symlink(path, link), 0);
	comap_map_close(open_map(link, NULL));
	assert_refused(link, COMAP_MAP_OPTIONS(.flags = COMAP_MAP_NOFOLLOW), -ELOOP, COMAP_CAUSE_LINK);
}

static void options_of_another_version(void **state)
{
	struct { struct comap_map_options known; uint64_t newer; } tomorrow = {
		.known = { .struct_bytes = sizeof tomorrow },
	};
	const char *path = files_make(PROC_DISK, "versions", 10);
	struct comap_map_options yesterday = { .struct_bytes = 16, .mode = COMAP_MAP_READ, .offset_bytes = 99 };

	comap_map_close(open_map(path, &yesterday)); /* the offset was not yet known then */
	comap_map_close(open_map(path, &tomorrow.known));
	tomorrow.newer = 1;
	assert_refused(path, &tomorrow.known, -EINVAL, COMAP_CAUSE_ARGUMENT);
	yesterday.struct_bytes = 0;
	assert_refused(path, &yesterday, -EINVAL, COMAP_CAUSE_ARGUMENT);
	assert_refused(path, COMAP_MAP_OPTIONS(.mode = 9), -EINVAL, COMAP_CAUSE_ARGUMENT);
	assert_refused(path, COMAP_MAP_OPTIONS(.flags = 1u << 30), -EINVAL, COMAP_CAUSE_ARGUMENT);
}

static void access_is_checked(void **state)
{
	const char *path = files_make(PROC_DISK, "checked", 4096 + 10);
	struct comap_map *map = open_map(path, NULL), *odd = open_map(path, COMAP_MAP_OPTIONS(.offset_bytes = 3));

	assert_ptr_equal(comap_map_at(map, 0, 4106, 1), comap_map_data(map));
	assert_non_null(comap_map_at(map, 4104, 2, 8));
	assert_null(comap_map_at(map, 4104, 3, 8));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BOUNDS);
	assert_int_equal(comap_last_error()->offset_bytes, 4104);
	assert_null(comap_map_at(map, UINT64_MAX, 2, 1));
	assert_null(comap_map_at(map, 2, UINT64_MAX - 1, 1));
	assert_null(comap_map_at(map, 4, 8, 8));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_ARGUMENT);
	assert_null(comap_map_at(map, 0, 8, 3)); /* no power of two */
	assert_null(comap_map_at(odd, 0, 4, 4)); /* the address counts, not the offset */
	assert_non_null(comap_map_at(odd, 1, 4, 4));
	assert_null(comap_map_at_mutable(map, 0, 1, 1));
	assert_null(comap_map_at(NULL, 0, 0, 1));
	comap_map_close(map);
	comap_map_close(odd);
}

static void file_may_go_before_its_mapping(void **state)
{
	const char *path = files_make(PROC_DISK, "gone", 5000), *other = files_make(PROC_DISK, "other", 10);
	struct comap_map *map = open_map(path, NULL);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 5000), 5000);
	comap_map_close(map);
	path = files_make(PROC_DISK, "gone", 5000);
	map = open_map(path, NULL);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 5000), 5000);
	comap_map_close(map);
}

static void *sum_bytes(void *map)
{
	return (void *)(uintptr_t)files_first_wrong(comap_map_data(map), 0, comap_map_size_bytes(map));
}

static void handle_is_read_by_threads(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "threads", 100000), NULL);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sum_bytes, map), 0);
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_int_equal((uintptr_t)result, 100000);
	}
	comap_map_close(map);
}

static void description_is_a_line(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "line", 4097), NULL);
	char text[400], small[8];
	size_t length = comap_map_describe(map, text, sizeof text);

	assert_int_equal(length, strlen(text));
	assert_non_null(strstr(text, "/line: 4097 bytes at offset 0, read only"));
	assert_int_equal(comap_map_describe(map, small, sizeof small), length);
	assert_int_equal(strlen(small), 7);
	comap_map_close(map);
}

static void sealed_memory_cannot_fault(void **state)
{
	struct comap_map *map = NULL, *reader = NULL, *writer = NULL;
	unsigned seals = COMAP_SEAL_SHRINK | COMAP_SEAL_GROW | COMAP_SEAL_WRITE_LATER | COMAP_SEAL_SEALS;

	assert_int_equal(comap_map_open_memory("sealed", 5000, COMAP_MAP_OPTIONS(.seals = seals), &map), 0);
	assert_false(comap_map_may_fault(map));
	assert_int_equal(ftruncate(comap_map_descriptor(map), 1), -1);
	assert_int_equal(comap_map_open_fd(comap_map_descriptor(map), NULL, &reader), 0);
	assert_false(comap_map_may_fault(reader));
	strcpy(comap_map_data_mutable(map), "still written");
	assert_string_equal(comap_map_data(reader), "still written");
	assert_int_equal(comap_map_open_fd(comap_map_descriptor(map), WRITE(), &writer), -EPERM);
	assert_int_equal(comap_map_protect(reader, 0, COMAP_MAP_REST, COMAP_PROTECT_WRITE), -EACCES);
	comap_map_close(map);
	assert_string_equal(comap_map_data(reader), "still written");
	comap_map_close(reader);
	/* Unsealed memory may. */
	assert_int_equal(comap_map_open_memory(NULL, 5000, NULL, &map), 0);
	assert_true(comap_map_may_fault(map));
	comap_map_close(map);
}

static void population_is_reported(void **state)
{
	const char *path = files_make(PROC_DISK, "populated", 64 * 4096);
	struct comap_map *map = open_map(path, COMAP_MAP_OPTIONS(.populate = COMAP_POPULATE_READ));
	unsigned char resident[64];

	assert_int_equal(mincore((void *)(uintptr_t)comap_map_data(map), 64 * 4096, resident), 0);
	for (int i = 0; i < 64; i++)
		assert_true(resident[i] & 1);
	files_resize(path, 4096);
	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_POPULATE_READ), -EIO);
	comap_map_close(map);
	assert_refused(path, COMAP_MAP_OPTIONS(.populate = COMAP_POPULATE_WRITE), -EINVAL,
	               COMAP_CAUSE_ARGUMENT);
}

static void executable_mapping_runs(void **state)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0xb8, 0xab, 0, 0, 0, 0xc3 }; /* mov $0xab, %eax; ret */
	const char *path = proc_path(PROC_DISK, "code");
	struct comap_map *map = open_map(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND,
	                                             .size_bytes = sizeof code));
	int (*function)(void);
	const void *entry;

	memcpy(comap_map_data_mutable(map), code, sizeof code);
	comap_map_close(map);
	map = open_map(path, COMAP_MAP_OPTIONS(.flags = COMAP_MAP_EXECUTE));
	entry = comap_map_data(map);
	memcpy(&function, &entry, sizeof function);
	assert_int_equal(function(), 0xab);
	comap_map_close(map);
#else
	skip();
#endif
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(file_is_read),
	PROC_TEST(file_is_written),
	PROC_TEST(descriptor_is_opened_anew),
	PROC_TEST(descriptor_without_a_path_is_duplicated),
	PROC_TEST(empty_file_maps_nothing),
	PROC_TEST(nothing_of_a_file_is_mapped),
	PROC_TEST(anonymous_memory_is_zeroed),
	PROC_TEST(anonymous_memory_is_shared_or_not),
	PROC_TEST(private_copy_stays_private),
	PROC_TEST(offset_is_any),
	PROC_TEST(range_must_be_there),
	PROC_TEST(extending_makes_space),
	PROC_TEST(creation_is_by_flag),
	PROC_TEST(only_regular_files),
	PROC_TEST(links_are_followed_unless_refused),
	PROC_TEST(options_of_another_version),
	PROC_TEST(access_is_checked),
	PROC_TEST(file_may_go_before_its_mapping),
	PROC_TEST(handle_is_read_by_threads),
	PROC_TEST(description_is_a_line),
	PROC_TEST(sealed_memory_cannot_fault),
	PROC_TEST(population_is_reported),
	PROC_TEST(executable_mapping_runs),
};

int main(void)
{
	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
