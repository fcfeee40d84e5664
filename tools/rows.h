/* SPDX-License-Identifier: MIT */
/* Rows of a file, one after the other, as entries for a table: tab-separated, CSV, or JSON lines.
 *
 *   tsv    key, tab, value, with \t \n \\ \xNN for bytes that would not go through; a first line of
 *          headings only where a column is asked for by its name
 *   csv    RFC 4180 (common/csv.h); a first line of headings, unless there is none
 *   json   one object on each line: "key" or "key_hex"; "value" or "value_hex", or "fields"; "expires_ns"
 *
 * That is what `comap table scan` prints. A table with a field list takes a column for each field: by the
 * headings, or in order. Input is streamed: memory is that of the longest row. */
#ifndef COMAP_TOOLS_ROWS_H
#define COMAP_TOOLS_ROWS_H

#include "common/csv.h"

#include <comap/scan.h>
#include <comap/type.h>

enum row_format { ROW_TSV, ROW_CSV, ROW_JSON };
enum { ROW_COLUMNS_MAX = 256 };

struct json_object;
struct json_tokener;

struct row {
	const char *key;            /* all of it valid until the next row */
	size_t key_bytes;
	const void *value;
	size_t value_bytes;
	uint64_t expires_ns;        /* CLOCK_REALTIME; 0: not said */
};

struct row_cell {
	char *data;
	size_t size_bytes;
	size_t column;              /* where it begins in its line, from 1 */
};

struct rows {
	/* for rows_open() */
	enum row_format format;
	const struct comap_type *type; /* NULL: values are bytes */
	const char *key_column;     /* a heading, a member, or a number from 1; NULL: "key", or the first */
	const char *value_column;   /* NULL: "value", or the other one */
	bool headings;              /* CSV: the first line names the columns */
	/* after rows_next() */
	uint64_t line;              /* on which the row began, from 1 */
	uint64_t done_bytes;
	char problem[500];          /* "line 3, column 7: what is wrong, and what to do" */
	/* private */
	struct comap_scan *scan;
	uint64_t next_line;
	char *text;                 /* the row */
	size_t text_bytes, text_capacity;
	struct row_cell cells[ROW_COLUMNS_MAX];
	size_t cell_count;
	bool resolved;
	size_t column_count;        /* of every row; 0: the rest of the line is the value */
	size_t key_at, value_at[COMAP_TYPE_FIELDS_MAX];
	unsigned char *record;      /* of a typed value */
	struct json_tokener *tokener;
	char *quoted;               /* the row, with quotes around the numbers that json-c would change */
	size_t quoted_capacity;
	bool has_quoted_inside;     /* some of them in a list or an object inside the row's */
	struct json_object *object; /* that the row lies in */
};

/* "tsv", "csv", "json". */
bool rows_parse_format(const char *text, enum row_format *ret_format);

/* `fd` stays the caller's. False: the problem is said. */
bool rows_open(struct rows *rows, int fd);
/* 1; 0 at the end; -1: the problem is said. */
int rows_next(struct rows *rows, struct row *ret_row);
void rows_close(struct rows *rows);

/* Says the problem; column 0: of the whole line. Returns -1. */
int rows_problem(struct rows *rows, size_t column, const char *format, ...) COMAP_PRINTF(3, 4);
/* The next line into rows->text, a newline behind it; `append`: behind what is there. 1, 0, -1. */
int rows_line(struct rows *rows, bool append);
/* rows_next() for JSON. */
int rows_next_json(struct rows *rows, struct row *ret_row);

/* --- fields ------------------------------------------------------------------------------------ */

/* One field of the record from words as comap_field_print() writes them, or without quotes; or from a
 * JSON value. NULL: done; otherwise what is wrong. */
const char *field_read_text(const struct comap_field *field, const char *text, size_t size_bytes,
                            void *record);
const char *field_read_json(const struct comap_field *field, struct json_object *value, void *record);

/* Hexadecimal digits as bytes. False: they are none, or not that many. `out` may be `text`. */
bool field_read_hex(const char *text, size_t digit_count, char *out);

#endif
