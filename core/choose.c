/* SPDX-License-Identifier: MIT */
/* Choose: which way of reading suits a file, by looking at it.
 *
 * Lives in:   the stack; no state
 * Limits:     samples, so a file cached in stripes may be judged wrongly. The thresholds come from
 *             measurements that `comap advise FILE --measure` repeats; docs/choose.md has the table */
#include <comap/mapping.h>
#include <comap/pages.h>
#include <comap/scan.h>

#include "error.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

#define WHOLE_MAX_BYTES (256 * KIB) /* below, making and unmaking a map costs more than the copy */
#define GLANCE_MAX_BYTES (8 * MIB)  /* below, looking at the cache costs more than it can save */
#define STREAM_WARM_BYTES (256 * KIB)
#define STREAM_COLD_BYTES MIB
#define SAMPLE_COUNT 32u
#define BLOCK_BYTES (2 * MIB)       /* what a large entry of the page table spans */
#define WARM_PERCENT 90

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42

const char *comap_method_name(enum comap_method method)
{
	static const char *const names[COMAP_METHOD_COUNT] = { "auto", "whole", "stream", "map",
	                                                       "map-write" };

	return (unsigned)method < COMAP_METHOD_COUNT ? names[method] : "?";
}

static int decide(struct comap_choice *choice, enum comap_method method, int advice,
                  const char *reason)
{
	choice->method = method;
	choice->advice = advice;
	choice->buffer_bytes = choice->resident_percent >= WARM_PERCENT ? STREAM_WARM_BYTES
	                                                                : STREAM_COLD_BYTES;
	snprintf(choice->reason, sizeof choice->reason, "%s", reason);
	return 0;
}

/* mincore tells the truth only to who owns the file or may write to it. */
static bool residency_is_told(int fd, const struct stat *status)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return geteuid() == 0 || geteuid() == status->st_uid || access(path, W_OK) == 0;
}

static int sample_residency(struct comap_map *map, uint64_t size_bytes)
{
	const unsigned char *data = comap_map_data(map);
	uint64_t cached, sum = 0;

	for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
		uint64_t at = size_bytes / SAMPLE_COUNT * i + size_bytes / SAMPLE_COUNT / 2;

		if (comap_pages_cached(data + at, 1, &cached) != 0)
			return -1;
		sum += cached;
	}
	return (int)(sum * 100 / SAMPLE_COUNT);
}

/* One populated page per sampled block: in large folios its whole block is present afterwards.
 * Populating faults without a signal, whatever happens to the file meanwhile. */
static enum comap_folios sample_folios(struct comap_map *map, uint64_t size_bytes)
{
	const unsigned char *data = comap_map_data(map);
	uint64_t first_block = -(uintptr_t)data % BLOCK_BYTES, blocks;
	struct comap_pages_held held;
	unsigned large = 0, asked = 0;

	if (size_bytes < first_block + 2 * BLOCK_BYTES)
		return COMAP_FOLIOS_UNKNOWN;
	blocks = (size_bytes - first_block) / BLOCK_BYTES;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = first_block + blocks * (2 * i + 1) / 6 * BLOCK_BYTES, cached;

		if (comap_pages_cached(data + at, BLOCK_BYTES, &cached) != 0 ||
		    cached * sysconf(_SC_PAGESIZE) != BLOCK_BYTES)
			continue;
		if (comap_map_advise(map, at + BLOCK_BYTES / 2, 1, COMAP_ADVICE_POPULATE_READ) != 0 ||
		    comap_pages_held(data + at, BLOCK_BYTES, &held) != 0)
			return COMAP_FOLIOS_UNKNOWN;
		large += held.present_count == held.page_count;
		asked++;
	}
	if (asked == 0)
		return COMAP_FOLIOS_UNKNOWN;
	return 2 * large > asked ? COMAP_FOLIOS_LARGE : COMAP_FOLIOS_SMALL;
}

static void look_at_cache(int fd, const struct stat *status, struct comap_choice *choice)
{
	struct comap_map *map;

	if (comap_map_open_fd(fd, NULL, &map) != 0)
		return;
	if (comap_map_size_bytes(map) >= choice->size_bytes) {
		if (residency_is_told(fd, status))
			choice->resident_percent = sample_residency(map, choice->size_bytes);
		if (choice->resident_percent >= WARM_PERCENT)
			choice->folios = sample_folios(map, choice->size_bytes);
	}
	comap_map_close(map);
}

