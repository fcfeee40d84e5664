/* SPDX-License-Identifier: MIT */
/* What is behind a scan: a mapping, a buffer, or the whole file in memory.
 *
 * Lives in:   the process's own memory; the handle is private
 * Invariants: I1  begin <= at <= end <= limit, except that OWN_LINES lets `at` pass `end`
 *             I2  STREAM: the bytes held are the file's own, held_bytes <= buffer_bytes
 *             I3  MAP: at most two windows are in the page table
 * Progress:   blocking on I/O; a fetch reads at most one line or one buffer ahead */
#include "scan_source.h"

#include "error.h"

#include <comap/guard.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

int comap__scan_fail(struct comap_scan *scan, int code)
{
	scan->failure = *comap_last_error();
	return code;
}

void comap__scan_drop(struct comap_scan *scan)
{
	scan->held_offset = 0;
	scan->held_bytes = 0;
}

/* --- reading ------------------------------------------------------------------------------ */

static int fail_truncated(const struct comap_scan *scan, uint64_t offset_bytes)
{
	int code = comap__fail(COMAP_CAUSE_TRUNCATED, "the file ended at byte %llu while it was scanned; "
	                       "at the start of the scan it reached to %llu",
	                       (unsigned long long)offset_bytes, (unsigned long long)scan->limit);

	comap__error()->offset_bytes = offset_bytes;
	return code;
}

/* A read gave nothing at `offset_bytes`. A sized file that is shorter now has been cut; one that
 * says it is not (files of the kernel do) simply ends here. */
static int check_early_end(struct comap_scan *scan, uint64_t offset_bytes)
{
	struct stat status;

	if (scan->options.flags & COMAP_SCAN_FOLLOW)
		return 0;
	if (scan->limit != COMAP__UNSIZED && scan->regular) {
		if (fstat(scan->fd, &status) != 0)
			return comap__fail_errno(errno, "cannot look at the file");
		if ((uint64_t)status.st_size < scan->limit)
			return fail_truncated(scan, offset_bytes);
	}
	scan->limit = offset_bytes;
	if (scan->end > offset_bytes)
		scan->end = offset_bytes;
	return 0;
}

/* One read at an offset of the file into the buffer; *ret_bytes 0 at the end of the file. */
static int read_once(struct comap_scan *scan, uint64_t offset_bytes, unsigned char *into,
                     uint64_t size_bytes, uint64_t *ret_bytes)
{
	ssize_t got;

	do
		got = scan->seeks ? pread(scan->fd, into, size_bytes, (off_t)offset_bytes)
		                  : read(scan->fd, into, size_bytes);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return comap__fail_errno(errno, "cannot read at byte %llu", (unsigned long long)offset_bytes);
	*ret_bytes = (uint64_t)got;
	return got ? 0 : check_early_end(scan, offset_bytes);
}

static int make_room(struct comap_scan *scan, uint64_t size_bytes)
{
	unsigned char *larger;

	if (size_bytes <= scan->buffer_bytes)
		return 0;
	/* Twice as much each time, so that a long line is not copied once per read. */
	if (size_bytes < 2 * scan->buffer_bytes)
		size_bytes = 2 * scan->buffer_bytes;
	larger = realloc(scan->buffer, size_bytes);
	if (!larger)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a buffer of %llu bytes",
		                   (unsigned long long)size_bytes);
	scan->buffer = larger;
	scan->buffer_bytes = size_bytes;
	return 0;
}

/* --- forward ------------------------------------------------------------------------------ */

/* What has been passed leaves the buffer. */
static void shift_forward(struct comap_scan *scan)
{
	uint64_t passed_bytes = scan->at - scan->held_offset;

	if (scan->held_bytes == 0 || passed_bytes >= scan->held_bytes) {
		scan->held_bytes = 0;
	} else if (passed_bytes) {
		scan->held_bytes -= passed_bytes;
		memmove(scan->buffer, scan->buffer + passed_bytes, scan->held_bytes);
	}
	scan->held_offset = scan->at;
}

static uint64_t held_from_at(const struct comap_scan *scan)
{
	uint64_t passed_bytes = scan->at - scan->held_offset;

	return scan->held_bytes > passed_bytes ? scan->held_bytes - passed_bytes : 0;
}

