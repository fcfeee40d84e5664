/* SPDX-License-Identifier: MIT */
/* Mappings: open, look, close. What changes an open mapping is in mapping_change.c.
 *
 * Lives in:   the process's heap and address space
 * Invariants: map.h I1 to I3
 * Writers:    the opener; comap_map_resize(), comap_map_protect() and comap_map_repair(), alone
 * Progress:   blocking (files); accessors wait-free
 * Death:      the kernel unmaps; stores through MAP_SHARED stay in the file
 * Limits:     size < PTRDIFF_MAX; one VMA per mapping */
#include "map.h"

#include "error.h"
#include "file.h"
#include "guard.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#define MAP_HUGE_1GB (30 << 26)
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define LARGE_PAGE_BYTES ((size_t)2 << 20)

static char nothing; /* where the data of an empty mapping is */

const char *comap__map_name(const struct comap_map *map)
{
	if (map->path)
		return map->path;
	return map->fd >= 0 && !map->memory ? "the file given by descriptor" : "anonymous memory";
}

/* ---- options ------------------------------------------------------------------------------- */

/* Takes over what the caller's version of the struct has; refuses what this version would ignore. */
static int read_options(const struct comap_map_options *given, struct comap_map_options *ret_options)
{
	struct comap_map_options known = { 0 };
	const unsigned char *rest = (const unsigned char *)given;

	if (given) {
		if (given->struct_bytes < sizeof given->struct_bytes || given->struct_bytes > 4096)
			return comap__fail(COMAP_CAUSE_ARGUMENT, "options without their struct_bytes");
		for (size_t i = sizeof known; i < given->struct_bytes; i++)
			if (rest[i])
				return comap__fail(COMAP_CAUSE_ARGUMENT,
				                   "an option is newer than this version of the library");
		memcpy(&known, given, given->struct_bytes < sizeof known ? given->struct_bytes : sizeof known);
	}
	known.struct_bytes = sizeof known;
	*ret_options = known;
	return 0;
}

static int check_options(const struct comap_map_options *o, bool file)
{
	unsigned writing = COMAP_MAP_CREATE | COMAP_MAP_EXTEND | COMAP_MAP_ALLOCATE;

	if (o->mode > COMAP_MAP_COPY_READ || o->huge > COMAP_HUGE_1G ||
	    o->populate > COMAP_POPULATE_WRITE)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an unknown mode, page size or population");
	if (o->flags >= COMAP_MAP_STACK << 1)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the unknown map flags 0x%x", o->flags);
	if ((o->flags & writing) && (o->mode != COMAP_MAP_WRITE || !file))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "CREATE, EXTEND and ALLOCATE need a file and MAP_WRITE");
	if ((o->flags & COMAP_MAP_EXCLUSIVE) && !(o->flags & COMAP_MAP_CREATE))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "EXCLUSIVE is for CREATE");
	if ((o->flags & COMAP_MAP_STACK) && (file || o->mode == COMAP_MAP_WRITE || o->huge))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "STACK is for private anonymous memory in small pages");
	if (file && o->huge >= COMAP_HUGE_2M)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "hugetlb pages are for anonymous memory only");
	if (o->maximum_bytes && o->huge >= COMAP_HUGE_2M)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "a hugetlb mapping cannot hold space to grow");
	if (o->maximum_bytes > PTRDIFF_MAX - 4 * LARGE_PAGE_BYTES)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "a maximum of %" PRIu64 " bytes is more than the "
		                   "address space", o->maximum_bytes);
	if (o->populate == COMAP_POPULATE_WRITE &&
	    (o->mode == COMAP_MAP_READ || o->mode == COMAP_MAP_COPY_READ) && file)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "populating for writing needs a writable mapping");
	return 0;
}

/* ---- laying out and mapping ---------------------------------------------------------------- */

