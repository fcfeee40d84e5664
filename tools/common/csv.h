/* SPDX-License-Identifier: MIT */
/* CSV, record by record, in place: cells are slices of the text, nothing is allocated.
 *
 *   cell      a run of bytes up to the separator or the end of the line, or a quoted one
 *   quoted    begins with a quote; separators and line ends inside are data; "" is one quote;
 *             what follows the closing quote is data as it stands
 *   line end  LF or CRLF; the last one may be missing
 *   skipped   empty lines, and the byte order mark of UTF-8 at the start of the text
 *
 * A cell keeps its quotes until it is copied: csv_cell_bytes() says how long it then is. */
#ifndef COMAP_TOOLS_COMMON_CSV_H
#define COMAP_TOOLS_COMMON_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct csv {
	const char *at;
	const char *end;
	char separator;
	uint64_t line;       /* of the next record, from 1 */
};

struct csv_cell {
	const char *raw;     /* quotes included */
	size_t raw_bytes;
	bool quoted;
};

void csv_init(struct csv *csv, const char *text, size_t size_bytes, char separator);

/* Reads a record. 1; 0 at the end; -EBADMSG where a quote is never closed (csv->line is the line
 * where the record began). *ret_count is the number of cells, which may exceed `capacity`: surplus
 * cells are counted and not kept. */
int csv_next(struct csv *csv, struct csv_cell *cells, size_t capacity, size_t *ret_count);

/* Length of the cell without its quotes. */
size_t csv_cell_bytes(const struct csv_cell *cell);
/* Copies it so; `out` has csv_cell_bytes() bytes, and no NUL is added. It may be where the cell lies. */
void csv_cell_copy(const struct csv_cell *cell, char *out);

/* For text that comes in pieces: whether it ends inside a quoted cell, so that the line end that follows
 * is data. `state` is 0 before a record's first piece. */
bool csv_is_open(unsigned *state, const char *text, size_t size_bytes, char separator);

/* The cell is these bytes. */
bool csv_cell_is(const struct csv_cell *cell, const char *text, size_t size_bytes);

#endif
