/* SPDX-License-Identifier: MIT */
/* A mapping is lazy: after mapping, nothing is read; one byte brings its neighbours, more or fewer as
 * advised. For each advice: the file is put out of the page cache, mapped, and one byte in the middle
 * is touched.
 *
 *     lazy FILE            FILE should be some MiB, on a disk, and mapped by nobody else */
#include <comap/mapping.h>
#include <comap/pages.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct { const char *name; int advice; } ways[] = {
	{ "none", -1 },
	{ "RANDOM", COMAP_ADVICE_RANDOM },
	{ "SEQUENTIAL", COMAP_ADVICE_SEQUENTIAL },
	{ "WILLNEED", COMAP_ADVICE_WILLNEED },
	{ "POPULATE_READ", COMAP_ADVICE_POPULATE_READ },
};

struct faults { long major, minor; };

static struct faults faults_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct faults){ usage.ru_majflt, usage.ru_minflt };
}

/* Clean pages that nobody maps leave the cache when asked to. */
static int evict(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;

	if (fd < 0)
		return -1;
	fsync(fd);
	code = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return code ? -1 : 0;
}

static uint64_t cached_pages(const struct comap_map *map)
{
	uint64_t count = 0;

	return comap_pages_cached(comap_map_data(map), comap_map_size_bytes(map), &count) < 0 ? 0 : count;
}

static int show(const char *path, const char *name, int advice)
{
	struct faults before, after;
	struct comap_map *map;
	const volatile char *byte;
	uint64_t mapped, advised;

	if (evict(path) < 0 || comap_map_open(path, NULL, &map) < 0)
		return -1;
	mapped = cached_pages(map);
	if (advice >= 0 && comap_map_advise(map, 0, COMAP_MAP_REST, (enum comap_advice)advice) < 0)
		return comap_map_close(map), -1;
	advised = cached_pages(map);
	byte = comap_map_at(map, comap_map_size_bytes(map) / 2, 1, 1);
	before = faults_so_far();
	if (byte)
		(void)*byte;
	after = faults_so_far();
	printf("%-14s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %7ld %7ld\n", name, mapped, advised,
	       cached_pages(map), after.major - before.major, after.minor - before.minor);
	comap_map_close(map);
	return 0;
}

int main(int argc, char **argv)
{
	struct comap_map *map;

	if (argc != 2)
		return fprintf(stderr, "usage: lazy FILE\n"), 2;
	if (comap_map_open(argv[1], NULL, &map) < 0) /* a pipe would keep evict() waiting */
		return fprintf(stderr, "lazy: %s\n", comap_error_text()), 1;
	comap_map_close(map);
	printf("pages in memory after ...                   faults of the touch\n"
	       "%-14s %10s %10s %10s %7s %7s\n", "advice", "mapping", "advising", "one byte", "major", "minor");
	for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++)
		if (show(argv[1], ways[i].name, ways[i].advice) < 0)
			return fprintf(stderr, "lazy: %s: %s\n", argv[1], comap_error_text()), 1;
	return 0;
}
