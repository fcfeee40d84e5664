/* SPDX-License-Identifier: MIT */
/* The bench kit's program frame: options, rounds, metrics, rows, the table and the JSON file.
 *
 * Where it lives: memory of one bench program; limits are fixed and checked. */
#include "kit.h"
#include "kit_inside.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ROUNDS_MAX 64u
#define ROUNDS_DEFAULT 7u
#define ROUNDS_LEAST 5u
#define METRICS_MAX 160u
#define ROWS_MAX 128u
#define NOTES_MAX 16u
#define PATHS_MAX 16u

struct bench_metric {
	const char *name, *unit;
	double runs[ROUNDS_MAX];
	unsigned count;
};

struct row {
	struct bench_metric *metric, *reference; /* reference NULL: the metric itself against the goal */
	double goal;                             /* 0: none */
	bool worst;                              /* the goal is for the worst round */
};

struct spread {
	double median, min, max;
};

static struct {
	const char *name, *title, *out, *dir;
	unsigned round, rounds;
	struct bench_metric metrics[METRICS_MAX];
	struct row rows[ROWS_MAX];
	char notes[NOTES_MAX][256];
	char paths[PATHS_MAX][192];
	unsigned metric_count, row_count, note_count, path_count;
	unsigned settled_count; /* metrics whose rounds are over */
	pid_t pid;
} bench;

void bench_need_that(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench: not so: %s (%s)\n", what, strerror(errno));
	exit(1);
}

/* --- the program ------------------------------------------------------------------------------ */

static void remove_paths(void)
{
	if (getpid() != bench.pid)
		return;
	for (unsigned i = 0; i < bench.path_count; i++)
		unlink(bench.paths[i]);
}

static void parse(int argc, char **argv)
{
	unsigned first = 0, second = 1;

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--rounds") == 0)
			bench.rounds = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--out") == 0)
			bench.out = value;
		else if (strcmp(argv[i], "--dir") == 0)
			bench.dir = value;
		else if (strcmp(argv[i], "--cpus") != 0 || sscanf(value, "%u,%u", &first, &second) != 2)
			goto usage;
	}
	if (bench.rounds == 0 || bench.rounds > ROUNDS_MAX || !*bench.out || !*bench.dir)
		goto usage;
	bench__set_cpus(first, second);
	return;
usage:
	fprintf(stderr, "usage: %s [--rounds 1..%u] [--out DIR] [--dir DIR] [--cpus A,B]\n", argv[0],
	        ROUNDS_MAX);
	exit(2);
}

void bench_begin(int argc, char **argv, const char *name, const char *title)
{
	bench.name = name;
	bench.title = title;
	bench.out = "bench-out";
	bench.dir = "/dev/shm";
	bench.rounds = ROUNDS_DEFAULT;
	bench.pid = getpid();
	parse(argc, argv);
	atexit(remove_paths);
	bench__time_init();
	bench_pin(0);
}

bool bench_round(void)
{
	for (unsigned i = bench.settled_count; i < bench.metric_count; i++)
		bench_need(bench.metrics[i].count == bench.round);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s: round %u of %u\r", bench.name, bench.round, bench.rounds);
	if (bench.round < bench.rounds) {
		bench.round++;
		return true;
	}
	bench.settled_count = bench.metric_count;
	bench.round = 0;
	return false;
}

const char *bench_out(void) { return bench.out; }

const char *bench_path(const char *name)
{
	char *path = bench.paths[bench.path_count];

	bench_need(bench.path_count < PATHS_MAX);
	bench.path_count++;
	snprintf(path, sizeof bench.paths[0], "%s/comap-bench-%d-%s", bench.dir, (int)bench.pid, name);
	return path;
}

/* --- metrics and rows ---------------------------------------------------------------------------- */

struct bench_metric *bench_metric(const char *name, const char *unit)
{
	struct bench_metric *metric = &bench.metrics[bench.metric_count];