static int fill_forward(struct comap_scan *scan, uint64_t want_bytes)
{
	int code;

	shift_forward(scan);
	code = make_room(scan, want_bytes);
	while (code == 0 && scan->held_bytes < want_bytes) {
		uint64_t from = scan->held_offset + scan->held_bytes, got = 0;
		uint64_t room = scan->buffer_bytes - scan->held_bytes;

		if (from >= scan->limit)
			break;
		if (room > scan->limit - from)
			room = scan->limit - from;
		code = read_once(scan, from, scan->buffer + scan->held_bytes, room, &got);
		if (got == 0)
			break;
		scan->held_bytes += got;
	}
	return code;
}

int comap__scan_peek(struct comap_scan *scan, uint64_t want_bytes, const unsigned char **ret_data,
                     uint64_t *ret_bytes)
{
	int code = 0;

	if (scan->memory) {
		*ret_bytes = scan->at < scan->limit ? scan->limit - scan->at : 0;
		*ret_data = scan->memory + (scan->at - scan->memory_offset);
		return 0;
	}
	if (held_from_at(scan) < want_bytes)
		code = fill_forward(scan, want_bytes);
	*ret_bytes = held_from_at(scan);
	*ret_data = *ret_bytes ? scan->buffer + (scan->at - scan->held_offset) : NULL;
	return code;
}

/* --- backward ----------------------------------------------------------------------------- */

/* The buffer shall hold the bytes from `offset_bytes` to `at`: what it has of them moves up, the
 * rest is read before it. */
static int fill_back(struct comap_scan *scan, uint64_t offset_bytes)
{
	uint64_t keep_bytes = scan->held_bytes ? scan->at - scan->held_offset : 0;
	uint64_t missing_bytes = scan->at - offset_bytes - keep_bytes, done_bytes = 0, got = 0;
	int code = make_room(scan, scan->at - offset_bytes);

	if (code)
		return code;
	memmove(scan->buffer + missing_bytes, scan->buffer, keep_bytes);
	scan->held_bytes = 0;
	for (; done_bytes < missing_bytes; done_bytes += got) {
		code = read_once(scan, offset_bytes + done_bytes, scan->buffer + done_bytes,
		                 missing_bytes - done_bytes, &got);
		if (code || got == 0)
			return code ? code : fail_truncated(scan, offset_bytes + done_bytes);
	}
	scan->held_offset = offset_bytes;
	scan->held_bytes = missing_bytes + keep_bytes;
	return 0;
}

int comap__scan_peek_back(struct comap_scan *scan, uint64_t want_bytes,
                          const unsigned char **ret_data, uint64_t *ret_bytes)
{
	uint64_t whole_bytes = scan->at - scan->begin, have_bytes;
	int code = 0;

	if (scan->memory) {
		*ret_bytes = whole_bytes;
		*ret_data = scan->memory + (scan->begin - scan->memory_offset);
		return 0;
	}
	if (want_bytes > whole_bytes)
		want_bytes = whole_bytes;
	have_bytes = scan->held_bytes ? scan->at - scan->held_offset : 0;
	if (have_bytes < want_bytes) {
		uint64_t size_bytes = want_bytes > scan->buffer_bytes ? want_bytes : scan->buffer_bytes;

		code = fill_back(scan, size_bytes < whole_bytes ? scan->at - size_bytes : scan->begin);
		have_bytes = code ? 0 : scan->at - scan->held_offset;
	}
	*ret_bytes = have_bytes;
	*ret_data = scan->buffer;
	return code;
}

/* --- maps --------------------------------------------------------------------------------- */

/* Windows that have been passed leave the page table; the page cache keeps them. */
static int release_windows(struct comap_scan *scan)
{
	uint64_t window_bytes = scan->options.buffer_bytes;
	uint64_t from = scan->kept, to = scan->at / window_bytes * window_bytes;

	if (scan->options.flags & COMAP_SCAN_BACKWARD) {
		from = (scan->at + window_bytes - 1) / window_bytes * window_bytes;
		to = scan->kept;
	}
	if (from >= to || scan->options.pass_count > 1)
		return 0;
	scan->kept = scan->options.flags & COMAP_SCAN_BACKWARD ? from : to;
	return comap_map_discard(scan->map, from, to - from, COMAP_DISCARD_NOW);
}

/* A cut inside the last page raises no signal: only the size tells. */
static int check_size(struct comap_scan *scan)
{
	struct stat status;

	if (fstat(comap_map_descriptor(scan->map), &status) != 0)
		return comap__fail_errno(errno, "cannot look at the file");
	return (uint64_t)status.st_size < scan->limit ? fail_truncated(scan, (uint64_t)status.st_size) : 0;
}

