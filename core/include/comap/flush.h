/* SPDX-License-Identifier: MIT */
/* Flushing: what is on disk, told truthfully.
 *
 * What a process stored through MAP_WRITE belongs to the kernel at once: a process that is killed
 * loses nothing. A power cut, or a kernel that stops, loses what was not flushed. comap_map_flush()
 * returns 0 when the disk says that it has the bytes.
 *
 * A failure is for ever. The kernel reports a failed write-back once to each open file and then
 * forgets it, while the pages count as clean and the disk holds something else; a second msync()
 * returns 0. Here, after one failure, no flush of that file succeeds again: not through another
 * handle, not in another process that uses comap (a mark in /dev/shm, until the next boot; marks of
 * other users count only where they are root's or the file owner's). The cure is to write the data
 * into a new file.
 *
 * There is no order among the pages of one flush. For an all-or-nothing change: flush the data, then
 * store the word that makes it count, then flush that.
 *
 * Threads: any may flush, in parallel.  Fork: the child's handle shares the parent's open file; it
 * should open its own.  Blocks on the disk. */
#ifndef COMAP_FLUSH_H
#define COMAP_FLUSH_H

#include <comap/mapping.h>

COMAP_BEGIN_DECLS

enum comap_flush {
	COMAP_FLUSH_DATA = 0, /* the range, and what is needed to read it back */
	COMAP_FLUSH_FILE,     /* the whole file, stores by others too; the range is ignored */
	COMAP_FLUSH_METADATA, /* ... with its times, and the folder's entry: once after a creation */
	COMAP_FLUSH_START,    /* the disk may begin to write the range. Promises nothing; 0 means that
	                       * the kernel took the hint */
};

/* 0: it holds. -ENOSPC (NO_SPACE), -EIO (IO): the write-back failed, now. -EIO (UNFLUSHED): it failed
 * earlier. -ESTALE, -ENOSPC, -EIO with comap_map_status()'s cause: stores hit pages that the guard had
 * to patch, and never reached the file. -EOPNOTSUPP (UNSUPPORTED): private or anonymous memory, of
 * which nothing can reach a disk. -ERANGE (BOUNDS). Costs a disk write, tens of microseconds at
 * least; and the first store to each page afterwards costs a fault. */
COMAP_API COMAP_MUST_CHECK int comap_map_flush(struct comap_map *map, enum comap_flush how,
                                               uint64_t offset_bytes, uint64_t size_bytes);

/* For a caller who has proof that the file on disk is right after all (it was read back with O_DIRECT,
 * or after a remount): forgets the failure, here and in the mark. */
COMAP_API COMAP_MUST_CHECK int comap_map_flush_forget(struct comap_map *map);

COMAP_END_DECLS
#endif
