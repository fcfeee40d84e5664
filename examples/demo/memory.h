/* SPDX-License-Identifier: MIT */
/* What the demo's processes cost, as the kernel counts it. */
#ifndef EXAMPLES_DEMO_MEMORY_H
#define EXAMPLES_DEMO_MEMORY_H

#include <comap/pages.h>

/* The region's mappings in several processes, summed. */
struct memory_sum {
	uint64_t process_count;
	uint64_t rss_bytes, pss_bytes;      /* of the region's mappings */
	uint64_t all_rss_bytes, all_pss_bytes; /* of the whole processes */
	uint64_t pairs;                     /* of processes whose frames were compared */
	uint64_t pages_both, pages_same;    /* over all pairs */
	int frames_result;                  /* 0, or why frames could not be compared (-EPERM) */
};

/* Measures the region at `path` in the processes. 0, or a negative errno. */
int memory_measure(const char *path, const pid_t *pids, size_t pid_count,
                   struct memory_sum *ret_sum);

/* A point of the picture. */
struct memory_point {
	double shared_mib, private_mib;     /* sum of PSS over all the processes */
};

/* Starts 1 to `process_count` processes that map the region, then as many with a copy of their own,
 * and measures after each start. `program` is the demo itself. 0, or a negative errno. */
int memory_compare(const char *program, const char *region, const char *log_path,
                   size_t process_count, struct memory_point *ret_points);

/* Draws the points: writes FOLDER/memory.tsv and, by gnuplot, FOLDER/memory.svg. */
int memory_draw(const char *folder, const struct memory_point *points, size_t point_count,
                double region_mib);

/* What such a process does: `kind` is "shared" or "private". Returns its exit status. */
int memory_member(const char *kind, const char *region);

#endif