/* Files that a map cannot serve, or serves badly. True: decided. */
static bool decide_by_kind(int fd, const struct stat *status, struct comap_choice *choice)
{
	struct statfs system;

	if (!S_ISREG(status->st_mode)) {
		decide(choice, COMAP_METHOD_STREAM, 0, "not a regular file: it can only be read in order");
		return true;
	}
	if (fstatfs(fd, &system) != 0)
		return false;
	switch ((uint32_t)system.f_type) {
	case PROC_SUPER_MAGIC: case SYSFS_MAGIC: case DEBUGFS_MAGIC: case TRACEFS_MAGIC:
	case CGROUP_SUPER_MAGIC: case CGROUP2_SUPER_MAGIC:
		decide(choice, COMAP_METHOD_STREAM, 0,
		       "a file that the kernel writes while it is read: its size is not its length");
		return true;
	case NFS_SUPER_MAGIC: case FUSE_SUPER_MAGIC: case CIFS_MAGIC: case SMB2_MAGIC:
		decide(choice, COMAP_METHOD_STREAM, 0,
		       "a network or user-space file system: a failing server is an error in read(), "
		       "a signal in a map");
		return true;
	default:
		return false;
	}
}

static int decide_random(struct comap_choice *choice, const struct comap_use *use)
{
	if (choice->resident_percent >= WARM_PERCENT)
		return decide(choice, COMAP_METHOD_MAP, 0,
		              "jumps in cached pages: a map has no system call per jump");
	if (use->pass_count > 1 || use->process_count > 1)
		return decide(choice, COMAP_METHOD_MAP, COMAP_ADVICE_RANDOM,
		              "jumps, not cached yet, visited again: map it, without read-ahead, which "
		              "would fetch most of the file");
	return decide(choice, COMAP_METHOD_MAP, COMAP_ADVICE_RANDOM,
	              "jumps, not cached: map it without read-ahead, which would fetch most of the file");
}

static int decide_sequential(struct comap_choice *choice, const struct comap_use *use)
{
	bool warm = choice->resident_percent >= WARM_PERCENT;

	if (use->pass_count > 1)
		return decide(choice, COMAP_METHOD_MAP, warm ? 0 : COMAP_ADVICE_SEQUENTIAL,
		              "several passes: the faults are paid once, the copies would be paid every time");
	if (warm && choice->folios == COMAP_FOLIOS_LARGE)
		return decide(choice, COMAP_METHOD_MAP, 0,
		              "cached in large folios: a map faults once per 2 MiB and copies nothing");
	if (warm)
		return decide(choice, COMAP_METHOD_STREAM, 0,
		              "one pass, cached in small pages: copying through a buffer that stays in the "
		              "processor's cache costs less than a fault per 64 KiB");
	if (choice->resident_percent < 0)
		return decide(choice, COMAP_METHOD_STREAM, 0,
		              "one pass, and who may not write to the file is not told what is cached: "
		              "reading in order is never far from the best");
	return decide(choice, COMAP_METHOD_STREAM, 0,
	              "one pass over what is not cached: the device sets the pace, and read() lets the "
	              "kernel read ahead");
}

int comap_choose(int fd, const struct comap_use *given, struct comap_choice *ret_choice)
{
	struct comap_choice choice = { .resident_percent = -1 };
	struct comap_use use = { 0 };
	struct stat status;

	if (!ret_choice || (given && given->struct_bytes < sizeof given->struct_bytes))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the choice, or a use without its size");
	if (given)
		memcpy(&use, given, given->struct_bytes < sizeof use ? given->struct_bytes : sizeof use);
	if (fstat(fd, &status) != 0)
		return comap__fail_errno(errno, "cannot look at descriptor %d", fd);
	choice.size_bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
	if (!decide_by_kind(fd, &status, &choice)) {
		if (use.writes)
			decide(&choice, COMAP_METHOD_MAP_WRITE, 0, "it is to be changed in place");
		else if (use.follows)
			decide(&choice, COMAP_METHOD_STREAM, 0, "it grows while it is read");
		else if (choice.size_bytes <= WHOLE_MAX_BYTES && use.process_count <= 1)
			decide(&choice, COMAP_METHOD_WHOLE, 0,
			       "small: one read costs less than making and unmaking a map");
		else if (choice.size_bytes <= GLANCE_MAX_BYTES && !use.random && use.pass_count <= 1)
			decide(&choice, COMAP_METHOD_STREAM, 0,
			       "one pass over a few MiB: to find out whether a map is quicker costs more "
			       "than it saves");
		else {
			look_at_cache(fd, &status, &choice);
			if (use.random)
				decide_random(&choice, &use);
			else
				decide_sequential(&choice, &use);
		}
	}
	*ret_choice = choice;
	return 0;
}
