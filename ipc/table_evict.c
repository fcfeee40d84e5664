/* SPDX-License-Identifier: MIT */
/* Caches: which entry goes. After S3-FIFO: two queues for each stripe, and the ghosts of what has left.
 *
 *                  no mark: out, a ghost stays
 *                      ^
 *     new key --> [ small ] --marked--> [ main ] --no mark--> out
 *          \__________________________^   |  ^
 *            its ghost was there          |__| marked: once more, with one mark less
 *
 * A queue holds words of 32 bits: so much of the key's hash that its bucket and tag are known. Queues are
 * weak: an entry says in its last word where its own word stands, and a word whose entry is gone, or says
 * something else, is passed over. So nothing needs to be found in a queue, nothing is journalled, and
 * whatever dies where, every entry has exactly one word:
 *
 *     insert      push the word | write the tail, link the entry
 *     move        push the word | write the tail (in place) | advance the queue that it came from
 *     evict       unlink the entry | advance
 *
 * Where it lives: struct comap_cache_stripe_shm; segments: blocks of the heap; marks and ghosts: cells
 * Invariants: I5 every entry's tail names a position in [begin, end) of a queue, at which its word stands,
 *                and no other entry's names the same
 *             I6 a queue's segments are linked from `first` on, without a gap; `end` is in the last
 * Writers:    holder of the stripe's mutex; marks: any reader
 * Ordering:   [edge cache.word]
 * Progress:   an eviction looks at 128 words at most, and then takes what comes
 * If a process dies here: a word without an entry, which is passed over; an empty segment at the end
 * Limits:     2^23 buckets a stripe */
#include "table_cache.h"

#include "error.h"
#include "fault.h"
#include "heap.h"

#include <string.h>

#define LOOKS_MAX 128u          /* at words of living entries; then marks do not help any more */
#define STALE_LOOKS_MAX 4096u   /* at words of entries that are gone, for one eviction */
#define SMALL_PART 10u          /* the small queue has one in so many words */
#define MOVE_MARKS 1u           /* so many marks lead from the small queue to the main one */
#define GHOST_WAYS 4u
#define STALE_FLOOR 64u         /* so many words without entries are always borne */

/* --- segments --------------------------------------------------------------------------------- */

static uint64_t segment_words(const struct comap_table *table)
{
	/* relaxed: fixed; never more than a page, and checked when the handle was made */
	return (comap_u64_load_relaxed(&table->cache->segment_bytes) -
	        sizeof(struct comap_queue_segment_shm)) / sizeof(struct comap_u32);
}

static const struct comap_queue_segment_shm *segment_at(struct comap_table *table, uint64_t ref)
{
	/* relaxed: fixed */
	return ref ? comap__table_at(table, ref, comap_u64_load_relaxed(&table->cache->segment_bytes)) : NULL;
}

static struct comap_queue_segment_shm *writable_segment(struct comap__writer *writer, uint64_t ref)
{
	const void *segment = segment_at(writer->table, ref);

	return segment ? comap__writable(writer->region, segment) : NULL;
}

/* The last segment; NULL: there is none. */
static struct comap_queue_segment_shm *last_segment(struct comap__writer *writer,
                                                    struct comap_queue_shm *queue)
{
	/* relaxed, all of it: under the mutex */
	uint64_t ref = comap_u64_load_relaxed(&queue->last), next;
	struct comap_queue_segment_shm *segment;

	if (!ref)
		ref = comap_u64_load_relaxed(&queue->first);
	segment = writable_segment(writer, ref);
	/* One step, or none: after a death between the link and `last`. */
	if (segment && (next = comap_u64_load_relaxed(&segment->next)) != 0) {
		ref = next;
		segment = writable_segment(writer, ref);
	}
	comap_u64_store_relaxed(&queue->last, ref);
	return segment;
}

static int add_segment(struct comap__writer *writer, struct comap_queue_shm *queue,
                       struct comap_queue_segment_shm *last, struct comap_queue_segment_shm **ret_segment)
{
	/* relaxed, all of it: under the mutex, and before the link */
	size_t size = comap_u64_load_relaxed(&writer->table->cache->segment_bytes);
	struct comap_ref ref;
	void *block;
	int code = comap__block_alloc(writer->region, writer->row, size, &ref, &block);

