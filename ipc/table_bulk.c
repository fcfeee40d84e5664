/* SPDX-License-Identifier: MIT */
/* Bulk loads. See comap/table_bulk.h, and table_side.c for what is swapped.
 *
 * The other side is a table as any, with buckets for as many entries as are expected, and writers that
 * nobody disturbs. Versions: each of its stripes begins some way above its twin in use. Where the twin
 * catches up meanwhile, the versions given are raised once more before the swap.
 *
 * Where it lives: process memory: struct comap_bulk; the other side: layout.h
 * Invariants: those of table.c; and at the swap each stripe's versions are above all of its twin's
 * Writers:    the threads of the loader, under the stripes' locks
 * Progress:   as writes; the commit as table_side.c says
 * If a process dies here: see table_side.c */
#include "table_bulk.h"

#include "error.h"
#include "fault.h"
#include "registry.h"

#include <errno.h>
#include <stdlib.h>

#define VERSION_GAP (1ull << 20)
#define READERS_MS 2000
#define RAISE_TRIES 100

/* --- before ----------------------------------------------------------------------------------- */

static uint64_t sequence_in_use(const struct comap_bulk *bulk, uint32_t index)
{
	/* relaxed: under the lock where it counts, a guess elsewhere */
	return comap_u64_load_relaxed(&comap__table_side(bulk->table, bulk->swaps)[index].sequence);
}

/* Versions of the stripe begin at `base` from here on. */
static void set_base(struct comap_bulk *bulk, struct comap_stripe_shm *stripe, uint32_t index)
{
	bulk->base[index] = sequence_in_use(bulk, index) + VERSION_GAP;
	if (bulk->base[index] < bulk->version_floor)
		bulk->base[index] = bulk->version_floor;
	/* relaxed: under the lock */
	comap_u64_store_relaxed(&stripe->sequence, bulk->base[index]);
	comap_u64_store_relaxed(&stripe->mortal, 0);
	comap_u64_store_relaxed(&stripe->hand, 0);
}

static int prepare_stripe(struct comap_bulk *bulk, uint32_t index, uint64_t bucket_count)
{
	struct comap__writer writer;
	int code = comap__loader_init(&writer, bulk->table, index);

	if (!code)
		code = comap__stripe_lock(&writer);
	if (code)
		return code;
	set_base(bulk, writer.stripe, index);
	code = comap__stripe_found_with(&writer, bucket_count);
	comap__stripe_unlock(&writer);
	COMAP_FAULT("bulk.stripe");
	return code;
}

static int prepare(struct comap_bulk *bulk, uint64_t expected_entries)
{
	/* a little more: the stripes are not equally full */
	uint64_t entries = expected_entries / COMAP_STRIPES + expected_entries / COMAP_STRIPES / 16;
	uint64_t bucket_count = entries / COMAP_TABLE_LOAD;
	int code = comap__side_empty(bulk->table, comap_deadline_ms(READERS_MS));

	if (code)
		return code == -ETIMEDOUT ? -EBUSY : code;
	bulk->swaps = comap__table_swaps(bulk->table);
	comap__side_mark(bulk->table);
	for (uint32_t i = 0; i < COMAP_STRIPES && !code; i++)
		code = prepare_stripe(bulk, i, bucket_count);
	if (code)
		comap__side_empty(bulk->table, comap_now_ns());
	return code;
}

struct comap_bulk *comap__bulk_begin(struct comap_table *table, uint64_t expected_entries,
                                     uint64_t version_floor)
{
	struct comap_bulk *bulk;
	struct comap__writer writer;

	if (comap__table_check(table) != 0 || comap__writer_init(&writer, table, 0) != 0)
		return NULL;
	if (table->cache) {
		comap__fail(COMAP_CAUSE_UNSUPPORTED, "the table is a cache, which is not loaded at once: "
		            "put the entries one by one, which evicts");
		return NULL;
	}
	bulk = calloc(1, sizeof *bulk);
	if (!bulk) {
		comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a bulk load");
		return NULL;
	}
	bulk->table = table;
	bulk->version_floor = version_floor;
	if (comap__loader_begin(table) != 0) {
		free(bulk);
		return NULL;
	}
	if (prepare(bulk, expected_entries) != 0) {
		comap__loader_end(table);
		free(bulk);
		return NULL;
	}
	comap__registry_ref(table->object.entry);
	return bulk;
}

struct comap_bulk *comap_table_bulk_begin(struct comap_table *table, uint64_t expected_entries)
{
	return comap__bulk_begin(table, expected_entries, 0);
}

/* --- between ---------------------------------------------------------------------------------- */

static int check_bulk(struct comap_bulk *bulk)
{
	int code = bulk ? comap__table_check(bulk->table)
	                : comap__fail(COMAP_CAUSE_ARGUMENT, "the bulk load is NULL");
	uint64_t loader = code ? 0 : comap_u64_load_relaxed(&bulk->table->shm->loader); /* relaxed: ours */

	if (!code && loader != bulk->table->object.region->attachment->seat_token)
		code = comap__fail(COMAP_CAUSE_ROLE, "this load is void: the process that began it is gone");
	return code;
}

int comap__bulk_write(struct comap_bulk *bulk, const struct comap_table_write *write, unsigned flags,
                      uint64_t expires_ns)
{
	uint64_t hash = comap__table_hash(bulk->table, write->key, write->key_bytes), version;
	struct comap__writer writer;
	int code = comap__loader_init(&writer, bulk->table, comap__hash_stripe(hash));

	return code ? code : comap__write_with(&writer, hash, write, flags, expires_ns, &version);
}

