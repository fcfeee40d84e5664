/* SPDX-License-Identifier: MIT */
/* Tables: the two sides, of which one is in use; who works at the other one; the swap.
 *
 *              loader                                        spare    the other side
 *   at rest    0                                             0        empty, and nobody reads it
 *   loading    the loader's seat                             1        being filled: table_bulk.c
 *   swap       the loader, holding all stripes in use: swaps + 1     the commit point: sides change roles
 *   emptying   the loader, or whoever comes by once it has gone      chain by chain, from the last bucket on
 *   at rest    after one more grace period: 0, 0
 *
 * Where it lives: struct comap_table_shm: swaps, loader, spare; the stripes of both sides
 * Invariants: J1 with spare = 0 the other side is empty, and no reader is left who looks there
 *             J2 a write is acknowledged only on the side in use: writers look at `swaps` under the lock
 *             J3 `swaps` changes only while its writer holds all stripes of the side in use
 * Writers:    the loader; the stripes of the other side under their locks, as any
 * Ordering:   [edge table.swap], [edge table.loader], [edge table.spare], [edge reuse.horizon]
 * Progress:   the swap holds up writers while 64 locks are held; it gives them up after some
 *             milliseconds and tries again where one of them is not to be had. Readers: never
 * If a process dies here: before the swap the side in use stays, after it the new one is; the other side
 *             is emptied by the next loader, or bit by bit by writers that come by */
#include "table_side.h"

#include "error.h"
#include "fault.h"
#include "mutex.h"
#include "rcu.h"
#include "seat.h"

#include <errno.h>
#include <time.h>

#define LOADER_MS 2000
#define ATTEMPT_MS 10          /* so long are other writers held up by one that holds a stripe */
#define HELP_CHAINS 4          /* emptied by a writer that comes by */

static void pause_1ms(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	nanosleep(&pause, NULL);
}

/* --- the loader ------------------------------------------------------------------------------- */

static int fail_loader(struct comap *region, uint64_t holder)
{
	uint32_t seat = comap__token_index(holder);
	int code = comap__fail(COMAP_CAUSE_ROLE, "%s loads this table, and one at a time may",
	                       comap__seat_name(region, seat).text);

	comap__error()->seat = seat;
	return code;
}

static bool loader_claim(struct comap_table *table, uint64_t *ret_holder)
{
	struct comap *region = table->object.region;
	/* relaxed: the CAS decides */
	uint64_t holder = comap_u64_load_relaxed(&table->shm->loader);

	*ret_holder = holder;
	/* [edge table.loader] acq: what the loader before has done is seen */
	return (holder == 0 || comap__seat_is_dead(region, holder)) &&
	       comap_u64_cas_acq_rel(&table->shm->loader, holder, region->attachment->seat_token);
}

int comap__loader_begin(struct comap_table *table)
{
	uint64_t deadline_ns = comap_deadline_ms(LOADER_MS), holder;

	while (!loader_claim(table, &holder)) {
		if (comap_now_ns() >= deadline_ns)
			return fail_loader(table->object.region, holder);
		pause_1ms();
	}
	return 0;
}

void comap__loader_end(struct comap_table *table)
{
	/* [edge table.loader] rel: everything done as the loader before the next one */
	comap_u64_cas_acq_rel(&table->shm->loader, table->object.region->attachment->seat_token, 0);
}

int comap__loader_init(struct comap__writer *writer, struct comap_table *table, uint32_t index)
{
	int code = comap__writer_init(writer, table, (uint64_t)index << 58);

	writer->is_loader = true;
	writer->stripe = comap__table_side(table, writer->swaps + 1) + index;
	return code;
}

/* --- emptying the other side ------------------------------------------------------------------ */

/* 1 while there are chains left, 0 when the stripe is empty, or an error. Under the lock, a place on the
 * ring reserved. */
static int empty_one(struct comap__writer *writer)
{
	struct comap_stripe_shm *stripe = writer->stripe;
	uint64_t shape = comap_u64_load_relaxed(&stripe->shape); /* relaxed: under the mutex */
	struct comap_bucket_shm *bucket;
	int code;

	if (shape) {
		bucket = comap__writer_bucket(writer, shape - 1);
		if (!comap__chain_clear(writer, bucket))
			return 1;
		code = bucket ? comap__chain_drop(writer, bucket) : 0;
		if (code)
			return 1;
		COMAP_FAULT("side.chain_emptied");
		/* [edge table.shape] rel: the chain is empty before it is out of sight */
		comap_u64_store_release(&stripe->shape, shape - 1);
		return 1;
	}
	for (unsigned i = COMAP_STRIPE_SEGMENTS; i-- > 0;) {
		uint64_t ref = comap_u64_load_relaxed(&stripe->segments[i]); /* relaxed: under the mutex */

		if (!ref)
			continue;
		comap__link_commit(writer, &stripe->segments[i], ref, 0);
		return 1;
	}
	return 0;
}