	if (code)
		return code;
	*ret_segment = block;
	comap_u64_store_relaxed(&(*ret_segment)->next, 0);
	comap_u64_store_relaxed(&(*ret_segment)->base, comap_u64_load_relaxed(&queue->end));
	comap__link_commit(writer, last ? &last->next : &queue->first, 0, ref.offset_bytes);
	comap_u64_store_relaxed(&queue->last, ref.offset_bytes);
	COMAP_FAULT("cache.segment");
	return 0;
}

/* --- words ------------------------------------------------------------------------------------ */

static uint64_t tail_word(uint64_t position, enum comap_queue which) { return position << 1 | which; }

static int push(struct comap__writer *writer, enum comap_queue which, uint32_t word, uint64_t *ret_tail)
{
	struct comap_queue_shm *queue = &comap__cache_stripe(writer)->queues[which];
	struct comap_queue_segment_shm *segment = last_segment(writer, queue);
	uint64_t end = comap_u64_load_relaxed(&queue->end); /* relaxed: under the mutex */
	int code;

	if (!segment || end - comap_u64_load_relaxed(&segment->base) >= segment_words(writer->table)) {
		code = add_segment(writer, queue, segment, &segment);
		if (code)
			return code;
	}
	/* relaxed, both: under the mutex */
	comap_u32_store_relaxed(&segment->words[end - comap_u64_load_relaxed(&segment->base)], word);
	/* [edge cache.word] rel: the word before the end that counts it */
	comap_u64_store_release(&queue->end, end + 1);
	COMAP_FAULT("cache.pushed");
	*ret_tail = tail_word(end, which);
	return 0;
}

static void advance(struct comap_queue_shm *queue)
{
	/* [edge cache.word] rel: the entry is gone, or names another place, before its word is */
	comap_u64_store_release(&queue->begin, comap_u64_load_relaxed(&queue->begin) + 1);
	COMAP_FAULT("cache.advanced");
}

/* The first segment is used up, and there is another. */
static bool drop_first(struct comap__writer *writer, struct comap_queue_shm *queue, uint64_t next)
{
	/* relaxed, all of it: under the mutex */
	uint64_t first = comap_u64_load_relaxed(&queue->first);

	if (!comap__writer_has_room(writer) || !segment_at(writer->table, next))
		return false;
	if (comap_u64_load_relaxed(&queue->last) == first)
		comap_u64_store_relaxed(&queue->last, next);
	comap__link_commit(writer, &queue->first, first, next);
	comap__cache_count_block(writer, next, 0); /* it was counted before */
	return true;
}

/* The word at the front; false: there is none, or no room to go on. */
static bool front(struct comap__writer *writer, enum comap_queue which, uint32_t *ret_word)
{
	struct comap_queue_shm *queue = &comap__cache_stripe(writer)->queues[which];
	const struct comap_queue_segment_shm *segment;
	/* [edge cache.word] acq: the words below the end, the entries as they were when it began here */
	uint64_t end = comap_u64_load_acquire(&queue->end), begin = comap_u64_load_acquire(&queue->begin);

	if (begin == end)
		return false;
	for (int i = 0; i < 2; i++) {
		/* relaxed, all of it: under the mutex */
		segment = segment_at(writer->table, comap_u64_load_relaxed(&queue->first));
		if (!segment)
			return false;
		if (begin - comap_u64_load_relaxed(&segment->base) < segment_words(writer->table)) {
			*ret_word = comap_u32_load_relaxed(&segment->words[begin - segment->base.v]);
			return true;
		}
		if (!drop_first(writer, queue, comap_u64_load_relaxed(&segment->next)))
			return false;
	}
	return false;
}

static uint64_t queue_length(const struct comap_cache_stripe_shm *stripe, enum comap_queue which)
{
	/* relaxed, both: under the mutex */
	return comap_u64_load_relaxed(&stripe->queues[which].end) -
	       comap_u64_load_relaxed(&stripe->queues[which].begin);
}

/* --- entries ---------------------------------------------------------------------------------- */

static const struct comap_u64 *tail_of(struct comap_table *table, const struct comap__entry_parts *parts)
{
	const char *at = parts->value + (parts->value_bytes + 7) / 8 * 8;

	return comap__table_at(table, (uint64_t)(at - table->object.region->view), sizeof(uint64_t));
}

