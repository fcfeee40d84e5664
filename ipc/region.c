/* SPDX-License-Identifier: MIT */
/* Regions: find or make the file, check it, map it, attach.
 *
 * Where it lives: the process's views of the file:
 *
 *     view       [identity | control ... cells | pages | heap            ...]   read-only, whole
 *     writable   [  none   | control ... cells | pages | heap (lazily)   ...]   at the same offsets
 *
 * Both are reserved to the region's maximum, so that growth moves nothing: the file grows beneath.
 * The identity is writable nowhere. The view comes from a description that was opened for reading,
 * so that mprotect() cannot turn it.
 *
 * Invariants: I1 no address below a part's high-water mark is without space in the file
 *             I2 `fd` is verified before each use: the host may have closed it
 * Ordering:   [edge region.committed]
 * If a process dies here: nothing in the file depends on a half-made view */
#include "region.h"

#include "create.h"
#include "fault.h"
#include "file.h"
#include "host.h"
#include "identity.h"
#include "name.h"
#include "one_view.h"
#include "seat.h"
#include "thread.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Attaching after fork(), and making views writable, which attaching may do: rare, so one of each for
 * all regions. Taken in this order, after the registry's lock and before the threads'. */
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;

void comap__regions_before_fork(void)
{
	pthread_mutex_lock(&joining);
	pthread_mutex_lock(&slow);
	comap__threads_before_fork();
}

void comap__regions_after_fork(void)
{
	comap__threads_after_fork();
	pthread_mutex_unlock(&slow);
	pthread_mutex_unlock(&joining);
}

/* --- addresses --- */

static bool inside(uint64_t offset, uint64_t size, uint64_t begin, uint64_t length)
{
	return offset >= begin && size <= length && offset - begin <= length - size;
}

const void *comap__at(const struct comap *region, struct comap_ref ref, size_t size_bytes,
                      size_t align_bytes)
{
	const struct comap_identity_shm *identity = region->identity;
	/* [edge region.committed] acq: seen so many bytes committed => they have space in the file.
	 * The cell mark likewise. */
	uint64_t heap_bytes = comap_u64_load_acquire(&region->control->heap_committed_bytes);
	uint64_t cell_bytes = (uint64_t)comap_u32_load_acquire(&region->control->cell_high_water) *
	                      COMAP_CELL_BYTES;

	/* The marks are words of a file, too. */
	if (heap_bytes > identity->heap_max_bytes)
		heap_bytes = identity->heap_max_bytes;
	if (cell_bytes > identity->cells_max_bytes)
		cell_bytes = identity->cells_max_bytes;
	if (ref.offset_bytes & (align_bytes - 1))
		return NULL;
	if (!inside(ref.offset_bytes, size_bytes, identity->heap_offset_bytes, heap_bytes) &&
	    !inside(ref.offset_bytes, size_bytes, identity->cells_offset_bytes, cell_bytes))
		return NULL;
	return region->view + ref.offset_bytes;
}

void *comap__writable(const struct comap *region, const void *address)
{
	return region->writable + ((const char *)address - region->view);
}

/* --- the descriptor --- */

static bool is_our_file(const struct comap *region, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == region->device &&
	       st.st_ino == region->inode;
}

int comap__region_fd(struct comap *region, int *ret_fd)
{
	int fd = __atomic_load_n(&region->fd, __ATOMIC_RELAXED); /* verified right below */

	if (!is_our_file(region, fd)) {
		/* The host closed it, and the number may be another file's by now: leave that alone. */
		fd = open(region->path, (comap__is_guest(region) ? O_RDONLY : O_RDWR) | O_CLOEXEC |
		          O_NONBLOCK | O_NOCTTY);
		if (!is_our_file(region, fd)) {
			if (fd >= 0)
				close(fd);
			return comap__fail(COMAP_CAUSE_REPLACED, "the descriptor of %s was closed by the "
			                   "program, and its name leads elsewhere now", region->path);
		}
		__atomic_store_n(&region->fd, fd, __ATOMIC_RELAXED);
	}
	*ret_fd = fd;
	return 0;
}

