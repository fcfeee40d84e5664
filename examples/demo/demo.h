/* SPDX-License-Identifier: MIT */
/* The demo: what its parts share. One thread; the processes are in fleet.h. */
#ifndef EXAMPLES_DEMO_DEMO_H
#define EXAMPLES_DEMO_DEMO_H

#include "changes.h"
#include "fleet.h"
#include "memory.h"

#include "../common/stats.h"

#include <comap.h>

#include <limits.h>

#define CONSUMERS_MAX 32u
#define PRODUCERS_MAX 32u
#define KILLS_MAX 16u
#define MEMORY_POINTS_MAX 32u

struct demo_options {
	const char *source;         /* CSV */
	const char *out;            /* folder for logs and the picture */
	const char *programs;       /* folder of producer and consumer */
	const char *self;           /* this program */
	uint64_t seconds;
	uint64_t consumer_count;
	uint64_t process_count;     /* of the picture */
	bool spoil;                 /* falsify a copy: wrong answers must be found */
};

struct demo_consumer {
	struct member member;
	struct comap_value *value;  /* its statistics */
	struct consumer_stats stats;  /* read last */
	struct consumer_stats before; /* of the one that was killed under this name; pid 0: none */
	uint64_t starts;
};

struct demo_producer {
	struct member member;
	struct comap_value *value;
	struct producer_stats stats;
};

/* A producer killed with SIGKILL, and what came after. */
struct demo_kill {
	bool standby;               /* a successor was standing by; else it was started after */
	bool in_publish;            /* a version was reserved, not yet published: none came out */
	uint64_t version;           /* that stood at the kill */
	uint64_t next_version;      /* the successor's first */
	uint64_t gap_ns;            /* from the kill to its publication */
};

struct demo {
	struct demo_options options;
	char work[PATH_MAX];        /* folder in memory for the region, removed at the end */
	char keep[PATH_MAX];        /* folder for the copies of each version's source */
	char region_path[PATH_MAX], stats_path[PATH_MAX], source_path[PATH_MAX];
	struct file_text original;
	struct comap *region, *stats_region;
	struct comap_value *registry;
	struct demo_consumer consumers[CONSUMERS_MAX];
	struct demo_producer producers[PRODUCERS_MAX];
	uint64_t producer_count;    /* started so far; the last one may stand by */
	struct demo_kill kills[KILLS_MAX];
	uint64_t kill_count;
	uint64_t change_count;
	uint64_t start_ns;
	bool terminal;              /* a line that is written again and again */
	/* while one consumer was stopped */
	uint64_t stop_ns, stop_versions, stop_lookups, stopped_lookups, stop_retired_bytes;
	struct memory_sum memory;
	struct comap_info info;     /* at the time of the measurement */
	uint64_t table_bytes;
	struct memory_point points[MEMORY_POINTS_MAX];
};

/* live.c: what is said while it runs */
void live_event(struct demo *demo, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads everybody's statistics and shows them; then sleeps, `duration_ms` in all. */
void live_sleep(struct demo *demo, uint64_t duration_ms);
void live_read(struct demo *demo);
uint64_t live_lookups(const struct demo *demo);
uint64_t live_ms(const struct demo *demo);

/* cast.c: who is started and killed. 0, or a negative errno; what failed has been said. */
int cast_consumer_start(struct demo *demo, uint64_t number);
int cast_producer_start(struct demo *demo, bool standby);
int cast_producer_kill(struct demo *demo, bool standby);
int cast_change(struct demo *demo);
/* Ends all in order; the number of those that did not end with status 0. */
int cast_end(struct demo *demo);

/* report.c: the table. Returns how many claims are false. */
int report_print(struct demo *demo, int unclean_ends);

#endif
