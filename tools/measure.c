/* SPDX-License-Identifier: MIT */
/* Ways of reading a file, timed. See measure.h.
 *
 * Invariants: I1  every way counts the same thing over the same range: the callers compare */
#include "measure.h"

#include <comap/error.h>
#include <comap/mapping.h>
#include <comap/pages.h>
#include <comap/scan.h>
#include <comap/search.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define PROCESSES_MAX 64u

/* --- what is counted ---------------------------------------------------------------------- */

/* Lines with the literal: from a hit on to the end of its line, then on. */
static uint64_t count_lines_with(const unsigned char *data, uint64_t size_bytes, const char *literal)
{
	static struct comap_finder finder; /* of this process, which looks for one literal only */
	const unsigned char *end = data + size_bytes, *hit;
	uint64_t count = 0;

	if (!finder.literal)
		comap_finder_init(&finder, literal, strlen(literal), data, size_bytes);
	while ((hit = comap_finder_next(&finder, data, (uint64_t)(end - data)))) {
		const unsigned char *newline = memchr(hit, '\n', (size_t)(end - hit));

		count++;
		if (!newline)
			break;
		data = newline + 1;
	}
	return count;
}

uint64_t measure_count(const struct measure_job *job, const unsigned char *data, uint64_t size_bytes)
{
	return job->literal ? count_lines_with(data, size_bytes, job->literal)
	                    : comap_bytes_count(data, size_bytes, '\n');
}

/* --- comap's ways ------------------------------------------------------------------------- */

static int run_scan(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *ret_count,
                    enum comap_method method, uint64_t buffer_bytes)
{
	struct comap_scan_options *options = COMAP_SCAN_OPTIONS(
		.flags = COMAP_SCAN_OWN_LINES, .method = method, .offset_bytes = from,
		.size_bytes = to - from, .buffer_bytes = buffer_bytes, .process_count = job->process_count);
	struct comap_scan *scan;
	struct comap_span span;
	uint64_t count = 0;
	int code = comap_scan_open(job->path, options, &scan);

	if (code)
		return code;
	while ((code = comap_scan_lines(scan, &span)) == 0)
		count += measure_count(job, span.data, span.size_bytes);
	comap_scan_close(scan);
	*ret_count = count;
	return code == COMAP_SCAN_END ? 0 : code;
}

#define SCAN_WAY(name, method, buffer) \
	static int name(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count) \
	{ \
		return run_scan(job, from, to, count, method, buffer); \
	}

SCAN_WAY(run_auto, COMAP_METHOD_AUTO, 0)
SCAN_WAY(run_whole, COMAP_METHOD_WHOLE, 0)
SCAN_WAY(run_stream_64k, COMAP_METHOD_STREAM, 64 * KIB)
SCAN_WAY(run_stream_256k, COMAP_METHOD_STREAM, 256 * KIB)
SCAN_WAY(run_stream_1m, COMAP_METHOD_STREAM, MIB)
SCAN_WAY(run_windows, COMAP_METHOD_MAP, 64 * MIB)

/* --- one map over everything, with one advice --------------------------------------------- */

/* Where the lines of a range begin and end, in bytes that are all there. */
static uint64_t line_start(const unsigned char *data, uint64_t size_bytes, uint64_t at)
{
	const unsigned char *newline;

	if (at == 0 || at >= size_bytes)
		return at < size_bytes ? at : size_bytes;
	newline = memchr(data + at - 1, '\n', size_bytes - at + 1);
	return newline ? (uint64_t)(newline - data) + 1 : size_bytes;
}

static int run_map(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *ret_count,
                   int advice, bool populate)
{
	struct comap_map_options *options = COMAP_MAP_OPTIONS(
		.populate = populate ? COMAP_POPULATE_READ : COMAP_POPULATE_NONE);
	const unsigned char *data;
	struct comap_map *map;
	uint64_t size_bytes;
	int code = comap_map_open(job->path, options, &map);

	if (code)
		return code;
	data = comap_map_data(map);
	size_bytes = comap_map_size_bytes(map);
	if (advice)
		code = comap_map_advise(map, 0, COMAP_MAP_REST, (enum comap_advice)advice);
	if (code == 0) {
		from = line_start(data, size_bytes, from);
		to = line_start(data, size_bytes, to);
		*ret_count = measure_count(job, data + from, to - from);
	}
	comap_map_close(map);
	return code;
}

#define MAP_WAY(name, advice, populate) \
	static int name(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count) \
	{ \
		return run_map(job, from, to, count, advice, populate); \
	}

