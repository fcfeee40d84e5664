/* SPDX-License-Identifier: MIT */
/* Field lists: check, compare, print.
 *
 * Lives in:   constant data of the program; a region keeps its own packed copy (ipc/directory.c)
 * Progress:   wait-free, bounded by COMAP_TYPE_FIELDS_MAX */
#include <comap/type.h>

#include "error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint8_t size_bytes;
} kinds[COMAP_KIND_COUNT] = {
#define X(name, number, size) [number] = { #name, size },
	COMAP_KIND_MAP(X)
#undef X
};

const char *comap_kind_name(unsigned kind)
{
	return kind < COMAP_KIND_COUNT ? kinds[kind].name : NULL;
}

size_t comap_kind_bytes(unsigned kind)
{
	return kind < COMAP_KIND_COUNT ? kinds[kind].size_bytes : 0;
}

static int check_name(const char *name, size_t length_max, const char *what)
{
	if (!name || !*name)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a %s in a field list has no name", what);
	if (strnlen(name, length_max + 1) > length_max)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the %s name '%.40s...' is longer than %zu characters",
		                   what, name, length_max);
	return 0;
}

static int check_field(const struct comap_type *type, uint32_t index)
{
	const struct comap_field *field = &type->fields[index];
	size_t kind_bytes = comap_kind_bytes(field->kind);
	int code = check_name(field->name, COMAP_FIELD_NAME_MAX, "field");

	if (code)
		return code;
	if (kind_bytes == 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "field '%s' of %s has the unknown kind %u",
		                   field->name, type->name, field->kind);
	if (field->size_bytes == 0 || field->size_bytes % kind_bytes != 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "field '%s' of %s is %u bytes, no multiple of %s",
		                   field->name, type->name, field->size_bytes, kinds[field->kind].name);
	if ((uint64_t)field->offset_bytes + field->size_bytes > type->size_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "field '%s' reaches past the end of %s (%u bytes)",
		                   field->name, type->name, type->size_bytes);
	for (uint32_t i = 0; i < index; i++) {
		const struct comap_field *other = &type->fields[i];

		if (strcmp(other->name, field->name) == 0)
			return comap__fail(COMAP_CAUSE_ARGUMENT, "field '%s' stands twice in %s",
			                   field->name, type->name);
		if (field->offset_bytes < other->offset_bytes + other->size_bytes &&
		    other->offset_bytes < field->offset_bytes + field->size_bytes)
			return comap__fail(COMAP_CAUSE_ARGUMENT, "fields '%s' and '%s' of %s overlap",
			                   other->name, field->name, type->name);
	}
	return 0;
}

int comap_type_check(const struct comap_type *type)
{
	int code;

	if (!type)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no field list was given");
	code = check_name(type->name, COMAP_TYPE_NAME_MAX, "type");
	if (code)
		return code;
	if (type->field_count == 0 || type->field_count > COMAP_TYPE_FIELDS_MAX)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s has %u fields; 1 to %d are possible",
		                   type->name, type->field_count, COMAP_TYPE_FIELDS_MAX);
	if (type->align_bytes == 0 || (type->align_bytes & (type->align_bytes - 1)) != 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s has the alignment %u, no power of two",
		                   type->name, type->align_bytes);
	for (uint32_t i = 0; i < type->field_count && code == 0; i++)
		code = check_field(type, i);
	return code;
}

static bool field_same(const struct comap_field *a, const struct comap_field *b)
{
	return a->kind == b->kind && a->offset_bytes == b->offset_bytes &&
	       a->size_bytes == b->size_bytes && strcmp(a->name, b->name) == 0;
}

int comap_type_fits(const struct comap_type *reader, const struct comap_type *writer)
{
	char reader_text[200], writer_text[200];
	bool same;

	if (!reader || !writer)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no field list was given");
	same = reader->field_count <= writer->field_count && reader->size_bytes <= writer->size_bytes &&
	       reader->align_bytes <= writer->align_bytes && strcmp(reader->name, writer->name) == 0;
	for (uint32_t i = 0; same && i < reader->field_count; i++)
		same = field_same(&reader->fields[i], &writer->fields[i]);
	if (same)
		return 0;
	comap_type_print(reader, reader_text, sizeof reader_text);
	comap_type_print(writer, writer_text, sizeof writer_text);
	return comap__fail(COMAP_CAUSE_TYPE, "the field lists differ: here %s, there %s",
	                   reader_text, writer_text);
}

