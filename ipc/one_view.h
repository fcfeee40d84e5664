/* SPDX-License-Identifier: MIT */
/* A seam for tests: every handle of the process has the same mapping of a file. */
#ifndef COMAP_IPC_ONE_VIEW_H
#define COMAP_IPC_ONE_VIEW_H

#include "region.h"

/* Set before the first open, and left alone: regions have one mapping, writable, for view and for
 * writing, and so have all handles of the process on the same file (under several names, guests too).
 * ThreadSanitizer knows memory by its address: through two mappings it sees no race. */
extern bool comap__one_view;

/* The process's mapping of the region's file, which is made where there is none: 0, and
 * region->view. A guest that comes first needs write permission, here. Negative errno. */
int comap__one_view_take(struct comap *region, int fd);

/* Gives it back; the last one unmaps it. */
void comap__one_view_give(struct comap *region);

#endif
