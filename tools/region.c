/* SPDX-License-Identifier: MIT */
/* comap create, info, unlink, path: the region as a whole. */
#include "tool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tool_create_help[] =
	"Prints the path of the file. Space is taken as the region fills; the maximum costs\n"
	"address space only.\n"
	"\n"
	"Options:\n"
	"      --max SIZE        bytes that the heap may grow to (64G); K, M, G, T are understood\n"
	"      --mode MODE       permissions of the file, in octal (600); 644 lets others look\n"
	"      --seats N         processes that can be attached at once (1024)\n"
	"      --threads N       threads of all of them (4096)\n"
	"      --objects N       names in it (1024)\n"
	"      --fenced          readers fence themselves: for kernels without membarrier()\n"
	"      --if-missing      it is all right when there is one already\n"
	TOOL_HELP_JSON
	"\n"
	"Examples:\n"
	"  comap create fx\n"
	"  comap create /srv/shm/fx --max 4G --mode 644 --if-missing\n";

static const struct option create_options[] = {
	{ "max", required_argument, NULL, 256 },
	{ "mode", required_argument, NULL, 257 },
	{ "seats", required_argument, NULL, 258 },
	{ "threads", required_argument, NULL, 259 },
	{ "objects", required_argument, NULL, 260 },
	{ "fenced", no_argument, NULL, 261 },
	{ "if-missing", no_argument, NULL, 262 },
	TOOL_OPTIONS
};

static bool parse_mode(const char *text, uint32_t *ret_mode)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end || mode > 0777)
		return false;
	*ret_mode = (uint32_t)mode;
	return true;
}

static bool parse_count(const char *text, uint32_t *ret_count)
{
	uint64_t count;

	if (!tool_parse_number(text, UINT32_MAX, &count))
		return false;
	*ret_count = (uint32_t)count;
	return true;
}

static bool create_option(struct comap_options *options, int option)
{
	switch (option) {
	case 256: return tool_parse_size(optarg, &options->heap_max_bytes);
	case 257: return parse_mode(optarg, &options->mode);
	case 258: return parse_count(optarg, &options->seat_count);
	case 259: return parse_count(optarg, &options->thread_count);
	case 260: return parse_count(optarg, &options->object_count);
	case 261: options->flags |= COMAP_FENCED; return true;
	case 262: options->flags &= ~(uint32_t)COMAP_EXCLUSIVE; return true;
	default: return false;
	}
}

static int print_path(struct tool_call *call, const char *name)
{
	char path[PATH_MAX];

	if (comap_path(name, path, sizeof path) != 0)
		return tool_fail(name);
	if (!call->out.json) {
		char *safe = out_safe(path);

		puts(safe);
		free(safe);
		return TOOL_OK;
	}
	out_begin(&call->out);
	out_text(&call->out, "path", path);
	out_end(&call->out);
	return TOOL_OK;
}

