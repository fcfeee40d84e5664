/* SPDX-License-Identifier: MIT */
/* Tables, inside: the handle, where a key lies, and what is done to a chain under its stripe's lock.
 *
 *     hash   63..58 stripe | 55..48 tag | low bits: bucket
 *
 *     stripe --shape, segments--> bucket --slot 6 | LINK--> bucket --> ...      (a chain)
 *                                   slots --> entries
 *
 * Linear hashing: with n buckets, m the largest power of two in n, a key's bucket is the low bits of its
 * hash modulo 2m where that is below n, else modulo m. Growing by one splits bucket n - m. Segment 0 has
 * the first four buckets, segment k the next 2^(k+1): nothing moves, nothing is given back. */
#ifndef COMAP_IPC_TABLE_H
#define COMAP_IPC_TABLE_H

#include <comap/table.h>

#include "heap.h"
#include "object.h"
#include "region.h"

#define COMAP_TABLE_FIRST_BUCKETS 4u
#define COMAP_TABLE_CHAIN_MAX 64u      /* a longer one is damage */
#define COMAP_TABLE_LOCK_MS 2000
#define COMAP_TABLE_LOAD 4             /* entries per bucket, on average, before a stripe grows: 4 of 7 */
#define COMAP_VERSION_MASK ((1ull << 44) - 1)

struct comap_table {
	struct comap__object object;
	struct comap_table_shm *shm;         /* guests: read-only, this and the next */
	struct comap_stripe_shm *stripes;    /* side 0, then side 1 */
	struct comap_turn_shm *turns;        /* COMAP_STRIPE_TURNS for each stripe of a side */
	uint64_t seed;
	uint64_t heap_begin;                 /* offsets; refs between them have space */
	struct comap_u64 heap_end;           /* as last seen: the heap only grows */
	struct comap_u64 probed_ns;          /* when a thread last asked whether one lives who computes */
	/* Of a cache; NULL: a store. Marks: NULL for guests, too, who cannot write them. */
	struct comap_u32 *marks;
	uint64_t mark_mask;
	struct comap_cache_shm *cache;
	struct comap_cache_stripe_shm *cache_stripes;
	struct comap_u32 *ghosts;
	/* For the short way of a look-up: the region's view; where the last entry may begin whose lengths
	 * need no check. */
	const char *view;
	struct comap_u64 near_end;           /* as last seen; 0: not seen yet */
};

/* An entry taken apart. */
struct comap__entry_parts {
	const struct comap_entry_shm *entry;
	const char *key;
	const char *value;
	size_t key_bytes;
	size_t value_bytes;
	uint64_t version;
	const struct comap_u64 *expires;     /* NULL: mortal it is not */
	unsigned flags;
};

/* --- where things are ------------------------------------------------------------------------- */

uint64_t comap__table_hash(const struct comap_table *table, const void *key, size_t key_bytes);

/* How often the sides have been swapped; whatever is done goes by one such number. */
static inline uint64_t comap__table_swaps(const struct comap_table *table)
{
	/* [edge table.swap] acq: seen the number => the side that it names is whole */
	return comap_u64_load_acquire(&table->shm->swaps);
}

/* The stripes in use after so many swaps. */
static inline struct comap_stripe_shm *comap__table_side(const struct comap_table *table, uint64_t swaps)
{
	return table->stripes + (swaps & 1) * COMAP_STRIPES;
}

static inline uint32_t comap__hash_stripe(uint64_t hash) { return (uint32_t)(hash >> 58); }

/* Never 0, which is an empty slot's. */
static inline uint64_t comap__hash_tag(uint64_t hash)
{
	uint64_t tag = hash >> 48 & 0xff;

	return tag ? tag : 1;
}

static inline uint64_t comap__bucket_index(uint64_t hash, uint64_t bucket_count)
{
	uint64_t m = 1ull << (63 - __builtin_clzll(bucket_count));
	uint64_t index = hash & (2 * m - 1);

	return index < bucket_count ? index : index & (m - 1);
}

/* The segment that holds bucket `index`, and where in it. */
static inline uint32_t comap__segment_of(uint64_t index, uint64_t *ret_inside)
{
	uint32_t log = index < COMAP_TABLE_FIRST_BUCKETS ? 0 : 63 - (uint32_t)__builtin_clzll(index);

	*ret_inside = log ? index - (1ull << log) : index;
	return log ? log - 1 : 0;
}

#define COMAP__SHORT_BYTES (24u + 256 + 256) /* no entry without WIDE is longer */

bool comap__table_heap_grown(struct comap_table *table, uint64_t end);

