/* SPDX-License-Identifier: MIT */
/* Handles of objects: what opening a value, a table, ... by name has in common. */
#ifndef COMAP_IPC_OBJECT_H
#define COMAP_IPC_OBJECT_H

#include "directory.h"
#include "registry.h"

/* What every object's handle begins with. */
struct comap__object {
	struct comap *region;
	struct comap__entry *entry;   /* its place in the process's table */
	void *cells;                  /* its shared struct; guests: in the read-only view */
	struct comap_ref cells_ref;
	uint32_t type_bytes;          /* of its field list; 0: untyped */
};

/* A kind of object: constant data of its service. */
struct comap__object_class {
	enum comap_object_kind kind;
	uint32_t cell_count;
	size_t handle_bytes;          /* of the handle, which begins with struct comap__object */
	void (*init)(void *handle);   /* the handle is zeroed, its object part filled in */
	void (*fini)(void *handle);   /* NULL: nothing to do */
};

/* The handle, found without a lock where the process has it open, or made; waits with COMAP_WAIT. A
 * handle counts as an open of its region. `founding` may be NULL:
 * comap__directory_open(). NULL: the last error says why. */
void *comap__object_open(const struct comap__object_class *class, struct comap *region,
                         const char *name, const struct comap_type *type,
                         const struct comap__founding *founding);
/* Its entry in the directory; NULL where it is not to be found. */
const struct comap_object_shm *comap__object_entry(const struct comap__object *object);

/* `handle` may be NULL. */
void comap__object_close(void *handle);

#endif
