/* SPDX-License-Identifier: MIT */
/* How the command says things: the same calls give lines, a table, or JSON. */
#include "out.h"

#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABEL_COLUMNS 20 /* of the text outside of lists */

static void no_memory(void)
{
	fputs("comap: no memory\n", stderr);
	exit(1);
}

void *out_alloc(size_t size_bytes)
{
	void *memory = malloc(size_bytes ? size_bytes : 1);

	if (!memory)
		no_memory();
	return memory;
}

size_t out_utf8_length(const unsigned char *at, size_t size_bytes)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	uint32_t character;

	if (length == 1)
		return at[0] >= 0x20 && at[0] != 0x7f;
	if (at[0] < 0xc2 || at[0] > 0xf4 || length > size_bytes)
		return 0;
	character = at[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (at[i] & 0x3f);
	}
	if (character < least[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character < 0xe000) || character < 0xa0)
		return 0;
	return length;
}

char *out_safe(const char *text)
{
	size_t size = strlen(text), used = 0;
	char *safe = out_alloc(size * 4 + 1);

	for (size_t i = 0; i < size;) {
		size_t length = out_utf8_length((const unsigned char *)text + i, size - i);

		if (length == 0) {
			used += (size_t)sprintf(safe + used, "\\x%02x", (unsigned char)text[i++]);
			continue;
		}
		memcpy(safe + used, text + i, length);
		used += length;
		i += length;
	}
	safe[used] = '\0';
	return safe;
}

void out_size(char *buffer, size_t capacity, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	uint64_t unit = 1;
	int i = -1;

	while (bytes / unit >= 1024 && units[i + 1]) {
		unit *= 1024;
		i++;
	}
	if (i < 0)
		snprintf(buffer, capacity, "%" PRIu64, bytes);
	else if (bytes % unit == 0 || bytes / unit >= 100)
		snprintf(buffer, capacity, "%" PRIu64 "%c", bytes / unit, units[i]);
	else
		snprintf(buffer, capacity, "%.1f%c", (double)bytes / (double)unit, units[i]);
}

void out_time_text(char *buffer, size_t capacity, uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	char date[40];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(date, sizeof date, "?");
	snprintf(buffer, capacity, "%s.%03uZ", date, (unsigned)(realtime_ns / 1000000 % 1000));
}

/* "heap_max_bytes" -> "heap max". */
static void label(const char *key, char *buffer, size_t capacity)
{
	size_t length;

	snprintf(buffer, capacity, "%s", key);
	length = strlen(buffer);
	if (length > 6 && strcmp(buffer + length - 6, "_bytes") == 0)
		buffer[length - 6] = '\0';
	else if (length > 3 && strcmp(buffer + length - 3, "_ns") == 0)
		buffer[length - 3] = '\0';
	for (char *at = buffer; *at; at++)
		if (*at == '_')
			*at = ' ';
}

static void json_string(const char *safe)
{
	putchar('"');
	for (; *safe; safe++) {
		if (*safe == '"' || *safe == '\\')
			putchar('\\');
		putchar(*safe);
	}
	putchar('"');
}

static void json_key(struct out *out, const char *key)
{
	if (out->member)
		fputs(", ", stdout);
	out->member = true;
	if (key) {
		json_string(key);
		fputs(": ", stdout);
	}
}

/* Every value ends here: `shown` is what the text shows; `json` is what JSON has, as it stands. */
static void put(struct out *out, const char *key, const char *shown, const char *json)
{
	char words[64];

	if (out->json) {
		json_key(out, key);
		if (json)
			fputs(json, stdout);
		else
			json_string(shown);
	} else if (out->table) {
		if (scols_line_set_data(out->line, out->cell++, shown) != 0)
			no_memory();
	} else {
		label(key, words, sizeof words);
		printf("%-*s %s\n", LABEL_COLUMNS, words, shown);
	}
}

void out_begin(struct out *out)
{
	out->member = false;
	if (out->json)
		putchar('{');
}

void out_end(struct out *out)
{
	if (out->json)
		fputs("}\n", stdout);
	out->member = false;
}

void out_object_begin(struct out *out, const char *key)
{
	if (!out->json)
		return;
	json_key(out, key);
	putchar('{');
	out->member = false;
}

void out_object_end(struct out *out)
{
	if (out->json)
		putchar('}');
	out->member = true;
}

