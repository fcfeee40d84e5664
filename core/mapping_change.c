/* SPDX-License-Identifier: MIT */
/* What is done to an open mapping: advice, protection, locking, discarding, resizing.
 *
 * Lives in:   the process's address space
 * Invariants: map.h I1 to I3 hold after every call, failed ones too
 * Ranges:     checked once, in comap__map_range(); advice, protection and locks round out to whole
 *             pages, what loses data refuses to round
 * Limits:     protection of part of a mapping splits its VMA */
#include "map.h"

#include "error.h"
#include "file.h"
#include "guard.h"
#include "vm.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

int comap__map_range(const struct comap_map *map, uint64_t offset_bytes, uint64_t *size_bytes,
                     const char *what)
{
	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s without a mapping", what);
	if (*size_bytes == COMAP_MAP_REST && offset_bytes <= map->size_bytes)
		*size_bytes = map->size_bytes - offset_bytes;
	if (offset_bytes > map->size_bytes || *size_bytes > map->size_bytes - offset_bytes)
		return comap__fail(COMAP_CAUSE_BOUNDS, "%s of %" PRIu64 " bytes at offset %" PRIu64
		                   " is not inside %s, %" PRIu64 " bytes", what, *size_bytes, offset_bytes,
		                   comap__map_name(map), map->size_bytes);
	return 0;
}

void comap__map_pages(const struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                      void **ret_start, size_t *ret_bytes)
{
	uintptr_t mask = map->page_bytes - 1;
	uintptr_t start = ((uintptr_t)map->data + offset_bytes) & ~mask;
	uintptr_t end = ((uintptr_t)map->data + offset_bytes + size_bytes + mask) & ~mask;

	*ret_start = (void *)start;
	*ret_bytes = size_bytes ? end - start : 0;
}

/* ---- advice -------------------------------------------------------------------------------- */

static const char *advice_name(int advice)
{
	switch (advice) {
#define X(name, number, text) case number: return #name;
	COMAP_ADVICE_MAP(X)
#undef X
	default: return NULL;
	}
}

bool comap_advice_is_supported(enum comap_advice advice)
{
	/* An empty range is checked for the advice alone. */
	return advice_name((int)advice) && comap__vm_advise(NULL, 0, (int)advice) == 0;
}

static int fail_advice(const struct comap_map *map, enum comap_advice advice, int code)
{
	if (code == -EINVAL && !comap_advice_is_supported(advice))
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "this kernel does not know the advice %s",
		                   advice_name((int)advice));
	if (code == -EFAULT && (advice == COMAP_ADVICE_POPULATE_READ || advice == COMAP_ADVICE_POPULATE_WRITE))
		return comap__fail(COMAP_CAUSE_IO, "populating %s: a page could not be delivered (the file is "
		                   "shorter, the disk full, or the device failed)", comap__map_name(map));
	return comap__fail_errno(code, "the advice %s on %s", advice_name((int)advice), comap__map_name(map));
}

/* Before Linux 5.14: one byte of each page is touched; the guard notices what fails. */
static int populate_by_touch(struct comap_map *map, char *start, size_t bytes, bool write)
{
	for (size_t at = 0; at < bytes; at += map->page_bytes) {
		volatile char *byte = start + at;

		if (write)
			__atomic_fetch_or(byte, 0, __ATOMIC_RELAXED); /* dirties, changes nothing; no order */
		else
			(void)*byte;
	}
	return 0;
}

int comap_map_advise(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                     enum comap_advice advice)
{
	int code = comap__map_range(map, offset_bytes, &size_bytes, "advice");
	void *start;
	size_t bytes;

	if (code)
		return code;
	if (!advice_name((int)advice))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the unknown advice %d", (int)advice);
	comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
	if (bytes == 0)
		return 0;
	do
		code = comap__vm_advise(start, bytes, (int)advice);
	while (code == -EINTR);
	if (code == -EINVAL && (advice == COMAP_ADVICE_POPULATE_READ ||
	                        advice == COMAP_ADVICE_POPULATE_WRITE) && !comap_advice_is_supported(advice))
		return populate_by_touch(map, start, bytes, advice == COMAP_ADVICE_POPULATE_WRITE);
	return code ? fail_advice(map, advice, code) : 0;
}

/* ---- protection and locks ------------------------------------------------------------------ */

