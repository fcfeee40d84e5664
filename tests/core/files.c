/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <comap/guard.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void files_stop(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s (%s)\n", file, line, condition, strerror(errno));
	exit(PROC_FAILED);
}

void files_skip(const char *reason)
{
	printf("SKIPPED: %s\n", reason);
	fflush(stdout);
	exit(FILES_SKIP);
}

void files_guard(void)
{
	if (comap_guard_check() == -EBUSY)
		MUST(comap_guard_reinstall() == 0);
}

unsigned char files_pattern(uint64_t offset_bytes)
{
	return (unsigned char)(1 + (offset_bytes * 7 + (offset_bytes >> 12) * 13) % 255);
}

void files_write(const char *path, uint64_t offset_bytes, uint64_t size_bytes)
{
	unsigned char block[4096];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	MUST(fd >= 0);
	while (size_bytes) {
		size_t count = size_bytes < sizeof block ? size_bytes : sizeof block;

		for (size_t i = 0; i < count; i++)
			block[i] = files_pattern(offset_bytes + i);
		MUST(pwrite(fd, block, count, (off_t)offset_bytes) == (ssize_t)count);
		offset_bytes += count;
		size_bytes -= count;
	}
	close(fd);
}

const char *files_make(enum proc_place place, const char *name, uint64_t size_bytes)
{
	const char *path = proc_path(place, name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	MUST(fd >= 0);
	close(fd);
	files_write(path, 0, size_bytes);
	return path;
}

void files_resize(const char *path, uint64_t size_bytes)
{
	MUST(truncate(path, (off_t)size_bytes) == 0);
}

uint64_t files_size_bytes(const char *path)
{
	struct stat st;

	MUST(stat(path, &st) == 0);
	return (uint64_t)st.st_size;
}

uint64_t files_allocated_bytes(const char *path)
{
	struct stat st;

	MUST(stat(path, &st) == 0);
	return (uint64_t)st.st_blocks * 512;
}

bool files_equal(const char *path, uint64_t offset_bytes, const void *bytes, size_t size_bytes)
{
	char *there = malloc(size_bytes + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool equal;

	MUST(there && fd >= 0);
	equal = pread(fd, there, size_bytes, (off_t)offset_bytes) == (ssize_t)size_bytes &&
	        memcmp(there, bytes, size_bytes) == 0;
	close(fd);
	free(there);
	return equal;
}

uint64_t files_first_wrong(const void *bytes, uint64_t offset_bytes, uint64_t size_bytes)
{
	const unsigned char *at = bytes;

	for (uint64_t i = 0; i < size_bytes; i++)
		if (at[i] != files_pattern(offset_bytes + i))
			return i;
	return size_bytes;
}
