/* SPDX-License-Identifier: MIT */
/* What 1, 2, 4 ... processes pay in memory: starts that many, lets each do its part, sums what the kernel
 * says of them, and ends them. For programs of one thread. */
#ifndef COMAP_BENCH_CROWD_H
#define COMAP_BENCH_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CROWD_MAX 64u

/* Sums over the processes. */
struct crowd_sums {
	uint64_t rss_bytes, pss_bytes, page_table_bytes, private_dirty_bytes;
};

/* What each process does before it is looked at; it is forked for it, and false says that it failed. */
typedef bool crowd_part(void *context);

/* 0; -1, and the last error where it was comap that failed. */
int crowd_measure(unsigned count, crowd_part *part, void *context, struct crowd_sums *ret_sums);

#endif
