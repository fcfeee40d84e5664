/* SPDX-License-Identifier: MIT */
/* The size contract: how much a reader can rely on the file staying as it is. A ladder:
 *
 *   guard         nothing is agreed; a page that is gone is an error (guard.h). Always there
 *   check         ask whether the file is still as long, as old, and the one that the path names:
 *                 comap_map_stamp(), comap_map_check(), comap_map_check_path(). Under 1 us
 *   notice        a lease: whoever wants to shorten or write the file waits until we have let go, and
 *                 we are told: comap_map_notice_begin(). Files that nobody writes
 *   cooperation   everybody who shortens the file takes a lock that readers share:
 *                 comap_map_size_lock(). Programs that use comap
 *   seal          memory files (comap_map_open_memory()) that cannot become shorter: a fault is
 *                 impossible, comap_map_may_fault() says so
 *
 * Nothing of this stops write(): a reader that must not see half a change needs a protocol of its own
 * (ipc/), or the notice.
 *
 * Threads: as mapping.h; a size lock belongs to the handle. Fork: lease and lock stay with the parent's
 * open file, which the child shares: it must not end them. */
#ifndef COMAP_CONTRACT_H
#define COMAP_CONTRACT_H

#include <comap/mapping.h>

COMAP_BEGIN_DECLS

/* How the file was at one moment. A value; any number of them, in any thread. */
struct comap_stamp {
	uint64_t size_bytes;
	uint64_t modified_ns;  /* CLOCK_REALTIME */
	uint64_t changed_ns;
	uint64_t fault_count;  /* comap_map_fault() */
	uint32_t is_doubtful;  /* vouches for nothing: taken within 20 ms of a change, behind which another
	                        * one could hide, or while pages were replaced */
	uint32_t reserved;
};

/* 0 or the errno of fstat(). -EINVAL (ARGUMENT) for memory without a descriptor. */
COMAP_API COMAP_MUST_CHECK int comap_map_stamp(const struct comap_map *map, struct comap_stamp *ret_stamp);

#define COMAP_MAP_SAME 0
#define COMAP_MAP_CHANGED 1

/* To be asked after reading. COMAP_MAP_SAME: since the stamp nobody wrote, truncated or regrew the file
 * by a system call, and the guard replaced nothing: the bytes that were read are the file's.
 * COMAP_MAP_CHANGED: somebody did, or it cannot be excluded (a doubtful stamp).
 * -ESTALE (TRUNCATED): the file is shorter than the mapping, or was when a page was touched.
 * `since` NULL: only the length and the guard's status are looked at.
 * Stores through somebody's mapping move the times only with the first store to a page after its
 * write-back: this is no way to see them. */
COMAP_API COMAP_MUST_CHECK int comap_map_check(const struct comap_map *map,
                                               const struct comap_stamp *since);

/* 0: the path that was opened still names this file. -ESTALE (REPLACED): another one (rename over it,
 * log rotation). -ENOENT (NOT_FOUND): none. -EINVAL (ARGUMENT): opened by descriptor. */
COMAP_API COMAP_MUST_CHECK int comap_map_check_path(const struct comap_map *map);

#define COMAP_NOTICE_QUIET 0
#define COMAP_NOTICE_ASKED 1

/* Takes a lease on a file that is mapped for reading and that nobody has open for writing. Whoever
 * opens it for writing or truncates it waits (at most /proc/sys/fs/lease-break-time, 45 s) until
 * comap_map_notice_end() or close, and `signal_number` is sent to the process, si_fd being the
 * handle's descriptor: block it and poll comap_map_notice(), use signalfd(), or handle it.
 * -EBUSY (BUSY): somebody has it open for writing. -EACCES (PERMISSION): not the owner, no CAP_LEASE.
 * -EOPNOTSUPP (UNSUPPORTED): mapped for writing; network file systems. -EINVAL: not a signal. */
COMAP_API COMAP_MUST_CHECK int comap_map_notice_begin(struct comap_map *map, int signal_number);
/* COMAP_NOTICE_ASKED: somebody waits for us to let go. */
COMAP_API int comap_map_notice(const struct comap_map *map);
COMAP_API int comap_map_notice_end(struct comap_map *map);

enum comap_size_lock {
	COMAP_SIZE_SHARED,    /* the file does not become shorter while this is held */
	COMAP_SIZE_EXCLUSIVE, /* we may make it shorter. Needs MAP_WRITE */
};

/* An open-file-description lock on a byte that no file reaches; advisory: it binds those who take it.
 * Held by the handle until unlock or close, or until the process ends. -ETIMEDOUT (TIMEOUT) when
 * `deadline_ns` (CLOCK_MONOTONIC; 0: try once, -EBUSY) has passed. -EACCES (READ_ONLY). */
COMAP_API COMAP_MUST_CHECK int comap_map_size_lock(struct comap_map *map, enum comap_size_lock kind,
                                                   uint64_t deadline_ns);
COMAP_API int comap_map_size_unlock(struct comap_map *map);

/* LOSES DATA. Makes the file end `size_bytes` behind the mapping's first byte, and the mapping with it,
 * under the exclusive size lock: -EBUSY or -ETIMEDOUT while readers share it. */
COMAP_API COMAP_MUST_CHECK int comap_map_truncate_file(struct comap_map *map, uint64_t size_bytes,
                                                       uint64_t deadline_ns);

COMAP_END_DECLS
#endif