int comap__scan_settle(struct comap_scan *scan)
{
	int code = 0;

	if (COMAP_UNLIKELY(scan->failure.code)) {
		*comap__error() = scan->failure;
		return -scan->failure.code;
	}
	if (scan->method != COMAP_METHOD_MAP)
		return 0;
	if (!scan->options.unguarded)
		code = comap_map_status(scan->map);
	if (code == 0)
		code = release_windows(scan);
	return code ? comap__scan_fail(scan, code) : 0;
}

int comap__scan_at_end(struct comap_scan *scan)
{
	int code;

	if (scan->options.flags & COMAP_SCAN_FOLLOW)
		return comap__scan_follow_end(scan);
	if (scan->method == COMAP_METHOD_MAP) {
		code = check_size(scan);
		if (code)
			return comap__scan_fail(scan, code);
	}
	return COMAP_SCAN_END;
}

/* --- open --------------------------------------------------------------------------------- */

static int open_map(struct comap_scan *scan)
{
	bool forward = !(scan->options.flags & COMAP_SCAN_BACKWARD);
	struct comap_map_options *options = COMAP_MAP_OPTIONS(
		.flags = scan->options.unguarded ? COMAP_MAP_UNGUARDED : 0);
	int code = comap_map_open_fd(scan->fd, options, &scan->map);

	if (code)
		return code;
	if (comap_map_size_bytes(scan->map) < scan->limit)
		return fail_truncated(scan, comap_map_size_bytes(scan->map));
	scan->memory = comap_map_data(scan->map);
	scan->kept = forward ? scan->begin / scan->options.buffer_bytes * scan->options.buffer_bytes
	                     : comap_map_size_bytes(scan->map);
	/* Advice is advice: a kernel that refuses it reads all the same. */
	if (scan->advice)
		(void)comap_map_advise(scan->map, 0, COMAP_MAP_REST, (enum comap_advice)scan->advice);
	return 0;
}

/* Reads up to the limit, or up to where the file ends. */
static int read_whole(struct comap_scan *scan)
{
	uint64_t size_bytes = scan->limit == COMAP__UNSIZED ? 64 * KIB : scan->limit - scan->begin;
	uint64_t used_bytes = 0, got = 1;
	int code = make_room(scan, size_bytes + 1);

	while (code == 0 && scan->begin + used_bytes < scan->limit) {
		if (used_bytes == scan->buffer_bytes)
			code = make_room(scan, used_bytes * 2);
		if (code == 0)
			code = read_once(scan, scan->begin + used_bytes, scan->buffer + used_bytes,
			                 scan->buffer_bytes - used_bytes, &got);
		if (code || got == 0)
			break;
		used_bytes += got;
		if (used_bytes > scan->options.whole_max_bytes)
			code = comap__fail_errno(EFBIG, "more than %llu bytes to read whole",
			                         (unsigned long long)scan->options.whole_max_bytes);
	}
	if (code)
		return code;
	if (scan->limit > scan->begin + used_bytes)
		scan->limit = scan->begin + used_bytes;
	if (scan->end > scan->limit)
		scan->end = scan->limit;
	scan->memory = scan->buffer;
	scan->memory_offset = scan->begin;
	return 0;
}

