/* SPDX-License-Identifier: MIT */
/* What is done to files and not to maps: space before touch, identity, opening again. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Growing past RLIMIT_FSIZE raises SIGXFSZ beside the error; the caller wants the error only. The
 * signal is blocked for the thread and, where this call made it pending, taken off again. */
static int allocate_without_signal(int fd, off_t offset, off_t size)
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
		code = fallocate(fd, 0, offset, size) == 0 ? 0 : -errno;
	while (code == -EINTR);
	if (code == -EFBIG && !was_pending)
		while (sigtimedwait(&xfsz, NULL, &(struct timespec){ 0 }) == -1 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

int comap__file_allocate(int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct rlimit limit;
	uint64_t end_bytes;

	if (size_bytes == 0)
		return 0;
	if (__builtin_add_overflow(offset_bytes, size_bytes, &end_bytes) || end_bytes > INT64_MAX)
		return -EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    end_bytes > limit.rlim_cur)
		return -EFBIG;
	return allocate_without_signal(fd, (off_t)offset_bytes, (off_t)size_bytes);
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
