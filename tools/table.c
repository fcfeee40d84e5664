/* SPDX-License-Identifier: MIT */
/* comap table get, put, del, scan, load, stat.
 *
 * get, scan and stat are guests: they copy and validate. The others take a seat for as long as they
 * run. A line of scan is what load reads: key, tab, value, with \t \n \\ and \xNN for bytes that would
 * not go through. */
#include "table.h"
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What all of them are told. */
struct work {
	struct tool_call call;
	enum value_form form;
	bool keys;              /* scan: without values */
	bool create, absent, in_bulk;
	uint64_t ttl_ms;
	uint64_t budget_bytes;
	int64_t owner_uid;
	struct comap *region;
	struct comap_table *table;
	struct comap_bulk *bulk; /* load --bulk; NULL: one write after the other */
	struct comap_type *type;
};

#define WORK(name) { .call = TOOL_CALL(name) }
enum { HEX = 256, RAW, KEYS, CREATE, ABSENT, TTL, OWNER, BUDGET, BULK };

static int work_options(struct work *work, int argc, char **argv, const struct option *options,
                        int least, int most)
{
	int option;

	while ((option = tool_next(&work->call, argc, argv, options)) != -1) {
		switch (option) {
		case HEX: work->form = VALUE_HEX; break;
		case RAW: work->form = VALUE_RAW; break;
		case KEYS: work->keys = true; break;
		case CREATE: work->create = true; break;
		case ABSENT: work->absent = true; break;
		case BULK: work->in_bulk = true; break;
		case TTL:
			if (!tool_parse_seconds(optarg, &work->ttl_ms) || work->ttl_ms == 0)
				return tool_usage(&work->call, "'%s' is no time", optarg);
			break;
		case BUDGET:
			if (!tool_parse_size(optarg, &work->budget_bytes) || work->budget_bytes == 0)
				return tool_usage(&work->call, "'%s' is no size", optarg);
			break;
		case OWNER:
			if (!tool_parse_owner(optarg, &work->owner_uid))
				return tool_usage(&work->call, "'%s' is no user", optarg);
			break;
		default: return TOOL_USAGE;
		}
	}
	return tool_operands(&work->call, least, most);
}

