/* SPDX-License-Identifier: MIT */
/* A published registry, searched where it lies.
 *
 * Progress:  a search is bounded by bucket_count steps; it allocates nothing and writes nothing. */
#include "registry.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct registry_header) == 88, "no padding that the checksum would miss");
_Static_assert(offsetof(struct registry_header, checksum) + 8 == sizeof(struct registry_header),
               "the checksum is the last field");

uint64_t registry_hash(const void *data, size_t size_bytes)
{
	return XXH3_64bits(data, size_bytes);
}

struct registry_parts registry_parts_of(const struct registry_header *header)
{
	struct registry_parts parts;

	/* 32-bit counts times small sizes: 64 bits hold every sum */
	parts.columns = sizeof *header;
	parts.buckets = parts.columns +
	                (uint64_t)header->column_count * sizeof(struct registry_span);
	parts.rows = parts.buckets + (uint64_t)header->bucket_count * sizeof(uint32_t);
	parts.cells = parts.rows + (uint64_t)header->row_count * sizeof(struct registry_row);
	parts.strings = parts.cells + (uint64_t)header->row_count * header->column_count *
	                sizeof(struct registry_span);
	parts.end = parts.strings + header->string_bytes;
	return parts;
}

static bool header_is_sound(const struct registry_header *header, size_t size_bytes)
{
	return memcmp(header->magic, REGISTRY_MAGIC, sizeof header->magic) == 0 &&
	       header->format == REGISTRY_FORMAT && header->column_count > 0 &&
	       header->column_count <= REGISTRY_COLUMNS_MAX &&
	       header->key_column < header->column_count &&
	       header->bucket_count > header->row_count &&
	       (header->bucket_count & (header->bucket_count - 1)) == 0 &&
	       header->bucket_count % 2 == 0 && header->string_bytes <= UINT32_MAX &&
	       header->total_bytes == size_bytes && registry_parts_of(header).end == size_bytes;
}

int registry_open(struct registry *registry, const void *data, size_t size_bytes)
{
	const struct registry_header *header = data;
	struct registry_parts parts;
	const char *base = data;

	if (!data || size_bytes < sizeof *header || !header_is_sound(header, size_bytes))
		return -EBADMSG;
	parts = registry_parts_of(header);
	*registry = (struct registry){
		.header = header,
		.columns = (const void *)(base + parts.columns),
		.buckets = (const void *)(base + parts.buckets),
		.rows = (const void *)(base + parts.rows),
		.cells = (const void *)(base + parts.cells),
		.strings = base + parts.strings,
		.string_bytes = header->string_bytes,
		.row_count = header->row_count,
		.column_count = header->column_count,
		.key_column = header->key_column,
		.bucket_mask = header->bucket_count - 1,
	};
	return 0;
}

uint64_t registry_checksum(const struct registry_header *header)
{
	uint64_t seed = XXH3_64bits(header, offsetof(struct registry_header, checksum));

	return XXH3_64bits_withSeed(header + 1, header->total_bytes - sizeof *header, seed);
}

int registry_verify(const struct registry *registry)
{
	return registry_checksum(registry->header) == registry->header->checksum ? 0 : -EBADMSG;
}

static struct registry_text text_of(const struct registry *registry, struct registry_span span)
{
	if ((uint64_t)span.offset_bytes + span.size_bytes > registry->string_bytes)
		return (struct registry_text){ NULL, 0 };
	return (struct registry_text){ registry->strings + span.offset_bytes, span.size_bytes };
}

struct registry_text registry_cell(const struct registry *registry, uint32_t row, uint32_t column)
{
	if (row >= registry->row_count || column >= registry->column_count)
		return (struct registry_text){ NULL, 0 };
	return text_of(registry, registry->cells[(uint64_t)row * registry->column_count + column]);
}

struct registry_text registry_key(const struct registry *registry, uint32_t row)
{
	return registry_cell(registry, row, registry->key_column);
}

struct registry_text registry_column_name(const struct registry *registry, uint32_t column)
{
	if (column >= registry->column_count)
		return (struct registry_text){ NULL, 0 };
	return text_of(registry, registry->columns[column]);
}

int registry_column(const struct registry *registry, const char *name)
{
	for (uint32_t column = 0; column < registry->column_count; column++) {
		struct registry_text text = registry_column_name(registry, column);

		if (text.data && text.size_bytes == strlen(name) &&
		    memcmp(text.data, name, text.size_bytes) == 0)
			return (int)column;
	}
	return -1;
}

static bool row_has_key(const struct registry *registry, uint32_t row, const char *key,
                        size_t key_bytes)
{
	struct registry_text text = registry_key(registry, row);

	return text.data && text.size_bytes == key_bytes && memcmp(text.data, key, key_bytes) == 0;
}

uint32_t registry_find(const struct registry *registry, const char *key, size_t key_bytes)
{
	uint32_t hash = (uint32_t)XXH3_64bits(key, key_bytes);
	uint32_t bucket = hash & registry->bucket_mask;

	for (uint32_t step = 0; step <= registry->bucket_mask; step++) {
		uint32_t row = registry->buckets[bucket] - 1; /* empty: REGISTRY_NO_ROW */

		if (row >= registry->row_count)
			return REGISTRY_NO_ROW;
		if (registry->rows[row].hash == hash && row_has_key(registry, row, key, key_bytes))
			return row;
		bucket = (bucket + 1) & registry->bucket_mask;
	}
	return REGISTRY_NO_ROW;
}

uint32_t registry_next_same(const struct registry *registry, uint32_t row)
{
	uint32_t next;

	if (row >= registry->row_count)
		return REGISTRY_NO_ROW;
	next = registry->rows[row].next_same - 1;
	/* forward only: a damaged chain ends too */
	return next > row && next < registry->row_count ? next : REGISTRY_NO_ROW;
}