/* Files of which the size means nothing: the kernel makes them up while they are read. */
static bool is_made_up(int fd)
{
	struct statfs system;

	if (fstatfs(fd, &system) != 0)
		return false;
	switch ((uint32_t)system.f_type) {
	case PROC_SUPER_MAGIC: case SYSFS_MAGIC: case DEBUGFS_MAGIC: case TRACEFS_MAGIC:
	case CGROUP_SUPER_MAGIC: case CGROUP2_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

static int find_range(struct comap_scan *scan)
{
	bool backward = scan->options.flags & COMAP_SCAN_BACKWARD;
	bool follow = scan->options.flags & COMAP_SCAN_FOLLOW;
	uint64_t size_bytes = COMAP__UNSIZED;
	struct stat status;

	if (fstat(scan->fd, &status) != 0)
		return comap__fail_errno(errno, "cannot look at the file");
	if (S_ISDIR(status.st_mode))
		return comap__fail_errno(EISDIR, "cannot scan a folder");
	scan->regular = S_ISREG(status.st_mode);
	scan->seeks = lseek(scan->fd, 0, SEEK_CUR) >= 0;
	scan->device = status.st_dev;
	scan->inode = status.st_ino;
	if (scan->regular && !is_made_up(scan->fd))
		size_bytes = (uint64_t)status.st_size;
	if (!scan->seeks && (backward || scan->options.offset_bytes || scan->options.size_bytes))
		return comap__fail_errno(ESPIPE, "a pipe has neither ranges nor a way back");
	if (scan->options.flags & COMAP_SCAN_OWN_LINES && size_bytes == COMAP__UNSIZED)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "a file of unknown size has no ranges");
	if (follow && !scan->regular)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "only regular files can be followed");
	if (scan->options.offset_bytes > size_bytes)
		return comap__fail(COMAP_CAUSE_BOUNDS, "the range starts at byte %llu of a file of %llu",
		                   (unsigned long long)scan->options.offset_bytes,
		                   (unsigned long long)size_bytes);
	scan->begin = scan->options.offset_bytes;
	scan->limit = follow ? COMAP__UNSIZED : size_bytes;
	scan->end = scan->limit;
	if (scan->options.size_bytes && scan->options.size_bytes < scan->end - scan->begin)
		scan->end = scan->begin + scan->options.size_bytes;
	if (!(scan->options.flags & COMAP_SCAN_OWN_LINES))
		scan->limit = scan->end;
	return 0;
}

static int find_method(struct comap_scan *scan)
{
	struct comap_use use = { .struct_bytes = sizeof use, .pass_count = scan->options.pass_count,
	                         .process_count = scan->options.process_count,
	                         .follows = scan->options.flags & COMAP_SCAN_FOLLOW };
	struct comap_choice choice;
	int code;

	scan->method = (enum comap_method)scan->options.method;
	if (scan->method == COMAP_METHOD_MAP && !(scan->options.flags & COMAP_SCAN_BACKWARD))
		scan->advice = COMAP_ADVICE_SEQUENTIAL;
	if (scan->method == COMAP_METHOD_AUTO) {
		code = comap_choose(scan->fd, &use, &choice);
		if (code)
			return code;
		scan->method = choice.method;
		scan->advice = choice.advice;
		memcpy(scan->reason, choice.reason, sizeof scan->reason);
		if (!scan->options.buffer_bytes && scan->method == COMAP_METHOD_STREAM)
			scan->options.buffer_bytes = choice.buffer_bytes;
	}
	/* Without a known end there is nothing to map, and no way back but to have it all. */
	if (scan->limit == COMAP__UNSIZED && scan->method == COMAP_METHOD_MAP)
		scan->method = COMAP_METHOD_STREAM;
	if (scan->limit == COMAP__UNSIZED && scan->options.flags & COMAP_SCAN_BACKWARD)
		scan->method = COMAP_METHOD_WHOLE;
	return 0;
}

static int open_source(struct comap_scan *scan)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!scan->options.buffer_bytes)
		scan->options.buffer_bytes = scan->method == COMAP_METHOD_MAP ? 64 * MIB : 256 * KIB;
	switch (scan->method) {
	case COMAP_METHOD_MAP:
		scan->options.buffer_bytes += -scan->options.buffer_bytes & (page_bytes - 1);
		return open_map(scan);
	case COMAP_METHOD_WHOLE:
		return read_whole(scan);
	default:
		return make_room(scan, scan->options.buffer_bytes);
	}
}

static int check_options(const struct comap_scan_options *options)
{
	bool follow = options->flags & COMAP_SCAN_FOLLOW;

	if (options->method > COMAP_METHOD_MAP)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a scan reads; method %u does not exist or writes",
		                   options->method);
	if (follow && (options->flags & (COMAP_SCAN_BACKWARD | COMAP_SCAN_OWN_LINES) ||
	               options->size_bytes))
		return comap__fail(COMAP_CAUSE_ARGUMENT,
		                   "to follow a file is to read forward without an end");
	if (follow && options->method > COMAP_METHOD_AUTO && options->method != COMAP_METHOD_STREAM)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a file that is followed can only be streamed");
	return 0;
}

static int take_options(const struct comap_scan_options *given, struct comap_scan_options *options)
{
	if (given && given->struct_bytes < sizeof given->struct_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "options without their size");
	if (given)
		memcpy(options, given,
		       given->struct_bytes < sizeof *options ? given->struct_bytes : sizeof *options);
	if (!options->line_max_bytes)
		options->line_max_bytes = 64 * MIB;
	if (!options->whole_max_bytes)
		options->whole_max_bytes = GIB;
	return check_options(options);
}

