/* SPDX-License-Identifier: MIT */
/* Numbers by Zipf's law: number i of `count` comes in proportion to 1 / (i + 1) ^ exponent. */
#ifndef COMAP_BENCH_ZIPF_H
#define COMAP_BENCH_ZIPF_H

#include <stdint.h>

/* The running sums of the proportions; to be freed. NULL: no memory. */
double *zipf_sums(uint32_t count, double exponent);
/* The number, 0 to count - 1, that belongs to 64 random bits. */
uint32_t zipf_pick(const double *sums, uint32_t count, uint64_t random_bits);

#endif
