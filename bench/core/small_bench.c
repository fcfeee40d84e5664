/* SPDX-License-Identifier: MIT */
/* small-bench: from which size on a way of reading pays. Its crossings are core/choose.c's limits.
 *
 *     small-bench FOLDER [ROUNDS]
 *
 * For each size a file in FOLDER, cached, in small folios (written by pages) and in large ones
 * (written at once, from 2 MiB on). One operation: open, count the newlines, close, all within this
 * process. A round runs every way of every size once, in an order shuffled anew from a fixed seed;
 * CPU time, medians of the rounds. "look" is what comap_choose() takes where it looks at the cache:
 * a map that had to be chosen costs that much more. */
#include <comap/error.h>
#include <comap/scan.h>
#include <comap/search.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define ROUNDS_MAX 99
#define SIZE_COUNT 15u
#define SIZE_MIN (4 * KIB)
#define LARGE_MIN (2 * MIB)
#define OPERATION_BYTES (4 * MIB) /* per round and way at least, or one operation */
#define LINE_BYTES 100u

enum way { WHOLE, STREAM, STREAM_1M, MAP, CHOSEN, LOOK, WAY_COUNT };

static const char *const way_names[WAY_COUNT] = { "whole", "stream", "stream1M", "map", "chosen",
                                                  "look" };

struct cell {
	char path[200];
	uint64_t size_bytes;
	bool large;
	uint64_t rounds[WAY_COUNT][ROUNDS_MAX]; /* ns per operation */
};

static struct cell cells[2 * SIZE_COUNT];
static size_t cell_count;
static int round_count = 15;

static int complain(const char *what)
{
	fprintf(stderr, "small-bench: %s: %s\n", what, errno ? strerror(errno) : comap_error_text());
	return 1;
}

/* --- files -------------------------------------------------------------------------------- */

static int write_file(const struct cell *cell)
{
	size_t step_bytes = cell->large ? cell->size_bytes : 4 * KIB;
	char *text = malloc(cell->size_bytes);
	int fd = open(cell->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), code = -1;

	if (text && fd >= 0) {
		for (uint64_t i = 0; i < cell->size_bytes; i++)
			text[i] = (char)(i % LINE_BYTES == LINE_BYTES - 1 ? '\n' : 'a' + i % 23);
		code = 0;
		for (uint64_t at = 0; at < cell->size_bytes && code == 0; at += step_bytes)
			if (write(fd, text + at, step_bytes) != (ssize_t)step_bytes)
				code = -1;
		code = code || fsync(fd) != 0 ? -1 : 0;
	}
	if (fd >= 0)
		close(fd);
	free(text);
	return code;
}

static int add_cell(const char *folder, uint64_t size_bytes, bool large)
{
	struct cell *cell = &cells[cell_count++];

	cell->size_bytes = size_bytes;
	cell->large = large;
	snprintf(cell->path, sizeof cell->path, "%s/small-bench.%" PRIu64 ".%s", folder, size_bytes,
	         large ? "large" : "small");
	return write_file(cell);
}

static void remove_files(void)
{
	for (size_t i = 0; i < cell_count; i++)
		unlink(cells[i].path);
}

/* --- operations --------------------------------------------------------------------------- */

static int count_lines(const struct cell *cell, enum comap_method method, uint64_t buffer_bytes)
{
	struct comap_scan_options *options = COMAP_SCAN_OPTIONS(.method = method,
	                                                        .buffer_bytes = buffer_bytes);
	struct comap_scan *scan;
	struct comap_span span;
	uint64_t count = 0;
	int code = comap_scan_open(cell->path, options, &scan);

	if (code)
		return code;
	while ((code = comap_scan_chunk(scan, &span)) == 0)
		count += comap_bytes_count(span.data, span.size_bytes, '\n');
	comap_scan_close(scan);
	return code == COMAP_SCAN_END && count == cell->size_bytes / LINE_BYTES ? 0 : -EIO;
}

/* Jumps are looked at whatever the size; what is asked for does not change what a look costs. */
static int look(const struct cell *cell)
{
	struct comap_use use = { .struct_bytes = sizeof use, .random = 1, .process_count = 2 };
	struct comap_choice choice;
	int fd = open(cell->path, O_RDONLY | O_CLOEXEC), code;

	if (fd < 0)
		return -errno;
	code = comap_choose(fd, &use, &choice);
	close(fd);
	return code;
}