int comap_map_protect(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                      unsigned protection)
{
	int code = comap__map_range(map, offset_bytes, &size_bytes, "protection");
	int bits = (protection & COMAP_PROTECT_READ ? PROT_READ : 0) |
	           (protection & COMAP_PROTECT_WRITE ? PROT_WRITE : 0) |
	           (protection & COMAP_PROTECT_EXECUTE ? PROT_EXEC : 0);
	void *start;
	size_t bytes;

	if (code)
		return code;
	if (protection >= COMAP_PROTECT_EXECUTE << 1)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the unknown protection 0x%x", protection);
	if ((bits & PROT_WRITE) && map->mode == COMAP_MAP_READ)
		return comap__fail(COMAP_CAUSE_READ_ONLY, "%s was opened for reading only", comap__map_name(map));
	comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
	if (bytes && (code = comap__vm_protect(start, bytes, bits)) != 0)
		return comap__fail_errno(code, "protecting a range of %s", comap__map_name(map));
	if (bytes == map->mapped_bytes) {
		map->protection = bits;
		comap__guard_update_map(map);
	}
	return 0;
}

static int fail_lock(const struct comap_map *map, uint64_t size_bytes, int code)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (code == -ENOMEM || code == -EAGAIN || code == -EPERM)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "locking %" PRIu64 " bytes of %s: RLIMIT_MEMLOCK is %"
		                   PRIu64 " bytes", size_bytes, comap__map_name(map), (uint64_t)limit.rlim_cur);
	return comap__fail_errno(code, "locking %" PRIu64 " bytes of %s", size_bytes, comap__map_name(map));
}

int comap_map_lock(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                   enum comap_lock_when when)
{
	int code = comap__map_range(map, offset_bytes, &size_bytes, "a lock");
	void *start;
	size_t bytes;

	if (code)
		return code;
	comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
	if (bytes == 0)
		return 0;
	code = comap__vm_lock(start, bytes, when == COMAP_LOCK_ON_FAULT);
	return code ? fail_lock(map, size_bytes, code) : 0;
}

int comap_map_unlock(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes)
{
	int code = comap__map_range(map, offset_bytes, &size_bytes, "an unlock");
	void *start;
	size_t bytes;

	if (code)
		return code;
	comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
	if (bytes && (code = comap__vm_unlock(start, bytes)) != 0)
		return comap__fail_errno(code, "unlocking a range of %s", comap__map_name(map));
	return 0;
}

/* ---- what loses data ----------------------------------------------------------------------- */

/* The range must be whole pages: rounding either way would surprise somebody. */
static int whole_pages(struct comap_map *map, uint64_t offset_bytes, uint64_t *size_bytes,
                       const char *what, void **ret_start, size_t *ret_bytes)
{
	int code = comap__map_range(map, offset_bytes, size_bytes, what);
	uintptr_t start, end;

	if (code)
		return code;
	start = (uintptr_t)map->data + offset_bytes;
	end = start + *size_bytes;
	if ((start & (map->page_bytes - 1)) != 0 ||
	    ((end & (map->page_bytes - 1)) != 0 && offset_bytes + *size_bytes != map->size_bytes))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%s needs whole pages of %zu bytes: it would lose what "
		                   "stands beside %" PRIu64 " bytes at offset %" PRIu64, what, map->page_bytes,
		                   *size_bytes, offset_bytes);
	comap__map_pages(map, offset_bytes, *size_bytes, ret_start, ret_bytes);
	return 0;
}

int comap_map_discard(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                      enum comap_discard how)
{
	void *start = NULL;
	size_t bytes = 0;
	int code = whole_pages(map, offset_bytes, &size_bytes, "a discard", &start, &bytes);

	if (code || bytes == 0)
		return code;
	code = comap__vm_advise(start, bytes, how == COMAP_DISCARD_LAZY ? MADV_FREE : MADV_DONTNEED);
	return code ? comap__fail_errno(code, "discarding pages of %s", comap__map_name(map)) : 0;
}

int comap_map_punch(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes)
{
	void *start = NULL;
	size_t bytes = 0;
	int code = whole_pages(map, offset_bytes, &size_bytes, "a punch", &start, &bytes);

	if (code || bytes == 0)
		return code;
	if (map->mode != COMAP_MAP_WRITE)
		return comap__fail(COMAP_CAUSE_READ_ONLY, "%s is not mapped for shared writing",
		                   comap__map_name(map));
	/* What lies behind the mapping in its last page belongs to the file all the same. */
	code = comap__file_punch(map->fd, map->file_offset_bytes + offset_bytes, size_bytes);
	return code ? comap__fail_errno(code, "freeing blocks of %s", comap__map_name(map)) : 0;
}

