/* SPDX-License-Identifier: MIT */
/* The first byte of a file: open, look, close.
 *
 *     first-byte FILE
 *     FILE: 35149 bytes, the first is 0x23 '#' */
#include <comap/guard.h>
#include <comap/mapping.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct comap_map *map;
	const unsigned char *first;
	int byte, status;

	if (argc != 2)
		return fprintf(stderr, "usage: first-byte FILE\n"), 2;
	if (comap_map_open(argv[1], NULL, &map) < 0)
		return fprintf(stderr, "first-byte: %s\n", comap_error_text()), 1;
	first = comap_map_at(map, 0, 1, 1); /* checked: an empty file has no first byte */
	if (!first)
		return fprintf(stderr, "first-byte: %s\n", comap_error_text()), 1;
	byte = *first;
	status = comap_map_status(map); /* was it the file's, or had the file become shorter? */
	if (status < 0)
		return fprintf(stderr, "first-byte: %s\n", comap_error_text()), 1;
	printf("%s: %" PRIu64 " bytes, the first is 0x%02x '%c'\n", argv[1], comap_map_size_bytes(map), byte,
	       isprint(byte) ? byte : '.');
	comap_map_close(map);
	return 0;
}