void out_list_begin(struct out *out, const char *key, const struct out_column *columns,
                    size_t column_count)
{
	if (out->json) {
		json_key(out, key);
		putchar('[');
		out->member = false;
		return;
	}
	out->table = scols_new_table();
	if (!out->table)
		no_memory();
	scols_table_enable_noheadings(out->table, !out->headings);
	scols_table_enable_noencoding(out->table, 1); /* out_safe() has been over it */
	for (size_t i = 0; i < column_count; i++)
		if (!scols_table_new_column(out->table, columns[i].heading, 0,
		                            columns[i].right ? SCOLS_FL_RIGHT : 0))
			no_memory();
}

void out_row(struct out *out)
{
	if (out->json) {
		json_key(out, NULL);
		putchar('{');
		out->member = false;
		return;
	}
	out->cell = 0;
	out->line = scols_table_new_line(out->table, NULL);
	if (!out->line)
		no_memory();
}

void out_row_end(struct out *out)
{
	out_object_end(out);
}

void out_list_end(struct out *out)
{
	if (out->json) {
		putchar(']');
		out->member = true;
		return;
	}
	if (scols_print_table(out->table) < 0)
		no_memory();
	scols_unref_table(out->table);
	out->table = NULL;
}

void out_text(struct out *out, const char *key, const char *text)
{
	char *safe;

	if (!text) {
		out_none(out, key);
		return;
	}
	safe = out_safe(text);
	put(out, key, safe, NULL);
	free(safe);
}

void out_none(struct out *out, const char *key)
{
	put(out, key, "-", "null");
}

void out_u64(struct out *out, const char *key, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, number);
	put(out, key, text, text);
}

void out_i64(struct out *out, const char *key, int64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, number);
	put(out, key, text, text);
}

void out_bytes(struct out *out, const char *key, uint64_t bytes)
{
	char size[24], json[24];

	snprintf(json, sizeof json, "%" PRIu64, bytes);
	out_size(size, sizeof size, bytes);
	put(out, key, out->exact ? json : size, json);
}

void out_bool(struct out *out, const char *key, bool yes)
{
	put(out, key, yes ? "yes" : "no", yes ? "true" : "false");
}

void out_time(struct out *out, const char *key, uint64_t realtime_ns)
{
	char text[64], json[24];

	if (realtime_ns == 0) {
		out_none(out, key);
		return;
	}
	snprintf(json, sizeof json, "%" PRIu64, realtime_ns);
	out_time_text(text, sizeof text, realtime_ns);
	put(out, key, text, json);
}

void out_hex(struct out *out, const char *key, const void *data, size_t size_bytes)
{
	if (!out->json)
		return;
	json_key(out, key);
	putchar('"');
	for (size_t i = 0; i < size_bytes; i++)
		printf("%02x", ((const unsigned char *)data)[i]);
	putchar('"');
}

char *out_field_text(const struct comap_field *field, const void *record)
{
	size_t size = comap_field_print(field, record, NULL, 0) + 1, used = 0;
	char *text = out_alloc(size), *safe = out_alloc(size * 6 + 1);

	comap_field_print(field, record, text, size);
	size = strlen(text);
	for (size_t i = 0; i < size;) {
		size_t length = out_utf8_length((const unsigned char *)text + i, size - i);

		if (length == 0) {
			used += (size_t)sprintf(safe + used, "\\u%04x", (unsigned char)text[i++]);
			continue;
		}
		memcpy(safe + used, text + i, length);
		used += length;
		i += length;
	}
	safe[used] = '\0';
	free(text);
	return safe;
}

/* "[nan, 1, -inf]" -> "[null, 1, null]": JSON has no such numbers. */
static void json_floats(const char *text)
{
	while (*text) {
		size_t length = strspn(text, "-+.0123456789e");
		size_t word = length + strspn(text + length, "abcdefghijklmnopqrstuvwxyz");

		if (word == 0) {
			putchar(*text++);
			continue;
		}
		if (word > length)
			fputs("null", stdout);
		else
			printf("%.*s", (int)length, text);
		text += word;
	}
}

void out_field(struct out *out, const struct comap_field *field, const void *record)
{
	char *text = out_field_text(field, record), *name = out_safe(field->name);

	if (!out->json) {
		printf("%-*s %s\n", LABEL_COLUMNS, name, text);
	} else {
		json_key(out, name);
		if (field->kind == COMAP_KIND_f32 || field->kind == COMAP_KIND_f64)
			json_floats(text);
		else
			fputs(text, stdout);
	}
	free(name);
	free(text);
}
