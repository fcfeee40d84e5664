/* SPDX-License-Identifier: MIT */
/* Tables: waiting for changes. See comap/table_watch.h.
 *
 * Where it lives: `sequence` and `waiting` of each stripe, `waiting` of the table (layout.h)
 * Invariants: I1 a stripe's sequence is raised after the commit and before the lock is given back: a
 *                number that was seen is of changes that can be seen
 *             I2 between a death after the commit and the repair the sequence says too little. Whoever
 *                waits with a seat repairs, once a second at most
 * Writers:    the sequence: holder of the stripe's lock; flags: as futex.h says
 * Ordering:   [edge table.changes], [edge flag.waiting]
 *
 *      | sleeper                               | writer
 *      | set the flag of the stripe or table   | commit; raise the sequence; give the lock back
 *      | full fence                            | full fence, one for both flags
 *      | look at the sequence, or at the key   | look at both flags; clear and wake
 *
 * Progress:   writers: two loads of lines that they have, no system call while nobody waits
 * A bulk load wakes all of the side that was in use; sleepers look at the number of swaps last.
 * If a process dies here: a wake that is lost costs the sleepers one time limit, a second */
#include "table.h"

#include <comap/table_watch.h>

#include "error.h"
#include "fault.h"
#include "futex.h"
#include "mutex.h"
#include "rcu.h"
#include "seat.h"

#include <errno.h>
#include <time.h>

#define CLOCK_TICK_NS 5000000u /* of CLOCK_REALTIME_COARSE, at most */

void comap__stripe_count_change(struct comap__writer *writer)
{
	struct comap_stripe_shm *stripe = writer->stripe;
	uint64_t sequence = comap_u64_load_relaxed(&stripe->sequence); /* relaxed: under the mutex */

	/* [edge table.changes] rel: what was committed before the number that counts it */
	comap_u64_store_release(&stripe->sequence, (sequence + 1) & COMAP_VERSION_MASK);
	COMAP_FAULT("table.counted");
}

void comap__stripe_wake(const struct comap__writer *writer)
{
	struct comap_u32 *key_flag = &writer->stripe->waiting, *table_flag = &writer->table->shm->waiting;

	COMAP_FAULT("table.unlocked");
	/* [edge flag.waiting] full: the sequence and the slot before the look at the flags */
	comap_fence_full();
	/* relaxed, both: after the fence */
	if (COMAP_LIKELY(!((comap_u32_load_relaxed(key_flag) | comap_u32_load_relaxed(table_flag)) & 1)))
		return;
	comap__flag_wake(key_flag);
	comap__flag_wake(table_flag);
}

void comap__table_wake(struct comap_table *table, uint64_t swaps)
{
	struct comap_stripe_shm *side = comap__table_side(table, swaps);

	/* [edge flag.waiting] full: the number of swaps before the look at the flags */
	comap_fence_full();
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		comap__flag_wake(&side[i].waiting);
	comap__flag_wake(&table->shm->waiting);
}

