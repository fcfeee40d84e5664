/* SPDX-License-Identifier: MIT */
/* scan-bench: newlines, literals and jumps, in every way, without comap, and by the usual commands.
 *
 *     scan-bench FILE [--literal TEXT] [--jumps N] [--processes N] [--cold] [--rounds N]
 *                     [--ruinous N] [--only TEXT[,TEXT ...]] [--json]
 *
 * Rounds: each runs every way once, in an order shuffled anew from a fixed seed, so that no way
 * always follows the same other one and what disturbs the machine disturbs all. Medians of the
 * clock's and of the CPU's time, each by itself; ratios to the best comap or bare way. Ways that
 * are ruinous where nothing is cached run in the first --ruinous rounds only (0 without it). A way
 * whose count differs from the others' is an error.
 *
 * Cached means all of it: before each run what has left the page cache is read in again, outside the
 * time, and the last line says how often. (Some kernels drop what nobody touched for a minute.)
 *
 * Invariants: I1  every way counts the same; commands are timed, their output is not read */
#include "bare.h"
#include "measure.h"

#include <comap/error.h>
#include <comap/pages.h>
#include <comap/scan.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 99
#define ROWS_MAX 48
#define SHUFFLE_SEED UINT64_C(88172645463325252)

struct row {
	const char *name;
	const struct measure_way *way; /* or */
	const char *argv[8];
	int code;
	int run_count, runs_wanted;
	struct measure_result runs[ROUNDS_MAX];
	uint64_t wall_ns, wall_min_ns, wall_max_ns, cpu_ns; /* medians, and the ends */
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static struct measure_job job;
static int round_count = 5, ruinous_count, warmed_count;
static const char *only;
static bool json;

/* --- what runs ---------------------------------------------------------------------------- */

/* True: no --only, or one of its texts is in the name. */
static bool is_wanted(const char *name)
{
	char list[200], *rest = list, *text;

	if (!only)
		return true;
	snprintf(list, sizeof list, "%s", only);
	while ((text = strsep(&rest, ",")))
		if (strstr(name, text))
			return true;
	return false;
}

static struct row *add_row(const char *name)
{
	struct row *row = &rows[row_count];

	if (!is_wanted(name) || row_count == ROWS_MAX)
		return NULL;
	row_count++;
	row->name = name;
	row->runs_wanted = round_count;
	return row;
}

static void add_ways(const struct measure_way *ways, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct row *row = ways[i].jumps == (job.jump_count != 0) ? add_row(ways[i].name) : NULL;

		if (!row)
			continue;
		row->way = &ways[i];
		if (job.cold && ways[i].ruinous_cold)
			row->runs_wanted = ruinous_count < round_count ? ruinous_count : round_count;
	}
}

static void add_command(const char *name, const char *a, const char *b, const char *c, const char *d)
{
	const char *argv[] = { a, b, c, d };
	struct row *row = add_row(name);
	int count = 0;

	for (int i = 0; row && i < 4; i++)
		if (argv[i])
			row->argv[count++] = argv[i];
	if (row)
		row->argv[count] = job.path;
}

static void add_rows(void)
{
	add_ways(measure_ways, measure_way_count);
	add_ways(bare_ways, bare_way_count);
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

/* --- rounds ------------------------------------------------------------------------------- */

static void shuffle(size_t *order, size_t count, uint64_t *state)
{
	for (size_t i = count; i > 1; i--) {
		size_t other, kept = order[i - 1];

		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		other = (*state >> 20) % i;
		order[i - 1] = order[other];
		order[other] = kept;
	}
}

/* Reads in again what has left the page cache. A kernel that does not tell is believed. */
static void keep_warm(void)
{
	static char buffer[1 << 20];
	struct comap_pages_cache cache;
	int fd = open(job.path, O_RDONLY | O_CLOEXEC);
	off_t size_bytes = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), at = 0;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	if (fd >= 0 && comap_pages_cache(fd, 0, 0, &cache) == 0 &&
	    cache.cached_count * page_bytes < (uint64_t)size_bytes) {
		ssize_t got;

		warmed_count++;
		while ((got = pread(fd, buffer, sizeof buffer, at)) > 0)
			at += got;
	}
	if (fd >= 0)
		close(fd);
}

