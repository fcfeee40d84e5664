/* SPDX-License-Identifier: MIT */
/* Retired blocks, and the intents that lead to them.
 *
 * Where it lives: a ring beside each thread record: entries {ref, stamp}, [tail, head).
 * Invariants: I1 a block is RETIRED(R) with R read from the epoch after its unlink
 *             I2 an entry is good only while its block says RETIRED(entry's stamp); a stamp is never
 *                given to the same block twice, because reuse waits for a larger epoch
 *             I3 `horizon` > R before the block is FREE
 *             I4 a slot is reserved before an operation commits: retiring cannot fail
 * Writers:    the record's owner; after its death the sweeper; when nobody's, whoever claims it
 * Ordering:   [edge rcu.completed], [edge reuse.horizon], [edge block.state]
 * Progress:   draining is bounded by the ring
 * If a process dies here: see the table in comap__intent_repair(); entries that were freed but not
 *             yet passed by `tail` are void by I2 */
#include "rcu.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <time.h>

#define DRAIN_BYTES (1536u << 10) /* so much waits before a thread looks for a grace period */
#define MANY_PATIENCE_MS 2       /* so long for a grace period, before a ring's entries move elsewhere */
#define PIN_PATIENCE_MS 20       /* so long a writer waits over the budget before it fails */
#define PIN_TRIES 8              /* ... and so often it looks for what others have retired */

static uint64_t retired_word(uint64_t stamp) { return stamp << 4 | COMAP_BLOCK_RETIRED; }

/* --- onto the ring --- */

static void push(struct comap *region, uint32_t record, struct comap_ref ref, uint64_t stamp)
{
	struct comap_thread_shm *thread = &region->threads[record];
	struct comap_ring_shm *ring = &region->rings[record];
	uint64_t head = comap_u64_load_relaxed(&thread->ring_head); /* relaxed: the owner's own */

	/* relaxed: published by head */
	comap_u64_store_relaxed(&ring->entries[head % COMAP_RING_ENTRIES].ref, ref.offset_bytes);
	comap_u64_store_relaxed(&ring->entries[head % COMAP_RING_ENTRIES].stamp, stamp);
	/* [edge thread.release] rel: for the next owner or sweeper */
	comap_u64_store_release(&thread->ring_head, head + 1);
}

static bool on_ring(struct comap *region, uint32_t record, struct comap_ref ref, uint64_t stamp)
{
	struct comap_thread_shm *thread = &region->threads[record];
	struct comap_ring_shm *ring = &region->rings[record];
	uint64_t tail = comap_u64_load_relaxed(&thread->ring_tail); /* relaxed: under the sweeper's lock */
	uint64_t count = comap__ring_count(thread);

	for (uint64_t i = 0; i < count; i++)
		if (ring->entries[(tail + i) % COMAP_RING_ENTRIES].ref.v == ref.offset_bytes &&
		    ring->entries[(tail + i) % COMAP_RING_ENTRIES].stamp.v == stamp)
			return true;
	return false;
}

/* PUBLISHED -> RETIRED(R). The stamp is read here, after the unlink, and never kept from before. */
static void retire_on(struct comap *region, uint32_t record, struct comap_ref ref)
{
	struct comap_u64 *state = comap__block_state(region, ref);
	/* [edge rcu.epoch] both: an addition of nothing, so that the stamp is not older than the unlink */
	uint64_t stamp = comap_u64_add_acq_rel(&region->control->epoch, 0);

	/* [edge block.state] rel */
	if (!state || !comap_u64_cas_acq_rel(state, COMAP_BLOCK_PUBLISHED, retired_word(stamp)))
		return;
	COMAP_FAULT("retire.stamped");
	/* relaxed: a counter */
	comap_u64_add_relaxed(&region->control->retired_bytes, comap__block_bytes(region, ref));
	push(region, record, ref, stamp);
	COMAP_FAULT("retire.queued");
}

void comap__retire(struct comap *region, struct comap__row *row, struct comap_ref ref)
{
	retire_on(region, row->record, ref);
}

/* --- off the ring --- */

