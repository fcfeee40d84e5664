/* SPDX-License-Identifier: MIT */
/* A region is born whole. */
#ifndef COMAP_IPC_CREATE_H
#define COMAP_IPC_CREATE_H

#include <comap/region.h>

/* Makes the file and names it. -EEXIST where the name is taken. Leaves nothing on failure. */
int comap__region_create(const char *path, const struct comap_options *options);

/* Which start of the kernel this is; zeros where it does not say. */
void comap__boot_id(uint8_t boot_id[16]);

#endif
