/* SPDX-License-Identifier: MIT */
/* A lock between processes that survives its owner. See mutex.h.
 *
 * Where it lives: a struct comap_u64 of the region. Its lower half, which holds the waiters bit and
 *             the owner's record number, is the futex.
 * Invariants: I1 the word is 0 or names exactly one owner
 *             I2 waiters = 0 only when nobody sleeps, or the sleepers' time limit has been set
 * Ordering:   [edge mutex.lock]
 * Progress:   blocking; a dead owner delays by at most one probe interval
 * If a process dies here: after the CAS it is a dead owner; before, nothing. A waker that dies
 *             between the unlock and the wake costs the sleepers one probe interval */
#include "mutex.h"

#include "error.h"
#include "fault.h"
#include "futex.h"
#include "seat.h"

#include <errno.h>

#define WAITERS 1ull
#define SPINS 100
/* How long a sleeper sleeps before it asks whether the owner lives: longer each time. */
#define PROBE_FIRST_NS 1000000u
#define PROBE_LAST_NS 16000000u

static uint64_t owner_of(uint64_t word) { return word >> 1; }

static struct comap_u32 *futex_half(struct comap_u64 *word)
{
	return (struct comap_u32 *)(void *)word; /* little-endian: the lower half comes first */
}

/* Takes the lock from a dead owner: 1; 0 where somebody else was faster. */
static int take_over(struct comap_u64 *word, uint64_t seen, uint64_t mine)
{
	/* [edge mutex.lock] acq: what the dead owner stored is seen. Waiters stay marked. */
	if (!comap_u64_cas_acquire(word, seen, mine | (seen & WAITERS)))
		return 0;
	COMAP_FAULT("mutex.taken_over");
	return 1;
}

int comap__mutex_trylock(struct comap *region, struct comap_u64 *word, uint64_t token)
{
	uint64_t seen;

	/* [edge mutex.lock] acq: what the owner before stored under the lock is seen */
	if (comap_u64_cas_acquire(word, 0, token << 1))
		return 0;
	seen = comap_u64_load_relaxed(word); /* relaxed: the CAS in take_over decides */
	if (seen == 0)
		return comap_u64_cas_acquire(word, 0, token << 1) ? 0 : -EBUSY;
	if (owner_of(seen) == token)
		return comap__fail(COMAP_CAUSE_DEADLOCK, "the thread holds this lock already");
	if (comap__thread_is_dead(region, owner_of(seen)) && take_over(word, seen, token << 1))
		return 1;
	return -EBUSY;
}

static int fail_timeout(struct comap *region, uint64_t seen)
{
	uint64_t seat_token = comap__thread_seat(region, owner_of(seen));
	uint32_t seat = comap__token_index(seat_token);
	int code;

	if (!seat_token)
		return comap__fail(COMAP_CAUSE_TIMEOUT, "the lock did not become free in time");
	code = comap__fail(COMAP_CAUSE_TIMEOUT, "the lock is held by %s", comap__seat_name(region, seat).text);
	comap__error()->seat = seat;
	return code;
}

/* One sleep on a word that says it has waiters. */
static void sleep_on(struct comap_u64 *word, uint64_t seen, uint64_t *probe_ns, uint64_t deadline_ns)
{
	uint64_t until_ns = comap_now_ns() + *probe_ns;

	if (*probe_ns < PROBE_LAST_NS)
		*probe_ns *= 2;
	comap__futex_wait(futex_half(word), (uint32_t)seen, until_ns < deadline_ns ? until_ns : deadline_ns);
}

int comap__mutex_lock(struct comap *region, struct comap_u64 *word, uint64_t token,
                      uint64_t deadline_ns)
{
	uint64_t mine = token << 1, probe_ns = PROBE_FIRST_NS;
	uint64_t seen;

	/* [edge mutex.lock] acq, as above and below */
	if (COMAP_LIKELY(comap_u64_cas_acquire(word, 0, mine)))
		return 0;
	for (unsigned round = 0;; round++) {
		seen = comap_u64_load_relaxed(word); /* relaxed: CAS decides */
		if (seen == 0) {
			if (comap_u64_cas_acquire(word, 0, mine))
				return 0;
			continue;
		}
		if (owner_of(seen) == token)
			return comap__fail(COMAP_CAUSE_DEADLOCK, "the thread holds this lock already");
		if (round < SPINS) {
			comap_spin_pause();
			continue;
		}
		if (comap__thread_is_dead(region, owner_of(seen))) {
			if (take_over(word, seen, mine))
				return 1;
			continue;
		}
		if (comap_now_ns() >= deadline_ns) {
			/* A wake that was meant for any sleeper may have been ours: it goes on. */
			if (mine & WAITERS)
				comap__futex_wake(futex_half(word), 1);
			return fail_timeout(region, seen);
		}
		/* [edge mutex.lock] acq, though nothing is concluded from it: the mark alone is set, and a
		 * failure looks again. Who has slept does not know whether others sleep, and so locks with the
		 * mark set: an unlock too many wakes, never one too few. */
		if (!(seen & WAITERS) && !comap_u64_cas_acquire(word, seen, seen | WAITERS))
			continue;
		sleep_on(word, seen | WAITERS, &probe_ns, deadline_ns);
		mine |= WAITERS;
	}
}

void comap__mutex_unlock(struct comap_u64 *word, uint64_t token)
{
	/* [edge mutex.lock] rel: everything under the lock before the next owner */
	if (COMAP_LIKELY(comap_u64_cas_release(word, token << 1, 0)))
		return;
	if (comap_u64_exchange_acq_rel(word, 0) & WAITERS) {
		COMAP_FAULT("mutex.unlocked");
		comap__futex_wake(futex_half(word), 1);
	}
}
