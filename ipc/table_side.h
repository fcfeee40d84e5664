/* SPDX-License-Identifier: MIT */
/* The two sides of a table: who works at the one that is not in use, and all stripes at once. */
#ifndef COMAP_IPC_TABLE_SIDE_H
#define COMAP_IPC_TABLE_SIDE_H

#include "table.h"

/* Makes this process the one that works at the other side. -EBUSY after two seconds names who does. */
int comap__loader_begin(struct comap_table *table);
void comap__loader_end(struct comap_table *table);

/* A writer on a stripe of the other side; for the loader. */
int comap__loader_init(struct comap__writer *writer, struct comap_table *table, uint32_t index);

/* Before the first store to the other side. */
void comap__side_mark(struct comap_table *table);

/* Empties the other side, and waits until its last readers have gone; for the loader. What cannot be done
 * stays for the next one: -EBUSY and -ETIMEDOUT name the seat in the way. */
int comap__side_empty(struct comap_table *table, uint64_t deadline_ns);

/* A little of the same by a writer that comes by. */
void comap__side_help(struct comap_table *table);

/* Is there something to help with? One relaxed load. */
static inline bool comap__side_is_dirty(const struct comap_table *table)
{
	return comap_u64_load_relaxed(&table->shm->spare) != 0; /* relaxed: a hint */
}

/* Locks all stripes of the side in use, for as short as can be; `writers` has COMAP_STRIPES places.
 * -ETIMEDOUT after two seconds names who holds one; then none is locked. */
int comap__stripes_lock_all(struct comap_table *table, struct comap__writer *writers);
void comap__stripes_unlock_all(struct comap__writer *writers);

/* The commit point of a bulk load: for the loader, with all stripes locked. */
void comap__sides_swap(struct comap_table *table);

#endif
