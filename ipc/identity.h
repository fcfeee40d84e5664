/* SPDX-License-Identifier: MIT */
/* The identity page: written once, checked at every open. */
#ifndef COMAP_IPC_IDENTITY_H
#define COMAP_IPC_IDENTITY_H

#include <comap/region.h>

#include "layout.h"

#include <sys/stat.h>

#define COMAP_HEAP_MAX_DEFAULT (64ull << 30)
#define COMAP_HEAP_MAX_LIMIT (64ull << 40)
#define COMAP_COUNT_LIMIT 65000u

/* Fills in everything, checksum included, for the file that `stat` describes. Fails on options
 * out of range. */
int comap__identity_init(struct comap_identity_shm *identity, const struct comap_options *options,
                         const struct stat *stat);

/* 0, or the error that says what is wrong with these bytes. `what` is the path, for the message. */
int comap__identity_check(const struct comap_identity_shm *identity, const struct stat *stat,
                          bool guest, const char *what);

/* Rewrites the checksum after a change. For the creator and for tests. */
void comap__identity_seal(struct comap_identity_shm *identity);

/* How long the file must be at least: all parts before the heap. */
uint64_t comap__identity_file_bytes_min(const struct comap_identity_shm *identity);

#endif