static int check_committed(struct comap *region, int fd, enum comap_cause cause)
{
	/* [edge region.committed] acq: as in comap__at(). Before the length is asked for: the file may
	 * be growing. */
	uint64_t committed = comap_u64_load_acquire(&region->control->heap_committed_bytes);
	struct stat st;

	if (committed > region->identity->heap_max_bytes)
		return comap__fail(COMAP_CAUSE_CORRUPT, "%s: says that %llu bytes of heap are in use, of at "
		                   "most %llu", region->path, (unsigned long long)committed,
		                   (unsigned long long)region->identity->heap_max_bytes);
	if (fstat(fd, &st) != 0)
		return comap__fail_errno(errno, "%s", region->path);
	if ((uint64_t)st.st_size < region->identity->heap_offset_bytes + committed)
		return comap__fail(cause, "%s: %lld bytes, %llu are in use: the file was cut off",
		                   region->path, (long long)st.st_size,
		                   (unsigned long long)(region->identity->heap_offset_bytes + committed));
	return 0;
}

int comap__region_allocate(struct comap *region, uint64_t offset_bytes, uint64_t size_bytes)
{
	int fd = -1, code = comap__region_fd(region, &fd);

	if (!code)
		code = check_committed(region, fd, COMAP_CAUSE_TRUNCATED); /* growth would hide it */
	if (code)
		return code;
	code = comap__file_allocate(fd, offset_bytes, size_bytes);
	return code ? comap__fail_errno(code, "no room for %llu more bytes in %s",
	                                (unsigned long long)size_bytes, region->path) : 0;
}

/* --- views --- */

static int guard_view(struct comap *region, char *base, uint64_t begin, int protection,
                      struct comap__guard_entry **ret_guard)
{
	struct comap__guard_range range = {
		.base = base + begin, .size_bytes = region->total_bytes - begin, .file_offset_bytes = begin,
		.fd = region->fd, .protection = protection, .page_bytes = comap__vm_page_bytes(),
	};
	int code = comap__guard_add(&range, ret_guard);

	return code ? comap__fail_errno(code, "guarding %s", region->path) : 0;
}

int comap__region_status(struct comap *region)
{
	struct comap__guard_entry *bad = comap__guard_is_bad(region->view_guard) ? region->view_guard :
	                                 comap__guard_is_bad(region->writable_guard)
	                                         ? region->writable_guard : NULL;
	struct comap__guard_fault fault;
	int fd;

	if (COMAP_LIKELY(!bad))
		return 0;
	fault = comap__guard_first_fault(bad);
	if (comap__region_fd(region, &fd) == 0)
		fault.fd = fd; /* the host may have closed the one of the open */
	return comap__guard_explain(&fault, region->path);
}

int comap__region_awaited(struct comap *region)
{
	int code = comap__region_status(region);

	if (code)
		return code;
	/* relaxed: a flag of its own; seen within the next sleep */
	return comap_u64_load_relaxed(&region->control->superseded)
		? comap__fail(COMAP_CAUSE_SUPERSEDED, "%s was unlinked: open it again for the one that has its "
		              "name now", region->path)
		: 0;
}

/* The seam of one_view.h. */
static int place_one_view(struct comap *region, int fd)
{
	int code = comap__one_view_take(region, fd);

	if (code)
		return comap__fail_errno(code, "cannot map %s", region->path);
	region->one_view = true;
	return 0;
}

static int place_view(struct comap *region, int fd)
{
	void *base;
	int read_only_fd;
	int code = comap__vm_reserve(region->total_bytes, COMAP_HEAP_ALIGN_BYTES, &base);

	if (code)
		return comap__fail_errno(code, "no address space for the %zu bytes that %s may grow to: "
		                         "create it with a smaller maximum", region->total_bytes, region->path);
	region->view = base;
	code = comap__file_reopen(fd, O_RDONLY | O_NONBLOCK, &read_only_fd);
	if (code)
		return comap__fail_errno(code, "cannot open %s again for reading", region->path);
	code = comap__vm_place(base, region->total_bytes, read_only_fd, 0, PROT_READ);
	close(read_only_fd);
	if (code)
		return comap__fail_errno(code, "cannot map %s", region->path);
	return guard_view(region, base, 0, PROT_READ, &region->view_guard);
}

