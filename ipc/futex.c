/* SPDX-License-Identifier: MIT */
/* Sleep on a shared word and wake those who do. See futex.h. */
#include "futex.h"

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
