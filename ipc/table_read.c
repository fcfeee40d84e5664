/* SPDX-License-Identifier: MIT */
/* Tables: reading. See table.h.
 *
 * A look-up goes through the chain of the key's bucket. What it finds was there at some moment of the
 * look-up: slots change by one store each. What it does not find may have been moved meanwhile, and
 * only a split moves: to another bucket (then the shape has changed so that the key's bucket is another
 * one), or forward in the chain (then the first bucket counts one more move). So it looks again in these
 * two cases, and each can come at most once per doubling of the table; and where a bulk load has swapped
 * the sides meanwhile, because the side that it looked at is emptied afterwards.
 *
 *              | split                          | reader
 *   first      | copy the entry to where it goes| load the slots (acquire)
 *   then       | shape, or number of moves      | ---
 *   then       | clear the slot (release)       | load shape and moves again
 *
 * Ordering:   [edge table.slot], [edge table.tags], [edge table.shape]; guests: [edge reuse.horizon]
 * Progress:   lock-free, bounded; no store but the mark
 * Writers:    none here */
#include "table_cache.h"

#include "error.h"
#include "fault.h"
#include "rcu.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#define GUEST_TRIES 1000
#define FIND_TRIES 64u  /* more splits of one bucket than there can be: the bytes are damaged */
#define GROUP 32u       /* look-ups that overlap */

uint64_t comap__table_hash(const struct comap_table *table, const void *key, size_t key_bytes)
{
	return XXH3_64bits_withSeed(key, key_bytes, table->seed);
}

uint64_t comap__table_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool comap__table_heap_grown(struct comap_table *table, uint64_t end)
{
	const struct comap *region = table->object.region;
	/* [edge region.committed] acq: seen so many bytes committed => they have space in the file */
	uint64_t bytes = comap_u64_load_acquire(&region->control->heap_committed_bytes);

	if (bytes > region->identity->heap_max_bytes)
		bytes = region->identity->heap_max_bytes;
	/* relaxed, both: any value that it ever had is good */
	comap_u64_store_relaxed(&table->heap_end, table->heap_begin + bytes);
	if (bytes > COMAP__SHORT_BYTES)
		comap_u64_store_relaxed(&table->near_end, table->heap_begin + bytes - COMAP__SHORT_BYTES);
	return end <= table->heap_begin + bytes;
}

int comap__table_check(struct comap_table *table)
{
	return table ? comap__attached(table->object.region)
	             : comap__fail(COMAP_CAUSE_ARGUMENT, "the table handle is NULL");
}

int comap__table_check_key(const void *key, size_t key_bytes)
{
	if (!key || key_bytes == 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a key has at least one byte");
	if (key_bytes > COMAP_TABLE_KEY_MAX_BYTES)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a key of %zu bytes: at most %u", key_bytes,
		                   COMAP_TABLE_KEY_MAX_BYTES);
	return 0;
}

/* --- one look-up ------------------------------------------------------------------------------ */

/* Where a look-up stands. */
struct probe {
	uint64_t hash, tag, index, tags, swaps;
	const struct comap_stripe_shm *stripe;
	const struct comap_bucket_shm *bucket;
};

static inline void aim(struct comap_table *table, uint64_t hash, struct probe *probe)
{
	uint64_t shape;

	probe->hash = hash;
	probe->tag = comap__hash_tag(hash);
	probe->swaps = comap__table_swaps(table);
	probe->stripe = comap__table_side(table, probe->swaps) + comap__hash_stripe(hash);
	/* [edge table.shape] acq: seen so many buckets => each of them is whole */
	shape = comap_u64_load_acquire(&probe->stripe->shape);
	probe->bucket = NULL;
	if (COMAP_UNLIKELY(shape == 0))
		return;
	probe->index = comap__bucket_index(hash, shape);
	probe->bucket = comap__bucket_at(table, probe->stripe, probe->index);
}

/* Word by word, which for short keys is faster than a call: an entry's key ends in zeros up to 8. */
static inline bool same_bytes(const struct comap_u64 *words, const void *key, size_t key_bytes)
{
	const char *at = key;
	uint64_t word;

	for (; key_bytes >= 8; key_bytes -= 8, at += 8, words++) {
		memcpy(&word, at, 8);
		if (comap_u64_load_relaxed(words) != word) /* relaxed: immutable; guests validate */
			return false;
	}
	word = 0;
	memcpy(&word, at, key_bytes);
	return key_bytes == 0 || comap_u64_load_relaxed(words) == word; /* the same */
}

