/* SPDX-License-Identifier: MIT */
/* Overwrites bytes of a file in place, and knows that they are on disk.
 *
 *     patch-flush FILE OFFSET TEXT */
#include <comap/flush.h>
#include <comap/guard.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(void)
{
	fprintf(stderr, "patch-flush: %s\n", comap_error_text());
	return 1;
}

int main(int argc, char **argv)
{
	struct comap_map *map;
	unsigned long long offset_bytes;
	size_t size_bytes;
	char *end;

	if (argc != 4)
		return fprintf(stderr, "usage: patch-flush FILE OFFSET TEXT\n"), 2;
	offset_bytes = strtoull(argv[2], &end, 0);
	size_bytes = strlen(argv[3]);
	if (*end)
		return fprintf(stderr, "patch-flush: '%s' is no offset\n", argv[2]), 2;
	/* ALLOCATE: a full disk is an error here, and not a surprise at the first store. */
	if (comap_map_open(argv[1], COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, .flags = COMAP_MAP_ALLOCATE),
	                   &map) < 0)
		return fail();
	if (comap_map_copy_in(map, offset_bytes, argv[3], size_bytes) < 0)
		return fail();
	/* From the copy on, a crash of this program loses nothing. From the flush on, nor does a power cut. */
	if (comap_map_flush(map, COMAP_FLUSH_DATA, offset_bytes, size_bytes) < 0)
		return fail();
	printf("%zu bytes at offset %llu of %s are on disk\n", size_bytes, offset_bytes, argv[1]);
	comap_map_close(map);
	return 0;
}
