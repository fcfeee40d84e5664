/* SPDX-License-Identifier: MIT */
/* From a name to a file: where regions live, and which files are refused before a byte is read. */
#ifndef COMAP_IPC_NAME_H
#define COMAP_IPC_NAME_H

#include <comap/region.h>

#include <sys/stat.h>

#define COMAP_PATH_BYTES 4096

/* The path behind a name (see region.h). With `make_folder`, the user's own folder is made where the
 * name needs it; a folder that belongs to somebody else is refused. */
int comap__name_resolve(const char *name, bool make_folder, char path[COMAP_PATH_BYTES]);

/* Opens an existing file: not through links in world-writable folders, never blocking on a FIFO,
 * and only a regular file of the owner asked for, on a file system that shares its pages. */
int comap__name_open(const char *path, bool read_only, int64_t owner_uid, int *ret_fd,
                     struct stat *ret_stat);

/* Sleeps until the file may be there (it was made, or its folder changed) or the deadline has passed
 * (0: never). 0: look again; -ETIMEDOUT. Wakes by the file system's word; at least once a second. */
int comap__name_await(const char *path, uint64_t deadline_ns);

/* A file without a name in the folder of `path`, and the step that names it. -EEXIST where the
 * name is taken. Where the file system has no O_TMPFILE: a temporary name, swept by later callers. */
int comap__name_create(const char *path, uint32_t mode, int *ret_fd, char temporary[COMAP_PATH_BYTES]);
int comap__name_link(int fd, const char *temporary, const char *path);
void comap__name_discard(int fd, const char *temporary);

#endif
