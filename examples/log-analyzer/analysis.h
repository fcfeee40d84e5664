/* SPDX-License-Identifier: MIT */
/* What is asked of a log, what comes out, and the processes that do the work. */
#ifndef LOG_ANALYZER_ANALYSIS_H
#define LOG_ANALYZER_ANALYSIS_H

#include "format.h"
#include "tally.h"

#include <comap/scan.h>

#include <stdbool.h>

#define KEYS_MAX 4u

struct question {
	const char *path;           /* NULL: standard input, one process */
	struct format format;
	const char *literal;        /* count the lines with it, and nothing else */
	unsigned key_count;
	int keys[KEYS_MAX];         /* fields */
	int time_field;             /* -1: no histogram */
	uint64_t bucket_seconds;
	int year;                   /* of times that have none */
	size_t key_count_max;       /* of each tally, in each process */
	unsigned worker_count;
	uint64_t slice_bytes;       /* what a worker takes at a time */
	enum comap_method method;
	bool progress;
};

struct answer {
	uint64_t line_count;        /* 0 with a literal: then lines are not looked at one by one */
	uint64_t hit_count;         /* with a literal */
	uint64_t unknown_count;     /* lines that are not of the format */
	uint64_t untimed_count;     /* lines of which the time could not be read */
	uint64_t size_bytes;
	uint64_t wall_ns;
	const char *method;
	struct tally keys[KEYS_MAX];
	struct tally times;         /* keys: int64_t, start of the bucket in seconds */
};

void answer_init(struct answer *answer, const struct question *question);
void answer_fini(struct answer *answer);

/* 0, or a negative errno with the words in `problem`. Everything is counted, or it fails. Replaces
 * method AUTO by the one that was chosen. */
int analyze(struct question *question, struct answer *answer, char *problem,
            size_t problem_bytes);

#endif
