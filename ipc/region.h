/* SPDX-License-Identifier: MIT */
/* The process's side of a region: views, the attachment, and how a ref becomes an address. */
#ifndef COMAP_IPC_REGION_H
#define COMAP_IPC_REGION_H

#include <comap/region.h>
#include <comap/rcu.h>

#include "error.h"
#include "guard.h"
#include "layout.h"

#include <pthread.h>
#include <sys/types.h>

_Static_assert(offsetof(struct comap_thread_shm, park) ==
               offsetof(struct comap_thread_shm, mark) + COMAP__PARK_WORD * sizeof(uint64_t) &&
               COMAP_PARK_PARKED == COMAP__PARK_PARKED && COMAP_PARK_OUSTED == COMAP__PARK_OUSTED,
               "the inline functions of rcu.h find the park word from the mark");
_Static_assert(sizeof(struct comap__row) == COMAP__ROW_BYTES, "rows are found by the handle's address");

/* What is true of this process only: in memory that a forked child finds zeroed. */
struct comap__attachment {
	struct comap_u32 attached;    /* W: attach, close. R: slow paths. 0 in a forked child */
	uint32_t seat;
	uint64_t seat_token;
	uint32_t fenced;              /* this process's readers fence themselves */
	uint32_t can_synchronize;     /* it may complete grace periods in this region */
	void *sentinel;               /* the page whose mapping is the life lock */
};

struct comap {
	void *allocation;             /* what free() wants; the handle itself lies in it where its row says */
	uint32_t row;                 /* number of its row; see comap__row() */
	uint32_t flags;               /* enum comap_flags, of the first open */
	uint64_t wait_deadline_ns;    /* for objects to appear, with COMAP_WAIT */

	/* The whole file read-only, from a description that cannot write; and the same again
	 * writable: control to cells at once, pages and heap by the first writer. Guests: view only. */
	const char *view;
	char *writable;
	size_t total_bytes;
	struct comap_u32 heap_writable;
	bool one_view;                /* tests: both are one mapping, as TSan needs it */

	/* SIGBUS in the views becomes a status: somebody has cut the file off. NULL: the guard is off. */
	struct comap__guard_entry *view_guard, *writable_guard;

	const struct comap_identity_shm *identity; /* this process's copy, checked at the open */
	struct comap_identity_shm identity_copy;
	struct comap_control_shm *control;
	struct comap_object_shm *objects;
	struct comap_seat_shm *seats;
	struct comap_thread_shm *threads;
	struct comap_ring_shm *rings;

	struct comap__attachment *attachment;

	int fd;                       /* to allocate space and to probe locks; never locked itself */
	dev_t device;
	ino_t inode;
	char *path;
	char *seat_name;
	struct comap__host *host;     /* host.c: NULL unless built on liburcu */
	const struct rcu_flavor_struct *host_flavor;
	struct comap_u32 closing;
	struct comap_u64 drain_ticket; /* of the grace period that retired blocks wait for; 0: none */
	struct comap__entry *entry;   /* registry.c: its place in the process's table */
};

/* Maps and checks an existing region, or makes it; attaches. registry.c calls it once per region
 * and process. */
int comap__region_open(const char *path, const struct comap_options *options, struct comap **ret);
void comap__region_close(struct comap *region);

/* Attaches a process that has the handle without a seat (a forked child), and starts the helper of a
 * liburcu host where one is named and none runs. Nothing where all that is done. */
int comap__region_join(struct comap *region, const struct rcu_flavor_struct *host_flavor);

/* What the process's threads take turns in is at rest while it forks: the child gets no lock that a
 * thread holds which it does not have. The registry's handlers call these. */
void comap__regions_before_fork(void);
void comap__regions_after_fork(void);

/* The read-only address of [ref, ref + size), or NULL where that is not wholly inside committed
 * cells or heap or not aligned. Bytes from a file are never trusted to be references. */
const void *comap__at(const struct comap *region, struct comap_ref ref, size_t size_bytes,
                      size_t align_bytes);

/* The writable twin of an address that comap__at() gave. The heap must be writable already. */
void *comap__writable(const struct comap *region, const void *address);

/* Maps the heap and its page descriptors writable, once. */
int comap__heap_make_writable(struct comap *region);

/* The descriptor, checked: closefrom() in the host may have taken it, and another file its number. */
int comap__region_fd(struct comap *region, int *ret_fd);

/* 0, or -ESTALE, -ENOSPC, -EIO once a page of the views could not be had: what was read may have been
 * zeros, what was stored is lost. */
int comap__region_status(struct comap *region);

/* The same, and -ESTALE where the name is another region's by now: nobody should wait for this one. */
int comap__region_awaited(struct comap *region);

/* 0, or why a call that needs a seat cannot go on: NULL, guest, forked child, closing,
 * cut off. */
int comap__attached(struct comap *region);

/* More space for a part: [offset, offset + size) of the file. Repeatable. */
int comap__region_allocate(struct comap *region, uint64_t offset_bytes, uint64_t size_bytes);

/* The descriptors of the heap's pages: writable once the heap is. */
static inline struct comap_page_shm *comap__pages(const struct comap *region)
{
	/* [edge heap.writable] acq */
	const char *base = comap_u32_load_acquire(&region->heap_writable) ? region->writable
	                                                                  : region->view;

	return (struct comap_page_shm *)(uintptr_t)(base + region->identity->pages_offset_bytes);
}

/* How many seats, records and directory entries have space; never more than the identity says, though
 * the marks are words of a file. */
static inline uint32_t comap__seats_used(const struct comap *region)
{
	/* [edge seat.high_water] acq: seen a mark => the seats below it have space */
	uint32_t mark = comap_u32_load_acquire(&region->control->seat_high_water);

	return mark < region->identity->seat_count ? mark : region->identity->seat_count;
}

static inline uint32_t comap__threads_used(const struct comap *region)
{
	/* [edge thread.high_water] acq: seen a mark => the records below it have space; loaded after a
	 * synchronizer's barrier, records above it have only sections that begin after it */
	uint32_t mark = comap_u32_load_acquire(&region->control->thread_high_water);

	return mark < region->identity->thread_count ? mark : region->identity->thread_count;
}

static inline uint32_t comap__objects_used(const struct comap *region)
{
	/* [edge directory.high_water] acq: seen a mark => the entries below it have space */
	uint32_t mark = comap_u32_load_acquire(&region->control->object_high_water);

	return mark < region->identity->object_count ? mark : region->identity->object_count;
}

static inline bool comap__is_guest(const struct comap *region)
{
	/* relaxed: this bit is set before anybody has the handle; others appear beside it */
	return (__atomic_load_n(&region->flags, __ATOMIC_RELAXED) & COMAP_GUEST) != 0;
}

#endif
