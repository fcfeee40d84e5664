/* SPDX-License-Identifier: MIT */
/* A peer: a plain open-addressing table of whole entries of two lines, half full, each under a sequence
 * count of its own. Several processes read and write over. A writer that dies in an entry leaves it locked
 * for good, which is why it is a peer only. */
#ifndef COMAP_BENCH_TABLE_SEQLOCK_H
#define COMAP_BENCH_TABLE_SEQLOCK_H

#include "work.h"

/* Makes the table with the first `key_count` keys in the file `path`; forked processes share it. */
void seqlock_make(const char *path, uint64_t key_count);
uint64_t seqlock_get(uint64_t number); /* sums the value */
void seqlock_put(uint64_t number, const char *value); /* the key is there */

#endif