static void free_retired(struct comap *region, uint64_t token, struct comap_ref ref, uint64_t stamp)
{
	struct comap_u64 *state = comap__block_state(region, ref);
	uint64_t bytes;

	/* relaxed: the CAS inside decides; a void entry is passed over (I2) */
	if (!state || comap_u64_load_relaxed(state) != retired_word(stamp))
		return;
	bytes = comap__block_bytes(region, ref);
	/* [edge reuse.horizon] rel: the horizon before the block is free, and so before its first new
	 * byte; a guest whose copy met new bytes sees it. */
	comap_u64_max_acq_rel(&region->control->horizon, stamp + 1);
	if (comap__block_free(region, token, ref, retired_word(stamp)))
		comap_u64_sub_relaxed(&region->control->retired_bytes, bytes); /* relaxed: a counter */
}

/* Frees entries from the tail on while their grace period is over. The ring must be ours. */
unsigned comap__rings_drain_done(struct comap *region, uint32_t record)
{
	struct comap_thread_shm *thread = &region->threads[record];
	struct comap_ring_shm *ring = &region->rings[record];
	uint64_t tail = comap_u64_load_relaxed(&thread->ring_tail); /* relaxed: the owner's own */
	/* [edge rcu.completed] acq: the sections that could see these blocks are over */
	uint64_t completed = comap_u64_load_acquire(&region->control->completed);
	uint64_t count = comap__ring_count(thread);
	unsigned freed = 0;

	if (count == 0 || comap__heap_make_writable(region) != 0)
		return 0;
	for (; count > 0; count--, tail++) {
		uint64_t stamp = comap_u64_load_relaxed(&ring->entries[tail % COMAP_RING_ENTRIES].stamp);
		uint64_t ref = comap_u64_load_relaxed(&ring->entries[tail % COMAP_RING_ENTRIES].ref);

		if (completed < stamp + 1)
			break;
		free_retired(region, comap__record_token(region, record), (struct comap_ref){ ref }, stamp);
		COMAP_FAULT("reclaim.freed");
		/* relaxed: an entry that is seen twice is void the second time (I2) */
		comap_u64_store_relaxed(&thread->ring_tail, tail + 1);
		freed++;
	}
	return freed;
}

unsigned comap__rings_adopt(struct comap *region)
{
	struct comap__row *row = comap__thread_row(region);
	uint32_t high_water = comap__threads_used(region);
	uint64_t owner = row ? region->attachment->seat_token << 1 | 1 : 0;
	unsigned freed = 0;

	for (uint32_t i = 0; row && i < high_water; i++) {
		struct comap_thread_shm *thread = &region->threads[i];

		/* relaxed: hints; the CAS decides.  [edge thread.release] acq: the ring is whole */
		if (comap_u64_load_relaxed(&thread->owner) != 0 || comap__ring_count(thread) == 0 ||
		    !comap_u64_cas_acquire(&thread->owner, 0, owner))
			continue;
		comap_u64_store_relaxed(&thread->mark, 0); /* relaxed: stale, and ours now */
		freed += comap__rings_drain_done(region, i);
		comap__thread_release(region, thread);
	}
	comap_u64_add_relaxed(&region->control->adopted_blocks, freed); /* relaxed: a counter */
	return freed;
}

/* Frees what is due on the ring of a living thread, which may be stopped, and leaves the entries to it:
 * they are void from then on (I2). An entry that is torn between two of its owner's fits no block's
 * state. While its intent is open, a repair may ask for the old block's state: then nothing. */
static void help_ring(struct comap *region, uint32_t record, uint64_t token, uint64_t completed)
{
	const struct comap_thread_shm *thread = &region->threads[record];
	const struct comap_ring_shm *ring = &region->rings[record];
	uint64_t tail = comap_u64_load_relaxed(&thread->ring_tail); /* relaxed: any entry may be looked at */
	uint64_t count = comap__ring_count(thread);

	/* [edge intent.op] acq: after `completed`. An intent that begins later retires its block with a
	 * stamp that is not over. */
	if (comap_u64_load_acquire(&thread->intent.op) != COMAP_INTENT_NONE)
		return;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = (tail + i) % COMAP_RING_ENTRIES;
		/* relaxed, both: the block's state decides */
		uint64_t stamp = comap_u64_load_relaxed(&ring->entries[at].stamp);
		struct comap_ref ref = { comap_u64_load_relaxed(&ring->entries[at].ref) };

		if (stamp < completed)
			free_retired(region, token, ref, stamp);
	}
}

/* The budget is everybody's: what others have retired and do not free is freed for them. */
static void help_rings(struct comap *region, const struct comap__row *row)
{
	/* [edge rcu.completed] acq: the sections that could see these blocks are over */
	uint64_t completed = comap_u64_load_acquire(&region->control->completed);
	uint32_t high_water = comap__threads_used(region);

	for (uint32_t i = COMAP_FIRST_RECORD; i < high_water; i++)
		if (i != row->record)
			help_ring(region, i, row->token, completed);
}

