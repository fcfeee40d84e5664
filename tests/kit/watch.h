/* SPDX-License-Identifier: MIT */
/* A file under watch: has it changed since the last look, and was it ever like this? */
#ifndef COMAP_TESTS_KIT_WATCH_H
#define COMAP_TESTS_KIT_WATCH_H

#include <comap/base.h>

struct watch;

/* Of a file that may not exist yet. NULL: no memory. */
struct watch *watch_open(const char *path);
void watch_close(struct watch *watch);

/* What a look finds. Holes and zeros are the same. */
enum watch_found {
	WATCH_FAILED = -1,
	WATCH_SAME,
	WATCH_NEW,   /* bytes that it never held before */
	WATCH_KNOWN, /* other bytes than at the last look, but it has held them before */
};
/* Costs a comparison of what is allocated. */
enum watch_found watch_look(struct watch *watch);

/* Writes what was seen at the last look into a new file, which then is its own home. 0 or -1.
 * A file that does not exist has no copy: the new one is removed. */
int watch_copy(struct watch *watch, const char *to);

#endif
