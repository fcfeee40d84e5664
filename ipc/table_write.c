/* SPDX-License-Identifier: MIT */
/* Tables: writing. See table.h.
 *
 * A write prepares its entry in a block of its own before it takes the stripe's lock, and publishes it
 * with one store. Counters are changed in place, inside a read section, without the lock: a removal or
 * an overwriting that comes at the same time comes after.
 *
 * Writers:    holder of the stripe's mutex; of a counter's value: anybody
 * Ordering:   [edge table.slot] by table_stripe.c
 * Progress:   blocking on the stripe; comap_table_add() on a counter that is there: wait-free. Of other
 *             stripes, expired entries of four buckets now and then, where the lock is free
 * If a process dies here: see table_stripe.c; a block that was not linked is freed with its owner */
#include "table_cache.h"
#include "table_side.h"

#include "error.h"
#include "fault.h"
#include "rcu.h"

#include <errno.h>
#include <string.h>

#define ADD_TRIES 1000       /* a counter that others make and remove again and again */
#define HAND_BUCKETS 4       /* that one write looks through at most */
#define HAND_EVERY 4         /* of so many writes one looks for expired entries elsewhere in its stripe */
#define ELSEWHERE_EVERY 16   /* ... and one in another stripe */
#define HELP_EVERY 64        /* of so many writes one empties what a bulk load has left */

/* --- the new entry ---------------------------------------------------------------------------- */

/* An entry under construction. */
struct draft {
	struct comap_ref ref;
	struct comap_entry_shm *entry;
	struct comap_u64 *tail;      /* in a cache: its last word */
	uint64_t head;               /* without the version */
	int64_t stored_bytes;
};

uint64_t comap__table_expiry(const struct comap_table *table, uint64_t ttl_ns)
{
	uint64_t now_ns;

	if (ttl_ns == COMAP_TTL_DEFAULT)
		ttl_ns = comap_u64_load_relaxed(&table->shm->default_ttl_ns); /* relaxed: a number of its own */
	if (ttl_ns == 0 || ttl_ns == COMAP_TTL_NONE)
		return 0;
	now_ns = comap__table_now_ns();
	return ttl_ns < UINT64_MAX - now_ns ? now_ns + ttl_ns : 0;
}

static int draft_make(struct comap__writer *writer, const struct comap_table_write *write,
                      unsigned flags, uint64_t expires_ns, struct draft *draft)
{
	bool wide = write->key_bytes > 255 || write->value_bytes > 255;
	size_t value_at, tail_at, size, words = 0;
	char *key;
	void *block;
	int code;

	flags |= (wide ? COMAP_ENTRY_WIDE : 0) | (expires_ns ? COMAP_ENTRY_MORTAL : 0);
	words = wide + !!(flags & COMAP_ENTRY_MORTAL);
	value_at = 8 + words * 8 + (write->key_bytes + 7) / 8 * 8;
	tail_at = value_at + (write->value_bytes + 7) / 8 * 8;
	size = writer->table->cache ? tail_at + comap__cache_tail_bytes(writer->table)
	                            : value_at + write->value_bytes;
	code = comap__cache_check_size(writer->table, size);
	if (!code)
		code = comap__block_alloc(writer->region, writer->row, size, &draft->ref, &block);
	if (code)
		return code;
	draft->tail = (struct comap_u64 *)(void *)((char *)block + tail_at);
	draft->entry = block;
	draft->head = (uint64_t)flags << 16 | (wide ? 0 : write->key_bytes << 8 | write->value_bytes);
	draft->stored_bytes = (int64_t)(write->key_bytes + write->value_bytes);
	/* relaxed: the block is ours until its ref is stored */
	if (wide)
		comap_u64_store_relaxed(&draft->entry->words[0], (uint64_t)write->key_bytes << 32 |
		                        write->value_bytes);
	if (flags & COMAP_ENTRY_MORTAL)
		comap_u64_store_relaxed(&draft->entry->words[words - 1], expires_ns);
	key = (char *)block + 8 + words * 8;
	if (write->key_bytes % 8)
		memset(key + write->key_bytes / 8 * 8, 0, 8);
	memcpy(key, write->key, write->key_bytes);
	if (write->value_bytes)
		memcpy((char *)block + value_at, write->value, write->value_bytes);
	return 0;
}

