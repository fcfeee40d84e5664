/* SPDX-License-Identifier: MIT */
/* Tables: handles, statistics, the checker. See table.h.
 *
 * Where it lives: cells: struct comap_table_shm and two sides of 64 stripes; heap: segments of buckets,
 *             overflow buckets, entries, each a block
 * Invariants: I1 a slot is 0, the ref of an entry that was whole before the slot was stored, or (the last
 *                slot) the link to a bucket of which the same is true
 *             I2 an entry stands in the chain of the bucket that its hash and the shape name, under its
 *                tag, and no key stands twice
 *             I3 buckets below the shape have their segments; segments never move
 *             I4 entries and bytes are counted right whenever nobody holds the stripe
 *             I5 to I7, of caches: table_evict.c, table_cache.c
 *             I2 and I4 do not hold while a split or a write is under way: the journal says which
 *             I8 a stripe's turns are counted right whenever nobody holds it
 * Writers:    holder of the stripe's mutex.  Readers: anybody, without a lock: table_read.c
 * Ordering:   [edge table.slot], [edge table.tags], [edge table.shape], [edge table.journal]
 * If a process dies here: the block is settled by the intent (retire.c), counts and splits by the journal
 *             (table_stripe.c, table_split.c), before the next writer goes on
 * Limits:     2^32 buckets a stripe; versions repeat after 2^44 writes to one stripe */
#include "table_cache.h"

#include "check.h"
#include "error.h"
#include "heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_CELLS ((sizeof(struct comap_table_shm) + COMAP_STRIPES * \
                      (COMAP_TABLE_SIDES * sizeof(struct comap_stripe_shm) + \
                       COMAP_STRIPE_TURNS * sizeof(struct comap_turn_shm))) / COMAP_CELL_BYTES)

/* --- handles --- */

static void lay_out(struct comap_table *table, const void *shm)
{
	table->stripes = (void *)((char *)(uintptr_t)shm + sizeof *table->shm);
	table->turns = (void *)(table->stripes + COMAP_STRIPES * COMAP_TABLE_SIDES);
}

static void init_table(void *handle)
{
	struct comap_table *table = handle;
	const struct comap_identity_shm *identity = table->object.region->identity;

	table->shm = table->object.cells;
	lay_out(table, table->shm);
	table->seed = identity->hash_seed[0];
	table->heap_begin = identity->heap_offset_bytes;
	table->view = table->object.region->view;
	/* relaxed, both: nobody else has it yet */
	comap_u64_store_relaxed(&table->heap_end, table->heap_begin);
	comap_u64_store_relaxed(&table->near_end, 0);
	comap__cache_find(table); /* whoever opens the table looks whether it was found */
}

static const struct comap__object_class table_class = {
	.kind = COMAP_KIND_OBJECT_TABLE,
	.cell_count = TABLE_CELLS,
	.handle_bytes = sizeof(struct comap_table),
	.init = init_table,
};

/* The cells of a new table, before it has a name. */
static void found_table(void *cells, struct comap_ref ref, const void *context)
{
	const struct comap_table_options *options = context;
	struct comap_table_shm *shm = cells;

	/* relaxed, both: nobody else knows of it yet */
	if (options->default_ttl_ns != COMAP_TTL_NONE)
		comap_u64_store_relaxed(&shm->default_ttl_ns, options->default_ttl_ns);
	if (!options->budget_bytes)
		return;
	comap__cache_found((void *)((char *)cells + TABLE_CELLS * COMAP_CELL_BYTES), options->budget_bytes);
	comap_u64_store_relaxed(&shm->cache_ref, ref.offset_bytes + TABLE_CELLS * COMAP_CELL_BYTES);
}

static int check_options(const struct comap *region, const struct comap_table_options *options)
{
	uint64_t most = region->identity->heap_max_bytes;

	if (options->budget_bytes &&
	    (options->budget_bytes < COMAP_TABLE_BUDGET_MIN_BYTES || options->budget_bytes > most))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a budget of %llu bytes: at least %u, and at most the "
		                   "region's maximum, which is %llu", (unsigned long long)options->budget_bytes,
		                   COMAP_TABLE_BUDGET_MIN_BYTES, (unsigned long long)most);
	return 0;
}

/* Is it the table that was asked for? */
static int check_table(const struct comap_table *table, uint64_t budget_bytes)
{
	/* relaxed, both: fixed, and old or new */
	uint64_t ref = comap_u64_load_relaxed(&table->shm->cache_ref);
	uint64_t budget = table->cache ? comap_u64_load_relaxed(&table->cache->budget_bytes) : 0;

	if (ref && !table->cache)
		return comap__fail(COMAP_CAUSE_CORRUPT, "what makes the table a cache is damaged");
	if (budget_bytes == 0 || budget == budget_bytes)
		return 0;
	if (!table->cache)
		return comap__fail(COMAP_CAUSE_EXISTS, "the table is a store, it has no budget");
	return comap__fail(COMAP_CAUSE_EXISTS, "the table has a budget of %llu bytes, not %llu: "
	                   "comap_table_set_budget() changes it", (unsigned long long)budget,
	                   (unsigned long long)budget_bytes);
}