static bool find_in_bucket(struct comap_table *table, const struct comap_bucket_shm *bucket, uint64_t tag,
                           uint64_t tail, struct comap__slot *slot, struct comap__entry_parts *parts)
{
	/* relaxed, all of it: under the mutex */
	uint64_t hits = comap__tag_matches(comap_u64_load_relaxed(&bucket->tags), tag);

	for (; hits; hits &= hits - 1) {
		const struct comap_u64 *own;

		slot->index = (unsigned)__builtin_ctzll(hits) / 8;
		slot->word = comap_u64_load_relaxed(&bucket->slots[slot->index]);
		if (slot->word && !(slot->word & COMAP_REF_LINK) &&
		    comap__entry_parts(table, slot->word, parts) && (own = tail_of(table, parts)) &&
		    comap_u64_load_relaxed(own) == tail)
			return true;
	}
	return false;
}

/* The entry whose word stands at that place. The slot's bucket is as readers see it: the checker looks
 * as a guest. */
static bool find_entry(struct comap_table *table, const struct comap_stripe_shm *stripe, uint32_t word,
                       uint64_t tail, struct comap__slot *slot, struct comap__entry_parts *parts)
{
	/* relaxed, all of it: under the mutex */
	uint64_t shape = comap_u64_load_relaxed(&stripe->shape), tag = word >> 24 ? word >> 24 : 1, next;
	const struct comap_bucket_shm *bucket = shape
		? comap__bucket_at(table, stripe, comap__bucket_index(word & 0xffffff, shape)) : NULL;

	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		slot->bucket = (struct comap_bucket_shm *)(uintptr_t)bucket;
		if (find_in_bucket(table, bucket, tag, tail, slot, parts))
			return true;
		next = comap_u64_load_relaxed(&bucket->slots[COMAP_BUCKET_SLOTS - 1]);
		bucket = next & COMAP_REF_LINK
			? comap__table_at(table, next & ~COMAP_REF_FLAGS, sizeof *bucket) : NULL;
	}
	return false;
}

/* --- marks and ghosts ------------------------------------------------------------------------- */

static uint32_t stripe_index(const struct comap__writer *writer)
{
	return (uint32_t)(comap__cache_stripe(writer) - writer->table->cache_stripes);
}

static unsigned mark_of(const struct comap__writer *writer, uint64_t ref)
{
	unsigned shift;
	const struct comap_u32 *marks = comap__cache_mark_at(writer->table, ref, &shift);

	return comap_u32_load_relaxed(marks) >> shift & 3; /* relaxed: approximate */
}

static void set_mark(const struct comap__writer *writer, uint64_t ref, unsigned mark)
{
	unsigned shift;
	struct comap_u32 *marks = comap__cache_mark_at(writer->table, ref, &shift);
	uint32_t seen = comap_u32_load_relaxed(marks); /* relaxed, as above */

	if ((seen >> shift & 3) != mark)
		comap_u32_store_relaxed(marks, (seen & ~(3u << shift)) | mark << shift);
}

/* A ghost is {16 bits of the key, when it left:16}; it is remembered for as many departures as the stripe
 * has entries. Four stand side by side, and the oldest gives way. Any bytes are valid ghosts. */
struct haunt {
	struct comap_u32 *ghosts;
	uint32_t key, now, limit;
};

static struct haunt haunt_of(const struct comap__writer *writer, uint32_t word)
{
	/* relaxed, all of it: under the mutex; the count is fixed */
	uint64_t count = comap_u64_load_relaxed(&writer->table->cache->ghost_count);
	uint64_t entries = comap_u64_load_relaxed(&writer->stripe->entries) | 1;
	unsigned shift = entries >> 12 ? 63 - (unsigned)__builtin_clzll(entries >> 12) : 0;

	return (struct haunt){
		.ghosts = writer->table->ghosts + stripe_index(writer) * count +
		          (word & 0xffffff & (count / GHOST_WAYS - 1)) * GHOST_WAYS,
		.key = word >> 24 << 8 | (word >> 16 & 0xff),
		.now = (uint32_t)(comap_u64_load_relaxed(&comap__cache_stripe(writer)->demoted) >> shift) & 0xffff,
		.limit = (uint32_t)(entries >> shift),
	};
}

static void leave_ghost(const struct comap__writer *writer, uint32_t word)
{
	struct haunt haunt = haunt_of(writer, word);
	uint32_t oldest = 0, oldest_age = 0;

	for (uint32_t i = 0; i < GHOST_WAYS; i++) {
		uint32_t ghost = comap_u32_load_relaxed(&haunt.ghosts[i]); /* relaxed: under the mutex */
		uint32_t age = ghost ? (haunt.now - ghost) & 0xffff : 0x10000;

		if (age > oldest_age) {
			oldest = i;
			oldest_age = age;
		}
	}
	comap_u32_store_relaxed(&haunt.ghosts[oldest], haunt.key << 16 | haunt.now);
	comap_u64_add_relaxed(&comap__cache_stripe(writer)->demoted, 1); /* relaxed: under the mutex */
}

