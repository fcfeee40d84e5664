/* SPDX-License-Identifier: MIT */
/* Death by event: sleep until whoever has a seat is gone.
 *
 * Without a deadline the kernel does it all: a lock request on the life lock's byte is granted when
 * the holder's address space goes, within a fraction of a millisecond, in whatever namespace it was.
 * The request is for a read lock, which every probe ignores, on a byte that the seat's next holder does
 * not use: it may sit there before the sleeper runs.
 *
 * With a deadline: a pidfd where the holder is in our PID namespace, else a probe every few
 * milliseconds, because a lock request has no time limit.
 *
 * If the waiting process dies: its request goes with it. */
#include "seat.h"

#include "error.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROBE_NS 5000000

static int wait_for_lock(struct comap *region, uint64_t token)
{
	struct flock lock = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET,
		.l_start = comap__life_byte(token), .l_len = 1,
	};
	int given, fd, code;

	code = comap__region_fd(region, &given);
	if (!code)
		code = comap__file_reopen(given, O_RDONLY | O_NONBLOCK, &fd);
	if (code)
		return code;
	do
		code = fcntl(fd, F_OFD_SETLKW, &lock) == 0 ? 0 : -errno;
	while (code == -EINTR);
	close(fd);
	return code ? comap__fail_errno(code, "cannot wait for the lock of a seat of %s", region->path) : 0;
}

/* How long to sleep at most, for poll(). */
static int milliseconds_until(uint64_t deadline_ns)
{
	uint64_t now_ns = comap_now_ns();
	uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns + 999999) / 1000000 : 0;

	return left_ms < 1000 ? (int)left_ms : 1000;
}

/* One sleep: to the end of the process, or of a short while. */
static void sleep_once(int pidfd, uint64_t deadline_ns)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	struct timespec pause = { .tv_nsec = PROBE_NS };

	if (pidfd < 0 || poll(&end, 1, milliseconds_until(deadline_ns)) != 0) {
		/* The process has ended and its memory is about to go; or nobody tells us. */
		pause.tv_nsec = pidfd < 0 ? PROBE_NS : 100000;
		nanosleep(&pause, NULL);
	}
}

static int open_pidfd(const struct comap_seat_shm *seat)
{
	/* relaxed: written before LIVE, which the caller has seen */
	if (comap_u64_load_relaxed(&seat->pid_namespace) != comap__pid_namespace())
		return -1;
	return (int)syscall(SYS_pidfd_open, comap_u32_load_relaxed(&seat->pid), 0);
}

int comap_seat_wait(struct comap *region, uint32_t seat, uint64_t generation, uint64_t deadline_ns)
{
	uint64_t token = comap__token(generation, seat);
	int pidfd, code = 0;

	if (!region)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the region handle is NULL");
	if (seat >= region->identity->seat_count)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s has %u seats", region->path,
		                   region->identity->seat_count);
	if (!comap__is_guest(region) && region->attachment->seat_token == token)
		return comap__fail(COMAP_CAUSE_DEADLOCK, "a process cannot wait for its own end");
	if (deadline_ns == COMAP_FOREVER) {
		while (!code && !comap__seat_is_dead(region, token))
			code = wait_for_lock(region, token);
		return code;
	}
	pidfd = comap__seat_is_dead(region, token) ? -1 : open_pidfd(&region->seats[seat]);
	while (!comap__seat_is_dead(region, token)) {
		if (comap_now_ns() >= deadline_ns) {
			code = comap__fail(COMAP_CAUSE_TIMEOUT, "seat %u is still taken", seat);
			break;
		}
		sleep_once(pidfd, deadline_ns);
	}
	if (pidfd >= 0)
		close(pidfd);
	return code;
}