static uint64_t draft_seal(struct comap__writer *writer, struct draft *draft)
{
	/* relaxed, both: under the mutex. The sequence follows when the lock is given back, or repaired. */
	uint64_t version = (comap_u64_load_relaxed(&writer->stripe->sequence) + 1) & COMAP_VERSION_MASK;

	comap_u64_store_relaxed(&draft->entry->head, version << 20 | draft->head);
	return version;
}

/* --- under the lock --------------------------------------------------------------------------- */

static int outcome_of(const struct comap_table_write *write, bool there, uint64_t version)
{
	switch (write->mode) {
	case COMAP_TABLE_INSERT:
		return there ? COMAP_TABLE_EXISTS : COMAP_TABLE_DONE;
	case COMAP_TABLE_REPLACE:
		return there ? COMAP_TABLE_DONE : COMAP_TABLE_MISSING;
	case COMAP_TABLE_CAS:
		return !there ? COMAP_TABLE_MISSING :
		       version == write->version ? COMAP_TABLE_DONE : COMAP_TABLE_CHANGED;
	default:
		return COMAP_TABLE_DONE;
	}
}

static int add_entry(struct comap__writer *writer, uint64_t hash, const struct draft *draft)
{
	struct comap_bucket_shm *bucket;
	struct comap__slot slot;
	int code = comap__stripe_found(writer);

	if (!code && writer->table->cache)
		code = comap__cache_enter(writer, hash, draft->ref, draft->tail);
	if (code)
		return code;
	bucket = comap__writer_bucket(writer, comap__bucket_index(hash,
		comap_u64_load_relaxed(&writer->stripe->shape))); /* relaxed: under the mutex */
	if (!bucket)
		return comap__fail(COMAP_CAUSE_CORRUPT, "a bucket of the table lies outside the heap");
	code = comap__slot_free(writer, bucket, &slot);
	if (code)
		return code;
	comap__bucket_set_tag(slot.bucket, slot.index, comap__hash_tag(hash));
	COMAP_FAULT("table.tagged");
	comap__slot_commit(writer, &slot, draft->ref.offset_bytes, 1, draft->stored_bytes);
	return 0;
}

/* DONE, another outcome, or an error; the draft is linked only with DONE. */
static int place(struct comap__writer *writer, uint64_t hash, const struct comap_table_write *write,
                 struct draft *draft, uint64_t *ret_version)
{
	struct comap__entry_parts parts;
	struct comap__slot slot;
	bool found = comap__slot_find(writer, hash, write->key, write->key_bytes, &slot, &parts);
	bool there = found && !comap__entry_is_gone(&parts);
	int code = outcome_of(write, there, there ? parts.version : 0);

	if (code) {
		*ret_version = there ? parts.version : 0;
		return code;
	}
	*ret_version = draft_seal(writer, draft);
	if (!found)
		return add_entry(writer, hash, draft);
	if (writer->table->cache)
		comap__cache_follow(writer, &parts, draft->ref, draft->tail);
	comap__slot_commit(writer, &slot, draft->ref.offset_bytes, 0, draft->stored_bytes -
	                   (int64_t)(parts.key_bytes + parts.value_bytes));
	return COMAP_TABLE_DONE;
}

static void note_mortal(struct comap__writer *writer)
{
	if (!comap_u64_load_relaxed(&writer->stripe->mortal)) /* relaxed, both: under the mutex */
		comap_u64_store_relaxed(&writer->stripe->mortal, COMAP_MORTAL_SOME);
}

/* Where entries expire: those of further buckets are taken away, bucket by bucket until one has none. */
static void expire_some(struct comap__writer *writer)
{
	struct comap_stripe_shm *stripe = writer->stripe;
	/* relaxed, all of it: under the mutex */
	uint64_t hand = comap_u64_load_relaxed(&stripe->hand), shape = comap_u64_load_relaxed(&stripe->shape);
	bool found = shape > 0;

	if (!found)
		return;
	for (unsigned i = 0; i < HAND_BUCKETS && found; i++, hand++)
		found = comap__chain_expire(writer, comap__writer_bucket(writer, hand % shape)) > 0;
	comap_u64_store_relaxed(&stripe->hand, hand % shape);
	comap_u64_store_relaxed(&stripe->mortal, found ? COMAP_MORTAL_MANY : COMAP_MORTAL_SOME);
}