int comap_map_poison(struct comap_map *map, uint64_t offset_bytes)
{
	uint64_t size_bytes = 1;
	int code = comap__map_range(map, offset_bytes, &size_bytes, "poison");
	void *start;
	size_t bytes;

	if (code)
		return code;
	comap__map_pages(map, offset_bytes, size_bytes, &start, &bytes);
	code = comap__vm_advise(start, bytes, MADV_HWPOISON);
	return code ? comap__fail_errno(code, "poisoning a page of %s", comap__map_name(map)) : 0;
}

/* ---- resizing ------------------------------------------------------------------------------ */

/* The file behind the mapping holds `end_bytes` afterwards, or the call fails. */
static int file_reaches(struct comap_map *map, uint64_t end_bytes)
{
	struct stat st;
	int code;

	if (map->fd < 0)
		return 0;
	if (fstat(map->fd, &st) != 0)
		return comap__fail_errno(errno, "looking at %s", comap__map_name(map));
	if (end_bytes <= (uint64_t)st.st_size)
		return 0;
	if (map->mode != COMAP_MAP_WRITE)
		return comap__fail(COMAP_CAUSE_BOUNDS, "%s has %" PRIu64 " bytes, %" PRIu64 " were asked for",
		                   comap__map_name(map), (uint64_t)st.st_size, end_bytes);
	code = comap__file_allocate(map->fd, (uint64_t)st.st_size, end_bytes - (uint64_t)st.st_size);
	return code ? comap__fail_errno(code, "growing %s to %" PRIu64 " bytes", comap__map_name(map),
	                                end_bytes) : 0;
}

/* Within held address space: lay pages, or take them away, behind what stays. */
static int resize_held(struct comap_map *map, size_t new_mapped)
{
	if (new_mapped >= map->mapped_bytes)
		return comap__map_place(map, map->mapped_bytes, new_mapped);
	return comap__vm_lay(map->base + new_mapped, map->mapped_bytes - new_mapped, PROT_NONE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static int resize_free(struct comap_map *map, size_t new_mapped, bool may_move)
{
	size_t delta = map->file_offset_bytes & (map->page_bytes - 1);
	void *base;
	int code;

	if (map->mapped_bytes == 0) {
		code = comap__vm_map(new_mapped, map->protection, map->vm_flags, map->fd,
		                     map->fd < 0 ? 0 : map->file_offset_bytes - delta, &base);
	} else if (new_mapped < map->mapped_bytes) {
		base = map->base;
		code = comap__vm_unmap(map->base + new_mapped, map->mapped_bytes - new_mapped);
	} else {
		code = comap__vm_remap(map->base, map->mapped_bytes, new_mapped, may_move, &base);
	}
	if (code == 0) {
		map->base = base;
		map->data = map->base + delta;
	}
	return code;
}

static int check_resize(struct comap_map *map, uint64_t size_bytes, unsigned flags, uint64_t *ret_end_bytes)
{
	if (!map || flags > COMAP_RESIZE_MAY_MOVE)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a resize without a mapping, or with unknown flags");
	if (__builtin_add_overflow(map->file_offset_bytes, size_bytes, ret_end_bytes) ||
	    *ret_end_bytes > PTRDIFF_MAX - 2 * (uint64_t)map->page_bytes)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "%" PRIu64 " bytes are more than the address space",
		                   size_bytes);
	if (map->maximum_bytes && size_bytes > map->maximum_bytes)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "%" PRIu64 " bytes are more than the maximum of %" PRIu64
		                   " given when %s was opened", size_bytes, map->maximum_bytes,
		                   comap__map_name(map));
	return 0;
}

int comap_map_resize(struct comap_map *map, uint64_t size_bytes, unsigned flags)
{
	size_t delta, new_mapped;
	uint64_t end_bytes = 0;
	int code = check_resize(map, size_bytes, flags, &end_bytes);

	if (code || (code = file_reaches(map, end_bytes)))
		return code;
	delta = map->file_offset_bytes & (map->page_bytes - 1);
	new_mapped = size_bytes ? (delta + size_bytes + map->page_bytes - 1) & ~(map->page_bytes - 1) : 0;
	if (new_mapped < map->mapped_bytes)
		comap__guard_shrink_map(map, new_mapped);
	if (new_mapped != map->mapped_bytes)
		code = map->reserve ? resize_held(map, new_mapped)
		                    : resize_free(map, new_mapped, flags & COMAP_RESIZE_MAY_MOVE);
	if (code == 0) {
		map->mapped_bytes = new_mapped;
		map->size_bytes = size_bytes;
	} else {
		code = comap__fail_errno(code, "resizing the mapping of %s to %" PRIu64 " bytes",
		                         comap__map_name(map), size_bytes);
	}
	comap__guard_update_map(map);
	return code;
}
