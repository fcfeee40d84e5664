/* SPDX-License-Identifier: MIT */
/* scan-bench: newlines, literals and jumps, in every way and against the usual commands.
 *
 *     scan-bench FILE [--literal TEXT] [--jumps N] [--processes N] [--cold] [--runs N] [--json]
 *
 * All ways in turn, then all again: what disturbs the machine disturbs all. Medians; ratios to the best
 * way of the same run. A way whose count differs from the others' is an error. */
#include "measure.h"

#include <comap/error.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 50
#define ROWS_MAX 32

struct row {
	const char *name;
	const struct measure_way *way; /* or */
	const char *argv[8];
	int code;
	struct measure_result runs[RUNS_MAX];
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static struct measure_job job;
static int run_count = 5;
static bool json;

static void add_way(const struct measure_way *way)
{
	rows[row_count].name = way->name;
	rows[row_count++].way = way;
}

static void add_command(const char *name, const char *a, const char *b, const char *c,
                        const char *d)
{
	struct row *row = &rows[row_count++];
	const char *argv[] = { a, b, c, d };
	int count = 0;

	row->name = name;
	for (int i = 0; i < 4; i++)
		if (argv[i])
			row->argv[count++] = argv[i];
	row->argv[count] = job.path;
}

static void add_rows(void)
{
	for (size_t i = 0; i < measure_way_count; i++)
		if (measure_ways[i].jumps == (job.jump_count != 0) &&
		    !(job.cold && measure_ways[i].ruinous_cold))
			add_way(&measure_ways[i]);
	if (job.jump_count || job.process_count > 1)
		return;
	if (!job.literal) {
		add_command("wc -l", "wc", "-l", NULL, NULL);
		add_command("grep -c ''", "grep", "-c", "", NULL);
		add_command("rg -c ''", "rg", "-c", "", NULL);
		return;
	}
	add_command("grep -cF", "grep", "-cF", job.literal, NULL);
	add_command("rg -cF --mmap", "rg", "-cF", "--mmap", job.literal);
	add_command("rg -cF --no-mmap", "rg", "-cF", "--no-mmap", job.literal);
}

static void run_row(struct row *row, int run)
{
	if (row->code)
		return;
	row->code = row->way ? measure_run(row->way, &job, &row->runs[run])
	                     : measure_command(row->argv, &job, &row->runs[run]);
}

static int by_wall(const void *a, const void *b)
{
	uint64_t left = ((const struct measure_result *)a)->wall_ns;
	uint64_t right = ((const struct measure_result *)b)->wall_ns;

	return left < right ? -1 : left > right;
}

/* Sorts each row's runs; the shortest median. */
static uint64_t find_best(void)
{
	uint64_t best_ns = UINT64_MAX;

	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].code)
			continue;
		qsort(rows[i].runs, (size_t)run_count, sizeof rows[i].runs[0], by_wall);
		if (rows[i].runs[run_count / 2].wall_ns < best_ns)
			best_ns = rows[i].runs[run_count / 2].wall_ns;
	}
	return best_ns;
}

static void print_row(const struct row *row, uint64_t best_ns)
{
	const struct measure_result *median = &row->runs[run_count / 2];

	if (json && !row->code) {
		printf("{\"way\":\"%s\",\"wall_ns\":%" PRIu64 ",\"min_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
		       ",\"faults\":%" PRIu64 ",\"peak_rss_bytes\":%" PRIu64 ",\"ratio\":%.3f}\n",
		       row->name, median->wall_ns, row->runs[0].wall_ns, median->cpu_ns,
		       median->minor_faults + median->major_faults, median->peak_rss_bytes,
		       (double)median->wall_ns / (double)best_ns);
		return;
	}
	if (row->code)
		printf("%-18s not run: %s\n", row->name, strerror(-row->code));
	else
		printf("%-18s %9.1f %9.1f %9.1f %9" PRIu64 " %8.1f %7.2f\n", row->name,
		       (double)median->wall_ns / 1e6, (double)row->runs[0].wall_ns / 1e6,
		       (double)median->cpu_ns / 1e6, median->minor_faults + median->major_faults,
		       (double)median->peak_rss_bytes / 1048576.0,
		       (double)median->wall_ns / (double)best_ns);
}

static int check_counts(void)
{
	const struct row *first = NULL;

	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].code || !rows[i].way)
			continue;
		first = first ? first : &rows[i];
		for (int run = 0; run < run_count; run++)
			if (rows[i].runs[run].count != first->runs[0].count)
				return fprintf(stderr, "%s counted %" PRIu64 ", %s %" PRIu64 "\n",
				               rows[i].name, rows[i].runs[run].count, first->name,
				               first->runs[0].count), 1;
	}
	return first ? 0 : 1;
}

static int read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "literal", required_argument, NULL, 'l' }, { "jumps", required_argument, NULL, 'j' },
		{ "processes", required_argument, NULL, 'p' }, { "cold", no_argument, NULL, 'c' },
		{ "runs", required_argument, NULL, 'r' }, { "json", no_argument, NULL, 'J' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'l': job.literal = optarg; break;
		case 'j': job.jump_count = strtoull(optarg, NULL, 10); break;
		case 'p': job.process_count = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'c': job.cold = true; break;
		case 'r': run_count = atoi(optarg); break;
		case 'J': json = true; break;
		default: return 2;
		}
	if (optind + 1 != argc || run_count < 1 || run_count > RUNS_MAX)
		return fprintf(stderr, "usage: scan-bench FILE [--literal TEXT] [--jumps N] [--processes N]"
		               " [--cold] [--runs N] [--json]\n"), 2;
	job.path = argv[optind];
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t best_ns;
	int code = read_options(argc, argv);

	if (code)
		return code;
	add_rows();
	for (int run = 0; run < run_count; run++)
		for (size_t i = 0; i < row_count; i++)
			run_row(&rows[i], run);
	best_ns = find_best();
	if (!json)
		printf("%-18s %9s %9s %9s %9s %8s %7s\n", "way", "ms", "min ms", "cpu ms", "faults",
		       "peak MiB", "/ best");
	for (size_t i = 0; i < row_count; i++)
		print_row(&rows[i], best_ns);
	return check_counts();
}
