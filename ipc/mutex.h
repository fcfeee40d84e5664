/* SPDX-License-Identifier: MIT */
/* A lock between processes that survives its owner.
 *
 * One 64-bit word in the region: {owner's thread token:60, waiters:1}; 0 is free. A dead owner's
 * lock is taken over from its exact word, so two cannot both take it, and whoever takes it over
 * repairs before going on: a death during the repair is the same case once more. A stopped owner is
 * never robbed; the error names it. No list of held locks is needed: a token that is not a living
 * thread's is a dead one's, for ever. */
#ifndef COMAP_IPC_MUTEX_H
#define COMAP_IPC_MUTEX_H

#include "region.h"

/* 0: locked; 1: locked, and its owner died: repair before you trust what it protects.
 * -ETIMEDOUT with the owner's seat in the last error; -EDEADLK it is the caller's own.
 * `token` is the calling thread's (its row's). */
int comap__mutex_lock(struct comap *region, struct comap_u64 *word, uint64_t token,
                      uint64_t deadline_ns);

/* The same without waiting: -EBUSY where a living thread holds it. */
int comap__mutex_trylock(struct comap *region, struct comap_u64 *word, uint64_t token);

void comap__mutex_unlock(struct comap_u64 *word, uint64_t token);

#endif
