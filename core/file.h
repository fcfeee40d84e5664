/* SPDX-License-Identifier: MIT */
/* What is done to files and not to maps: space before touch, identity, opening again. */
#ifndef COMAP_CORE_FILE_H
#define COMAP_CORE_FILE_H

#include <comap/base.h>

#include <sys/types.h>

/* Allocates the file's space from `offset_bytes` on, growing it where it is shorter; what is
 * allocated already stays as it is, so the call can be repeated. A full file system and
 * RLIMIT_FSIZE are -ENOSPC and -EFBIG: no signal is raised, and the size is what it was.
 * File systems without fallocate: -EOPNOTSUPP. Blocks on I/O. Safe from several processes at once. */
int comap__file_allocate(int fd, uint64_t offset_bytes, uint64_t size_bytes);

/* A new open file description of the file behind `fd`, close-on-exec: never lock one that was given. */
int comap__file_reopen(int fd, int open_flags, int *ret_fd);

#endif
