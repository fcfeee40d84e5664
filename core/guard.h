/* SPDX-License-Identifier: MIT */
/* Registering address ranges with the guard (guard.c), and asking what happened to them.
 *
 * For core's mappings and for the region's views: whoever maps a file that others may shorten. */
#ifndef COMAP_CORE_GUARD_H
#define COMAP_CORE_GUARD_H

#include <comap/guard.h>
#include <comap/word.h>

struct comap__guard_entry;

struct comap__guard_range {
	void *base;                 /* whole pages */
	size_t size_bytes;
	uint64_t file_offset_bytes; /* of base */
	int fd;                     /* stays open until comap__guard_remove() */
	int protection;             /* PROT_*: what a replaced page gets */
	size_t page_bytes;
};

/* What the handler saw of a fault, for the cause to be found in peace. */
struct comap__guard_fault {
	struct comap__guard_entry *entry;
	uint64_t file_offset_bytes; /* of the byte that was touched first; UINT64_MAX: no fault */
	int fd;
	unsigned hint;              /* enum comap__guard_hint */
};
enum comap__guard_hint {
	COMAP__GUARD_UNKNOWN = 1,
	COMAP__GUARD_TRUNCATED,     /* the file ended before the page when the fault happened */
	COMAP__GUARD_HARDWARE,      /* the kernel said: memory failure */
};

/* Guards a range that is mapped (or will be before it is touched). Installs the handler the first
 * time. *ret_entry is NULL where the process has turned the guard off. -ENOMEM, or sigaction's errno. */
int comap__guard_add(const struct comap__guard_range *range, struct comap__guard_entry **ret_entry);
/* The entry's range is another one from now on. To make it smaller, call it before the unmapping: it
 * waits for handlers that are at work in the range. */
void comap__guard_set(struct comap__guard_entry *entry, const struct comap__guard_range *range);
/* Before the range is unmapped. Waits as above. NULL is allowed. */
void comap__guard_remove(struct comap__guard_entry *entry);

/* Faults so far; compare before and after. NULL: 0. */
uint32_t comap__guard_fault_count(const struct comap__guard_entry *entry);
/* True: pages were replaced since the entry was added or mended. Two loads. */
bool comap__guard_is_bad(const struct comap__guard_entry *entry);
/* The first of them. */
struct comap__guard_fault comap__guard_first_fault(struct comap__guard_entry *entry);
/* For a repair: it waits for handlers that have raised the count and may still replace a page, and
 * returns the count. Then the file's pages are mapped over the whole range; then mended(). */
uint32_t comap__guard_mend(struct comap__guard_entry *entry);
void comap__guard_mended(struct comap__guard_entry *entry, uint32_t fault_count);

/* Finds the cause and fails with it: -ESTALE, -ENOSPC or -EIO, the offset in the last error. */
int comap__guard_explain(const struct comap__guard_fault *fault, const char *name);

/* Whether a handler is there to jump out of a fault in the entry's range. */
bool comap__guard_catches(const struct comap__guard_entry *entry);
/* comap_try_enter() for an entry; NULL: any. */
bool comap__try_enter(struct comap_try *frame, const struct comap__guard_entry *entry);
/* What made the thread leave its last section. */
struct comap__guard_fault comap__try_fault(void);

/* For mapping.c: the same for a mapping and the entry it holds. */
struct comap_map;
int comap__guard_add_map(struct comap_map *map);
void comap__guard_update_map(struct comap_map *map);
void comap__guard_shrink_map(struct comap_map *map, size_t mapped_bytes);

#endif
