/* SPDX-License-Identifier: MIT */
/* comap table get, put, stat; and what all table verbs are told.
 *
 * get, scan and stat are guests: they copy and validate. The others take a seat for as long as they
 * run. */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool parse_ttl(const char *text, uint64_t *ret_ns)
{
	uint64_t ms;

	if (strcmp(text, "none") == 0) {
		*ret_ns = COMAP_TTL_NONE;
		return true;
	}
	if (!tool_parse_seconds(text, &ms) || ms == 0 || ms >= UINT64_MAX / 1000000)
		return false;
	*ret_ns = ms * 1000000;
	return true;
}

int work_options(struct work *work, int argc, char **argv, const struct option *options, int least,
                 int most)
{
	int option;

	while ((option = tool_next(&work->call, argc, argv, options)) != -1) {
		switch (option) {
		case WORK_HEX: work->form = VALUE_HEX; break;
		case WORK_RAW: work->form = VALUE_RAW; break;
		case WORK_KEYS: work->keys = true; break;
		case WORK_CREATE: work->create = true; break;
		case WORK_ABSENT: work->absent = true; break;
		case WORK_BULK: work->in_bulk = true; break;
		case WORK_PROGRESS: work->progress = true; break;
		case WORK_KEY: work->key_column = optarg; break;
		case WORK_VALUE: work->value_column = optarg; break;
		case WORK_FORMAT:
			if (!rows_parse_format(optarg, &work->format))
				return tool_usage(&work->call, "'%s' is no format: tsv, csv, or json", optarg);
			break;
		case WORK_PRESENT: work->present = true; break;
		case WORK_KEY_HEX: work->key_is_hex = true; break;
		case WORK_VERSION:
			if (!tool_parse_number(optarg, UINT64_MAX, &work->version) || work->version == 0)
				return tool_usage(&work->call, "'%s' is no version: 1, 2, 3 ...", optarg);
			break;
		case WORK_TTL:
			if (!parse_ttl(optarg, &work->ttl_ns))
				return tool_usage(&work->call, "'%s' is no time", optarg);
			break;
		case WORK_BUDGET:
			if (!tool_parse_size(optarg, &work->budget_bytes) || work->budget_bytes == 0)
				return tool_usage(&work->call, "'%s' is no size", optarg);
			break;
		case WORK_OWNER:
			if (!tool_parse_owner(optarg, &work->owner_uid))
				return tool_usage(&work->call, "'%s' is no user", optarg);
			break;
		default: return TOOL_USAGE;
		}
	}
	return tool_operands(&work->call, least, most);
}

int work_begin(struct work *work, enum work_access access)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table_options table_options = COMAP_TABLE_OPTIONS_INIT;
	const char *region_name = work->call.operands[0], *name = work->call.operands[1];
	struct comap *there = NULL;

	if (!work->create) {
		there = tool_look(region_name);
		if (!there)
			return access == WORK_MAKE ? tool_fail_missing(region_name) : tool_fail(region_name);
	}
	work->region = there;
	if (access != WORK_LOOK) {
		options.flags = access == WORK_MAKE ? COMAP_CREATE : 0; /* of tables, too */
		options.owner_uid = work->owner_uid;
		options.seat_name = "comap table";
		work->region = comap_open_with(region_name, &options);
		comap_close(there);
	}
	if (!work->region)
		return tool_fail(region_name);
	table_options.budget_bytes = work->budget_bytes;
	work->table = comap_table_open_with(work->region, name, NULL, &table_options);
	if (!work->table)
		return tool_fail(name);
	work->type = comap_object_type(work->region, name);
	return TOOL_OK;
}

int work_key(struct work *work)
{
	const char *text = work->call.operands[2];
	size_t length = strlen(text);

	work->key = out_alloc(length + 1);
	work->key_bytes = work->key_is_hex ? length / 2 : length;
	if (!work->key_is_hex)
		memcpy(work->key, text, length + 1);
	else if (!field_read_hex(text, length, work->key))
		return tool_usage(&work->call, "'%s' is no list of two hexadecimal digits for each byte", text);
	return TOOL_OK;
}

