/* SPDX-License-Identifier: MIT */
/* From CSV text to a registry, in two passes over the same text, which so see the same rows. */
#include "build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 1000000000u

static size_t cells_bytes(const struct csv_cell *cells, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += csv_cell_bytes(&cells[i]);
	return size;
}

static int find_key_column(const struct csv_cell *cells, size_t count, const char *key)
{
	const char *name = key ? key : "Assignment";

	for (size_t i = 0; i < count; i++)
		if (csv_cell_is(&cells[i], name, strlen(name)))
			return (int)i;
	return key ? -1 : 0;
}

static int plan_columns(struct registry_plan *plan, struct csv *csv, const char *key, char *problem,
                        size_t problem_bytes)
{
	struct csv_cell cells[REGISTRY_COLUMNS_MAX];
	size_t count;
	int result = csv_next(csv, cells, REGISTRY_COLUMNS_MAX, &count);
	int key_column;

	if (result <= 0) {
		snprintf(problem, problem_bytes, "no line with the names of the columns");
		return -EBADMSG;
	}
	if (count > REGISTRY_COLUMNS_MAX) {
		snprintf(problem, problem_bytes, "%zu columns, more than %u", count,
		         REGISTRY_COLUMNS_MAX);
		return -EBADMSG;
	}
	key_column = find_key_column(cells, count, key);
	if (key_column < 0) {
		snprintf(problem, problem_bytes, "no column is called \"%s\"", key);
		return -EBADMSG;
	}
	plan->header.column_count = (uint32_t)count;
	plan->header.key_column = (uint32_t)key_column;
	plan->header.string_bytes = cells_bytes(cells, count);
	return 0;
}

static int plan_rows(struct registry_plan *plan, struct csv *csv, char *problem,
                     size_t problem_bytes)
{
	struct registry_header *header = &plan->header;
	struct csv_cell cells[REGISTRY_COLUMNS_MAX];
	size_t count;
	int result;

	while ((result = csv_next(csv, cells, header->column_count, &count)) > 0) {
		if (count != header->column_count)
			header->ragged_count++;
		if (count > header->column_count)
			count = header->column_count;
		header->string_bytes += cells_bytes(cells, count);
		header->row_count++;
		if (header->string_bytes > UINT32_MAX || header->row_count > ROWS_MAX) {
			snprintf(problem, problem_bytes, "more than 4 GiB of strings, or %u rows",
			         ROWS_MAX);
			return -EFBIG;
		}
	}
	if (result < 0)
		snprintf(problem, problem_bytes, "line %llu: a quote is not closed",
		         (unsigned long long)csv->line);
	return result;
}

/* At most half full, so that a search takes a step or two. */
static uint32_t bucket_count_for(uint32_t row_count)
{
	uint32_t count = 2;

	while (count < 2 * (uint64_t)row_count)
		count *= 2;
	return count;
}

int registry_plan(struct registry_plan *plan, const char *text, size_t text_bytes, char separator,
                  const char *key, char *problem, size_t problem_bytes)
{
	struct csv csv;
	int result;

	*plan = (struct registry_plan){ .text = text, .text_bytes = text_bytes,
	                                .separator = separator };
	csv_init(&csv, text, text_bytes, separator);
	result = plan_columns(plan, &csv, key, problem, problem_bytes);
	if (result == 0)
		result = plan_rows(plan, &csv, problem, problem_bytes);
	if (result != 0)
		return result;
	memcpy(plan->header.magic, REGISTRY_MAGIC, sizeof plan->header.magic);
	plan->header.format = REGISTRY_FORMAT;
	plan->header.bucket_count = bucket_count_for(plan->header.row_count);
	plan->header.total_bytes = registry_parts_of(&plan->header).end;
	plan->header.source_hash = registry_hash(text, text_bytes);
	plan->header.source_bytes = text_bytes;
	return 0;
}

/* The registry under construction. */
struct site {
	struct registry_header *header;
	struct registry_span *columns;
	uint32_t *buckets;
	struct registry_row *rows;
	struct registry_span *cells;
	char *strings;
	uint32_t used_bytes;
};

static void store_cells(struct site *site, const struct csv_cell *cells, size_t count,
                        struct registry_span *spans)
{
	for (uint32_t i = 0; i < site->header->column_count; i++) {
		spans[i] = (struct registry_span){ site->used_bytes, 0 };
		if (i >= count)
			continue;
		spans[i].size_bytes = (uint32_t)csv_cell_bytes(&cells[i]);
		csv_cell_copy(&cells[i], site->strings + site->used_bytes);
		site->used_bytes += spans[i].size_bytes;
	}
}

static void fill(struct site *site, const struct registry_plan *plan)
{
	struct csv_cell cells[REGISTRY_COLUMNS_MAX];
	struct registry_span *spans = site->cells;
	struct csv csv;
	size_t count;

	csv_init(&csv, plan->text, plan->text_bytes, plan->separator);
	csv_next(&csv, cells, REGISTRY_COLUMNS_MAX, &count);
	store_cells(site, cells, count, site->columns);
	while (csv_next(&csv, cells, site->header->column_count, &count) > 0) {
		store_cells(site, cells, count, spans);
		spans += site->header->column_count;
	}
}

static bool same_text(const struct site *site, struct registry_span a, struct registry_span b)
{
	return a.size_bytes == b.size_bytes && memcmp(site->strings + a.offset_bytes,
	                                              site->strings + b.offset_bytes,
	                                              a.size_bytes) == 0;
}

/* Becomes the first of its key: rows come from the last to the first, so the chain is in order. */
static void link_row(struct site *site, uint32_t row)
{
	const struct registry_header *header = site->header;
	const struct registry_span *keys = site->cells + header->key_column;
	struct registry_span key = keys[(uint64_t)row * header->column_count];
	uint32_t hash = (uint32_t)registry_hash(site->strings + key.offset_bytes, key.size_bytes);
	uint32_t mask = header->bucket_count - 1;
	uint32_t bucket = hash & mask;

	for (; site->buckets[bucket]; bucket = (bucket + 1) & mask) {
		uint32_t other = site->buckets[bucket] - 1;

		if (site->rows[other].hash == hash &&
		    same_text(site, key, keys[(uint64_t)other * header->column_count]))
			break;
	}
	site->rows[row] = (struct registry_row){ hash, site->buckets[bucket] };
	site->buckets[bucket] = row + 1;
}

void registry_build(const struct registry_plan *plan, void *block)
{
	struct registry_parts parts = registry_parts_of(&plan->header);
	char *base = block;
	struct site site = {
		.header = block,
		.columns = (void *)(base + parts.columns),
		.buckets = (void *)(base + parts.buckets),
		.rows = (void *)(base + parts.rows),
		.cells = (void *)(base + parts.cells),
		.strings = base + parts.strings,
	};

	*site.header = plan->header;
	memset(site.buckets, 0, plan->header.bucket_count * sizeof *site.buckets);
	fill(&site, plan);
	for (uint32_t row = plan->header.row_count; row > 0; row--)
		link_row(&site, row - 1);
	site.header->checksum = registry_checksum(site.header);
}
