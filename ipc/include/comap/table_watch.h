/* SPDX-License-Identifier: MIT */
/* Tables: waiting for changes.
 *
 *     uint64_t seen = comap_table_changes(prices);
 *     for (;;) {
 *             rebuild_index(prices);
 *             if (comap_table_wait(prices, seen, COMAP_FOREVER, &seen) != 0) break;
 *     }
 *
 * A change is a write, a removal, an entry taken away because its time was over. Not: a touch, an
 * addition to a counter that is there. Who waits sees the newest state, not each state: of several
 * writes to one key it may see the last only. To see which entries are new, walk again:
 * comap_table_walk_again(). Removals are seen by those who wait for the key, or look for it.
 *
 * A write makes no system call while nobody waits; who waits wakes at most once a second for nothing.
 * Where a writer dies after its write and before it wakes those who wait, they see it within a second.
 *
 * Guests poll, 1 to 50 ms apart; what a writer left that died in the middle they see only once
 * somebody with a seat has come by. */
#ifndef COMAP_TABLE_WATCH_H
#define COMAP_TABLE_WATCH_H

#include <comap/table.h>

COMAP_BEGIN_DECLS

/* A number that is another one after each change. What was changed up to it is seen by whoever looks
 * now. 0: NULL, or no change ever. For guests too; some 100 ns. */
COMAP_API uint64_t comap_table_changes(struct comap_table *table);

/* Waits until that number is not `seen`. *ret_now (may be NULL) is the number then. `deadline_ns` is of
 * CLOCK_MONOTONIC, or COMAP_FOREVER. 0; -ETIMEDOUT; -ESTALE the region was unlinked or replaced;
 * -EDEADLK inside a read section. */
COMAP_API int comap_table_wait(struct comap_table *table, uint64_t seen, uint64_t deadline_ns,
                               uint64_t *ret_now);

/* Waits until the version of the key is not `seen`: 0 is that of a key that is not there, because it
 * was never, is removed, or its time is over. *ret_version (may be NULL) is the version then. Removed
 * and written back meanwhile is another version. Results as above. Writes to other keys of the same
 * stripe wake it too, for a look. */
COMAP_API int comap_table_wait_key(struct comap_table *table, const void *key, size_t key_bytes,
                                   uint64_t seen, uint64_t deadline_ns, uint64_t *ret_version);

/* Goes through the table once more with a walk that has come to its end (or not: what it has not met
 * stays to be met): entries written since it came by, each at least once; stripes without a change
 * cost one look. An entry that was being written while the walk came by may be met again. */
COMAP_API int comap_table_walk_again(struct comap_table_walk *walk);

/* As though all that is there now had been met: what comes next is new. */
COMAP_API int comap_table_walk_skip(struct comap_table_walk *walk);

COMAP_END_DECLS
#endif