/* Was the key given up not long ago? Then its ghost has done its duty. */
static bool take_ghost(const struct comap__writer *writer, uint32_t word)
{
	struct haunt haunt = haunt_of(writer, word);

	for (uint32_t i = 0; i < GHOST_WAYS; i++) {
		uint32_t ghost = comap_u32_load_relaxed(&haunt.ghosts[i]); /* relaxed: under the mutex */

		if (!ghost || ghost >> 16 != haunt.key || ((haunt.now - ghost) & 0xffff) > haunt.limit)
			continue;
		comap_u32_store_relaxed(&haunt.ghosts[i], 0);
		return true;
	}
	return false;
}

/* --- coming ----------------------------------------------------------------------------------- */

int comap__cache_enter(struct comap__writer *writer, uint64_t hash, struct comap_ref ref,
                       struct comap_u64 *tail)
{
	uint32_t word = comap__cache_word(hash);
	uint64_t place;
	int code = push(writer, take_ghost(writer, word) ? COMAP_QUEUE_MAIN : COMAP_QUEUE_SMALL, word, &place);

	if (code)
		return code;
	set_mark(writer, ref.offset_bytes, 0);
	comap_u64_store_relaxed(tail, place); /* relaxed: before the entry is linked */
	return 0;
}

void comap__cache_follow(struct comap__writer *writer, const struct comap__entry_parts *parts,
                         struct comap_ref ref, struct comap_u64 *tail)
{
	const struct comap_u64 *old = tail_of(writer->table, parts);
	unsigned mark = mark_of(writer, (uint64_t)((const char *)parts->entry - writer->region->view));

	/* relaxed, both: under the mutex, before the link. Without a place it would stay for ever: the bytes
	 * are damaged then. */
	comap_u64_store_relaxed(tail, old ? comap_u64_load_relaxed(old) : 0);
	set_mark(writer, ref.offset_bytes, mark < COMAP_CACHE_MARK_MAX ? mark + 1 : mark);
}

/* --- going ------------------------------------------------------------------------------------ */

/* A word at the front of a queue, and the entry that it stands for. */
struct candidate {
	enum comap_queue which;
	uint32_t word;
	struct comap__slot slot;
	struct comap__entry_parts parts;
};

/* The entry's word goes to the end of a queue; false: there is no room for it. */
static bool move(struct comap__writer *writer, struct candidate *candidate, enum comap_queue to)
{
	const struct comap_u64 *tail = tail_of(writer->table, &candidate->parts);
	uint64_t place;

	if (!tail || push(writer, to, candidate->word, &place) != 0)
		return false;
	/* relaxed: under the mutex; see advance() */
	comap_u64_store_relaxed(comap__writable(writer->region, tail), place);
	COMAP_FAULT("cache.moved");
	return true;
}

/* True: it stays, at the end of the main queue. */
static bool is_spared(struct comap__writer *writer, struct candidate *candidate, bool patient)
{
	unsigned mark = mark_of(writer, candidate->slot.word);

	if (!patient || mark < (candidate->which == COMAP_QUEUE_SMALL ? MOVE_MARKS : 1u) ||
	    !move(writer, candidate, COMAP_QUEUE_MAIN))
		return false;
	set_mark(writer, candidate->slot.word, candidate->which == COMAP_QUEUE_SMALL ? 0 : mark - 1);
	return true;
}

/* The entry of the word at the front of the candidate's queue. */
static bool find_candidate(struct comap__writer *writer, struct candidate *candidate)
{
	const struct comap_queue_shm *queue = &comap__cache_stripe(writer)->queues[candidate->which];
	/* relaxed: under the mutex */
	uint64_t tail = tail_word(comap_u64_load_relaxed(&queue->begin), candidate->which);

	if (!find_entry(writer->table, writer->stripe, candidate->word, tail, &candidate->slot,
	                &candidate->parts))
		return false;
	candidate->slot.bucket = comap__writable(writer->region, candidate->slot.bucket);
	return true;
}