/* Is this the key's entry? For short ones without a time, most of all: where the value lies follows from
 * the length that was asked for, so that its line is on the way before the head has arrived. */
static inline bool is_entry_of(struct comap_table *table, uint64_t word, const void *key,
                               size_t key_bytes, struct comap__entry_parts *parts)
{
	const struct comap_entry_shm *entry = comap__table_at(table, word, COMAP__SHORT_BYTES);
	uint64_t head;

	if (COMAP_LIKELY(entry && key_bytes <= 255)) {
		__builtin_prefetch((const char *)entry + 64);
		head = comap_u64_load_relaxed(&entry->head); /* relaxed: immutable; guests validate */
		if (COMAP_LIKELY((head >> 8 & 0xfff) == key_bytes)) { /* this length, no flags */
			parts->entry = entry;
			parts->key = (const char *)entry->words;
			parts->value = parts->key + (key_bytes + 7) / 8 * 8;
			parts->key_bytes = key_bytes;
			parts->value_bytes = head & 0xff;
			parts->version = head >> 20;
			parts->expires = NULL;
			parts->flags = 0;
			return same_bytes(entry->words, key, key_bytes);
		}
	}
	return comap__entry_parts(table, word, parts) && parts->key_bytes == key_bytes &&
	       memcmp(parts->key, key, key_bytes) == 0;
}

/* Looks through one bucket whose tags are given. */
static inline bool search(struct comap_table *table, const struct comap_bucket_shm *bucket,
                          uint64_t tags, uint64_t tag, const void *key, size_t key_bytes,
                          struct comap__entry_parts *parts)
{
	for (uint64_t hits = comap__tag_matches(tags, tag); hits; hits &= hits - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(hits) / 8;
		/* [edge table.slot] acq: seen the ref => the whole entry is seen; seen the slot cleared or
		 * filled anew => the shape and the moves before that are seen */
		uint64_t word = comap_u64_load_acquire(&bucket->slots[slot]);

		if (word && !(word & COMAP_REF_LINK) && is_entry_of(table, word, key, key_bytes, parts))
			return true;
	}
	return false;
}

/* The rest of the chain behind a bucket. */
static bool search_chain(struct comap_table *table, const struct comap_bucket_shm *bucket, uint64_t tag,
                         const void *key, size_t key_bytes, struct comap__entry_parts *parts)
{
	uint64_t word, tags;

	COMAP_FAULT("table.looked");
	for (unsigned i = 0; i < COMAP_TABLE_CHAIN_MAX; i++) {
		/* [edge table.slot] acq: seen the link => the bucket behind it is whole */
		word = comap_u64_load_acquire(&bucket->slots[COMAP_BUCKET_SLOTS - 1]);
		if (COMAP_LIKELY(!(word & COMAP_REF_LINK)))
			return false;
		bucket = comap__table_at(table, word & ~COMAP_REF_FLAGS, sizeof *bucket);
		if (!bucket)
			return false;
		tags = comap_u64_load_acquire(&bucket->tags); /* [edge table.tags] acq */
		if (search(table, bucket, tags, tag, key, key_bytes, parts))
			return true;
	}
	return false;
}

/* After a miss: can the entry have been moved out of the look-up's way? */
static bool was_moved(struct comap_table *table, const struct probe *probe)
{
	uint64_t shape = comap_u64_load_acquire(&probe->stripe->shape); /* [edge table.shape] acq */

	/* relaxed: a side is emptied after the swap, and what we did not see there is ordered by the
	 * acquires of shape, tags and slots */
	if (comap_u64_load_relaxed(&table->shm->swaps) != probe->swaps)
		return true;
	if (shape == 0)
		return false;
	if (!probe->bucket || comap__bucket_index(probe->hash, shape) != probe->index)
		return true;
	/* relaxed: ordered by the acquires of the slots before it */
	return (comap_u64_load_relaxed(&probe->bucket->tags) ^ probe->tags) >> 56 != 0;
}

