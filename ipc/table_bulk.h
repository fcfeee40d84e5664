/* SPDX-License-Identifier: MIT */
/* Bulk loads, inside: what restoring a dump needs beyond the public functions. */
#ifndef COMAP_IPC_TABLE_BULK_H
#define COMAP_IPC_TABLE_BULK_H

#include <comap/table_bulk.h>

#include "table_side.h"

struct comap_bulk {
	struct comap_table *table;
	uint64_t swaps;                  /* of the side in use since the load began */
	uint64_t version_floor;          /* versions given are above it */
	uint64_t base[COMAP_STRIPES];    /* ... and above these */
};

/* As comap_table_bulk_begin(); all versions are above `version_floor`. */
struct comap_bulk *comap__bulk_begin(struct comap_table *table, uint64_t expected_entries,
                                     uint64_t version_floor);

/* `flags`: COMAP_ENTRY_COUNTER or 0. The write has been checked. */
int comap__bulk_write(struct comap_bulk *bulk, const struct comap_table_write *write, unsigned flags,
                      uint64_t expires_ns);

#endif
