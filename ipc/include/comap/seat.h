/* SPDX-License-Identifier: MIT */
/* Who is here: the seats of a region and the threads on them.
 *
 * Looking takes no seat and no lock; it works for guests, on live, stopped and dead owners. What is
 * seen is a moment: a process may die between the look and the next line. */
#ifndef COMAP_SEAT_H
#define COMAP_SEAT_H

#include <comap/region.h>

COMAP_BEGIN_DECLS

enum comap_seat_life {
	COMAP_LIFE_FREE = 0,
	COMAP_LIFE_ALIVE = 1, /* its life lock is held: the kernel says so */
	COMAP_LIFE_DEAD = 2,  /* its life lock is free; not swept yet */
};

struct comap_seat {
	uint32_t index;
	enum comap_seat_life life;
	uint64_t generation;
	uint32_t pid;             /* in the namespace below */
	uint64_t pid_namespace;   /* inode number of /proc/self/ns/pid there */
	bool same_namespace;      /* as the caller's: only then the pid can be used here */
	bool stopped;             /* SIGSTOP, a debugger; known in the same namespace only */
	uint64_t attached_ns;     /* CLOCK_REALTIME */
	char name[32];
	uint32_t thread_count;    /* thread records it holds */
	uint32_t reading_count;   /* ... that are inside a read section */
	uint64_t oldest_epoch;    /* at which the oldest of these sections began, 0: none */
	uint64_t behind;          /* grace periods that began since: > 0 and it holds them back */
	uint64_t retired_count;   /* blocks on its rings that wait for a grace period */
	uint32_t evictable_count; /* threads that are inside an evictable section */
	uint64_t evictions;       /* its sections that a writer has evicted */
};

/* The `index`th seat, from 0 to seat_high_water - 1 (comap_info()). -ENOENT past the last one.
 * Cost: two system calls and one pass over the thread records. */
COMAP_API int comap_seat_at(struct comap *region, uint32_t index, struct comap_seat *ret_seat);

/* Sleeps until the holder of the seat at this generation (comap_seat_at()) has left or died. 0;
 * -ETIMEDOUT; -EDEADLK for one's own. Without a deadline the kernel wakes the caller, in any PID
 * namespace, a fraction of a millisecond after the death; no polling. Works for guests. */
COMAP_API int comap_seat_wait(struct comap *region, uint32_t seat, uint64_t generation,
                              uint64_t deadline_ns);

/* The caller's own seat, or -ENOTCONN (guests), -ECHILD (after fork). */
COMAP_API int comap_seat_self(struct comap *region);

COMAP_END_DECLS
#endif