static void run_row(struct row *row, int round)
{
	struct measure_result *result = &row->runs[row->run_count];

	if (row->code || round >= row->runs_wanted)
		return;
	if (!job.cold)
		keep_warm();
	row->code = row->way ? measure_run(row->way, &job, result)
	                     : measure_command(row->argv, &job, result);
	row->run_count += row->code == 0;
}

static void run_rounds(void)
{
	uint64_t state = SHUFFLE_SEED;
	size_t order[ROWS_MAX];

	for (size_t i = 0; i < row_count; i++)
		order[i] = i;
	for (int round = 0; round < round_count; round++) {
		shuffle(order, row_count, &state);
		for (size_t i = 0; i < row_count; i++)
			run_row(&rows[order[i]], round);
	}
}

/* --- figures ------------------------------------------------------------------------------ */

static int by_wall(const void *a, const void *b)
{
	uint64_t left = ((const struct measure_result *)a)->wall_ns;
	uint64_t right = ((const struct measure_result *)b)->wall_ns;

	return left < right ? -1 : left > right;
}

static int by_cpu(const void *a, const void *b)
{
	uint64_t left = ((const struct measure_result *)a)->cpu_ns;
	uint64_t right = ((const struct measure_result *)b)->cpu_ns;

	return left < right ? -1 : left > right;
}

static void find_medians(struct row *row)
{
	size_t count = (size_t)row->run_count;

	if (count == 0)
		return;
	qsort(row->runs, count, sizeof row->runs[0], by_cpu);
	row->cpu_ns = row->runs[count / 2].cpu_ns;
	qsort(row->runs, count, sizeof row->runs[0], by_wall);
	row->wall_ns = row->runs[count / 2].wall_ns;
	row->wall_min_ns = row->runs[0].wall_ns;
	row->wall_max_ns = row->runs[count - 1].wall_ns;
}

/* A row with no figures, or of a command: nothing is compared with it. */
static bool is_no_peer(const struct row *row)
{
	return row->run_count == 0 || !row->way;
}

/* Every row's medians; the least of each. */
static void find_best(uint64_t *ret_wall_ns, uint64_t *ret_cpu_ns)
{
	uint64_t wall_ns = UINT64_MAX, cpu_ns = UINT64_MAX;

	for (size_t i = 0; i < row_count; i++) {
		find_medians(&rows[i]);
		if (is_no_peer(&rows[i]))
			continue;
		if (rows[i].wall_ns < wall_ns)
			wall_ns = rows[i].wall_ns;
		if (rows[i].cpu_ns < cpu_ns)
			cpu_ns = rows[i].cpu_ns;
	}
	*ret_wall_ns = wall_ns;
	*ret_cpu_ns = cpu_ns ? cpu_ns : 1;
}

static void print_json(const struct row *row, double wall_ratio, double cpu_ratio)
{
	const struct measure_result *median = &row->runs[row->run_count / 2];

	printf("{\"way\":\"%s\",\"rounds\":%d,\"wall_ns\":%" PRIu64 ",\"min_ns\":%" PRIu64
	       ",\"max_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"faults\":%" PRIu64
	       ",\"peak_rss_bytes\":%" PRIu64 ",\"ratio\":%.3f,\"cpu_ratio\":%.3f}\n",
	       row->name, row->run_count, row->wall_ns, row->wall_min_ns, row->wall_max_ns, row->cpu_ns,
	       median->minor_faults + median->major_faults, median->peak_rss_bytes, wall_ratio,
	       cpu_ratio);
}

