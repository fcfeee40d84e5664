/* SPDX-License-Identifier: MIT */
/* Tables: one stripe under its lock: find a slot, make room for one, commit; repair after a death.
 *
 * Where it lives: struct comap_stripe_shm and the chains of its buckets (layout.h)
 * Invariants: those of table.c. The journal says what is under way: SLOT, one word and the counts that go
 *             with it; SPLIT, a bucket that is being built
 * Writers:    holder of the mutex.  Readers: table_read.c, without it
 * Ordering:   [edge table.slot], [edge table.tags], [edge table.journal], [edge mutex.lock]
 * Progress:   blocking, for some hundred nanoseconds; a dead holder costs its sweep, a stopped one the
 *             deadline
 * If a process dies here:
 *   before the slot is stored     the block is freed by the heap's sweep; the journal is void
 *   after it                      the intent publishes the new block and retires the old one; the
 *                                 journal sets the counts
 *   a tag without its slot        means nothing: readers look at the slot
 *   in a split                    table_split.c */
#include "table_cache.h"

#include "error.h"
#include "fault.h"
#include "mutex.h"
#include "rcu.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SETTLE_MS 2000

int comap__writer_init(struct comap__writer *writer, struct comap_table *table, uint64_t hash)
{
	int code = comap__table_check(table);

	if (!code)
		code = comap__may_change(table->object.region);
	if (code)
		return code;
	writer->table = table;
	writer->region = table->object.region;
	writer->swaps = comap__table_swaps(table);
	writer->stripe = comap__table_side(table, writer->swaps) + comap__hash_stripe(hash);
	writer->is_loader = false;
	writer->why = COMAP_EVENT_REMOVED;
	writer->reserved_bytes = writer->evicted = 0;
	writer->turn = NULL;
	writer->row = comap__thread_row(table->object.region);
	return writer->row ? comap__heap_make_writable(table->object.region) : -comap_last_error()->code;
}

bool comap__writer_has_room(const struct comap__writer *writer)
{
	return comap__ring_has_room(&writer->region->threads[writer->row->record]);
}

/* --- the journal ------------------------------------------------------------------------------ */

static struct comap_ref ref_of(const struct comap__writer *writer, const void *word)
{
	return (struct comap_ref){ (uint64_t)((const char *)word - writer->region->writable) };
}

void comap__journal_begin(struct comap__writer *writer, enum comap_journal_op op, uint64_t link,
                          uint64_t word, int64_t entries, int64_t bytes)
{
	struct comap_stripe_shm *stripe = writer->stripe;

	/* relaxed, all of it: under the mutex; op makes them count */
	comap_u64_store_relaxed(&stripe->journal_link, link);
	comap_u64_store_relaxed(&stripe->journal_word, word);
	comap_u64_store_relaxed(&stripe->journal_entries,
	                        comap_u64_load_relaxed(&stripe->entries) + (uint64_t)entries);
	comap_u64_store_relaxed(&stripe->journal_bytes,
	                        comap_u64_load_relaxed(&stripe->stored_bytes) + (uint64_t)bytes);
	/* [edge table.journal] rel: the plan before the op that makes it count */
	comap_u64_store_release(&stripe->journal_op, op);
	COMAP_FAULT("table.journal");
}

void comap__journal_end(struct comap__writer *writer)
{
	/* [edge table.journal] rel: everything that it covered is done */
	comap_u64_store_release(&writer->stripe->journal_op, COMAP_JOURNAL_NONE);
}

static void take_counts(struct comap__writer *writer)
{
	struct comap_stripe_shm *stripe = writer->stripe;

	/* relaxed: under the mutex */
	comap_u64_store_relaxed(&stripe->entries, comap_u64_load_relaxed(&stripe->journal_entries));
	comap_u64_store_relaxed(&stripe->stored_bytes, comap_u64_load_relaxed(&stripe->journal_bytes));
	if (writer->table->cache)
		comap__cache_take_counts(writer);
}

/* --- commits ---------------------------------------------------------------------------------- */

static void commit(struct comap__writer *writer, struct comap_u64 *link, uint64_t old_word,
                   uint64_t word)
{
	struct comap_ref old = { old_word & ~COMAP_REF_FLAGS }, new = { word & ~COMAP_REF_FLAGS };

	comap__intent_begin(writer->region, writer->row, ref_of(writer, link), old,
	                    (struct comap_ref){ word });
	/* [edge table.slot] rel: the whole entry or bucket before its ref. The commit point. */
	comap_u64_store_release(link, word);
	COMAP_FAULT("table.committed");
	comap__intent_settle(writer->region, writer->row, old, new);
	comap__intent_end(writer->region, writer->row);
	COMAP_FAULT("table.settled");
}