static bool find_again(struct comap_table *table, struct probe *probe, const void *key,
                       size_t key_bytes, struct comap__entry_parts *parts)
{
	for (unsigned i = 0; i < FIND_TRIES && was_moved(table, probe); i++) {
		aim(table, probe->hash, probe);
		if (!probe->bucket)
			return false;
		probe->tags = comap_u64_load_acquire(&probe->bucket->tags); /* [edge table.tags] acq */
		if (search(table, probe->bucket, probe->tags, probe->tag, key, key_bytes, parts) ||
		    search_chain(table, probe->bucket, probe->tag, key, key_bytes, parts))
			return true;
	}
	return false;
}

bool comap__table_find(struct comap_table *table, uint64_t hash, const void *key, size_t key_bytes,
                       struct comap__entry_parts *parts)
{
	struct probe probe;

	aim(table, hash, &probe);
	if (COMAP_UNLIKELY(!probe.bucket))
		return find_again(table, &probe, key, key_bytes, parts);
	/* [edge table.tags] acq: seen a tag gone => the shape, the moves or the link that took it away
	 * are seen */
	probe.tags = comap_u64_load_acquire(&probe.bucket->tags);
	COMAP_FAULT("table.aimed");
	return search(table, probe.bucket, probe.tags, probe.tag, key, key_bytes, parts) ||
	       search_chain(table, probe.bucket, probe.tag, key, key_bytes, parts) ||
	       find_again(table, &probe, key, key_bytes, parts);
}

static bool find_living(struct comap_table *table, const void *key, size_t key_bytes,
                        struct comap__entry_parts *parts)
{
	uint64_t hash = comap__table_hash(table, key, key_bytes);

	if (!comap__table_find(table, hash, key, key_bytes, parts) || comap__entry_is_gone(parts))
		return false;
	comap__table_used(table, parts->entry);
	return true;
}

/* --- views ------------------------------------------------------------------------------------ */

static struct comap_view view_of(const struct comap__entry_parts *parts)
{
	return (struct comap_view){
		.data = parts->value, .size_bytes = parts->value_bytes, .version = parts->version,
	};
}

static int check_section(struct comap_table *table)
{
	int code;

	if (COMAP_LIKELY(table && comap__may_look(table->object.region)))
		return 0;
	code = comap__table_check(table);
	return code ? code : comap__fail(COMAP_CAUSE_ARGUMENT,
	                                 "a view is taken inside a read section: COMAP_READ");
}

/* --- the short way ---------------------------------------------------------------------------- */

/* The processor has several look-ups under way at once, as many as fit into its window of some two hundred
 * instructions: so each instruction counts. The usual case is written out: a key of at most 16 bytes, in
 * the first bucket, under the first tag that matches, in a short entry without a time; or surely not there.
 * Everything else goes the long way. */

__attribute__((flatten)) static inline uint64_t short_hash(const void *key, size_t key_bytes, uint64_t seed)
{
	if (key_bytes > 16)
		__builtin_unreachable();
	return XXH3_64bits_withSeed(key, key_bytes, seed);
}

/* As comap__tag_matches(), a bit per slot. */
static inline unsigned slots_of(uint64_t tags, uint64_t tag)
{
#if defined(__SSE2__)
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_cvtsi64_si128((int64_t)tags),
	                                                  _mm_set1_epi8((char)tag))) & 0x7f;
#else
	unsigned slots = 0;

	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++)
		slots |= (unsigned)((tags >> i * 8 & 0xff) == tag) << i;
	return slots;
#endif
}

/* A key of 1 to 7 bytes as entries have it: zeros after it. */
static inline uint64_t padded(const unsigned char *key, size_t key_bytes)
{
	uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint32_t first, last;

	if (key_bytes < 4)
		return key[0] | (uint64_t)key[key_bytes / 2] << key_bytes / 2 * 8 |
		       (uint64_t)key[key_bytes - 1] << (key_bytes - 1) * 8;
	memcpy(&first, key, 4);
	memcpy(&last, key + key_bytes - 4, 4);
	word = first | (uint64_t)last << (key_bytes - 4) * 8;
#else
	memcpy(&word, key, key_bytes);
#endif
	return word;
}

