/* SPDX-License-Identifier: MIT */
/* What the targets share: taking an input apart, a folder, the end of a run that found something. */
#include "fuzz.h"

#include <comap/error.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS_MAX 8u

static char folder[100];
static char paths[PATHS_MAX][200];
static unsigned path_count;

void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "fuzz: %s:%d: not so: %s (last error: %s)\n", file, line, what, comap_error_text());
	abort();
}

uint64_t fuzz_take(struct fuzz_in *in, unsigned byte_count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < byte_count; i++)
		if (in->at < in->end)
			value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

void *fuzz_take_copy(struct fuzz_in *in, size_t size_bytes)
{
	size_t left = fuzz_left(in) < size_bytes ? fuzz_left(in) : size_bytes;
	uint8_t *copy = calloc(1, size_bytes ? size_bytes : 1);

	FUZZ_REQUIRE(copy);
	if (left)
		memcpy(copy, in->at, left);
	in->at += left;
	return copy;
}

char *fuzz_take_string(struct fuzz_in *in, size_t length_max)
{
	size_t length = 0;
	char *copy;

	while (length < length_max && length < fuzz_left(in) && in->at[length])
		length++;
	copy = strndup((const char *)in->at, length);
	FUZZ_REQUIRE(copy);
	in->at += length < fuzz_left(in) ? length + 1 : length;
	return copy;
}

void fuzz_folder_make(void)
{
	const char *given = getenv("COMAP_FUZZ_FOLDER");

	if (folder[0])
		return;
	if (given)
		snprintf(folder, sizeof folder, "%s", given);
	else
		snprintf(folder, sizeof folder, "/dev/shm/comap-test-%d-fuzz", (int)getpid());
	FUZZ_REQUIRE(mkdir(folder, 0700) == 0 || errno == EEXIST);
}

const char *fuzz_path(const char *name)
{
	fuzz_folder_make();
	FUZZ_REQUIRE(path_count < PATHS_MAX);
	snprintf(paths[path_count], sizeof paths[0], "%s/%s", folder, name);
	return paths[path_count++];
}

void fuzz_folder_remove(void)
{
	struct dirent *entry;
	DIR *dir = folder[0] ? opendir(folder) : NULL;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	if (folder[0])
		rmdir(folder);
	folder[0] = 0;
	path_count = 0;
}