int comap__ring_flush(struct comap *region, struct comap__row *row, uint64_t deadline_ns)
{
	struct comap_thread_shm *thread = &region->threads[row->record];
	int code;

	comap__rings_drain_done(region, row->record);
	if (comap__ring_count(thread) == 0)
		return 0;
	code = comap__synchronize_evicting(region, deadline_ns);
	if (!code)
		comap__rings_drain_done(region, row->record);
	return code;
}

/* --- room before a commit --- */

/* How many bytes wait on the ring: of blocks of one size, as a value's are, an exact figure. */
static bool much_waits(struct comap *region, uint32_t record)
{
	struct comap_thread_shm *thread = &region->threads[record];
	uint64_t count = comap__ring_count(thread);
	uint64_t tail = comap_u64_load_relaxed(&thread->ring_tail); /* relaxed: the owner's own */
	struct comap_ref oldest = {
		region->rings[record].entries[tail % COMAP_RING_ENTRIES].ref.v
	};

	return count >= COMAP_RING_ENTRIES / 2 ||
	       (count >= 4 && count * comap__block_bytes(region, oldest) >= DRAIN_BYTES);
}

/* The exact sum over all rings. The counter in the control part is a hint: a death between a state
 * word and the counter puts it wrong. */
static uint64_t recount_retired(struct comap *region)
{
	uint32_t high_water = comap__threads_used(region);
	uint64_t bytes = 0, hint = comap_u64_load_relaxed(&region->control->retired_bytes); /* relaxed: a hint */

	for (uint32_t i = 0; i < high_water; i++) {
		const struct comap_thread_shm *thread = &region->threads[i];
		uint64_t tail = comap_u64_load_relaxed(&thread->ring_tail); /* relaxed: a moment's sum */

		for (uint64_t k = 0, count = comap__ring_count(thread); k < count; k++) {
			uint64_t at = (tail + k) % COMAP_RING_ENTRIES;
			struct comap_ref ref = { region->rings[i].entries[at].ref.v };
			struct comap_u64 *state = comap__block_state(region, ref);

			if (state && state->v == retired_word(region->rings[i].entries[at].stamp.v))
				bytes += comap__block_bytes(region, ref);
		}
	}
	/* relaxed: a hint. Only where nobody has counted on meanwhile: a thread that is stopped here would
	 * bring back an old sum, and the others would go over the budget by the difference. */
	comap_u64_cas_relaxed(&region->control->retired_bytes, hint, bytes);
	return bytes;
}

static bool over_budget(struct comap *region)
{
	/* relaxed: a hint, made exact before anybody is refused */
	int64_t hint = (int64_t)comap_u64_load_relaxed(&region->control->retired_bytes);

	return (hint < 0 || (uint64_t)hint > region->identity->pin_budget_bytes) &&
	       recount_retired(region) > region->identity->pin_budget_bytes;
}

/* The ring is full and its readers stay: its entries move to the ring of a record that nobody owns,
 * for whoever adopts them later. If the process dies between copy and tail, entries stand twice; the
 * second to be looked at is void (I2). */
static bool spill(struct comap *region, uint32_t record)
{
	struct comap_thread_shm *own = &region->threads[record];
	uint64_t tail = comap_u64_load_relaxed(&own->ring_tail); /* relaxed: the owner's own */
	uint64_t head = comap_u64_load_relaxed(&own->ring_head);
	uint32_t other;

	if (comap__thread_claim(region, region->attachment->seat_token, true, &other) != 0)
		return false;
	for (; tail < head && comap__ring_count(&region->threads[other]) < COMAP_RING_ENTRIES; tail++)
		push(region, other,
		     (struct comap_ref){ region->rings[record].entries[tail % COMAP_RING_ENTRIES].ref.v },
		     region->rings[record].entries[tail % COMAP_RING_ENTRIES].stamp.v);
	COMAP_FAULT("retire.spilled");
	comap_u64_store_relaxed(&own->ring_tail, tail); /* relaxed: the owner's own */
	comap__thread_release(region, &region->threads[other]);
	return comap__ring_has_room(own);
}

/* There is room to go on: budget, and a place on the thread's ring. */
static bool has_room(struct comap *region, struct comap__row *row)
{
	return !over_budget(region) &&
	       (comap__ring_has_room(&region->threads[row->record]) || spill(region, row->record));
}

