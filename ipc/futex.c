/* SPDX-License-Identifier: MIT */
/* Sleep on a shared word and wake those who do. See futex.h. */
#include "futex.h"

#include <comap/error.h>

#include "fault.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int comap__futex_wait(const struct comap_u32 *word, uint32_t expected, uint64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.tv_nsec = (long)(deadline_ns % 1000000000u),
	};
	/* FUTEX_WAIT_BITSET takes an absolute time; CLOCK_MONOTONIC is its default clock. */
	long woken = syscall(SYS_futex, &word->v, FUTEX_WAIT_BITSET, expected,
	                     deadline_ns == COMAP_FOREVER ? NULL : &until, NULL,
	                     FUTEX_BITSET_MATCH_ANY);

	return woken == -1 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

int comap__futex_wake(struct comap_u32 *word, int count)
{
	long woken = syscall(SYS_futex, &word->v, FUTEX_WAKE, count, NULL, NULL, 0);

	return woken > 0 ? (int)woken : 0;
}

#define SLEEP_MAX_NS 1000000000u
#define POLL_FIRST_NS 1000000u
#define POLL_LAST_NS 50000000u

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint32_t comap__flag_set(struct comap_u32 *flag)
{
	/* [edge flag.waiting] full: the flag before the look. (An addition of the bit, with the order
	 * of a full fence on every CPU.) */
	return comap_u32_or_seq_cst(flag, 1) | 1;
}

void comap__flag_sleep(struct comap_u32 *flag, uint32_t seen, uint64_t deadline_ns)
{
	comap__futex_wait(flag, seen, earlier(comap_now_ns() + SLEEP_MAX_NS, deadline_ns));
}

void comap__flag_wake(struct comap_u32 *flag)
{
	uint32_t seen;

	/* [edge flag.waiting] full: what was made true before the look at the flag */
	comap_fence_full();
	seen = comap_u32_load_relaxed(flag); /* relaxed: after the fence */
	if (COMAP_LIKELY(!(seen & 1)))
		return;
	/* [edge flag.waiting] both. An odd word and one: the flag is gone and the generation is another.
	 * Where the exchange fails somebody else has waked those who were there. */
	if (comap_u32_cas_acq_rel(flag, seen, seen + 1)) {
		COMAP_FAULT("flag.waking");
		comap__futex_wake(flag, INT_MAX);
	}
}

void comap__poll_sleep(uint64_t *step_ns, uint64_t deadline_ns)
{
	uint64_t until_ns;
	struct timespec until;

	*step_ns = *step_ns ? earlier(*step_ns * 2, POLL_LAST_NS) : POLL_FIRST_NS;
	until_ns = earlier(comap_now_ns() + *step_ns, deadline_ns);
	until.tv_sec = (time_t)(until_ns / 1000000000u);
	until.tv_nsec = (long)(until_ns % 1000000000u);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
