/* SPDX-License-Identifier: MIT */
/* Grace periods, and the retired blocks that wait for them. */
#ifndef COMAP_IPC_RCU_H
#define COMAP_IPC_RCU_H

#include "region.h"

/* The 52 bits of an epoch in a mark. At 10^6 grace periods a second they last 142 years. */
#define COMAP_EPOCH_MAX ((1ull << 52) - 2)

/* This process's readers are reached by everybody's barriers from now on. -ENOSYS, -EPERM ... */
int comap__barrier_register(void);

/* Is the calling thread inside a section of the region? */
bool comap__in_section(const struct comap *region);
/* ... in one that is not parked, so that what it finds stays? */
bool comap__may_look(const struct comap *region);

/* 0; -EINVAL inside an evictable section, where what a change hangs on may be gone. */
int comap__may_change(const struct comap *region);

/* As comap_synchronize_until(), for memory that is needed: evictable sections give way. */
int comap__synchronize_evicting(struct comap *region, uint64_t deadline_ns);

/* Makes room for one retired block on the thread's ring, so that the retire after a commit cannot
 * fail, and keeps what readers pin within the region's budget. -EBUSY names the seat that stays. */
int comap__retire_reserve(struct comap *region, struct comap__row *row);
/* The same for one, and if it can be had for `count`: who retires many asks for room as it goes. */
int comap__retire_reserve_many(struct comap *region, struct comap__row *row, unsigned count);

/* Hands over a block that has just been unlinked, PUBLISHED before. A slot must be reserved. */
void comap__retire(struct comap *region, struct comap__row *row, struct comap_ref ref);

/* Frees the blocks of the record's ring whose grace period is over. Returns how many. */
unsigned comap__rings_drain_done(struct comap *region, uint32_t record);

/* The same for rings of records that nobody owns. */
unsigned comap__rings_adopt(struct comap *region);

/* Frees everything on the thread's own ring, for which it waits and evicts. 0; -ETIMEDOUT naming the seat. */
int comap__ring_flush(struct comap *region, struct comap__row *row, uint64_t deadline_ns);

/* How many blocks wait on a record's ring. */
static inline uint64_t comap__ring_count(const struct comap_thread_shm *thread)
{
	/* relaxed: the owner's own words, or a statistic */
	uint64_t count = comap_u64_load_relaxed(&thread->ring_head) -
	                 comap_u64_load_relaxed(&thread->ring_tail);

	return count <= COMAP_RING_ENTRIES ? count : COMAP_RING_ENTRIES;
}

/* Room for two: the one that the operation at hand retires, and the one that it owes beside (a chain's
 * last bucket, an entry whose time is over). What comap__retire_reserve() has granted. */
static inline bool comap__ring_has_room(const struct comap_thread_shm *thread)
{
	return comap__ring_count(thread) < COMAP_RING_ENTRIES - 1;
}

/* --- intents: an operation that a death cannot leave half-done ------------------------------------ */

/* Says: the word at `link` goes from old_ref to new_ref. */
void comap__intent_begin(struct comap *region, struct comap__row *row, struct comap_ref link,
                         struct comap_ref old_ref, struct comap_ref new_ref);
void comap__intent_end(struct comap *region, struct comap__row *row);

/* After the commit: the new block is PUBLISHED, the old one retired. */
void comap__intent_settle(struct comap *region, struct comap__row *row, struct comap_ref old_ref,
                          struct comap_ref new_ref);

/* Finishes or takes back what a dead thread's intent says. Idempotent; under the sweeper's lock. */
void comap__intent_repair(struct comap *region, uint32_t record);

#endif
