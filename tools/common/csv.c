/* SPDX-License-Identifier: MIT */
/* CSV, record by record, in place. */
#include "csv.h"

#include <errno.h>
#include <string.h>

void csv_init(struct csv *csv, const char *text, size_t size_bytes, char separator)
{
	if (size_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		size_bytes -= 3;
	}
	*csv = (struct csv){ .at = text, .end = text + size_bytes, .separator = separator,
	                     .line = 1 };
}

/* Past the line end at `at`, or `at` itself where there is none. */
static const char *after_line_end(const char *at, const char *end)
{
	if (at < end && *at == '\n')
		return at + 1;
	if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
		return at + 2;
	return at;
}

/* The end of a cell without quotes, from `at` on. */
static const char *plain_end(const char *at, const char *end, char separator)
{
	for (; at < end; at++)
		if (*at == separator || after_line_end(at, end) != at)
			break;
	return at;
}

/* Past the closing quote of the cell that opens at `at`; NULL where none closes it. */
static const char *quote_end(const char *at, const char *end, uint64_t *lines)
{
	for (at++; at < end; at++) {
		if (*at == '\n')
			++*lines;
		if (*at != '"')
			continue;
		if (at + 1 == end || at[1] != '"')
			return at + 1;
		at++;
	}
	return NULL;
}

static const char *read_cell(const struct csv *csv, const char *at, struct csv_cell *cell,
                             uint64_t *lines)
{
	const char *start = at;

	cell->quoted = at < csv->end && *at == '"' && csv->separator != '"';
	if (cell->quoted)
		at = quote_end(at, csv->end, lines);
	if (!at)
		return NULL;
	at = plain_end(at, csv->end, csv->separator);
	cell->raw = start;
	cell->raw_bytes = (size_t)(at - start);
	return at;
}

static void skip_empty_lines(struct csv *csv)
{
	const char *next;

	while ((next = after_line_end(csv->at, csv->end)) != csv->at) {
		csv->at = next;
		csv->line++;
	}
}

int csv_next(struct csv *csv, struct csv_cell *cells, size_t capacity, size_t *ret_count)
{
	struct csv_cell surplus;
	const char *at, *next;
	uint64_t lines = 0;
	size_t count = 0;

	skip_empty_lines(csv);
	if (csv->at == csv->end)
		return 0;
	for (at = csv->at;; at++, count++) {
		at = read_cell(csv, at, count < capacity ? &cells[count] : &surplus, &lines);
		if (!at)
			return -EBADMSG;
		if (at == csv->end || *at != csv->separator)
			break;
	}
	next = after_line_end(at, csv->end);
	csv->line += lines + (next != at);
	csv->at = next;
	*ret_count = count + 1;
	return 1;
}

/* Goes through a quoted cell without its quotes. */
struct unquoting {
	const struct csv_cell *cell;
	size_t at;
	bool outside;        /* behind the closing quote: quotes are data */
};

static bool next_byte(struct unquoting *unquoting, char *ret_byte)
{
	const struct csv_cell *cell = unquoting->cell;

	if (!unquoting->outside && unquoting->at < cell->raw_bytes && cell->raw[unquoting->at] == '"') {
		unquoting->at++;
		unquoting->outside = unquoting->at >= cell->raw_bytes || cell->raw[unquoting->at] != '"';
	}
	if (unquoting->at >= cell->raw_bytes)
		return false;
	*ret_byte = cell->raw[unquoting->at++];
	return true;
}

/* Takes the quotes off; writes to `out` unless it is NULL. Returns the length. */
static size_t unquote(const struct csv_cell *cell, char *out)
{
	struct unquoting unquoting = { cell, 1, false };
	size_t size = 0;
	char byte;

	for (; next_byte(&unquoting, &byte); size++)
		if (out)
			out[size] = byte;
	return size;
}

size_t csv_cell_bytes(const struct csv_cell *cell)
{
	return cell->quoted ? unquote(cell, NULL) : cell->raw_bytes;
}

void csv_cell_copy(const struct csv_cell *cell, char *out)
{
	if (cell->quoted)
		unquote(cell, out);
	else if (cell->raw_bytes > 0)
		memmove(out, cell->raw, cell->raw_bytes);
}

bool csv_cell_is(const struct csv_cell *cell, const char *text, size_t size_bytes)
{
	struct unquoting unquoting = { cell, 1, false };
	char byte;

	if (!cell->quoted)
		return cell->raw_bytes == size_bytes && memcmp(cell->raw, text, size_bytes) == 0;
	for (size_t i = 0; i < size_bytes; i++)
		if (!next_byte(&unquoting, &byte) || byte != text[i])
			return false;
	return !next_byte(&unquoting, &byte);
}

bool csv_is_open(unsigned *state, const char *text, size_t size_bytes, char separator)
{
	enum { START, PLAIN, QUOTED, QUOTE };

	for (size_t i = 0; i < size_bytes; i++) {
		if (*state == QUOTED)
			*state = text[i] == '"' ? QUOTE : QUOTED;
		else if (text[i] == separator)
			*state = START;
		else
			*state = text[i] == '"' && *state != PLAIN ? QUOTED : PLAIN;
	}
	return *state == QUOTED;
}
