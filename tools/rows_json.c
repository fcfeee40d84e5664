/* SPDX-License-Identifier: MIT */
/* Rows of a file: one JSON object on each line. See rows.h. */
#include "rows.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define JSON_DEPTH 64

void rows_close(struct rows *rows)
{
	json_object_put(rows->object);
	if (rows->tokener)
		json_tokener_free(rows->tokener);
	comap_scan_close(rows->scan);
	free(rows->quoted);
	free(rows->text);
	free(rows->record);
}

static int parse_problem(struct rows *rows, size_t column)
{
	enum json_tokener_error error = json_tokener_get_error(rows->tokener);

	if (rows->text[strspn(rows->text, " \t\r\n")] == '[')
		return rows_problem(rows, 1, "a list; one object on each line is needed, which jq -c '.[]' makes "
		                    "of it");
	if (error == json_tokener_continue)
		return rows_problem(rows, 0, "the object is not closed at the end of the line; one object on each "
		                    "line is needed, which jq -c . makes");
	if (rows->object && !json_object_is_type(rows->object, json_type_object))
		return rows_problem(rows, 1, "no object: {\"key\": ..., \"value\": ...} is needed");
	return rows_problem(rows, column, "no JSON: %s", error == json_tokener_success
	                    ? "something follows the object" : json_tokener_error_desc(error));
}

/* --- numbers ------------------------------------------------------------------------------------- */

/* An integer that json-c does not keep: beyond 64 bits it takes the nearest one, and -0 loses its sign. */
static bool would_change(const char *number, size_t length)
{
	bool negative = *number == '-';
	const char *digits = number + negative, *most = negative ? "9223372036854775808" : "18446744073709551615";
	size_t count = length - negative;

	if (memchr(number, '.', length) || memchr(number, 'e', length) || memchr(number, 'E', length))
		return false; /* it keeps the characters of those */
	if (negative && count == 1 && *digits == '0')
		return true;
	return count > strlen(most) || (count == strlen(most) && memcmp(digits, most, count) > 0);
}

/* Where the string ends, which begins at `at`: behind its quote. */
static const char *string_end(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		at += *at == '\\' && at[1];
	return at + (*at == '"');
}

static size_t quote(char *to, const char *from, size_t length)
{
	to[0] = to[length + 1] = '"';
	memcpy(to + 1, from, length);
	return length + 2;
}

/* The row, which is JSON, into rows->quoted; the size, or 0 where no number needs it. */
static size_t quote_numbers(struct rows *rows)
{
	size_t used = 0, count = 0, depth = 0, length;

	rows->has_quoted_inside = false;
	for (const char *at = rows->text; *at; at += length) {
		bool number = *at == '-' || (*at >= '0' && *at <= '9');

		depth += *at == '{' || *at == '[';
		depth -= *at == '}' || *at == ']';
		length = number ? strspn(at, "+-.0123456789eE") : *at == '"' ? (size_t)(string_end(at) - at) : 1;
		if (number && would_change(at, length)) {
			used += quote(rows->quoted + used, at, length);
			rows->has_quoted_inside |= depth > 1;
			count++;
			continue;
		}
		memcpy(rows->quoted + used, at, length);
		used += length;
	}
	rows->quoted[used] = '\0';
	return count ? used : 0;
}

/* The row's object once more, with those numbers as strings, which keep all digits. False: no memory. */
static bool parse_quoted(struct rows *rows)
{
	size_t size;

	if (rows->quoted_capacity < 2 * rows->text_bytes + 1) { /* two quotes for two characters at least */
		free(rows->quoted);
		rows->quoted_capacity = 3 * rows->text_bytes + 1;
		rows->quoted = malloc(rows->quoted_capacity);
		if (!rows->quoted)
			rows->quoted_capacity = 0;
	}
	size = rows->quoted ? quote_numbers(rows) : 0;
	if (size == 0)
		return rows->quoted;
	json_object_put(rows->object);
	json_tokener_reset(rows->tokener);
	rows->object = json_tokener_parse_ex(rows->tokener, rows->quoted, (int)size);
	return rows->object;
}

/* --- the row's object ---------------------------------------------------------------------------- */

/* The line's object, or NULL: the problem is said. */
static struct json_object *parse_line(struct rows *rows)
{
	size_t end;

	if (!rows->tokener) {
		rows->tokener = json_tokener_new_ex(JSON_DEPTH);
		if (!rows->tokener) {
			rows_problem(rows, 0, "there is no memory");
			return NULL;
		}
		json_tokener_set_flags(rows->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
		                       JSON_TOKENER_VALIDATE_UTF8);
	}
	json_tokener_reset(rows->tokener);
	json_object_put(rows->object);
	rows->object = json_tokener_parse_ex(rows->tokener, rows->text, (int)rows->text_bytes);
	end = json_tokener_get_parse_end(rows->tokener);
	if (!json_object_is_type(rows->object, json_type_object) ||
	    end + strspn(rows->text + end, " \t\r\n") < rows->text_bytes) {
		parse_problem(rows, end + 1);
		return NULL;
	}
	if (!parse_quoted(rows)) {
		rows_problem(rows, 0, "there is no memory");
		return NULL;
	}
	return rows->object;
}

