/* SPDX-License-Identifier: MIT */
/* File systems of a test's own: small, full, failing, losing their power.
 *
 * They are mounted in a mount namespace of the test process, so that nobody else sees them and that
 * they are gone when it ends, however it ends. Needs root, and loop devices for images. */
#ifndef COMAP_TESTS_CORE_MOUNTS_H
#define COMAP_TESTS_CORE_MOUNTS_H

#include "files.h"

/* The namespace: first in main(). NULL, or the reason why it cannot be had. */
const char *mounts_begin(void);

/* A tmpfs that holds `size_bytes`, mounted; its path lives as long as the process. */
const char *mounts_tmpfs(const char *name, uint64_t size_bytes);

/* A file system in a sparse file `<folder>/<name>.img`, mounted through a loop device. NULL where this
 * machine cannot (no mkfs, no loop device); *ret_reason says why. `kind`: "ext4" or "xfs",
 * options of mkfs behind a space. */
const char *mounts_image(const char *kind, const char *folder, const char *name, uint64_t size_bytes,
                         const char **ret_reason);

/* As if the power had gone: what was not written is lost, and nothing can be written any more.
 * Then mounts_again() unmounts, and mounts what the disk holds. */
void mounts_power_cut(const char *path);
void mounts_again(const char *path);
void mounts_end(const char *path);

/* Writes zeros into `<path>/filler` until nothing fits; removes it. */
void mounts_fill(const char *path);
void mounts_unfill(const char *path);

#endif