/* Is it the entry of this key of 1 to 16 bytes? Plain loads: entries that a section sees do not change. */
static inline bool same_short(const struct comap_entry_shm *entry, const char *key, size_t key_bytes)
{
	const char *its = (const char *)entry->words;
	uint64_t first, last, its_first, its_last;

	memcpy(&its_first, its, 8);
	if (COMAP_UNLIKELY(key_bytes < 8))
		return its_first == padded((const unsigned char *)key, key_bytes);
	memcpy(&first, key, 8);
	memcpy(&last, key + key_bytes - 8, 8); /* the two overlap */
	memcpy(&its_last, its + key_bytes - 8, 8);
	return ((first ^ its_first) | (last ^ its_last)) == 0;
}

/* No tag matches: is the chain at its end, and has nothing moved? */
static inline bool is_absent(const struct comap_table *table, const struct probe *probe, uint64_t shape)
{
	/* [edge table.slot] acq: as in search_chain() */
	return !(comap_u64_load_acquire(&probe->bucket->slots[COMAP_BUCKET_SLOTS - 1]) & COMAP_REF_LINK) &&
	       comap_u64_load_acquire(&probe->stripe->shape) == shape && /* [edge table.shape] acq */
	       /* relaxed, both: as in was_moved() */
	       comap_u64_load_relaxed(&table->shm->swaps) == probe->swaps &&
	       (comap_u64_load_relaxed(&probe->bucket->tags) ^ probe->tags) >> 56 == 0;
}

/* The ref of the hash's bucket; 0: the long way. comap__bucket_index() and comap__segment_of() in fewer
 * steps, for tables that have left their first buckets. */
static inline uint64_t bucket_ref(const struct comap_stripe_shm *stripe, uint64_t hash, uint64_t shape)
{
	unsigned log = 63 ^ (unsigned)__builtin_clzll(shape);
	uint64_t index = hash & ((2ull << log) - 1);

	index &= ~((uint64_t)(index >= shape) << log); /* no branch: it would be a toss */
	if (COMAP_UNLIKELY(index < COMAP_TABLE_FIRST_BUCKETS))
		return 0;
	log = 63 ^ (unsigned)__builtin_clzll(index);
	/* relaxed: stored before the shape that led here */
	return comap_u64_load_relaxed(&stripe->segments[log - 1]) +
	       (index & ~(1ull << log)) * sizeof(struct comap_bucket_shm);
}

/* True: `view` says what there is. */
static inline bool view_short(struct comap_table *table, const void *key, size_t key_bytes,
                              struct comap_view *ret_view)
{
	/* relaxed: as in comap__table_at(). A ref below it is inside the view, with all of a short entry. */
	uint64_t near_end = comap_u64_load_relaxed(&table->near_end), shape, ref, head;
	uint64_t hash = short_hash(key, key_bytes, table->seed);
	struct probe probe = { .swaps = comap__table_swaps(table) };
	const struct comap_entry_shm *entry;
	unsigned slots;

	probe.stripe = comap__table_side(table, probe.swaps) + comap__hash_stripe(hash);
	/* [edge table.shape] acq: seen so many buckets => each of them is whole */
	shape = comap_u64_load_acquire(&probe.stripe->shape);
	if (COMAP_UNLIKELY(shape - 1 >= UINT32_MAX))
		return false;
	ref = bucket_ref(probe.stripe, hash, shape);
	if (COMAP_UNLIKELY(ref - 1 >= near_end || (ref & COMAP_REF_FLAGS)))
		return false;
	probe.bucket = (const void *)(table->view + ref);
	/* [edge table.tags] acq: as in comap__table_find() */
	probe.tags = comap_u64_load_acquire(&probe.bucket->tags);
	COMAP_FAULT("table.aimed");
	slots = slots_of(probe.tags, comap__hash_tag(hash));
	if (COMAP_UNLIKELY(!slots)) {
		COMAP_FAULT("table.looked");
		*ret_view = (struct comap_view){ 0 };
		return is_absent(table, &probe, shape);
	}
	/* [edge table.slot] acq: seen the ref => the whole entry is seen */
	ref = comap_u64_load_acquire(&probe.bucket->slots[__builtin_ctz(slots)]);
	if (COMAP_UNLIKELY(ref - 1 >= near_end || (ref & COMAP_REF_FLAGS)))
		return false;
	entry = (const void *)(table->view + ref);
	__builtin_prefetch((const char *)entry + 64);
	head = comap_u64_load_relaxed(&entry->head); /* relaxed: immutable */
	if (COMAP_UNLIKELY((head >> 8 & 0xfff) != key_bytes || !same_short(entry, key, key_bytes)))
		return false;
	comap__table_used(table, entry);
	ret_view->data = (const char *)entry->words + (key_bytes + 7) / 8 * 8;
	ret_view->size_bytes = head & 0xff;
	ret_view->version = head >> 20;
	return true;
}