void comap__link_commit(struct comap__writer *writer, struct comap_u64 *link, uint64_t old_word,
                        uint64_t word)
{
	if (writer->table->cache)
		comap__cache_count_block(writer, old_word, word);
	commit(writer, link, old_word, word);
}

void comap__slot_commit(struct comap__writer *writer, struct comap__slot *slot, uint64_t word,
                        int64_t entries, int64_t bytes)
{
	struct comap_u64 *link = &slot->bucket->slots[slot->index];

	if (writer->table->cache)
		comap__cache_plan(writer, slot->word, word);
	comap__journal_begin(writer, COMAP_JOURNAL_SLOT, ref_of(writer, link).offset_bytes, word, entries,
	                     bytes);
	commit(writer, link, slot->word, word);
	take_counts(writer);
	comap__journal_end(writer);
	writer->changed = true;
	slot->word = word;
}

void comap__bucket_set_tag(struct comap_bucket_shm *bucket, unsigned index, uint64_t tag)
{
	uint64_t tags = comap_u64_load_relaxed(&bucket->tags); /* relaxed: under the mutex */

	tags = (tags & ~(0xffull << index * 8)) | tag << index * 8;
	/* [edge table.tags] rel: the slot, link or shape that makes the old tag void before it goes */
	comap_u64_store_release(&bucket->tags, tags);
}

/* --- the lock --------------------------------------------------------------------------------- */

/* Has somebody died in the middle of an operation that is not settled yet? */
static bool dead_left_intents(struct comap *region)
{
	uint32_t high_water = comap__threads_used(region);

	for (uint32_t i = 0; i < high_water; i++) {
		const struct comap_thread_shm *thread = &region->threads[i];
		uint64_t owner;

		if (comap_u64_load_acquire(&thread->intent.op) == COMAP_INTENT_NONE) /* [edge intent.op] acq */
			continue;
		owner = comap_u64_load_acquire(&thread->owner); /* [edge thread.release] acq */
		if (owner & 1 && comap__seat_is_dead(region, owner >> 1))
			return true;
	}
	return false;
}

/* The dead one's blocks come first: what it linked must be PUBLISHED before it is unlinked. */
static int settle_the_dead(struct comap *region)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t deadline_ns = comap_deadline_ms(SETTLE_MS);

	for (;;) {
		comap__seats_reap(region);
		if (!dead_left_intents(region))
			return 0;
		if (comap_now_ns() >= deadline_ns)
			return comap__fail(COMAP_CAUSE_BUSY, "a writer died, and the process that puts its affairs "
			                   "in order does not go on");
		nanosleep(&pause, NULL);
	}
}

static int repair(struct comap__writer *writer)
{
	struct comap_stripe_shm *stripe = writer->stripe;
	const struct comap_u64 *link;
	int code = settle_the_dead(writer->region);

	if (!code)
		code = comap__retire_reserve(writer->region, writer->row);
	if (code)
		return code;
	/* [edge table.journal] acq: seen the op => the plan is whole */
	switch (comap_u64_load_acquire(&stripe->journal_op)) {
	case COMAP_JOURNAL_SLOT:
		/* relaxed: under the mutex */
		link = comap__at(writer->region, (struct comap_ref){
			comap_u64_load_relaxed(&stripe->journal_link) }, sizeof *link, sizeof *link);
		if (link && comap_u64_load_relaxed(link) == comap_u64_load_relaxed(&stripe->journal_word))
			take_counts(writer);
		comap__journal_end(writer);
		break;
	case COMAP_JOURNAL_SPLIT:
		code = comap__split_repair(writer);
		break;
	default:
		break;
	}
	COMAP_FAULT("table.repaired");
	if (!code && writer->table->cache)
		comap__cache_repair(writer);
	if (!code) {
		comap__turns_repair(writer);
		comap_u64_add_relaxed(&stripe->repairs, 1); /* relaxed: a counter */
		/* Its version was given, and may have been linked: nobody gets it again. */
		comap__stripe_count_change(writer);
		writer->changed = true;
	}
	return code;
}

