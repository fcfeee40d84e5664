/* SPDX-License-Identifier: MIT */
/* What must hold of a region after deaths, for survivors and at the end of storms. In roles: what
 * does not hold ends the role with a sentence (PROC_REQUIRE). */
#ifndef COMAP_TESTS_KIT_CHECK_H
#define COMAP_TESTS_KIT_CHECK_H

#include "proc.h"

#include <comap.h>

/* Small enough that an image of it costs little, large enough to work: 4 seats, 4 thread records, 4
 * objects, check_heap_max_bytes (4 MiB) of heap. NULL as comap_open_with(). */
extern uint64_t check_heap_max_bytes;
struct comap *check_open_small(const char *path, uint32_t flags);

/* The same, and it must succeed. */
struct comap *check_open(const char *path, uint32_t flags);

/* The caller is the only one attached, and nothing of the dead is left: every other seat and thread
 * record is free, no intent stands, every block of the heap is free or reachable from an object. */
void check_alone(struct comap *region);

/* Values of check_value_put() are blobs whose number is their version. */
#define CHECK_VALUE_BYTES 96u
void check_value_put(struct comap_value *value, uint64_t number);
/* The current version's number, seen whole; 0: nothing published. */
uint64_t check_value_number(struct comap *region, struct comap_value *value);

/* Everything that a survivor can do, on the value "v" of the region, which may not exist: attach,
 * check_alone(), read, become the publisher, publish the next version, make another object, reclaim,
 * leave in order. Returns the number found at first. */
uint64_t check_survive(const char *path);

#endif
