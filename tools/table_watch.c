/* SPDX-License-Identifier: MIT */
/* comap table watch: prints entries as they are written.
 *
 * A guest, which polls: writers spend nothing on it. */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 256, TIMEOUT, ALL, KEYS };

struct watching {
	struct tool_call call;
	uint64_t count, printed;     /* 0: no end */
	uint64_t timeout_ms;
	bool timed, all, keys_only;
	struct comap *region;
	struct comap_table *table;
	struct comap_type *type;
};

const char tool_table_watch_help[] =
	"Prints entries as they are written, one line for each, as scan does; of several writes to\n"
	"one key between two looks the last. With KEY: its value as it is, then each change; a line\n"
	"without a tab says that the key is not there any more. Additions to a counter are no change.\n"
	"\n"
	"Options:\n"
	"      --all             print what is there already, first\n"
	"      --count N         end after N lines\n"
	"      --keys            leave the values out\n"
	"      --timeout SECONDS end with exit code 4 when nothing new comes for so long\n"
	"  -j, --json            one JSON object for each line\n"
	"\n"
	"Examples:\n"
	"  comap table watch fx sessions --count 10 --timeout 5\n"
	"  comap table watch fx sessions u-17 --json\n";

static int read_options(struct watching *watching, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, ALL },
		{ "count", required_argument, NULL, COUNT },
		{ "keys", no_argument, NULL, KEYS },
		{ "timeout", required_argument, NULL, TIMEOUT },
		TOOL_OPTIONS
	};
	int option;

	while ((option = tool_next(&watching->call, argc, argv, options)) != -1) {
		switch (option) {
		case ALL: watching->all = true; break;
		case KEYS: watching->keys_only = true; break;
		case COUNT:
			if (!tool_parse_number(optarg, UINT64_MAX, &watching->count) || watching->count == 0)
				return tool_usage(&watching->call, "'%s' is no number of lines", optarg);
			break;
		case TIMEOUT:
			if (!tool_parse_seconds(optarg, &watching->timeout_ms))
				return tool_usage(&watching->call, "'%s' is no time", optarg);
			watching->timed = true;
			break;
		default: return TOOL_USAGE;
		}
	}
	return tool_operands(&watching->call, 2, 3);
}

static uint64_t deadline_ns(const struct watching *watching)
{
	return watching->timed ? comap_deadline_ms(watching->timeout_ms) : COMAP_FOREVER;
}

/* True when that was the last line asked for, or nobody reads any more. */
static bool line_is_last(struct watching *watching)
{
	return fflush(stdout) != 0 || ++watching->printed == watching->count;
}

/* --- a key ------------------------------------------------------------------------------------ */

/* The key's value as it is: its version, or 0. An exit code. */
static int copy_key(struct watching *watching, const char *key, char **data, struct comap_view *ret_view)
{
	size_t capacity = 0;
	int code;

	*ret_view = (struct comap_view){ 0 };
	while ((code = comap_table_get(watching->table, key, strlen(key), *data, capacity, ret_view)) ==
	       -ENOBUFS) {
		capacity = ret_view->size_bytes;
		*data = realloc(*data, capacity);
		if (!*data)
			return tool_say(TOOL_FAILED, key, "no memory for %zu bytes", capacity);
	}
	if (code == -ENOENT)
		ret_view->version = 0;
	return code && code != -ENOENT ? tool_fail(key) : TOOL_OK;
}

static void print_removal(struct watching *watching, const char *key)
{
	struct comap_table_entry entry = { .key = key, .key_bytes = strlen(key) };

	if (!watching->call.out.json) {
		table_print_entry(&watching->call.out, NULL, true, &entry);
		return;
	}
	out_begin(&watching->call.out);
	out_text(&watching->call.out, "key", key);
	out_bool(&watching->call.out, "removed", true);
	out_end(&watching->call.out);
}

static int watch_key(struct watching *watching, const char *key)
{
	struct comap_table_entry entry = { .key = key, .key_bytes = strlen(key) };
	struct comap_view view;
	uint64_t seen = 0;
	char *data = NULL;
	int code = TOOL_OK;

	while (code == TOOL_OK) {
		if (comap_table_wait_key(watching->table, key, strlen(key), seen, deadline_ns(watching), NULL)) {
			code = tool_fail(key);
			break;
		}
		code = copy_key(watching, key, &data, &view);
		if (code || view.version == seen)
			continue;
		seen = entry.version = view.version;
		entry.value = data;
		entry.value_bytes = view.size_bytes;
		if (seen == 0)
			print_removal(watching, key);
		else
			table_print_entry(&watching->call.out, watching->type, watching->keys_only, &entry);
		if (line_is_last(watching))
			break;
	}
	free(data);
	return code;
}

/* --- the table -------------------------------------------------------------------------------- */

/* What the walk meets. TOOL_OK at its end; *ret_last: enough lines. */
static int print_walk(struct watching *watching, struct comap_table_walk *walk, bool *ret_last)
{
	struct comap_table_entry entry;
	int code = 0;

	*ret_last = false;
	while (!*ret_last && (code = comap_table_walk_next(walk, &entry)) == 1) {
		table_print_entry(&watching->call.out, watching->type, watching->keys_only, &entry);
		*ret_last = line_is_last(watching);
	}
	return code < 0 ? tool_fail(watching->call.operands[1]) : TOOL_OK;
}

static int watch_table(struct watching *watching)
{
	struct comap_table_walk *walk = comap_table_walk_begin(watching->table);
	uint64_t seen = comap_table_changes(watching->table);
	bool last = false;
	int code = walk ? TOOL_OK : tool_fail(watching->call.operands[1]);

	if (!code && watching->all)
		code = print_walk(watching, walk, &last);
	else if (!code)
		comap_table_walk_skip(walk);
	while (code == TOOL_OK && !last) {
		if (comap_table_wait(watching->table, seen, deadline_ns(watching), &seen) != 0) {
			code = tool_fail(watching->call.operands[1]);
			break;
		}
		comap_table_walk_again(walk);
		code = print_walk(watching, walk, &last);
	}
	comap_table_walk_end(walk);
	return code;
}

int tool_table_watch(int argc, char **argv)
{
	struct watching watching = { .call = TOOL_CALL(argv[0]) };
	int code = read_options(&watching, argc, argv);

	if (code)
		return code;
	watching.region = tool_look(watching.call.operands[0]);
	if (!watching.region)
		return tool_fail(watching.call.operands[0]);
	watching.table = comap_table_open(watching.region, watching.call.operands[1], NULL);
	watching.type = comap_object_type(watching.region, watching.call.operands[1]);
	if (!watching.table)
		code = tool_fail(watching.call.operands[1]);
	else
		code = watching.call.operand_count == 3 ? watch_key(&watching, watching.call.operands[2])
		                                        : watch_table(&watching);
	comap_table_close(watching.table);
	comap_close(watching.region);
	free(watching.type);
	return code;
}
