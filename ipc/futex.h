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

/* --- flags: a sleeper says that it sleeps, and the others pay nothing while nobody does ---
 *
 *      | sleeper                  | waker
 *      | set the flag             | make it true
 *      | full fence               | full fence
 *      | true? then do not sleep  | flag? then clear it and wake all
 *
 * One of the two sees the other: [edge flag.waiting]. The word is {generation:31, flag:1}: each wake
 * raises the generation, so that a sleeper who was on its way is not put to sleep by the flag of
 * another who came after the wake. A wake that is lost with its waker costs a second: no sleep is
 * longer. tests/model/wake.pml */

/* Before the sleeper looks whether what it waits for is true. Returns the word to sleep on. */
uint32_t comap__flag_set(struct comap_u32 *flag);
/* After it has looked, and it was not. */
void comap__flag_sleep(struct comap_u32 *flag, uint32_t seen, uint64_t deadline_ns);
/* After it has been made true. No system call while nobody sleeps. */
void comap__flag_wake(struct comap_u32 *flag);

/* For those who may not write a flag: sleeps *step_ns (0 at first), which doubles from 1 to 50 ms. */
void comap__poll_sleep(uint64_t *step_ns, uint64_t deadline_ns);

#endif