uint64_t comap_table_changes(struct comap_table *table)
{
	uint64_t sum, swaps;

	if (!table) {
		comap__table_check(table);
		return 0;
	}
	do { /* once, but for a bulk load that is published meanwhile */
		swaps = comap__table_swaps(table);
		sum = 0;
		for (uint32_t i = 0; i < COMAP_STRIPES; i++)
			sum += comap__stripe_changes(&comap__table_side(table, swaps)[i]);
		/* relaxed: after the acquires of the sequences */
	} while (comap_u64_load_relaxed(&table->shm->swaps) != swaps);
	return sum;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* What somebody waits for: any change, or where there is a key, another version of it. */
struct watch {
	struct comap_table *table;
	const void *key;
	size_t key_bytes;
	uint64_t seen, now;
	uint64_t due_ns;             /* CLOCK_MONOTONIC: when the entry expires, if nothing else happens */
};

/* When it is time for an entry that expires at `expires_ns`, as this process's clocks stand. */
static uint64_t monotonic_of(uint64_t expires_ns)
{
	uint64_t now_ns = comap__table_now_ns();

	return comap_now_ns() + (expires_ns > now_ns ? expires_ns - now_ns : 0) + CLOCK_TICK_NS;
}

static int look_at_key(struct watch *watch)
{
	struct comap_table *table = watch->table;
	uint64_t hash = comap__table_hash(table, watch->key, watch->key_bytes);
	struct comap__entry_parts parts;
	uint64_t expires_ns;
	int code = comap_read_begin(table->object.region);

	if (code)
		return code;
	watch->now = 0;
	watch->due_ns = COMAP_FOREVER;
	if (comap__table_find(table, hash, watch->key, watch->key_bytes, &parts) &&
	    !comap__entry_is_gone(&parts)) {
		watch->now = parts.version;
		/* relaxed: a word of its own */
		expires_ns = parts.expires ? comap_u64_load_relaxed(parts.expires) : 0;
		if (expires_ns)
			watch->due_ns = monotonic_of(expires_ns);
	}
	comap_read_end(table->object.region);
	return 0;
}

static int look_as_guest(struct watch *watch)
{
	struct comap_view view = { 0 };
	int code = comap_table_get(watch->table, watch->key, watch->key_bytes, NULL, 0, &view);

	watch->now = code == 0 || code == -ENOBUFS ? view.version : 0;
	return code == -ENOENT || code == -ENOBUFS ? 0 : code;
}

/* 1: it has changed; 0: not yet; or an error. */
static int look(struct watch *watch)
{
	int code = 0;

	if (!watch->key)
		watch->now = comap_table_changes(watch->table);
	else
		code = comap__is_guest(watch->table->object.region) ? look_as_guest(watch)
		                                                    : look_at_key(watch);
	return code ? code : watch->now != watch->seen;
}

/* What dead writers have left of their last write: it is there, and nobody has counted it yet. */
static void settle_stripes(struct comap_table *table)
{
	const struct comap_stripe_shm *side = comap__table_side(table, comap__table_swaps(table));
	struct comap__writer writer;

	for (uint64_t i = 0; i < COMAP_STRIPES; i++) {
		uint64_t word = comap_u64_load_relaxed(&side[i].mutex); /* relaxed: a hint */

		if (word == 0 || !comap__thread_is_dead(table->object.region, word >> 1) ||
		    comap__writer_init(&writer, table, i << 58) != 0 || comap__stripe_lock(&writer) != 0)
			continue;
		comap__stripe_unlock(&writer);
	}
}

static struct comap_u32 *flag_of(const struct watch *watch, uint64_t swaps)
{
	struct comap_table *table = watch->table;
	uint64_t hash;

	if (!watch->key)
		return &table->shm->waiting;
	hash = comap__table_hash(table, watch->key, watch->key_bytes);
	return &comap__table_side(table, swaps)[comap__hash_stripe(hash)].waiting;
}

/* One sleep, not longer than a second. */
static int sleep_once(struct watch *watch, uint64_t deadline_ns)
{
	uint64_t swaps = comap__table_swaps(watch->table);
	struct comap_u32 *flag = flag_of(watch, swaps);
	uint64_t began_ns = comap_now_ns();
	uint32_t mark = comap__flag_set(flag);
	int code = look(watch);

	COMAP_FAULT("table.watching");
	if (code)
		return code < 0 ? code : 0;
	/* relaxed: after the flag's fence. Swapped meanwhile: it is the flag of the other side that counts */
	if (comap_u64_load_relaxed(&watch->table->shm->swaps) != swaps)
		return 0;
	comap__flag_sleep(flag, mark, watch->due_ns < deadline_ns ? watch->due_ns : deadline_ns);
	if (comap_now_ns() - began_ns >= 500000000u)
		settle_stripes(watch->table);
	return 0;
}

static int wait_for(struct watch *watch, uint64_t deadline_ns)
{
	struct comap *region = watch->table->object.region;
	bool guest = comap__is_guest(region);
	uint64_t step_ns = 0;
	int code;

	if (!guest && comap__in_section(region))
		return comap__fail(COMAP_CAUSE_DEADLOCK, "waiting inside a read section would hold back the "
		                   "memory that writers need");
	for (;;) {
		code = look(watch);
		if (code)
			return code < 0 ? code : 0;
		code = comap__region_awaited(region);
		if (code)
			return code;
		if (comap_now_ns() >= deadline_ns)
			return comap__fail(COMAP_CAUSE_TIMEOUT, "no change came in time");
		if (guest)
			comap__poll_sleep(&step_ns, deadline_ns);
		else
			code = sleep_once(watch, deadline_ns);
		if (code)
			return code;
	}
}

/* --- the interface ---------------------------------------------------------------------------- */

static int check_waiter(struct comap_table *table)
{
	return table && comap__is_guest(table->object.region) ? 0 : comap__table_check(table);
}

int comap_table_wait(struct comap_table *table, uint64_t seen, uint64_t deadline_ns, uint64_t *ret_now)
{
	struct watch watch = { .table = table, .seen = seen, .due_ns = COMAP_FOREVER };
	int code = check_waiter(table);

	if (!code)
		code = wait_for(&watch, deadline_ns);
	if (!code && ret_now)
		*ret_now = watch.now;
	return code;
}

int comap_table_wait_key(struct comap_table *table, const void *key, size_t key_bytes, uint64_t seen,
                         uint64_t deadline_ns, uint64_t *ret_version)
{
	struct watch watch = {
		.table = table, .key = key, .key_bytes = key_bytes, .seen = seen, .due_ns = COMAP_FOREVER,
	};
	int code = check_waiter(table);

	if (!code)
		code = comap__table_check_key(key, key_bytes);
	if (!code)
		code = wait_for(&watch, deadline_ns);
	if (!code && ret_version)
		*ret_version = watch.now;
	return code;
}