static inline bool may_look(const struct comap *region)
{
	const struct comap_u64 *mark = comap__row(region)->mark;

	/* relaxed: the thread's own word. Nested, not parked; the long way knows more */
	return mark && (comap_u64_load_relaxed(mark) & (COMAP__MARK_NESTING | COMAP__MARK_PARKED)) - 1 <
	               COMAP__MARK_NESTING;
}

__attribute__((noinline)) static struct comap_view view_long(struct comap_table *table, const void *key,
                                                             size_t key_bytes)
{
	struct comap__entry_parts parts;

	if (COMAP_UNLIKELY(!key || key_bytes - 1 >= COMAP_TABLE_KEY_MAX_BYTES)) {
		comap__table_check_key(key, key_bytes);
		return (struct comap_view){ 0 };
	}
	if (COMAP_UNLIKELY(check_section(table)) || !find_living(table, key, key_bytes, &parts))
		return (struct comap_view){ 0 };
	return view_of(&parts);
}

struct comap_view comap_table_view(struct comap_table *table, const void *key, size_t key_bytes)
{
	struct comap_view view;

	if (COMAP_LIKELY(table && key && key_bytes - 1 < 16 && may_look(table->object.region)) &&
	    COMAP_LIKELY(view_short(table, key, key_bytes, &view)))
		return view;
	return view_long(table, key, key_bytes);
}

/* Up to GROUP look-ups side by side: hashes and buckets; then tags and the first likely entry; then
 * the comparison, by which time the lines are there. */
static int view_group(struct comap_table *table, size_t count, const struct comap_key *keys,
                      struct comap_view *views)
{
	struct probe probes[GROUP];
	struct comap__entry_parts parts;
	int found = 0;

	for (size_t i = 0; i < count; i++) {
		aim(table, comap__table_hash(table, keys[i].data, keys[i].size_bytes), &probes[i]);
		__builtin_prefetch(probes[i].bucket);
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t hits, word;

		if (!probes[i].bucket)
			continue;
		hits = comap__tag_matches(comap_u64_load_relaxed(&probes[i].bucket->tags), probes[i].tag);
		/* relaxed, both: hints of what to fetch */
		word = hits ? comap_u64_load_relaxed(&probes[i].bucket->slots[__builtin_ctzll(hits) / 8]) : 0;
		if (word) {
			comap__table_prefetch(table->object.region, word);
			comap__table_prefetch(table->object.region, word + 64);
		}
	}
	for (size_t i = 0; i < count; i++) {
		bool there = comap__table_find(table, probes[i].hash, keys[i].data, keys[i].size_bytes,
		                               &parts) && !comap__entry_is_gone(&parts);

		if (there)
			comap__table_used(table, parts.entry);
		views[i] = there ? view_of(&parts) : (struct comap_view){ 0 };
		found += there;
	}
	return found;
}

int comap_table_view_many(struct comap_table *table, size_t count, const struct comap_key *keys,
                          struct comap_view *ret_views)
{
	int found, code = check_section(table);
	uint64_t swaps;

	if (code)
		return code;
	if ((count && (!keys || !ret_views)) || count > INT32_MAX)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%zu keys, and no place for them", count);
	for (size_t i = 0; i < count; i++)
		if (comap__table_check_key(keys[i].data, keys[i].size_bytes) != 0)
			return -EINVAL;
	for (unsigned i = 0; i < FIND_TRIES; i++) {
		swaps = comap__table_swaps(table);
		found = 0;
		for (size_t k = 0; k < count; k += GROUP)
			found += view_group(table, count - k < GROUP ? count - k : GROUP, keys + k, ret_views + k);
		/* relaxed: each look-up has loaded it in between; all of them the same number, if it is still
		 * the one from before */
		if (COMAP_LIKELY(comap_u64_load_relaxed(&table->shm->swaps) == swaps))
			return found;
	}
	return comap__fail_errno(EAGAIN, "the table was loaded anew %u times meanwhile", FIND_TRIES);
}

