/* SPDX-License-Identifier: MIT */
/* Tables: growth, one bucket at a time.
 *
 *     journal SPLIT n     bucket n is empty, and nobody looks there
 *     copy                the refs that belong there stand in both chains
 *     shape = n + 1       the commit point: readers and writers go to the new one
 *     clear               the old chain loses them
 *     compact             what is left moves forward, and the last overflow bucket goes, while that is
 *                         possible; the first bucket counts a move before the unlink
 *     journal NONE
 *
 * Where it lives, invariants, writers: see table_stripe.c.
 * Progress:   a constant amount of work for each entry that is added
 * If a process dies here: shape is n: bucket n is emptied; shape is n + 1: clear and compact once more,
 *             both of which can be repeated */
#include "table_cache.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "rcu.h"

#include <errno.h>
#include <string.h>

#define SPLITS_MAX 2        /* per entry that is added */

static uint64_t shape_of(const struct comap__writer *writer)
{
	return comap_u64_load_relaxed(&writer->stripe->shape); /* relaxed: under the mutex */
}

static void publish_shape(struct comap__writer *writer, uint64_t bucket_count)
{
	/* [edge table.shape] rel: every bucket below it is whole, and has its segment */
	comap_u64_store_release(&writer->stripe->shape, bucket_count);
	COMAP_FAULT("table.shape");
}

static int add_segment(struct comap__writer *writer, uint32_t segment, uint64_t bucket_count, bool clear)
{
	struct comap_ref ref;
	void *block;
	int code;

	if (writer->table->cache && segment && (bucket_count >= COMAP_CACHE_BUCKETS_MAX ||
	    !comap__cache_may_grow(writer, bucket_count * sizeof(struct comap_bucket_shm))))
		return -ENOSPC; /* longer chains, and no harm */
	code = comap__block_alloc(writer->region, writer->row,
	                          bucket_count * sizeof(struct comap_bucket_shm), &ref, &block);

	if (code)
		return code;
	if (clear)
		memset(block, 0, bucket_count * sizeof(struct comap_bucket_shm));
	comap__link_commit(writer, &writer->stripe->segments[segment], 0, ref.offset_bytes);
	return 0;
}

int comap__stripe_found_with(struct comap__writer *writer, uint64_t bucket_count)
{
	uint64_t inside, segment_buckets = COMAP_TABLE_FIRST_BUCKETS;
	uint32_t last;
	int code = 0;

	if (bucket_count < COMAP_TABLE_FIRST_BUCKETS)
		bucket_count = COMAP_TABLE_FIRST_BUCKETS;
	last = comap__segment_of(bucket_count - 1, &inside);
	if (last >= COMAP_STRIPE_SEGMENTS)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%llu buckets are more than a stripe can have",
		                   (unsigned long long)bucket_count);
	for (uint32_t i = 0; i <= last && !code; i++) {
		/* relaxed: under the mutex. A segment without a shape: somebody died right here. */
		if (comap_u64_load_relaxed(&writer->stripe->segments[i]) == 0)
			code = add_segment(writer, i, segment_buckets, true);
		if (i)
			segment_buckets *= 2;
	}
	if (!code)
		publish_shape(writer, bucket_count);
	return code;
}

int comap__stripe_found(struct comap__writer *writer)
{
	return COMAP_LIKELY(shape_of(writer) != 0) ? 0 : comap__stripe_found_with(writer, 0);
}

/* --- the chain's end -------------------------------------------------------------------------- */

/* The last bucket of a chain of two or more, and the one before it; NULL: there is only one. */
static struct comap_bucket_shm *last_of(struct comap__writer *writer, struct comap_bucket_shm *bucket,
                                        struct comap_bucket_shm **ret_before)
{
	struct comap_bucket_shm *last = NULL, *next = comap__bucket_next(writer, bucket);

	for (unsigned n = 0; next && n < COMAP_TABLE_CHAIN_MAX; n++) {
		*ret_before = bucket;
		last = bucket = next;
		next = comap__bucket_next(writer, bucket);
	}
	return last;
}

static void unlink_last(struct comap__writer *writer, struct comap_bucket_shm *before)
{
	struct comap_u64 *link = &before->slots[COMAP_BUCKET_SLOTS - 1];

	comap__link_commit(writer, link, comap_u64_load_relaxed(link), 0); /* relaxed: under the mutex */
	comap_u64_sub_relaxed(&writer->stripe->overflows, 1); /* relaxed: a counter */
}

