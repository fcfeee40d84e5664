/* SPDX-License-Identifier: MIT */
/* Caches: how many bytes a table has, and may have.
 *
 *     used_bytes  =  fixed (marks, ghosts)  +  what each stripe has told  +  what writers have reserved
 *     a stripe    =  blocks of entries  +  buckets  +  segments of queues, as the heap hands them out
 *
 * A write reserves its entry's block first, and evicts until the sum is within the budget: from the key's own
 * stripe if that has its share, from others if it has less. So stripes lend to each other, and the sum is
 * never larger than the budget but by what is being done at the moment. Blocks that wait for readers are not
 * in it: they have a budget of their own, the region's.
 *
 * Where it lives: cells: struct comap_cache_shm, 64 struct comap_cache_stripe_shm, marks, ghosts
 * Invariants: I7 a stripe's entry_bytes and events are right whenever nobody holds it; told_bytes is their
 *                sum with the overhead after each hold
 * Writers:    used_bytes, hand: anybody, by addition; the rest: holder of the stripe's mutex
 * Ordering:   none of its own
 * Progress:   a write evicts at most 64 entries and one for each 64 bytes of its own
 * If a process dies here: entry_bytes and events follow the journal; the overhead is counted anew by the next
 *             holder; used_bytes is too large or small by what it was about until the next recount */
#include "table_cache.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "rcu.h"

#include <errno.h>

#define LARGEST_PART 8u          /* an entry may have so much of the budget */
#define EVICT_BATCH 32u          /* per hold of a lock */
#define RECOUNT_EVERY 256u       /* writes to a stripe */
#define FULL_TRIES 8u            /* when the heap is full: so often evictions and grace periods */
#define FULL_WAIT_MS 100u
#define FULL_BYTES 65536u

/* --- making and finding ------------------------------------------------------------------------ */

static uint64_t power_below(uint64_t x) { return 1ull << (63 - __builtin_clzll(x | 1)); }

static uint64_t clamp(uint64_t x, uint64_t low, uint64_t high)
{
	return x < low ? low : x > high ? high : x;
}

/* Marks of two bits and ghosts of 32, a sixty-fourth of the budget each at most. */
static uint64_t marks_for(uint64_t budget_bytes)
{
	return clamp(power_below(budget_bytes / COMAP_BLOCK_ALIGN_BYTES) * 4, 1024, 1ull << 38);
}

static uint64_t ghosts_for(uint64_t budget_bytes)
{
	return clamp(power_below(budget_bytes / 64 / sizeof(uint32_t) / COMAP_STRIPES), 4, 1ull << 26);
}

static uint64_t cells_of(uint64_t mark_count, uint64_t ghost_count)
{
	return (sizeof(struct comap_cache_shm) + COMAP_STRIPES * sizeof(struct comap_cache_stripe_shm) +
	        mark_count / 4 + COMAP_STRIPES * ghost_count * sizeof(uint32_t)) / COMAP_CELL_BYTES;
}

uint64_t comap__cache_cells(uint64_t budget_bytes)
{
	return cells_of(marks_for(budget_bytes), ghosts_for(budget_bytes));
}

void comap__cache_found(struct comap_cache_shm *cache, uint64_t budget_bytes)
{
	uint64_t fixed = comap__cache_cells(budget_bytes) * COMAP_CELL_BYTES;

	/* relaxed, all of it: before the table has a name */
	comap_u64_store_relaxed(&cache->budget_bytes, budget_bytes);
	comap_u64_store_relaxed(&cache->fixed_bytes, fixed);
	comap_u64_store_relaxed(&cache->used_bytes, fixed);
	comap_u64_store_relaxed(&cache->mark_count, marks_for(budget_bytes));
	comap_u64_store_relaxed(&cache->ghost_count, ghosts_for(budget_bytes));
	comap_u64_store_relaxed(&cache->segment_bytes,
	                        clamp(power_below(budget_bytes / COMAP_STRIPES / 64), 64, 2048));
}