/* Moves `at` behind the first newline at or after `offset_bytes`, or to the end of the file. */
static int seek_line_end(struct comap_scan *scan, uint64_t offset_bytes)
{
	const unsigned char *data, *newline = NULL;
	uint64_t bytes = 0;
	int code;

	for (scan->at = offset_bytes; !newline; scan->at += newline ? 0 : bytes) {
		code = comap__scan_peek(scan, 1, &data, &bytes);
		if (code || bytes == 0)
			return code;
		newline = memchr(data, '\n', bytes);
		if (newline)
			scan->at += (uint64_t)(newline - data) + 1;
	}
	return 0;
}

/* OWN_LINES: the range shrinks to where its first line begins; backward, it grows to where its last
 * one ends. */
static int own_lines(struct comap_scan *scan)
{
	uint64_t begin = scan->begin;
	int code = 0;

	scan->at = begin;
	if (!(scan->options.flags & COMAP_SCAN_OWN_LINES))
		return 0;
	if (begin > 0)
		code = seek_line_end(scan, begin - 1);
	begin = scan->at;
	if (code == 0 && scan->options.flags & COMAP_SCAN_BACKWARD && begin < scan->end) {
		code = seek_line_end(scan, scan->end - 1);
		scan->end = scan->at;
	}
	scan->begin = begin;
	scan->at = begin;
	if (scan->end < begin)
		scan->end = begin;
	return code;
}

/* Takes over `scan->fd`; closes everything where it fails. */
static int open_scan(struct comap_scan *scan, struct comap_scan **ret_scan)
{
	int code = find_range(scan);

	if (code == 0)
		code = find_method(scan);
	if (code == 0 && scan->options.flags & COMAP_SCAN_FOLLOW)
		code = comap__scan_follow_open(scan);
	/* The byte before the range tells whether a line begins with it. */
	if (code == 0 && scan->options.flags & COMAP_SCAN_OWN_LINES &&
	    scan->method == COMAP_METHOD_WHOLE && scan->begin > 0)
		scan->method = COMAP_METHOD_STREAM;
	if (code == 0)
		code = open_source(scan);
	if (code == 0)
		code = own_lines(scan);
	if (code) {
		comap_scan_close(scan);
		return code;
	}
	if (scan->options.flags & COMAP_SCAN_BACKWARD) {
		comap__scan_drop(scan);
		scan->at = scan->end;
	}
	*ret_scan = scan;
	return 0;
}

static int new_scan(const struct comap_scan_options *options, struct comap_scan **ret_scan)
{
	struct comap_scan *scan = NULL;
	int code;

	if (!ret_scan)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the scan was given");
	scan = calloc(1, sizeof *scan);
	if (!scan)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a scan");
	scan->fd = scan->inotify = -1;
	code = take_options(options, &scan->options);
	if (code) {
		comap_scan_close(scan);
		return code;
	}
	*ret_scan = scan;
	return 0;
}

int comap_scan_open(const char *path, const struct comap_scan_options *options,
                    struct comap_scan **ret_scan)
{
	struct comap_scan *scan = NULL;
	int code;

	if (!path || !ret_scan)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s", path ? "nowhere to put the scan" : "no path was given");
	code = new_scan(options, &scan);
	if (code)
		return code;
	scan->path = strdup(path);
	scan->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	scan->owns_fd = scan->fd >= 0;
	if (!scan->path || scan->fd < 0) {
		code = scan->path ? comap__fail_errno(errno, "cannot open %s", path)
		                  : comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a path");
		comap_scan_close(scan);
		return code;
	}
	return open_scan(scan, ret_scan);
}

int comap_scan_open_fd(int fd, const struct comap_scan_options *options,
                       struct comap_scan **ret_scan)
{
	struct comap_scan *scan = NULL;
	int code;

	if (!ret_scan)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "nowhere to put the scan");
	code = new_scan(options, &scan);
	if (code)
		return code;
	scan->fd = fd;
	return open_scan(scan, ret_scan);
}

void comap_scan_close(struct comap_scan *scan)
{
	if (!scan)
		return;
	comap__scan_follow_close(scan);
	comap_map_close(scan->map);
	if (scan->owns_fd)
		close(scan->fd);
	free(scan->buffer);
	free(scan->path);
	free(scan);
}