int comap__chain_drop(struct comap__writer *writer, struct comap_bucket_shm *bucket)
{
	struct comap_bucket_shm *before;

	while (last_of(writer, bucket, &before)) {
		if (!comap__writer_has_room(writer))
			return comap__fail(COMAP_CAUSE_PINNED, "readers hold too much back to repair a table");
		unlink_last(writer, before);
	}
	return 0;
}

static bool is_empty(const struct comap_bucket_shm *bucket)
{
	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++)
		if (comap_u64_load_relaxed(&bucket->slots[i])) /* relaxed: under the mutex */
			return false;
	return true;
}

/* Entries come to the first free slot, so that the ends of chains become empty where entries go. Nothing is
 * moved: one store each. */
void comap__chain_trim(struct comap__writer *writer, struct comap_bucket_shm *bucket)
{
	struct comap_bucket_shm *before, *last;

	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		last = last_of(writer, bucket, &before);
		if (COMAP_LIKELY(!last) || !is_empty(last) || !comap__writer_has_room(writer))
			return;
		unlink_last(writer, before);
	}
}

/* --- compacting ------------------------------------------------------------------------------- */

/* Is the word in the chain before `end`? */
static bool stands_before(struct comap__writer *writer, struct comap_bucket_shm *bucket,
                          const struct comap_bucket_shm *end, uint64_t word)
{
	for (unsigned n = 0; bucket && bucket != end && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++)
			if (comap_u64_load_relaxed(&bucket->slots[i]) == word) /* relaxed: under the mutex */
				return true;
		bucket = comap__bucket_next(writer, bucket);
	}
	return false;
}

static unsigned count_free(struct comap__writer *writer, struct comap_bucket_shm *bucket,
                           const struct comap_bucket_shm *end)
{
	unsigned count = 0;

	for (unsigned n = 0; bucket && bucket != end && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++)
			count += comap_u64_load_relaxed(&bucket->slots[i]) == 0; /* relaxed: under the mutex */
		bucket = comap__bucket_next(writer, bucket);
	}
	return count;
}

static unsigned count_to_move(struct comap__writer *writer, struct comap_bucket_shm *first,
                              const struct comap_bucket_shm *last)
{
	unsigned count = 0;

	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
		uint64_t word = comap_u64_load_relaxed(&last->slots[i]); /* relaxed: under the mutex */

		count += word != 0 && !stands_before(writer, first, last, word);
	}
	return count;
}

/* An entry's ref and tag into a free slot of a chain; the entry itself stays where it is. */
static int copy_slot(struct comap__writer *writer, struct comap_bucket_shm *chain, uint64_t word,
                     uint64_t tag)
{
	struct comap__slot slot;
	int code = comap__slot_free(writer, chain, &slot);

	if (code)
		return code;
	comap__bucket_set_tag(slot.bucket, slot.index, tag);
	/* [edge table.slot] rel: as for a new entry */
	comap_u64_store_release(&slot.bucket->slots[slot.index], word);
	return 0;
}

static bool compact_once(struct comap__writer *writer, struct comap_bucket_shm *first)
{
	struct comap_bucket_shm *before, *last = last_of(writer, first, &before);

	if (!last || count_to_move(writer, first, last) > count_free(writer, first, last) ||
	    !comap__writer_has_room(writer))
		return false;
	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
		uint64_t word = comap_u64_load_relaxed(&last->slots[i]); /* relaxed: under the mutex */
		uint64_t tag = comap_u64_load_relaxed(&last->tags) >> i * 8 & 0xff;

		if (word != 0 && !stands_before(writer, first, last, word) &&
		    copy_slot(writer, first, word, tag) != 0)
			return false;
	}
	COMAP_FAULT("table.moved");
	/* [edge table.tags] rel: a move is counted before the unlink; who missed the entry in both places
	 * sees the count */
	comap_u64_store_release(&first->tags, comap_u64_load_relaxed(&first->tags) + (1ull << 56));
	unlink_last(writer, before);
	return true;
}

/* --- splitting -------------------------------------------------------------------------------- */

/* Does the slot's entry belong to bucket `index` of `bucket_count`? */
static bool belongs(struct comap__writer *writer, uint64_t word, uint64_t index, uint64_t bucket_count)
{
	struct comap__entry_parts parts;

	return word != 0 && !(word & COMAP_REF_LINK) && comap__entry_parts(writer->table, word, &parts) &&
	       comap__bucket_index(comap__table_hash(writer->table, parts.key, parts.key_bytes),
	                           bucket_count) == index;
}