MAP_WAY(run_map_plain, 0, false)
MAP_WAY(run_map_sequential, COMAP_ADVICE_SEQUENTIAL, false)
MAP_WAY(run_map_willneed, COMAP_ADVICE_WILLNEED, false)
MAP_WAY(run_map_random, COMAP_ADVICE_RANDOM, false)
MAP_WAY(run_map_populate, 0, true)

/* --- jumps -------------------------------------------------------------------------------- */

/* The same places for every way: xorshift from a fixed seed. */
static uint64_t next_page(uint64_t *state, uint64_t page_count)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % page_count;
}

#define JUMP_BYTES 4096u
#define JUMP_SEED UINT64_C(0x9e3779b97f4a7c15)

static uint64_t word_at(const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

static int run_jumps_pread(const struct measure_job *job, uint64_t from, uint64_t to,
                           uint64_t *ret_count)
{
	uint64_t state = JUMP_SEED, page_count = to / JUMP_BYTES, sum = 0;
	int fd = open(job->path, O_RDONLY | O_CLOEXEC), code = 0;
	unsigned char page[JUMP_BYTES];

	if (fd < 0 || page_count == 0)
		return fd < 0 ? -errno : -EINVAL;
	for (uint64_t i = 0; i < job->jump_count && code == 0; i++) {
		uint64_t offset = next_page(&state, page_count) * JUMP_BYTES;

		if (pread(fd, page, sizeof page, (off_t)offset) != (ssize_t)sizeof page)
			code = -EIO;
		sum += word_at(page);
	}
	close(fd);
	*ret_count = sum;
	return code;
}

static int run_jumps_map(const struct measure_job *job, uint64_t to, uint64_t *ret_count, int advice)
{
	uint64_t state = JUMP_SEED, page_count = to / JUMP_BYTES, sum = 0;
	const unsigned char *data;
	struct comap_map *map;
	int code = comap_map_open(job->path, NULL, &map);

	if (code)
		return code;
	if (page_count == 0)
		code = -EINVAL;
	if (code == 0 && advice)
		code = comap_map_advise(map, 0, COMAP_MAP_REST, (enum comap_advice)advice);
	data = comap_map_data(map);
	for (uint64_t i = 0; i < job->jump_count && code == 0; i++)
		sum += word_at(data + next_page(&state, page_count) * JUMP_BYTES);
	comap_map_close(map);
	*ret_count = sum;
	return code;
}

static int run_jumps_plain(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count)
{
	return run_jumps_map(job, to, count, 0);
}

static int run_jumps_random(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count)
{
	return run_jumps_map(job, to, count, COMAP_ADVICE_RANDOM);
}

static int run_jumps_chosen(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *count)
{
	struct comap_use use = { .struct_bytes = sizeof use, .random = 1,
	                         .access_count = job->jump_count, .access_bytes = JUMP_BYTES };
	struct comap_choice choice;
	int fd = open(job->path, O_RDONLY | O_CLOEXEC), code;

	if (fd < 0)
		return -errno;
	code = comap_choose(fd, &use, &choice);
	close(fd);
	if (code)
		return code;
	return choice.method == COMAP_METHOD_MAP ? run_jumps_map(job, to, count, choice.advice)
	                                         : run_jumps_pread(job, from, to, count);
}

const struct measure_way measure_ways[] = {
	{ "chosen", false, false, run_auto },
	{ "whole", false, false, run_whole },
	{ "stream 64K", false, false, run_stream_64k },
	{ "stream 256K", false, false, run_stream_256k },
	{ "stream 1M", false, false, run_stream_1m },
	{ "map", false, false, run_map_plain },
	{ "map sequential", false, false, run_map_sequential },
	{ "map windows", false, false, run_windows },
	{ "map populate", false, false, run_map_populate },
	{ "map willneed", false, true, run_map_willneed },
	{ "map random", false, true, run_map_random },
	{ "jumps chosen", true, false, run_jumps_chosen },
	{ "jumps pread", true, false, run_jumps_pread },
	{ "jumps map", true, false, run_jumps_plain },
	{ "jumps map random", true, false, run_jumps_random },
};
const size_t measure_way_count = sizeof measure_ways / sizeof measure_ways[0];

const struct measure_way *measure_find(const char *name)
{
	for (size_t i = 0; i < measure_way_count; i++)
		if (strcmp(measure_ways[i].name, name) == 0)
			return &measure_ways[i];
	return NULL;
}

/* --- running ------------------------------------------------------------------------------ */

/* What is dirty cannot be forgotten: it is written first. -EBUSY: some of it stayed, in a map
 * somewhere or because the file lives in memory. */
static int make_cold(const char *path)
{
	struct comap_pages_cache cache = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC), code = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		code = -errno;
	if (code == 0)
		code = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* A kernel that does not tell how much is cached (before 6.5) is believed. */
	if (code == 0 && comap_pages_cache(fd, 0, 0, &cache) == 0 && cache.cached_count)
		code = -EBUSY;
	close(fd);
	return code;
}

