/* SPDX-License-Identifier: MIT */
/* Following a file: sleeping until it grows, and noticing that it was cut or replaced.
 *
 * The watches stand before the first read, so what happens between a read that found nothing and
 * the sleep wakes the sleeper.
 *
 * Progress:   blocking, in poll()
 * Limits:     what a writer appends to the old file after the name has passed to a new one, and after
 *             the old one's end was read, is not seen. A file that was cut and has grown past the old
 *             place before anybody looked is taken for one that only grew. Network file systems tell
 *             nothing of what other machines write */
#include "scan_source.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int watch_file(struct comap_scan *scan)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", scan->fd);
	scan->file_watch = inotify_add_watch(scan->inotify, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF);
	if (scan->file_watch < 0)
		return comap__fail_errno(errno, "cannot watch the file");
	return 0;
}

/* A file that takes the name appears in the folder. */
static int watch_folder(struct comap_scan *scan)
{
	char *copy = strdup(scan->path);

	if (!copy)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a path");
	scan->folder_watch = inotify_add_watch(scan->inotify, dirname(copy), IN_CREATE | IN_MOVED_TO);
	free(copy);
	if (scan->folder_watch < 0)
		return comap__fail_errno(errno, "cannot watch the folder of %s", scan->path);
	return 0;
}

int comap__scan_follow_open(struct comap_scan *scan)
{
	int code;

	scan->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (scan->inotify < 0)
		return comap__fail_errno(errno, "cannot watch files");
	code = watch_file(scan);
	if (code == 0 && scan->path)
		code = watch_folder(scan);
	return code;
}

void comap__scan_follow_close(struct comap_scan *scan)
{
	if (scan->inotify >= 0)
		close(scan->inotify);
}

/* From the start of whatever file the descriptor is now. */
static int restart(struct comap_scan *scan)
{
	comap__scan_drop(scan);
	scan->at = scan->begin = 0;
	scan->replaced = false;
	return COMAP_SCAN_RESTART;
}

static int open_successor(struct comap_scan *scan)
{
	struct stat status;
	int code, fd = open(scan->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return errno == ENOENT ? COMAP_SCAN_IDLE
		                       : comap__fail_errno(errno, "cannot open %s again", scan->path);
	if (fstat(fd, &status) != 0) {
		code = comap__fail_errno(errno, "cannot look at %s", scan->path);
		close(fd);
		return code;
	}
	inotify_rm_watch(scan->inotify, scan->file_watch);
	if (scan->owns_fd)
		close(scan->fd);
	scan->fd = fd;
	scan->owns_fd = true;
	scan->device = status.st_dev;
	scan->inode = status.st_ino;
	code = watch_file(scan);
	return code ? code : restart(scan);
}

int comap__scan_follow_end(struct comap_scan *scan)
{
	struct stat status;

	if (scan->replaced)
		return open_successor(scan);
	if (fstat(scan->fd, &status) != 0)
		return comap__fail_errno(errno, "cannot look at the file that is followed");
	if ((uint64_t)status.st_size < scan->held_offset + scan->held_bytes)
		return restart(scan);
	if (!scan->path || stat(scan->path, &status) != 0)
		return COMAP_SCAN_IDLE;
	if (status.st_dev == scan->device && status.st_ino == scan->inode)
		return COMAP_SCAN_IDLE;
	/* Once more: the last bytes may have come between our read and the change of the name. */
	scan->replaced = true;
	return 0;
}

static void drain_events(int inotify)
{
	char events[4096];

	while (read(inotify, events, sizeof events) > 0)
		;
}

int comap_scan_wait(struct comap_scan *scan, uint64_t deadline_ns)
{
	struct pollfd poll_fd;
	struct timespec left;
	int ready;

	if (!scan || scan->inotify < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "only a scan with COMAP_SCAN_FOLLOW can wait");
	poll_fd = (struct pollfd){ .fd = scan->inotify, .events = POLLIN };
	do {
		uint64_t now_ns = comap_now_ns(), left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

		left.tv_sec = (time_t)(left_ns / 1000000000u);
		left.tv_nsec = (long)(left_ns % 1000000000u);
		ready = ppoll(&poll_fd, 1, deadline_ns == COMAP_FOREVER ? NULL : &left, NULL);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return comap__fail_errno(errno, "cannot wait for the file to grow");
	if (ready == 0)
		return comap__fail(COMAP_CAUSE_TIMEOUT, "the file did not change before the deadline");
	drain_events(scan->inotify);
	return 0;
}