/* As a guest, or attached; a missing region is made only on request. An exit code. */
static int work_begin(struct work *work, bool writes)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table_options table_options = COMAP_TABLE_OPTIONS_INIT;
	const char *region_name = work->call.operands[0], *name = work->call.operands[1];
	struct comap *there = NULL;

	if (!writes || !work->create) {
		there = tool_look(region_name);
		if (!there)
			return tool_fail(region_name);
	}
	work->region = there;
	if (writes) {
		options.flags = COMAP_CREATE;
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

static void work_end(struct work *work)
{
	comap_table_close(work->table);
	comap_close(work->region);
	free(work->type);
}

static void note_done(struct work *work, const char *what, uint64_t count)
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
	TOOL_HELP_JSON
	"  -H, --no-headings     leave out the line with type and version\n"
	"\n"
	"Examples:\n"
	"  comap table get fx sessions u-17\n";

static int fetch(struct work *work, const char *key, struct value_copy *copy)
{
	struct comap_view view = { 0 };
	int code = -ENOBUFS;

	for (int i = 0; i < 100 && code == -ENOBUFS; i++) {
		code = comap_table_get(work->table, key, strlen(key), copy->data, copy->capacity_bytes, &view);
		if (code != -ENOBUFS)
			break;
		free(copy->data);
		copy->capacity_bytes = view.size_bytes;
		copy->data = out_alloc(view.size_bytes);
	}
	copy->size_bytes = view.size_bytes;
	copy->version = view.version;
	if (code)
		return tool_fail(key);
	return copy->type && copy->size_bytes < copy->type->size_bytes
		? tool_say(TOOL_UNUSABLE, key, "its %zu bytes are less than its type's %u", copy->size_bytes,
		           copy->type->size_bytes)
		: TOOL_OK;
}

int tool_table_get(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hex", no_argument, NULL, HEX }, { "raw", no_argument, NULL, RAW }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	struct value_copy copy = { 0 };
	int code = work_options(&work, argc, argv, options, 3, 3);

	if (code)
		return code;
	code = work_begin(&work, false);
	copy.name = work.call.operands[2];
	copy.type = work.type;
	if (!code)
		code = fetch(&work, copy.name, &copy);
	if (!code)
		code = value_print(&work.call.out, &copy, work.form, NULL);
	free(copy.data);
	work_end(&work);
	return code;
}

/* --- put, del --------------------------------------------------------------------------------- */

const char tool_table_put_help[] =
	"The value is TEXT, or standard input. A table that the region does not have is made.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	"      --absent          only if the key is not there; else exit code 7\n"
	"      --ttl SECONDS     the entry expires after so long\n"
	"      --budget SIZE     make the table, if there is none, as a cache of so many bytes: it\n"
	"                        evicts instead of filling the region\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"
	"  -j, --json            print the new version as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table put fx sessions u-17 'signed in' --ttl 600\n";

static int put(struct work *work, const void *value, size_t value_bytes)
{
	const char *key = work->call.operands[2];
	struct comap_table_write write = {
		.key = key, .key_bytes = strlen(key), .value = value, .value_bytes = value_bytes,
		.mode = work->absent ? COMAP_TABLE_INSERT : COMAP_TABLE_PUT,
		.ttl_ns = work->ttl_ms ? work->ttl_ms * 1000000 : COMAP_TTL_DEFAULT,
	};
	uint64_t version = 0;
	int code = comap_table_write(work->table, &write, &version);

	if (code < 0)
		return tool_fail(key);
	if (code == COMAP_TABLE_EXISTS)
		return tool_say(TOOL_BUSY, key, "it is there already, version %" PRIu64, version);
	note_done(work, "version", version);
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
		{ "create", no_argument, NULL, CREATE }, { "absent", no_argument, NULL, ABSENT },
		{ "ttl", required_argument, NULL, TTL }, { "owner", required_argument, NULL, OWNER },
		{ "budget", required_argument, NULL, BUDGET }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 3, 4);

	if (code)
		return code;
	code = work_begin(&work, true);
	if (!code)
		code = work.call.operand_count == 3 ? put_input(&work)
			: put(&work, work.call.operands[3], strlen(work.call.operands[3]));
	work_end(&work);
	return code;
}

const char tool_table_del_help[] =
	"Exit code 3 when the key is not there.\n"
	"\n"
	"Options:\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"
	"\n"
	"Examples:\n"
	"  comap table del fx sessions u-17\n";

int tool_table_del(int argc, char **argv)
{
	static const struct option options[] = {
		{ "owner", required_argument, NULL, OWNER }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 3, 3);
	const char *key;

	if (code)
		return code;
	code = work_begin(&work, true);
	key = work.call.operands[2];
	if (!code) {
		code = comap_table_remove(work.table, key, strlen(key));
		code = code < 0 ? tool_fail(key) :
		       code == COMAP_TABLE_MISSING ? tool_say(TOOL_NOT_FOUND, key, "the table does not hold it")
		                                   : TOOL_OK;
	}
	work_end(&work);
	return code;
}

/* --- scan ------------------------------------------------------------------------------------- */

const char tool_table_scan_help[] =
	"One line for each entry: key, tab, value, with \\t \\n \\\\ and \\xNN for other bytes; in no\n"
	"particular order. What was there from begin to end is printed exactly once. A table with\n"
	"a field list has its fields instead of the value, tab after tab.\n"
	"\n"
	"Options:\n"
	"      --keys            leave the values out\n"
	"  -j, --json            one JSON object for each entry\n"
	"\n"
	"Examples:\n"
	"  comap table scan fx sessions | sort > sessions.tsv\n"
	"  comap table scan fx sessions --json | jq -r .key\n";

