/* SPDX-License-Identifier: MIT */
/* A histogram of durations that needs no pointer. */
#include "histogram.h"

void histogram_add(struct histogram *to, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		/* relaxed: counts are independent of each other */
		to->counts[i].v += comap_u64_load_relaxed(&from->counts[i]);
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += comap_u64_load_relaxed(&histogram->counts[i]); /* relaxed: as above */
	return total;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(uint32_t bucket)
{
	uint32_t octave = bucket / HISTOGRAM_STEPS;
	uint64_t step = bucket % HISTOGRAM_STEPS;

	if (octave == 0)
		return step;
	return ((HISTOGRAM_STEPS + step + 1) << (octave - 1)) - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_ten_thousand)
{
	uint64_t total = histogram_count(histogram);
	uint64_t wanted = (total * per_ten_thousand + 9999) / 10000;
	uint64_t seen = 0;

	if (total == 0)
		return 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += comap_u64_load_relaxed(&histogram->counts[i]); /* relaxed: as above */
		if (seen >= wanted && seen > 0)
			return bucket_top(i);
	}
	return bucket_top(HISTOGRAM_BUCKETS - 1);
}