/* A string's characters; of anything else its JSON. 1, or -1. */
static int text_of(struct rows *rows, struct json_object *value, const char **ret_text, size_t *ret_bytes)
{
	enum json_type type = json_object_get_type(value);

	if (rows->has_quoted_inside && (type == json_type_array || type == json_type_object))
		return rows_problem(rows, 0, "a number inside a list or an object that is -0, or an integer of more "
		                    "than 64 bits, would not be kept: write it as a string");
	*ret_text = json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN |
	                                              JSON_C_TO_STRING_NOSLASHESCAPE, ret_bytes);
	if (type != json_type_string)
		return 1;
	*ret_text = json_object_get_string(value);
	*ret_bytes = (size_t)json_object_get_string_len(value);
	return 1;
}

/* The member as bytes: `name`, or name_hex in digits. 1; 0: there is none; -1. */
static int member_bytes(struct rows *rows, const char *name, const char **ret_data, size_t *ret_bytes)
{
	struct json_object *value;
	char hex_name[128], *digits;

	if (json_object_object_get_ex(rows->object, name, &value))
		return text_of(rows, value, ret_data, ret_bytes);
	snprintf(hex_name, sizeof hex_name, "%s_hex", name);
	if (!json_object_object_get_ex(rows->object, hex_name, &value))
		return 0;
	if (text_of(rows, value, ret_data, ret_bytes) < 0)
		return -1;
	digits = (char *)(uintptr_t)*ret_data; /* ours until the next line */
	if (!field_read_hex(digits, *ret_bytes, digits))
		return rows_problem(rows, 0, "\"%s\" is no list of two hexadecimal digits for each byte", hex_name);
	*ret_bytes /= 2;
	return 1;
}

static int read_key(struct rows *rows, struct row *row)
{
	const char *name = rows->key_column ? rows->key_column : "key";
	int code = member_bytes(rows, name, &row->key, &row->key_bytes);

	if (code == 0)
		code = rows_problem(rows, 0, "no member \"%s\"; --key-column names another", name);
	return code;
}

/* Of "fields", or else of the object itself. */
static int read_fields(struct rows *rows, struct row *row)
{
	const struct comap_type *type = rows->type;
	struct json_object *fields = rows->object, *value;

	if (json_object_object_get_ex(rows->object, "fields", &value))
		fields = value;
	memset(rows->record, 0, type->size_bytes);
	for (uint32_t i = 0; i < type->field_count; i++) {
		const char *problem = "there is none";

		if (json_object_object_get_ex(fields, type->fields[i].name, &value))
			problem = field_read_json(&type->fields[i], value, rows->record);
		if (problem)
			return rows_problem(rows, 0, "the field %s (%s): %s", type->fields[i].name,
			                    comap_kind_name(type->fields[i].kind), problem);
	}
	row->value = rows->record;
	row->value_bytes = type->size_bytes;
	return 1;
}

static int read_value(struct rows *rows, struct row *row)
{
	const char *name = rows->value_column ? rows->value_column : "value";
	const char *data;
	int code;

	if (rows->key_column && !rows->value_column) { /* the whole object */
		row->value = rows->text;
		row->value_bytes = rows->text_bytes - 1;
		return 1;
	}
	code = member_bytes(rows, name, &data, &row->value_bytes);
	row->value = data;
	if (code == 0)
		code = rows_problem(rows, 0, "no member \"%s\"; --value-column names another", name);
	return code;
}

/* null, and no such member: not said. */
static int read_expiry(struct rows *rows, struct row *row)
{
	struct json_object *value;

	if (!json_object_object_get_ex(rows->object, "expires_ns", &value) || !value)
		return 1;
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return rows_problem(rows, 0, "\"expires_ns\" is no time: whole nanoseconds since 1970 are needed");
	row->expires_ns = json_object_get_uint64(value);
	return 1;
}

int rows_next_json(struct rows *rows, struct row *ret_row)
{
	int code;

	do {
		code = rows_line(rows, false);
		if (code != 1)
			return code;
	} while (strspn(rows->text, " \t\r\n") == rows->text_bytes);
	if (!parse_line(rows))
		return -1;
	*ret_row = (struct row){ 0 };
	code = read_expiry(rows, ret_row);
	if (code == 1)
		code = read_key(rows, ret_row);
	if (code == 1)
		code = rows->type ? read_fields(rows, ret_row) : read_value(rows, ret_row);
	return code;
}
