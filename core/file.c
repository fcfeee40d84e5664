/* SPDX-License-Identifier: MIT */
/* What is done to files and not to maps: space before touch, identity, opening again. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#ifndef STATX_BTIME /* musl before 1.2.4: neither the call nor its struct */
#include <linux/stat.h>
#include <sys/syscall.h>

static int statx(int fd, const char *path, int flags, unsigned mask, struct statx *ret_st)
{
	return (int)syscall(SYS_statx, fd, path, flags, mask, ret_st);
}
#endif

/* Growing past RLIMIT_FSIZE raises SIGXFSZ beside the error; the caller wants the error only. The
 * signal is blocked for the thread and, where this call made it pending, taken off again. */
static int allocate_without_signal(int fd, int mode, off_t offset, off_t size)
{
	sigset_t xfsz, before, pending;
	bool was_pending;
	int code;

	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &xfsz, &before);
	do
		code = fallocate(fd, mode, offset, size) == 0 ? 0 : -errno;
	while (code == -EINTR);
	if (code == -EFBIG && !was_pending)
		while (sigtimedwait(&xfsz, NULL, &(struct timespec){ 0 }) == -1 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

/* -ENOSPC where the free space cannot suffice even if every block that the file has lies in the range:
 * asked before, because what a failing fallocate() took cannot be given back while others grow the
 * file, too. Unlimited memory file systems have 0 blocks. */
static int certainly_full(int fd, uint64_t size_bytes)
{
	struct statvfs fs;
	struct stat st;
	uint64_t free_blocks;

	if (fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0 || fstat(fd, &st) != 0)
		return 0;
	free_blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
	return size_bytes > (uint64_t)st.st_blocks * 512 &&
	                       (size_bytes - (uint64_t)st.st_blocks * 512) / fs.f_frsize > free_blocks
	               ? -ENOSPC : 0;
}

int comap__file_allocate(int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct rlimit limit;
	uint64_t end_bytes;
	int code;

	if (size_bytes == 0)
		return 0;
	if (__builtin_add_overflow(offset_bytes, size_bytes, &end_bytes) || end_bytes > INT64_MAX)
		return -EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    end_bytes > limit.rlim_cur)
		return -EFBIG;
	code = certainly_full(fd, size_bytes);
	if (code)
		return code;
	/* First the blocks, then the size: ext4 would keep half of either when it runs out on the way. */
	code = allocate_without_signal(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes, (off_t)size_bytes);
	return code ? code : allocate_without_signal(fd, 0, (off_t)offset_bytes, (off_t)size_bytes);
}

int comap__file_own_blocks(int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
	int code = comap__file_allocate(fd, offset_bytes, size_bytes);

	if (code || size_bytes == 0)
		return code;
	code = allocate_without_signal(fd, FALLOC_FL_UNSHARE_RANGE, (off_t)offset_bytes, (off_t)size_bytes);
	/* File systems that cannot share blocks do not know the mode. */
	return code == -EOPNOTSUPP || code == -EINVAL ? 0 : code;
}

int comap__file_set_size(int fd, uint64_t size_bytes, size_t page_bytes)
{
	if (page_bytes > (size_t)sysconf(_SC_PAGESIZE))
		size_bytes = (size_bytes + page_bytes - 1) & ~(uint64_t)(page_bytes - 1);
	return ftruncate(fd, (off_t)size_bytes) == 0 ? 0 : -errno;
}

int comap__file_punch(int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
	int code;

	do
		code = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
		                 (off_t)size_bytes) == 0 ? 0 : -errno;
	while (code == -EINTR);
	return code;
}

uint64_t comap__file_preferred_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_blksize > 0 ? (uint64_t)st.st_blksize : 0;
}

int comap__file_key(int fd, struct comap__file_key *ret_key)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_UID | STATX_BTIME, &st) != 0)
		return -errno;
	*ret_key = (struct comap__file_key){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.ino = st.stx_ino,
		.uid = st.stx_uid,
		.born_ns = st.stx_mask & STATX_BTIME
		                   ? (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec : 0,
	};
	return 0;
}

int comap__file_absolute(const char *path, char **ret_path)
{
	char here[PATH_MAX], *whole;

	if (path[0] == '/') {
		whole = strdup(path);
	} else {
		if (!getcwd(here, sizeof here))
			return -errno;
		if (asprintf(&whole, "%s/%s", here, path) < 0)
			whole = NULL;
	}
	if (!whole)
		return -ENOMEM;
	*ret_path = whole;
	return 0;
}

int comap__file_reopen(int fd, int open_flags, int *ret_fd)
{
	char path[40];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, open_flags | O_CLOEXEC | O_NOCTTY);
	if (again < 0)
		return -errno;
	*ret_fd = again;
	return 0;
}
