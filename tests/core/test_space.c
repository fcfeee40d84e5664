/* SPDX-License-Identifier: MIT */
/* Full disks, and broken ones: an error, never a signal. The matrix: tmpfs, ext4, xfs, reflinked xfs (small
 * file systems of our own, root only) times opening, growing, filling holes, copying, storing. */
#include <comap/flush.h>
#include <comap/guard.h>

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)
#define MIB ((uint64_t)1 << 20)

enum { TMPFS, EXT4, XFS, KINDS };
static const char *const kinds[KINDS] = { "tmpfs", "ext4", "xfs" };
static const char *where[KINDS]; /* NULL: cannot be tested here */
static unsigned skipped;

static const char *file_in(int kind, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", where[kind], name);
	return path;
}

static void make_sparse(const char *path, uint64_t size_bytes)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	MUST(fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0);
	close(fd);
}

#define EACH_KIND(kind) for (int kind = 0; kind < KINDS; kind++) if (where[kind])

static void opening_finds_no_space(void **state)
{
	EACH_KIND(kind) {
		const char *path = file_in(kind, "opened");
		struct comap_map *map = NULL;
		int code = comap_map_open(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND,
		                                      .size_bytes = 8192 * MIB), &map);

		assert_int_equal(code, -ENOSPC);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NO_SPACE);
		assert_int_equal(files_size_bytes(path), 0);
		MUST(unlink(path) == 0);
	}
}

static void growing_finds_no_space(void **state)
{
	EACH_KIND(kind) {
		const char *path = file_in(kind, "grown");
		struct comap_map *map = NULL;

		MUST(comap_map_open(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND, .size_bytes = MIB,
		                                .maximum_bytes = 8192 * MIB), &map) == 0);
		memset(comap_map_data_mutable(map), 1, MIB);
		assert_int_equal(comap_map_resize(map, 8000 * MIB, 0), -ENOSPC);
		assert_int_equal(comap_map_size_bytes(map), MIB);
		assert_int_equal(files_size_bytes(path), MIB);
		memset(comap_map_data_mutable(map), 2, MIB); /* what it had, it has */
		assert_int_equal(comap_map_status(map), 0);
		comap_map_close(map);
		MUST(unlink(path) == 0);
	}
}

static void allocated_space_is_ours(void **state)
{
	EACH_KIND(kind) {
		const char *path = file_in(kind, "allocated");
		struct comap_map *map = NULL;

		make_sparse(path, 4 * MIB);
		MUST(comap_map_open(path, WRITE(.flags = COMAP_MAP_ALLOCATE), &map) == 0);
		files_guard();
		mounts_fill(where[kind]);
		memset(comap_map_data_mutable(map), 7, 4 * MIB);
		assert_int_equal(comap_map_status(map), 0);
		assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), 0);
		comap_map_close(map);
		mounts_unfill(where[kind]);
		MUST(unlink(path) == 0);
	}
}

static void holes_find_no_space(void **state)
{
	EACH_KIND(kind) {
		const char *path = file_in(kind, "holes");
		struct comap_map *map = NULL, *refused = NULL;
		struct comap_fault fault;
		volatile int caught = 0;

		make_sparse(path, 64 * MIB);
		mounts_fill(where[kind]);
		assert_int_equal(comap_map_open(path, WRITE(.flags = COMAP_MAP_ALLOCATE), &refused), -ENOSPC);
		assert_true(comap_map_open(path, WRITE(.populate = COMAP_POPULATE_WRITE), &refused) < 0);
		MUST(comap_map_open(path, WRITE(), &map) == 0);
		files_guard();
		assert_int_equal(comap_map_copy_in(map, 9 * MIB, "x", 1), -ENOSPC);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NO_SPACE);
		COMAP_TRY(map) {
			memset(comap_map_at_mutable(map, 0, 64 * MIB, 1), 'x', 64 * MIB);
		} COMAP_CATCH(code) {
			caught = code;
		}
		assert_int_equal(caught, -ENOSPC);
		assert_int_equal(comap_map_status(map), 0);
		memset(comap_map_at_mutable(map, 32 * MIB, 32 * MIB, 1), 'y', 32 * MIB); /* patched */
		assert_int_equal(comap_map_status(map), -ENOSPC);
		comap_map_fault(map, &fault);
		assert_int_equal(fault.cause, COMAP_CAUSE_NO_SPACE);
		assert_true(fault.first_offset_bytes >= 32 * MIB);
		assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), -ENOSPC);
		mounts_unfill(where[kind]);
		/* There is room again: repaired, and written anew. */
		assert_int_equal(comap_map_repair(map), 0);
		memset(comap_map_at_mutable(map, 40 * MIB, MIB, 1), 'z', MIB);
		assert_int_equal(comap_map_status(map), 0);
		comap_map_close(map);
		MUST(unlink(path) == 0);
	}
}