static uint64_t cached_bytes(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct comap_pages_cache cache = { 0 };
	int code = fd < 0 ? -errno : comap_pages_cache(fd, 0, 0, &cache);

	if (fd >= 0)
		close(fd);
	return code ? UINT64_MAX : cache.cached_count * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static int wait_for(pid_t child, struct measure_result *result)
{
	struct rusage usage;
	int status;

	if (wait4(child, &status, 0, &usage) != child)
		return -errno;
	result->cpu_ns += timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	result->minor_faults += (uint64_t)usage.ru_minflt;
	result->major_faults += (uint64_t)usage.ru_majflt;
	if ((uint64_t)usage.ru_maxrss * KIB > result->peak_rss_bytes)
		result->peak_rss_bytes = (uint64_t)usage.ru_maxrss * KIB;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EFAULT;
}

struct share {
	int64_t code;
	uint64_t count;
};

/* The n-th of several processes keeps to the n-th processor: a scheduler that leaves two of them on
 * one for a tenth of a second would be all that is measured. Refused: it is left to the scheduler. */
static void keep_to_processor(uint32_t number)
{
	cpu_set_t allowed, own;
	int wanted;

	CPU_ZERO(&own);
	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) == 0)
		return;
	wanted = (int)(number % (uint32_t)CPU_COUNT(&allowed));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && wanted-- == 0)
			CPU_SET(cpu, &own);
	(void)sched_setaffinity(0, sizeof own, &own);
}

static pid_t start_share(const struct measure_way *way, const struct measure_job *job, uint64_t from,
                         uint64_t to, uint32_t number, int answers)
{
	pid_t child = fork();

	if (child == 0) {
		struct share share = { 0 };

		if (job->process_count > 1)
			keep_to_processor(number);
		share.code = way->run(job, from, to, &share.count);
		_exit(write(answers, &share, sizeof share) == (ssize_t)sizeof share ? 0 : EIO);
	}
	return child;
}

static int run_shares(const struct measure_way *way, const struct measure_job *job,
                      uint64_t size_bytes, int ends[2], struct measure_result *result)
{
	uint32_t count = job->process_count ? job->process_count : 1;
	pid_t children[PROCESSES_MAX];
	int code = 0;

	if (count > PROCESSES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		children[i] = start_share(way, job, size_bytes / count * i,
		                          i + 1 == count ? size_bytes : size_bytes / count * (i + 1), i,
		                          ends[1]);
	for (uint32_t i = 0; i < count; i++) {
		int one = children[i] > 0 ? wait_for(children[i], result) : -EAGAIN;

		code = code ? code : one;
	}
	for (uint32_t i = 0; i < count && code == 0; i++) {
		struct share share;

		if (read(ends[0], &share, sizeof share) != (ssize_t)sizeof share)
			return -EIO;
		code = (int)share.code;
		result->count += share.count;
	}
	return code;
}

int measure_run(const struct measure_way *way, const struct measure_job *job,
                struct measure_result *ret_result)
{
	struct measure_result result = { .read_in_bytes = UINT64_MAX };
	struct stat status;
	uint64_t start_ns;
	int ends[2], code = 0;

	if (stat(job->path, &status) != 0)
		return -errno;
	if (job->cold)
		code = make_cold(job->path);
	if (code == 0 && pipe2(ends, O_CLOEXEC) != 0)
		code = -errno;
	if (code)
		return code;
	start_ns = comap_now_ns();
	code = run_shares(way, job, (uint64_t)status.st_size, ends, &result);
	result.wall_ns = comap_now_ns() - start_ns;
	if (job->cold)
		result.read_in_bytes = cached_bytes(job->path);
	close(ends[0]);
	close(ends[1]);
	if (code == 0)
		*ret_result = result;
	return code;
}

int measure_command(const char *const argv[], const struct measure_job *job,
                    struct measure_result *ret_result)
{
	struct measure_result result = { .read_in_bytes = UINT64_MAX };
	uint64_t start_ns;
	pid_t child;
	int code = job->cold ? make_cold(job->path) : 0;

	if (code)
		return code;
	start_ns = comap_now_ns();
	child = fork();
	if (child == 0) {
		/* Not /dev/null: grep stops at the first hit where nobody can see the rest. */
		int sink = memfd_create("output", MFD_CLOEXEC);

		dup2(sink, STDOUT_FILENO);
		dup2(sink, STDERR_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	code = child < 0 ? -errno : wait_for(child, &result);
	result.wall_ns = comap_now_ns() - start_ns;
	if (code == 0)
		*ret_result = result;
	return code == -127 ? -ENOENT : code;
}