struct comap_table *comap_table_open_with(struct comap *region, const char *name,
                                          const struct comap_type *type,
                                          const struct comap_table_options *options)
{
	static const struct comap_table_options none = COMAP_TABLE_OPTIONS_INIT;
	struct comap__founding founding = { .found = found_table, .context = options ? options : &none };
	struct comap_table *table;

	if (region && options && check_options(region, options) != 0)
		return NULL;
	if (options && options->budget_bytes)
		founding.more_cells = (uint32_t)comap__cache_cells(options->budget_bytes);
	table = comap__object_open(&table_class, region, name, type, &founding);
	if (table && check_table(table, options ? options->budget_bytes : 0) != 0) {
		comap__object_close(table);
		return NULL;
	}
	return table;
}

struct comap_table *comap_table_open(struct comap *region, const char *name,
                                     const struct comap_type *type)
{
	return comap_table_open_with(region, name, type, NULL);
}

void comap_table_close(struct comap_table *table)
{
	comap__object_close(table);
}

int comap_table_set_default_ttl(struct comap_table *table, uint64_t ttl_ns)
{
	int code = comap__table_check(table);

	if (!code)
		/* relaxed: a number of its own */
		comap_u64_store_relaxed(&table->shm->default_ttl_ns, ttl_ns == COMAP_TTL_NONE ? 0 : ttl_ns);
	return code;
}

/* --- statistics ------------------------------------------------------------------------------- */

/* Relaxed, all of it: a moment's numbers. */
static void add_cache_stats(const struct comap_table *table, struct comap_table_stats *sum)
{
	sum->budget_bytes = comap_u64_load_relaxed(&table->cache->budget_bytes);
	sum->used_bytes = comap_u64_load_relaxed(&table->cache->fixed_bytes);
	sum->expired = 0; /* the exact one */
	for (uint32_t i = 0; i < COMAP_STRIPES; i++) {
		const struct comap_cache_stripe_shm *stripe = &table->cache_stripes[i];

		/* relaxed, all of it */
		sum->used_bytes += comap_u64_load_relaxed(&stripe->entry_bytes) +
		                   comap_u64_load_relaxed(&stripe->overhead_bytes);
		sum->inserted += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_INSERTED]);
		sum->replaced += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_REPLACED]);
		sum->removed += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_REMOVED]);
		sum->expired += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_EXPIRED]);
		sum->evicted_budget += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_OVER_BUDGET]);
		sum->evicted_full += comap_u64_load_relaxed(&stripe->events[COMAP_EVENT_HEAP_FULL]);
	}
}

int comap_table_stats(struct comap_table *table, struct comap_table_stats *ret_stats)
{
	struct comap_table_stats sum = { 0 };
	const struct comap_stripe_shm *side;
	uint64_t swaps;

	if (!table || !ret_stats)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	swaps = comap__table_swaps(table);
	side = comap__table_side(table, swaps);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++) {
		const struct comap_stripe_shm *stripe = &side[i];

		/* relaxed, all of it: a moment's numbers */
		sum.entries += comap_u64_load_relaxed(&stripe->entries);
		sum.stored_bytes += comap_u64_load_relaxed(&stripe->stored_bytes);
		sum.buckets += comap_u64_load_relaxed(&stripe->shape);
		sum.overflow_buckets += comap_u64_load_relaxed(&stripe->overflows);
		sum.writes += comap_u64_load_relaxed(&stripe->sequence);
	}
	sum.writes -= comap_u64_load_relaxed(&table->shm->skipped[swaps & 1]);
	for (uint32_t i = 0; i < COMAP_STRIPES * COMAP_TABLE_SIDES; i++) {
		/* relaxed, as above */
		sum.expired += comap_u64_load_relaxed(&table->stripes[i].expired);
		sum.repairs += comap_u64_load_relaxed(&table->stripes[i].repairs);
	}
	sum.default_ttl_ns = comap_u64_load_relaxed(&table->shm->default_ttl_ns);
	if (table->cache)
		add_cache_stats(table, &sum);
	*ret_stats = sum;
	return 0;
}

int64_t comap_table_count(struct comap_table *table)
{
	struct comap_table_stats stats;
	int code = comap_table_stats(table, &stats);

	return code ? code : (int64_t)stats.entries;
}

/* --- the checker ------------------------------------------------------------------------------ */

struct checking {
	struct comap_table *table;
	const struct comap_stripe_shm *stripe;
	uint32_t stripe_index;
	comap__root_visitor *visit;
	void *context;
	const char *wrong;
	uint64_t entries, bytes, entry_bytes;
};