int comap_table_bulk_write(struct comap_bulk *bulk, const struct comap_table_write *write)
{
	int code = check_bulk(bulk);

	if (!code)
		code = comap__write_check(bulk->table, write);
	return code ? code
	            : comap__bulk_write(bulk, write, 0, comap__table_expiry(bulk->table, write->ttl_ns));
}

int comap_table_bulk_put(struct comap_bulk *bulk, const void *key, size_t key_bytes, const void *value,
                         size_t value_bytes)
{
	struct comap_table_write write = { key, key_bytes, value, value_bytes, COMAP_TABLE_PUT, 0, 0 };

	return comap_table_bulk_write(bulk, &write);
}

int64_t comap_table_bulk_count(struct comap_bulk *bulk)
{
	int code = check_bulk(bulk);
	int64_t sum = 0;

	for (uint32_t i = 0; i < COMAP_STRIPES && !code; i++)
		/* relaxed: a moment's number */
		sum += (int64_t)comap_u64_load_relaxed(
			&comap__table_side(bulk->table, bulk->swaps + 1)[i].entries);
	return code ? code : sum;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void raise_chain(struct comap__writer *writer, struct comap_bucket_shm *bucket, uint64_t more)
{
	struct comap__entry_parts parts;

	for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
		for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
			uint64_t word = comap_u64_load_relaxed(&bucket->slots[i]); /* relaxed: under the mutex */
			struct comap_u64 *head;

			if (word == 0 || word & COMAP_REF_LINK ||
			    !comap__entry_parts(writer->table, word, &parts))
				continue;
			/* relaxed: nobody reads this side yet */
			head = comap__writable(writer->region, &parts.entry->head);
			comap_u64_store_relaxed(head, comap_u64_load_relaxed(head) + (more << 20));
		}
		bucket = comap__bucket_next(writer, bucket);
	}
}

/* Where the twin in use has caught up: all versions of the stripe go up by the same. */
static int raise_stripe(struct comap_bulk *bulk, uint32_t index)
{
	uint64_t sequence = sequence_in_use(bulk, index), more;
	struct comap__writer writer;
	struct comap_stripe_shm *stripe;
	int code;

	if (sequence < bulk->base[index])
		return 0;
	code = comap__loader_init(&writer, bulk->table, index);
	if (!code)
		code = comap__stripe_lock(&writer);
	if (code)
		return code;
	stripe = writer.stripe;
	more = sequence + VERSION_GAP - bulk->base[index];
	/* relaxed: under the mutex */
	for (uint64_t i = 0, shape = comap_u64_load_relaxed(&stripe->shape); i < shape; i++)
		raise_chain(&writer, comap__writer_bucket(&writer, i), more);
	comap_u64_add_relaxed(&stripe->sequence, more);
	bulk->base[index] += more;
	comap__stripe_unlock(&writer);
	return 0;
}

static bool is_above(const struct comap_bulk *bulk)
{
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		if (sequence_in_use(bulk, i) >= bulk->base[i])
			return false;
	return true;
}

/* Statistics count the versions that were given, on both sides. All stripes in use are locked. */
static void count_skipped(struct comap_bulk *bulk)
{
	struct comap_table_shm *shm = bulk->table->shm;
	uint64_t skipped;

	/* relaxed, all of it: under the locks */
	skipped = comap_u64_load_relaxed(&shm->skipped[bulk->swaps & 1]);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		skipped += bulk->base[i] - sequence_in_use(bulk, i);
	comap_u64_store_relaxed(&shm->skipped[(bulk->swaps + 1) & 1], skipped);
}

static int swap(struct comap_bulk *bulk)
{
	struct comap__writer writers[COMAP_STRIPES];
	bool above;
	int code = 0;

	for (unsigned n = 0; n < RAISE_TRIES; n++) {
		for (uint32_t i = 0; i < COMAP_STRIPES && !code; i++)
			code = raise_stripe(bulk, i);
		if (!code)
			code = comap__stripes_lock_all(bulk->table, writers);
		if (code)
			return code;
		above = is_above(bulk);
		COMAP_FAULT("bulk.locked");
		if (above) {
			count_skipped(bulk);
			for (uint32_t i = 0; i < COMAP_STRIPES; i++)
				comap__turns_end_some(&writers[i], NULL); /* what they compute may be older */
			comap__sides_swap(bulk->table);
		}
		comap__stripes_unlock_all(writers);
		if (above) {
			comap__table_wake(bulk->table, bulk->swaps);
			return 0;
		}
	}
	return comap__fail(COMAP_CAUSE_BUSY, "others write faster than versions can be given");
}

static void end(struct comap_bulk *bulk)
{
	struct comap_table *table = bulk->table;

	free(bulk);
	comap__side_empty(table, comap_deadline_ms(READERS_MS / 10));
	comap__loader_end(table);
	comap__registry_put(table->object.entry);
}

int comap_table_bulk_commit(struct comap_bulk *bulk)
{
	int code = check_bulk(bulk);

	if (!code)
		code = swap(bulk);
	if (!code)
		end(bulk);
	return code;
}

void comap_table_bulk_abort(struct comap_bulk *bulk)
{
	struct comap_table *table = bulk ? bulk->table : NULL;

	if (!bulk)
		return;
	if (check_bulk(bulk) == 0) {
		end(bulk);
		return;
	}
	free(bulk); /* of the parent, in a forked child */
	comap__registry_put(table->object.entry);
}
