/* SPDX-License-Identifier: MIT */
/* Fields from words: the way back from comap_field_print(). */
#include "rows.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_CHARACTERS 400 /* of a double, written in full */

static const char *store_integer(uint64_t number, size_t size_bytes, void *to)
{
	uint32_t four = (uint32_t)number;
	uint16_t two = (uint16_t)number;
	uint8_t one = (uint8_t)number;

	memcpy(to, size_bytes == 8 ? (void *)&number : size_bytes == 4 ? (void *)&four :
	       size_bytes == 2 ? (void *)&two : (void *)&one, size_bytes);
	return NULL;
}

static const char *store_signed(const struct comap_field *field, long long number, void *to)
{
	size_t bits = comap_kind_bytes(field->kind) * 8;

	if (bits < 64 && (number >= 1ll << (bits - 1) || number < -(1ll << (bits - 1))))
		return "the number is too large for it";
	return store_integer((uint64_t)number, bits / 8, to);
}

static const char *store_unsigned(const struct comap_field *field, unsigned long long number, void *to)
{
	size_t bits = comap_kind_bytes(field->kind) * 8;

	if (bits < 64 && number >> bits)
		return "the number is too large for it";
	return store_integer(number, bits / 8, to);
}

static const char *store_float(const struct comap_field *field, double number, void *to)
{
	float single = (float)number;

	if (field->kind == COMAP_KIND_f64)
		memcpy(to, &number, sizeof number);
	else
		memcpy(to, &single, sizeof single);
	return NULL;
}

/* One number; spaces around it are nothing. */
static const char *read_number(const struct comap_field *field, const char *text, size_t size_bytes,
                               void *to)
{
	char buffer[NUMBER_CHARACTERS + 1], *end;
	const char *problem;

	for (; size_bytes && *text == ' '; text++)
		size_bytes--;
	while (size_bytes && text[size_bytes - 1] == ' ')
		size_bytes--;
	if (size_bytes == 0 || size_bytes > NUMBER_CHARACTERS)
		return "a number is needed";
	memcpy(buffer, text, size_bytes);
	buffer[size_bytes] = '\0';
	errno = 0;
	if (field->kind == COMAP_KIND_f32 || field->kind == COMAP_KIND_f64)
		problem = store_float(field, strtod(buffer, &end), to);
	else if (field->kind >= COMAP_KIND_i8 && field->kind <= COMAP_KIND_i64)
		problem = store_signed(field, strtoll(buffer, &end, 10), to);
	else if (*buffer == '-')
		return "a number that is not negative is needed";
	else
		problem = store_unsigned(field, strtoull(buffer, &end, 10), to);
	if (*end || end == buffer)
		return "a number is needed";
	if (errno == ERANGE && field->kind < COMAP_KIND_f32)
		return "the number is too large for it";
	return problem;
}

bool field_read_hex(const char *text, size_t digit_count, char *out)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	if (digit_count % 2)
		return false;
	for (size_t i = 0; i < digit_count; i += 2) {
		const char *high = text[i] ? strchr(digits, text[i]) : NULL;
		const char *low = text[i + 1] ? strchr(digits, text[i + 1]) : NULL;

		if (!high || !low)
			return false;
		out[i / 2] = (char)((high - digits) % 16 << 4 | (low - digits) % 16);
	}
	return true;
}

static const char *store_characters(const struct comap_field *field, const char *text, size_t size_bytes,
                                    char *to)
{
	if (field->kind == COMAP_KIND_bytes) {
		if (size_bytes != (size_t)field->size_bytes * 2 || !field_read_hex(text, size_bytes, to))
			return "two hexadecimal digits for each of its bytes are needed";
		return NULL;
	}
	if (size_bytes > field->size_bytes)
		return "the text is too long for it";
	if (memchr(text, '\0', size_bytes))
		return "a NUL ends its text";
	memcpy(to, text, size_bytes);
	return NULL;
}

/* "\"a\\\"b\\u0009\"" -> a"b, tab. \u00NN is a byte here, as it is where it is printed. */
static const char *read_quoted(const struct comap_field *field, const char *text, size_t size_bytes,
                               char *to)
{
	char *plain = malloc(size_bytes + 1);
	size_t length = 0;
	const char *problem;

	if (!plain)
		return "there is no memory";
	for (size_t i = 1; i + 1 < size_bytes; i++) {
		bool escaped = text[i] == '\\' && i + 2 < size_bytes;

		i += escaped;
		if (escaped && text[i] == 'u' && i + 5 < size_bytes &&
		    field_read_hex(text + i + 3, 2, plain + length))
			i += 4;
		else
			plain[length] = text[i];
		length++;
	}
	problem = store_characters(field, plain, length, to);
	free(plain);
	return problem;
}

static bool is_characters(const struct comap_field *field)
{
	return field->kind == COMAP_KIND_str || field->kind == COMAP_KIND_bytes;
}

/* "[1, 2, 3]" */
static const char *read_list(const struct comap_field *field, const char *text, size_t size_bytes,
                             char *to)
{
	size_t kind_bytes = comap_kind_bytes(field->kind), count = field->size_bytes / kind_bytes, i;
	const char *at = text + 1, *end = text + size_bytes - 1, *comma = at, *problem = NULL;

	if (size_bytes < 2 || *text != '[' || *end != ']')
		return "a list is needed: [1, 2, 3]";
	for (i = 0; i < count && !problem && comma < end; i++, at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		comma = comma ? comma : end;
		problem = read_number(field, at, (size_t)(comma - at), to + i * kind_bytes);
	}
	if (!problem && (i < count || comma != end))
		return "the list has not as many elements as it";
	return problem;
}

const char *field_read_text(const struct comap_field *field, const char *text, size_t size_bytes,
                            void *record)
{
	char *to = (char *)record + field->offset_bytes;

	if (is_characters(field))
		return size_bytes > 1 && text[0] == '"' && text[size_bytes - 1] == '"'
			? read_quoted(field, text, size_bytes, to)
			: store_characters(field, text, size_bytes, to);
	if (field->size_bytes == comap_kind_bytes(field->kind))
		return read_number(field, text, size_bytes, to);
	return read_list(field, text, size_bytes, to);
}

/* Numbers in quotes are numbers; null is what JSON has for a float that is no number. */
static const char *read_json_number(const struct comap_field *field, struct json_object *value, void *to)
{
	enum json_type type = json_object_get_type(value);
	const char *text;

	if (type == json_type_null && (field->kind == COMAP_KIND_f32 || field->kind == COMAP_KIND_f64))
		return store_float(field, NAN, to);
	if (type != json_type_int && type != json_type_double && type != json_type_string)
		return "a number is needed";
	text = json_object_get_string(value);
	return read_number(field, text, strlen(text), to);
}

const char *field_read_json(const struct comap_field *field, struct json_object *value, void *record)
{
	size_t kind_bytes = comap_kind_bytes(field->kind), count = field->size_bytes / kind_bytes;
	char *to = (char *)record + field->offset_bytes;
	const char *problem = NULL;

	if (is_characters(field))
		return !json_object_is_type(value, json_type_string) ? "a string is needed"
			: store_characters(field, json_object_get_string(value),
			                   (size_t)json_object_get_string_len(value), to);
	if (field->size_bytes == kind_bytes)
		return read_json_number(field, value, to);
	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != count)
		return "a list of as many elements as it has is needed";
	for (size_t i = 0; i < count && !problem; i++)
		problem = read_json_number(field, json_object_array_get_idx(value, i), to + i * kind_bytes);
	return problem;
}
