/* SPDX-License-Identifier: MIT */
/* Flushes that tell the truth: what they cover survives a power cut; after a failure none succeeds. */
#include <comap/flush.h>
#include <comap/guard.h>

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)
#define MIB ((uint64_t)1 << 20)
#define ITERATIONS 20u /* power cuts per file system */

static unsigned skipped;

static struct comap_map *open_map(const char *path, const struct comap_map_options *options)
{
	struct comap_map *map = NULL;

	if (comap_map_open(path, options, &map) != 0)
		fail_msg("%s", comap_error_text());
	files_guard();
	return map;
}

/* ---- what a flush says --------------------------------------------------------------------- */

static void each_way_flushes(void **state)
{
	const char *path = proc_path(PROC_DISK, "ways");
	struct comap_map *map = open_map(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND,
	                                                    .size_bytes = 3 * 4096 + 5));
	struct comap_map *memory = NULL, *copy = open_map(path, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY));

	memset(comap_map_data_mutable(map), 'x', 3 * 4096 + 5);
	for (enum comap_flush how = COMAP_FLUSH_DATA; how <= COMAP_FLUSH_START; how++) {
		assert_int_equal(comap_map_flush(map, how, 0, COMAP_MAP_REST), 0);
		assert_int_equal(comap_map_flush(map, how, 5000, 3), 0); /* of any alignment */
		assert_int_equal(comap_map_flush(map, how, 0, 0), 0);
		assert_int_equal(comap_map_flush(map, how, 3 * 4096, 6), -ERANGE);
		assert_int_equal(comap_map_flush(map, how, UINT64_MAX, 2), -ERANGE);
		/* The kernel says 0 to these, and does nothing. */
		assert_int_equal(comap_map_flush(copy, how, 0, COMAP_MAP_REST), -EOPNOTSUPP);
	}
	assert_int_equal(comap_map_flush(map, (enum comap_flush)9, 0, 0), -EINVAL);
	assert_int_equal(comap_map_open_anonymous(100, NULL, &memory), 0);
	assert_int_equal(comap_map_flush(memory, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), -EOPNOTSUPP);
	comap_map_close(memory);
	comap_map_close(copy);
	comap_map_close(map);
}

static int store_and_die(void *path)
{
	struct comap_map *map = open_map(path, WRITE());

	memset(comap_map_data_mutable(map), 'k', 5000);
	raise(SIGKILL);
	return 0;
}

/* The usual tutorial says otherwise. */
static void killed_process_loses_nothing(void **state)
{
	char wanted[5000];
	const char *path = files_make(PROC_DISK, "killed", 5000);

	memset(wanted, 'k', sizeof wanted);
	assert_int_equal(proc_wait(proc_spawn("killed", store_and_die, (void *)(uintptr_t)path)), -SIGKILL);
	assert_true(files_equal(path, 0, wanted, sizeof wanted));
}

/* ---- write-back errors ---------------------------------------------------------------------- */

struct gate {
	const char *folder;
	struct comap_map *map, *second;
	char path[128];
};

static int flush_elsewhere(void *path)
{
	struct comap_map *map = open_map(path, WRITE());
	int code = comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST);

	PROC_REQUIRE(code == -EIO && comap_last_error()->cause == COMAP_CAUSE_UNFLUSHED);
	PROC_REQUIRE(comap_map_flush(map, COMAP_FLUSH_FILE, 0, 0) == -EIO);
	comap_map_close(map);
	return 0;
}

/* An ext4 image of 64 MiB on a tmpfs of 24 MiB: ext4 has the space, its disk has not. */
static bool open_gate(struct gate *gate)
{
	const char *reason, *small = mounts_tmpfs("gate", 24 * MIB);
	int fd;

	/* Without a journal: ext4 would notice its loss and go read-only, sooner or later. */
	gate->folder = mounts_image("ext4 -O ^has_journal", small, "gate-ext4", 64 * MIB, &reason);
	if (!gate->folder) {
		printf("SKIPPED: write-back errors: %s\n", reason);
		skipped++;
		return false;
	}
	snprintf(gate->path, sizeof gate->path, "%s/data", gate->folder);
	/* Holes: written extents would be there already. */
	fd = open(gate->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	MUST(fd >= 0 && ftruncate(fd, 40 * MIB) == 0);
	close(fd);
	gate->map = open_map(gate->path, WRITE());
	gate->second = open_map(gate->path, WRITE());
	return true;
}

static void no_flush_succeeds_after_a_failure(void **state)
{
	struct gate gate;
	struct comap_map *later;
	int code, bare;

	if (!open_gate(&gate))
		skip();
	memset(comap_map_data_mutable(gate.map), 'd', 40 * MIB);
	code = comap_map_flush(gate.map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST);
	if (code != -ENOSPC && code != -EIO)
		fail_msg("%d: %s", code, code ? comap_error_text() : "success");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(comap_map_flush(gate.map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), -EIO);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_UNFLUSHED);
		assert_int_equal(comap_map_flush(gate.map, COMAP_FLUSH_FILE, 0, 0), -EIO);
		assert_int_equal(comap_map_flush(gate.map, COMAP_FLUSH_START, 0, 10), -EIO);
		assert_int_equal(comap_map_flush(gate.second, COMAP_FLUSH_METADATA, 0, 0), -EIO);
	}
	later = open_map(gate.path, WRITE());
	assert_int_equal(comap_map_flush(later, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), -EIO);
	/* Negative control: the kernel has forgotten by now, and says that all is well. */
	for (int i = 0; i < 3; i++)
		bare = msync((void *)(uintptr_t)comap_map_data(later), 40 * MIB, MS_SYNC);
	assert_int_equal(bare, 0);
	proc_assert_ok(proc_spawn("elsewhere", flush_elsewhere, gate.path));
	/* Proof of the contrary is the caller's word. */
	assert_int_equal(comap_map_flush_forget(later), 0);
	comap_map_close(later);
	comap_map_close(gate.map);
	comap_map_close(gate.second);
	mounts_end(gate.folder);
	mounts_end("/tmp/gate");
}