	bench_need(bench.metric_count < METRICS_MAX);
	bench.metric_count++;
	metric->name = name;
	metric->unit = unit;
	return metric;
}

void bench_put(struct bench_metric *metric, double value)
{
	if (!metric)
		return;
	bench_need(metric->count < ROUNDS_MAX);
	metric->runs[metric->count++] = value;
}

static void add_row(struct row row)
{
	bench_need(bench.row_count < ROWS_MAX);
	bench.rows[bench.row_count++] = row;
}

void bench_show(struct bench_metric *metric)
{
	add_row((struct row){ .metric = metric });
}
void bench_at_most(struct bench_metric *metric, double goal)
{
	add_row((struct row){ .metric = metric, .goal = goal });
}
void bench_at_most_ever(struct bench_metric *metric, double goal)
{
	add_row((struct row){ .metric = metric, .goal = goal, .worst = true });
}
void bench_against(struct bench_metric *metric, struct bench_metric *reference, double goal)
{
	add_row((struct row){ .metric = metric, .reference = reference, .goal = goal });
}

void bench_note(const char *format, ...)
{
	va_list arguments;

	bench_need(bench.note_count < NOTES_MAX);
	va_start(arguments, format);
	vsnprintf(bench.notes[bench.note_count++], sizeof bench.notes[0], format, arguments);
	va_end(arguments);
}

/* --- what comes out --------------------------------------------------------------------------------- */

static struct spread spread_of(const double *runs, unsigned count)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, runs, count * sizeof *runs);
	bench_sort(sorted, count);
	return (struct spread){ bench_quantile(sorted, count, 0.5), sorted[0], sorted[count - 1] };
}

double bench_last(const struct bench_metric *metric)
{
	bench_need(metric->count == bench.round);
	return metric->runs[metric->count - 1];
}

double bench_median(const struct bench_metric *metric)
{
	return spread_of(metric->runs, metric->count).median;
}

static void ratios_of(const struct row *row, double *ratios)
{
	for (unsigned i = 0; i < bench.rounds; i++)
		ratios[i] = row->metric->runs[i] / row->reference->runs[i];
}

/* What the goal is for: the ratios or the metric's own runs. */
static struct spread judged(const struct row *row)
{
	double ratios[ROUNDS_MAX];

	if (!row->reference)
		return spread_of(row->metric->runs, bench.rounds);
	ratios_of(row, ratios);
	return spread_of(ratios, bench.rounds);
}

static bool is_met(const struct row *row)
{
	struct spread spread = judged(row);

	return (row->worst ? spread.max : spread.median) <= row->goal;
}

/* "12.3 [11.8..14.0]" */
static const char *text_of(struct spread spread, char *buffer, size_t size)
{
	double least = spread.min > 0 ? spread.min : spread.median;
	int digits = least >= 100 ? 0 : least >= 10 ? 1 : 2;

	snprintf(buffer, size, "%.*f [%.*f..%.*f]", digits, spread.median, digits, spread.min, digits,
	         spread.max);
	return buffer;
}

static void print_row(const struct row *row)
{
	char value[64], ratio[64] = "", goal[40] = "";

	text_of(spread_of(row->metric->runs, bench.rounds), value, sizeof value);
	if (row->reference)
		text_of(judged(row), ratio, sizeof ratio);
	if (row->goal > 0)
		snprintf(goal, sizeof goal, row->reference ? "<= %gx" : row->worst ? "all <= %g" : "<= %g",
		         row->goal);
	printf("| %-44s | %26s %-3s | %-34s | %-19s | %-9s | %-7s |\n", row->metric->name, value,
	       row->metric->unit, row->reference ? row->reference->name : "", ratio, goal,
	       row->goal <= 0 ? "" : is_met(row) ? "met" : "NOT MET");
}

