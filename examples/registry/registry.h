/* SPDX-License-Identifier: MIT */
/* A published registry: a table of strings with one key column, searched where it lies.
 *
 *   header     struct registry_header
 *   columns    one span per column: its name
 *   buckets    u32 each: row number + 1 of the first row with that key, 0: empty
 *   rows       struct registry_row each
 *   cells      one span per row and column, row by row
 *   strings    the bytes that the spans point into
 *
 * I1  Position independent: spans are offsets into the strings, buckets are row numbers.
 * I2  Where each part begins follows from the counts in the header, and so does total_bytes.
 * I3  Bucket b of a key: hash & (bucket_count - 1), then the next free one; bucket_count is a power
 *     of two and larger than row_count, so a search ends.
 * I4  Rows with one key are chained in the order of the source, through next_same.
 * I5  The checksum covers every byte but its own.
 *
 * Writers and readers: written once, in place, before it is published; then nobody writes. A reader
 * trusts no byte: registry_open() checks the header, every step of a search checks its number, so a
 * damaged registry gives wrong answers at worst (registry_verify() tells), no fault and no loop. */
#ifndef EXAMPLES_REGISTRY_H
#define EXAMPLES_REGISTRY_H

#include <comap/type.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_MAGIC "registry"
#define REGISTRY_FORMAT 1u
#define REGISTRY_COLUMNS_MAX 64u
#define REGISTRY_NO_ROW UINT32_MAX

struct registry_header {
	char magic[8];
	uint32_t format;
	uint32_t column_count;
	uint32_t key_column;
	uint32_t row_count;
	uint32_t bucket_count;
	uint32_t ragged_count;   /* rows with more or fewer cells: cut, or filled with "" */
	uint64_t string_bytes;
	uint64_t total_bytes;
	uint64_t version;        /* as the publisher expected it */
	uint64_t source_hash;    /* XXH3 of the source file */
	uint64_t source_bytes;
	uint64_t source_time_ns; /* its modification time, CLOCK_REALTIME */
	uint64_t checksum;       /* XXH3; the last field */
};
COMAP_FIELDS(struct registry_header,
	COMAP_FIELD(str, magic),
	COMAP_FIELD(u32, format),
	COMAP_FIELD(u32, column_count),
	COMAP_FIELD(u32, key_column),
	COMAP_FIELD(u32, row_count),
	COMAP_FIELD(u32, bucket_count),
	COMAP_FIELD(u32, ragged_count),
	COMAP_FIELD(u64, string_bytes),
	COMAP_FIELD(u64, total_bytes),
	COMAP_FIELD(u64, version),
	COMAP_FIELD(u64, source_hash),
	COMAP_FIELD(u64, source_bytes),
	COMAP_FIELD(u64, source_time_ns),
	COMAP_FIELD(u64, checksum));

struct registry_span {
	uint32_t offset_bytes;   /* from the start of the strings */
	uint32_t size_bytes;
};

struct registry_row {
	uint32_t hash;           /* low half of the key's hash */
	uint32_t next_same;      /* row number + 1 of the next row with this key, 0: the last one */
};

/* Where the parts begin, from the start of the header. */
struct registry_parts {
	uint64_t columns, buckets, rows, cells, strings, end;
};
struct registry_parts registry_parts_of(const struct registry_header *header);

/* A reader's handle: plain pointers into the bytes, valid as long as they are. */
struct registry {
	const struct registry_header *header;
	const struct registry_span *columns;
	const uint32_t *buckets;
	const struct registry_row *rows;
	const struct registry_span *cells;
	const char *strings;
	uint64_t string_bytes;
	uint32_t row_count, column_count, key_column, bucket_mask;
};

/* A cell, not terminated by a NUL. */
struct registry_text {
	const char *data;
	size_t size_bytes;
};

/* Checks the header against `size_bytes`. 0, or -EBADMSG. Cost: some nanoseconds. */
int registry_open(struct registry *registry, const void *data, size_t size_bytes);

/* Compares the checksum; touches every byte. 0, or -EBADMSG. */
int registry_verify(const struct registry *registry);
uint64_t registry_checksum(const struct registry_header *header);

/* The first row with this key in the order of the source, or REGISTRY_NO_ROW. */
uint32_t registry_find(const struct registry *registry, const char *key, size_t key_bytes);
/* The next row with the key of `row`, or REGISTRY_NO_ROW. */
uint32_t registry_next_same(const struct registry *registry, uint32_t row);

/* A cell; .data is NULL where there is no such cell, or where its span lies outside. */
struct registry_text registry_cell(const struct registry *registry, uint32_t row, uint32_t column);
struct registry_text registry_key(const struct registry *registry, uint32_t row);
/* A column's name, and the column of a name or -1. */
struct registry_text registry_column_name(const struct registry *registry, uint32_t column);
int registry_column(const struct registry *registry, const char *name);

uint64_t registry_hash(const void *data, size_t size_bytes);

#endif