/* The next word that stands for an entry; others are passed over. */
static bool next_candidate(struct comap__writer *writer, struct candidate *candidate)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);

	for (unsigned i = 0; i < STALE_LOOKS_MAX; i++) {
		uint64_t small = queue_length(stripe, COMAP_QUEUE_SMALL);
		uint64_t main = queue_length(stripe, COMAP_QUEUE_MAIN);

		candidate->which = main == 0 || small * SMALL_PART > small + main ? COMAP_QUEUE_SMALL
		                                                                  : COMAP_QUEUE_MAIN;
		if (!front(writer, candidate->which, &candidate->word))
			return false;
		if (find_candidate(writer, candidate))
			return true;
		advance(&stripe->queues[candidate->which]);
	}
	return false;
}

static void trim_chain(struct comap__writer *writer, uint32_t word)
{
	uint64_t shape = comap_u64_load_relaxed(&writer->stripe->shape); /* relaxed: under the mutex */

	comap__chain_trim(writer, comap__writer_bucket(writer, comap__bucket_index(word & 0xffffff, shape)));
}

size_t comap__cache_evict_one(struct comap__writer *writer, enum comap_event why)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	struct candidate candidate;
	size_t size_bytes;

	for (unsigned looks = 0; comap__writer_has_room(writer) && next_candidate(writer, &candidate); looks++) {
		bool over = comap__entry_is_over(&candidate.parts);

		if (!over && is_spared(writer, &candidate, looks < LOOKS_MAX)) {
			advance(&stripe->queues[candidate.which]);
			continue;
		}
		if (!comap__writer_has_room(writer))
			return 0;
		size_bytes = comap__block_bytes(writer->region, (struct comap_ref){ candidate.slot.word });
		comap__slot_remove(writer, &candidate.slot, &candidate.parts, over ? COMAP_EVENT_EXPIRED : why);
		if (!over && candidate.which == COMAP_QUEUE_SMALL)
			leave_ghost(writer, candidate.word);
		advance(&stripe->queues[candidate.which]);
		trim_chain(writer, candidate.word);
		writer->evicted += !over;
		return size_bytes;
	}
	return 0;
}

void comap__cache_tidy(struct comap__writer *writer)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	/* relaxed: under the mutex */
	uint64_t small = queue_length(stripe, COMAP_QUEUE_SMALL), main = queue_length(stripe, COMAP_QUEUE_MAIN);
	struct candidate candidate;

	if (COMAP_LIKELY(small + main <= comap_u64_load_relaxed(&writer->stripe->entries) * 2 + STALE_FLOOR))
		return;
	candidate.which = small > main ? COMAP_QUEUE_SMALL : COMAP_QUEUE_MAIN;
	for (int i = 0; i < 2 && front(writer, candidate.which, &candidate.word); i++) {
		if (find_candidate(writer, &candidate) && !move(writer, &candidate, candidate.which))
			return;
		advance(&stripe->queues[candidate.which]);
	}
}

/* --- looking ---------------------------------------------------------------------------------- */

uint64_t comap__cache_queue_bytes(struct comap_table *table, const struct comap_queue_shm *queue,
                                  comap__root_visitor *visit, void *context)
{
	/* relaxed, all of it: under the mutex, or a moment's picture */
	uint64_t ref = comap_u64_load_relaxed(&queue->first), bytes = 0;
	uint64_t limit = (comap_u64_load_relaxed(&queue->end) - comap_u64_load_relaxed(&queue->begin)) /
	                 segment_words(table) + 3;
	const struct comap_queue_segment_shm *segment;

	while ((segment = segment_at(table, ref)) && limit--) {
		if (visit)
			visit(context, (struct comap_ref){ ref }, "table");
		bytes += comap__block_bytes(table->object.region, (struct comap_ref){ ref });
		ref = comap_u64_load_relaxed(&segment->next);
	}
	return bytes;
}

uint64_t comap__cache_count_words(struct comap_table *table, uint32_t stripe, enum comap_queue which)
{
	const struct comap_queue_shm *queue = &table->cache_stripes[stripe].queues[which];
	const struct comap_queue_segment_shm *segment = segment_at(table, queue->first.v);
	uint64_t count = 0, words = segment_words(table);
	struct comap__entry_parts parts;
	struct comap__slot slot;

	for (uint64_t at = queue->begin.v; segment && at < queue->end.v; at++) {
		if (at - segment->base.v >= words)
			segment = segment_at(table, segment->next.v);
		if (segment && at - segment->base.v < words)
			count += find_entry(table, &table->stripes[stripe], segment->words[at - segment->base.v].v,
			                    tail_word(at, which), &slot, &parts);
	}
	return count;
}
