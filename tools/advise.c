/* SPDX-License-Identifier: MIT */
/* comap advise: how to read a file, why, and, where asked, how long each way takes. */
#include "measure.h"
#include "tool.h"

#include <comap/mapping.h>
#include <comap/scan.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char tool_advise_help[] =
	"Looks at the type, the file system, the size and, by samples, at what is in the page cache\n"
	"and in which folios; reads nothing. With --measure it then reads the file in every way that\n"
	"there is and prints what each took, the chosen one first: the median of the runs.\n"
	"\n"
	"Options:\n"
	"      --jumps[=N]       it is going to be read here and there; in N places, where that is known\n"
	"      --writes          it is going to be changed in place\n"
	"      --passes N        it is going to be read N times\n"
	"      --processes N     by so many processes at the same time\n"
	"      --measure         try all ways\n"
	"      --cold            before each run the page cache forgets the file\n"
	"      --literal TEXT    count the lines with TEXT, not all lines\n"
	"      --runs N          runs of each way; 3 without this option\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	TOOL_HELP_TABLE
	"\n"
	"Examples:\n"
	"  comap advise access.log\n"
	"  comap advise access.log --measure --processes 2\n"
	"  comap advise index.db --jumps --measure --cold\n";

#define RUNS_MAX 99u
#define JUMPS_WARM 100000u
#define JUMPS_COLD 2000u /* each may wait for the disk */

struct advice {
	struct tool_call call;
	struct comap_use use;
	struct comap_choice choice;
	struct measure_job job;
	uint64_t run_count;
	bool measure;
};

/* --- the choice --------------------------------------------------------------------------- */

static const char *advice_name(int advice)
{
	static const struct { int number; const char *name; } names[] = {
#define X(name, number, text) { number, #name },
		COMAP_ADVICE_MAP(X)
#undef X
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].number == advice)
			return names[i].name;
	return NULL;
}

static void print_choice(struct advice *advice)
{
	static const char *const folios[] = { "unknown", "small", "large" };
	const struct comap_choice *choice = &advice->choice;
	struct out *out = &advice->call.out;

	out_text(out, "method", comap_method_name(choice->method));
	if (choice->advice)
		out_text(out, "advice", advice_name(choice->advice));
	else
		out_none(out, "advice");
	if (choice->method == COMAP_METHOD_STREAM)
		out_bytes(out, "buffer_bytes", choice->buffer_bytes);
	else
		out_none(out, "buffer_bytes");
	out_text(out, "reason", choice->reason);
	out_bytes(out, "size_bytes", choice->size_bytes);
	if (choice->resident_percent >= 0)
		out_u64(out, "resident_percent", (uint64_t)choice->resident_percent);
	else
		out_none(out, "resident_percent");
	out_text(out, "folios", folios[choice->folios]);
	if (choice->fault_bytes)
		out_bytes(out, "fault_bytes", choice->fault_bytes);
	else
		out_none(out, "fault_bytes");
}

/* --- the measurement ---------------------------------------------------------------------- */

static const struct out_column columns[] = {
	{ "WAY", false }, { "MS", true }, { "CPU MS", true }, { "GB/S", true }, { "FAULTS", true },
	{ "PEAK RSS", true }, { "COUNT", true },
};

static int by_wall(const void *a, const void *b)
{
	uint64_t left = ((const struct measure_result *)a)->wall_ns;
	uint64_t right = ((const struct measure_result *)b)->wall_ns;

	return left < right ? -1 : left > right;
}

static void print_decimal(struct out *out, const char *key, double number)
{
	char text[40];

	snprintf(text, sizeof text, "%.3f", number);
	out_text(out, key, text);
}

static void print_result(struct advice *advice, const char *name,
                         const struct measure_result *result)
{
	struct out *out = &advice->call.out;
	double bytes = advice->job.jump_count ? (double)advice->job.jump_count * 4096
	                                      : (double)advice->choice.size_bytes;

	out_row(out);
	out_text(out, "way", name);
	if (out->json) {
		out_u64(out, "wall_ns", result->wall_ns);
		out_u64(out, "cpu_ns", result->cpu_ns);
	} else {
		print_decimal(out, "ms", (double)result->wall_ns / 1e6);
		print_decimal(out, "cpu ms", (double)result->cpu_ns / 1e6);
		print_decimal(out, "gb/s", bytes / (double)result->wall_ns);
	}
	out_u64(out, "fault_count", result->minor_faults + result->major_faults);
	out_bytes(out, "peak_rss_bytes", result->peak_rss_bytes);
	out_u64(out, "count", result->count);
	out_row_end(out);
}

/* True: the way fits the job and may be waited for. */
static bool worth_it(const struct advice *advice, const struct measure_way *way)
{
	if (way->jumps != (advice->job.jump_count != 0))
		return false;
	return !way->ruinous_cold || (!advice->job.cold && advice->choice.resident_percent >= 90);
}

/* All ways in turn, then all again: what disturbs the machine disturbs all of them. */
static int measure_all(struct advice *advice, struct measure_result *results, int *codes)
{
	for (uint64_t run = 0; run < advice->run_count; run++)
		for (size_t way = 0; way < measure_way_count; way++) {
			if (!worth_it(advice, &measure_ways[way]) || codes[way])
				continue;
			codes[way] = measure_run(&measure_ways[way], &advice->job,
			                         &results[way * RUNS_MAX + run]);
		}
	return TOOL_OK;
}

