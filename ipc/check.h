/* SPDX-License-Identifier: MIT */
/* The checker: from the roots, every byte of the heap once. Each kind of object says what it links. */
#ifndef COMAP_IPC_CHECK_H
#define COMAP_IPC_CHECK_H

#include "region.h"

/* Called once for each block that the object holds. `what` is a static word for messages. */
typedef void comap__root_visitor(void *context, struct comap_ref ref, const char *what);

/* Of a value: its current version. Invariants of value.c that show in the file are checked here;
 * returns NULL or what is wrong (static). */
const char *comap__value_roots(const struct comap *region, const struct comap_object_shm *object,
                               comap__root_visitor *visit, void *context);

/* Of a table: its segments, overflow buckets and entries; I1..I4 of table.c. */
const char *comap__table_roots(const struct comap *region, const struct comap_object_shm *object,
                               comap__root_visitor *visit, void *context);

#endif
