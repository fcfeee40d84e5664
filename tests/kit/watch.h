/* SPDX-License-Identifier: MIT */
/* A file under watch: has it changed since the last look, and was it ever like this? */
#ifndef COMAP_TESTS_KIT_WATCH_H
#define COMAP_TESTS_KIT_WATCH_H

#include <comap/base.h>

struct watch;

/* Of a file that may not exist yet. NULL: no memory. */
struct watch *watch_open(const char *path);
void watch_close(struct watch *watch);

/* 1: the file holds other bytes than at the last look, and had never held these; 0: not so. Holes
 * and zeros are the same. -1: it cannot be looked at. Costs a comparison of what is allocated. */
int watch_look(struct watch *watch);

/* Writes what was seen at the last look into a new file, which then is its own home. 0 or -1.
 * A file that does not exist has no copy: the new one is removed. */
int watch_copy(struct watch *watch, const char *to);

#endif
