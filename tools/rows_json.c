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
	return rows->object;
}

/* A string's characters; of anything else its JSON. */
static void text_of(struct json_object *value, const char **ret_text, size_t *ret_bytes)
{
	*ret_text = json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN |
	                                              JSON_C_TO_STRING_NOSLASHESCAPE, ret_bytes);
	if (!json_object_is_type(value, json_type_string))
		return;
	*ret_text = json_object_get_string(value);
	*ret_bytes = (size_t)json_object_get_string_len(value);
}

/* The member as bytes: `name`, or name_hex in digits. 1; 0: there is none; -1. */
static int member_bytes(struct rows *rows, const char *name, const char **ret_data, size_t *ret_bytes)
{
	struct json_object *value;
	char hex_name[128], *digits;

	if (json_object_object_get_ex(rows->object, name, &value)) {
		text_of(value, ret_data, ret_bytes);
		return 1;
	}
	snprintf(hex_name, sizeof hex_name, "%s_hex", name);
	if (!json_object_object_get_ex(rows->object, hex_name, &value))
		return 0;
	text_of(value, ret_data, ret_bytes);
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

int rows_next_json(struct rows *rows, struct row *ret_row)
{
	struct json_object *expires;
	int code;

	do {
		code = rows_line(rows, false);
		if (code != 1)
			return code;
	} while (strspn(rows->text, " \t\r\n") == rows->text_bytes);
	if (!parse_line(rows))
		return -1;
	*ret_row = (struct row){ 0 };
	if (json_object_object_get_ex(rows->object, "expires_ns", &expires))
		ret_row->expires_ns = json_object_get_uint64(expires);
	code = read_key(rows, ret_row);
	if (code == 1)
		code = rows->type ? read_fields(rows, ret_row) : read_value(rows, ret_row);
	return code;
}