static int protection_of(enum comap_map_mode mode, unsigned flags)
{
	int writable = mode == COMAP_MAP_WRITE || mode == COMAP_MAP_COPY ? PROT_WRITE : 0;

	return PROT_READ | writable | (flags & COMAP_MAP_EXECUTE ? PROT_EXEC : 0);
}

static size_t round_up(uint64_t bytes, size_t page_bytes)
{
	return (bytes + page_bytes - 1) & ~(uint64_t)(page_bytes - 1);
}

int comap__map_place(struct comap_map *map, size_t from_bytes, size_t to_bytes)
{
	uint64_t base_offset = map->file_offset_bytes - (uint64_t)(map->data - map->base);

	if (to_bytes <= from_bytes)
		return 0;
	return comap__vm_lay(map->base + from_bytes, to_bytes - from_bytes, map->protection, map->vm_flags,
	                     map->fd, map->fd < 0 ? 0 : base_offset + from_bytes);
}

/* Holds address space for the maximum, such that large pages of the file can be large pages of the
 * mapping: equal remainders of 2 MiB. */
static int reserve(struct comap_map *map, uint64_t base_offset_bytes, size_t room_bytes)
{
	size_t align_bytes = room_bytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : map->page_bytes;
	size_t skip_bytes = base_offset_bytes & (align_bytes - 1);
	int code = comap__vm_reserve(skip_bytes + room_bytes, align_bytes, &map->reserve);

	if (code)
		return code;
	map->reserved_bytes = skip_bytes + room_bytes;
	map->base = (char *)map->reserve + skip_bytes;
	return 0;
}

/* Maps `map->size_bytes` bytes from map->file_offset_bytes on. */
static int map_bytes(struct comap_map *map, const struct comap_map_options *o)
{
	size_t delta = map->file_offset_bytes & (map->page_bytes - 1);
	uint64_t base_offset = map->file_offset_bytes - delta;
	size_t room = round_up(delta + (map->size_bytes > o->maximum_bytes ? map->size_bytes
	                                                                   : o->maximum_bytes),
	                       map->page_bytes);
	bool held = o->maximum_bytes || o->huge == COMAP_HUGE_TRANSPARENT;
	int code = 0;

	map->data = &nothing;
	map->maximum_bytes = o->maximum_bytes;
	if (map->size_bytes == 0 && o->maximum_bytes == 0)
		return 0;
	if (map->size_bytes > PTRDIFF_MAX - 4 * LARGE_PAGE_BYTES)
		return -ENOMEM;
	map->mapped_bytes = round_up(map->size_bytes ? delta + map->size_bytes : 0, map->page_bytes);
	if (held) {
		code = reserve(map, base_offset, room);
		if (code)
			return code;
		map->data = map->base + delta;
		code = comap__map_place(map, 0, map->mapped_bytes);
		if (code == 0 && o->huge && map->mapped_bytes)
			code = comap__vm_advise(map->base, map->mapped_bytes, MADV_HUGEPAGE);
		return code;
	}
	code = comap__vm_map(map->mapped_bytes, map->protection, map->vm_flags, map->fd,
	                     map->fd < 0 ? 0 : base_offset, (void **)&map->base);
	if (code)
		map->mapped_bytes = 0;
	else
		map->data = map->base + delta;
	return code;
}

static int populate(struct comap_map *map, enum comap_populate populate)
{
	if (populate == COMAP_POPULATE_NONE)
		return 0;
	return comap_map_advise(map, 0, COMAP_MAP_REST,
	                        populate == COMAP_POPULATE_READ ? COMAP_ADVICE_POPULATE_READ
	                                                        : COMAP_ADVICE_POPULATE_WRITE);
}

static struct comap_map *new_map(const struct comap_map_options *o)
{
	struct comap_map *map = calloc(1, sizeof *map);

