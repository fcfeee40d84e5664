/* SPDX-License-Identifier: MIT */
/* What mappings make of the guard: status, causes, repair, sections, checked copies.
 *
 * Invariants: I1  a status of 0 means: no byte read from the mapping since it was last whole was made up
 *             I2  a copy returns 0 only for bytes that the file held: read before the size was asked
 * Progress:   status wait-free; the rest asks the file system */
#include "guard.h"

#include "error.h"
#include "map.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char no_entry; /* the "entry" of a mapping without one: matches no fault */

/* ---- a mapping's entry ---------------------------------------------------------------------- */

static struct comap__guard_range range_of(const struct comap_map *map, size_t size_bytes)
{
	uint64_t delta = map->base ? (uint64_t)(map->data - map->base) : 0;

	return (struct comap__guard_range){
		.base = map->base,
		.size_bytes = map->base ? size_bytes : 0,
		.file_offset_bytes = map->file_offset_bytes - delta,
		.fd = map->fd,
		.protection = map->protection,
		.page_bytes = map->page_bytes,
	};
}

int comap__guard_add_map(struct comap_map *map)
{
	struct comap__guard_range range = range_of(map, map->mapped_bytes);
	int code = comap__guard_add(&range, &map->guard);

	return code ? comap__fail_errno(code, "guarding %s", comap__map_name(map)) : 0;
}

void comap__guard_shrink_map(struct comap_map *map, size_t mapped_bytes)
{
	struct comap__guard_range range = range_of(map, mapped_bytes);

	if (map->guard)
		comap__guard_set(map->guard, &range);
}

void comap__guard_update_map(struct comap_map *map)
{
	comap__guard_shrink_map(map, map->mapped_bytes);
}

/* ---- causes --------------------------------------------------------------------------------- */

/* SIGBUS says the same for every cause; the file says more. */
static enum comap_cause find_cause(const struct comap__guard_fault *fault, const char **ret_words)
{
	struct stat st;
	char byte;

	*ret_words = "the file ends before it";
	if (fault->hint == COMAP__GUARD_TRUNCATED ||
	    (fstat(fault->fd, &st) == 0 && fault->file_offset_bytes >= (uint64_t)st.st_size))
		return COMAP_CAUSE_TRUNCATED;
	*ret_words = fault->hint == COMAP__GUARD_HARDWARE ? "the memory behind it failed"
	                                                  : "the device does not deliver it";
	if (fault->hint == COMAP__GUARD_HARDWARE ||
	    pread(fault->fd, &byte, 1, (off_t)fault->file_offset_bytes) != 1)
		return COMAP_CAUSE_IO;
	/* It can be read, so it was a store, or a hole of tmpfs: there was no space for the page. */
	*ret_words = "the file system has no space for it";
	return COMAP_CAUSE_NO_SPACE;
}

int comap__guard_explain(const struct comap__guard_fault *fault, const char *name)
{
	const char *words;
	enum comap_cause cause = find_cause(fault, &words);
	int code = comap__fail(cause, "%s: the page at offset %" PRIu64 " could not be had: %s", name,
	                       fault->file_offset_bytes, words);

	comap__error()->offset_bytes = fault->file_offset_bytes;
	return code;
}

int comap_map_status(const struct comap_map *map)
{
	struct comap__guard_fault fault;

	if (COMAP_UNLIKELY(!map))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping was given");
	if (COMAP_LIKELY(!comap__guard_is_bad(map->guard)))
		return 0;
	fault = comap__guard_first_fault(map->guard);
	return comap__guard_explain(&fault, comap__map_name(map));
}

void comap_map_fault(const struct comap_map *map, struct comap_fault *ret_fault)
{
	struct comap_error before = *comap_last_error();
	struct comap__guard_fault first;

	if (!ret_fault)
		return;
	*ret_fault = (struct comap_fault){ .first_offset_bytes = UINT64_MAX };
	if (!map || !map->guard)
		return;
	ret_fault->fault_count = comap__guard_fault_count(map->guard);
	if (comap_map_status(map) == 0)
		return;
	ret_fault->cause = comap_last_error()->cause;
	*comap__error() = before; /* this call does not fail */
	first = comap__guard_first_fault(map->guard);
	ret_fault->first_offset_bytes = first.file_offset_bytes - map->file_offset_bytes;
}

static int check_length(const struct comap_map *map, uint64_t end_bytes)
{
	struct stat st;

	if (map->fd < 0 || map->sealed)
		return 0;
	if (fstat(map->fd, &st) != 0)
		return comap__fail_errno(errno, "looking at %s", comap__map_name(map));
	if (map->file_offset_bytes + end_bytes <= (uint64_t)st.st_size)
		return 0;
	comap__fail(COMAP_CAUSE_TRUNCATED, "%s has %" PRIu64 " bytes left, of the %" PRIu64 " that the mapping"
	            " needs", comap__map_name(map), (uint64_t)st.st_size, map->file_offset_bytes + end_bytes);
	comap__error()->offset_bytes = (uint64_t)st.st_size;
	return -ESTALE;
}

int comap_map_repair(struct comap_map *map)
{
	uint32_t fault_count;
	int code;

	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping to repair");
	if (!comap__guard_is_bad(map->guard))
		return 0;
	if (map->mode == COMAP_MAP_COPY)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "repairing the private copy of %s would drop what was "
		                   "changed in it", comap__map_name(map));
	fault_count = comap__guard_mend(map->guard);
	code = check_length(map, map->size_bytes);
	if (code)
		return code;
	code = comap__map_place(map, 0, map->mapped_bytes);
	if (code)
		return comap__fail_errno(code, "mapping %s again", comap__map_name(map));
	comap__guard_mended(map->guard, fault_count);
	return comap_map_status(map);
}

