/* SPDX-License-Identifier: MIT */
/* One copy: what N processes pay for a file that they map, and for one that they read.
 *
 *     page-sharing FILE [PROCESSES [PLOT.svg]]
 *
 * For 1, 2, 4 ... processes: the sum of RSS (what top shows, counting shared pages again for each), the
 * sum of PSS (each page once), and, with the privilege to see them, how many page frames of the last
 * process are the first one's. The same with copies on the heap. The plot needs gnuplot. */
#include <comap/error.h>
#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/pages.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 64u
#define ROWS_MAX 16u
#define MIB 1048576.0

struct row {
	unsigned processes;
	double rss, pss, heap_pss; /* MiB */
};

static struct comap_map *map;
static struct comap_pages_key key;

static unsigned touch(const unsigned char *bytes)
{
	unsigned sum = 0;

	for (uint64_t at = 0; at < comap_map_size_bytes(map); at += 4096)
		sum += ((const volatile unsigned char *)bytes)[at];
	return sum;
}

/* Looks at all of it, says so, and waits for its end. */
static pid_t start(bool heap, int ready)
{
	pid_t child = fork();
	unsigned char *copy;

	if (child != 0)
		return child;
	if (heap) {
		copy = malloc(comap_map_size_bytes(map));
		if (!copy || comap_map_copy_out(map, 0, copy, comap_map_size_bytes(map)) != 0)
			_exit(1);
		touch(copy);
	} else {
		touch(comap_map_data(map));
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int add(pid_t pid, bool heap, struct row *row)
{
	struct comap_pages pages;
	int code = heap ? comap_pages_process(pid, &pages) : comap_pages_file(pid, key, &pages);

	if (code)
		return code;
	if (heap) {
		row->heap_pss += (double)pages.pss_bytes / MIB;
	} else {
		row->rss += (double)pages.rss_bytes / MIB;
		row->pss += (double)pages.pss_bytes / MIB;
	}
	return 0;
}

static void print_frames(pid_t first, pid_t last)
{
	uint64_t page_count = (comap_map_size_bytes(map) + 4095) / 4096;
	struct comap_pages_match match;

	if (comap_pages_compare(first, last, key, 0, page_count, &match) == 0)
		printf(", %" PRIu64 " of %" PRIu64 " page frames are the same", match.same_count,
		       match.both_count);
	else if (comap_last_error()->code == EPERM)
		printf(", page frames are not shown to this user");
}

static int run(unsigned count, bool heap, struct row *row)
{
	pid_t children[PROCESSES_MAX];
	int ready[2], code = 0;
	char byte;

	if (pipe(ready) != 0)
		return -errno;
	for (unsigned i = 0; i < count; i++)
		children[i] = start(heap, ready[1]);
	close(ready[1]);
	for (unsigned i = 0; i < count && code == 0; i++)
		code = read(ready[0], &byte, 1) == 1 ? 0 : -EIO;
	for (unsigned i = 0; i < count && code == 0; i++)
		code = add(children[i], heap, row);
	if (code == 0 && !heap) {
		printf("%2u processes: RSS %.0f MiB in sum, PSS %.0f MiB", count, row->rss, row->pss);
		if (count > 1)
			print_frames(children[0], children[count - 1]);
		putchar('\n');
		fflush(stdout);
	}
	for (unsigned i = 0; i < count; i++)
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	close(ready[0]);
	return code;
}

static int plot(const struct row *rows, unsigned row_count, const char *path)
{
	FILE *gnuplot = strchr(path, '\'') ? NULL : popen("gnuplot", "w");

	if (!gnuplot)
		return -1;
	fprintf(gnuplot, "set terminal svg size 720,440 background 'white'\nset output '%s'\n"
	        "set xlabel 'processes'\nset ylabel 'MiB'\nset yrange [0:*]\nset key top left\nset grid\n"
	        "plot '-' using 1:2 with linespoints dashtype 2 title 'map: sum of RSS (what top shows)', "
	        "'-' using 1:2 with linespoints title 'copies on the heap: sum of PSS', "
	        "'-' using 1:2 with linespoints linewidth 2 title 'map: sum of PSS'\n", path);
	for (unsigned line = 0; line < 3; line++) {
		for (unsigned i = 0; i < row_count; i++)
			fprintf(gnuplot, "%u %.2f\n", rows[i].processes, line == 0 ? rows[i].rss
			        : line == 1 ? rows[i].heap_pss : rows[i].pss);
		fputs("e\n", gnuplot);
	}
	return pclose(gnuplot) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	unsigned most = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8, row_count = 0;
	struct row rows[ROWS_MAX] = { { 0 } };
	int code;

	if (argc < 2 || argc > 4 || most == 0 || most > PROCESSES_MAX)
		return fputs("usage: page-sharing FILE [PROCESSES [PLOT.svg]]\n", stderr), 2;
	code = comap_map_open(argv[1], NULL, &map);
	if (code == 0)
		code = comap_pages_key(comap_map_descriptor(map), &key);
	for (unsigned count = 1; code == 0 && count <= most; count *= 2) {
		struct row *row = &rows[row_count++];

		row->processes = count;
		code = run(count, false, row);
		if (code == 0)
			code = run(count, true, row);
	}
	if (code) {
		fprintf(stderr, "page-sharing: %s: %s\n", argv[1], comap_error_text());
		return 1;
	}
	comap_map_close(map);
	if (argc == 4 && plot(rows, row_count, argv[3]) != 0)
		return fputs("page-sharing: no plot was drawn: it needs gnuplot\n", stderr), 1;
	return 0;
}
