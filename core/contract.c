/* SPDX-License-Identifier: MIT */
/* The size contract: stamps, leases, the cooperative lock. See contract.h for the ladder.
 *
 * Lives in:   the kernel: times of the inode, a lease and a lock of the handle's open file
 * Progress:   stamps and checks: one or two system calls; locks block until their deadline
 * Death:      lease and lock go with the last descriptor of the open file
 * Limits:     waiting with a deadline tries again every 1 to 50 ms: the kernel's wait has no deadline */
#include <comap/contract.h>
#include <comap/guard.h>

#include "error.h"
#include "guard.h"
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRESH_NS 20000000u /* two ticks of the slowest clock that stamps files, and some */
#define SIZE_LOCK_OFFSET (INT64_MAX - 1)

static uint64_t time_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

static int look(const struct comap_map *map, struct comap_stamp *ret_stamp)
{
	struct timespec now;
	struct stat st;

	if (!map || map->fd < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "memory without a file has no size to be checked");
	clock_gettime(CLOCK_REALTIME, &now); /* before the look: a later change is not older than this */
	if (fstat(map->fd, &st) != 0)
		return comap__fail_errno(errno, "looking at %s", comap__map_name(map));
	*ret_stamp = (struct comap_stamp){
		.size_bytes = (uint64_t)st.st_size,
		.modified_ns = time_ns(&st.st_mtim),
		.changed_ns = time_ns(&st.st_ctim),
		.fault_count = comap__guard_fault_count(map->guard),
		.is_doubtful = time_ns(&st.st_ctim) + FRESH_NS > time_ns(&now),
	};
	/* After the count: zeros that are there now could be repaired away between reading and checking. */
	if (comap__guard_is_bad(map->guard))
		ret_stamp->is_doubtful = 1;
	return 0;
}

int comap_map_stamp(const struct comap_map *map, struct comap_stamp *ret_stamp)
{
	return ret_stamp ? look(map, ret_stamp) : comap__fail(COMAP_CAUSE_ARGUMENT, "nowhere to put the stamp");
}

int comap_map_check(const struct comap_map *map, const struct comap_stamp *since)
{
	struct comap_stamp now = { 0 };
	int code = look(map, &now);

	if (code)
		return code;
	if (now.size_bytes < map->file_offset_bytes + map->size_bytes) {
		comap__fail(COMAP_CAUSE_TRUNCATED, "%s has %" PRIu64 " bytes, its mapping ends at %" PRIu64,
		            comap__map_name(map), now.size_bytes, map->file_offset_bytes + map->size_bytes);
		comap__error()->offset_bytes = now.size_bytes;
		return -ESTALE;
	}
	code = comap_map_status(map);
	if (code || !since)
		return code;
	return since->is_doubtful || since->size_bytes != now.size_bytes ||
	                       since->modified_ns != now.modified_ns || since->changed_ns != now.changed_ns ||
	                       since->fault_count != now.fault_count
	               ? COMAP_MAP_CHANGED : COMAP_MAP_SAME;
}

int comap_map_check_path(const struct comap_map *map)
{
	struct stat st;

	if (!map || !map->path)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the mapping was not opened by a path");
	if (stat(map->path, &st) != 0)
		return comap__fail_errno(errno, "%s", map->path);
	if (st.st_dev == map->dev && st.st_ino == map->ino)
		return 0;
	return comap__fail(COMAP_CAUSE_REPLACED, "%s names another file now", map->path);
}

/* ---- notice --------------------------------------------------------------------------------- */

int comap_map_notice_begin(struct comap_map *map, int signal_number)
{
	if (!map || map->fd < 0 || signal_number <= 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a notice needs a mapped file and a signal");
	if (map->mode == COMAP_MAP_WRITE)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "a notice for %s, which is mapped for writing itself",
		                   comap__map_name(map));
	if (fcntl(map->fd, F_SETSIG, signal_number) != 0)
		return comap__fail_errno(errno, "choosing the signal %d", signal_number);
	if (fcntl(map->fd, F_SETLEASE, F_RDLCK) == 0)
		return 0;
	if (errno == EAGAIN)
		return comap__fail(COMAP_CAUSE_BUSY, "somebody has %s open for writing", comap__map_name(map));
	/* File systems without leases: EINVAL. */
	return comap__fail_errno(errno == EINVAL ? EOPNOTSUPP : errno, "a lease on %s", comap__map_name(map));
}

