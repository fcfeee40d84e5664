/* SPDX-License-Identifier: MIT */
/* Tables: walking through all entries, and clearing.
 *
 * A walk goes through each stripe in the order of the hashes' bits reversed. A bucket is an interval in
 * that order, and splitting cuts the interval in two; so a walk that remembers how far it has come meets
 * each entry once, however the table grows meanwhile. One chain at a time is copied, inside a section.
 *
 * A bulk load that comes meanwhile: the walk goes on with the new entries, from where it is.
 *
 * Where it lives: process memory: struct comap_table_walk, copies of one chain's entries
 * Readers:    this file, as table_read.c.  Writers: comap_table_clear(), under each stripe's lock in turn
 * Progress:   a walk holds nothing back between calls */
#include "table.h"

#include <comap/table_watch.h>

#include "error.h"
#include "fault.h"
#include "rcu.h"
#include "registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_TRIES 1000
#define REFS_MAX (COMAP_TABLE_CHAIN_MAX * COMAP_BUCKET_SLOTS)

/* What stands in front of each copy. */
struct copied {
	struct comap_table_entry entry;
	size_t next;                 /* where the next one begins in the buffer */
};

struct comap_table_walk {
	struct comap_table *table;
	uint32_t stripe;
	uint64_t position;           /* in the order of reversed hashes: everything before it is done */
	uint64_t met[COMAP_STRIPES]; /* versions up to it were met by the walk before; 0: none was */
	uint64_t reading;            /* of the stripe at hand, when the walk came to it */
	char *buffer;
	size_t used_bytes, capacity_bytes, cursor;
};

static uint64_t reversed(uint64_t x)
{
	x = (x & 0x5555555555555555ull) << 1 | (x >> 1 & 0x5555555555555555ull);
	x = (x & 0x3333333333333333ull) << 2 | (x >> 2 & 0x3333333333333333ull);
	x = (x & 0x0f0f0f0f0f0f0f0full) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0full);
	return __builtin_bswap64(x);
}

/* By how many bits of the hash the bucket is named: its interval has 2^(64 - bits) places. */
static unsigned bits_of(uint64_t index, uint64_t bucket_count)
{
	unsigned log = 63 - (unsigned)__builtin_clzll(bucket_count);
	uint64_t m = 1ull << log;

	return index >= m || index < bucket_count - m ? log + 1 : log;
}

/* Where the interval of a bucket ends; 0 for the last one, and for one of all places: damage says so. */
static uint64_t end_of(uint64_t position, unsigned bits)
{
	return bits ? ((position >> (64 - bits)) + 1) << (64 - bits) : 0;
}

/* --- one chain -------------------------------------------------------------------------------- */

struct chain {
	uint64_t shape, index, moves;
	const struct comap_bucket_shm *first;
	unsigned ref_count;
	uint64_t refs[REFS_MAX];
};

static bool has_ref(const struct chain *chain, uint64_t ref)
{
	for (unsigned i = 0; i < chain->ref_count; i++)
		if (chain->refs[i] == ref)
			return true;
	return false;
}

/* The refs of the chain at the position, each once; false where the chain changed its shape. */
static bool collect(struct comap_table *table, uint32_t stripe_index, uint64_t position,
                    struct chain *chain)
{
	uint64_t word, shape, swaps = comap__table_swaps(table);
	const struct comap_stripe_shm *stripe = comap__table_side(table, swaps) + stripe_index;
	const struct comap_bucket_shm *bucket;

	chain->ref_count = 0;
	chain->shape = comap_u64_load_acquire(&stripe->shape); /* [edge table.shape] acq */
	if (chain->shape == 0)
		/* relaxed: a side is emptied after the swap; the acquire of the shape says so */
		return comap_u64_load_relaxed(&table->shm->swaps) == swaps;
	chain->index = comap__bucket_index(reversed(position), chain->shape);
	chain->first = bucket = comap__bucket_at(table, stripe, chain->index);
	chain->moves = bucket ? comap_u64_load_acquire(&bucket->tags) >> 56 : 0; /* [edge table.tags] acq */
	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		word = 0;
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			if (i == COMAP_BUCKET_SLOTS - 1)
				COMAP_FAULT("table.collecting");
			word = comap_u64_load_acquire(&bucket->slots[i]); /* [edge table.slot] acq */
			if (word && !(word & COMAP_REF_LINK) && !has_ref(chain, word))
				chain->refs[chain->ref_count++] = word;
		}
		bucket = word & COMAP_REF_LINK
			? comap__table_at(table, word & ~COMAP_REF_FLAGS, sizeof *bucket) : NULL;
	}
	shape = comap_u64_load_acquire(&stripe->shape); /* [edge table.shape] acq */
	/* relaxed, both: ordered by the acquires of the slots */
	return chain->first && comap_u64_load_relaxed(&table->shm->swaps) == swaps &&
	       comap__bucket_index(reversed(position), shape) == chain->index &&
	       bits_of(chain->index, shape) == bits_of(chain->index, chain->shape) &&
	       comap_u64_load_relaxed(&chain->first->tags) >> 56 == chain->moves;
}