/* Locked, with what comap__mutex_lock() has said. */
static int enter(struct comap__writer *writer, int code)
{
	struct comap_stripe_shm *stripe = writer->stripe;

	writer->changed = false;
	writer->turns_over = 0;
	if (code < 0)
		return code;
	/* relaxed, both: under the mutex */
	if (COMAP_LIKELY(code == 0 && !comap_u64_load_relaxed(&stripe->unrepaired)))
		return 0;
	comap_u64_store_relaxed(&stripe->unrepaired, 1);
	code = repair(writer);
	if (code)
		comap__mutex_unlock(&stripe->mutex, writer->row->token);
	else
		comap_u64_store_relaxed(&stripe->unrepaired, 0);
	return code;
}

int comap__stripe_lock_until(struct comap__writer *writer, uint64_t deadline_ns)
{
	for (;;) {
		uint32_t index = (uint32_t)(writer->stripe - writer->table->stripes) % COMAP_STRIPES;
		uint64_t swaps;
		int code = enter(writer, comap__mutex_lock(writer->region, &writer->stripe->mutex,
		                                           writer->row->token, deadline_ns));

		/* relaxed: who swaps holds this mutex */
		swaps = comap_u64_load_relaxed(&writer->table->shm->swaps);
		if (COMAP_LIKELY(code || swaps == writer->swaps || writer->is_loader))
			return code;
		comap__stripe_unlock(writer);
		writer->swaps = swaps;
		writer->stripe = comap__table_side(writer->table, swaps) + index;
	}
}

int comap__stripe_lock(struct comap__writer *writer)
{
	return comap__stripe_lock_until(writer, comap_deadline_ms(COMAP_TABLE_LOCK_MS));
}

int comap__stripe_trylock(struct comap__writer *writer)
{
	int code = enter(writer, comap__mutex_trylock(writer->region, &writer->stripe->mutex,
	                                              writer->row->token));

	/* relaxed: who swaps holds this mutex */
	if (COMAP_LIKELY(code || comap_u64_load_relaxed(&writer->table->shm->swaps) == writer->swaps))
		return code;
	comap__stripe_unlock(writer);
	return -EBUSY;
}

void comap__stripe_unlock(struct comap__writer *writer)
{
	if (writer->table->cache)
		comap__cache_settle(writer);
	if (writer->changed)
		comap__stripe_count_change(writer);
	comap__mutex_unlock(&writer->stripe->mutex, writer->row->token);
	if (writer->changed && !writer->is_loader) /* of what is not in use nobody waits for anything */
		comap__stripe_wake(writer);
	if (COMAP_UNLIKELY(writer->turns_over))
		comap__turns_wake(writer);
}

/* --- chains ----------------------------------------------------------------------------------- */

struct comap_bucket_shm *comap__writer_bucket(struct comap__writer *writer, uint64_t index)
{
	const void *bucket = comap__bucket_at(writer->table, writer->stripe, index);

	return bucket ? comap__writable(writer->region, bucket) : NULL;
}

struct comap_bucket_shm *comap__bucket_next(struct comap__writer *writer,
                                            const struct comap_bucket_shm *bucket)
{
	/* relaxed: under the mutex */
	uint64_t word = comap_u64_load_relaxed(&bucket->slots[COMAP_BUCKET_SLOTS - 1]);
	const void *next;

	if (COMAP_LIKELY(!(word & COMAP_REF_LINK)))
		return NULL;
	next = comap__table_at(writer->table, word & ~COMAP_REF_FLAGS, sizeof *bucket);
	return next ? comap__writable(writer->region, next) : NULL;
}

static bool find_in_bucket(struct comap__writer *writer, struct comap_bucket_shm *bucket, uint64_t tag,
                           const void *key, size_t key_bytes, struct comap__slot *slot,
                           struct comap__entry_parts *parts)
{
	/* relaxed, both: under the mutex */
	uint64_t hits = comap__tag_matches(comap_u64_load_relaxed(&bucket->tags), tag);

	for (; hits; hits &= hits - 1) {
		slot->bucket = bucket;
		slot->index = (unsigned)__builtin_ctzll(hits) / 8;
		slot->word = comap_u64_load_relaxed(&bucket->slots[slot->index]);
		if (slot->word && !(slot->word & COMAP_REF_LINK) &&
		    comap__entry_parts(writer->table, slot->word, parts) && parts->key_bytes == key_bytes &&
		    memcmp(parts->key, key, key_bytes) == 0)
			return true;
	}
	return false;
}

bool comap__slot_find(struct comap__writer *writer, uint64_t hash, const void *key, size_t key_bytes,
                      struct comap__slot *ret_slot, struct comap__entry_parts *ret_parts)
{
	uint64_t shape = comap_u64_load_relaxed(&writer->stripe->shape); /* relaxed: under the mutex */
	struct comap_bucket_shm *bucket;

