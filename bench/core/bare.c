/* SPDX-License-Identifier: MIT */
/* read() and mmap() without comap: what every way of comap's is compared with. See bare.h.
 *
 * Only the reading is bare. What is done with the bytes is the same function as in comap's ways, so
 * that a difference is one of the reading.
 *
 * Invariants: I1  a range's lines are those that begin in it: ranges side by side see each once
 * Limits:     no line is longer than EDGE_BYTES; the bench's logs have 200 bytes */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define EDGE_BYTES 4096u

/* Where the first line at or after `at` begins. */
static uint64_t line_start(int fd, uint64_t at)
{
	char edge[EDGE_BYTES];
	const char *newline;
	ssize_t got;

	if (at == 0)
		return 0;
	got = pread(fd, edge, sizeof edge, (off_t)at - 1);
	newline = got > 0 ? memchr(edge, '\n', (size_t)got) : NULL;
	return newline ? at + (uint64_t)(newline - edge) : at - 1 + (uint64_t)(got > 0 ? got : 0);
}

/* Opens the file and moves both ends of the range to where lines begin. */
static int open_range(const struct measure_job *job, uint64_t *from, uint64_t *to)
{
	int fd = open(job->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*from = line_start(fd, *from);
	*to = line_start(fd, *to);
	return fd;
}

/* --- read() ------------------------------------------------------------------------------- */

/* The buffer has EDGE_BYTES more than is read at a time: the unfinished line of the time before. */
static int read_all(const struct measure_job *job, int fd, uint64_t bytes, unsigned char *buffer,
                    uint64_t buffer_bytes, uint64_t *ret_count)
{
	uint64_t kept = 0, count = 0;

	while (bytes) {
		ssize_t got = read(fd, buffer + kept, bytes < buffer_bytes ? bytes : buffer_bytes);
		const unsigned char *newline;
		uint64_t have, whole;

		if (got < 0)
			return -errno;
		if (got == 0)
			return -ESTALE;
		bytes -= (uint64_t)got;
		have = kept + (uint64_t)got;
		newline = bytes ? memrchr(buffer, '\n', have) : NULL;
		whole = newline ? (uint64_t)(newline - buffer) + 1 : have;
		count += measure_count(job, buffer, whole);
		kept = have - whole;
		if (kept > EDGE_BYTES)
			return -EMSGSIZE;
		memmove(buffer, buffer + whole, kept);
	}
	*ret_count = count;
	return 0;
}

static int run_read(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *ret_count,
                    uint64_t buffer_bytes)
{
	unsigned char *buffer = malloc(buffer_bytes + EDGE_BYTES);
	int fd = open_range(job, &from, &to), code = fd < 0 ? fd : 0;

	if (!buffer)
		code = -ENOMEM;
	if (code == 0 && lseek(fd, (off_t)from, SEEK_SET) < 0)
		code = -errno;
	if (code == 0)
		code = read_all(job, fd, to - from, buffer, buffer_bytes, ret_count);
	if (fd >= 0)
		close(fd);
	free(buffer);
	return code;
}

/* --- mmap() ------------------------------------------------------------------------------- */

static int run_mmap(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *ret_count,
                    int advice, int flags)
{
	unsigned char *data;
	struct stat status;
	int fd = open_range(job, &from, &to), code = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &status) != 0) {
		code = -errno;
		close(fd);
		return code;
	}
	data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | flags, fd, 0);
	if (data == MAP_FAILED)
		code = -errno;
	close(fd);
	if (code)
		return code;
	if (advice && madvise(data, (size_t)status.st_size, advice) != 0)
		code = -errno;
	if (code == 0)
		*ret_count = measure_count(job, data + from, to - from);
	munmap(data, (size_t)status.st_size);
	return code;
}

#define BARE_WAY(name, call, ...) \
	static int name(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count) \
	{ \
		return call(job, from, to, count, __VA_ARGS__); \
	}

BARE_WAY(read_64k, run_read, 64 * KIB)
BARE_WAY(read_256k, run_read, 256 * KIB)
BARE_WAY(read_1m, run_read, 1024 * KIB)
BARE_WAY(mmap_plain, run_mmap, 0, 0)
BARE_WAY(mmap_sequential, run_mmap, MADV_SEQUENTIAL, 0)
BARE_WAY(mmap_populate, run_mmap, 0, MAP_POPULATE)
BARE_WAY(mmap_willneed, run_mmap, MADV_WILLNEED, 0)
BARE_WAY(mmap_random, run_mmap, MADV_RANDOM, 0)

const struct measure_way bare_ways[] = {
	{ "read() 64K", false, false, read_64k },
	{ "read() 256K", false, false, read_256k },
	{ "read() 1M", false, false, read_1m },
	{ "mmap()", false, false, mmap_plain },
	{ "mmap() sequential", false, false, mmap_sequential },
	{ "mmap() populate", false, false, mmap_populate },
	{ "mmap() willneed", false, true, mmap_willneed },
	{ "mmap() random", false, true, mmap_random },
};
const size_t bare_way_count = sizeof bare_ways / sizeof bare_ways[0];