/* What another process of comap leaves when a flush fails, here for a file of that number born so
 * much later. */
static void leave_mark(const char *path, uint64_t later_ns, char mark[static 120])
{
	struct statx st;
	uint64_t born_ns = 0;
	int fd;

	MUST(statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st) == 0);
	if (st.stx_mask & STATX_BTIME)
		born_ns = (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
	snprintf(mark, 120, "/dev/shm/comap.unflushed.%u.%u.%llu.%llu", st.stx_dev_major, st.stx_dev_minor,
	         (unsigned long long)st.stx_ino, (unsigned long long)(born_ns + later_ns));
	fd = open(mark, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	close(fd);
}

/* A file of the same number, born at another time, is another file. */
static void failure_does_not_stick_to_the_number(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "other", 5000), WRITE());
	const char *path = proc_path(PROC_DISK, "other");
	char mark[120];

	leave_mark(path, 1, mark);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_METADATA, 0, COMAP_MAP_REST), 0);
	MUST(unlink(mark) == 0);
	leave_mark(path, 0, mark);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_METADATA, 0, COMAP_MAP_REST), -EIO);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_UNFLUSHED);
	if (geteuid() == 0) { /* a stranger's mark is not believed */
		MUST(chown(mark, 65534, 65534) == 0);
		assert_int_equal(comap_map_flush(map, COMAP_FLUSH_METADATA, 0, COMAP_MAP_REST), 0);
	}
	assert_int_equal(comap_map_flush_forget(map), 0);
	assert_int_equal(access(mark, F_OK), -1);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_METADATA, 0, COMAP_MAP_REST), 0);
	comap_map_close(map);
}

/* ---- power cuts ------------------------------------------------------------------------------ */

static void cut_the_power(const char *folder, unsigned iteration, unsigned *lost_unflushed)
{
	const uint64_t size_bytes = 256 * 1024;
	uint64_t covered_bytes = 4096 * (1 + proc_random_below(60));
	struct comap_map *map;
	char path[128];

	snprintf(path, sizeof path, "%s/cut-%u", folder, iteration);
	map = open_map(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND, .size_bytes = size_bytes));
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_METADATA, 0, 0), 0);
	memset(comap_map_data_mutable(map), (int)(1 + iteration), size_bytes);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, covered_bytes), 0);
	mounts_power_cut(folder);
	/* The disk is gone: this is no success either. */
	memset(comap_map_data_mutable(map), 0xee, 4096);
	assert_true(comap_map_flush(map, COMAP_FLUSH_FILE, 0, 0) < 0);
	comap_map_close(map);
	mounts_again(folder);
	map = open_map(path, NULL);
	assert_int_equal(comap_map_size_bytes(map), size_bytes);
	for (uint64_t i = 0; i < covered_bytes; i++)
		assert_int_equal(((const unsigned char *)comap_map_data(map))[i], 1 + iteration);
	if (((const unsigned char *)comap_map_data(map))[size_bytes - 1] != 1 + iteration)
		(*lost_unflushed)++;
	/* Read back after a mount: that is proof, and the mark may go. */
	assert_int_equal(comap_map_flush_forget(map), 0);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_FILE, 0, 0), 0);
	comap_map_close(map);
}

static void cut_again_and_again(const char *kind, uint64_t image_bytes)
{
	const char *reason, *folder = mounts_image(kind, "/tmp", kind, image_bytes, &reason);
	unsigned lost_unflushed = 0;

	if (!folder) {
		printf("SKIPPED: power cuts on %s: %s\n", kind, reason);
		skipped++;
		return;
	}
	for (unsigned i = 0; i < ITERATIONS; i++)
		cut_the_power(folder, i, &lost_unflushed);
	/* Negative control: the cut does lose what was not flushed. */
	assert_true(lost_unflushed > ITERATIONS / 2);
	mounts_end(folder);
}

static void flushed_data_survives_a_power_cut(void **state)
{
	cut_again_and_again("ext4", 64 * MIB);
	cut_again_and_again("xfs", 300 * MIB);
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(each_way_flushes),
	PROC_TEST(killed_process_loses_nothing),
	PROC_TEST(failure_does_not_stick_to_the_number),
};

static const struct CMUnitTest mount_tests[] = {
	PROC_TEST(no_flush_succeeds_after_a_failure),
	cmocka_unit_test(flushed_data_survives_a_power_cut),
};

int main(void)
{
	int failures = cmocka_run_group_tests_name("flush", tests, NULL, NULL);
	const char *reason = mounts_begin();

	if (reason && failures == 0)
		files_skip(reason);
	if (!reason)
		failures += cmocka_run_group_tests_name("flush, failing disks", mount_tests, NULL, NULL);
	return failures ? failures : skipped ? FILES_SKIP : 0;
}
