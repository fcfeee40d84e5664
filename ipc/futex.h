/* SPDX-License-Identifier: MIT */
/* Sleep on a shared word and wake those who do. Shared, not private: across processes.
 *
 * Rule of the house: one sleeps on the flag that one has set oneself, and the waker exchanges that
 * flag to 0 before it wakes. A sleep always has a limit, so that a waker's death costs time only. */
#ifndef COMAP_IPC_FUTEX_H
#define COMAP_IPC_FUTEX_H

#include <comap/word.h>

/* Sleeps while the word is `expected`, until `deadline_ns` (CLOCK_MONOTONIC; COMAP_FOREVER).
 * 0: woken, or the word was another one, or a signal came: look again. -ETIMEDOUT. */
int comap__futex_wait(const struct comap_u32 *word, uint32_t expected, uint64_t deadline_ns);

/* Wakes up to `count` sleepers; returns how many. */
int comap__futex_wake(struct comap_u32 *word, int count);

#endif
