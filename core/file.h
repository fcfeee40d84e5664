/* SPDX-License-Identifier: MIT */
/* What is done to files and not to maps: space before touch, identity, opening again. */
#ifndef COMAP_CORE_FILE_H
#define COMAP_CORE_FILE_H

#include <comap/base.h>

#include <sys/types.h>

/* Allocates the file's space from `offset_bytes` on, growing it where it is shorter; what is
 * allocated already stays as it is, so the call can be repeated. A full file system and
 * RLIMIT_FSIZE are -ENOSPC and -EFBIG: no signal is raised, and the size is what it was. (Where others
 * take the last blocks meanwhile, some may stay with the file, behind its end.)
 * File systems without fallocate: -EOPNOTSUPP. Blocks on I/O. Safe from several processes at once. */
int comap__file_allocate(int fd, uint64_t offset_bytes, uint64_t size_bytes);

/* The range's blocks exist and belong to this file alone: holes are allocated, reflinked blocks are
 * copied where the file system can say so (XFS, btrfs), so that a store cannot run out of space. Errors
 * as above. */
int comap__file_own_blocks(int fd, uint64_t offset_bytes, uint64_t size_bytes);

/* Sets the size exactly, rounded up to `page_bytes` (hugetlb files have no other sizes). */
int comap__file_set_size(int fd, uint64_t size_bytes, size_t page_bytes);

/* LOSES DATA. The range reads as zeros and its blocks are free; the file's size stays. */
int comap__file_punch(int fd, uint64_t offset_bytes, uint64_t size_bytes);

/* The size in which the file system would have the file read and written (st_blksize); on a tmpfs with large
 * pages that of one of them. 0 where it cannot be asked. */
uint64_t comap__file_preferred_bytes(int fd);

/* Which file, for as long as the machine is up: an inode's number is used again, its birth is not. */
struct comap__file_key {
	dev_t dev;
	ino_t ino;
	uint64_t born_ns; /* CLOCK_REALTIME; 0 where the file system keeps no births */
	uid_t uid;        /* the owner, no part of the identity */
};
int comap__file_key(int fd, struct comap__file_key *ret_key);

/* A copy of `path` that outlives chdir(): the current folder is put before a relative one. Links are
 * not resolved. The caller frees. */
int comap__file_absolute(const char *path, char **ret_path);

/* A new open file description of the file behind `fd`, close-on-exec: never lock one that was given. */
int comap__file_reopen(int fd, int open_flags, int *ret_fd);

#endif
