/* SPDX-License-Identifier: MIT */
/* One of the workers that ask for articles, and what all of them write down. */
#ifndef EXAMPLES_CACHE_WORKER_H
#define EXAMPLES_CACHE_WORKER_H

#include "../common/histogram.h"

#include <stdbool.h>

#define WORKERS_MAX 64u
#define ARTICLES_MAX 1000u  /* one in ten of the numbers asked for does not exist */

struct plan {
	const char *database;
	const char *region;        /* NULL: every worker asks the source */
	unsigned workers, articles, delay_ms, seconds_ms;
	unsigned ttl_ms, stale_ms, negative_ttl_ms;
	bool kill_one;             /* while it computes */
};

/* In memory that all of them share, for one round. */
struct notes {
	struct histogram latency[WORKERS_MAX];   /* each worker's own */
	struct comap_u64 longest_ns[WORKERS_MAX];
	struct comap_u64 answers, stale, negative, wrong, failed;
	struct comap_u64 questions;              /* to the source */
	struct comap_u64 doubled;                /* questions asked while somebody living asked the same */
	struct comap_u64 asking[ARTICLES_MAX];   /* who asks the source for it; 0: nobody */
	struct comap_u64 may_hang[WORKERS_MAX];  /* 1: computes, and hangs: the one to kill is among them */
	struct comap_u64 hang;                   /* 1: the next one who computes hangs */
	struct comap_u64 stop;
};

/* A forked child's life; returns its exit code. */
int worker_run(const struct plan *plan, struct notes *notes, unsigned number);

#endif
