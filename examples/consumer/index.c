/* SPDX-License-Identifier: MIT */
/* A private index of a version, under liburcu. */
#define URCU_API_MAP
#include <urcu/urcu-memb.h>

#include "index.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	uint32_t name_at, name_bytes;  /* in names */
	uint32_t hash;
	uint32_t count;                /* 0: empty */
};

struct index {
	struct rcu_head head;
	uint64_t version;
	uint32_t column;
	uint32_t mask;
	uint32_t names_used;
	struct entry *entries;
	char *names;
};

static void index_free(struct index *index)
{
	free(index->entries);
	free(index->names);
	free(index);
}

static void free_later(struct rcu_head *head)
{
	index_free((void *)((char *)head - offsetof(struct index, head)));
}

static struct entry *entry_of(const struct index *index, const char *text, size_t size_bytes)
{
	uint32_t hash = (uint32_t)registry_hash(text, size_bytes);
	struct entry *entry = &index->entries[hash & index->mask];

	while (entry->count > 0 &&
	       (entry->hash != hash || entry->name_bytes != size_bytes ||
	        memcmp(index->names + entry->name_at, text, size_bytes) != 0))
		entry = entry == &index->entries[index->mask] ? index->entries : entry + 1;
	return entry;
}

static void count_text(struct index *index, struct registry_text text)
{
	struct entry *entry = entry_of(index, text.data, text.size_bytes);

	if (entry->count++ > 0)
		return;
	entry->hash = (uint32_t)registry_hash(text.data, text.size_bytes);
	entry->name_at = index->names_used;
	entry->name_bytes = (uint32_t)text.size_bytes;
	memcpy(index->names + entry->name_at, text.data, text.size_bytes);
	index->names_used += entry->name_bytes;
}

static int column_of(const struct registry *registry, const char *name)
{
	int column;

	if (*name)
		return registry_column(registry, name);
	column = registry_column(registry, "Organization Name");
	return column >= 0 ? column : registry->column_count > 1 ? 1 : 0;
}

static struct index *index_new(const struct registry *registry, uint32_t column)
{
	struct index *index = calloc(1, sizeof *index);
	size_t names_bytes = 1;

	if (!index)
		return NULL;
	for (uint32_t row = 0; row < registry->row_count; row++)
		names_bytes += registry_cell(registry, row, column).size_bytes;
	index->column = column;
	index->mask = registry->bucket_mask; /* more buckets than rows: a search ends */
	index->entries = calloc((size_t)index->mask + 1, sizeof *index->entries);
	index->names = malloc(names_bytes);
	if (index->entries && index->names)
		return index;
	index_free(index);
	return NULL;
}

bool index_replace(struct index_cell *cell, const struct registry *registry, uint64_t version,
                   const char *column_name)
{
	int column = column_of(registry, column_name);
	struct index *index = column < 0 ? NULL : index_new(registry, (uint32_t)column);

	if (!index)
		return false;
	index->version = version;
	for (uint32_t row = 0; row < registry->row_count; row++) {
		struct registry_text text = registry_cell(registry, row, (uint32_t)column);

		if (text.data)
			count_text(index, text);
	}
	index = rcu_xchg_pointer(&cell->current, index);
	if (index)
		call_rcu(&index->head, free_later);
	return true;
}

void index_drop(struct index_cell *cell)
{
	struct index *index = rcu_xchg_pointer(&cell->current, NULL);

	if (index)
		call_rcu(&index->head, free_later);
	rcu_barrier();
}

struct index_answer index_query(struct index_cell *cell, const char *text, size_t size_bytes)
{
	struct index_answer answer = { 0 };
	struct index *index;

	rcu_read_lock();
	index = rcu_dereference(cell->current);
	if (index) {
		answer.version = index->version;
		answer.column = index->column;
		answer.count = entry_of(index, text, size_bytes)->count;
	}
	rcu_read_unlock();
	return answer;
}

void index_thread_register(void)
{
	rcu_register_thread();
}

void index_thread_unregister(void)
{
	rcu_unregister_thread();
}