/* --- copies ----------------------------------------------------------------------------------- */

int comap__entry_copy(const struct comap__entry_parts *parts, void *buffer, size_t capacity_bytes,
                      struct comap_view *ret_view)
{
	uint64_t number;

	*ret_view = view_of(parts);
	ret_view->data = buffer;
	if (parts->value_bytes > capacity_bytes)
		return -ENOBUFS;
	if (parts->flags & COMAP_ENTRY_COUNTER && parts->value_bytes == sizeof number) {
		/* relaxed: a number of its own */
		number = comap_u64_load_relaxed((const struct comap_u64 *)(const void *)parts->value);
		memcpy(buffer, &number, sizeof number);
	} else if (parts->value_bytes) {
		memcpy(buffer, parts->value, parts->value_bytes);
	}
	return 0;
}

/* Into the buffer, where it fits: 0, -ENOENT, -ENOBUFS. */
static int copy_out(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                    size_t capacity_bytes, struct comap_view *view)
{
	struct comap__entry_parts parts;

	if (!find_living(table, key, key_bytes, &parts))
		return -ENOENT;
	return comap__entry_copy(&parts, buffer, capacity_bytes, view);
}

/* What a guest has copied is whole if no memory has been used again since it began. */
static int guest_copy(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                      size_t capacity_bytes, struct comap_view *view)
{
	const struct comap_control_shm *control = table->object.region->control;
	uint64_t epoch;
	int code;

	for (int i = 0; i < GUEST_TRIES; i++) {
		/* [edge rcu.epoch] acq: what was unlinked before this epoch is not found any more */
		epoch = comap_u64_load_acquire(&control->epoch);
		code = copy_out(table, key, key_bytes, buffer, capacity_bytes, view);
		/* [edge reuse.horizon] acq: the copy before the horizon */
		comap_fence_acquire();
		if (comap_u64_load_relaxed(&control->horizon) <= epoch) /* relaxed: after the fence */
			return code;
	}
	return comap__fail_errno(EAGAIN, "the memory was used again %d times while an entry was copied",
	                         GUEST_TRIES);
}

static int copy(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                size_t capacity_bytes, struct comap_view *view)
{
	int code;

	if (table && comap__is_guest(table->object.region))
		return guest_copy(table, key, key_bytes, buffer, capacity_bytes, view);
	code = comap__table_check(table);
	if (!code)
		code = comap_read_begin(table->object.region);
	if (code)
		return code;
	code = copy_out(table, key, key_bytes, buffer, capacity_bytes, view);
	comap_read_end(table->object.region);
	return code;
}

int comap_table_get(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                    size_t capacity_bytes, struct comap_view *ret_view)
{
	struct comap_view view = { 0 };
	int code = comap__table_check_key(key, key_bytes);

	if (!code && !buffer && capacity_bytes)
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "the buffer is NULL");
	if (code)
		return code;
	code = copy(table, key, key_bytes, buffer, capacity_bytes, &view);
	if (code == -ENOENT)
		comap__fail(COMAP_CAUSE_NOT_FOUND, "the table does not hold this key");
	if (code == -ENOBUFS)
		comap__fail_errno(ENOBUFS, "the value has %zu bytes, the buffer %zu", view.size_bytes,
		                  capacity_bytes);
	if (ret_view && (code == 0 || code == -ENOBUFS))
		*ret_view = view;
	return code;
}

int comap_table_contains(struct comap_table *table, const void *key, size_t key_bytes)
{
	struct comap_view view;
	int code = comap__table_check_key(key, key_bytes);

	if (code)
		return code;
	code = copy(table, key, key_bytes, NULL, 0, &view);
	return code == -ENOENT ? 0 : code == 0 || code == -ENOBUFS ? 1 : code;
}
