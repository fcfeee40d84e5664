/* SPDX-License-Identifier: MIT */
/* Rows of a file: lines, tab-separated and CSV. See rows.h; rows_json.c has JSON. */
#include "rows.h"
#include "out.h"

#include <comap/error.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_MAX_BYTES (128u << 20) /* a longer one is a quote that was never closed */

bool rows_parse_format(const char *text, enum row_format *ret_format)
{
	static const char *const names[] = { "tsv", "csv", "json" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*ret_format = (enum row_format)i;
		return true;
	}
	return false;
}

int rows_problem(struct rows *rows, size_t column, const char *format, ...)
{
	int used = column ? snprintf(rows->problem, sizeof rows->problem, "line %" PRIu64 ", column %zu: ",
	                             rows->line, column)
	                  : snprintf(rows->problem, sizeof rows->problem, "line %" PRIu64 ": ", rows->line);
	va_list args;

	va_start(args, format);
	vsnprintf(rows->problem + used, sizeof rows->problem - (size_t)used, format, args);
	va_end(args);
	return -1;
}

bool rows_open(struct rows *rows, int fd)
{
	rows->line = 0;
	rows->next_line = 1;
	if (comap_scan_open_fd(fd, NULL, &rows->scan) != 0) {
		snprintf(rows->problem, sizeof rows->problem, "%s", comap_error_text());
		return false;
	}
	rows->record = rows->type ? out_alloc(rows->type->size_bytes) : NULL;
	return true;
}

int rows_line(struct rows *rows, bool append)
{
	struct comap_span span;
	int code = comap_scan_line(rows->scan, &span);
	size_t needed;

	if (!append) {
		rows->text_bytes = 0;
		rows->line = rows->next_line;
	}
	if (code == COMAP_SCAN_END)
		return 0;
	if (code)
		return rows_problem(rows, 0, "%s", comap_error_text());
	needed = rows->text_bytes + span.size_bytes + 1;
	if (needed >= rows->text_capacity) {
		char *text = realloc(rows->text, needed + needed / 2 + 1);

		if (!text)
			return rows_problem(rows, 0, "there is no memory for so long a row");
		rows->text = text;
		rows->text_capacity = needed + needed / 2 + 1;
	}
	memcpy(rows->text + rows->text_bytes, span.data, span.size_bytes);
	rows->text_bytes = needed;
	memcpy(rows->text + needed - 1, "\n", 2);
	rows->next_line++;
	rows->done_bytes = span.offset_bytes + span.size_bytes + 1;
	return 1;
}

/* --- cells -------------------------------------------------------------------------------------- */

static void add_cell(struct rows *rows, char *data, size_t size_bytes)
{
	const char *line = data;

	while (line > rows->text && line[-1] != '\n')
		line--;
	rows->cells[rows->cell_count++] = (struct row_cell){ data, size_bytes, (size_t)(data - line) + 1 };
}

static int too_many(struct rows *rows)
{
	return rows_problem(rows, 0, "more than %u columns", ROW_COLUMNS_MAX);
}

static int read_tsv(struct rows *rows)
{
	int code = rows_line(rows, false);
	char *at = rows->text, *end, *tab;

	if (code != 1)
		return code;
	end = rows->text + rows->text_bytes - 1;
	for (rows->cell_count = 0;; at = tab + 1) {
		tab = memchr(at, '\t', (size_t)(end - at));
		/* as it has always been: what follows the first tab is the value */
		if (tab && rows->resolved && rows->column_count == 0 && rows->cell_count == 1)
			tab = NULL;
		if (rows->cell_count == ROW_COLUMNS_MAX)
			return too_many(rows);
		add_cell(rows, at, (size_t)((tab ? tab : end) - at));
		if (!tab)
			return 1;
	}
}

/* All lines of one record. */
static int read_csv_text(struct rows *rows)
{
	unsigned state = 0;
	size_t seen;
	int code;

	for (code = rows_line(rows, false), seen = 0; code == 1; code = rows_line(rows, true)) {
		if (!csv_is_open(&state, rows->text + seen, rows->text_bytes - 1 - seen, ','))
			return 1;
		csv_is_open(&state, "\n", 1, ',');
		seen = rows->text_bytes;
		if (seen > ROW_MAX_BYTES)
			break;
	}
	if (code < 0 || rows->text_bytes == 0)
		return code;
	return rows_problem(rows, 0, "a quote is opened in this row and never closed; a quote inside a "
	                    "quoted cell is written twice");
}