int tool_create(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;
	int option, code;

	options.flags = COMAP_CREATE | COMAP_EXCLUSIVE;
	options.seat_name = "comap create";
	while ((option = tool_next(&call, argc, argv, create_options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		if (!create_option(&options, option))
			return tool_usage(&call, "'%s' is not possible there", optarg);
	}
	if (tool_operands(&call, 1, 1))
		return TOOL_USAGE;
	region = comap_open_with(call.operands[0], &options);
	if (!region)
		return tool_fail(call.operands[0]);
	code = print_path(&call, call.operands[0]);
	if (comap_close(region) != 0 && code == TOOL_OK)
		code = tool_fail(call.operands[0]);
	return code;
}

const char tool_info_help[] =
	"Options:\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	"\n"
	"Examples:\n"
	"  comap info fx\n"
	"  comap info fx --json | jq .heap_committed_bytes\n";

static uint32_t count_objects(struct comap *region, uint32_t most)
{
	struct comap_object object;
	uint32_t count = 0;

	while (count < most && comap_object_at(region, count, &object) == 0)
		count++;
	return count;
}

static void print_identity(struct out *out, const char *path, const struct comap_info *info)
{
	out_text(out, "path", path);
	out_text(out, "uuid", info->uuid);
	out_u64(out, "format_version", info->format_version);
	out_time(out, "created_ns", info->birth_time_ns);
	out_text(out, "readers", info->fenced ? "fenced" : "asymmetric");
	out_u64(out, "seats_max", info->seat_count);
	out_u64(out, "threads_max", info->thread_count);
	out_u64(out, "objects_max", info->object_count);
	out_bytes(out, "heap_max_bytes", info->heap_max_bytes);
}

static void print_state(struct out *out, struct comap *region, const struct comap_info *info)
{
	uint32_t alive_count, dead_count;

	tool_count_seats(region, info, &alive_count, &dead_count);
	out_u64(out, "attached", info->attached);
	out_u64(out, "alive", alive_count);
	out_u64(out, "dead", dead_count);
	out_bool(out, "clean", info->clean);
	out_bool(out, "superseded", info->superseded);
	out_u64(out, "seats_used_so_far", info->seat_high_water);
	out_u64(out, "threads_used_so_far", info->thread_high_water);
	out_u64(out, "objects", count_objects(region, info->object_count));
	out_bytes(out, "file_bytes", info->file_bytes);
	out_bytes(out, "allocated_bytes", info->allocated_bytes);
	out_bytes(out, "heap_committed_bytes", info->heap_committed_bytes);
	out_bytes(out, "retired_bytes", info->retired_bytes);
	out_u64(out, "epoch", info->epoch);
	out_u64(out, "completed", info->completed);
	out_u64(out, "horizon", info->horizon);
	out_u64(out, "grace_periods", info->grace_periods);
	out_u64(out, "deaths", info->deaths);
	out_u64(out, "sweeps", info->sweeps);
	out_u64(out, "adopted_blocks", info->adopted_blocks);
	out_u64(out, "evictions", info->evictions);
}

int tool_info(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	struct comap_info info;
	struct comap *region;
	char path[PATH_MAX];
	int code = TOOL_OK;

	if (tool_plain(&call, argc, argv) || tool_operands(&call, 1, 1))
		return TOOL_USAGE;
	region = tool_look(call.operands[0]);
	if (!region)
		return tool_fail(call.operands[0]);
	if (comap_info(region, &info) != 0 ||
	    comap_path(call.operands[0], path, sizeof path) != 0) {
		code = tool_fail(call.operands[0]);
	} else {
		out_begin(&call.out);
		print_identity(&call.out, path, &info);
		print_state(&call.out, region, &info);
		out_end(&call.out);
	}
	comap_close(region);
	return code;
}

const char tool_unlink_help[] =
	"Processes that have the region go on with it, and those that wait in it are told. Its\n"
	"memory is given back when the last of them is gone. What is no region is left alone.\n"
	"\n"
	"Options:\n"
	"      --if-there        it is all right when there is none\n"
	"\n"
	"Examples:\n"
	"  comap unlink fx\n";

/* A damaged region may go, somebody's letters may not. An exit code. */
static int unlink_region(const char *name)
{
	struct comap *region = tool_look(name);

	comap_close(region);
	if (!region)
		switch (comap_last_error()->cause) {
		case COMAP_CAUSE_MAGIC: case COMAP_CAUSE_EMPTY: case COMAP_CAUSE_NOT_REGULAR:
			return tool_exit_code();
		default:
			break;
		}
	return comap_unlink(name) == 0 ? TOOL_OK : tool_exit_code();
}

int tool_unlink(int argc, char **argv)
{
	static const struct option options[] = {
		{ "if-there", no_argument, NULL, 256 },
		TOOL_OPTIONS
	};
	struct tool_call call = TOOL_CALL(argv[0]);
	bool if_there = false;
	int option, code = TOOL_OK;

	while ((option = tool_next(&call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		if_there = true;
	}
	if (tool_operands(&call, 1, INT_MAX))
		return TOOL_USAGE;
	for (int i = 0; i < call.operand_count; i++) {
		int error = unlink_region(call.operands[i]);

		if (error != TOOL_OK && !(if_there && error == TOOL_NOT_FOUND)) {
			tool_fail(call.operands[i]);
			code = error;
		}
	}
	return code;
}

const char tool_path_help[] =
	"There need not be a region of that name.\n"
	"\n"
	"Options:\n"
	TOOL_HELP_JSON
	"\n"
	"Examples:\n"
	"  ls -l $(comap path fx)\n";

int tool_path(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);

	if (tool_plain(&call, argc, argv) || tool_operands(&call, 1, 1))
		return TOOL_USAGE;
	return print_path(&call, call.operands[0]);
}
