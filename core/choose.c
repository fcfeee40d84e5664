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
#define BLOCK_COUNT_MIN 5u
#define BLOCK_COUNT_MAX 32u
#define BLOCK_EACH_BYTES (64 * MIB) /* one sample for so much: folios of all sizes may be mixed */
#define LARGE_BYTES (160 * KIB)     /* per fault: from here on faults cost less than copying */
#define WARM_PERCENT 90

/* What jumps cost, rounded; scan-bench --jumps measures them. */
#define PREAD_NS 850u               /* a system call for one cached page */
#define COPIED_BYTES_PER_NS 20u     /* and what it copies beyond that */
#define FAULT_SMALL_NS 5500u        /* the first touch of what one fault brings: many small folios */
#define FAULT_LARGE_NS 2200u        /* or one large one */
#define TOUCH_NS 80u
#define MAKE_MAP_NS 15000u
#define SMALL_FAULT_BYTES (64 * KIB) /* what Linux maps around a fault in small folios */
#define ACCESS_COUNT_MAX (UINT64_C(1) << 40) /* more are as many */

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42

const char *comap_method_name(enum comap_method method)
{
	static const char *const names[COMAP_METHOD_COUNT] = { "auto", "whole", "stream", "map",
	                                                       "map-write", "pread" };

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

/* How many pages come with one populated page of the block; 0: the block is not all cached. */
static int pages_per_fault(struct comap_map *map, uint64_t at, uint64_t *ret_count)
{
	const unsigned char *block = (const unsigned char *)comap_map_data(map) + at;
	struct comap_pages_held held;
	uint64_t cached;
	int code;

	*ret_count = 0;
	if (comap_pages_cached(block, BLOCK_BYTES, &cached) != 0 ||
	    cached * (uint64_t)sysconf(_SC_PAGESIZE) != BLOCK_BYTES)
		return 0;
	code = comap_map_advise(map, at + BLOCK_BYTES / 2, 1, COMAP_ADVICE_POPULATE_READ);
	if (code == 0)
		code = comap_pages_held(block, BLOCK_BYTES, &held);
	if (code == 0)
		*ret_count = held.present_count;
	return code;
}

/* One populated page per sampled block: in large folios its whole block is present afterwards.
 * Populating faults without a signal, whatever happens to the file meanwhile. The mean is of the
 * faults that a byte costs, not of the bytes that a fault brings. 0: not told. */
static uint64_t sample_fault_bytes(struct comap_map *map, uint64_t size_bytes)
{
	uint64_t first_block = -(uintptr_t)comap_map_data(map) % BLOCK_BYTES, blocks, pages;
	uint64_t asked_bytes = 0, fault_count = 0, samples = size_bytes / BLOCK_EACH_BYTES;

	if (size_bytes < first_block + 2 * BLOCK_BYTES)
		return 0;
	blocks = (size_bytes - first_block) / BLOCK_BYTES;
	samples = samples < BLOCK_COUNT_MIN ? BLOCK_COUNT_MIN
	          : samples > BLOCK_COUNT_MAX ? BLOCK_COUNT_MAX : samples;
	for (uint64_t i = 0; i < samples; i++) {
		uint64_t block = blocks * (2 * i + 1) / (2 * samples);

		if (pages_per_fault(map, first_block + block * BLOCK_BYTES, &pages) != 0)
			return 0;
		if (pages == 0)
			continue;
		asked_bytes += BLOCK_BYTES;
		fault_count += BLOCK_BYTES / (uint64_t)sysconf(_SC_PAGESIZE) / pages;
	}
	return fault_count ? asked_bytes / fault_count : 0;
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
			choice->fault_bytes = sample_fault_bytes(map, choice->size_bytes);
		if (choice->fault_bytes)
			choice->folios = choice->fault_bytes >= LARGE_BYTES ? COMAP_FOLIOS_LARGE
			                                                    : COMAP_FOLIOS_SMALL;
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

/* True: so many jumps cost less with pread() than in a map that `fault_bytes` come into at a time.
 * Nearly every one of few jumps over a large file is the first into what a fault brings. Reading
 * from the disk costs the same either way. */
static bool pread_is_cheaper(const struct comap_choice *choice, const struct comap_use *use,
                             uint64_t fault_bytes)
{
	uint64_t count = use->access_count < ACCESS_COUNT_MAX ? use->access_count : ACCESS_COUNT_MAX;
	uint64_t bytes = use->access_bytes < choice->size_bytes ? use->access_bytes : choice->size_bytes;
	uint64_t places = choice->size_bytes / fault_bytes + 1;
	uint64_t places_each = bytes ? (bytes - 1) / fault_bytes + 1 : 1;
	uint64_t fault_ns = fault_bytes >= LARGE_BYTES ? FAULT_LARGE_NS : FAULT_SMALL_NS;
	/* In floating point: nothing overflows, and nothing depends on the last digit. */
	double faults = (double)count * (double)places_each;
	double pread_ns = (double)count * (PREAD_NS + (double)(bytes / COPIED_BYTES_PER_NS));

	if (faults > (double)places)
		faults = (double)places;
	return count && pread_ns <= MAKE_MAP_NS + faults * (double)fault_ns +
	                            (double)count * TOUCH_NS;
}

static int decide_pread(struct comap_choice *choice)
{
	return decide(choice, COMAP_METHOD_PREAD, 0,
	              "few jumps for the file's size: nearly each would be the first into its pages and "
	              "pay a fault, which costs more than a pread()");
}

/* What one fault brings: as sampled; without a cached byte, and so without read-ahead, one page. */
static uint64_t expected_fault_bytes(const struct comap_choice *choice)
{
	if (choice->resident_percent >= WARM_PERCENT)
		return choice->fault_bytes ? choice->fault_bytes : SMALL_FAULT_BYTES;
	return choice->resident_percent < 0 ? SMALL_FAULT_BYTES : (uint64_t)sysconf(_SC_PAGESIZE);
}

static int decide_random(struct comap_choice *choice, const struct comap_use *use)
{
	if (pread_is_cheaper(choice, use, expected_fault_bytes(choice)))
		return decide_pread(choice);
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
		              "cached in large folios: a map faults seldom and copies nothing");
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

/* What needs no look at the cache. True: decided. */
static bool decide_by_use(struct comap_choice *choice, const struct comap_use *use)
{
	if (use->writes)
		decide(choice, COMAP_METHOD_MAP_WRITE, 0, "it is to be changed in place");
	else if (use->follows)
		decide(choice, COMAP_METHOD_STREAM, 0, "it grows while it is read");
	else if (choice->size_bytes <= WHOLE_MAX_BYTES && use->process_count <= 1)
		decide(choice, COMAP_METHOD_WHOLE, 0,
		       "small: one read costs less than making and unmaking a map");
	else if (choice->size_bytes <= GLANCE_MAX_BYTES && !use->random && use->pass_count <= 1)
		decide(choice, COMAP_METHOD_STREAM, 0,
		       "one pass over a few MiB: to find out whether a map is quicker costs more "
		       "than it saves");
	else if (use->random && pread_is_cheaper(choice, use, BLOCK_BYTES))
		decide_pread(choice); /* even in large folios */
	else
		return false;
	return true;
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
	if (S_ISDIR(status.st_mode))
		return comap__fail_errno(EISDIR, "descriptor %d is a folder: there is nothing to read", fd);
	choice.size_bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
	if (!decide_by_kind(fd, &status, &choice) && !decide_by_use(&choice, &use)) {
		look_at_cache(fd, &status, &choice);
		if (use.random)
			decide_random(&choice, &use);
		else
			decide_sequential(&choice, &use);
	}
	*ret_choice = choice;
	return 0;
}