static int read_csv(struct rows *rows)
{
	struct csv_cell cells[ROW_COLUMNS_MAX];
	size_t count = 0;
	struct csv csv;
	int code;

	do {
		code = read_csv_text(rows);
		if (code != 1)
			return code;
		if (rows->line == 1) /* there may be a byte order mark */
			csv_init(&csv, rows->text, rows->text_bytes, ',');
		else
			csv = (struct csv){ rows->text, rows->text + rows->text_bytes, ',', rows->line };
		code = csv_next(&csv, cells, ROW_COLUMNS_MAX, &count);
	} while (code == 0); /* an empty line */
	if (code < 0)
		return rows_problem(rows, 0, "a quote is never closed");
	if (count > ROW_COLUMNS_MAX)
		return too_many(rows);
	rows->cell_count = 0;
	for (size_t i = 0; i < count; i++)
		add_cell(rows, rows->text + (cells[i].raw - rows->text), cells[i].raw_bytes);
	for (size_t i = 0; i < count; i++) { /* the columns are counted, quotes may go */
		rows->cells[i].size_bytes = csv_cell_bytes(&cells[i]);
		csv_cell_copy(&cells[i], rows->cells[i].data);
	}
	return 1;
}

/* Takes the escapes out, in place. */
static void unescape(struct row_cell *cell)
{
	char *text = cell->data;
	size_t to = 0;

	for (size_t i = 0; i < cell->size_bytes; i++) {
		if (text[i] != '\\' || i + 1 == cell->size_bytes) {
			text[to++] = text[i];
		} else if (text[i + 1] == 'x' && i + 3 < cell->size_bytes &&
		           field_read_hex(text + i + 2, 2, text + to)) {
			to++;
			i += 3;
		} else {
			i++;
			text[to++] = text[i] == 't' ? '\t' : text[i] == 'n' ? '\n' : text[i];
		}
	}
	cell->size_bytes = to;
}

/* --- columns ------------------------------------------------------------------------------------ */

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

static bool has_headings(const struct rows *rows)
{
	if (rows->format == ROW_CSV)
		return rows->headings;
	return (rows->key_column && !is_number(rows->key_column)) ||
	       (rows->value_column && !is_number(rows->value_column));
}

#define NO_COLUMN SIZE_MAX

/* The column of this heading, other than that of the key, if this is known; -1: none. */
static int heading(const struct rows *rows, const char *name, size_t key_at)
{
	for (size_t i = 0; i < rows->cell_count; i++)
		if (i != key_at && rows->cells[i].size_bytes == strlen(name) &&
		    memcmp(rows->cells[i].data, name, strlen(name)) == 0)
			return (int)i;
	return -1;
}

/* What --key-column or --value-column names. */
static int asked_column(struct rows *rows, const char *name, size_t *ret_at)
{
	int at = has_headings(rows) ? heading(rows, name, NO_COLUMN) : -1;

	if (at < 0 && is_number(name) && strtoul(name, NULL, 10) - 1 < rows->cell_count)
		at = (int)strtoul(name, NULL, 10) - 1;
	if (at < 0 && !has_headings(rows) && !is_number(name))
		return rows_problem(rows, 0, "no line of headings, so no column '%s': give its number, from 1",
		                    name);
	if (at < 0)
		return rows_problem(rows, 0, "no column '%s' among the %zu", name, rows->cell_count);
	*ret_at = (size_t)at;
	return 1;
}

static int resolve_key(struct rows *rows)
{
	int at = has_headings(rows) ? heading(rows, "key", NO_COLUMN) : -1;

	rows->key_at = at < 0 ? 0 : (size_t)at;
	return rows->key_column ? asked_column(rows, rows->key_column, &rows->key_at) : 1;
}

static int resolve_value(struct rows *rows)
{
	int at = has_headings(rows) ? heading(rows, "value", rows->key_at) : -1;

	if (rows->value_column)
		return asked_column(rows, rows->value_column, &rows->value_at[0]);
	if (at < 0 && rows->cell_count != 2)
		return rows_problem(rows, 0, "%zu columns: which one is the value? --value-column says it",
		                    rows->cell_count);
	rows->value_at[0] = at >= 0 ? (size_t)at : 1 - rows->key_at;
	return 1;
}