static int place_writable(struct comap *region, int fd)
{
	uint64_t begin = COMAP_IDENTITY_BYTES;
	uint64_t end = region->identity->pages_offset_bytes;
	void *base;
	int code;

	if (region->one_view) {
		region->writable = (char *)(uintptr_t)region->view;
		comap_u32_store_relaxed(&region->heap_writable, 1); /* relaxed: nobody has the handle yet */
		return 0;
	}
	code = comap__vm_reserve(region->total_bytes, COMAP_HEAP_ALIGN_BYTES, &base);
	if (code)
		return comap__fail_errno(code, "no address space for the %zu bytes that %s may grow to: "
		                         "create it with a smaller maximum", region->total_bytes, region->path);
	region->writable = base;
	code = comap__vm_place(region->writable + begin, end - begin, fd, begin, PROT_READ | PROT_WRITE);
	if (code)
		return comap__fail_errno(code, "cannot map %s for writing", region->path);
	return guard_view(region, base, begin, PROT_READ | PROT_WRITE, &region->writable_guard);
}

int comap__heap_make_writable(struct comap *region)
{
	uint64_t begin = region->identity->pages_offset_bytes;
	int fd, code = 0;

	/* [edge heap.writable] acq: seen set => the mapping is there */
	if (COMAP_LIKELY(comap_u32_load_acquire(&region->heap_writable)))
		return 0;
	pthread_mutex_lock(&slow);
	if (!comap_u32_load_relaxed(&region->heap_writable)) { /* relaxed: under the lock */
		code = comap__region_fd(region, &fd);
		if (!code)
			code = comap__vm_place(region->writable + begin, region->total_bytes - begin, fd,
			                       begin, PROT_READ | PROT_WRITE);
		if (!code)
			/* [edge heap.writable] rel: the mapping before the word */
			comap_u32_store_release(&region->heap_writable, 1);
		else
			comap__fail_errno(code, "cannot map the heap of %s for writing", region->path);
	}
	pthread_mutex_unlock(&slow);
	return code;
}

/* Guests read the parts in the view; seats need them writable. */
static void point_at_parts(struct comap *region)
{
	const struct comap_identity_shm *identity = region->identity;
	char *base = region->writable ? region->writable : (char *)(uintptr_t)region->view;

	region->control = (void *)(base + COMAP_IDENTITY_BYTES);
	region->objects = (void *)(base + identity->objects_offset_bytes);
	region->seats = (void *)(base + identity->seats_offset_bytes);
	region->threads = (void *)(base + identity->threads_offset_bytes);
	region->rings = (void *)(base + identity->rings_offset_bytes);
}

static int map_region(struct comap *region, int fd, const struct comap_identity_shm *identity)
{
	int code;

	region->total_bytes = identity->heap_offset_bytes + identity->heap_max_bytes;
	code = COMAP_UNLIKELY(comap__one_view) ? place_one_view(region, fd) : place_view(region, fd);
	if (code)
		return code;
	region->identity_copy = *identity;
	region->identity = &region->identity_copy;
	if (memcmp(region->view, identity, sizeof *identity) != 0)
		return comap__fail(COMAP_CAUSE_REPLACED, "%s changed while it was opened", region->path);
	if (!comap__is_guest(region))
		code = place_writable(region, fd);
	if (!code)
		point_at_parts(region);
	return code;
}

/* --- state of the file --- */

/* A copy, or a file from before a restart: the locks of whoever had it mean nothing here. Clean, it
 * may be used and is ours from now on; unclean, its bytes may be torn. */