int comap_map_notice(const struct comap_map *map)
{
	int lease;

	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping was given");
	lease = map->fd >= 0 ? fcntl(map->fd, F_GETLEASE) : -1;
	/* While somebody waits, the kernel shows what the lease is to become. */
	return lease == F_UNLCK ? COMAP_NOTICE_ASKED : COMAP_NOTICE_QUIET;
}

int comap_map_notice_end(struct comap_map *map)
{
	if (!map || map->fd < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapped file");
	/* EAGAIN: there is none any more, the kernel's patience is over. */
	if (fcntl(map->fd, F_SETLEASE, F_UNLCK) != 0 && errno != EAGAIN)
		return comap__fail_errno(errno, "giving back the lease on %s", comap__map_name(map));
	return 0;
}

/* ---- cooperation ---------------------------------------------------------------------------- */

static int set_lock(const struct comap_map *map, short type, int command)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = SIZE_LOCK_OFFSET, .l_len = 1 };

	return fcntl(map->fd, command, &lock) == 0 ? 0 : -errno;
}

static int wait_for_lock(const struct comap_map *map, short type, uint64_t deadline_ns)
{
	struct timespec pause = { 0 };
	long pause_ns = 1000000;
	int code;

	if (deadline_ns == COMAP_FOREVER) {
		do
			code = set_lock(map, type, F_OFD_SETLKW);
		while (code == -EINTR);
		return code;
	}
	while ((code = set_lock(map, type, F_OFD_SETLK)) == -EAGAIN || code == -EACCES) {
		uint64_t now_ns = comap_now_ns();

		if (now_ns >= deadline_ns)
			return deadline_ns ? -ETIMEDOUT : -EBUSY;
		pause.tv_nsec = (uint64_t)pause_ns < deadline_ns - now_ns ? pause_ns : (long)(deadline_ns - now_ns);
		nanosleep(&pause, NULL);
		pause_ns = pause_ns < 25000000 ? pause_ns * 2 : 50000000;
	}
	return code;
}

int comap_map_size_lock(struct comap_map *map, enum comap_size_lock kind, uint64_t deadline_ns)
{
	int code;

	if (!map || map->fd < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapped file whose size could be locked");
	if (kind == COMAP_SIZE_EXCLUSIVE && map->mode != COMAP_MAP_WRITE)
		return comap__fail(COMAP_CAUSE_READ_ONLY, "%s is mapped for reading only", comap__map_name(map));
	code = wait_for_lock(map, kind == COMAP_SIZE_EXCLUSIVE ? F_WRLCK : F_RDLCK, deadline_ns);
	return code ? comap__fail_errno(code, "the size lock of %s", comap__map_name(map)) : 0;
}

int comap_map_size_unlock(struct comap_map *map)
{
	int code;

	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping was given");
	code = map->fd >= 0 ? set_lock(map, F_UNLCK, F_OFD_SETLK) : 0;
	return code ? comap__fail_errno(code, "releasing the size lock of %s", comap__map_name(map)) : 0;
}

int comap_map_truncate_file(struct comap_map *map, uint64_t size_bytes, uint64_t deadline_ns)
{
	int code = comap_map_size_lock(map, COMAP_SIZE_EXCLUSIVE, deadline_ns);

	if (code)
		return code;
	if (size_bytes < map->size_bytes)
		code = comap_map_resize(map, size_bytes, 0);
	if (code == 0 && ftruncate(map->fd, (off_t)(map->file_offset_bytes + size_bytes)) != 0)
		code = comap__fail_errno(errno, "shortening %s", comap__map_name(map));
	comap_map_size_unlock(map);
	return code;
}