/* --- copies ----------------------------------------------------------------------------------- */

static int reserve(struct comap_table_walk *walk, size_t more_bytes)
{
	size_t capacity = walk->capacity_bytes ? walk->capacity_bytes : 4096;
	char *larger;

	while (capacity - walk->used_bytes < more_bytes)
		capacity *= 2;
	if (capacity == walk->capacity_bytes)
		return 0;
	larger = realloc(walk->buffer, capacity);
	if (!larger)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a copy of %zu bytes", more_bytes);
	walk->buffer = larger;
	walk->capacity_bytes = capacity;
	return 0;
}

static size_t round_up(size_t size_bytes) { return (size_bytes + 15) / 16 * 16; }

/* Pointers are offsets until all of the chain is copied: the buffer may move. */
static int copy_entry(struct comap_table_walk *walk, const struct comap__entry_parts *parts)
{
	size_t key_at = walk->used_bytes + round_up(sizeof(struct copied));
	size_t value_at = key_at + round_up(parts->key_bytes);
	size_t end = value_at + round_up(parts->value_bytes);
	struct copied *copied;
	int code = reserve(walk, end - walk->used_bytes);

	if (code)
		return code;
	copied = (void *)(walk->buffer + walk->used_bytes);
	memset(copied, 0, sizeof *copied);
	copied->entry.key_bytes = parts->key_bytes;
	copied->entry.value_bytes = parts->value_bytes;
	copied->entry.version = parts->version;
	/* relaxed: a word of its own */
	copied->entry.expires_ns = parts->expires ? comap_u64_load_relaxed(parts->expires) : 0;
	copied->entry.counter = parts->flags & COMAP_ENTRY_COUNTER;
	copied->next = end;
	memcpy(walk->buffer + key_at, parts->key, parts->key_bytes);
	memcpy(walk->buffer + value_at, parts->value, parts->value_bytes);
	walk->used_bytes = end;
	return 0;
}

static int copy_chain(struct comap_table_walk *walk, struct chain *chain)
{
	struct comap_table *table = walk->table;
	struct comap__entry_parts parts;
	int code = 0;

	walk->used_bytes = walk->cursor = 0;
	for (unsigned i = 0; i < chain->ref_count && !code; i++) {
		uint64_t hash;

		if (!comap__entry_parts(table, chain->refs[i], &parts) || comap__entry_is_gone(&parts) ||
		    parts.version <= walk->met[walk->stripe])
			continue;
		hash = comap__table_hash(table, parts.key, parts.key_bytes);
		/* What lies behind us was met before the split; what belongs elsewhere, a split is moving. */
		if (reversed(hash) >= walk->position &&
		    comap__bucket_index(hash, chain->shape) == chain->index)
			code = copy_entry(walk, &parts);
	}
	return code;
}

/* The next chain that has not been walked yet, into the buffer. Inside a section, or validated. */
static int take_chain(struct comap_table_walk *walk, struct chain *chain)
{
	for (unsigned i = 0; i < COLLECT_TRIES; i++)
		if (collect(walk->table, walk->stripe, walk->position, chain))
			return copy_chain(walk, chain);
	return comap__fail(COMAP_CAUSE_CORRUPT, "a bucket of the table does not come to rest");
}

static int take_chain_as_guest(struct comap_table_walk *walk, struct chain *chain)
{
	const struct comap_control_shm *control = walk->table->object.region->control;
	uint64_t epoch;
	int code;

	for (unsigned i = 0; i < COLLECT_TRIES; i++) {
		/* [edge rcu.epoch] acq: what was unlinked before this epoch is not found any more */
		epoch = comap_u64_load_acquire(&control->epoch);
		code = take_chain(walk, chain);
		/* [edge reuse.horizon] acq: the copy before the horizon */
		comap_fence_acquire();
		if (comap_u64_load_relaxed(&control->horizon) <= epoch) /* relaxed: after the fence */
			return code;
	}
	return comap__fail_errno(EAGAIN, "the memory was used again %d times while a bucket was copied",
	                         COLLECT_TRIES);
}

static int refill(struct comap_table_walk *walk)
{
	struct comap *region = walk->table->object.region;
	struct chain chain;
	int code;

	if (comap__is_guest(region)) {
		code = take_chain_as_guest(walk, &chain);
	} else {
		code = comap_read_begin(region);
		if (code)
			return code;
		code = take_chain(walk, &chain);
		comap_read_end(region);
	}
	if (code) {
		walk->used_bytes = walk->cursor = 0; /* half a chain, or what no guest may trust */
		return code;
	}
	walk->position = chain.shape ? end_of(walk->position, bits_of(chain.index, chain.shape)) : 0;
	if (walk->position == 0)
		walk->met[walk->stripe++] = walk->reading;
	return 0;
}

