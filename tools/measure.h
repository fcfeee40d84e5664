/* SPDX-License-Identifier: MIT */
/* Ways of reading a file, timed: for `comap advise --measure` and for the bench of core.
 *
 * Each run is a child process of its own, so that page tables, buffers and peak memory of one way do
 * not help or harm the next. */
#ifndef COMAP_TOOLS_MEASURE_H
#define COMAP_TOOLS_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct measure_job {
	const char *path;
	const char *literal;     /* count the lines that contain it; NULL: count newlines */
	uint64_t jump_count;     /* not 0: so many random reads of 4 KiB instead, 8 bytes of each touched */
	uint32_t process_count;  /* share of the file for each; 0: one */
	bool cold;               /* the page cache forgets the file before each run */
};

struct measure_result {
	uint64_t wall_ns;
	uint64_t cpu_ns;         /* user and system, all processes */
	uint64_t minor_faults;
	uint64_t major_faults;
	uint64_t peak_rss_bytes; /* of the largest process */
	uint64_t count;          /* what was counted: all ways must agree */
	uint64_t read_in_bytes;  /* cold: what the page cache holds afterwards; UINT64_MAX: not told */
};

struct measure_way {
	const char *name;        /* "stream 256K" */
	bool jumps;              /* fits jobs that jump; the others fit jobs that do not */
	bool ruinous_cold;       /* takes minutes where nothing is cached */
	int (*run)(const struct measure_job *job, uint64_t from, uint64_t to, uint64_t *ret_count);
};

extern const struct measure_way measure_ways[];
extern const size_t measure_way_count;
/* The way named, or NULL. */
const struct measure_way *measure_find(const char *name);

/* What the job counts, in bytes that begin and end with lines. */
uint64_t measure_count(const struct measure_job *job, const unsigned char *data, uint64_t size_bytes);

/* 0 or a negative errno; comap's last error has the words. */
int measure_run(const struct measure_way *way, const struct measure_job *job,
                struct measure_result *ret_result);
/* Any command in the place of a way (its output is thrown away): wall, CPU, faults, memory. */
int measure_command(const char *const argv[], const struct measure_job *job,
                    struct measure_result *ret_result);

#endif