/* The entries of a bucket are looked at soon. */
static void fetch_entries(struct comap__writer *writer, const struct comap_bucket_shm *bucket)
{
	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
		uint64_t word = comap_u64_load_relaxed(&bucket->slots[i]); /* relaxed: a hint */

		comap__table_prefetch(writer->region, word & ~COMAP_REF_FLAGS);
	}
}

static int copy_movers(struct comap__writer *writer, struct comap_bucket_shm *from, uint64_t index)
{
	struct comap_bucket_shm *to = comap__writer_bucket(writer, index);
	int code = 0;

	for (unsigned n = 0; from && !code && n < COMAP_TABLE_CHAIN_MAX; n++) {
		fetch_entries(writer, from);
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS && !code; i++) {
			uint64_t word = comap_u64_load_relaxed(&from->slots[i]); /* relaxed: under the mutex */

			if (belongs(writer, word, index, index + 1))
				code = copy_slot(writer, to, word, from->tags.v >> i * 8 & 0xff);
		}
		from = comap__bucket_next(writer, from);
	}
	COMAP_FAULT("table.copied");
	return code;
}

static void clear_movers(struct comap__writer *writer, struct comap_bucket_shm *from, uint64_t index)
{
	for (unsigned n = 0; from && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			uint64_t word = comap_u64_load_relaxed(&from->slots[i]); /* relaxed: under the mutex */

			if (!belongs(writer, word, index, index + 1))
				continue;
			/* [edge table.slot] rel: the new shape before the old slot is empty */
			comap_u64_store_release(&from->slots[i], 0);
			comap__bucket_set_tag(from, i, 0);
		}
		from = comap__bucket_next(writer, from);
	}
	COMAP_FAULT("table.cleared");
}

static uint64_t split_source(uint64_t index)
{
	return index - (1ull << (63 - __builtin_clzll(index)));
}

/* After the commit point; can be repeated. */
static void finish_split(struct comap__writer *writer, uint64_t index)
{
	struct comap_bucket_shm *from = comap__writer_bucket(writer, split_source(index));

	if (!from)
		return;
	clear_movers(writer, from, index);
	while (compact_once(writer, from))
		;
	comap__journal_end(writer);
}

static bool split(struct comap__writer *writer)
{
	uint64_t index = shape_of(writer), inside;
	uint32_t segment = comap__segment_of(index, &inside);
	struct comap_bucket_shm *from, *to;

	/* relaxed: under the mutex */
	if (segment >= COMAP_STRIPE_SEGMENTS ||
	    (comap_u64_load_relaxed(&writer->stripe->segments[segment]) == 0 &&
	     add_segment(writer, segment, index, false) != 0))
		return false;
	from = comap__writer_bucket(writer, split_source(index));
	to = comap__writer_bucket(writer, index);
	if (!from || !to)
		return false;
	comap__chain_expire(writer, from);
	memset(to, 0, sizeof *to); /* nobody looks there yet */
	comap__journal_begin(writer, COMAP_JOURNAL_SPLIT, 0, index, 0, 0);
	if (copy_movers(writer, from, index) != 0) {
		if (comap__chain_drop(writer, to) == 0)
			comap__journal_end(writer);
		else
			comap_u64_store_relaxed(&writer->stripe->unrepaired, 1); /* relaxed: under the mutex */
		return false;
	}
	publish_shape(writer, index + 1);
	finish_split(writer, index);
	return true;
}

void comap__stripe_grow(struct comap__writer *writer)
{
	for (unsigned i = 0; i < SPLITS_MAX; i++)
		/* relaxed: under the mutex */
		if (comap_u64_load_relaxed(&writer->stripe->entries) <=
		    shape_of(writer) * COMAP_TABLE_LOAD || !split(writer))
			return;
}

int comap__split_repair(struct comap__writer *writer)
{
	uint64_t index = comap_u64_load_relaxed(&writer->stripe->journal_word); /* relaxed: under the mutex */
	struct comap_bucket_shm *to = comap__writer_bucket(writer, index);
	int code = 0;

	if (!to || index < COMAP_TABLE_FIRST_BUCKETS)
		return comap__fail(COMAP_CAUSE_CORRUPT, "the journal of a table is damaged");
	if (shape_of(writer) > index) {
		finish_split(writer, index);
	} else {
		code = comap__chain_drop(writer, to);
		if (!code)
			comap__journal_end(writer);
	}
	return code;
}
