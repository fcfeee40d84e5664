/* SPDX-License-Identifier: MIT */
/* Seats: who is attached, who is dead, and what becomes of what the dead held. */
#ifndef COMAP_IPC_SEAT_H
#define COMAP_IPC_SEAT_H

#include <comap/seat.h>

#include "region.h"

/* The life locks are bytes far behind any data, one for each token: for each time that a seat is taken.
 * Whoever waits for one holder's byte does not compete with the next holder for it. */
#define COMAP_LIFE_LOCK_OFFSET (1ull << 62)

static inline off_t comap__life_byte(uint64_t seat_token)
{
	return (off_t)(COMAP_LIFE_LOCK_OFFSET + (seat_token & ((1ull << 60) - 1)));
}

uint64_t comap__pid_namespace(void);
/* In the caller's PID namespace: state T or t of /proc. */
bool comap__process_is_stopped(uint32_t pid);

/* How an error calls who sits there: "seat 3 (name, pid 7)", and ", stopped" where that can be seen. */
struct comap__seat_name { char text[96]; };
struct comap__seat_name comap__seat_name(const struct comap *region, uint32_t seat);

/* Takes a free seat for this process; fills region->attachment. Registers for membarrier first. */
int comap__seat_take(struct comap *region);

/* Gives the process's seat and all its thread records back; marks the region clean where it was the
 * last. */
void comap__seat_leave(struct comap *region);

/* Is whoever held this seat token gone? Asks the kernel once; a death found is recorded, so that
 * nobody asks again. Never blocks. */
bool comap__seat_is_dead(struct comap *region, uint64_t seat_token);

/* The same for a thread token: its process is dead, or the thread has ended. */
bool comap__thread_is_dead(struct comap *region, uint64_t thread_token);

/* The seat token behind a thread token, or 0 where the thread has ended. */
uint64_t comap__thread_seat(const struct comap *region, uint64_t thread_token);

/* Does the seat token name a holder of seat `index` from before `generation`? Such a one is dead. */
bool comap__seat_token_before(uint64_t seat_token, uint32_t index, uint64_t generation);

/* Is there still a record of a thread that sat there under this token? */
bool comap__seat_left_over(struct comap *region, uint64_t seat_token);

/* Looks for dead seats and sweeps them: finishes or takes back what they were doing, frees their
 * seat. Idempotent; whoever comes second while one sweeps goes on without. Registers the calling
 * thread. Returns how many seats were swept. */
unsigned comap__seats_reap(struct comap *region);

/* Before the process leaves: sweeps the dead, so that the last one out can mark the region clean. */
void comap__seats_settle(struct comap *region);

/* Sweeps one seat. 0; -EBUSY somebody else is at it; or why the thread cannot. */
int comap__seat_sweep(struct comap *region, uint32_t index);

#endif
