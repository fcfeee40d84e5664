/* SPDX-License-Identifier: MIT */
/* What the kernel can do: asked once per process, by trying.
 *
 * Lives in:   one word of the process
 * Writers:    pthread_once
 * Progress:   blocking once, wait-free afterwards */
#include <comap/mapping.h>

#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's headers are older than these. The numbers are the same on all architectures. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static unsigned found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool knows_call(long number)
{
	/* With nonsense for arguments, a system call that exists complains of them. */
	return syscall(number, -1L, -1L, -1L, -1L) < 0 && errno != ENOSYS;
}

static bool knows_seal(int seal)
{
	int fd = memfd_create("comap-caps", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool known = fd >= 0 && fcntl(fd, F_ADD_SEALS, seal) == 0;

	if (fd >= 0)
		close(fd);
	return known;
}

static bool knows_pagemap_scan(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	/* A request of size 0: EINVAL from a kernel that knows it, ENOTTY from one that does not. */
	unsigned long long request[12] = { 0 };
	bool known = fd >= 0 && ioctl(fd, _IOWR('f', 16, unsigned long long[12]), request) < 0 &&
	             errno != ENOTTY;

	if (fd >= 0)
		close(fd);
	return known;
}

static bool shows_frames(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	bool shown = fd >= 0 &&
	             pread(fd, &word, sizeof word, (off_t)((uintptr_t)&word / comap__vm_page_bytes() * 8)) ==
	                     (ssize_t)sizeof word &&
	             (word & ((1ull << 55) - 1)) != 0;

	if (fd >= 0)
		close(fd);
	return shown;
}

static bool knows_advice(int advice)
{
	return comap__vm_advise(NULL, 0, advice) == 0;
}

static void find(void)
{
	found = (knows_advice(COMAP_ADVICE_POPULATE_READ) ? COMAP_CAP_POPULATE : 0) |
	        (knows_advice(COMAP_ADVICE_COLLAPSE) ? COMAP_CAP_COLLAPSE : 0) |
	        (knows_advice(18) ? COMAP_CAP_WIPE_ON_FORK : 0) |
	        (knows_call(SYS_cachestat) ? COMAP_CAP_CACHESTAT : 0) |
	        (knows_call(SYS_mseal) ? COMAP_CAP_MSEAL : 0) |
	        (knows_pagemap_scan() ? COMAP_CAP_PAGEMAP_SCAN : 0) |
	        (knows_seal(F_SEAL_FUTURE_WRITE) ? COMAP_CAP_SEAL_WRITE_LATER : 0) |
	        (shows_frames() ? COMAP_CAP_FRAMES : 0);
}

unsigned comap_caps(void)
{
	pthread_once(&once, find);
	return found;
}