/* Appends as snprintf does: `used` grows by what would have been written. */
COMAP_PRINTF(4, 5)
static size_t append(char *buffer, size_t size_bytes, size_t used, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(used < size_bytes ? buffer + used : NULL,
	                   used < size_bytes ? size_bytes - used : 0, format, args);
	va_end(args);
	return used + (length > 0 ? (size_t)length : 0);
}

size_t comap_type_print(const struct comap_type *type, char *buffer, size_t size_bytes)
{
	size_t used;

	if (!type)
		return append(buffer, size_bytes, 0, "no type");
	used = append(buffer, size_bytes, 0, "%s {", type->name);
	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct comap_field *field = &type->fields[i];
		size_t kind_bytes = comap_kind_bytes(field->kind);
		const char *kind = comap_kind_name(field->kind);

		used = append(buffer, size_bytes, used, " %s", kind ? kind : "?");
		if (kind_bytes && field->size_bytes != kind_bytes)
			used = append(buffer, size_bytes, used, "[%zu]", field->size_bytes / kind_bytes);
		used = append(buffer, size_bytes, used, " %s @%u;", field->name, field->offset_bytes);
	}
	return append(buffer, size_bytes, used, " } %u bytes", type->size_bytes);
}

#define READ(type) ({ type x_; memcpy(&x_, at, sizeof x_); x_; })

static size_t print_element(unsigned kind, const unsigned char *at, char *buffer, size_t size_bytes,
                            size_t used)
{
	switch (kind) {
	case COMAP_KIND_u8: return append(buffer, size_bytes, used, "%u", *at);
	case COMAP_KIND_u16: return append(buffer, size_bytes, used, "%u", READ(uint16_t));
	case COMAP_KIND_u32: return append(buffer, size_bytes, used, "%u", READ(uint32_t));
	case COMAP_KIND_u64: return append(buffer, size_bytes, used, "%" PRIu64, READ(uint64_t));
	case COMAP_KIND_i8: return append(buffer, size_bytes, used, "%d", READ(int8_t));
	case COMAP_KIND_i16: return append(buffer, size_bytes, used, "%d", READ(int16_t));
	case COMAP_KIND_i32: return append(buffer, size_bytes, used, "%d", READ(int32_t));
	case COMAP_KIND_i64: return append(buffer, size_bytes, used, "%" PRId64, READ(int64_t));
	case COMAP_KIND_f32: return append(buffer, size_bytes, used, "%.9g", (double)READ(float));
	case COMAP_KIND_f64: return append(buffer, size_bytes, used, "%.17g", READ(double));
	default: return append(buffer, size_bytes, used, "?");
	}
}
#undef READ

static size_t print_string(const unsigned char *at, size_t length, char *buffer, size_t size_bytes)
{
	size_t used = append(buffer, size_bytes, 0, "\"");

	for (size_t i = 0; i < length && at[i]; i++) {
		if (at[i] == '"' || at[i] == '\\')
			used = append(buffer, size_bytes, used, "\\%c", at[i]);
		else if (at[i] < 0x20 || at[i] == 0x7f)
			used = append(buffer, size_bytes, used, "\\u%04x", at[i]);
		else
			used = append(buffer, size_bytes, used, "%c", at[i]);
	}
	return append(buffer, size_bytes, used, "\"");
}

static size_t print_bytes(const unsigned char *at, size_t length, char *buffer, size_t size_bytes)
{
	size_t used = append(buffer, size_bytes, 0, "\"");

	for (size_t i = 0; i < length; i++)
		used = append(buffer, size_bytes, used, "%02x", at[i]);
	return append(buffer, size_bytes, used, "\"");
}

size_t comap_field_print(const struct comap_field *field, const void *record, char *buffer,
                         size_t size_bytes)
{
	const unsigned char *at;
	size_t kind_bytes, used = 0;

	if (!field || !record)
		return append(buffer, size_bytes, 0, field ? "no record" : "no field");
	at = (const unsigned char *)record + field->offset_bytes;
	kind_bytes = comap_kind_bytes(field->kind);
	if (field->kind == COMAP_KIND_str)
		return print_string(at, field->size_bytes, buffer, size_bytes);
	if (field->kind == COMAP_KIND_bytes || kind_bytes == 0)
		return print_bytes(at, field->size_bytes, buffer, size_bytes);
	if (field->size_bytes == kind_bytes)
		return print_element(field->kind, at, buffer, size_bytes, 0);
	for (size_t i = 0; i < field->size_bytes / kind_bytes; i++) {
		used = append(buffer, size_bytes, used, i ? ", " : "[");
		used = print_element(field->kind, at + i * kind_bytes, buffer, size_bytes, used);
	}
	return append(buffer, size_bytes, used, "]");
}