void work_end(struct work *work)
{
	comap_table_close(work->table);
	comap_close(work->region);
	free(work->type);
	free(work->key);
}

void work_note(struct work *work, const char *what, uint64_t count)
{
	if (!work->call.out.json)
		return;
	out_begin(&work->call.out);
	out_u64(&work->call.out, what, count);
	out_end(&work->call.out);
}

/* --- get -------------------------------------------------------------------------------------- */

const char tool_table_get_help[] =
	"A table with a field list has its values printed field by field, one without as bytes.\n"
	"\n"
	"Options:\n"
	"      --hex             a dump of the bytes\n"
	"      --raw             the bytes as they are, though there is a field list\n"
	WORK_HELP_KEY
	TOOL_HELP_JSON
	"  -H, --no-headings     leave out the line with type and version\n"
	"\n"
	"Examples:\n"
	"  comap table get fx sessions u-17\n";

static int fetch(struct work *work, struct value_copy *copy)
{
	struct comap_view view = { 0 };
	int code = -ENOBUFS;

	for (int i = 0; i < 100 && code == -ENOBUFS; i++) {
		code = comap_table_get(work->table, work->key, work->key_bytes, copy->data, copy->capacity_bytes,
		                       &view);
		if (code != -ENOBUFS)
			break;
		free(copy->data);
		copy->capacity_bytes = view.size_bytes;
		copy->data = out_alloc(view.size_bytes);
	}
	copy->size_bytes = view.size_bytes;
	copy->version = view.version;
	if (code)
		return tool_fail(copy->name);
	return copy->type && copy->size_bytes < copy->type->size_bytes
		? tool_say(TOOL_UNUSABLE, copy->name, "its %zu bytes are less than its type's %u", copy->size_bytes,
		           copy->type->size_bytes)
		: TOOL_OK;
}

int tool_table_get(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hex", no_argument, NULL, WORK_HEX }, { "raw", no_argument, NULL, WORK_RAW },
		{ "key-hex", no_argument, NULL, WORK_KEY_HEX }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	struct value_copy copy = { 0 };
	int code = work_options(&work, argc, argv, options, 3, 3);

	if (code)
		return code;
	code = work_key(&work);
	if (!code)
		code = work_begin(&work, WORK_LOOK);
	copy.name = work.call.operands[2];
	copy.type = work.type;
	if (!code)
		code = fetch(&work, &copy);
	if (!code)
		code = value_print(&work.call.out, &copy, work.form, NULL);
	free(copy.data);
	work_end(&work);
	return code;
}

/* --- put -------------------------------------------------------------------------------------- */

const char tool_table_put_help[] =
	"The value is TEXT, or standard input. A table that the region does not have is made.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	"      --absent          only if the key is not there; else exit code 7\n"
	"      --present         only if the key is there; else exit code 3\n"
	"      --version N       only over this version of the key; else exit code 7 (3: not there)\n"
	"      --ttl SECONDS     the entry expires after so long; none: never\n"
	WORK_HELP_KEY
	"      --budget SIZE     make the table, if there is none, as a cache of so many bytes: it\n"
	"                        evicts instead of filling the region\n"
	WORK_HELP_OWNER
	"  -j, --json            print the new version as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table put fx sessions u-17 'signed in' --ttl 600\n"
	"  comap table put fx sessions u-17 'signed out' --version 1\n";

static uint32_t put_mode(const struct work *work)
{
	return work->absent ? COMAP_TABLE_INSERT : work->present ? COMAP_TABLE_REPLACE :
	       work->version ? COMAP_TABLE_CAS : COMAP_TABLE_PUT;
}

