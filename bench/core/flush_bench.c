/* SPDX-License-Identifier: MIT */
/* flush-bench: what it costs to be sure of each change, against once per thousand.
 *
 *     flush-bench FILE [CHANGES]     FILE is made (1 MiB) and removed; put it on the disk in question
 *
 * One change is 64 bytes at a random place. The ways take turns; medians of five rounds. */
#include <comap/error.h>
#include <comap/flush.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES ((uint64_t)1 << 20)
#define ROUNDS 5

static const struct way {
	const char *name;
	unsigned changes_per_flush; /* 0: never */
	enum comap_flush how;
} ways[] = {
	{ "stores only", 0, COMAP_FLUSH_DATA },
	{ "FLUSH_START each", 1, COMAP_FLUSH_START },
	{ "FLUSH_DATA each", 1, COMAP_FLUSH_DATA },
	{ "FLUSH_FILE each", 1, COMAP_FLUSH_FILE },
	{ "FLUSH_DATA per 1000", 1000, COMAP_FLUSH_DATA },
};
#define WAY_COUNT (sizeof ways / sizeof ways[0])

static uint64_t random_state = 88172645463325252u;

static uint64_t random_offset(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % (FILE_BYTES - 64);
}

/* Nanoseconds per change, or a negative number. */
static double run(struct comap_map *map, const struct way *way, unsigned change_count)
{
	uint64_t start_ns = comap_now_ns();

	for (unsigned i = 1; i <= change_count; i++) {
		uint64_t at = random_offset();

		memset(comap_map_at_mutable(map, at, 64, 1), (int)i, 64);
		if (way->changes_per_flush && i % way->changes_per_flush == 0 &&
		    (way->changes_per_flush == 1 ? comap_map_flush(map, way->how, at, 64)
		                                 : comap_map_flush(map, way->how, 0, COMAP_MAP_REST)) < 0)
			return -1;
	}
	return (double)(comap_now_ns() - start_ns) / change_count;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure(struct comap_map *map, unsigned change_count)
{
	double results[WAY_COUNT][ROUNDS];

	for (int round = 0; round < ROUNDS; round++)
		for (unsigned way = 0; way < WAY_COUNT; way++) {
			results[way][round] = run(map, &ways[way], change_count);
			/* What one way left dirty is not for the next to write. */
			if (results[way][round] < 0 || comap_map_flush(map, COMAP_FLUSH_FILE, 0, 0) < 0)
				return -1;
		}
	for (unsigned way = 0; way < WAY_COUNT; way++)
		qsort(results[way], ROUNDS, sizeof results[0][0], by_value);
	for (unsigned way = 0; way < WAY_COUNT; way++)
		printf("%-20s %12.2f us per change  (%.0fx stores only)\n", ways[way].name,
		       results[way][ROUNDS / 2] / 1000, results[way][ROUNDS / 2] / results[0][ROUNDS / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned change_count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 1000;
	struct comap_map *map;
	int code;

	if (argc < 2 || change_count < 1)
		return fprintf(stderr, "usage: flush-bench FILE [CHANGES]\n"), 2;
	code = comap_map_open(argv[1], COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, .size_bytes = FILE_BYTES,
	                      .flags = COMAP_MAP_CREATE | COMAP_MAP_EXCLUSIVE | COMAP_MAP_EXTEND), &map);
	if (code < 0)
		return fprintf(stderr, "flush-bench: %s\n", comap_error_text()), 1;
	code = comap_map_flush(map, COMAP_FLUSH_METADATA, 0, 0) < 0 ? -1 : measure(map, change_count);
	if (code < 0)
		fprintf(stderr, "flush-bench: %s\n", comap_error_text());
	comap_map_close(map);
	unlink(argv[1]);
	return code < 0;
}
