/* SPDX-License-Identifier: MIT */
/* The registry as a table of the region. See rows.h. */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *data;
	size_t size_bytes, capacity_bytes;
};

static int append(struct text *text, const void *data, size_t size_bytes)
{
	size_t capacity = text->capacity_bytes ? text->capacity_bytes : 256;
	char *larger;

	while (capacity - text->size_bytes < size_bytes)
		capacity *= 2;
	if (capacity != text->capacity_bytes) {
		larger = realloc(text->data, capacity);
		if (!larger)
			return -ENOMEM;
		text->data = larger;
		text->capacity_bytes = capacity;
	}
	if (size_bytes)
		memcpy(text->data + text->size_bytes, data, size_bytes);
	text->size_bytes += size_bytes;
	return 0;
}

static int append_row(struct text *text, const struct registry *registry, uint32_t row)
{
	int code = text->size_bytes ? append(text, "\n", 1) : 0;

	for (uint32_t column = 0; column < registry->column_count && !code; column++) {
		struct registry_text cell = registry_cell(registry, row, column);

		if (column)
			code = append(text, "\t", 1);
		if (!code)
			code = append(text, cell.data, cell.size_bytes);
	}
	return code;
}

/* The entry of a key, put with its first row. */
static int put_key(struct comap_bulk *bulk, const struct registry *registry, uint32_t first,
                   struct text *text)
{
	struct registry_text key = registry_key(registry, first);
	int code = 0;

	text->size_bytes = 0;
	for (uint32_t row = first; row != REGISTRY_NO_ROW && !code; row = registry_next_same(registry, row))
		code = append_row(text, registry, row);
	return code ? code : comap_table_bulk_put(bulk, key.data, key.size_bytes, text->data, text->size_bytes);
}

int rows_publish(struct comap_table *table, const struct registry *registry)
{
	struct comap_bulk *bulk = comap_table_bulk_begin(table, registry->row_count);
	struct text text = { 0 };
	int code = bulk ? 0 : -comap_last_error()->code;

	for (uint32_t row = 0; row < registry->row_count && !code; row++) {
		struct registry_text key = registry_key(registry, row);

		/* a key of no bytes is none for a table */
		if (key.size_bytes && registry_find(registry, key.data, key.size_bytes) == row)
			code = put_key(bulk, registry, row, &text);
	}
	free(text.data);
	if (!code)
		code = comap_table_bulk_commit(bulk);
	if (code)
		comap_table_bulk_abort(bulk);
	return code;
}
