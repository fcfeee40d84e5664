/* SPDX-License-Identifier: MIT */
/* A seam for tests: every handle of the process has the same mapping of a file. See one_view.h.
 *
 * Where it lives: process memory: a list of mappings by device and inode, counted
 * Writers:    under `lock` */
#include "one_view.h"

#include "file.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct shared_view {
	struct shared_view *next;
	dev_t device;
	ino_t inode;
	void *base;
	size_t size_bytes;
	unsigned references;
};

bool comap__one_view;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared_view *views;

static struct shared_view **find(const struct comap *region)
{
	struct shared_view **at = &views;

	while (*at && ((*at)->device != region->device || (*at)->inode != region->inode))
		at = &(*at)->next;
	return at;
}

static int map_whole(struct shared_view *view, int fd)
{
	int writable_fd, code = comap__vm_reserve(view->size_bytes, COMAP_HEAP_ALIGN_BYTES, &view->base);

	if (code)
		return code;
	code = comap__file_reopen(fd, O_RDWR | O_NONBLOCK, &writable_fd);
	if (!code) {
		code = comap__vm_place(view->base, view->size_bytes, writable_fd, 0, PROT_READ | PROT_WRITE);
		close(writable_fd);
	}
	if (code)
		comap__vm_unmap(view->base, view->size_bytes);
	return code;
}

static int add(const struct comap *region, int fd)
{
	struct shared_view *view = calloc(1, sizeof *view);
	int code;

	if (!view)
		return -ENOMEM;
	view->device = region->device;
	view->inode = region->inode;
	view->size_bytes = region->total_bytes;
	code = map_whole(view, fd);
	if (code) {
		free(view);
		return code;
	}
	view->next = views;
	views = view;
	return 0;
}

int comap__one_view_take(struct comap *region, int fd)
{
	struct shared_view *view;
	int code = 0;

	pthread_mutex_lock(&lock);
	if (!*find(region))
		code = add(region, fd);
	if (!code) {
		view = *find(region);
		view->references++;
		region->view = view->base;
	}
	pthread_mutex_unlock(&lock);
	return code;
}

void comap__one_view_give(struct comap *region)
{
	struct shared_view **at, *view;

	pthread_mutex_lock(&lock);
	at = find(region);
	view = *at;
	if (view && --view->references == 0) {
		*at = view->next;
		comap__vm_unmap(view->base, view->size_bytes);
		free(view);
	}
	pthread_mutex_unlock(&lock);
}
