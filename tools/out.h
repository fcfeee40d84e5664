/* SPDX-License-Identifier: MIT */
/* How the command says things: the same calls give lines, a table, or JSON.
 *
 *                   text                          JSON
 *   outside a list  one line "label  value"       a member of the object
 *   inside a list   one cell of the row           a member of the row's object
 *
 * A key is the JSON name ("heap_max_bytes"); the text shows it without the unit ("heap max") and
 * the value with it ("64G"). JSON always has whole bytes and nanoseconds. Names and texts come from
 * files that others write: control bytes and bytes that are no UTF-8 are shown as escapes. */
#ifndef COMAP_TOOLS_OUT_H
#define COMAP_TOOLS_OUT_H

#include <comap/type.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct libscols_table;
struct libscols_line;

struct out {
	bool json;
	bool headings;                /* of tables; false for scripts that read columns */
	bool exact;                   /* whole bytes in text too */
	/* private */
	bool member;                  /* the JSON object or array that is open has a member */
	struct libscols_table *table; /* a list is being collected as text */
	struct libscols_line *line;
	unsigned cell;
};

struct out_column {
	const char *heading;
	bool right;                   /* numbers */
};

/* What is printed between begin and end is one JSON object, on one line. */
void out_begin(struct out *out);
void out_end(struct out *out);

/* A list of rows; the columns are for the text, in the order of the calls that fill a row. */
void out_list_begin(struct out *out, const char *key, const struct out_column *columns,
                    size_t column_count);
void out_row(struct out *out);
void out_row_end(struct out *out);
void out_list_end(struct out *out);

/* An object inside the object; the text has no mark of it. */
void out_object_begin(struct out *out, const char *key);
void out_object_end(struct out *out);

void out_text(struct out *out, const char *key, const char *text); /* NULL: null, "-" */
void out_u64(struct out *out, const char *key, uint64_t number);
void out_i64(struct out *out, const char *key, int64_t number);
void out_bytes(struct out *out, const char *key, uint64_t bytes);
void out_bool(struct out *out, const char *key, bool yes);
void out_time(struct out *out, const char *key, uint64_t realtime_ns); /* 0: null, "-" */
void out_none(struct out *out, const char *key);

/* One field of the record; floats that JSON cannot say are null there. */
void out_field(struct out *out, const struct comap_field *field, const void *record);

/* The same without its name: strings are quoted and escaped as JSON has it. free() it. */
char *out_field_text(const struct comap_field *field, const void *record);

/* Bytes as a JSON string of hexadecimal digits; nothing in text. */
void out_hex(struct out *out, const char *key, const void *data, size_t size_bytes);

/* "1.5M"; at most 8 characters. */
void out_size(char *buffer, size_t capacity, uint64_t bytes);
/* "2026-11-23T20:15:00.123Z". */
void out_time_text(char *buffer, size_t capacity, uint64_t realtime_ns);

/* A copy of the text that is harmless in a terminal and valid UTF-8: other bytes become \xNN.
 * free() it. Ends the program where there is no memory. */
char *out_safe(const char *text);
/* How many bytes the UTF-8 character at `at` has that may be printed; 0: none. */
size_t out_utf8_length(const unsigned char *at, size_t size_bytes);

/* malloc() or the end of the program, said on standard error. */
void *out_alloc(size_t size_bytes);

#endif