/* Readers pin more than the budget, or more blocks than the rings have places for: what the region's
 * creator chose. */
static int meet_budget(struct comap *region, struct comap__row *row)
{
	uint64_t deadline_ns = region->identity->pin_policy == COMAP_PIN_WAIT
		? COMAP_FOREVER : comap_deadline_ms(PIN_PATIENCE_MS);
	const char *what = over_budget(region) ? "more bytes than the budget of this region allows"
	                                       : "more blocks than its thread records can keep";
	const struct timespec pause = { .tv_nsec = 500000 };
	int64_t seat;
	int code;

	if (comap__in_section(region))
		return comap__fail(COMAP_CAUSE_PINNED, "%s: readers pin %s, and this thread is inside a read "
		                   "section itself", region->path, what);
	for (unsigned tries = 1;; tries++) {
		code = comap__synchronize_evicting(region, deadline_ns);
		seat = code == -ETIMEDOUT ? comap__error()->seat : -1; /* what follows may fail in other ways */
		comap__rings_drain_done(region, row->record);
		comap__rings_adopt(region);
		help_rings(region, row);
		if (has_room(region, row))
			return 0;
		/* nobody reads: that the time is over may only mean that we did not run */
		if (code || (comap_now_ns() >= deadline_ns && tries >= PIN_TRIES))
			break;
		nanosleep(&pause, NULL); /* others retire meanwhile, or one stands in the midst of it */
	}
	if (code && seat < 0)
		return code;
	if (seat < 0) /* nobody reads: others retire as fast as we do */
		return comap__fail(COMAP_CAUSE_PINNED, "%s: other writers retire %s", region->path, what);
	comap__fail(COMAP_CAUSE_PINNED, "%s: readers pin %s: %s stays inside a read section",
	            region->path, what, comap__seat_name(region, (uint32_t)seat).text);
	comap__error()->seat = seat;
	return -EBUSY;
}

/* Brings the grace period that the ring waits for a step on, without waiting. The ticket is kept from
 * call to call: each reader has to leave the section that it was in when the ticket was drawn, and
 * with many busy readers there is hardly a moment when none is in one. */
static void nudge(struct comap *region, uint32_t record)
{
	/* [edge rcu.ticket] acq: the marks are looked at after the barrier of whoever drew the ticket */
	uint64_t ticket = comap_u64_load_acquire(&region->drain_ticket);
	uint64_t count = comap__ring_count(&region->threads[record]);
	int done;

	/* One barrier for a batch: a new ticket is drawn only every few retires. Operations that retire
	 * several at a time may step over each of these: the last places are for all. */
	if (ticket == 0 && (count % 4 == 0 || count >= COMAP_RING_ENTRIES - 8))
		ticket = comap_synchronize_start(region);
	if (ticket == 0)
		return;
	done = comap_synchronize_poll(region, ticket);
	/* [edge rcu.ticket] rel: the barrier before the ticket is anybody's of this process */
	comap_u64_store_release(&region->drain_ticket, done == 0 ? ticket : 0);
	if (done == 1)
		comap__rings_drain_done(region, record);
}

int comap__retire_reserve(struct comap *region, struct comap__row *row)
{
	struct comap_thread_shm *thread = &region->threads[row->record];
	bool budget = over_budget(region);

	if (COMAP_LIKELY(!budget && !much_waits(region, row->record)))
		return 0;
	comap__rings_drain_done(region, row->record);
	if (much_waits(region, row->record) && !comap__in_section(region))
		nudge(region, row->record);
	if (!budget && comap__ring_has_room(thread))
		return 0;
	return has_room(region, row) ? 0 : meet_budget(region, row);
}

int comap__retire_reserve_many(struct comap *region, struct comap__row *row, unsigned count)
{
	struct comap_thread_shm *thread = &region->threads[row->record];
	int code = comap__retire_reserve(region, row);

	if (code || comap__ring_count(thread) + count <= COMAP_RING_ENTRIES)
		return code;
	comap__rings_drain_done(region, row->record);
	if (comap__ring_count(thread) + count <= COMAP_RING_ENTRIES)
		return 0;
	if (!comap__in_section(region))
		comap__ring_flush(region, row, comap_deadline_ms(MANY_PATIENCE_MS));
	if (comap__ring_count(thread) + count > COMAP_RING_ENTRIES)
		spill(region, row->record);
	return comap__ring_count(thread) < COMAP_RING_ENTRIES ? 0 : meet_budget(region, row);
}

