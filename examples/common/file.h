/* SPDX-License-Identifier: MIT */
/* Small files read and written whole. */
#ifndef EXAMPLES_COMMON_FILE_H
#define EXAMPLES_COMMON_FILE_H

#include <stddef.h>
#include <stdint.h>

struct file_text {
	char *data;          /* never NULL; a NUL follows; free() */
	size_t size_bytes;
	uint64_t time_ns;    /* last modification, CLOCK_REALTIME */
};

/* A copy of the file: it may be truncated or replaced meanwhile. 0, or a negative errno, and errno
 * is set. */
int file_read(const char *path, struct file_text *ret_text);

/* Writes `path`.tmp and renames it over `path`: readers see the old or the new, whole. */
int file_replace(const char *path, const void *data, size_t size_bytes);

#endif
