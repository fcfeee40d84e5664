/* SPDX-License-Identifier: MIT */
/* comap table scan, and how the table verbs print an entry: what `comap table load` reads (rows.h). */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tab-separated, JSON ------------------------------------------------------------------------ */

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

static int64_t counter_of(const struct comap_table_entry *entry)
{
	int64_t number;

	memcpy(&number, entry->value, sizeof number);
	return number;
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
		if (entry->counter)
			out_i64(out, "counter", counter_of(entry));
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

/* --- CSV ---------------------------------------------------------------------------------------- */

/* In quotes where a reader could take it for something else: separators, line ends, quotes, a byte
 * order mark. */
static void print_cell(const void *data, size_t size_bytes)
{
	const char *bytes = data;
	bool plain = size_bytes == 0 || (unsigned char)bytes[0] != 0xef;

	for (size_t i = 0; i < size_bytes && plain; i++)
		plain = bytes[i] != ',' && bytes[i] != '"' && bytes[i] != '\n' && bytes[i] != '\r';
	if (plain) {
		fwrite(bytes, 1, size_bytes, stdout);
		return;
	}
	putchar('"');
	for (size_t i = 0; i < size_bytes; i++) {
		if (bytes[i] == '"')
			putchar('"');
		putchar(bytes[i]);
	}
	putchar('"');
}

/* Text as it is, bytes in hexadecimal digits without quotes. */
static void print_field_cell(const struct comap_field *field, const void *record)
{
	const char *at = (const char *)record + field->offset_bytes;
	size_t length;
	char *text;

	putchar(',');
	if (field->kind == COMAP_KIND_str) {
		print_cell(at, strnlen(at, field->size_bytes));
		return;
	}
	text = out_field_text(field, record);
	length = strlen(text);
	if (field->kind == COMAP_KIND_bytes && length >= 2)
		fwrite(text + 1, 1, length - 2, stdout);
	else
		print_cell(text, length);
	free(text);
}

static void print_csv(const struct comap_type *type, bool keys_only, const struct comap_table_entry *entry)
{
	print_cell(entry->key, entry->key_bytes);
	if (!keys_only && type && entry->value_bytes >= type->size_bytes) {
		for (uint32_t i = 0; i < type->field_count; i++)
			print_field_cell(&type->fields[i], entry->value);
	} else if (!keys_only) {
		putchar(',');
		print_cell(entry->value, entry->value_bytes);
	}
	fputs("\n", stdout);
}

static void print_headings(const struct work *work)
{
	fputs("key", stdout);
	for (uint32_t i = 0; !work->keys && work->type && i < work->type->field_count; i++)
		printf(",%s", work->type->fields[i].name);
	fputs(work->keys || work->type ? "\r\n" : ",value\n", stdout);
}

/* --- scan --------------------------------------------------------------------------------------- */

const char tool_table_scan_help[] =
	"One line for each entry, in no particular order. What was there from begin to end is printed\n"
	"exactly once. A table with a field list has its fields instead of the value.\n"
	"\n"
	"Options:\n"
	"      --format FORMAT   tsv (default): key, tab, value, with \\t \\n \\\\ and \\xNN for other bytes;\n"
	"                        csv: a line of headings, then key, comma, value, in quotes where needed;\n"
	"                        json: one object for each entry, with version and expiry\n"
	"  -H, --no-headings     csv without its first line\n"
	"      --keys            leave the values out\n"
	"  -j, --json            --format json\n"
	"\n"
	"Examples:\n"
	"  comap table scan fx sessions | sort > sessions.tsv\n"
	"  comap table scan fx sessions --format csv > sessions.csv\n"
	"  comap table scan fx sessions --json | jq -r .key\n";

static int scan(struct work *work)
{
	struct comap_table_walk *walk = comap_table_walk_begin(work->table);
	struct comap_table_entry entry;
	int code = walk ? 1 : -1;

	if (walk && work->format == ROW_CSV && work->call.out.headings)
		print_headings(work);
	while (code == 1 && !ferror(stdout)) {
		code = comap_table_walk_next(walk, &entry);
		if (code == 1 && work->format == ROW_CSV)
			print_csv(work->type, work->keys, &entry);
		else if (code == 1)
			table_print_entry(&work->call.out, work->type, work->keys, &entry);
	}
	comap_table_walk_end(walk);
	return code < 0 ? tool_fail(work->call.operands[1]) : TOOL_OK;
}

int tool_table_scan(int argc, char **argv)
{
	static const struct option options[] = {
		{ "keys", no_argument, NULL, WORK_KEYS }, { "format", required_argument, NULL, WORK_FORMAT },
		TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 2, 2);

	if (code)
		return code;
	if (work.format != ROW_TSV && work.call.out.json)
		work.format = ROW_JSON;
	work.call.out.json |= work.format == ROW_JSON;
	code = work_begin(&work, WORK_LOOK);
	if (!code)
		code = scan(&work);
	work_end(&work);
	return code;
}