	if (shape == 0)
		return false;
	bucket = comap__writer_bucket(writer, comap__bucket_index(hash, shape));
	for (unsigned i = 0; bucket && i < COMAP_TABLE_CHAIN_MAX; i++) {
		if (find_in_bucket(writer, bucket, comap__hash_tag(hash), key, key_bytes, ret_slot, ret_parts))
			return true;
		bucket = comap__bucket_next(writer, bucket);
	}
	return false;
}

/* A further bucket behind a full one: it begins with the entry of the last slot, whose place the link
 * takes. One store, so that no reader misses the entry. */
static int lengthen(struct comap__writer *writer, struct comap_bucket_shm *last,
                    struct comap__slot *ret_slot)
{
	struct comap_u64 *link = &last->slots[COMAP_BUCKET_SLOTS - 1];
	uint64_t tag = comap_u64_load_relaxed(&last->tags) >> 48 & 0xff; /* relaxed: under the mutex */
	struct comap_bucket_shm *bucket;
	struct comap_ref ref;
	void *block;
	int code = comap__block_alloc(writer->region, writer->row, sizeof *bucket, &ref, &block);

	if (code)
		return code;
	bucket = block;
	memset(bucket, 0, sizeof *bucket);
	/* relaxed: before the link */
	comap_u64_store_relaxed(&bucket->tags, tag);
	comap_u64_store_relaxed(&bucket->slots[0], comap_u64_load_relaxed(link));
	comap__link_commit(writer, link, 0, ref.offset_bytes | COMAP_REF_LINK);
	comap__bucket_set_tag(last, COMAP_BUCKET_SLOTS - 1, 0);
	comap_u64_add_relaxed(&writer->stripe->overflows, 1); /* relaxed: a counter */
	*ret_slot = (struct comap__slot){ bucket, 1, 0 };
	return 0;
}

int comap__slot_free(struct comap__writer *writer, struct comap_bucket_shm *bucket,
                     struct comap__slot *ret_slot)
{
	struct comap_bucket_shm *last = bucket;

	for (unsigned n = 0; bucket; bucket = comap__bucket_next(writer, bucket)) {
		if (n++ == COMAP_TABLE_CHAIN_MAX)
			return comap__fail(COMAP_CAUSE_CORRUPT, "a chain of the table has no end");
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++)
			if (comap_u64_load_relaxed(&bucket->slots[i]) == 0) { /* relaxed: under the mutex */
				*ret_slot = (struct comap__slot){ bucket, i, 0 };
				return 0;
			}
		last = bucket;
	}
	if (comap_u64_load_relaxed(&last->slots[COMAP_BUCKET_SLOTS - 1]) & COMAP_REF_LINK)
		return comap__fail(COMAP_CAUSE_CORRUPT, "a chain of the table leads out of the heap");
	return lengthen(writer, last, ret_slot);
}

void comap__slot_remove(struct comap__writer *writer, struct comap__slot *slot,
                        const struct comap__entry_parts *parts, enum comap_event why)
{
	writer->why = why;
	comap__slot_commit(writer, slot, 0, -1, -(int64_t)(parts->key_bytes + parts->value_bytes));
	writer->why = COMAP_EVENT_REMOVED;
	comap__bucket_set_tag(slot->bucket, slot->index, 0);
	if (why == COMAP_EVENT_EXPIRED)
		comap_u64_add_relaxed(&writer->stripe->expired, 1); /* relaxed: a counter */
}

unsigned comap__chain_expire(struct comap__writer *writer, struct comap_bucket_shm *bucket)
{
	struct comap_bucket_shm *first = bucket;
	struct comap__entry_parts parts;
	unsigned count = 0;

	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			/* relaxed: under the mutex */
			struct comap__slot slot = { bucket, i, comap_u64_load_relaxed(&bucket->slots[i]) };

			if (slot.word == 0 || slot.word & COMAP_REF_LINK ||
			    !comap__entry_parts(writer->table, slot.word, &parts) ||
			    !comap__entry_is_over(&parts) || !comap__writer_has_room(writer))
				continue;
			comap__slot_remove(writer, &slot, &parts, COMAP_EVENT_EXPIRED);
			count++;
		}
		bucket = comap__bucket_next(writer, bucket);
	}
	if (count)
		comap__chain_trim(writer, first);
	return count;
}
