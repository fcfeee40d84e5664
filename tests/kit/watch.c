/* SPDX-License-Identifier: MIT */
/* A file under watch. It is mapped; of every page that holds data a copy and a hash are kept. A look
 * compares the pages with their copies, so that an image costs what changed. See watch.h. */
#include "watch.h"

#include "layout.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PAGE_BYTES 4096u
#define SEEN_SLOTS (1u << 20)

struct page {
	uint64_t offset_bytes;
	uint64_t hash;                  /* 0 while it is all zeros */
	uint8_t bytes[PAGE_BYTES];
};

struct watch {
	char *path;
	int fd;                         /* -1: it does not exist yet */
	const uint8_t *map;
	uint64_t size_bytes;
	struct page **pages;            /* by offset */
	size_t page_count, page_room;
	uint64_t hash;                  /* of all pages and the size */
	uint64_t *seen;                 /* hash table of images; 0: free */
	size_t seen_count;
	dev_t device;
	ino_t inode;
};

struct watch *watch_open(const char *path)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	watch->fd = -1;
	watch->path = strdup(path);
	watch->seen = calloc(SEEN_SLOTS, sizeof *watch->seen);
	if (!watch->path || !watch->seen) {
		watch_close(watch);
		return NULL;
	}
	return watch;
}

static void drop_file(struct watch *watch)
{
	if (watch->map)
		(void)comap__vm_unmap((void *)(uintptr_t)watch->map, watch->size_bytes);
	if (watch->fd >= 0)
		close(watch->fd);
	for (size_t i = 0; i < watch->page_count; i++)
		free(watch->pages[i]);
	watch->page_count = 0;
	watch->map = NULL;
	watch->fd = -1;
	watch->size_bytes = 0;
	watch->hash = 0;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	drop_file(watch);
	free(watch->pages);
	free(watch->path);
	free(watch->seen);
	free(watch);
}

/* The file as it is now by that name: opened, and mapped in its whole length. */
static int follow_file(struct watch *watch)
{
	struct stat is;
	void *at;

	if (watch->fd >= 0 && fstat(watch->fd, &is) == 0 && is.st_nlink > 0 &&
	    (uint64_t)is.st_size == watch->size_bytes)
		return 0;
	drop_file(watch);
	watch->fd = open(watch->path, O_RDONLY | O_CLOEXEC);
	if (watch->fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(watch->fd, &is) != 0)
		return -1;
	watch->size_bytes = (uint64_t)is.st_size;
	watch->device = is.st_dev;
	watch->inode = is.st_ino;
	watch->hash = watch->size_bytes + 1;
	if (watch->size_bytes == 0)
		return 0;
	if (comap__vm_map(watch->size_bytes, PROT_READ, MAP_SHARED, watch->fd, 0, &at) != 0)
		return -1;
	watch->map = at;
	return 0;
}

static int add_page(struct watch *watch, size_t index, uint64_t offset_bytes)
{
	struct page *page;

	if (watch->page_count == watch->page_room) {
		size_t room = watch->page_room ? 2 * watch->page_room : 64;
		struct page **more = realloc(watch->pages, room * sizeof *more);

		if (!more)
			return -1;
		watch->pages = more;
		watch->page_room = room;
	}
	page = calloc(1, sizeof *page);
	if (!page)
		return -1;
	page->offset_bytes = offset_bytes;
	memmove(watch->pages + index + 1, watch->pages + index,
	        (watch->page_count - index) * sizeof *watch->pages);
	watch->pages[index] = page;
	watch->page_count++;
	return 0;
}

/* Every page that holds data is in the list; pages never leave it. */
static int find_pages(struct watch *watch)
{
	off_t from = 0, to;
	size_t index = 0;

	while ((from = lseek(watch->fd, from, SEEK_DATA)) >= 0) {
		to = lseek(watch->fd, from, SEEK_HOLE);
		for (from -= from % PAGE_BYTES; from < to; from += PAGE_BYTES, index++) {
			while (index < watch->page_count &&
			       watch->pages[index]->offset_bytes < (uint64_t)from)
				index++;
			if (index < watch->page_count &&
			    watch->pages[index]->offset_bytes == (uint64_t)from)
				continue;
			if (add_page(watch, index, (uint64_t)from) != 0)
				return -1;
		}
	}
	return errno == ENXIO ? 0 : -1;
}

static bool all_zero(const uint8_t *bytes)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

static bool compare_pages(struct watch *watch)
{
	bool changed = false;

	for (size_t i = 0; i < watch->page_count; i++) {
		struct page *page = watch->pages[i];
		const uint8_t *now = watch->map + page->offset_bytes;

		if (memcmp(page->bytes, now, PAGE_BYTES) == 0)
			continue;
		memcpy(page->bytes, now, PAGE_BYTES);
		watch->hash -= page->hash;
		page->hash = all_zero(page->bytes)
			? 0 : XXH64(page->bytes, PAGE_BYTES, page->offset_bytes);
		watch->hash += page->hash;
		changed = true;
	}
	return changed;
}

/* Notes the image; true when it is new. */
static bool note(struct watch *watch)
{
	uint64_t key = watch->hash + 1 ? watch->hash + 1 : 1;
	size_t slot = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 44;

	for (; watch->seen[slot]; slot = (slot + 1) % SEEN_SLOTS)
		if (watch->seen[slot] == key)
			return false;
	if (watch->seen_count < SEEN_SLOTS / 2) {
		watch->seen[slot] = key;
		watch->seen_count++;
	}
	return true;
}

enum watch_found watch_look(struct watch *watch)
{
	uint64_t before = watch->hash;

	if (follow_file(watch) != 0 || (watch->map && find_pages(watch) != 0))
		return WATCH_FAILED;
	if (watch->map)
		(void)compare_pages(watch);
	if (watch->hash == before && watch->seen_count > 0)
		return WATCH_SAME;
	return note(watch) ? WATCH_NEW : WATCH_KNOWN;
}

/* The file is the home of the region in it, as its first attacher would have said. */
static int make_home(int fd, dev_t device, ino_t inode)
{
	const off_t at = COMAP_IDENTITY_BYTES + offsetof(struct comap_control_shm, home_device);
	uint64_t home[2];
	struct stat is;

	if (pread(fd, home, sizeof home, at) != sizeof home || fstat(fd, &is) != 0)
		return -1;
	if (home[0] != (uint64_t)device || home[1] != (uint64_t)inode)
		return 0; /* it said something else before; that stays */
	home[0] = (uint64_t)is.st_dev;
	home[1] = (uint64_t)is.st_ino;
	return pwrite(fd, home, sizeof home, at) == sizeof home ? 0 : -1;
}

static int write_pages(struct watch *watch, int fd)
{
	for (size_t i = 0; i < watch->page_count; i++) {
		struct page *page = watch->pages[i];

		if (page->hash == 0)
			continue;
		if (pwrite(fd, page->bytes, PAGE_BYTES, (off_t)page->offset_bytes) != PAGE_BYTES)
			return -1;
	}
	if (ftruncate(fd, (off_t)watch->size_bytes) != 0) /* the last page may be a part of one */
		return -1;
	if (watch->size_bytes < COMAP_IDENTITY_BYTES + sizeof(struct comap_control_shm))
		return 0;
	return make_home(fd, watch->device, watch->inode);
}

int watch_copy(struct watch *watch, const char *to)
{
	int fd, code;

	if (unlink(to) != 0 && errno != ENOENT)
		return -1;
	if (watch->fd < 0)
		return 0;
	fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	code = write_pages(watch, fd);
	close(fd);
	return code;
}
