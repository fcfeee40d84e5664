/* SPDX-License-Identifier: MIT */
/* memory-bench FILE [PROCESSES_MAX]: what 1, 2, 4 ... 32 processes pay for one file.
 *
 * Every process looks at every page, once through a map and once after read() into memory of its own;
 * then their RSS, PSS and page tables are summed. One line of JSON for each. */
#include "../crowd.h"

#include <comap/error.h>
#include <comap/guard.h>
#include <comap/mapping.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROCESSES_MAX 32u
#define STEP_BYTES 4096u

static uint64_t touch(const unsigned char *data, uint64_t size_bytes)
{
	uint64_t sum = 0;

	for (uint64_t at = 0; at < size_bytes; at += STEP_BYTES)
		sum += ((const volatile unsigned char *)data)[at];
	return sum;
}

static const unsigned char *get_bytes(const char *path, bool copies, uint64_t *ret_size)
{
	struct comap_map *map;
	unsigned char *copy;

	if (comap_map_open(path, NULL, &map) != 0)
		return NULL;
	*ret_size = comap_map_size_bytes(map);
	if (!copies)
		return comap_map_data(map);
	copy = malloc(*ret_size);
	if (copy && comap_map_copy_out(map, 0, copy, *ret_size) != 0)
		copy = NULL;
	comap_map_close(map);
	return copy;
}

struct way {
	const char *path;
	bool copies;
};

static bool look(void *context)
{
	const struct way *way = context;
	uint64_t size_bytes;
	const unsigned char *data = get_bytes(way->path, way->copies, &size_bytes);

	if (data)
		touch(data, size_bytes);
	return data != NULL;
}

static int run(struct way way, unsigned count)
{
	struct crowd_sums sums;

	if (crowd_measure(count, look, &way, &sums) != 0)
		return -1;
	printf("{\"how\":\"%s\",\"processes\":%u,\"rss_bytes\":%" PRIu64 ",\"pss_bytes\":%" PRIu64
	       ",\"page_table_bytes\":%" PRIu64 "}\n", way.copies ? "copy" : "map", count,
	       sums.rss_bytes, sums.pss_bytes, sums.page_table_bytes);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned most = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : PROCESSES_MAX;

	if (argc < 2 || most == 0 || most > PROCESSES_MAX)
		return fprintf(stderr, "usage: memory-bench FILE [PROCESSES_MAX]\n"), 2;
	for (int copies = 0; copies < 2; copies++)
		for (unsigned count = 1; count <= most; count *= 2)
			if (run((struct way){ argv[1], copies != 0 }, count) != 0)
				return fprintf(stderr, "memory-bench: %s\n", comap_error_text()), 1;
	return 0;
}