	if (!map)
		return NULL;
	map->fd = -1;
	map->data = &nothing;
	map->page_bytes = comap__vm_page_bytes();
	map->mode = o->mode;
	map->flags = o->flags;
	map->protection = protection_of(o->mode, o->flags);
	map->vm_flags = (o->mode >= COMAP_MAP_COPY ? MAP_PRIVATE : MAP_SHARED) |
	                (o->flags & COMAP_MAP_NORESERVE ? MAP_NORESERVE : 0) |
	                (o->flags & COMAP_MAP_STACK ? MAP_STACK : 0);
	return map;
}

void comap_map_close(struct comap_map *map)
{
	if (!map)
		return;
	comap__guard_remove(map->guard);
	if (map->reserve)
		comap__vm_unmap(map->reserve, map->reserved_bytes);
	else if (map->mapped_bytes)
		comap__vm_unmap(map->base, map->mapped_bytes);
	if (map->fd >= 0)
		close(map->fd);
	free(map->path);
	free(map);
}

/* Maps, guards, populates: the end of every open. Takes `map` over. */
static int finish(struct comap_map *map, const struct comap_map_options *o, struct comap_map **ret_map)
{
	int code = map_bytes(map, o);

	if (code)
		code = comap__fail_errno(code, "mapping %" PRIu64 " bytes of %s", map->size_bytes,
		                         comap__map_name(map));
	else if (comap_map_may_fault(map) && !(o->flags & COMAP_MAP_UNGUARDED))
		code = comap__guard_add_map(map);
	if (code == 0)
		code = populate(map, o->populate);
	if (code) {
		comap_map_close(map);
		return code;
	}
	*ret_map = map;
	return 0;
}

/* ---- files --------------------------------------------------------------------------------- */

/* From the options and the file's size, what is mapped: decides growth and refuses what is not there. */
static int choose_range(struct comap_map *map, const struct comap_map_options *o, uint64_t file_bytes)
{
	uint64_t end_bytes;

	map->file_offset_bytes = o->offset_bytes;
	map->size_bytes = o->size_bytes == COMAP_MAP_EMPTY ? 0 : o->size_bytes;
	if (o->size_bytes == COMAP_MAP_TO_END) {
		if (o->offset_bytes > file_bytes)
			return comap__fail(COMAP_CAUSE_BOUNDS, "the offset %" PRIu64 " is beyond the end of %s, "
			                   "%" PRIu64 " bytes", o->offset_bytes, comap__map_name(map), file_bytes);
		map->size_bytes = file_bytes - o->offset_bytes;
	}
	if (__builtin_add_overflow(o->offset_bytes, map->size_bytes, &end_bytes) || end_bytes > INT64_MAX)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "offset %" PRIu64 " and size %" PRIu64
		                   " are more than a file can hold", o->offset_bytes, map->size_bytes);
	if (end_bytes > file_bytes && !(o->flags & COMAP_MAP_EXTEND))
		return comap__fail(COMAP_CAUSE_BOUNDS, "%s has %" PRIu64 " bytes; %" PRIu64 " at offset %"
		                   PRIu64 " were asked for (MAP_EXTEND would grow it)", comap__map_name(map),
		                   file_bytes, map->size_bytes, o->offset_bytes);
	if (o->maximum_bytes && map->size_bytes > o->maximum_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%" PRIu64 " bytes to map are more than the maximum of %"
		                   PRIu64, map->size_bytes, o->maximum_bytes);
	return 0;
}

static int make_space(struct comap_map *map, const struct comap_map_options *o, uint64_t file_bytes)
{
	uint64_t end_bytes = map->file_offset_bytes + map->size_bytes;
	int code = 0;

	if (end_bytes > file_bytes)
		code = comap__file_allocate(map->fd, file_bytes, end_bytes - file_bytes);
	if (code == 0 && (o->flags & COMAP_MAP_ALLOCATE))
		code = comap__file_own_blocks(map->fd, map->file_offset_bytes, map->size_bytes);
	if (code)
		return comap__fail_errno(code, "allocating the space of %s up to %" PRIu64 " bytes",
		                         comap__map_name(map), end_bytes);
	return 0;
}