/* In the write's own stripe: where the last look found some, so does each write, else one in a few. */
static void move_hand(struct comap__writer *writer)
{
	/* relaxed, both: under the mutex */
	uint64_t mortal = comap_u64_load_relaxed(&writer->stripe->mortal);
	uint64_t sequence = comap_u64_load_relaxed(&writer->stripe->sequence);

	if (mortal && (mortal == COMAP_MORTAL_MANY || sequence % HAND_EVERY == 0))
		expire_some(writer);
}

/* In a stripe to which perhaps nobody writes any more, the next one each time: after the write, holding no
 * lock, and where that stripe's is free. If the process dies here the write is done, and the stripe is one
 * in which a removal was under way. */
static void expire_elsewhere(struct comap_table *table, uint64_t hash, uint64_t version)
{
	uint64_t index = (comap__hash_stripe(hash) + version / ELSEWHERE_EVERY) % COMAP_STRIPES;
	struct comap__writer other;

	/* relaxed: a hint; it is looked at again under the mutex */
	if (comap__writer_init(&other, table, index << 58) != 0 ||
	    !comap_u64_load_relaxed(&other.stripe->mortal) || !comap__writer_has_room(&other) ||
	    comap__stripe_trylock(&other) != 0)
		return;
	if (comap_u64_load_relaxed(&other.stripe->mortal))
		expire_some(&other);
	comap__stripe_unlock(&other);
}

static int lock_and_place(struct comap__writer *writer, uint64_t hash,
                          const struct comap_table_write *write, struct draft *draft,
                          uint64_t *ret_version)
{
	int code = comap__retire_reserve(writer->region, writer->row);

	if (!code)
		code = comap__stripe_lock(writer);
	if (code)
		return code;
	code = !writer->turn || comap__turn_lasts(writer, writer->turn)
		? place(writer, hash, write, draft, ret_version) : COMAP_TABLE_CHANGED;
	if (code == COMAP_TABLE_DONE) {
		comap__turns_end(writer, hash);
		if (draft->head >> 16 & COMAP_ENTRY_MORTAL)
			note_mortal(writer); /* relaxed: under the mutex */
		move_hand(writer);
		if (writer->table->cache)
			comap__cache_tidy(writer);
		comap__stripe_grow(writer); /* last: see split() */
	}
	comap__stripe_unlock(writer);
	return code;
}

static int draft_and_place(struct comap__writer *writer, uint64_t hash,
                           const struct comap_table_write *write, unsigned flags, uint64_t expires_ns,
                           uint64_t *ret_version)
{
	struct draft draft;
	int code = draft_make(writer, write, flags, expires_ns, &draft);

	if (code)
		return code;
	code = comap__cache_reserve(writer, draft.ref);
	if (!code)
		code = lock_and_place(writer, hash, write, &draft, ret_version);
	if (code != COMAP_TABLE_DONE)
		comap__block_abandon(writer->region, writer->row, draft.ref);
	comap__cache_release(writer);
	return code;
}

int comap__write_with(struct comap__writer *writer, uint64_t hash, const struct comap_table_write *write,
                      unsigned flags, uint64_t expires_ns, uint64_t *ret_version)
{
	uint64_t version = 0;
	int code = draft_and_place(writer, hash, write, flags, expires_ns, &version);

	for (unsigned tries = 0; code == -ENOSPC; tries++) {
		if (comap__cache_relieve(writer, write->key_bytes + write->value_bytes, tries) != 0)
			break;
		code = draft_and_place(writer, hash, write, flags, expires_ns, &version);
	}
	if (code >= 0)
		*ret_version = version;
	if (write->ret_evicted)
		*write->ret_evicted = writer->evicted;
	return code;
}

int comap__table_write(struct comap_table *table, const struct comap_table_write *write, unsigned flags,
                       const struct comap_turn *turn, uint64_t *ret_version)
{
	uint64_t hash = comap__table_hash(table, write->key, write->key_bytes), version = 0;
	struct comap__writer writer;
	int code = comap__writer_init(&writer, table, hash);

	if (!code) {
		writer.turn = turn;
		code = comap__write_with(&writer, hash, write, flags,
		                         comap__table_expiry(table, write->ttl_ns), &version);
	}
	if (code >= 0 && ret_version)
		*ret_version = version;
	if (code == COMAP_TABLE_DONE && version % ELSEWHERE_EVERY == 0)
		expire_elsewhere(table, hash, version);
	if (code == COMAP_TABLE_DONE && version % HELP_EVERY == 0 && comap__side_is_dirty(table))
		comap__side_help(table);
	return code;
}