/* [ref, ref + size) as seen by readers, or NULL where that is not in the heap. */
static inline const void *comap__table_at(struct comap_table *table, uint64_t ref, size_t size_bytes)
{
	uint64_t offset = ref - table->heap_begin, end = ref + size_bytes;

	if (COMAP_UNLIKELY(offset >= 1ull << 56 || size_bytes > 1u << 30 || (ref & 7)))
		return NULL;
	/* relaxed: whoever has stored it has seen the heap grown; space does not go away */
	if (COMAP_UNLIKELY(end > comap_u64_load_relaxed(&table->heap_end)) &&
	    !comap__table_heap_grown(table, end))
		return NULL;
	return table->object.region->view + ref;
}

/* A hint; any word will do, and none is looked at. */
static inline void comap__table_prefetch(const struct comap *region, uint64_t ref)
{
	__builtin_prefetch((const void *)((uintptr_t)region->view + ref));
}

/* Bucket number `index` of a stripe, for readers; NULL where the bytes make no sense. */
static inline const struct comap_bucket_shm *comap__bucket_at(struct comap_table *table,
	const struct comap_stripe_shm *stripe, uint64_t index)
{
	uint64_t inside, ref;
	uint32_t segment = comap__segment_of(index, &inside);

	if (COMAP_UNLIKELY(segment >= COMAP_STRIPE_SEGMENTS))
		return NULL;
	/* relaxed: stored before the shape that led here */
	ref = comap_u64_load_relaxed(&stripe->segments[segment]);
	return comap__table_at(table, ref + inside * sizeof(struct comap_bucket_shm),
	                       sizeof(struct comap_bucket_shm));
}

/* Takes an entry apart; false where its lengths lead out of the heap. */
static inline bool comap__entry_parts(struct comap_table *table, uint64_t ref,
                                      struct comap__entry_parts *parts)
{
	const struct comap_entry_shm *entry = comap__table_at(table, ref, 64);
	uint64_t head, lengths;
	size_t skip = 8;

	if (COMAP_UNLIKELY(!entry))
		return false;
	head = comap_u64_load_relaxed(&entry->head); /* relaxed: immutable; guests validate */
	parts->entry = entry;
	parts->version = head >> 20;
	parts->flags = head >> 16 & 15;
	parts->key_bytes = head >> 8 & 0xff;
	parts->value_bytes = head & 0xff;
	parts->expires = NULL;
	if (parts->flags & COMAP_ENTRY_WIDE) {
		lengths = comap_u64_load_relaxed(&entry->words[0]); /* the same */
		parts->key_bytes = lengths >> 32;
		parts->value_bytes = (uint32_t)lengths;
		skip += 8;
	}
	if (parts->flags & COMAP_ENTRY_MORTAL) {
		parts->expires = &entry->words[skip / 8 - 1];
		skip += 8;
	}
	parts->key = (const char *)entry + skip;
	parts->value = parts->key + (parts->key_bytes + 7) / 8 * 8;
	if (COMAP_LIKELY(!(parts->flags & COMAP_ENTRY_WIDE)))
		return comap__table_at(table, ref, 24 + 256 + 256) ||
		       comap__table_at(table, ref, (size_t)(parts->value - (const char *)entry) +
		                       parts->value_bytes);
	return parts->key_bytes <= COMAP_TABLE_KEY_MAX_BYTES &&
	       parts->value_bytes <= COMAP_TABLE_VALUE_MAX_BYTES &&
	       comap__table_at(table, ref, (size_t)(parts->value - (const char *)entry) +
	                       parts->value_bytes);
}

uint64_t comap__table_now_ns(void);

static inline bool comap__entry_is_over(const struct comap__entry_parts *parts)
{
	uint64_t expires;

	if (COMAP_LIKELY(!parts->expires))
		return false;
	expires = comap_u64_load_relaxed(parts->expires); /* relaxed: a word of its own */
	return expires != 0 && expires <= comap__table_now_ns();
}

/* Nobody but those who fetch sees it: its time is over, or it only says that there is no such key. */
static inline bool comap__entry_is_gone(const struct comap__entry_parts *parts)
{
	return COMAP_UNLIKELY(parts->expires) &&
	       (parts->flags & COMAP_ENTRY_ABSENT || comap__entry_is_over(parts));
}

/* Bit 8 * i + 7 is set where slot i may bear the tag: now and then also where it does not. */
static inline uint64_t comap__tag_matches(uint64_t tags, uint64_t tag)
{
	uint64_t x = (tags ^ tag * 0x0101010101010101ull) | 0xffull << 56;

	return (x - 0x0101010101010101ull) & ~x & 0x8080808080808080ull;
}

