/* SPDX-License-Identifier: MIT */
/* Appends standard input to a file through a mapping that grows and never moves: the pointer to the
 * first byte is taken once and stays good.
 *
 *     growing-file FILE < INPUT */
#include <comap/contract.h>
#include <comap/flush.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAXIMUM_BYTES ((uint64_t)64 << 30) /* address space; it costs nothing */
#define STEP_BYTES ((uint64_t)1 << 20)

static int fail(void)
{
	fprintf(stderr, "growing-file: %s\n", comap_error_text());
	return 1;
}

int main(int argc, char **argv)
{
	char line[4096];
	struct comap_map *map;
	uint64_t used_bytes, start_bytes;
	const void *first;

	if (argc != 2)
		return fprintf(stderr, "usage: growing-file FILE < INPUT\n"), 2;
	if (comap_map_open(argv[1], COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, .flags = COMAP_MAP_CREATE,
	                                              .maximum_bytes = MAXIMUM_BYTES), &map) < 0)
		return fail();
	start_bytes = used_bytes = comap_map_size_bytes(map);
	first = comap_map_data(map);
	for (size_t count; (count = fread(line, 1, sizeof line, stdin)) > 0; used_bytes += count) {
		/* In large steps; the file's space is there before it is touched. */
		if (used_bytes + count > comap_map_size_bytes(map) &&
		    comap_map_resize(map, used_bytes + count + STEP_BYTES, 0) < 0)
			return fail();
		memcpy(comap_map_at_mutable(map, used_bytes, count, 1), line, count);
	}
	/* What was allocated ahead is given back, unless somebody reads under the size lock. */
	if (comap_map_truncate_file(map, used_bytes, comap_deadline_ms(1000)) < 0 ||
	    comap_map_flush(map, COMAP_FLUSH_METADATA, 0, COMAP_MAP_REST) < 0)
		return fail();
	printf("%s: %" PRIu64 " bytes appended, %" PRIu64 " in all; the mapping %s\n", argv[1],
	       used_bytes - start_bytes, used_bytes,
	       comap_map_data(map) == first ? "has not moved" : "HAS MOVED");
	comap_map_close(map);
	return 0;
}