/* --- intents --- */

void comap__intent_begin(struct comap *region, struct comap__row *row, struct comap_ref link,
                         struct comap_ref old_ref, struct comap_ref new_ref)
{
	struct comap_intent_shm *intent = &region->threads[row->record].intent;

	/* relaxed: published by op */
	comap_u64_store_relaxed(&intent->link, link.offset_bytes);
	comap_u64_store_relaxed(&intent->old_ref, old_ref.offset_bytes);
	comap_u64_store_relaxed(&intent->new_ref, new_ref.offset_bytes);
	/* [edge intent.op] rel: the refs before the op that makes them count */
	comap_u64_store_release(&intent->op, COMAP_INTENT_REPLACE);
	COMAP_FAULT("intent.begun");
}

void comap__intent_end(struct comap *region, struct comap__row *row)
{
	/* [edge intent.op] rel: everything that the intent covered is done */
	comap_u64_store_release(&region->threads[row->record].intent.op, COMAP_INTENT_NONE);
}

static void settle(struct comap *region, uint32_t record, uint64_t token, struct comap_ref old_ref,
                   struct comap_ref new_ref)
{
	struct comap_u64 *state = comap__block_state(region, new_ref);

	/* [edge block.state] rel: whoever unlinks the block finds it PUBLISHED, or makes it so */
	if (state)
		comap_u64_cas_acq_rel(state, token << 4 | COMAP_BLOCK_PRIVATE, COMAP_BLOCK_PUBLISHED);
	COMAP_FAULT("publish.marked");
	if (old_ref.offset_bytes)
		retire_on(region, record, old_ref);
}

void comap__intent_settle(struct comap *region, struct comap__row *row, struct comap_ref old_ref,
                          struct comap_ref new_ref)
{
	settle(region, row->record, row->token, old_ref, new_ref);
}

/* What the dead thread's words say, and what is done:
 *
 *   link   new block       old block      where it died                   repair
 *   old    PRIVATE         PUBLISHED      before the commit point         free new (the heap's sweep)
 *   new    PRIVATE         PUBLISHED      after it                        publish new, retire old
 *   new    PUBLISHED       PUBLISHED      before the old was stamped      retire old
 *   new    PUBLISHED       RETIRED        before it was queued            queue old
 *   new    PUBLISHED       RETIRED, queued                                nothing
 *
 * Nobody else can have changed the link: the role or lock under which the thread worked passes on
 * only after this. */
void comap__intent_repair(struct comap *region, uint32_t record)
{
	struct comap_intent_shm *intent = &region->threads[record].intent;
	struct comap_ref new_ref, old_ref, link_ref;
	const struct comap_u64 *link;
	struct comap_u64 *state;
	uint64_t word;

	/* [edge intent.op] acq: seen the op => the refs belong to it */
	if (comap_u64_load_acquire(&intent->op) != COMAP_INTENT_REPLACE)
		return;
	/* relaxed: the thread is dead and we hold the sweeper's lock */
	link_ref.offset_bytes = comap_u64_load_relaxed(&intent->link);
	old_ref.offset_bytes = comap_u64_load_relaxed(&intent->old_ref);
	new_ref.offset_bytes = comap_u64_load_relaxed(&intent->new_ref);
	link = comap__at(region, link_ref, sizeof *link, sizeof *link);
	/* [edge value.publish] acq: as any reader of the link */
	if (link && comap_u64_load_acquire(link) == new_ref.offset_bytes) {
		new_ref.offset_bytes &= ~COMAP_REF_FLAGS; /* a table's link to a bucket bears a flag */
		settle(region, record, comap__record_token(region, record), old_ref, new_ref);
		state = old_ref.offset_bytes ? comap__block_state(region, old_ref) : NULL;
		word = state ? comap_u64_load_relaxed(state) : 0; /* relaxed: under the sweeper's lock */
		if ((word & 15) == COMAP_BLOCK_RETIRED && !on_ring(region, record, old_ref, word >> 4))
			push(region, record, old_ref, word >> 4);
		comap_u64_add_relaxed(&region->control->adopted_blocks, 1); /* relaxed: a counter */
	}
	COMAP_FAULT("repair.settled");
	comap_u64_store_release(&intent->op, COMAP_INTENT_NONE); /* [edge intent.op] rel */
}
