/* SPDX-License-Identifier: MIT */
/* The mapping's handle, as the files of core/ see it. Process-private; nothing of it is in the file.
 *
 *   reserve            base              data                                  base + mapped_bytes
 *      |  (alignment)    |  page_delta    |  size_bytes                |  rest of the last page |
 *      '----------------- reserved_bytes -------------------------------------------------------...'
 *
 * I1  base is page-aligned, data = base + page_delta, page_delta < one page.
 * I2  size_bytes > 0: [data, data + size_bytes) lies within [base, base + mapped_bytes).
 * I3  size_bytes = 0 and nothing reserved: data points to a byte of ours that is never followed. */
#ifndef COMAP_CORE_MAP_H
#define COMAP_CORE_MAP_H

#include <comap/mapping.h>

#include <sys/types.h>

struct comap__guard_entry;

struct comap_map {
	char *data;
	uint64_t size_bytes;
	char *base;
	size_t mapped_bytes;       /* whole pages, from base */
	void *reserve;             /* the address space that is held; NULL: only what is mapped */
	size_t reserved_bytes;
	uint64_t file_offset_bytes; /* of data, in the file */
	uint64_t maximum_bytes;    /* of size_bytes; 0: as large as it is */
	size_t page_bytes;         /* of the kernel, or of hugetlb */
	int fd;                    /* own open file description; -1: anonymous */
	int protection;            /* PROT_*, of the mapping as a whole */
	int vm_flags;              /* MAP_SHARED ... */
	enum comap_map_mode mode;
	unsigned flags;            /* enum comap_map_flags */
	bool sealed;               /* cannot shrink beneath us */
	bool memory;               /* a memory file of ours: nothing to flush */
	char *path;                /* absolute, as opened; NULL: opened by descriptor */
	dev_t dev;
	ino_t ino;
	struct comap__guard_entry *guard; /* NULL: not guarded */
};

/* [offset, offset + size) inside the mapping? Resolves COMAP_MAP_REST. 0 or -ERANGE with words. */
int comap__map_range(const struct comap_map *map, uint64_t offset_bytes, uint64_t *size_bytes,
                     const char *what);
/* The pages that hold the range; *ret_bytes is 0 for an empty one. The range was checked. */
void comap__map_pages(const struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                      void **ret_start, size_t *ret_bytes);
/* Maps [base + from_bytes, base + to_bytes) anew over held address space, whole pages. */
int comap__map_place(struct comap_map *map, size_t from_bytes, size_t to_bytes);
/* "data.bin", or what stands for a name where there is none. Never NULL. */
const char *comap__map_name(const struct comap_map *map);

#endif