/* --- reading: table_read.c -------------------------------------------------------------------- */

/* Finds the key, without regard to time. False: it is not there. Inside a section, or validated. */
bool comap__table_find(struct comap_table *table, uint64_t hash, const void *key, size_t key_bytes,
                       struct comap__entry_parts *parts);

/* Into the buffer, where it fits: 0, -ENOBUFS. Counters change under the copy, by whole words. */
int comap__entry_copy(const struct comap__entry_parts *parts, void *buffer, size_t capacity_bytes,
                      struct comap_view *ret_view);

/* 0; NULL handle, guest or forked child: an error. */
int comap__table_check(struct comap_table *table);
int comap__table_check_key(const void *key, size_t key_bytes);

/* --- under the stripe's lock: table_stripe.c, table_split.c ----------------------------------- */

/* A writer at work on one stripe. */
struct comap__writer {
	struct comap_table *table;
	struct comap *region;
	struct comap__row *row;
	struct comap_stripe_shm *stripe;
	bool changed;                        /* something was committed under this hold of the lock */
	uint64_t swaps;                      /* the stripe is of the side in use after so many ... */
	bool is_loader;                      /* ... or of the other one: table_side.c */
	enum comap_event why;                /* of entries that are taken away */
	/* In a cache: what is reserved of the budget, and how many entries have been evicted for it. */
	uint64_t reserved_bytes;
	uint64_t evicted;
	const struct comap_turn *turn;       /* NULL; or only while it lasts the write may be: table_turn.c */
	uint32_t turns_over;                 /* bits: turns of the stripe that were ended under this hold */
};

/* A slot of a chain; what is there is in `word`. */
struct comap__slot {
	struct comap_bucket_shm *bucket;     /* writable */
	unsigned index;
	uint64_t word;
};

/* Makes the calling thread a writer: registered, the heap writable. */
int comap__writer_init(struct comap__writer *writer, struct comap_table *table, uint64_t hash);
/* Locks the stripe, repaired where its last holder died. Where the sides have been swapped meanwhile the
 * writer is one on the side in use afterwards. */
int comap__stripe_lock(struct comap__writer *writer);
int comap__stripe_lock_until(struct comap__writer *writer, uint64_t deadline_ns);
/* The same without waiting: -EBUSY where a living thread holds it, or the sides have been swapped. */
int comap__stripe_trylock(struct comap__writer *writer);
void comap__stripe_unlock(struct comap__writer *writer);

struct comap_bucket_shm *comap__writer_bucket(struct comap__writer *writer, uint64_t index);
/* The next bucket of the chain, or NULL. */
struct comap_bucket_shm *comap__bucket_next(struct comap__writer *writer,
                                            const struct comap_bucket_shm *bucket);

/* The slot of the key; false: none. */
bool comap__slot_find(struct comap__writer *writer, uint64_t hash, const void *key, size_t key_bytes,
                      struct comap__slot *ret_slot, struct comap__entry_parts *ret_parts);

/* A free slot in the chain of `bucket`, which is lengthened where it is full. */
int comap__slot_free(struct comap__writer *writer, struct comap_bucket_shm *bucket,
                     struct comap__slot *ret_slot);

/* Stores `word` (0, an entry, or bucket | LINK) into the slot: the commit point. What was there is
 * retired (a place on the ring is reserved), what is new is PUBLISHED; the counts change along. */
void comap__slot_commit(struct comap__writer *writer, struct comap__slot *slot, uint64_t word,
                        int64_t entries, int64_t bytes);
/* Takes the slot's entry away. */
void comap__slot_remove(struct comap__writer *writer, struct comap__slot *slot,
                        const struct comap__entry_parts *parts, enum comap_event why);
/* The same as a commit without an eye to the counts: blocks that are no entries. */
void comap__link_commit(struct comap__writer *writer, struct comap_u64 *link, uint64_t old_word,
                        uint64_t word);

/* What is under way, for whoever takes the lock from a dead holder; `entries` and `bytes` are changes. */
void comap__journal_begin(struct comap__writer *writer, enum comap_journal_op op, uint64_t link,
                          uint64_t word, int64_t entries, int64_t bytes);
void comap__journal_end(struct comap__writer *writer);

void comap__bucket_set_tag(struct comap_bucket_shm *bucket, unsigned index, uint64_t tag);

/* Is there a place on the thread's ring for one more, beyond the one that is reserved? */
bool comap__writer_has_room(const struct comap__writer *writer);