/* Blocks that a clone shares are allocated, and yet a store needs new ones. */
static void shared_blocks_find_no_space(void **state)
{
	const char *path = where[XFS] ? file_in(XFS, "original") : NULL, *clone;
	struct comap_map *map = NULL, *own = NULL;
	int from, to;

	if (!path)
		skip();
	clone = file_in(XFS, "clone");
	make_sparse(path, 0);
	files_write(path, 0, 8 * MIB);
	from = open(path, O_RDONLY | O_CLOEXEC);
	to = open(clone, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	MUST(from >= 0 && to >= 0 && fsync(from) == 0 && ioctl(to, FICLONE, from) == 0);
	close(from);
	close(to);
	/* Unshared in time: */
	MUST(comap_map_open(path, WRITE(.flags = COMAP_MAP_ALLOCATE, .size_bytes = MIB), &own) == 0);
	files_guard();
	mounts_fill(where[XFS]);
	memset(comap_map_data_mutable(own), 'o', MIB);
	assert_int_equal(comap_map_status(own), 0);
	assert_int_equal(comap_map_flush(own, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), 0);
	/* Too late: refused, or noticed. */
	assert_int_equal(comap_map_open(clone, WRITE(.flags = COMAP_MAP_ALLOCATE), &map), -ENOSPC);
	MUST(comap_map_open(clone, WRITE(), &map) == 0);
	memset(comap_map_at_mutable(map, 2 * MIB, 6 * MIB, 1), 'c', 6 * MIB);
	assert_int_equal(comap_map_status(map), -ENOSPC);
	comap_map_close(map);
	comap_map_close(own);
	mounts_unfill(where[XFS]);
	MUST(unlink(path) == 0 && unlink(clone) == 0);
}

/* tmpfs allocates on reading a hole, too. */
static void reading_a_hole_finds_no_space(void **state)
{
	const char *path = file_in(TMPFS, "read-hole");
	struct comap_map *map = NULL;
	char byte = 'x';

	make_sparse(path, MIB);
	mounts_fill(where[TMPFS]);
	MUST(comap_map_open(path, NULL, &map) == 0);
	files_guard();
	assert_int_equal(comap_map_copy_out(map, 5000, &byte, 1), -ENOSPC);
	assert_int_equal(*(const volatile char *)comap_map_at(map, 5000, 1, 1), 0);
	assert_int_equal(comap_map_status(map), -ENOSPC);
	comap_map_close(map);
	mounts_unfill(where[TMPFS]);
	MUST(unlink(path) == 0);
}

/* An xfs that has shut down delivers no page that is not in memory yet. */
static void broken_disk_is_an_error(void **state)
{
	const char *path;
	struct comap_map *map = NULL;
	unsigned char byte[16];
	int fd;

	if (!where[XFS])
		skip();
	path = file_in(XFS, "broken");
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	for (int i = 0; i < 256; i++)
		MUST(pwrite(fd, path, 16, i * 65536) == 16);
	MUST(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	close(fd);
	MUST(comap_map_open(path, NULL, &map) == 0);
	files_guard();
	assert_int_equal(comap_map_copy_out(map, 0, byte, 16), 0);
	mounts_power_cut(where[XFS]);
	assert_int_equal(*(const volatile unsigned char *)comap_map_at(map, 200 * 65536, 1, 1), 0);
	assert_int_equal(comap_map_status(map), -EIO);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_IO);
	assert_int_equal(comap_last_error()->offset_bytes, 200 * 65536);
	assert_int_equal(comap_map_copy_out(map, 220 * 65536, byte, 16), -EIO);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_IO);
	comap_map_close(map);
	mounts_again(where[XFS]);
	MUST(unlink(path) == 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(opening_finds_no_space),
	cmocka_unit_test(growing_finds_no_space),
	cmocka_unit_test(allocated_space_is_ours),
	cmocka_unit_test(holes_find_no_space),
	cmocka_unit_test(shared_blocks_find_no_space),
	cmocka_unit_test(reading_a_hole_finds_no_space),
	cmocka_unit_test(broken_disk_is_an_error),
};

int main(void)
{
	const char *reason;
	int failures;

	reason = mounts_begin();
	if (reason)
		files_skip(reason);
	where[TMPFS] = mounts_tmpfs("small", 32 * MIB);
	for (int kind = EXT4; kind < KINDS; kind++) {
		where[kind] = mounts_image(kinds[kind], "/tmp", kinds[kind], (kind == XFS ? 300 : 48) * MIB, &reason);
		if (!where[kind]) {
			printf("SKIPPED: %s: %s\n", kinds[kind], reason);
			skipped++;
		}
	}
	failures = cmocka_run_group_tests_name("space", tests, NULL, NULL);
	for (int kind = 0; kind < KINDS; kind++)
		if (where[kind])
			mounts_end(where[kind]);
	return failures ? failures : skipped ? FILES_SKIP : 0;
}
