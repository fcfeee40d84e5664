/* SPDX-License-Identifier: MIT */
/* Handles of objects: what opening a value, a table, ... by name has in common.
 *
 * Where it lives: process memory; one handle per object and process, counted by the registry
 * Invariants: I1 a handle holds a reference to its region's entry: the region outlives it
 * Progress:   a hit is a lookup without a lock; waiting for an object holds up nobody */
#include "object.h"

#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct making {
	const struct comap__object_class *class;
	struct comap *region;
	const char *name;
	const struct comap_type *type;
	const struct comap__founding *founding;
};

/* The class is remembered in front of the handle, for unmake(). */
struct made_object {
	const struct comap__object_class *class;
	_Alignas(16) char handle[];
};

static struct made_object *made_of(void *handle)
{
	return (struct made_object *)(void *)((char *)handle - offsetof(struct made_object, handle));
}

static int make(void *context, struct comap__entry *entry, void **ret_handle)
{
	struct making *making = context;
	const struct comap__object_class *class = making->class;
	struct made_object *made = calloc(1, sizeof *made + class->handle_bytes);
	struct comap__object *object;
	const void *cells;
	int code;

	if (!made)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a handle");
	made->class = class;
	object = (void *)made->handle;
	code = comap__directory_open(making->region, making->name, class->kind, making->type,
	                             class->cell_count, making->founding, &object->cells_ref,
	                             &object->type_bytes);
	if (code) {
		free(made);
		return code;
	}
	cells = comap__at(making->region, object->cells_ref, class->cell_count * COMAP_CELL_BYTES,
	                  COMAP_CELL_BYTES);
	object->region = making->region;
	object->entry = entry;
	object->cells = comap__is_guest(making->region) ? (void *)(uintptr_t)cells
	                                                : comap__writable(making->region, cells);
	class->init(object);
	comap__registry_ref(making->region->entry);
	*ret_handle = object;
	return 0;
}

static void unmake(void *handle)
{
	struct comap__entry *region_entry = ((struct comap__object *)handle)->region->entry;
	struct made_object *made = made_of(handle);

	if (made->class->fini)
		made->class->fini(handle);
	free(made);
	comap__registry_put(region_entry);
}

void *comap__object_open(const struct comap__object_class *class, struct comap *region,
                         const char *name, const struct comap_type *type,
                         const struct comap__founding *founding)
{
	struct making making = { class, region, name, type, founding };
	char key[COMAP_OBJECT_NAME_BYTES + 64];
	struct comap__entry *entry;
	struct comap_ref cells;
	uint32_t type_bytes;
	void *handle;
	bool made;
	int code;

	if (!region || !name) {
		comap__fail(COMAP_CAUSE_ARGUMENT, "the %s is NULL", region ? "name" : "region handle");
		return NULL;
	}
	snprintf(key, sizeof key, "o%u/%p/%.*s", (unsigned)class->kind, (void *)region,
	         (int)COMAP_OBJECT_NAME_BYTES, name);
	do
		code = comap__registry_get(key, NULL, make, unmake, &making, &made, &handle, &entry);
	/* Waited for out here: whoever makes a handle holds up the process's other opens. */
	while (code == -ENOENT && comap__directory_await(region, name) == 0);
	if (code)
		return NULL;
	if (!made && type && comap__directory_open(region, name, class->kind, type, class->cell_count,
	                                           NULL, &cells, &type_bytes) != 0) {
		comap__registry_put(entry);
		return NULL;
	}
	return handle;
}

const struct comap_object_shm *comap__object_entry(const struct comap__object *object)
{
	uint32_t count = comap__objects_used(object->region);

	for (uint32_t i = 0; i < count; i++) {
		const struct comap_object_shm *entry = &object->region->objects[i];

		/* [edge directory.live] acq: seen LIVE => the whole entry is seen */
		if (comap_u64_load_acquire(&entry->state) == COMAP_OBJECT_LIVE &&
		    comap_u64_load_relaxed(&entry->cell_ref) == /* relaxed: fixed while LIVE */
		    object->cells_ref.offset_bytes)
			return entry;
	}
	return NULL;
}

void comap__object_close(void *handle)
{
	if (handle)
		comap__registry_put(((struct comap__object *)handle)->entry);
}
