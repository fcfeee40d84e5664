/* SPDX-License-Identifier: MIT */
/* What is behind a scan: the range, and the bytes of it that can be looked at just now.
 *
 *       begin                 at                          end      limit
 *         |  passed           |  to come                   |         |     forward
 *         |  to come          |  passed                    |         |     backward
 *
 * The range is begin .. end; limit is how far bytes may be looked at: the end, or with OWN_LINES
 * the end of the file, so that the last line can be completed. */
#ifndef COMAP_CORE_SCAN_SOURCE_H
#define COMAP_CORE_SCAN_SOURCE_H

#include <comap/error.h>
#include <comap/mapping.h>
#include <comap/scan.h>

#define COMAP__UNSIZED UINT64_MAX /* an end that shows only when it is reached */

struct comap_scan {
	struct comap_scan_options options; /* no zero left where a default exists */
	enum comap_method method;
	int advice;
	char reason[200];
	int fd;
	bool owns_fd;
	bool regular;
	bool seeks;                 /* pread() works */
	char *path;                 /* FOLLOW, or NULL */
	uint64_t device, inode;     /* of the open file */
	uint64_t begin, at, end, limit;

	struct comap_map *map;      /* MAP */
	uint64_t kept;              /* MAP: forward, the pages before have left the page table; backward,
	                             * the pages from there on have */
	const unsigned char *memory; /* MAP, WHOLE: the file's bytes from memory_offset on */
	uint64_t memory_offset;

	unsigned char *buffer;      /* STREAM, WHOLE */
	uint64_t buffer_bytes;
	uint64_t held_offset;       /* STREAM: the file's bytes held_offset .. + held_bytes lie at */
	uint64_t held_bytes;        /* the start of the buffer */

	int inotify, file_watch, folder_watch;
	bool replaced;              /* FOLLOW: another file has the name; the rest of this one first */

	struct comap_error failure; /* code != 0: every later call fails with it */
};

/* Forward: makes at least `want_bytes` from `at` on visible, fewer only before `limit` or the end
 * of the file. *ret_data is NULL where there is nothing. */
int comap__scan_peek(struct comap_scan *scan, uint64_t want_bytes, const unsigned char **ret_data,
                     uint64_t *ret_bytes);

/* Backward: the same for the bytes that end at `at`; fewer only at `begin`. */
int comap__scan_peek_back(struct comap_scan *scan, uint64_t want_bytes,
                          const unsigned char **ret_data, uint64_t *ret_bytes);

/* At the start of every fetch: earlier failures, faults since, pages that have been passed. */
int comap__scan_settle(struct comap_scan *scan);

/* Keeps the thread's last error as the scan's: all later fetches fail with it. Returns `code`. */
int comap__scan_fail(struct comap_scan *scan, int code);

/* At the end: END; under FOLLOW, what has become of the file: IDLE, RESTART, or 0: read on. */
int comap__scan_at_end(struct comap_scan *scan);

/* Forgets what the buffer holds. */
void comap__scan_drop(struct comap_scan *scan);

int comap__scan_follow_open(struct comap_scan *scan);
void comap__scan_follow_close(struct comap_scan *scan);
int comap__scan_follow_end(struct comap_scan *scan);

#endif