static int check_home(struct comap *region, const struct stat *st)
{
	struct comap_control_shm *control = region->control;
	uint8_t boot_id[16];
	bool clean, at_home;

	/* [edge region.attach] acq: not clean => seen where it was at home when somebody attached. The other
	 * way round, who attaches in between would make it a copy of a region in use. */
	clean = comap_u64_load_acquire(&control->attach) & 1;
	COMAP_FAULT("home.looked");
	/* relaxed: these words change only here, and whoever changes them writes the same */
	at_home = comap_u64_load_relaxed(&control->home_device) == st->st_dev &&
	          comap_u64_load_relaxed(&control->home_inode) == st->st_ino;
	comap__boot_id(boot_id);
	if (at_home && memcmp(control->boot_id, boot_id, sizeof boot_id) == 0)
		return 0;
	if (!clean && !at_home)
		return comap__fail(COMAP_CAUSE_COPY, "%s is a copy of a region that was in use: make copies "
		                   "when nobody is attached", region->path);
	if (!clean)
		return comap__fail(COMAP_CAUSE_REBOOTED, "%s was in use when the machine went down: its bytes "
		                   "may be torn; unlink it and create it anew", region->path);
	if (comap__is_guest(region))
		return 0;
	/* relaxed: as above */
	comap_u64_store_relaxed(&control->home_device, st->st_dev);
	comap_u64_store_relaxed(&control->home_inode, st->st_ino);
	memcpy(control->boot_id, boot_id, sizeof boot_id);
	return 0;
}

int comap__attached(struct comap *region)
{
	if (!region)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the region handle is NULL");
	if (comap__is_guest(region))
		return comap__fail(COMAP_CAUSE_DETACHED, "%s was opened as a guest, which may only look",
		                   region->path);
	/* relaxed: set before this process's threads got the handle, or by close, which waits for them */
	if (comap_u32_load_relaxed(&region->closing))
		return comap__fail(COMAP_CAUSE_CLOSING, "%s is being closed", region->path);
	if (!comap_u32_load_relaxed(&region->attachment->attached))
		return comap__fail(COMAP_CAUSE_FORKED, "this process was forked from one that is attached to "
		                   "%s: call comap_attach() first", region->path);
	return comap__region_status(region);
}

int comap_status(struct comap *region)
{
	return region ? comap__region_status(region)
	              : comap__fail(COMAP_CAUSE_ARGUMENT, "the region handle is NULL");
}

/* --- open and close --- */

static void destroy(struct comap *region)
{
	if (!region)
		return;
	comap__guard_remove(region->view_guard);
	comap__guard_remove(region->writable_guard);
	if (region->one_view)
		comap__one_view_give(region);
	else if (region->view)
		comap__vm_unmap((void *)(uintptr_t)region->view, region->total_bytes);
	if (region->writable && !region->one_view)
		comap__vm_unmap(region->writable, region->total_bytes);
	if (region->attachment)
		comap__vm_unmap(region->attachment, comap__vm_page_bytes());
	comap__row_number_give(region->row);
	if (is_our_file(region, region->fd))
		close(region->fd);
	free(region->path);
	free(region->seat_name);
	free(region->allocation);
}

/* A handle, zeroed, at an address that says its row. */
static struct comap *allocate_handle(void)
{
	const size_t rows_bytes = COMAP__ROW_COUNT * COMAP__ROW_BYTES;
	struct comap *region;
	void *allocation;
	uint32_t row;

	if (comap__row_number_take(&row) != 0)
		return NULL;
	if (posix_memalign(&allocation, rows_bytes, rows_bytes + sizeof *region) != 0) {
		comap__row_number_give(row);
		comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for the handle of a region");
		return NULL;
	}
	region = (struct comap *)(void *)((char *)allocation + row * COMAP__ROW_BYTES);
	memset(region, 0, sizeof *region);
	region->allocation = allocation;
	region->row = row;
	return region;
}

static struct comap *construct(const char *path, const struct comap_options *options)
{
	struct comap *region = allocate_handle();
	void *page;

	if (!region)
		return NULL;
	region->fd = -1;
	region->flags = options->flags;
	region->host_flavor = options->host_flavor;
	region->wait_deadline_ns = options->deadline_ns ? options->deadline_ns : COMAP_FOREVER;
	region->path = strdup(path);
	region->seat_name = strdup(options->seat_name ? options->seat_name
	                                              : program_invocation_short_name);
	if (comap__vm_wiped_on_fork(comap__vm_page_bytes(), &page) == 0)
		region->attachment = page;
	if (region->path && region->seat_name && region->attachment)
		return region;
	comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for the handle of %s", path);
	destroy(region);
	return NULL;
}