static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK);
}

/* Everything after the descriptor, which is taken over. `path` may be NULL. */
static int map_file(int fd, const char *path, const struct comap_map_options *o,
                    struct comap_map **ret_map)
{
	struct comap_map *map = new_map(o);
	struct stat st;
	int code = 0;

	if (!map) {
		close(fd);
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a mapping's handle");
	}
	map->fd = fd;
	if (path && comap__file_absolute(path, &map->path) < 0)
		code = comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a mapping's path");
	else if (fstat(fd, &st) != 0)
		code = comap__fail_errno(errno, "looking at %s", comap__map_name(map));
	else if (!S_ISREG(st.st_mode))
		code = comap__fail(COMAP_CAUSE_NOT_REGULAR, "%s is no regular file", comap__map_name(map));
	else
		code = choose_range(map, o, (uint64_t)st.st_size);
	if (code == 0) {
		map->dev = st.st_dev;
		map->ino = st.st_ino;
		map->sealed = is_sealed(fd);
		code = make_space(map, o, (uint64_t)st.st_size);
	}
	if (code) {
		comap_map_close(map);
		return code;
	}
	return finish(map, o, ret_map);
}

int comap_map_open(const char *path, const struct comap_map_options *options, struct comap_map **ret_map)
{
	struct comap_map_options o;
	int code = read_options(options, &o), flags, fd;

	if (code || (code = check_options(&o, true)))
		return code;
	if (!path || !ret_map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "comap_map_open() without a path or a result");
	flags = (o.mode == COMAP_MAP_WRITE ? O_RDWR : O_RDONLY) |
	        (o.flags & COMAP_MAP_CREATE ? O_CREAT : 0) | (o.flags & COMAP_MAP_EXCLUSIVE ? O_EXCL : 0) |
	        (o.flags & COMAP_MAP_NOFOLLOW ? O_NOFOLLOW : 0);
	/* O_NONBLOCK: a FIFO in the file's place must not hold us up. */
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, o.create_mode ? o.create_mode : 0600);
	if (fd < 0)
		return comap__fail_errno(errno, "opening %s", path);
	return map_file(fd, path, &o, ret_map);
}

/* A description of our own; or, where the path is closed to us, exactly the one that was given. */
static int own_descriptor(int fd, int access, int *ret_fd)
{
	int given = fcntl(fd, F_GETFL), code;

	if (given < 0)
		return comap__fail_errno(errno, "the descriptor %d", fd);
	code = comap__file_reopen(fd, access | O_NONBLOCK, ret_fd);
	if (code == 0)
		return 0;
	if ((given & O_ACCMODE) != access)
		return comap__fail_errno(code, "opening the file of descriptor %d anew for %s", fd,
		                         access == O_RDONLY ? "reading only" : "reading and writing");
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? comap__fail_errno(errno, "duplicating the descriptor %d", fd) : 0;
}

int comap_map_open_fd(int fd, const struct comap_map_options *options, struct comap_map **ret_map)
{
	struct comap_map_options o;
	int code = read_options(options, &o), own;

	if (code || (code = check_options(&o, true)))
		return code;
	if (!ret_map || (o.flags & COMAP_MAP_CREATE))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no result, or CREATE, for a file that is open");
	code = own_descriptor(fd, o.mode == COMAP_MAP_WRITE ? O_RDWR : O_RDONLY, &own);
	return code ? code : map_file(own, NULL, &o, ret_map);
}

/* ---- memory -------------------------------------------------------------------------------- */

static int check_memory_options(const struct comap_map_options *given, struct comap_map_options *ret)
{
	int code = read_options(given, ret);

	if (code || (code = check_options(ret, false)))
		return code;
	if (ret->offset_bytes || ret->size_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "memory without a file has no offset, and its size is "
		                   "an argument of its own");
	return 0;
}

