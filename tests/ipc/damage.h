/* SPDX-License-Identifier: MIT */
/* What the tests of bad input share: a region to damage, and what must hold of a refusal. */
#ifndef COMAP_TESTS_DAMAGE_H
#define COMAP_TESTS_DAMAGE_H

#include <comap.h>

#include "../kit/proc.h"
#include "layout.h"

/* The three ways to open: as a guest, attaching, attaching or creating. */
extern const uint32_t damage_flags[3];

/* Makes a region of four seats with the value "tick", of type struct tick, published once. */
void damage_region(const char *path);

/* The identity page; sealed: with a checksum that fits, a lie told properly. */
struct comap_identity_shm damage_identity_read(const char *path);
void damage_identity_write(const char *path, const struct comap_identity_shm *identity);
void damage_identity_seal(const char *path, struct comap_identity_shm *identity);

/* Of a file's first 8 MiB, which is all of a small region; 0 where there is nothing to read. */
uint64_t damage_digest(const char *path);

struct comap *damage_open(const char *path, uint32_t flags, int64_t owner_uid);

/* Refused with this errno and cause, in a sentence that names the file. */
void damage_assert_refused(const char *path, uint32_t flags, int code, enum comap_cause cause);

/* Looks at all that a guest can look at, and expects nothing of it but to come back. */
void damage_look(struct comap *region);

#endif