/* Empty buckets at the end of a chain go, as far as the ring has room. `bucket` is its first. */
void comap__chain_trim(struct comap__writer *writer, struct comap_bucket_shm *bucket);
/* Takes the expired entries of a chain away, as far as the ring has room. How many. */
unsigned comap__chain_expire(struct comap__writer *writer, struct comap_bucket_shm *bucket);

/* Takes the entries of a chain away while the ring has room; true when none is left. */
bool comap__chain_clear(struct comap__writer *writer, struct comap_bucket_shm *bucket);
/* The overflow buckets of a chain without entries go. -EBUSY: the ring has no room. */
int comap__chain_drop(struct comap__writer *writer, struct comap_bucket_shm *bucket);

/* The stripe's first buckets, where it has none. */
int comap__stripe_found(struct comap__writer *writer);
/* The same of at least `bucket_count`, for a stripe that has none. */
int comap__stripe_found_with(struct comap__writer *writer, uint64_t bucket_count);
/* Splits as many buckets as the number of entries asks for, at most two. Failing is no harm. */
void comap__stripe_grow(struct comap__writer *writer);
/* Ends what a dead writer has left of a split. */
int comap__split_repair(struct comap__writer *writer);

/* --- writing on behalf of a turn: table_write.c, table_turn.c --------------------------------- */

struct comap_turn;

/* comap_table_write() with more flags of the entry. `turn` may be NULL; else only while it lasts: it ends
 * with the write, or the result is COMAP_TABLE_CHANGED. */
int comap__table_write(struct comap_table *table, const struct comap_table_write *write, unsigned flags,
                       const struct comap_turn *turn, uint64_t *ret_version);

/* The turn at a place of the stripe. */
static inline struct comap_turn_shm *comap__turn_at(const struct comap__writer *writer, uint32_t place)
{
	uint32_t index = (uint32_t)(writer->stripe - writer->table->stripes) % COMAP_STRIPES;

	return &writer->table->turns[index * COMAP_STRIPE_TURNS + place];
}

/* Under the lock: does the turn last? */
bool comap__turn_lasts(const struct comap__writer *writer, const struct comap_turn *turn);
/* Begins a turn at a place that is free, or whose owner is dead, or robbed. Returns its ticket. */
uint64_t comap__turn_begin(struct comap__writer *writer, uint32_t place, uint64_t hash);
/* Ends the turns of the stripe whose key has this hash, or all. */
void comap__turns_end_some(struct comap__writer *writer, const uint64_t *hash);

/* Somebody writes the key: whoever computes it may know of something older. */
static inline void comap__turns_end(struct comap__writer *writer, uint64_t hash)
{
	if (COMAP_UNLIKELY(comap_u32_load_relaxed(&writer->stripe->turns))) /* relaxed: under the mutex */
		comap__turns_end_some(writer, &hash);
}

/* After a death: the number of turns is counted anew. */
void comap__turns_repair(struct comap__writer *writer);
/* After the lock: wakes those who waited for the turns that are over. */
void comap__turns_wake(const struct comap__writer *writer);
/* For the checker: NULL, or what is wrong. */
const char *comap__turns_check(const struct comap_table *table, uint32_t stripe_index);

/* --- waiting for changes: table_watch.c ------------------------------------------------------- */

/* All versions up to it that the stripe has given are there to be seen, or gone again. */
static inline uint64_t comap__stripe_changes(const struct comap_stripe_shm *stripe)
{
	/* [edge table.changes] acq: seen the number => what was written up to it is seen */
	return comap_u64_load_acquire(&stripe->sequence);
}

/* Under the lock, at the end: what was committed counts as a change from here on. */
void comap__stripe_count_change(struct comap__writer *writer);
/* After the lock: wakes those who wait for a change of the stripe or of the table. */
void comap__stripe_wake(const struct comap__writer *writer);
/* After the sides were swapped: wakes all who wait on the side that was in use after so many swaps. */
void comap__table_wake(struct comap_table *table, uint64_t swaps);

/* --- writing: table_write.c ------------------------------------------------------------------- */

struct comap_table_write;

/* Is this a write that the table takes? */
int comap__write_check(struct comap_table *table, const struct comap_table_write *write);

/* When an entry written now expires; 0: never. */
uint64_t comap__table_expiry(const struct comap_table *table, uint64_t ttl_ns);

/* A checked write by a writer on the key's stripe; `flags`: COMAP_ENTRY_COUNTER and what else the draft
 * decides. An outcome, and *ret_version with it; or an error. */
int comap__write_with(struct comap__writer *writer, uint64_t hash, const struct comap_table_write *write,
                      unsigned flags, uint64_t expires_ns, uint64_t *ret_version);

#endif
