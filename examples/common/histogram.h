/* SPDX-License-Identifier: MIT */
/* A histogram of durations that needs no pointer: it can be published, copied and added up.
 *
 * Buckets grow with the value, 32 to each power of two: a percentile is at most 3.2 % too high.
 * Values beyond 2^40 ns (18 minutes) count as that.
 *
 * Writers and readers: one thread records; others may read and copy at any time (relaxed words: a
 * sum taken meanwhile may miss the newest, each count is whole). */
#ifndef EXAMPLES_COMMON_HISTOGRAM_H
#define EXAMPLES_COMMON_HISTOGRAM_H

#include <comap/word.h>

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_MAX_BITS 40
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
	struct comap_u64 counts[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
	uint32_t bits;

	if (value < HISTOGRAM_STEPS)
		return (uint32_t)value;
	bits = 63 - (uint32_t)__builtin_clzll(value);
	if (bits >= HISTOGRAM_MAX_BITS)
		return HISTOGRAM_BUCKETS - 1;
	return (bits - HISTOGRAM_STEP_BITS) * HISTOGRAM_STEPS +
	       (uint32_t)(value >> (bits - HISTOGRAM_STEP_BITS));
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	struct comap_u64 *count = &histogram->counts[histogram_bucket(value)];

	/* relaxed, and no read-modify-write: one writer; readers take what they find */
	comap_u64_store_relaxed(count, comap_u64_load_relaxed(count) + 1);
}

/* Adds `from` to `to`, which the caller owns. */
void histogram_add(struct histogram *to, const struct histogram *from);
uint64_t histogram_count(const struct histogram *histogram);
/* A value that `per_ten_thousand` of 10,000 recorded ones do not exceed (9990: p99.9); 0: empty. */
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_ten_thousand);

#endif