/* As much as the ring takes, at most `chains`, in one hold of the lock; as empty_one(). */
static int empty_some(struct comap__writer *writer, unsigned chains)
{
	int code = comap__retire_reserve(writer->region, writer->row);

	if (!code)
		code = comap__stripe_lock(writer);
	if (code)
		return code;
	code = 1;
	for (unsigned i = 0; i < chains && code == 1; i++) {
		code = empty_one(writer);
		if (!comap__writer_has_room(writer))
			break;
	}
	comap__stripe_unlock(writer);
	return code;
}

/* J1: whoever looked at the side while it was in use has gone, or will notice. */
static int await_readers(struct comap_table *table, uint64_t deadline_ns)
{
	struct comap_control_shm *control = table->object.region->control;
	/* [edge rcu.epoch] both: not older than the swap */
	uint64_t stamp = comap_u64_add_acq_rel(&control->epoch, 0);
	int code = comap_synchronize_until(table->object.region, deadline_ns);

	if (!code)
		/* [edge reuse.horizon] rel: before the side is filled again; guests who meet that notice */
		comap_u64_max_acq_rel(&control->horizon, stamp + 1);
	return code;
}

static bool is_dirty(const struct comap_table *table)
{
	/* [edge table.spare] acq: seen 0 => the side is empty, and nobody looks there */
	return comap_u64_load_acquire(&table->shm->spare) != 0;
}

int comap__side_empty(struct comap_table *table, uint64_t deadline_ns)
{
	struct comap__writer writer;
	int code = 0;

	for (uint32_t i = 0; i < COMAP_STRIPES && !code && is_dirty(table); i++) {
		code = comap__loader_init(&writer, table, i);
		if (code)
			return code;
		do
			code = empty_some(&writer, 64);
		while (code == 1);
	}
	if (code || !is_dirty(table))
		return code;
	code = await_readers(table, deadline_ns);
	COMAP_FAULT("side.emptied");
	if (!code)
		/* [edge table.spare] rel: J1 */
		comap_u64_store_release(&table->shm->spare, 0);
	return code;
}

void comap__side_mark(struct comap_table *table)
{
	/* [edge table.spare] rel, though what counts is that it comes before anything on that side: whoever
	 * finds the side in use by nobody finds the mark too */
	comap_u64_store_release(&table->shm->spare, 1);
}

/* What a loader left that has died or could not wait: a few chains, of the first stripe that has any. */
void comap__side_help(struct comap_table *table)
{
	struct comap__writer writer;
	uint64_t holder;
	int code = 0;

	if (!loader_claim(table, &holder))
		return;
	for (uint32_t i = 0; i < COMAP_STRIPES && code == 0 && is_dirty(table); i++)
		if (comap__loader_init(&writer, table, i) != 0)
			code = -1;
		else
			code = empty_some(&writer, HELP_CHAINS);
	/* A deadline that is over: one look, without waiting. */
	if (code == 0 && is_dirty(table) && await_readers(table, comap_now_ns()) == 0)
		comap_u64_store_release(&table->shm->spare, 0); /* [edge table.spare] rel: J1 */
	comap__loader_end(table);
}

/* --- all stripes at once ---------------------------------------------------------------------- */

static void unlock_first(struct comap__writer *writers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		comap__stripe_unlock(&writers[i]);
}

/* All, or none after some milliseconds. -ETIMEDOUT names who holds one. */
static int try_all(struct comap_table *table, struct comap__writer *writers)
{
	uint64_t deadline_ns = comap_deadline_ms(ATTEMPT_MS);
	int code = 0;

	for (uint32_t i = 0; i < COMAP_STRIPES; i++) {
		code = comap__writer_init(&writers[i], table, (uint64_t)i << 58);
		if (!code)
			code = comap__stripe_lock_until(&writers[i], deadline_ns);
		if (code) {
			unlock_first(writers, i);
			return code;
		}
	}
	return 0;
}

int comap__stripes_lock_all(struct comap_table *table, struct comap__writer *writers)
{
	uint64_t deadline_ns = comap_deadline_ms(COMAP_TABLE_LOCK_MS);
	int code;

	for (;;) {
		code = try_all(table, writers);
		if (code != -ETIMEDOUT || comap_now_ns() >= deadline_ns)
			return code;
		pause_1ms();
	}
}

void comap__stripes_unlock_all(struct comap__writer *writers)
{
	unlock_first(writers, COMAP_STRIPES);
}

void comap__sides_swap(struct comap_table *table)
{
	/* [edge table.swap] rel: the whole new side before its number. The commit point. Relaxed load: J3 */
	comap_u64_store_release(&table->shm->swaps, comap_u64_load_relaxed(&table->shm->swaps) + 1);
	COMAP_FAULT("side.swapped");
}
