/* SPDX-License-Identifier: MIT */
/* Tables as caches: marks, the account of bytes, queues and eviction. Nothing of it is called for a store
 * (table->cache is NULL), but where a line says so. */
#ifndef COMAP_IPC_TABLE_CACHE_H
#define COMAP_IPC_TABLE_CACHE_H

#include "check.h"
#include "heap.h"
#include "table.h"

#define COMAP_CACHE_MARK_MAX 3u        /* of two bits */
#define COMAP_CACHE_BUCKETS_MAX (1ull << 23) /* of a stripe: a queue's word knows 24 bits of the hash */

/* --- marks: readers, without the lock --------------------------------------------------------- */

/* What a queue's word says of a key; the stripe says six bits more. */
static inline uint32_t comap__cache_word(uint64_t hash)
{
	return (uint32_t)(hash & 0xffffff) | (uint32_t)(hash >> 48 & 0xff) << 24;
}

/* An entry's mark is that of its block: no two share one while the heap that is in use has no more blocks of
 * 64 bytes than there are marks. */
static inline struct comap_u32 *comap__cache_mark_at(struct comap_table *table, uint64_t ref,
                                                     unsigned *ret_shift)
{
	uint64_t place = (ref / COMAP_BLOCK_ALIGN_BYTES) & table->mark_mask;

	*ret_shift = place % 16 * 2;
	return &table->marks[place / 16];
}

static inline void comap__cache_mark(struct comap_table *table, const struct comap_entry_shm *entry)
{
	unsigned shift;
	struct comap_u32 *marks = comap__cache_mark_at(table,
		(uint64_t)((const char *)entry - table->object.region->view), &shift);
	/* relaxed, both: marks are approximate. A neighbour's that is lost meanwhile is no harm. */
	uint32_t seen = comap_u32_load_relaxed(marks);

	if ((seen >> shift & 3) < COMAP_CACHE_MARK_MAX)
		comap_u32_store_relaxed(marks, seen + (1u << shift));
}

/* The entry was found: for stores too, one branch. */
static inline void comap__table_used(struct comap_table *table, const struct comap_entry_shm *entry)
{
	if (COMAP_UNLIKELY(table->marks != NULL))
		comap__cache_mark(table, entry);
}

/* --- making and finding: table_cache.c -------------------------------------------------------- */

/* How many cells a cache of this budget has behind those of the table. */
uint64_t comap__cache_cells(uint64_t budget_bytes);
/* Fills in the cells of a new cache; `ref` is where they begin. */
void comap__cache_found(struct comap_cache_shm *cache, uint64_t budget_bytes);
/* The handle's pointers, where the table says that it is a cache. -EBADMSG: what it says is damaged. */
int comap__cache_find(struct comap_table *table);

/* --- the account of bytes: table_cache.c, under the stripe's lock ------------------------------ */

/* A block that is no entry is linked (new_word) or unlinked (old_word). */
void comap__cache_count_block(struct comap__writer *writer, uint64_t old_word, uint64_t new_word);
/* An entry is about to come or go; and has. */
void comap__cache_plan(struct comap__writer *writer, uint64_t old_word, uint64_t new_word);
void comap__cache_take_counts(struct comap__writer *writer);
/* At the end of a hold: the table's sum learns of it. */
void comap__cache_settle(struct comap__writer *writer);
void comap__cache_repair(struct comap__writer *writer);
/* May the stripe have a further segment of so many bytes? */
bool comap__cache_may_grow(struct comap__writer *writer, uint64_t size_bytes);

/* --- room: table_cache.c, without a lock ------------------------------------------------------- */

/* Is an entry of so many bytes too large for the cache? For stores too: never. */
int comap__cache_check_size(struct comap_table *table, size_t size_bytes);
/* Reserves the draft's bytes, evicts for them. -EBUSY: others hold all that could go. */
int comap__cache_reserve(struct comap__writer *writer, struct comap_ref draft);
/* What was reserved and not used is given back. For stores too. */
void comap__cache_release(struct comap__writer *writer);
/* The heap is full: evicts, waits for readers. 0: trying again makes sense. For stores too: -ENOSPC. */
int comap__cache_relieve(struct comap__writer *writer, size_t size_bytes, unsigned tries);

/* --- queues and eviction: table_evict.c, under the stripe's lock ------------------------------- */

static inline struct comap_cache_stripe_shm *comap__cache_stripe(const struct comap__writer *writer)
{
	return &writer->table->cache_stripes[(size_t)(writer->stripe - writer->table->stripes) %
	                                     COMAP_STRIPES];
}

/* How many bytes an entry has behind its value. For stores too. */
static inline size_t comap__cache_tail_bytes(const struct comap_table *table)
{
	return table->cache ? sizeof(uint64_t) : 0;
}

/* A place in a queue for a new entry, before it is linked; `tail` is its last word. */
int comap__cache_enter(struct comap__writer *writer, uint64_t hash, struct comap_ref ref,
                       struct comap_u64 *tail);
/* A new block takes the place of an entry that has one, which counts as a use. */
void comap__cache_follow(struct comap__writer *writer, const struct comap__entry_parts *parts,
                         struct comap_ref ref, struct comap_u64 *tail);
/* Takes one entry away. The bytes of its block; 0: none can go now. */
size_t comap__cache_evict_one(struct comap__writer *writer, enum comap_event why);
/* Queues in which most words are of entries that are gone become shorter. */
void comap__cache_tidy(struct comap__writer *writer);

/* Of a stripe: bytes of its queues' segments, visiting each; how many words stand for an entry. */
uint64_t comap__cache_queue_bytes(struct comap_table *table, const struct comap_queue_shm *queue,
                                  comap__root_visitor *visit, void *context);
uint64_t comap__cache_count_words(struct comap_table *table, uint32_t stripe, enum comap_queue which);

#endif