static int read_identity(int fd, struct comap_identity_shm *identity, const struct stat *st,
                         bool guest, const char *path)
{
	ssize_t length = pread(fd, identity, sizeof *identity, 0);

	if (length < 0)
		return comap__fail_errno(errno, "cannot read %s", path);
	if (length < (ssize_t)sizeof *identity)
		return length >= (ssize_t)sizeof identity->magic &&
		       memcmp(identity->magic, COMAP_MAGIC, sizeof identity->magic) == 0
			? comap__fail(COMAP_CAUSE_SHORT, "%s: only %zd bytes: the file was cut off", path, length)
			: comap__fail(COMAP_CAUSE_MAGIC, "%s: not a comap region: %zd bytes that do not begin "
			              "with comap's magic", path, length);
	return comap__identity_check(identity, st, guest, path);
}

static int attach(struct comap *region)
{
	int code = comap__seat_take(region);

	if (code || !region->host_flavor)
		return code;
	code = comap__host_start(region, region->host_flavor);
	if (code)
		comap__seat_leave(region);
	return code;
}

static int open_existing(const char *path, const struct comap_options *options, struct comap **ret)
{
	bool guest = options->flags & COMAP_GUEST;
	int64_t owner_uid = guest && options->owner_uid == 0 ? COMAP_OWNER_ANY : options->owner_uid;
	struct comap_identity_shm identity;
	struct comap *region;
	struct stat st;
	int fd, code;

	code = comap__name_open(path, guest, owner_uid, &fd, &st);
	if (code)
		return code;
	code = read_identity(fd, &identity, &st, guest, path);
	region = code ? NULL : construct(path, options);
	if (!region) {
		close(fd);
		return code ? code : -comap_last_error()->code;
	}
	region->fd = fd;
	region->device = st.st_dev;
	region->inode = st.st_ino;
	code = map_region(region, fd, &identity);
	if (!code)
		code = check_committed(region, fd, COMAP_CAUSE_SHORT);
	if (!code)
		code = check_home(region, &st);
	if (!code && !guest)
		code = attach(region);
	if (code)
		destroy(region);
	else
		*ret = region;
	return code;
}

int comap__region_open(const char *path, const struct comap_options *options, struct comap **ret)
{
	int code;

	if (options->flags & COMAP_EXCLUSIVE) {
		code = comap__region_create(path, options);
		return code ? code : open_existing(path, options, ret);
	}
	do {
		code = open_existing(path, options, ret);
		if (code != -ENOENT || !(options->flags & COMAP_CREATE))
			return code;
		code = comap__region_create(path, options);
	} while (code == 0 || code == -EEXIST); /* and again: somebody may have unlinked it by now */
	return code;
}

void comap__region_close(struct comap *region)
{
	if (region && !comap__is_guest(region)) {
		comap__host_stop(region);
		comap__rows_release(region);
		comap__seat_leave(region);
	}
	destroy(region);
}

int comap__region_join(struct comap *region, const struct rcu_flavor_struct *host_flavor)
{
	int code = 0;

	pthread_mutex_lock(&joining);
	if (host_flavor)
		region->host_flavor = host_flavor;
	if (!comap_u32_load_relaxed(&region->attachment->attached)) { /* relaxed: under the lock */
		comap__host_stop(region); /* the parent's, of which the child has only the memory */
		code = attach(region);
	} else if (region->host_flavor && !region->host) {
		code = comap__host_start(region, region->host_flavor);
	}
	pthread_mutex_unlock(&joining);
	return code;
}

int comap_attach(struct comap *region)
{
	if (!region)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the region handle is NULL");
	return comap__is_guest(region) ? comap__attached(region) : comap__region_join(region, NULL);
}

int comap_unlink(const char *name)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	char path[COMAP_PATH_BYTES];
	struct comap *region;
	struct timespec now;
	int code = comap__name_resolve(name, false, path);

	if (code)
		return code;
	if (access(path, F_OK) != 0)
		return comap__fail_errno(errno, "cannot unlink %s", path);
	/* Those who have it are told, where it is a region and we may write to it. */
	if (open_existing(path, &options, &region) == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		/* relaxed: a flag of its own; waiters look again within their next sleep */
		comap_u64_store_relaxed(&region->control->superseded,
		                        (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
		comap__region_close(region);
	}
	if (unlink(path) != 0)
		return comap__fail_errno(errno, "cannot unlink %s", path);
	return 0;
}
