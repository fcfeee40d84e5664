/* SPDX-License-Identifier: MIT */
/* What the daemons tell about themselves, as values of a second region (--stats): each is the
 * publisher of one value, called as itself. `comap value watch` prints them, the demo adds them up,
 * and the last record of a daemon that was killed stays. */
#ifndef EXAMPLES_COMMON_STATS_H
#define EXAMPLES_COMMON_STATS_H

#include "histogram.h"

#include <comap/type.h>

enum producer_phase {
	PRODUCER_IDLE = 1,      /* `version` is published */
	PRODUCER_BUILDING = 2,  /* `version` is reserved or being reserved, not published yet */
	PRODUCER_STANDBY = 3,   /* another process publishes */
};

struct producer_stats {
	uint64_t pid;
	uint64_t phase;         /* enum producer_phase */
	uint64_t version;
	uint64_t rows;
	uint64_t published;     /* versions published by this process */
	uint64_t rejected;      /* changes of the source that were no table */
	uint64_t build_ns;      /* of the last version: parse and lay out, in place */
	uint64_t publish_ns;    /* of the last version: the call that publishes */
	uint64_t at_ns;         /* of this record, CLOCK_REALTIME */
};
COMAP_FIELDS(struct producer_stats,
	COMAP_FIELD(u64, pid),
	COMAP_FIELD(u64, phase),
	COMAP_FIELD(u64, version),
	COMAP_FIELD(u64, rows),
	COMAP_FIELD(u64, published),
	COMAP_FIELD(u64, rejected),
	COMAP_FIELD(u64, build_ns),
	COMAP_FIELD(u64, publish_ns),
	COMAP_FIELD(u64, at_ns));

/* Counted by each lookup thread; a consumer publishes the sums. */
struct consumer_counts {
	uint64_t lookups;
	uint64_t found;
	uint64_t verified;      /* compared with the independent parse */
	uint64_t wrong;         /* ... and different */
	uint64_t unverifiable;  /* the copy of that version's source cannot be read */
	uint64_t checks;        /* whole versions, by checksum */
	uint64_t torn;          /* ... and different, or a header that makes no sense */
	uint64_t backwards;     /* a version older than one seen before */
	uint64_t versions;      /* distinct ones seen */
	uint64_t index_queries; /* of the private index */
	uint64_t index_verified;
	uint64_t failures;      /* read sections that could not be entered, views without data */
};

struct consumer_stats {
	uint64_t pid;
	uint64_t at_ns;         /* of this record, CLOCK_REALTIME */
	uint64_t running_ns;
	uint64_t threads;
	uint64_t version_first, version_last;
	uint64_t p50_ns, p99_ns, p999_ns;
	struct consumer_counts counts;
	struct histogram latency;
};
COMAP_FIELDS(struct consumer_stats,
	COMAP_FIELD(u64, pid),
	COMAP_FIELD(u64, at_ns),
	COMAP_FIELD(u64, running_ns),
	COMAP_FIELD(u64, threads),
	COMAP_FIELD(u64, version_first),
	COMAP_FIELD(u64, version_last),
	COMAP_FIELD(u64, p50_ns),
	COMAP_FIELD(u64, p99_ns),
	COMAP_FIELD(u64, p999_ns),
	COMAP_FIELD(u64, counts.lookups),
	COMAP_FIELD(u64, counts.found),
	COMAP_FIELD(u64, counts.verified),
	COMAP_FIELD(u64, counts.wrong),
	COMAP_FIELD(u64, counts.unverifiable),
	COMAP_FIELD(u64, counts.checks),
	COMAP_FIELD(u64, counts.torn),
	COMAP_FIELD(u64, counts.backwards),
	COMAP_FIELD(u64, counts.versions),
	COMAP_FIELD(u64, counts.index_queries),
	COMAP_FIELD(u64, counts.index_verified),
	COMAP_FIELD(u64, counts.failures));

#endif