static void print_escaped(const void *data, size_t size_bytes)
{
	const unsigned char *bytes = data;

	for (size_t i = 0, length; i < size_bytes; i += length) {
		length = out_utf8_length(bytes + i, size_bytes - i);
		if (bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\\') {
			length = 1;
			printf("\\%c", bytes[i] == '\t' ? 't' : bytes[i] == '\n' ? 'n' : '\\');
		} else if (length) {
			fwrite(bytes + i, 1, length, stdout);
		} else {
			length = 1;
			printf("\\x%02x", bytes[i]);
		}
	}
}

static bool is_text(const void *data, size_t size_bytes)
{
	const unsigned char *bytes = data;
	size_t i = 0, length = 1;

	for (; i < size_bytes && length; i += length)
		length = out_utf8_length(bytes + i, size_bytes - i);
	return i >= size_bytes && length;
}

static void print_bytes_json(struct out *out, const char *key, const char *hex_key, const void *data,
                             size_t size_bytes)
{
	char *text = is_text(data, size_bytes) ? strndup(data, size_bytes) : NULL;

	if (text)
		out_text(out, key, text);
	else
		out_hex(out, hex_key, data, size_bytes);
	free(text);
}

static void print_entry_json(struct out *out, const struct comap_type *type, bool keys_only,
                             const struct comap_table_entry *entry)
{
	out_begin(out);
	print_bytes_json(out, "key", "key_hex", entry->key, entry->key_bytes);
	if (!keys_only && type && entry->value_bytes >= type->size_bytes) {
		out_object_begin(out, "fields");
		for (uint32_t i = 0; i < type->field_count; i++)
			out_field(out, &type->fields[i], entry->value);
		out_object_end(out);
	} else if (!keys_only) {
		print_bytes_json(out, "value", "value_hex", entry->value, entry->value_bytes);
	}
	out_u64(out, "version", entry->version);
	if (entry->expires_ns)
		out_time(out, "expires_ns", entry->expires_ns);
	out_end(out);
}

static void print_entry(const struct comap_type *type, bool keys_only,
                        const struct comap_table_entry *entry)
{
	print_escaped(entry->key, entry->key_bytes);
	if (!keys_only && type && entry->value_bytes >= type->size_bytes) {
		for (uint32_t i = 0; i < type->field_count; i++) {
			char *text = out_field_text(&type->fields[i], entry->value);

			printf("\t%s", text);
			free(text);
		}
	} else if (!keys_only) {
		putchar('\t');
		print_escaped(entry->value, entry->value_bytes);
	}
	putchar('\n');
}

void table_print_entry(struct out *out, const struct comap_type *type, bool keys_only,
                       const struct comap_table_entry *entry)
{
	if (out->json)
		print_entry_json(out, type, keys_only, entry);
	else
		print_entry(type, keys_only, entry);
}

static int scan(struct work *work)
{
	struct comap_table_walk *walk = comap_table_walk_begin(work->table);
	struct comap_table_entry entry;
	int code = walk ? 1 : -1;

	while (code == 1 && !ferror(stdout)) {
		code = comap_table_walk_next(walk, &entry);
		if (code == 1)
			table_print_entry(&work->call.out, work->type, work->keys, &entry);
	}
	comap_table_walk_end(walk);
	return code < 0 ? tool_fail(work->call.operands[1]) : TOOL_OK;
}

int tool_table_scan(int argc, char **argv)
{
	static const struct option options[] = { { "keys", no_argument, NULL, KEYS }, TOOL_OPTIONS };
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 2, 2);

	if (code)
		return code;
	code = work_begin(&work, false);
	if (!code)
		code = scan(&work);
	work_end(&work);
	return code;
}

/* --- load ------------------------------------------------------------------------------------- */