/* --- the interface ---------------------------------------------------------------------------- */

int comap__write_check(struct comap_table *table, const struct comap_table_write *write)
{
	int code = comap__table_check(table);

	if (!code && !write)
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "the write is NULL");
	if (!code)
		code = comap__table_check_key(write->key, write->key_bytes);
	if (code)
		return code;
	if ((!write->value && write->value_bytes) || write->mode > COMAP_TABLE_CAS)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the value is NULL, or %u is no mode", write->mode);
	if (write->value_bytes > COMAP_TABLE_VALUE_MAX_BYTES || write->value_bytes < table->object.type_bytes)
		return comap__fail_errno(EMSGSIZE, "a value of %zu bytes: the type has %u, and at most %u may be",
		                         write->value_bytes, table->object.type_bytes,
		                         COMAP_TABLE_VALUE_MAX_BYTES);
	return 0;
}

int comap_table_write(struct comap_table *table, const struct comap_table_write *write,
                      uint64_t *ret_version)
{
	int code = comap__write_check(table, write);

	return code ? code : comap__table_write(table, write, 0, NULL, ret_version);
}

int comap_table_put(struct comap_table *table, const void *key, size_t key_bytes, const void *value,
                    size_t value_bytes)
{
	struct comap_table_write write = { key, key_bytes, value, value_bytes, COMAP_TABLE_PUT, 0, 0 };

	return comap_table_write(table, &write, NULL);
}

int comap_table_insert(struct comap_table *table, const void *key, size_t key_bytes, const void *value,
                       size_t value_bytes)
{
	struct comap_table_write write = { key, key_bytes, value, value_bytes, COMAP_TABLE_INSERT, 0, 0 };

	return comap_table_write(table, &write, NULL);
}

int comap_table_replace(struct comap_table *table, const void *key, size_t key_bytes,
                        const void *value, size_t value_bytes)
{
	struct comap_table_write write = { key, key_bytes, value, value_bytes, COMAP_TABLE_REPLACE, 0, 0 };

	return comap_table_write(table, &write, NULL);
}

int comap_table_cas(struct comap_table *table, const void *key, size_t key_bytes, uint64_t version,
                    const void *value, size_t value_bytes)
{
	struct comap_table_write write = {
		key, key_bytes, value, value_bytes, COMAP_TABLE_CAS, version, 0
	};

	return comap_table_write(table, &write, NULL);
}

/* A writer on the key's stripe, which is locked; `code` is what stands in the way. */
static int lock_key(struct comap__writer *writer, struct comap_table *table, const void *key,
                    size_t key_bytes, uint64_t *ret_hash)
{
	int code = comap__table_check(table);

	if (!code)
		code = comap__table_check_key(key, key_bytes);
	if (code)
		return code;
	*ret_hash = comap__table_hash(table, key, key_bytes);
	code = comap__writer_init(writer, table, *ret_hash);
	if (!code)
		code = comap__retire_reserve(writer->region, writer->row);
	return code ? code : comap__stripe_lock(writer);
}

int comap_table_remove(struct comap_table *table, const void *key, size_t key_bytes)
{
	struct comap__entry_parts parts;
	struct comap__writer writer;
	struct comap__slot slot;
	uint64_t hash;
	bool there = false;
	int code = lock_key(&writer, table, key, key_bytes, &hash);

	if (code)
		return code;
	comap__turns_end(&writer, hash);
	if (comap__slot_find(&writer, hash, key, key_bytes, &slot, &parts)) {
		there = !comap__entry_is_gone(&parts);
		comap__slot_commit(&writer, &slot, 0, -1, -(int64_t)(parts.key_bytes + parts.value_bytes));
		comap__bucket_set_tag(slot.bucket, slot.index, 0);
		comap__chain_trim(&writer, comap__writer_bucket(&writer, comap__bucket_index(hash,
			comap_u64_load_relaxed(&writer.stripe->shape)))); /* relaxed: under the mutex */
	}
	comap__stripe_unlock(&writer);
	return there ? COMAP_TABLE_DONE : COMAP_TABLE_MISSING;
}