static unsigned memfd_flags(const struct comap_map_options *o)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (o->huge == COMAP_HUGE_2M)
		flags |= MFD_HUGETLB | MAP_HUGE_2MB;
	else if (o->huge == COMAP_HUGE_1G)
		flags |= MFD_HUGETLB | MAP_HUGE_1GB;
	return flags;
}

static size_t huge_page_bytes(enum comap_huge huge)
{
	return huge == COMAP_HUGE_1G ? (size_t)1 << 30 : huge == COMAP_HUGE_2M ? LARGE_PAGE_BYTES
	                                                                      : comap__vm_page_bytes();
}

/* Shared memory is always a file in memory: growing it grows what is shared, which mremap() on
 * MAP_SHARED | MAP_ANONYMOUS does not. */
static int map_memory_file(const char *name, uint64_t size_bytes, const struct comap_map_options *o,
                           struct comap_map **ret_map)
{
	struct comap_map *map = new_map(o);
	int code = 0;

	if (!map)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a mapping's handle");
	map->memory = true;
	map->page_bytes = huge_page_bytes(o->huge);
	map->size_bytes = size_bytes;
	map->fd = memfd_create(name ? name : "comap", memfd_flags(o));
	if (map->fd < 0)
		code = comap__fail_errno(errno, "creating a memory file");
	else if (size_bytes > INT64_MAX - (uint64_t)map->page_bytes)
		code = comap__fail(COMAP_CAUSE_NO_MEMORY, "%" PRIu64 " bytes of memory are too many", size_bytes);
	else if ((code = comap__file_allocate(map->fd, 0, round_up(size_bytes, map->page_bytes))) != 0 ||
	         (code = comap__file_set_size(map->fd, size_bytes, map->page_bytes)) != 0)
		code = comap__fail_errno(code, "allocating %" PRIu64 " bytes of memory", size_bytes);
	if (code) {
		comap_map_close(map);
		return code;
	}
	return finish(map, o, ret_map);
}

int comap_map_open_anonymous(uint64_t size_bytes, const struct comap_map_options *options,
                             struct comap_map **ret_map)
{
	struct comap_map_options o;
	struct comap_map *map;
	int code = check_memory_options(options, &o);

	if (code)
		return code;
	if (!ret_map || o.seals)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no result, or seals, for memory without a file");
	if (o.mode == COMAP_MAP_WRITE)
		return map_memory_file(NULL, size_bytes, &o, ret_map);
	o.mode = COMAP_MAP_COPY;
	map = new_map(&o);
	if (!map)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a mapping's handle");
	map->page_bytes = huge_page_bytes(o.huge);
	map->size_bytes = size_bytes;
	map->vm_flags |= MAP_ANONYMOUS;
	if (o.huge >= COMAP_HUGE_2M)
		map->vm_flags |= MAP_HUGETLB | (o.huge == COMAP_HUGE_2M ? MAP_HUGE_2MB : MAP_HUGE_1GB);
	return finish(map, &o, ret_map);
}

static int seal(struct comap_map *map, unsigned seals)
{
	int bits = (seals & COMAP_SEAL_SHRINK ? F_SEAL_SHRINK : 0) |
	           (seals & COMAP_SEAL_GROW ? F_SEAL_GROW : 0) |
	           (seals & COMAP_SEAL_WRITE_LATER ? F_SEAL_FUTURE_WRITE : 0) |
	           (seals & COMAP_SEAL_SEALS ? F_SEAL_SEAL : 0);

	if (bits && fcntl(map->fd, F_ADD_SEALS, bits) != 0)
		return comap__fail_errno(errno, "sealing a memory file");
	map->sealed = seals & COMAP_SEAL_SHRINK;
	return 0;
}

int comap_map_open_memory(const char *name, uint64_t size_bytes, const struct comap_map_options *options,
                          struct comap_map **ret_map)
{
	struct comap_map_options o;
	struct comap_map *map;
	int code = check_memory_options(options, &o);