int comap__cache_find(struct comap_table *table)
{
	const struct comap *region = table->object.region;
	/* relaxed, all of it: fixed before the table has a name */
	uint64_t ref = comap_u64_load_relaxed(&table->shm->cache_ref), marks, ghosts, segment;
	const struct comap_cache_shm *cache;

	if (ref == 0)
		return 0;
	cache = comap__at(region, (struct comap_ref){ ref }, sizeof *cache, COMAP_CELL_BYTES);
	marks = cache ? comap_u64_load_relaxed(&cache->mark_count) : 0;
	ghosts = cache ? comap_u64_load_relaxed(&cache->ghost_count) : 0;
	segment = cache ? comap_u64_load_relaxed(&cache->segment_bytes) : 0;
	if (marks < 1024 || marks > 1ull << 38 || marks & (marks - 1) || ghosts < 4 || ghosts > 1ull << 26 ||
	    ghosts & (ghosts - 1) || segment < 64 || segment > 2048 || segment % 64 ||
	    !comap__at(region, (struct comap_ref){ ref }, cells_of(marks, ghosts) * COMAP_CELL_BYTES,
	               COMAP_CELL_BYTES))
		return comap__fail(COMAP_CAUSE_CORRUPT, "what makes the table a cache is damaged");
	if (!comap__is_guest(region) && table->object.entry)
		cache = comap__writable(region, cache);
	table->cache = (struct comap_cache_shm *)(uintptr_t)cache;
	table->cache_stripes = (void *)(table->cache + 1);
	table->ghosts = (void *)((char *)(table->cache_stripes + COMAP_STRIPES) + marks / 4);
	table->mark_mask = marks - 1;
	if (!comap__is_guest(region))
		table->marks = (void *)(table->cache_stripes + COMAP_STRIPES);
	return 0;
}

/* --- the account ------------------------------------------------------------------------------- */

static uint64_t block_bytes(const struct comap__writer *writer, uint64_t word)
{
	word &= ~COMAP_REF_FLAGS;
	return word ? comap__block_bytes(writer->region, (struct comap_ref){ word }) : 0;
}

static void add_to(struct comap_u64 *word, uint64_t delta)
{
	/* relaxed, both: under the mutex */
	comap_u64_store_relaxed(word, comap_u64_load_relaxed(word) + delta);
}

void comap__cache_count_block(struct comap__writer *writer, uint64_t old_word, uint64_t new_word)
{
	add_to(&comap__cache_stripe(writer)->overhead_bytes,
	       block_bytes(writer, new_word) - block_bytes(writer, old_word));
}

void comap__cache_plan(struct comap__writer *writer, uint64_t old_word, uint64_t new_word)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	enum comap_event event = !old_word ? COMAP_EVENT_INSERTED :
	                         new_word ? COMAP_EVENT_REPLACED : writer->why;

	/* relaxed, all of it: under the mutex; the stripe's journal makes it count */
	comap_u64_store_relaxed(&stripe->journal_bytes, comap_u64_load_relaxed(&stripe->entry_bytes) +
	                        block_bytes(writer, new_word) - block_bytes(writer, old_word));
	comap_u64_store_relaxed(&stripe->journal_event, event);
	comap_u64_store_relaxed(&stripe->journal_count, comap_u64_load_relaxed(&stripe->events[event]) + 1);
}

void comap__cache_take_counts(struct comap__writer *writer)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	uint64_t event = comap_u64_load_relaxed(&stripe->journal_event); /* relaxed, all: under the mutex */

	comap_u64_store_relaxed(&stripe->entry_bytes, comap_u64_load_relaxed(&stripe->journal_bytes));
	if (event < COMAP_EVENTS)
		comap_u64_store_relaxed(&stripe->events[event], comap_u64_load_relaxed(&stripe->journal_count));
}

/* What a death has made of used_bytes is put right, where it is much. */
static void recount(struct comap_table *table)
{
	struct comap_cache_shm *cache = table->cache;
	/* relaxed, all of it: numbers of a moment; a difference that is small is work under way */
	uint64_t seen = comap_u64_load_relaxed(&cache->used_bytes);
	uint64_t sum = comap_u64_load_relaxed(&cache->fixed_bytes);
	uint64_t tolerance = comap_u64_load_relaxed(&cache->budget_bytes) / COMAP_STRIPES;
	int64_t difference;

	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		sum += comap_u64_load_relaxed(&table->cache_stripes[i].told_bytes);
	difference = (int64_t)(sum - seen);
	if ((uint64_t)(difference < 0 ? -difference : difference) > tolerance)
		comap_u64_add_relaxed(&cache->used_bytes, (uint64_t)difference);
}