static int print_all(struct advice *advice, struct measure_result *results, const int *codes)
{
	const struct measure_result *first = NULL;
	int exit_code = TOOL_OK;

	out_list_begin(&advice->call.out, "ways", columns, sizeof columns / sizeof columns[0]);
	for (size_t way = 0; way < measure_way_count; way++) {
		struct measure_result *runs = &results[way * RUNS_MAX];

		if (!worth_it(advice, &measure_ways[way]) || codes[way])
			continue;
		qsort(runs, advice->run_count, sizeof *runs, by_wall);
		first = first ? first : runs;
		if (runs->count != first->count)
			exit_code = TOOL_FAILED;
		print_result(advice, measure_ways[way].name, &runs[advice->run_count / 2]);
	}
	out_list_end(&advice->call.out);
	return exit_code;
}

static int measure(struct advice *advice)
{
	struct measure_result *results = calloc(measure_way_count * RUNS_MAX, sizeof *results);
	int *codes = calloc(measure_way_count, sizeof *codes);
	int exit_code = TOOL_FAILED;

	if (results && codes) {
		measure_all(advice, results, codes);
		exit_code = print_all(advice, results, codes);
		for (size_t way = 0; way < measure_way_count; way++)
			if (codes[way] && codes[way] != -EFBIG)
				exit_code = tool_say(TOOL_FAILED, advice->job.path, "%s: %s",
				                     measure_ways[way].name, strerror(-codes[way]));
	}
	free(results);
	free(codes);
	return exit_code;
}

/* --- the command line --------------------------------------------------------------------- */

enum { OPTION_JUMPS = 256, OPTION_WRITES, OPTION_PASSES, OPTION_PROCESSES, OPTION_MEASURE,
       OPTION_COLD, OPTION_LITERAL, OPTION_RUNS };

static bool take_option(struct advice *advice, int option)
{
	uint64_t number = 0;

	switch (option) {
	case OPTION_JUMPS:
		advice->use.random = 1;
		return !optarg || (tool_parse_number(optarg, UINT64_MAX, &advice->use.access_count) &&
		                   advice->use.access_count);
	case OPTION_WRITES: advice->use.writes = 1; return true;
	case OPTION_MEASURE: advice->measure = true; return true;
	case OPTION_COLD: advice->job.cold = true; return true;
	case OPTION_LITERAL: advice->job.literal = optarg; return *optarg != 0;
	case OPTION_PASSES:
		if (!tool_parse_number(optarg, UINT32_MAX, &number))
			return false;
		advice->use.pass_count = (uint32_t)number;
		return true;
	case OPTION_PROCESSES:
		if (!tool_parse_number(optarg, 64, &number))
			return false;
		advice->use.process_count = advice->job.process_count = (uint32_t)number;
		return true;
	case OPTION_RUNS:
		return tool_parse_number(optarg, RUNS_MAX, &advice->run_count) && advice->run_count;
	default: return false;
	}
}

static int read_options(struct advice *advice, int argc, char **argv)
{
	static const struct option options[] = {
		{ "jumps", optional_argument, NULL, OPTION_JUMPS },
		{ "writes", no_argument, NULL, OPTION_WRITES },
		{ "passes", required_argument, NULL, OPTION_PASSES },
		{ "processes", required_argument, NULL, OPTION_PROCESSES },
		{ "measure", no_argument, NULL, OPTION_MEASURE },
		{ "cold", no_argument, NULL, OPTION_COLD },
		{ "literal", required_argument, NULL, OPTION_LITERAL },
		{ "runs", required_argument, NULL, OPTION_RUNS },
		TOOL_OPTIONS
	};
	int option;

	while ((option = tool_next(&advice->call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		if (!take_option(advice, option))
			return tool_usage(&advice->call, "that value makes no sense: %s", optarg);
	}
	return tool_operands(&advice->call, 1, 1);
}

int tool_advise(int argc, char **argv)
{
	struct advice advice = { .call = TOOL_CALL(argv[0]), .run_count = 3,
	                         .use = { .struct_bytes = sizeof advice.use } };
	int code = read_options(&advice, argc, argv), fd;

	if (code)
		return code;
	advice.job.path = advice.call.operands[0];
	fd = open(advice.job.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return tool_say(errno == ENOENT ? TOOL_NOT_FOUND : errno == EACCES ? TOOL_PERMISSION
		                : TOOL_FAILED, advice.job.path, "cannot open it: %s", strerror(errno));
	code = comap_choose(fd, &advice.use, &advice.choice);
	close(fd);
	if (code)
		return tool_fail(advice.job.path);
	if (advice.measure && advice.use.pass_count > 1)
		return tool_usage(&advice.call, "--measure times one pass: leave out --passes");
	if (advice.measure && advice.choice.size_bytes < 4096)
		return tool_say(TOOL_FAILED, advice.job.path, "too small to measure, or without a size");
	if (advice.use.random && advice.use.access_count)
		advice.job.jump_count = advice.use.access_count;
	else if (advice.use.random)
		advice.job.jump_count = advice.job.cold || advice.choice.resident_percent < 90
		                                ? JUMPS_COLD : JUMPS_WARM;
	out_begin(&advice.call.out);
	print_choice(&advice);
	if (advice.measure)
		code = measure(&advice);
	out_end(&advice.call.out);
	return code;
}