const char tool_table_load_help[] =
	"Puts the lines of FILE, or of standard input, into the table: key, tab, value, as scan\n"
	"prints them. Each line on its own: readers see some of them before the others.\n"
	"With --bulk they take the place of all that the table holds, at once, or nothing changes.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	"      --bulk            instead of all that the table holds, at once\n"
	"      --ttl SECONDS     the entries expire after so long\n"
	"      --budget SIZE     make the table, if there is none, as a cache of so many bytes: it\n"
	"                        evicts instead of filling the region\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"
	"  -j, --json            print how many as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table load fx sessions sessions.tsv\n"
	"  comap table scan fx sessions | comap table load copy sessions --create\n";

/* Takes the escapes out, in place; returns the length. */
static size_t unescape(char *text, size_t length)
{
	size_t to = 0;
	unsigned byte;

	for (size_t i = 0; i < length; i++) {
		if (text[i] != '\\' || i + 1 == length) {
			text[to++] = text[i];
		} else if (text[i + 1] == 'x' && i + 3 < length && sscanf(text + i + 2, "%2x", &byte) == 1) {
			text[to++] = (char)byte;
			i += 3;
		} else {
			i++;
			text[to++] = text[i] == 't' ? '\t' : text[i] == 'n' ? '\n' : text[i];
		}
	}
	return to;
}

static int load_line(struct work *work, char *line, size_t length, uint64_t number, const char *name)
{
	char *tab = memchr(line, '\t', length);
	size_t key_length = tab ? (size_t)(tab - line) : 0;
	struct comap_table_write write = {
		.key = line, .ttl_ns = work->ttl_ms ? work->ttl_ms * 1000000 : COMAP_TTL_DEFAULT,
	};

	if (!tab)
		return tool_say(TOOL_FAILED, name, "line %" PRIu64 ": no tab between key and value", number);
	write.key_bytes = unescape(line, key_length);
	write.value = tab + 1;
	write.value_bytes = unescape(tab + 1, length - key_length - 1);
	if ((work->bulk ? comap_table_bulk_write(work->bulk, &write)
	                : comap_table_write(work->table, &write, NULL)) < 0)
		return tool_say(tool_exit_code(), name, "line %" PRIu64 ": %s", number, comap_error_text());
	return TOOL_OK;
}

static int load(struct work *work, FILE *file, const char *name)
{
	size_t capacity = 0;
	char *line = NULL;
	ssize_t length;
	uint64_t number = 0;
	int code = TOOL_OK;

	while (code == TOOL_OK && (length = getline(&line, &capacity, file)) > 0) {
		if (line[length - 1] == '\n')
			length--;
		code = load_line(work, line, (size_t)length, ++number, name);
	}
	if (code == TOOL_OK && ferror(file))
		code = tool_say(TOOL_FAILED, name, "%s", strerror(errno));
	free(line);
	if (code == TOOL_OK && work->bulk && comap_table_bulk_commit(work->bulk) != 0)
		code = tool_fail(name);
	else if (code == TOOL_OK)
		work->bulk = NULL;
	if (code == TOOL_OK)
		note_done(work, "loaded", number);
	return code;
}

int tool_table_load(int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, CREATE }, { "ttl", required_argument, NULL, TTL },
		{ "owner", required_argument, NULL, OWNER }, { "budget", required_argument, NULL, BUDGET },
		{ "bulk", no_argument, NULL, BULK }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 2, 3);
	const char *name = "standard input";
	FILE *file = stdin;

	if (code)
		return code;
	if (work.call.operand_count == 3 && strcmp(work.call.operands[2], "-") != 0) {
		name = work.call.operands[2];
		file = fopen(name, "re");
	}
	if (!file)
		return tool_say(errno == ENOENT ? TOOL_NOT_FOUND : TOOL_FAILED, name, "%s", strerror(errno));
	code = work_begin(&work, true);
	if (!code && work.in_bulk) {
		work.bulk = comap_table_bulk_begin(work.table, 0);
		if (!work.bulk)
			code = tool_fail(work.call.operands[1]);
	}
	if (!code)
		code = load(&work, file, name);
	comap_table_bulk_abort(work.bulk);
	work_end(&work);
	if (file != stdin)
		fclose(file);
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
	code = work_begin(&work, false);
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