static void print_table(void)
{
	unsigned met = 0, goals = 0;

	printf("\n%s: %s\nmedian [min..max] of %u rounds%s\n\n", bench.name, bench.title, bench.rounds,
	       bench.rounds < ROUNDS_LEAST ? " (too few to count)" : "");
	printf("| %-44s | %26s %-3s | %-34s | %-19s | %-9s | %-7s |\n", "what", "figure", "", "against",
	       "ratio", "goal", "");
	printf("|----------------------------------------------|-------------------------------:"
	       "|------------------------------------|---------------------|-----------|---------|\n");
	for (unsigned i = 0; i < bench.row_count; i++) {
		print_row(&bench.rows[i]);
		goals += bench.rows[i].goal > 0;
		met += bench.rows[i].goal > 0 && is_met(&bench.rows[i]);
	}
	printf("\n");
	for (unsigned i = 0; i < bench.note_count; i++)
		printf("note: %s\n", bench.notes[i]);
	printf("%s: %u of %u goals met\n", bench.name, met, goals);
}

static void write_runs(FILE *file, const double *runs)
{
	struct spread spread = spread_of(runs, bench.rounds);

	fprintf(file, "\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, \"runs\": [", spread.median,
	        spread.min, spread.max);
	for (unsigned i = 0; i < bench.rounds; i++)
		fprintf(file, "%s%.6g", i ? ", " : "", runs[i]);
	fprintf(file, "]");
}

static void write_row(FILE *file, const struct row *row)
{
	double ratios[ROUNDS_MAX];

	fprintf(file, "    { \"what\": \"%s\", \"against\": ", row->metric->name);
	if (row->reference) {
		ratios_of(row, ratios);
		fprintf(file, "\"%s\", \"ratio\": { ", row->reference->name);
		write_runs(file, ratios);
		fprintf(file, " }");
	} else {
		fprintf(file, "null");
	}
	if (row->goal > 0)
		fprintf(file, ", \"goal\": %g, \"of\": \"%s\", \"met\": %s", row->goal,
		        row->worst ? "worst" : "median", is_met(row) ? "true" : "false");
	fprintf(file, " }");
}

static void write_json(FILE *file)
{
	struct utsname system;
	char model[128];

	uname(&system);
	fprintf(file, "{\n  \"bench\": \"%s\",\n  \"rounds\": %u,\n", bench.name, bench.rounds);
	fprintf(file, "  \"machine\": { \"cpu\": \"%s\", \"cpus\": %ld, \"kernel\": \"%s\" },\n",
	        bench__cpu_model(model, sizeof model), sysconf(_SC_NPROCESSORS_ONLN), system.release);
	fprintf(file, "  \"metrics\": [\n");
	for (unsigned i = 0; i < bench.metric_count; i++) {
		fprintf(file, "    { \"name\": \"%s\", \"unit\": \"%s\", ", bench.metrics[i].name,
		        bench.metrics[i].unit);
		write_runs(file, bench.metrics[i].runs);
		fprintf(file, " }%s\n", i + 1 < bench.metric_count ? "," : "");
	}
	fprintf(file, "  ],\n  \"rows\": [\n");
	for (unsigned i = 0; i < bench.row_count; i++) {
		write_row(file, &bench.rows[i]);
		fprintf(file, "%s\n", i + 1 < bench.row_count ? "," : "");
	}
	fprintf(file, "  ],\n  \"notes\": [");
	for (unsigned i = 0; i < bench.note_count; i++)
		fprintf(file, "%s\"%s\"", i ? ", " : "", bench.notes[i]);
	fprintf(file, "]\n}\n");
}

int bench_end(void)
{
	char path[512];
	FILE *file;

	print_table();
	mkdir(bench.out, 0777);
	snprintf(path, sizeof path, "%s/%s.json", bench.out, bench.name);
	file = fopen(path, "w");
	if (!file) {
		fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(errno));
		return 1;
	}
	write_json(file);
	bench_need(fclose(file) == 0);
	printf("%s: figures of every round in %s\n", bench.name, path);
	return 0;
}
