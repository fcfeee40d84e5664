/* SPDX-License-Identifier: MIT */
/* Search: bytes counted and found at the speed of memory. What scans are made of.
 *
 * Signals: async-signal-safe.  Faults: reads every byte of the range, and none outside it. Cost: 32
 * bytes per step on machines with AVX2, chosen when the process runs; plain C elsewhere. */
#ifndef COMAP_SEARCH_H
#define COMAP_SEARCH_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

/* How often the byte stands in the range. */
COMAP_API uint64_t comap_bytes_count(const void *bytes, uint64_t size_bytes, unsigned char byte);

/* The first place where the literal stands, or NULL. An empty literal stands at the start. */
COMAP_API const void *comap_bytes_find(const void *bytes, uint64_t size_bytes, const void *literal,
                                       uint64_t literal_bytes);

/* A literal that is looked for again and again. The members are private. */
struct comap_finder {
	const unsigned char *literal;
	uint64_t literal_bytes;
	uint32_t first, second; /* the two places in the literal that are compared before all of it */
};

/* Prepares for a literal, which must stay where it is. `sample` is a piece of the text that will be
 * searched, or NULL: the two bytes of the literal that stand together most rarely in its first 16
 * KiB are looked for first. Cost: some 30 us with a sample; pays for itself over a megabyte. */
COMAP_API void comap_finder_init(struct comap_finder *finder, const void *literal,
                                 uint64_t literal_bytes, const void *sample, uint64_t sample_bytes);

/* As comap_bytes_find(). Any number of threads may use one finder. */
COMAP_API const void *comap_finder_next(const struct comap_finder *finder, const void *bytes,
                                        uint64_t size_bytes);

COMAP_END_DECLS
#endif
