/* SPDX-License-Identifier: MIT */
/* memory-bench FILE [PROCESSES_MAX]: what 1, 2, 4 ... 32 processes pay for one file.
 *
 * Every process looks at every page, once through a map and once after read() into memory of its own;
 * then their RSS, PSS and page tables are summed. One line of JSON for each. */
#include <comap/error.h>
#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/pages.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 32u
#define STEP_BYTES 4096u

struct sums {
	uint64_t rss_bytes, pss_bytes, page_table_bytes;
};

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

static pid_t start(const char *path, bool copies, int ready)
{
	pid_t child = fork();

	if (child == 0) {
		uint64_t size_bytes;
		const unsigned char *data = get_bytes(path, copies, &size_bytes);

		if (!data)
			_exit(1);
		touch(data, size_bytes);
		if (write(ready, "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	return child;
}

static int add(pid_t pid, struct sums *sums)
{
	struct comap_pages pages;
	int code = comap_pages_process(pid, &pages);

	if (code)
		return code;
	sums->rss_bytes += pages.rss_bytes;
	sums->pss_bytes += pages.pss_bytes;
	sums->page_table_bytes += pages.page_table_bytes;
	return 0;
}

static int run(const char *path, unsigned count, bool copies)
{
	pid_t children[PROCESSES_MAX];
	struct sums sums = { 0 };
	int ready[2], code = 0;
	char byte;

	if (pipe(ready) != 0)
		return -1;
	for (unsigned i = 0; i < count; i++)
		children[i] = start(path, copies, ready[1]);
	close(ready[1]);
	for (unsigned i = 0; i < count && code == 0; i++)
		code = children[i] > 0 && read(ready[0], &byte, 1) == 1 ? 0 : -1;
	for (unsigned i = 0; i < count && code == 0; i++)
		code = add(children[i], &sums);
	for (unsigned i = 0; i < count; i++)
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	close(ready[0]);
	if (code == 0)
		printf("{\"how\":\"%s\",\"processes\":%u,\"rss_bytes\":%" PRIu64 ",\"pss_bytes\":%" PRIu64
		       ",\"page_table_bytes\":%" PRIu64 "}\n", copies ? "copy" : "map", count,
		       sums.rss_bytes, sums.pss_bytes, sums.page_table_bytes);
	fflush(stdout);
	return code;
}

int main(int argc, char **argv)
{
	unsigned most = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : PROCESSES_MAX;

	if (argc < 2 || most == 0 || most > PROCESSES_MAX)
		return fprintf(stderr, "usage: memory-bench FILE [PROCESSES_MAX]\n"), 2;
	for (int copies = 0; copies < 2; copies++)
		for (unsigned count = 1; count <= most; count *= 2)
			if (run(argv[1], count, copies) != 0)
				return fprintf(stderr, "memory-bench: %s\n", comap_error_text()), 1;
	return 0;
}
