/* SPDX-License-Identifier: MIT */
/* What the tests of fork begin and end with: a process attached to a region with one value. */
#ifndef TESTS_FORKED_H
#define TESTS_FORKED_H

#include "check.h"

#include <sys/types.h>

/* Of this process; a forked child has them too. A test sets the path. */
struct forked {
	const char *path;
	struct comap *region;
	struct comap_value *value;
};
extern struct forked my;

void attach_with_value(void);
void leave(void);
/* A process that comes later finds the region whole, and this number in the value. */
void require_survivor(uint64_t found);
/* In a process of the kit: a child that it forked itself has ended with 0. */
void wait_for_child(pid_t pid);

#endif
