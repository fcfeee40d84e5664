/* SPDX-License-Identifier: MIT */
/* A bar on standard error: how far it is, how fast it goes, how long it will take.
 *
 *     [##########....................]  33 %  412 MB/s  1.9 s left  1200000 entries
 *
 * Without a total (a pipe): how much so far, and how fast. */
#ifndef COMAP_TOOLS_COMMON_PROGRESS_H
#define COMAP_TOOLS_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;             /* false: all calls do nothing */
	uint64_t total_bytes;   /* 0: not known */
	uint64_t start_ns;      /* CLOCK_MONOTONIC, as comap_now_ns() */
	uint64_t drawn_ns;
};

/* Standard error is a terminal: the default of who shows a bar. */
bool progress_wanted(void);

void progress_begin(struct progress *progress, bool shown, uint64_t total_bytes);
/* Draws it anew, five times a second at most; `note` (NULL: none) stands behind it. */
void progress_draw(struct progress *progress, uint64_t done_bytes, const char *note);
/* Takes it away. */
void progress_end(struct progress *progress);

#endif
