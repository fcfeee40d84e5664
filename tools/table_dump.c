/* SPDX-License-Identifier: MIT */
/* comap table dump, restore: checkpoints of a table in files of their own. */
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What both are told. */
struct dumping {
	struct tool_call call;
	uint32_t mode;
	bool create;
	uint64_t every_ms;
	int64_t owner_uid;
	struct comap *region;
	struct comap_table *table;
};

#define DUMPING(name) { .call = TOOL_CALL(name) }
enum { EVERY = 256, BY_AND_BY, CREATE, OWNER };

static int dumping_options(struct dumping *dumping, int argc, char **argv, const struct option *options)
{
	int option;

	while ((option = tool_next(&dumping->call, argc, argv, options)) != -1) {
		switch (option) {
		case EVERY:
			if (!tool_parse_seconds(optarg, &dumping->every_ms) || dumping->every_ms == 0)
				return tool_usage(&dumping->call, "'%s' is no time", optarg);
			break;
		case BY_AND_BY: dumping->mode = COMAP_DUMP_BY_AND_BY; break;
		case CREATE: dumping->create = true; break;
		case OWNER:
			if (!tool_parse_owner(optarg, &dumping->owner_uid))
				return tool_usage(&dumping->call, "'%s' is no user", optarg);
			break;
		default: return TOOL_USAGE;
		}
	}
	return tool_operands(&dumping->call, 3, 3);
}

/* As a guest where that is enough. What restores makes a missing table, and a missing region on request.
 * An exit code. */
static int dumping_begin(struct dumping *dumping, bool as_guest, bool restores)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	const char *name = dumping->call.operands[0];
	struct comap *there = NULL;

	if (!dumping->create) {
		there = tool_look(name);
		if (!there)
			return restores ? tool_fail_missing(name) : tool_fail(name);
	}
	dumping->region = there;
	if (!as_guest) {
		options.flags = restores ? COMAP_CREATE : 0; /* of tables, too */
		options.owner_uid = dumping->owner_uid;
		options.seat_name = "comap table";
		dumping->region = comap_open_with(name, &options);
		comap_close(there);
	}
	if (!dumping->region)
		return tool_fail(name);
	dumping->table = comap_table_open(dumping->region, dumping->call.operands[1], NULL);
	return dumping->table ? TOOL_OK : tool_fail(dumping->call.operands[1]);
}

static void dumping_end(struct dumping *dumping)
{
	comap_table_close(dumping->table);
	comap_close(dumping->region);
}

static void print_report(struct dumping *dumping, const struct comap_dump_report *report, bool restored)
{
	struct out *out = &dumping->call.out;

	if (!out->json)
		return;
	out_begin(out);
	out_u64(out, "entries", report->entries);
	if (restored)
		out_u64(out, "expired", report->expired);
	out_bytes(out, "stored_bytes", report->stored_bytes);
	out_bytes(out, "file_bytes", report->file_bytes);
	out_time(out, "created_ns", report->created_ns);
	if (!restored)
		out_u64(out, "pause_ns", report->pause_ns);
	out_end(out);
	fflush(stdout);
}

/* --- dump ------------------------------------------------------------------------------------- */

const char tool_table_dump_help[] =
	"Writes the table into FILE, which holds the older dump until the new one is whole and on the\n"
	"disk. All entries are of one moment; writers are held up for some nanoseconds for each entry.\n"
	"\n"
	"Options:\n"
	"      --every SECONDS   again and again, until it is stopped\n"
	"      --by-and-by       each entry of its own moment: nobody is held up, read permission will do\n"
	"      --owner USER      a region of this user, too; 'any': of whomever\n"
	"  -j, --json            print how much as JSON, one line for each dump\n"
	"\n"
	"Examples:\n"
	"  comap table dump fx sessions sessions.dump --every 60\n";

/* Whole periods from the beginning: a dump that takes long does not shift those after it. */
static void sleep_until_next(const struct dumping *dumping, uint64_t begun_ns)
{
	uint64_t period_ns = dumping->every_ms * 1000000, now_ns = comap_now_ns();
	uint64_t left_ns = period_ns - (now_ns - begun_ns) % period_ns;
	const struct timespec rest = { (time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000) };

	nanosleep(&rest, NULL);
}

int tool_table_dump(int argc, char **argv)
{
	static const struct option options[] = {
		{ "every", required_argument, NULL, EVERY }, { "by-and-by", no_argument, NULL, BY_AND_BY },
		{ "owner", required_argument, NULL, OWNER }, TOOL_OPTIONS
	};
	struct dumping dumping = DUMPING(argv[0]);
	uint64_t begun_ns = comap_now_ns();
	struct comap_dump_report report;
	int code = dumping_options(&dumping, argc, argv, options);

	if (code)
		return code;
	code = dumping_begin(&dumping, dumping.mode == COMAP_DUMP_BY_AND_BY, false);
	while (!code) {
		if (comap_table_dump(dumping.table, dumping.call.operands[2], dumping.mode, &report) != 0)
			code = tool_fail(dumping.call.operands[1]);
		else
			print_report(&dumping, &report, false);
		if (!dumping.every_ms)
			break;
		/* A writer that is stopped now may go on later; a full disk may be emptied. */
		if (code && tool_exit_code() != TOOL_NOT_FOUND)
			code = TOOL_OK;
		sleep_until_next(&dumping, begun_ns);
	}
	dumping_end(&dumping);
	return code;
}

/* --- restore ---------------------------------------------------------------------------------- */

const char tool_table_restore_help[] =
	"The table holds what FILE says from now on, all at once, and nothing else: a dump that is\n"
	"damaged changes nothing. A table that the region does not have is made. Into a cache the\n"
	"entries are put one by one.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"
	"  -j, --json            print how much as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table restore fx sessions sessions.dump --create\n";

int tool_table_restore(int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, CREATE }, { "owner", required_argument, NULL, OWNER }, TOOL_OPTIONS
	};
	struct dumping dumping = DUMPING(argv[0]);
	struct comap_dump_report report;
	int code = dumping_options(&dumping, argc, argv, options);

	if (code)
		return code;
	/* Before anything is made: a file that is not there or damaged. */
	if (comap_dump_check(dumping.call.operands[2], NULL) != 0)
		return tool_fail(dumping.call.operands[2]);
	code = dumping_begin(&dumping, false, true);
	if (!code && comap_table_restore(dumping.table, dumping.call.operands[2], &report) != 0)
		code = tool_fail(dumping.call.operands[1]);
	if (!code)
		print_report(&dumping, &report, true);
	dumping_end(&dumping);
	return code;
}
