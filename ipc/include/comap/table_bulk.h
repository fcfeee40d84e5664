/* SPDX-License-Identifier: MIT */
/* Bulk loads: a table's new contents are built beside the old ones and published at once.
 *
 *     struct comap_bulk *bulk = comap_table_bulk_begin(prices, 1000000);
 *     while (next(&row))
 *             comap_table_bulk_put(bulk, row.key, row.key_bytes, row.value, row.value_bytes);
 *     comap_table_bulk_commit(bulk);
 *
 * Readers see the old contents until the commit and the new ones from then on, never some of both:
 * comap_table_view_many() answers from one of them. The commit is one store; readers notice nothing,
 * writers are held up for some microseconds. What others have written to the table before the commit is
 * replaced by it, also what they have written since begin; what they write after it stays. Versions of a
 * key grow as ever. Both contents are in memory for a time.
 *
 * One load at a time. It belongs to the process that began it, and its threads may put at once (not while
 * one of them commits or aborts); when the process dies the load is void, and the next one, or writers that
 * come by, free what it has built.
 *
 * All functions: -EINVAL NULL or out of range; -ECHILD after fork(); guests: -ENOTCONN. */
#ifndef COMAP_TABLE_BULK_H
#define COMAP_TABLE_BULK_H

#include <comap/table.h>

COMAP_BEGIN_DECLS

struct comap_bulk;

/* Begins a load of about `expected_entries` (0: no idea; a wrong number costs time, no more). Ends with
 * comap_table_bulk_commit() or comap_table_bulk_abort(). NULL on failure; the last error: -EBUSY after two
 * seconds: another process loads, or readers of the contents before are still there; it names the seat.
 * -ENOSPC. -EOPNOTSUPP: the table is a cache. Two contents at once are twice its budget, and readers' marks
 * of one say nothing of the other: a cache is filled by writes. Outside of read sections. */
COMAP_API struct comap_bulk *comap_table_bulk_begin(struct comap_table *table,
                                                    uint64_t expected_entries);

/* As comap_table_put() and comap_table_write(), for the new contents; two puts of a key: the later one
 * stays. -ENOSPC, -ETIMEDOUT, -EBUSY as there: the load may go on. */
COMAP_API int comap_table_bulk_put(struct comap_bulk *bulk, const void *key, size_t key_bytes,
                                   const void *value, size_t value_bytes);
COMAP_API int comap_table_bulk_write(struct comap_bulk *bulk, const struct comap_table_write *write);

/* How many entries have been put so far. */
COMAP_API int64_t comap_table_bulk_count(struct comap_bulk *bulk);

/* Publishes the new contents and frees the old ones, which takes as long as removing them; what readers
 * still hold is freed later. 0: done, the handle is gone. -ETIMEDOUT: a writer that is stopped holds a part
 * of the table, the error names it; nothing has changed, the load is as it was. */
COMAP_API int comap_table_bulk_commit(struct comap_bulk *bulk);

/* Gives the load up: nothing has changed. NULL is allowed. */
COMAP_API void comap_table_bulk_abort(struct comap_bulk *bulk);

COMAP_END_DECLS
#endif
