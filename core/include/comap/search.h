/* SPDX-License-Identifier: MIT */
/* Search: bytes counted and found at the speed of memory. What scans are made of.
 *
 * Signals: async-signal-safe.  Faults: reads every byte of the range, and none outside it.
 * Cost: 32 bytes per step on machines with AVX2, chosen when the process runs; plain C elsewhere. */
#ifndef COMAP_SEARCH_H
#define COMAP_SEARCH_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

/* How often the byte stands in the range. */
COMAP_API uint64_t comap_bytes_count(const void *bytes, uint64_t size_bytes, unsigned char byte);

/* The first place where the literal stands, or NULL. An empty literal stands at the start. */
COMAP_API const void *comap_bytes_find(const void *bytes, uint64_t size_bytes, const void *literal,
                                       uint64_t literal_bytes);

COMAP_END_DECLS
#endif