static int resolve_fields(struct rows *rows)
{
	const struct comap_type *type = rows->type;

	if (!has_headings(rows) && rows->cell_count != type->field_count + 1)
		return rows_problem(rows, 0, "%zu columns, where key and fields of %s are %u", rows->cell_count,
		                    type->name, type->field_count + 1);
	for (uint32_t i = 0; i < type->field_count; i++) {
		int at = has_headings(rows) ? heading(rows, type->fields[i].name, rows->key_at)
		                            : (int)(i + (i >= rows->key_at));

		if (at < 0)
			return rows_problem(rows, 0, "no column '%s', which is a field of %s", type->fields[i].name,
			                    type->name);
		rows->value_at[i] = (size_t)at;
	}
	return 1;
}

/* By the first row. */
static int resolve(struct rows *rows)
{
	int code;

	rows->resolved = true;
	rows->column_count = rows->cell_count;
	if (rows->format == ROW_TSV && !rows->type && !rows->key_column && !rows->value_column) {
		rows->column_count = 0;
		rows->value_at[0] = 1;
		return 1;
	}
	code = resolve_key(rows);
	if (code == 1)
		code = rows->type ? resolve_fields(rows) : resolve_value(rows);
	return code;
}

/* --- rows --------------------------------------------------------------------------------------- */

static int read_cells(struct rows *rows)
{
	return rows->format == ROW_CSV ? read_csv(rows) : read_tsv(rows);
}

static int fill_record(struct rows *rows)
{
	const struct comap_type *type = rows->type;

	memset(rows->record, 0, type->size_bytes);
	for (uint32_t i = 0; i < type->field_count; i++) {
		struct row_cell *cell = &rows->cells[rows->value_at[i]];
		const char *problem;

		if (rows->format == ROW_TSV && cell->size_bytes && *cell->data != '"')
			unescape(cell);
		problem = field_read_text(&type->fields[i], cell->data, cell->size_bytes, rows->record);
		if (problem)
			return rows_problem(rows, cell->column, "'%.*s' for the field %s (%s): %s",
			                    cell->size_bytes < 40 ? (int)cell->size_bytes : 40, cell->data,
			                    type->fields[i].name, comap_kind_name(type->fields[i].kind), problem);
	}
	return 1;
}

static int check_columns(struct rows *rows)
{
	if (rows->column_count == 0 && rows->cell_count < 2)
		return rows_problem(rows, 0, "no tab between key and value; --format csv or json reads other "
		                    "files");
	if (rows->column_count && rows->cell_count != rows->column_count)
		return rows_problem(rows, 0, "%zu columns, where the first line has %zu: %s", rows->cell_count,
		                    rows->column_count, rows->cell_count < rows->column_count
		                    ? "a missing cell is written empty"
		                    : rows->format == ROW_CSV
		                    ? "cells with commas, quotes or line ends need quotes around them"
		                    : "a tab inside a cell is written \\t");
	return 1;
}

static int next_text(struct rows *rows, struct row *ret_row)
{
	bool first = !rows->resolved;
	struct row_cell *key, *value;
	int code = read_cells(rows);

	if (code == 1 && first)
		code = resolve(rows);
	if (code == 1 && first && rows->column_count == 0) /* all of the rest is the value */
		rows->cells[1].size_bytes = (size_t)(rows->text + rows->text_bytes - 1 - rows->cells[1].data);
	if (code == 1 && first && has_headings(rows))
		code = read_cells(rows);
	if (code == 1)
		code = check_columns(rows);
	if (code != 1)
		return code;
	key = &rows->cells[rows->key_at];
	value = &rows->cells[rows->value_at[0]];
	if (rows->format == ROW_TSV) {
		unescape(key);
		if (!rows->type && value != key)
			unescape(value);
	}
	*ret_row = (struct row){ key->data, key->size_bytes, value->data, value->size_bytes, 0 };
	if (!rows->type)
		return 1;
	ret_row->value = rows->record;
	ret_row->value_bytes = rows->type->size_bytes;
	return fill_record(rows);
}

int rows_next(struct rows *rows, struct row *ret_row)
{
	return rows->format == ROW_JSON ? rows_next_json(rows, ret_row) : next_text(rows, ret_row);
}
