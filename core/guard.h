/* SPDX-License-Identifier: MIT */
/* Registering address ranges with the guard (see guard.c). */
#ifndef COMAP_CORE_GUARD_H
#define COMAP_CORE_GUARD_H

#include <comap/base.h>

struct comap__guard_entry;
struct comap_map;

/* Guards a mapping's range and stores the entry in it. 0 or a failure with words. */
int comap__guard_add_map(struct comap_map *map);

/* The mapping's range or protection has changed. */
void comap__guard_update_map(struct comap_map *map);
/* What lies behind the first `mapped_bytes` is unmapped next. */
void comap__guard_shrink_map(struct comap_map *map, size_t mapped_bytes);

/* The range is unmapped next. NULL is allowed. */
void comap__guard_remove(struct comap__guard_entry *entry);

#endif