static void print_row(const struct row *row, uint64_t best_wall_ns, uint64_t best_cpu_ns)
{
	const struct measure_result *median = &row->runs[row->run_count / 2];
	double wall_ratio = (double)row->wall_ns / (double)best_wall_ns;
	double cpu_ratio = (double)row->cpu_ns / (double)best_cpu_ns;

	if (json && row->run_count)
		print_json(row, wall_ratio, cpu_ratio);
	if (json)
		return;
	if (row->run_count == 0) {
		printf("%-18s not run: %s\n", row->name, row->code ? strerror(-row->code) : "ruinous");
		return;
	}
	printf("%-18s %8.1f %8.1f %8.1f %8.1f %8" PRIu64 " %8.1f %6.2f %6.2f", row->name,
	       (double)row->wall_ns / 1e6, (double)row->wall_min_ns / 1e6,
	       (double)row->wall_max_ns / 1e6, (double)row->cpu_ns / 1e6,
	       median->minor_faults + median->major_faults, (double)median->peak_rss_bytes / 1048576.0,
	       wall_ratio, cpu_ratio);
	printf(row->run_count < round_count ? "  (%d of %d rounds)\n" : "\n", row->run_count, round_count);
}

/* Folios decide between reading and mapping, and no two machines have the same. */
static void print_cache(void)
{
	struct comap_use use = { .struct_bytes = sizeof use, .random = 1, .process_count = 2 };
	struct comap_choice choice;
	int fd = open(job.path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && comap_choose(fd, &use, &choice) == 0 && choice.fault_bytes)
		printf("one fault brings %" PRIu64 " KiB, by samples", choice.fault_bytes / 1024);
	else
		printf("what one fault brings is not told");
	printf("; %d times some of the file had left the page cache and was read in again\n",
	       warmed_count);
	if (fd >= 0)
		close(fd);
}

static int check_counts(void)
{
	const struct row *first = NULL;

	for (size_t i = 0; i < row_count; i++) {
		if (is_no_peer(&rows[i]))
			continue;
		first = first ? first : &rows[i];
		for (int run = 0; run < rows[i].run_count; run++)
			if (rows[i].runs[run].count != first->runs[0].count)
				return fprintf(stderr, "%s counted %" PRIu64 ", %s %" PRIu64 "\n",
				               rows[i].name, rows[i].runs[run].count, first->name,
				               first->runs[0].count), 1;
	}
	return first ? 0 : 1;
}

static int print_usage(void)
{
	fprintf(stderr, "usage: scan-bench FILE [--literal TEXT] [--jumps N] [--processes N] [--cold]"
	                " [--rounds N] [--ruinous N] [--only TEXT[,TEXT ...]] [--json]\n");
	return 2;
}

static int read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "literal", required_argument, NULL, 'l' }, { "jumps", required_argument, NULL, 'j' },
		{ "processes", required_argument, NULL, 'p' }, { "cold", no_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' }, { "ruinous", required_argument, NULL, 'R' },
		{ "only", required_argument, NULL, 'o' }, { "json", no_argument, NULL, 'J' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'l': job.literal = optarg; break;
		case 'j': job.jump_count = strtoull(optarg, NULL, 10); break;
		case 'p': job.process_count = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'c': job.cold = true; break;
		case 'r': round_count = atoi(optarg); break;
		case 'R': ruinous_count = atoi(optarg); break;
		case 'o': only = optarg; break;
		case 'J': json = true; break;
		default: return print_usage();
		}
	if (optind + 1 != argc || round_count < 1 || round_count > ROUNDS_MAX)
		return print_usage();
	job.path = argv[optind];
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t best_wall_ns, best_cpu_ns;
	int code = read_options(argc, argv);

	if (code)
		return code;
	add_rows();
	run_rounds();
	find_best(&best_wall_ns, &best_cpu_ns);
	if (!json)
		printf("%-18s %8s %8s %8s %8s %8s %8s %6s %6s\n", "way", "ms", "min ms", "max ms", "cpu ms",
		       "faults", "peak MiB", "/ best", "cpu");
	for (size_t i = 0; i < row_count; i++)
		print_row(&rows[i], best_wall_ns, best_cpu_ns);
	if (!json && !job.cold)
		print_cache();
	return check_counts();
}