	if (code)
		return code;
	if (!ret_map || o.seals >= COMAP_SEAL_SEALS << 1 || (o.flags & COMAP_MAP_STACK))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no result, STACK, or the unknown seals 0x%x", o.seals);
	o.mode = COMAP_MAP_WRITE;
	code = map_memory_file(name, size_bytes, &o, &map);
	if (code)
		return code;
	code = seal(map, o.seals);
	if (code) {
		comap_map_close(map);
		return code;
	}
	*ret_map = map;
	return 0;
}

/* ---- looking ------------------------------------------------------------------------------- */

const void *comap_map_data(const struct comap_map *map)
{
	return map ? map->data : &nothing;
}

static bool is_writable(const struct comap_map *map)
{
	return map && (map->protection & PROT_WRITE);
}

static int fail_read_only(const struct comap_map *map)
{
	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping");
	return comap__fail(COMAP_CAUSE_READ_ONLY, "%s is mapped for reading only", comap__map_name(map));
}

void *comap_map_data_mutable(struct comap_map *map)
{
	if (COMAP_LIKELY(is_writable(map)))
		return map->data;
	fail_read_only(map);
	return NULL;
}

uint64_t comap_map_size_bytes(const struct comap_map *map)
{
	return map ? map->size_bytes : 0;
}

static int fail_at(const struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                   uint64_t align_bytes)
{
	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping");
	if (offset_bytes > map->size_bytes || size_bytes > map->size_bytes - offset_bytes) {
		comap__fail(COMAP_CAUSE_BOUNDS, "%" PRIu64 " bytes at offset %" PRIu64 " are not inside %s, %"
		            PRIu64 " bytes", size_bytes, offset_bytes, comap__map_name(map), map->size_bytes);
		comap__error()->offset_bytes = offset_bytes;
		return -ERANGE;
	}
	return comap__fail(COMAP_CAUSE_ARGUMENT, "offset %" PRIu64 " of %s is not aligned to %" PRIu64
	                   " bytes", offset_bytes, comap__map_name(map), align_bytes);
}

const void *comap_map_at(const struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                         uint64_t align_bytes)
{
	uint64_t mask = align_bytes ? align_bytes - 1 : 0;

	if (COMAP_LIKELY(map && offset_bytes <= map->size_bytes &&
	                 size_bytes <= map->size_bytes - offset_bytes && (mask & align_bytes) == 0 &&
	                 (((uintptr_t)map->data + offset_bytes) & mask) == 0))
		return map->data + offset_bytes;
	fail_at(map, offset_bytes, size_bytes, align_bytes);
	return NULL;
}

void *comap_map_at_mutable(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                           uint64_t align_bytes)
{
	if (COMAP_LIKELY(is_writable(map)))
		return (void *)comap_map_at(map, offset_bytes, size_bytes, align_bytes);
	fail_read_only(map);
	return NULL;
}

int comap_map_descriptor(const struct comap_map *map)
{
	return map ? map->fd : -1;
}

bool comap_map_may_fault(const struct comap_map *map)
{
	return map && map->fd >= 0 && !map->sealed && (map->mapped_bytes || map->maximum_bytes);
}

size_t comap_map_describe(const struct comap_map *map, char *buffer, size_t size_bytes)
{
	static const char *const modes[] = { "read only", "read-write, shared", "private copy",
	                                     "private copy, read only" };
	int length = map ? snprintf(buffer, size_bytes, "%s: %" PRIu64 " bytes at offset %" PRIu64 ", %s%s%s",
	                            comap__map_name(map), map->size_bytes, map->file_offset_bytes,
	                            modes[map->mode], map->sealed ? ", sealed" : "",
	                            map->guard ? ", guarded" : "")
	                 : snprintf(buffer, size_bytes, "no mapping");

	return length > 0 ? (size_t)length : 0;
}