void comap__cache_settle(struct comap__writer *writer)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	/* relaxed, all of it: under the mutex; the sum is a number of its own */
	uint64_t bytes = comap_u64_load_relaxed(&stripe->entry_bytes) +
	                 comap_u64_load_relaxed(&stripe->overhead_bytes);
	uint64_t delta = bytes - comap_u64_load_relaxed(&stripe->told_bytes) - writer->reserved_bytes;

	writer->reserved_bytes = 0;
	comap_u64_store_relaxed(&stripe->told_bytes, bytes);
	COMAP_FAULT("cache.told");
	if (delta)
		comap_u64_add_relaxed(&writer->table->cache->used_bytes, delta);
	if (COMAP_UNLIKELY(writer->changed &&
	                   comap_u64_load_relaxed(&writer->stripe->sequence) % RECOUNT_EVERY == 0))
		recount(writer->table);
}

void comap__cache_repair(struct comap__writer *writer)
{
	struct comap_cache_stripe_shm *stripe = comap__cache_stripe(writer);
	/* relaxed, all of it: under the mutex */
	uint64_t bytes = comap_u64_load_relaxed(&writer->stripe->overflows) *
	                 sizeof(struct comap_bucket_shm);

	for (uint32_t i = 0; i < COMAP_STRIPE_SEGMENTS; i++)
		bytes += block_bytes(writer, comap_u64_load_relaxed(&writer->stripe->segments[i]));
	for (uint32_t i = 0; i < COMAP_QUEUES; i++)
		bytes += comap__cache_queue_bytes(writer->table, &stripe->queues[i], NULL, NULL);
	comap_u64_store_relaxed(&stripe->overhead_bytes, bytes);
	recount(writer->table);
}

static bool is_over(const struct comap_cache_shm *cache)
{
	/* relaxed, both: numbers of a moment */
	return (int64_t)comap_u64_load_relaxed(&cache->used_bytes) >
	       (int64_t)comap_u64_load_relaxed(&cache->budget_bytes);
}

bool comap__cache_may_grow(struct comap__writer *writer, uint64_t size_bytes)
{
	const struct comap_cache_shm *cache = writer->table->cache;
	/* relaxed, all of it: under the mutex, or numbers of a moment */
	uint64_t shape = comap_u64_load_relaxed(&writer->stripe->shape);

	return (int64_t)(comap_u64_load_relaxed(&cache->used_bytes) + size_bytes) <=
	       (int64_t)comap_u64_load_relaxed(&cache->budget_bytes) ||
	       comap_u64_load_relaxed(&writer->stripe->entries) > shape * COMAP_BUCKET_SLOTS;
}

/* --- evicting ----------------------------------------------------------------------------------- */

/* One hold of a stripe: so many bytes and entries at most. Returns the bytes, 0: none here and now. */
static uint64_t evict_from(struct comap__writer *writer, uint32_t index, bool own, uint64_t want_bytes,
                           enum comap_event why)
{
	struct comap__writer victim;
	uint64_t freed = 0, got = 1;

	if (comap__writer_init(&victim, writer->table, (uint64_t)index << 58) != 0 ||
	    comap__retire_reserve_many(victim.region, victim.row, EVICT_BATCH + 2) != 0 ||
	    (own ? comap__stripe_lock(&victim) : comap__stripe_trylock(&victim)) != 0)
		return 0;
	for (unsigned n = 0; n < EVICT_BATCH && freed < want_bytes && got; n++) {
		got = comap__cache_evict_one(&victim, why);
		freed += got;
	}
	comap__stripe_unlock(&victim);
	writer->evicted += victim.evicted;
	return freed;
}

/* The stripe that the next one is taken from: the key's own where it has its share, else the next that
 * has; where `any` is set, the next that has anything. */
static uint32_t choose_stripe(struct comap__writer *writer, bool own_first, bool any)
{
	struct comap_table *table = writer->table;
	struct comap_cache_stripe_shm *own = comap__cache_stripe(writer);
	/* relaxed, all of it: numbers of a moment */
	uint64_t share = (comap_u64_load_relaxed(&table->cache->budget_bytes) -
	                  comap_u64_load_relaxed(&table->cache->fixed_bytes)) / COMAP_STRIPES, next = 0;

	if (own_first && comap_u64_load_relaxed(&own->told_bytes) * 8 >= share * 7)
		return (uint32_t)(own - table->cache_stripes);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++) {
		next = comap_u64_add_relaxed(&table->cache->hand, 1) % COMAP_STRIPES;
		if (any ? comap_u64_load_relaxed(&table->cache_stripes[next].entry_bytes) > 0
		        : comap_u64_load_relaxed(&table->cache_stripes[next].told_bytes) >= share)
			break;
	}
	return (uint32_t)next;
}

