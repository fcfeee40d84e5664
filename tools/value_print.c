/* SPDX-License-Identifier: MIT */
/* One version of a value as fields, bytes, a dump or JSON. */
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_HEX_BYTES 32 /* of an untyped value, in one line of `watch` */

static bool printable(const struct value_copy *copy)
{
	for (size_t i = 0; i < copy->size_bytes;) {
		size_t length = out_utf8_length(copy->data + i, copy->size_bytes - i);

		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

/* The same with newlines and tabs: text that a terminal can take as it is. */
static bool is_text(const struct value_copy *copy)
{
	for (size_t i = 0; i < copy->size_bytes;) {
		size_t length = copy->data[i] == '\n' || copy->data[i] == '\t'
		              ? 1 : out_utf8_length(copy->data + i, copy->size_bytes - i);

		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

static void print_dump(const struct value_copy *copy)
{
	for (size_t at = 0; at < copy->size_bytes; at += 16) {
		const unsigned char *bytes = copy->data + at;
		size_t count = copy->size_bytes - at < 16 ? copy->size_bytes - at : 16;

		printf("%08zx ", at);
		for (size_t i = 0; i < 16; i++) {
			if (i < count)
				printf(i == 8 ? "  %02x" : " %02x", bytes[i]);
			else
				fputs(i == 8 ? "    " : "   ", stdout);
		}
		fputs("  |", stdout);
		for (size_t i = 0; i < count; i++)
			putchar(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
		fputs("|\n", stdout);
	}
}

static void print_fields(struct out *out, const struct value_copy *copy)
{
	for (uint32_t i = 0; i < copy->type->field_count; i++)
		out_field(out, &copy->type->fields[i], copy->data);
}

static void print_json(struct out *out, const struct value_copy *copy)
{
	out_begin(out);
	out_text(out, "name", copy->name);
	out_u64(out, "version", copy->version);
	out_time(out, "published_ns", copy->published_ns);
	out_u64(out, "size_bytes", copy->size_bytes);
	if (copy->watched)
		out_u64(out, "missed", copy->missed_count);
	if (copy->type) {
		out_text(out, "type", copy->type->name);
		out_object_begin(out, "fields");
		print_fields(out, copy);
		out_object_end(out);
		if (copy->size_bytes > copy->type->size_bytes)
			out_u64(out, "rest_bytes", copy->size_bytes - copy->type->size_bytes);
	} else {
		out_none(out, "type");
		if (printable(copy)) {
			char *text = strndup((const char *)copy->data, copy->size_bytes);

			out_text(out, "text", text);
			free(text);
		}
		out_hex(out, "hex", copy->data, copy->size_bytes);
	}
	out_end(out);
}

static void print_heading(const struct value_copy *copy)
{
	char time[64] = "time unknown";
	char *type = out_safe(copy->type->name);

	if (copy->published_ns)
		out_time_text(time, sizeof time, copy->published_ns);
	printf("# %s, version %" PRIu64 ", %zu bytes, %s\n", type, copy->version,
	       copy->size_bytes, time);
	free(type);
}

static int print_one_field(struct out *out, const struct value_copy *copy, const char *name)
{
	const struct comap_field *field = NULL;
	char *text;

	for (uint32_t i = 0; copy->type && i < copy->type->field_count; i++)
		if (strcmp(copy->type->fields[i].name, name) == 0)
			field = &copy->type->fields[i];
	if (!field)
		return tool_say(TOOL_NOT_FOUND, copy->name, copy->type ? "it has no field '%s'"
		                : "it is untyped, so it has no field '%s'", name);
	if (out->json) {
		out_begin(out);
		out_field(out, field, copy->data);
		out_end(out);
		return TOOL_OK;
	}
	text = out_field_text(field, copy->data);
	puts(text);
	free(text);
	return TOOL_OK;
}

static void print_untyped(const struct value_copy *copy)
{
	if (isatty(STDOUT_FILENO) && !is_text(copy)) {
		print_dump(copy);
		return;
	}
	fwrite(copy->data, 1, copy->size_bytes, stdout);
	if (isatty(STDOUT_FILENO) && copy->size_bytes && copy->data[copy->size_bytes - 1] != '\n')
		putchar('\n');
}

int value_print(struct out *out, const struct value_copy *copy, enum value_form form,
                const char *field)
{
	if (field)
		return print_one_field(out, copy, field);
	if (form == VALUE_RAW) {
		fwrite(copy->data, 1, copy->size_bytes, stdout);
	} else if (form == VALUE_HEX) {
		print_dump(copy);
	} else if (out->json) {
		print_json(out, copy);
	} else if (copy->type) {
		if (out->headings)
			print_heading(copy);
		print_fields(out, copy);
		if (copy->size_bytes > copy->type->size_bytes && out->headings)
			printf("# and %zu bytes more\n", copy->size_bytes - copy->type->size_bytes);
	} else {
		print_untyped(copy);
	}
	return TOOL_OK;
}

static void print_line_fields(const struct value_copy *copy)
{
	for (uint32_t i = 0; i < copy->type->field_count; i++) {
		const struct comap_field *field = &copy->type->fields[i];
		char *text = out_field_text(field, copy->data), *name = out_safe(field->name);

		printf(" %s=%s", name, text);
		free(name);
		free(text);
	}
}

static void print_line_bytes(const struct value_copy *copy)
{
	size_t shown = copy->size_bytes < LINE_HEX_BYTES ? copy->size_bytes : LINE_HEX_BYTES;

	if (printable(copy)) {
		printf(" \"%.*s\"", (int)copy->size_bytes, (const char *)copy->data);
		return;
	}
	putchar(' ');
	for (size_t i = 0; i < shown; i++)
		printf("%02x", copy->data[i]);
	if (shown < copy->size_bytes)
		printf("... (%zu bytes)", copy->size_bytes);
}

int value_print_line(struct out *out, const struct value_copy *copy, enum value_form form)
{
	char time[64] = "-";

	if (form != VALUE_PLAIN || out->json)
		return value_print(out, copy, form, NULL);
	if (copy->published_ns)
		out_time_text(time, sizeof time, copy->published_ns);
	printf("%" PRIu64 " %s", copy->version, time);
	if (copy->type)
		print_line_fields(copy);
	else
		print_line_bytes(copy);
	if (copy->missed_count)
		printf(" (%" PRIu64 " missed)", copy->missed_count);
	putchar('\n');
	return TOOL_OK;
}
