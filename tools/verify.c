/* SPDX-License-Identifier: MIT */
/* comap verify: is every block of the region's heap accounted for, exactly once? */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char tool_verify_help[] =
	"Walks from the objects and the rings of retired blocks to every block of the heap. It takes\n"
	"no lock and writes nothing; where others are at work, what is between two states looks like\n"
	"a flaw, so a region with flaws is looked at again before it is called damaged (exit code 5).\n"
	"\n"
	"Options:\n"
	"      --tries N         look N times at most (5)\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	"\n"
	"Examples:\n"
	"  comap verify fx\n"
	"  comap verify fx --json | jq .flaws\n";

static void print_report(struct out *out, const struct comap_check *report)
{
	out_begin(out);
	out_u64(out, "flaws", report->flaws);
	out_text(out, "first_flaw", report->flaws ? report->first_flaw : NULL);
	out_u64(out, "objects", report->objects);
	out_u64(out, "blocks", report->blocks);
	out_u64(out, "open_intents", report->intents);
	out_bytes(out, "committed_bytes", report->committed_bytes);
	out_bytes(out, "published_bytes", report->published_bytes);
	out_bytes(out, "retired_bytes", report->retired_bytes);
	out_bytes(out, "private_bytes", report->private_bytes);
	out_bytes(out, "free_bytes", report->free_bytes);
	out_end(out);
}

/* As comap_check(), again after a moment while there are flaws. */
static int check(struct comap *region, uint64_t try_count, struct comap_check *ret_report)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	int outcome = comap_check(region, ret_report);

	for (uint64_t i = 1; i < try_count && outcome > 0; i++) {
		nanosleep(&moment, NULL);
		outcome = comap_check(region, ret_report);
	}
	return outcome;
}

static int verify(struct tool_call *call, uint64_t try_count)
{
	const char *name = call->operands[0];
	struct comap *region = tool_look(name);
	struct comap_check report;
	int outcome, code = TOOL_OK;

	if (!region)
		return tool_fail(name);
	outcome = check(region, try_count, &report);
	if (outcome < 0) {
		code = tool_fail(name);
	} else {
		print_report(&call->out, &report);
		if (outcome > 0)
			code = tool_say(TOOL_UNUSABLE, name, "%llu flaws: %s",
			                (unsigned long long)report.flaws, report.first_flaw);
	}
	comap_close(region);
	return code;
}

int tool_verify(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tries", required_argument, NULL, 256 },
		TOOL_OPTIONS
	};
	struct tool_call call = TOOL_CALL(argv[0]);
	uint64_t try_count = 5;
	int option;

	while ((option = tool_next(&call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		if (!tool_parse_number(optarg, 1000000, &try_count))
			return tool_usage(&call, "'%s' is no number of tries", optarg);
	}
	if (tool_operands(&call, 1, 1))
		return TOOL_USAGE;
	return verify(&call, try_count);
}
