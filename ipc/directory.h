/* SPDX-License-Identifier: MIT */
/* The directory: names, kinds and field lists of the region's objects. */
#ifndef COMAP_IPC_DIRECTORY_H
#define COMAP_IPC_DIRECTORY_H

#include <comap/type.h>

#include "check.h"
#include "region.h"

enum comap_object_kind {
	COMAP_KIND_OBJECT_VALUE = 1,
	COMAP_KIND_OBJECT_TABLE = 2,
};

/* What the founder of an object has to say: more cells behind those of its kind, and what is in all of
 * them before anybody finds it. */
struct comap__founding {
	uint32_t more_cells;
	void (*found)(void *cells, struct comap_ref ref, const void *context);
	const void *context;
};

/* Finds the object, or makes it where the region was opened with COMAP_CREATE; -ENOENT. Its cells are
 * zeroed at creation, then `founding` (may be NULL) fills them in. *ret_cells: ref of the first. */
int comap__directory_open(struct comap *region, const char *name, enum comap_object_kind kind,
                          const struct comap_type *type, uint32_t cell_count,
                          const struct comap__founding *founding, struct comap_ref *ret_cells,
                          uint32_t *ret_type_bytes);

/* With COMAP_WAIT: sleeps until the object is there, or the region's deadline for waiting. Without:
 * -ENOENT at once. Not under a lock of the process. */
int comap__directory_await(struct comap *region, const char *name);

const char *comap__kind_text(uint32_t kind);

/* Every block that the object holds, for the checker. NULL, or what is wrong (static). */
const char *comap__object_roots(const struct comap *region, const struct comap_object_shm *object,
                                comap__root_visitor *visit, void *context);

#endif
