/* SPDX-License-Identifier: MIT */
/* The threads of this process, as the regions know them. */
#ifndef COMAP_IPC_THREAD_H
#define COMAP_IPC_THREAD_H

#include "region.h"

/* The calling thread's row, registered if it was not. NULL: the last error says why. */
struct comap__row *comap__thread_row(struct comap *region);

/* Gives one record of this process back; its ring stays with it for the next owner. */
void comap__thread_release(struct comap *region, struct comap_thread_shm *thread);

/* Claims a free record for `seat_token`, of any or only of an empty ring; -EUSERS. Its stale mark is
 * cleared. */
int comap__thread_claim(struct comap *region, uint64_t seat_token, bool empty_ring,
                        uint32_t *ret_record);

/* The janitor's record (layout.h) for a moment: -EBUSY where somebody living has it. */
int comap__janitor_claim(struct comap *region, uint64_t *ret_token);
void comap__janitor_release(struct comap *region);

/* In whose name the calling thread sweeps: its own, registered where it was not, or the janitor's where
 * no record is free. -EBUSY: somebody else is the janitor. */
int comap__sweeper_begin(struct comap *region, uint64_t *ret_token);
void comap__sweeper_end(struct comap *region, uint64_t token);

/* Row numbers of the process: one per open region. -EMFILE: none left. */
int comap__row_number_take(uint32_t *ret_number);
void comap__row_number_give(uint32_t number);

/* Gives back the records of all threads of the process and clears their rows: they are in no
 * section of the region. */
void comap__rows_release(struct comap *region);

/* Waits until no thread of this process is inside a section of the region. */
void comap__rows_wait_quiescent(struct comap *region);

/* See comap__regions_before_fork(). */
void comap__threads_before_fork(void);
void comap__threads_after_fork(void);

static inline uint64_t comap__record_token(const struct comap *region, uint32_t record)
{
	/* relaxed: the tenure changes only when its owner has gone, and then stale is as good */
	return comap__token(comap_u64_load_relaxed(&region->threads[record].tenure), record);
}

#endif