/* --- touch ------------------------------------------------------------------------------------ */

/* The entry has no place for a time: a copy that has one, under the same version, takes its place. */
static int make_mortal(struct comap__writer *writer, struct comap__slot *slot,
                       const struct comap__entry_parts *parts, uint64_t expires_ns)
{
	struct comap_table_write write = {
		parts->key, parts->key_bytes, parts->value, parts->value_bytes, COMAP_TABLE_PUT, 0, 0
	};
	struct draft draft;
	int code = draft_make(writer, &write, 0, expires_ns, &draft);

	if (code)
		return code;
	if (writer->table->cache)
		comap__cache_follow(writer, parts, draft.ref, draft.tail);
	/* relaxed: before the slot */
	comap_u64_store_relaxed(&draft.entry->head, parts->version << 20 | draft.head);
	note_mortal(writer);
	comap__slot_commit(writer, slot, draft.ref.offset_bytes, 0, 0);
	return 0;
}

int comap_table_touch(struct comap_table *table, const void *key, size_t key_bytes, uint64_t ttl_ns)
{
	struct comap__entry_parts parts;
	struct comap__writer writer;
	struct comap__slot slot;
	uint64_t hash, expires_ns;
	int code = lock_key(&writer, table, key, key_bytes, &hash);

	if (code)
		return code;
	expires_ns = comap__table_expiry(table, ttl_ns);
	if (!comap__slot_find(&writer, hash, key, key_bytes, &slot, &parts) ||
	    comap__entry_is_gone(&parts)) {
		code = COMAP_TABLE_MISSING;
	} else if (parts.expires) {
		/* relaxed: one word, which readers compare with the time */
		comap_u64_store_relaxed(comap__writable(writer.region, parts.expires), expires_ns);
		note_mortal(&writer); /* relaxed: under the mutex */
	} else if (expires_ns) {
		code = make_mortal(&writer, &slot, &parts, expires_ns);
	}
	comap__stripe_unlock(&writer);
	return code;
}

/* --- counters --------------------------------------------------------------------------------- */

/* 1: added; 0: the key is not there; or an error. */
static int add_in_place(struct comap_table *table, const void *key, size_t key_bytes, int64_t delta,
                        int64_t *ret_value)
{
	struct comap__entry_parts parts;
	uint64_t hash = comap__table_hash(table, key, key_bytes);
	int code = comap_read_begin(table->object.region);

	if (code)
		return code;
	if (comap__table_find(table, hash, key, key_bytes, &parts) && !comap__entry_is_gone(&parts)) {
		code = -EPROTOTYPE;
		if (parts.flags & COMAP_ENTRY_COUNTER && parts.value_bytes == 8) {
			/* relaxed: the number is all there is to it */
			*ret_value = (int64_t)comap_u64_add_relaxed(comap__writable(table->object.region, parts.value),
			                                            (uint64_t)delta) + delta;
			comap__table_used(table, parts.entry);
			code = 1;
		}
	}
	comap_read_end(table->object.region);
	return code;
}

int comap_table_add(struct comap_table *table, const void *key, size_t key_bytes, int64_t delta,
                    int64_t *ret_value)
{
	struct comap_table_write write = { key, key_bytes, &delta, sizeof delta, COMAP_TABLE_INSERT, 0, 0 };
	int64_t value = delta;
	int code = comap__write_check(table, &write);

	if (!code)
		code = comap__may_change(table->object.region);
	if (!code)
		code = comap__heap_make_writable(table->object.region);
	if (code)
		return code;
	for (int i = 0; i < ADD_TRIES && code == 0; i++) {
		code = add_in_place(table, key, key_bytes, delta, &value);
		if (code)
			break;
		value = delta;
		code = comap__table_write(table, &write, COMAP_ENTRY_COUNTER | COMAP_ENTRY_MORTAL, NULL, NULL);
		if (code == COMAP_TABLE_DONE)
			code = 1;
		else if (code == COMAP_TABLE_EXISTS)
			code = 0;
	}
	if (code == -EPROTOTYPE)
		return comap__fail(COMAP_CAUSE_TYPE, "the key's value is no counter");
	if (code == 0)
		return comap__fail(COMAP_CAUSE_BUSY, "the counter came and went %d times", ADD_TRIES);
	if (code > 0 && ret_value)
		*ret_value = value;
	return code > 0 ? 0 : code;
}
