/* SPDX-License-Identifier: MIT */
/* Flushes with a memory: one failed write-back makes every later flush of the file fail.
 *
 * Lives in:   a list of failed files in the process, never freed; an empty file in /dev/shm for each,
 *             named by device, inode and time of birth
 * Invariants: I1  a failure that this process has seen is in its list before it is returned
 *             I2  an entry is cleared by comap_map_flush_forget() alone
 * Writers:    any thread: entries are pushed, their `forgotten` word is set
 * Progress:   blocking on the disk; the list is lock-free
 * Death:      after the kernel's report and before the mark: other processes still get the report from
 *             their own open files, where these were open when it failed
 * Limits:     a failure reported to a program without comap before the file was opened here is not
 *             known to anybody: the kernel has forgotten it */
#include <comap/flush.h>
#include <comap/guard.h>
#include <comap/word.h>

#include "error.h"
#include "file.h"
#include "map.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct failure {
	struct failure *next;
	struct comap__file_key key;
	struct comap_u32 forgotten;
};

static struct comap_u64 failures; /* struct failure *, the newest */

static struct failure *first_failure(void)
{
	/* [edge flush.failure] The entry's fields were stored before it was pushed. */
	return (struct failure *)(uintptr_t)comap_u64_load_acquire(&failures);
}

static bool same_file(const struct comap__file_key *a, const struct comap__file_key *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->born_ns == b->born_ns;
}

static struct failure *find_failure(const struct comap__file_key *key)
{
	for (struct failure *f = first_failure(); f; f = f->next)
		/* Relaxed: whoever forgets has told this thread by other means, or races with the flush. */
		if (same_file(&f->key, key) && !comap_u32_load_relaxed(&f->forgotten))
			return f;
	return NULL;
}

static void push_failure(const struct comap__file_key *key)
{
	struct failure *entry = calloc(1, sizeof *entry);

	if (!entry)
		return; /* the mark remains */
	entry->key = *key;
	do
		entry->next = first_failure();
	/* [edge flush.failure] Whoever finds the entry finds it whole. */
	while (!comap_u64_cas_release(&failures, (uintptr_t)entry->next, (uintptr_t)entry));
}

/* ---- the mark ------------------------------------------------------------------------------ */

static void mark_path(const struct comap__file_key *key, char path[static 120])
{
	snprintf(path, 120, "/dev/shm/comap.unflushed.%u.%u.%" PRIu64 ".%" PRIu64, major(key->dev),
	         minor(key->dev), (uint64_t)key->ino, key->born_ns);
}

/* A stranger's mark is not believed: anybody may put files into /dev/shm. */
static bool is_marked(const struct comap__file_key *key)
{
	char path[120];
	struct stat st;

	mark_path(key, path);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == key->uid);
}

static void make_mark(const struct comap__file_key *key)
{
	char path[120];
	int fd;

	mark_path(key, path);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0)
		close(fd);
}

/* ---- flushing ------------------------------------------------------------------------------ */

static int sync_folder(const struct comap_map *map)
{
	char *folder, *slash;
	int fd, code;

	if (!map->path)
		return 0; /* opened by descriptor: whoever made the name flushes the folder */
	folder = strdup(map->path);
	if (!folder)
		return -ENOMEM;
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return -errno;
	code = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return code;
}

static int flush_once(struct comap_map *map, enum comap_flush how, uint64_t offset_bytes,
                      uint64_t size_bytes)
{
	void *start;
	size_t bytes;
	int code;

	switch (how) {
	case COMAP_FLUSH_DATA:
		comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
		return bytes ? comap__vm_sync(start, bytes, MS_SYNC) : 0;
	case COMAP_FLUSH_FILE:
		return fdatasync(map->fd) == 0 ? 0 : -errno;
	case COMAP_FLUSH_METADATA:
		code = fsync(map->fd) == 0 ? 0 : -errno;
		return code ? code : sync_folder(map);
	default:
		return size_bytes == 0 || sync_file_range(map->fd, (off_t)(map->file_offset_bytes + offset_bytes),
		                                          (off_t)size_bytes, SYNC_FILE_RANGE_WRITE) == 0
		               ? 0 : -errno;
	}
}

/* The errors of a write-back that failed, as against a call that was wrong. */
static bool is_loss(int code)
{
	return code == -EIO || code == -ENOSPC || code == -EDQUOT || code == -EROFS || code == -ENXIO ||
	       code == -ENODEV || code == -ESTALE || code == -EFBIG;
}

static int check_flush(struct comap_map *map, enum comap_flush how, uint64_t offset_bytes,
                       uint64_t *size_bytes, struct comap__file_key *ret_key)
{
	int code = comap__map_range(map, offset_bytes, size_bytes, "a flush");

	if (code)
		return code;
	if ((unsigned)how > COMAP_FLUSH_START)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the unknown way %u to flush", (unsigned)how);
	if (map->fd < 0 || map->memory || map->mode >= COMAP_MAP_COPY)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "a flush of %s, %s: nothing of it reaches a disk",
		                   comap__map_name(map), map->fd < 0 || map->memory ? "memory" : "a private copy");
	code = comap_map_status(map);
	if (code)
		return code;
	code = comap__file_key(map->fd, ret_key);
	return code ? comap__fail_errno(code, "looking at %s", comap__map_name(map)) : 0;
}

int comap_map_flush(struct comap_map *map, enum comap_flush how, uint64_t offset_bytes,
                    uint64_t size_bytes)
{
	struct comap__file_key key;
	int code = check_flush(map, how, offset_bytes, &size_bytes, &key);

	if (code)
		return code;
	if (find_failure(&key) || is_marked(&key))
		return comap__fail(COMAP_CAUSE_UNFLUSHED, "an earlier flush of %s failed: what it holds on disk "
		                   "is unknown; write the data into a new file", comap__map_name(map));
	do
		code = flush_once(map, how, offset_bytes, size_bytes);
	while (code == -EINTR);
	if (code && is_loss(code)) {
		push_failure(&key);
		make_mark(&key);
		/* A file system that gave up says EROFS or worse; for the data it is all the same. */
		if (code != -ENOSPC && code != -EDQUOT)
			return comap__fail(COMAP_CAUSE_IO, "flushing %s: %s", comap__map_name(map), strerror(-code));
	}
	/* Stores that the guard kept from killing the process while the disk was busy are lost too. */
	return code ? comap__fail_errno(code, "flushing %s", comap__map_name(map)) : comap_map_status(map);
}

int comap_map_flush_forget(struct comap_map *map)
{
	struct comap__file_key key;
	struct failure *entry;
	char path[120];
	int code;

	if (!map || map->fd < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping of a file");
	code = comap__file_key(map->fd, &key);
	if (code)
		return comap__fail_errno(code, "looking at %s", comap__map_name(map));
	while ((entry = find_failure(&key)))
		/* Relaxed: see find_failure(). */
		comap_u32_store_relaxed(&entry->forgotten, 1);
	mark_path(&key, path);
	if (unlink(path) != 0 && errno != ENOENT)
		return comap__fail_errno(errno, "removing the mark %s", path);
	return 0;
}