/* ---- sections ------------------------------------------------------------------------------- */

bool comap_try_enter(struct comap_try *frame, const struct comap_map *map)
{
	const void *range = !map ? NULL : map->guard ? (const void *)map->guard : &no_entry;

	return frame && comap__try_enter(frame, range);
}

int comap_try_caught(void)
{
	struct comap__guard_fault fault = comap__try_fault();

	return comap__guard_explain(&fault, "a guarded mapping");
}

/* ---- checked copies -------------------------------------------------------------------------- */

/* Through the descriptor: what the file holds, whatever the mapping shows. */
static int transfer(const struct comap_map *map, char *at, void *buffer, size_t size_bytes, bool in)
{
	while (size_bytes) {
		off_t offset = (off_t)(map->file_offset_bytes + (uint64_t)(at - map->data));
		ssize_t count = in ? pwrite(map->fd, buffer, size_bytes, offset)
		                   : pread(map->fd, buffer, size_bytes, offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			return -ESTALE;
		at += count;
		buffer = (char *)buffer + count;
		size_bytes -= (size_t)count;
	}
	return 0;
}

/* Private pages are in this process only; the kernel copies them for us, and says EFAULT. */
static int transfer_private(char *at, void *buffer, size_t size_bytes, bool in)
{
	struct iovec here = { buffer, size_bytes }, there = { at, size_bytes };
	ssize_t count = in ? process_vm_writev(getpid(), &here, 1, &there, 1, 0)
	                   : process_vm_readv(getpid(), &here, 1, &there, 1, 0);

	return count == (ssize_t)size_bytes ? 0 : count < 0 && errno != EFAULT ? -errno : -ESTALE;
}

static int copy_by_descriptor(const struct comap_map *map, char *at, void *buffer, size_t size_bytes,
                              bool in)
{
	int code = map->mode == COMAP_MAP_COPY ? transfer_private(at, buffer, size_bytes, in)
	                                       : transfer(map, at, buffer, size_bytes, in);
	uint64_t offset_bytes = (uint64_t)(at - map->data);

	if (code == -ESTALE)
		return comap__fail(COMAP_CAUSE_TRUNCATED, "%s ends within the %zu bytes at offset %" PRIu64,
		                   comap__map_name(map), size_bytes, offset_bytes);
	if (code)
		return comap__fail_errno(code, "copying %zu bytes at offset %" PRIu64 " of %s", size_bytes,
		                         offset_bytes, comap__map_name(map));
	return 0;
}

static int copy_guarded(const struct comap_map *map, char *at, void *buffer, size_t size_bytes, bool in)
{
	COMAP_TRY(map) {
		memcpy(in ? at : buffer, in ? buffer : at, size_bytes);
	} COMAP_CATCH(code) {
		return code;
	}
	return 0;
}

/* A fault cannot happen, or kills by the caller's own choice. */
static bool is_plain(const struct comap_map *map)
{
	return !comap_map_may_fault(map) || (map->flags & COMAP_MAP_UNGUARDED);
}

static int copy(const struct comap_map *map, uint64_t offset_bytes, void *buffer, uint64_t size_bytes,
                bool in)
{
	char *at = map->data + offset_bytes;
	uint32_t faults = comap__guard_fault_count(map->guard);
	int code;

	if (size_bytes == 0)
		return 0;
	if (is_plain(map)) {
		memcpy(in ? at : buffer, in ? buffer : at, size_bytes);
		return check_length(map, offset_bytes + size_bytes);
	}
	/* A writer through the descriptor must not make a shorter file longer again. */
	if (in && (code = check_length(map, offset_bytes + size_bytes)) != 0)
		return code;
	if (!map->guard)
		return copy_by_descriptor(map, at, buffer, size_bytes, in);
	if (!comap__guard_is_bad(map->guard)) {
		code = copy_guarded(map, at, buffer, size_bytes, in);
		if (code || (code = check_length(map, offset_bytes + size_bytes)))
			return code;
		if (comap__guard_fault_count(map->guard) == faults)
			return 0; /* nor has another thread's fault put zeros there meanwhile */
	}
	if (map->mode == COMAP_MAP_COPY)
		return comap_map_status(map);
	return copy_by_descriptor(map, at, buffer, size_bytes, in);
}

/* A buffer has a size: COMAP_MAP_REST is not one. */
static int check_copy(const struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes)
{
	if (size_bytes == COMAP_MAP_REST)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a copy without a size");
	return comap__map_range(map, offset_bytes, &size_bytes, "a copy");
}

int comap_map_copy_out(const struct comap_map *map, uint64_t offset_bytes, void *buffer,
                       uint64_t size_bytes)
{
	int code = check_copy(map, offset_bytes, size_bytes);

	return code ? code : copy(map, offset_bytes, buffer, size_bytes, false);
}

int comap_map_copy_in(struct comap_map *map, uint64_t offset_bytes, const void *buffer,
                      uint64_t size_bytes)
{
	int code = check_copy(map, offset_bytes, size_bytes);

	if (code)
		return code;
	if (!(map->protection & PROT_WRITE))
		return comap__fail(COMAP_CAUSE_READ_ONLY, "%s is mapped for reading only", comap__map_name(map));
	return copy(map, offset_bytes, (void *)(uintptr_t)buffer, size_bytes, true);
}