static int put(struct work *work, const void *value, size_t value_bytes)
{
	const char *key = work->call.operands[2];
	struct comap_table_write write = {
		.key = work->key, .key_bytes = work->key_bytes, .value = value, .value_bytes = value_bytes,
		.mode = put_mode(work), .version = work->version, .ttl_ns = work->ttl_ns,
	};
	uint64_t version = 0;
	int code = comap_table_write(work->table, &write, &version);

	if (code < 0)
		return tool_fail(key);
	if (code == COMAP_TABLE_EXISTS)
		return tool_say(TOOL_BUSY, key, "it is there already, version %" PRIu64, version);
	if (code == COMAP_TABLE_MISSING)
		return tool_say(TOOL_NOT_FOUND, key, "the table does not hold it");
	if (code == COMAP_TABLE_CHANGED)
		return tool_say(TOOL_BUSY, key, "it has version %" PRIu64 ", not %" PRIu64, version, work->version);
	work_note(work, "version", version);
	return TOOL_OK;
}

static int put_input(struct work *work)
{
	size_t size = 0, capacity = COMAP_TABLE_VALUE_MAX_BYTES + 1, got;
	char *data = out_alloc(capacity);
	int code;

	while ((got = fread(data + size, 1, capacity - size, stdin)) > 0)
		size += got;
	code = ferror(stdin) ? tool_say(TOOL_FAILED, "standard input", "%s", strerror(errno))
	                     : put(work, data, size);
	free(data);
	return code;
}

int tool_table_put(int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, WORK_CREATE }, { "absent", no_argument, NULL, WORK_ABSENT },
		{ "ttl", required_argument, NULL, WORK_TTL }, { "owner", required_argument, NULL, WORK_OWNER },
		{ "budget", required_argument, NULL, WORK_BUDGET },
		{ "present", no_argument, NULL, WORK_PRESENT }, { "version", required_argument, NULL, WORK_VERSION },
		{ "key-hex", no_argument, NULL, WORK_KEY_HEX }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 3, 4);

	if (code)
		return code;
	if (work.absent + work.present + (work.version != 0) > 1)
		return tool_usage(&work.call, "one of --absent, --present and --version is enough");
	code = work_key(&work);
	if (!code) /* what must be there is in a table that is there */
		code = work_begin(&work, work.present || work.version ? WORK_CHANGE : WORK_MAKE);
	if (!code)
		code = work.call.operand_count == 3 ? put_input(&work)
			: put(&work, work.call.operands[3], strlen(work.call.operands[3]));
	work_end(&work);
	return code;
}

/* --- stat ------------------------------------------------------------------------------------- */

const char tool_table_stat_help[] =
	"Options:\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	"\n"
	"Examples:\n"
	"  comap table stat fx sessions\n";

static void print_cache(struct out *out, const struct comap_table_stats *stats)
{
	out_bytes(out, "budget_bytes", stats->budget_bytes);
	out_bytes(out, "used_bytes", stats->used_bytes);
	out_u64(out, "inserted", stats->inserted);
	out_u64(out, "replaced", stats->replaced);
	out_u64(out, "removed", stats->removed);
	out_u64(out, "evicted_budget", stats->evicted_budget);
	out_u64(out, "evicted_full", stats->evicted_full);
}

int tool_table_stat(int argc, char **argv)
{
	static const struct option options[] = { TOOL_OPTIONS };
	struct work work = WORK(argv[0]);
	struct comap_table_stats stats;
	struct out *out = &work.call.out;
	int code = work_options(&work, argc, argv, options, 2, 2);

	if (code)
		return code;
	code = work_begin(&work, WORK_LOOK);
	if (!code && comap_table_stats(work.table, &stats) != 0)
		code = tool_fail(work.call.operands[1]);
	if (!code) {
		out_begin(out);
		out_u64(out, "entries", stats.entries);
		out_bytes(out, "stored_bytes", stats.stored_bytes);
		out_u64(out, "buckets", stats.buckets);
		out_u64(out, "overflow_buckets", stats.overflow_buckets);
		out_u64(out, "writes", stats.writes);
		out_u64(out, "expired", stats.expired);
		out_u64(out, "repairs", stats.repairs);
		out_u64(out, "default_ttl_ns", stats.default_ttl_ns);
		if (stats.budget_bytes)
			print_cache(out, &stats);
		out_end(out);
	}
	work_end(&work);
	return code;
}