static const struct comap_stripe_shm *stripe_of(const struct comap_table_walk *walk, uint32_t index)
{
	return comap__table_side(walk->table, comap__table_swaps(walk->table)) + index;
}

/* At the beginning of a stripe: false where nothing is new in it. */
static bool enter_stripe(struct comap_table_walk *walk)
{
	walk->reading = comap__stripe_changes(stripe_of(walk, walk->stripe));
	return walk->reading != walk->met[walk->stripe] || walk->reading == 0;
}

/* --- the interface ---------------------------------------------------------------------------- */

struct comap_table_walk *comap_table_walk_begin(struct comap_table *table)
{
	struct comap_table_walk *walk;

	if (!table || (!comap__is_guest(table->object.region) && comap__table_check(table) != 0)) {
		if (!table)
			comap__table_check(table);
		return NULL;
	}
	walk = calloc(1, sizeof *walk);
	if (!walk) {
		comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a walk");
		return NULL;
	}
	walk->table = table;
	comap__registry_ref(table->object.entry);
	return walk;
}

int comap_table_walk_next(struct comap_table_walk *walk, struct comap_table_entry *ret_entry)
{
	struct copied *copied;
	size_t key_at;
	int code;

	if (!walk || !ret_entry)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	while (walk->cursor == walk->used_bytes) {
		if (walk->stripe == COMAP_STRIPES)
			return 0;
		if (walk->position == 0 && !enter_stripe(walk)) {
			walk->stripe++;
			continue;
		}
		code = refill(walk);
		if (code)
			return code;
	}
	copied = (void *)(walk->buffer + walk->cursor);
	key_at = walk->cursor + round_up(sizeof *copied);
	*ret_entry = copied->entry;
	ret_entry->key = walk->buffer + key_at;
	ret_entry->value = walk->buffer + key_at + round_up(copied->entry.key_bytes);
	walk->cursor = copied->next;
	return 1;
}

int comap_table_walk_again(struct comap_table_walk *walk)
{
	if (!walk)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the walk is NULL");
	walk->stripe = 0;
	walk->position = 0;
	walk->used_bytes = walk->cursor = 0;
	return 0;
}

int comap_table_walk_skip(struct comap_table_walk *walk)
{
	if (!walk)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the walk is NULL");
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		walk->met[i] = comap__stripe_changes(stripe_of(walk, i));
	return comap_table_walk_again(walk);
}

void comap_table_walk_end(struct comap_table_walk *walk)
{
	if (!walk)
		return;
	comap__registry_put(walk->table->object.entry);
	free(walk->buffer);
	free(walk);
}

/* --- clearing --------------------------------------------------------------------------------- */

bool comap__chain_clear(struct comap__writer *writer, struct comap_bucket_shm *bucket)
{
	struct comap__entry_parts parts;

	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			/* relaxed: under the mutex */
			struct comap__slot slot = { bucket, i, comap_u64_load_relaxed(&bucket->slots[i]) };

			if (slot.word == 0 || slot.word & COMAP_REF_LINK ||
			    !comap__entry_parts(writer->table, slot.word, &parts))
				continue;
			if (!comap__writer_has_room(writer))
				return false;
			comap__slot_commit(writer, &slot, 0, -1, -(int64_t)(parts.key_bytes + parts.value_bytes));
			comap__bucket_set_tag(bucket, i, 0);
		}
		bucket = comap__bucket_next(writer, bucket);
	}
	return true;
}

/* One bucket per hold of the lock; a split that comes between leaves its entries further on. */
static int clear_stripe(struct comap__writer *writer)
{
	uint64_t index = 0, shape = 1, swaps = writer->swaps;
	int code;

	while (index < shape) {
		code = comap__retire_reserve(writer->region, writer->row);
		if (!code)
			code = comap__stripe_lock(writer);
		if (code)
			return code;
		shape = comap_u64_load_relaxed(&writer->stripe->shape); /* relaxed: under the mutex */
		if (index == 0)
			comap__turns_end_some(writer, NULL);
		if (writer->swaps != swaps) /* a bulk load: nothing of what was there is left */
			shape = 0;
		else if (index >= shape || comap__chain_clear(writer, comap__writer_bucket(writer, index)))
			index++;
		comap__stripe_unlock(writer);
	}
	return 0;
}

int comap_table_clear(struct comap_table *table)
{
	struct comap__writer writer;
	int code = 0;

	for (uint64_t i = 0; i < COMAP_STRIPES && !code; i++) {
		code = comap__writer_init(&writer, table, i << 58);
		if (!code)
			code = clear_stripe(&writer);
	}
	return code;
}