/* Until the sum is within the budget, or `entries_max` have gone. -EBUSY: nothing can go. */
static int make_room(struct comap__writer *writer, uint64_t entries_max)
{
	struct comap_cache_shm *cache = writer->table->cache;
	uint32_t own = (uint32_t)(comap__cache_stripe(writer) - writer->table->cache_stripes), index;
	uint64_t before = writer->evicted, freed;
	unsigned misses = 0;

	while (is_over(cache) && writer->evicted - before < entries_max) {
		/* relaxed: numbers of a moment */
		uint64_t want = comap_u64_load_relaxed(&cache->used_bytes) -
		                comap_u64_load_relaxed(&cache->budget_bytes);

		index = choose_stripe(writer, misses == 0, misses >= COMAP_STRIPES);
		freed = evict_from(writer, index, index == own, want, COMAP_EVENT_OVER_BUDGET);
		misses = freed ? 0 : misses + 1;
		if (misses == COMAP_STRIPES)
			recount(writer->table);
		if (misses > 3 * COMAP_STRIPES)
			return comap__fail(COMAP_CAUSE_BUSY, "the cache is full, and nothing of it can go: "
			                   "other writers are at work, or readers hold too much back");
	}
	return 0;
}

/* --- the interface to writes -------------------------------------------------------------------- */

int comap__cache_check_size(struct comap_table *table, size_t size_bytes)
{
	uint64_t budget;

	if (COMAP_LIKELY(!table->cache))
		return 0;
	budget = comap_u64_load_relaxed(&table->cache->budget_bytes); /* relaxed: old or new */
	if (size_bytes <= budget / LARGEST_PART)
		return 0;
	return comap__fail_errno(EMSGSIZE, "an entry of %zu bytes: a cache takes up to an eighth of its "
	                         "budget, which is %llu", size_bytes, (unsigned long long)budget);
}

int comap__cache_reserve(struct comap__writer *writer, struct comap_ref draft)
{
	uint64_t bytes;

	if (COMAP_LIKELY(!writer->table->cache))
		return 0;
	bytes = comap__block_bytes(writer->region, draft);
	writer->reserved_bytes += bytes;
	/* relaxed: a number of its own */
	comap_u64_add_relaxed(&writer->table->cache->used_bytes, bytes);
	COMAP_FAULT("cache.reserved");
	return make_room(writer, 64 + bytes / 64);
}

void comap__cache_release(struct comap__writer *writer)
{
	if (writer->reserved_bytes) /* relaxed: a number of its own */
		comap_u64_sub_relaxed(&writer->table->cache->used_bytes, writer->reserved_bytes);
	writer->reserved_bytes = 0;
}

int comap__cache_relieve(struct comap__writer *writer, size_t size_bytes, unsigned tries)
{
	uint64_t want = size_bytes * 2 < FULL_BYTES ? FULL_BYTES : size_bytes * 2, freed = 0, got;
	uint32_t index;

	if (!writer->table->cache || tries >= FULL_TRIES || comap__in_section(writer->region))
		return -ENOSPC;
	want <<= tries;
	for (unsigned misses = 0; freed < want && misses < COMAP_STRIPES; misses = got ? 0 : misses + 1) {
		index = choose_stripe(writer, false, true);
		got = evict_from(writer, index, false, want - freed, COMAP_EVENT_HEAP_FULL);
		freed += got;
	}
	if (!freed)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%s is full, and this cache has nothing left to give",
		                   writer->region->path);
	comap__ring_flush(writer->region, writer->row, comap_deadline_ms(FULL_WAIT_MS));
	return 0;
}

/* --- the interface ------------------------------------------------------------------------------ */

int comap_table_set_budget(struct comap_table *table, uint64_t budget_bytes)
{
	struct comap__writer writer;
	int code = comap__table_check(table);

	if (code)
		return code;
	if (!table->cache)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "the table is a store: a budget is given to it when it "
		                   "is created, or never");
	if (budget_bytes < COMAP_TABLE_BUDGET_MIN_BYTES ||
	    budget_bytes > table->object.region->identity->heap_max_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a budget of %llu bytes: %u at least, and at most what the "
		                   "region can have", (unsigned long long)budget_bytes,
		                   COMAP_TABLE_BUDGET_MIN_BYTES);
	code = comap__writer_init(&writer, table, 0);
	if (code)
		return code;
	comap_u64_store_relaxed(&table->cache->budget_bytes, budget_bytes); /* relaxed: old or new */
	return make_room(&writer, UINT64_MAX);
}
