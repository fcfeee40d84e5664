/* SPDX-License-Identifier: MIT */
/* A thread that looks keys up, checks what it gets, and counts.
 *
 * Writers and readers:  the thread writes its counts and its histogram, others read them any time.
 * Per lookup: one read section, one search in place; nothing is written to shared memory but the
 * thread's mark. One lookup in 16 is timed (the clock costs more than the search), the call of the
 * clock included; every 1000th is compared with an independent parse. */
#ifndef EXAMPLES_CONSUMER_WORKER_H
#define EXAMPLES_CONSUMER_WORKER_H

#include "index.h"
#include "options.h"
#include "second.h"

#include "../common/stats.h"

#include <comap.h>

#include <pthread.h>

/* What all threads share. */
struct consumer {
	struct consumer_options options;
	struct comap *region;
	struct comap_value *value;
	struct second *second;        /* NULL: no --verify */
	struct index_cell index;
	struct comap_u32 stop;        /* 1: end */
	struct comap_u32 generation;  /* grows with each SIGHUP: derive everything again */
};

#define WORKER_KEYS 1024u
#define WORKER_KEY_MAX 64u

struct worker_key {
	uint32_t size_bytes;
	char text[WORKER_KEY_MAX];
};

/* The same as struct consumer_counts, as words. */
struct worker_counts {
	struct comap_u64 lookups, found, verified, wrong, unverifiable, checks, torn, backwards,
	                 versions, index_queries, index_verified, failures;
};

struct worker {
	struct consumer *consumer;
	pthread_t thread;
	bool started;
	struct worker_counts counts;
	struct comap_u64 version_first, version_last;
	struct histogram latency;
	/* the thread's own */
	uint64_t random;
	uint64_t version;              /* looked at last */
	uint32_t generation;
	uint64_t check_at_ns;
	uint64_t index_version;        /* of the index entry that was verified last */
	struct answer answer;
	struct worker_key keys[WORKER_KEYS];
	uint32_t key_count;
};

/* 0, or a negative errno. */
int worker_start(struct worker *worker, struct consumer *consumer, uint64_t number);
/* Ends with the consumer's stop flag; waits for that. */
void worker_join(struct worker *worker);

/* Adds up what the threads have counted so far. */
void workers_sum(const struct worker *workers, uint64_t worker_count, struct consumer_stats *sum);

#endif