static void check_entry(struct checking *checking, uint64_t word, uint64_t tag, uint64_t index)
{
	struct comap__entry_parts parts, twin;
	uint64_t hash;

	checking->visit(checking->context, (struct comap_ref){ word }, "table");
	if (!comap__entry_parts(checking->table, word, &parts) || parts.key_bytes == 0) {
		checking->wrong = "a table's entry makes no sense (I1)";
		return;
	}
	hash = comap__table_hash(checking->table, parts.key, parts.key_bytes);
	if (comap__hash_stripe(hash) != checking->stripe_index || comap__hash_tag(hash) != tag ||
	    comap__bucket_index(hash, checking->stripe->shape.v) != index)
		checking->wrong = "a table's entry stands where nobody looks for it (I2)";
	else if (!comap__table_find(checking->table, hash, parts.key, parts.key_bytes, &twin) ||
	         twin.entry != parts.entry)
		checking->wrong = "a table's key stands twice (I2)";
	checking->entries++;
	checking->bytes += parts.key_bytes + parts.value_bytes;
	if (checking->table->cache)
		checking->entry_bytes += comap__block_bytes(checking->table->object.region,
		                                            (struct comap_ref){ word });
}

static void check_chain(struct checking *checking, uint64_t index)
{
	const struct comap_bucket_shm *bucket = comap__bucket_at(checking->table, checking->stripe, index);

	for (unsigned n = 0; bucket; n++) {
		uint64_t link = 0;

		if (n == COMAP_TABLE_CHAIN_MAX) {
			checking->wrong = "a table's chain has no end (I1)";
			return;
		}
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			uint64_t word = comap_u64_load_acquire(&bucket->slots[i]); /* [edge table.slot] acq */

			if (word & COMAP_REF_LINK && i == COMAP_BUCKET_SLOTS - 1)
				link = word & ~COMAP_REF_FLAGS;
			else if (word)
				check_entry(checking, word, bucket->tags.v >> i * 8 & 0xff, index);
		}
		if (!link)
			return;
		checking->visit(checking->context, (struct comap_ref){ link }, "table");
		bucket = comap__table_at(checking->table, link, sizeof *bucket);
	}
	checking->wrong = "a table's bucket lies outside the heap (I3)";
}

static void check_queues(struct checking *checking)
{
	struct comap_table *table = checking->table;
	const struct comap_cache_stripe_shm *stripe = &table->cache_stripes[checking->stripe_index];
	uint64_t words = 0;

	for (uint32_t i = 0; i < COMAP_QUEUES; i++) {
		comap__cache_queue_bytes(table, &stripe->queues[i], checking->visit, checking->context);
		words += comap__cache_count_words(table, checking->stripe_index, (enum comap_queue)i);
	}
	if (checking->wrong || checking->stripe->journal_op.v != COMAP_JOURNAL_NONE)
		return;
	if (words != checking->entries)
		checking->wrong = "an entry of a cache is in no queue, or twice (I5)";
	else if (checking->entry_bytes != stripe->entry_bytes.v)
		checking->wrong = "a cache has counted its bytes wrong (I7)";
}

static void check_stripe(struct checking *checking)
{
	const struct comap_stripe_shm *stripe = checking->stripe;

	checking->entries = checking->bytes = checking->entry_bytes = 0;
	for (uint32_t i = 0; i < COMAP_STRIPE_SEGMENTS; i++)
		if (stripe->segments[i].v)
			checking->visit(checking->context, (struct comap_ref){ stripe->segments[i].v }, "table");
	for (uint64_t index = 0; index < stripe->shape.v && !checking->wrong; index++)
		check_chain(checking, index);
	if (!checking->wrong && stripe->journal_op.v == COMAP_JOURNAL_NONE &&
	    (checking->entries != stripe->entries.v || checking->bytes != stripe->stored_bytes.v))
		checking->wrong = "a table has counted its entries wrong (I4)";
	if (checking->table->cache && stripe < checking->table->stripes + COMAP_STRIPES)
		check_queues(checking);
}

const char *comap__table_roots(const struct comap *region, const struct comap_object_shm *object,
                               comap__root_visitor *visit, void *context)
{
	const void *shm = comap__at(region, (struct comap_ref){ object->cell_ref.v },
	                            TABLE_CELLS * COMAP_CELL_BYTES, COMAP_CELL_BYTES);
	struct comap_table_shm side = { 0 }; /* for comap__table_find(): the side that is looked at */
	struct comap_table table = {
		.object.region = (struct comap *)(uintptr_t)region, .shm = &side,
		.seed = region->identity->hash_seed[0], .heap_begin = region->identity->heap_offset_bytes,
	};
	struct checking checking = { .table = &table, .visit = visit, .context = context };

	if (!shm)
		return "a table without cells";
	lay_out(&table, shm);
	side.cache_ref = ((const struct comap_table_shm *)shm)->cache_ref;
	if (comap__cache_find(&table) != 0)
		return "what makes a table a cache is damaged";
	for (uint32_t i = 0; i < COMAP_STRIPES * COMAP_TABLE_SIDES && !checking.wrong; i++) {
		side.swaps.v = i / COMAP_STRIPES;
		checking.stripe = &table.stripes[i];
		checking.stripe_index = i % COMAP_STRIPES;
		check_stripe(&checking);
	}
	table.shm = (void *)(uintptr_t)shm;
	for (uint32_t i = 0; i < COMAP_STRIPES && !checking.wrong; i++)
		checking.wrong = comap__turns_check(&table, i);
	return checking.wrong;
}