static int operate(const struct cell *cell, enum way way)
{
	switch (way) {
	case WHOLE: return count_lines(cell, COMAP_METHOD_WHOLE, 0);
	case STREAM: return count_lines(cell, COMAP_METHOD_STREAM, 256 * KIB);
	case STREAM_1M: return count_lines(cell, COMAP_METHOD_STREAM, MIB);
	case MAP: return count_lines(cell, COMAP_METHOD_MAP, 0);
	case CHOSEN: return count_lines(cell, COMAP_METHOD_AUTO, 0);
	default: return look(cell);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int run_one(struct cell *cell, enum way way, int round)
{
	uint64_t count = OPERATION_BYTES / cell->size_bytes, start_ns;
	int code = 0;

	count = count > 200 ? 200 : count ? count : 1;
	start_ns = cpu_ns();
	for (uint64_t i = 0; i < count && code == 0; i++)
		code = operate(cell, way);
	cell->rounds[way][round] = (cpu_ns() - start_ns) / count;
	return code;
}

static void shuffle(size_t *order, size_t count)
{
	static uint64_t state = 88172645463325252u;

	for (size_t i = count; i > 1; i--) {
		size_t other, kept = order[i - 1];

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		other = (state >> 20) % i;
		order[i - 1] = order[other];
		order[other] = kept;
	}
}

static int run_rounds(void)
{
	size_t order[2 * SIZE_COUNT * WAY_COUNT], count = cell_count * WAY_COUNT;
	int code = 0;

	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (int round = 0; round < round_count && code == 0; round++) {
		shuffle(order, count);
		for (size_t i = 0; i < count && code == 0; i++)
			code = run_one(&cells[order[i] / WAY_COUNT], (enum way)(order[i] % WAY_COUNT), round);
	}
	return code;
}

/* --- figures ------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static uint64_t median(struct cell *cell, enum way way)
{
	qsort(cell->rounds[way], (size_t)round_count, sizeof cell->rounds[way][0], by_number);
	return cell->rounds[way][round_count / 2];
}

static void print_tables(void)
{
	for (int large = 0; large <= 1; large++) {
		printf("\nCPU us per file, cached in %s folios\n%10s", large ? "large" : "small", "KiB");
		for (int way = 0; way < WAY_COUNT; way++)
			printf(" %9s", way_names[way]);
		puts("");
		for (size_t i = 0; i < cell_count; i++) {
			if (cells[i].large != large)
				continue;
			printf("%10" PRIu64, cells[i].size_bytes / KIB);
			for (int way = 0; way < WAY_COUNT; way++)
				printf(" %9.1f", (double)median(&cells[i], (enum way)way) / 1e3);
			puts("");
		}
	}
}

/* The least size from which on `way` (and a look, where it needs one) costs less than `other`. */
static void print_crossing(const char *text, bool large, enum way way, bool looks, enum way other)
{
	uint64_t from_bytes = 0;

	for (size_t i = 0; i < cell_count; i++) {
		uint64_t cost_ns = median(&cells[i], way) + (looks ? median(&cells[i], LOOK) : 0);

		if (cells[i].large != large)
			continue;
		if (cost_ns >= median(&cells[i], other))
			from_bytes = 0;
		else if (!from_bytes)
			from_bytes = cells[i].size_bytes;
	}
	if (from_bytes)
		printf("%-58s from %" PRIu64 " KiB\n", text, from_bytes / KIB);
	else
		printf("%-58s nowhere up to %" PRIu64 " KiB\n", text, cells[cell_count - 1].size_bytes / KIB);
}

static void print_crossings(void)
{
	puts("");
	print_crossing("small folios: a stream costs less than reading whole", false, STREAM, false, WHOLE);
	print_crossing("small folios: a map costs less than reading whole", false, MAP, false, WHOLE);
	print_crossing("small folios: a map costs less than a stream", false, MAP, false, STREAM);
	print_crossing("large folios: a map costs less than a stream", true, MAP, false, STREAM);
	print_crossing("large folios: a look and a map cost less than a stream", true, MAP, true, STREAM);
}

int main(int argc, char **argv)
{
	int code = 0;

	if (argc > 2)
		round_count = atoi(argv[2]);
	if (argc < 2 || round_count < 1 || round_count > ROUNDS_MAX)
		return fprintf(stderr, "usage: small-bench FOLDER [ROUNDS]\n"), 2;
	for (unsigned i = 0; i < SIZE_COUNT && code == 0; i++)
		code = add_cell(argv[1], SIZE_MIN << i, false);
	for (unsigned i = 0; i < SIZE_COUNT && code == 0; i++)
		if (SIZE_MIN << i >= LARGE_MIN)
			code = add_cell(argv[1], SIZE_MIN << i, true);
	if (code)
		code = complain("writing files");
	else if (run_rounds() != 0)
		code = complain("reading files");
	else
		print_tables(), print_crossings();
	remove_files();
	return code ? 1 : 0;
}
