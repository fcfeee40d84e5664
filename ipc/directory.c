/* SPDX-License-Identifier: MIT */
/* The directory: names, kinds and field lists of the region's objects.
 *
 * Where it lives: struct comap_object_shm, an array; objects are found by looking at each (opening is
 *             rare, and the process remembers what it has open)
 * Invariants: I1 a LIVE entry is whole and never changes
 *             I2 cells below cell_high_water belong to exactly one LIVE entry, or to a creation that
 *                the holder of the mutex is making
 * Writers:    holder of the directory mutex.  Readers: anybody, without a lock
 * Ordering:   [edge directory.live], [edge mutex.lock]
 * If a process dies here: before the commit point (LIVE) the entry is empty and the next holder
 *             writes over it; the cells it had taken are taken back by recount_cells()
 * Limits:     object_count objects, never removed one by one */
#include "directory.h"

#include "error.h"
#include "fault.h"
#include "futex.h"
#include "mutex.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOCK_MS 2000 /* an owner that stands still is named after so long */

const char *comap__kind_text(uint32_t kind)
{
	return kind == COMAP_KIND_OBJECT_VALUE ? "value" : kind == COMAP_KIND_OBJECT_TABLE ? "table" : "unknown";
}

const char *comap__object_roots(const struct comap *region, const struct comap_object_shm *object,
                                comap__root_visitor *visit, void *context)
{
	switch (object->kind) {
	case COMAP_KIND_OBJECT_VALUE: return comap__value_roots(region, object, visit, context);
	case COMAP_KIND_OBJECT_TABLE: return comap__table_roots(region, object, visit, context);
	default: return "an object of an unknown kind";
	}
}

static bool is_live(const struct comap_object_shm *object)
{
	/* [edge directory.live] acq: seen LIVE => the whole entry and its cells are seen */
	return comap_u64_load_acquire(&object->state) == COMAP_OBJECT_LIVE;
}

static struct comap_object_shm *find(const struct comap *region, const char *name)
{
	uint32_t count = comap__objects_used(region);

	for (uint32_t i = 0; i < count; i++)
		if (is_live(&region->objects[i]) &&
		    strncmp(region->objects[i].name, name, sizeof region->objects[i].name) == 0)
			return &region->objects[i];
	return NULL;
}

/* --- field lists in the file --- */

static void pack_type(struct comap_object_shm *object, const struct comap_type *type)
{
	if (!type)
		return;
	strncpy(object->type_name, type->name, sizeof object->type_name - 1);
	object->type_size_bytes = type->size_bytes;
	object->type_align_bytes = type->align_bytes;
	object->field_count = type->field_count;
	for (uint32_t i = 0; i < type->field_count; i++) {
		struct comap_field_shm *field = &object->fields[i];

		strncpy(field->name, type->fields[i].name, sizeof field->name - 1);
		field->kind = type->fields[i].kind;
		field->offset_bytes = type->fields[i].offset_bytes;
		field->size_bytes = type->fields[i].size_bytes;
	}
}

/* The entry as of now: what is checked is what is used, though somebody may scribble over the file. */
static void copy_entry(const struct comap_object_shm *object, struct comap_object_shm *ret_copy)
{
	const struct comap_u64 *from = (const struct comap_u64 *)(const void *)object;
	uint64_t *to = (uint64_t *)(void *)ret_copy;

	/* relaxed: written before LIVE, which was acquired; then it never changes */
	for (size_t i = 0; i < sizeof *object / sizeof *to; i++)
		to[i] = comap_u64_load_relaxed(&from[i]);
}

/* One piece of memory: type, fields, names. The file's bytes are checked like anybody's. */
static struct comap_type *unpack_type(const struct comap_object_shm *entry)
{
	struct comap_object_shm copy;
	const struct comap_object_shm *object = &copy;
	struct unpacked {
		struct comap_type type;
		struct comap_field fields[COMAP_TYPE_FIELDS_MAX];
		char names[COMAP_TYPE_FIELDS_MAX + 1][32];
	} *unpacked;

	copy_entry(entry, &copy);
	if (object->field_count > COMAP_TYPE_FIELDS_MAX) {
		comap__fail(COMAP_CAUSE_CORRUPT, "the field list of '%.47s' is damaged", object->name);
		return NULL;
	}
	unpacked = calloc(1, sizeof *unpacked);
	if (!unpacked) {
		comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a field list");
		return NULL;
	}
	memcpy(unpacked->names[COMAP_TYPE_FIELDS_MAX], object->type_name, 31);
	unpacked->type.name = unpacked->names[COMAP_TYPE_FIELDS_MAX];
	unpacked->type.size_bytes = object->type_size_bytes;
	unpacked->type.align_bytes = object->type_align_bytes;
	unpacked->type.field_count = object->field_count;
	unpacked->type.fields = unpacked->fields;
	for (uint32_t i = 0; i < object->field_count; i++) {
		memcpy(unpacked->names[i], object->fields[i].name, 31);
		unpacked->fields[i].name = unpacked->names[i];
		unpacked->fields[i].kind = (uint16_t)object->fields[i].kind;
		unpacked->fields[i].offset_bytes = object->fields[i].offset_bytes;
		unpacked->fields[i].size_bytes = object->fields[i].size_bytes;
	}
	if (comap_type_check(&unpacked->type) != 0) {
		free(unpacked);
		comap__fail(COMAP_CAUSE_CORRUPT, "the field list of '%.47s' is damaged", object->name);
		return NULL;
	}
	return &unpacked->type;
}

static int check_fit(const struct comap_object_shm *object, enum comap_object_kind kind,
                     const struct comap_type *type)
{
	struct comap_type *stored;
	int code;

	if (object->kind != (uint32_t)kind)
		return comap__fail(COMAP_CAUSE_TYPE, "'%.47s' is a %s, not a %s", object->name,
		                   comap__kind_text(object->kind), comap__kind_text(kind));
	if (!type)
		return 0;
	if (object->field_count == 0)
		return comap__fail(COMAP_CAUSE_TYPE, "'%.47s' has no field list: it was created untyped; here "
		                   "it is opened as %.31s", object->name, type->name);
	stored = unpack_type(object);
	if (!stored)
		return -comap_last_error()->code;
	code = comap_type_fits(type, stored);
	free(stored);
	return code;
}

/* --- creation --- */

/* Repair after a death under the mutex: cells beyond those of LIVE entries are nobody's. */
static void recount_cells(struct comap *region)
{
	uint64_t base = region->identity->cells_offset_bytes, end = 0;
	uint32_t count = comap__objects_used(region);

	for (uint32_t i = 0; i < count; i++) {
		const struct comap_object_shm *object = &region->objects[i];
		uint64_t first = (object->cell_ref.v - base) / COMAP_CELL_BYTES;

		if (is_live(object) && first + object->cell_count > end)
			end = first + object->cell_count;
	}
	/* relaxed: under the mutex; readers only ever see refs of LIVE entries */
	comap_u32_store_relaxed(&region->control->cell_high_water, (uint32_t)end);
}

static int take_cells(struct comap *region, uint32_t count, struct comap_ref *ret_ref)
{
	struct comap_control_shm *control = region->control;
	uint64_t first = comap_u32_load_relaxed(&control->cell_high_water); /* relaxed: under the mutex */
	uint64_t offset = region->identity->cells_offset_bytes + first * COMAP_CELL_BYTES;
	int code;

	if ((first + count) * COMAP_CELL_BYTES > region->identity->cells_max_bytes)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%s has no cells left for another object",
		                   region->path);
	code = comap__region_allocate(region, offset, (uint64_t)count * COMAP_CELL_BYTES);
	if (code)
		return code;
	memset(region->writable + offset, 0, (size_t)count * COMAP_CELL_BYTES);
	/* [edge region.committed] rel: space before the mark */
	comap_u32_store_release(&control->cell_high_water, (uint32_t)(first + count));
	COMAP_FAULT("directory.cells");
	*ret_ref = (struct comap_ref){ offset };
	return 0;
}

/* An empty entry below the mark, or one more. */
static int take_entry(struct comap *region, struct comap_object_shm **ret_object)
{
	uint32_t count = comap__objects_used(region);
	int code;

	for (uint32_t i = 0; i < count; i++)
		if (!is_live(&region->objects[i])) {
			*ret_object = &region->objects[i];
			return 0;
		}
	if (count == region->identity->object_count)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%s holds %u objects already, its maximum: create it "
		                   "with a larger object_count", region->path, count);
	code = comap__region_allocate(region, region->identity->objects_offset_bytes +
	                              count * sizeof(struct comap_object_shm),
	                              sizeof(struct comap_object_shm));
	if (code)
		return code;
	/* [edge directory.high_water] rel: space before the mark */
	comap_u32_store_release(&region->control->object_high_water, count + 1);
	*ret_object = &region->objects[count];
	return 0;
}

static int create(struct comap *region, const char *name, enum comap_object_kind kind,
                  const struct comap_type *type, uint32_t cell_count,
                  const struct comap__founding *founding, struct comap_object_shm **ret_object)
{
	struct comap_object_shm *object = NULL;
	struct comap_ref cells = { 0 };
	struct timespec now;
	int code = take_entry(region, &object);

	cell_count += founding ? founding->more_cells : 0;
	if (!code)
		code = take_cells(region, cell_count, &cells);
	if (code)
		return code;
	memset(object, 0, sizeof *object);
	clock_gettime(CLOCK_REALTIME, &now);
	object->created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	object->cell_ref.v = cells.offset_bytes;
	object->cell_count = cell_count;
	object->kind = kind;
	strncpy(object->name, name, sizeof object->name - 1);
	pack_type(object, type);
	if (founding)
		founding->found(region->writable + cells.offset_bytes, cells, founding->context);
	COMAP_FAULT("directory.written");
	/* [edge directory.live] rel: the commit point: the whole entry before LIVE */
	comap_u64_store_release(&object->state, COMAP_OBJECT_LIVE);
	COMAP_FAULT("directory.live");
	comap__flag_wake(&region->control->directory_waiting);
	*ret_object = object;
	return 0;
}

static int find_or_create(struct comap *region, const char *name, enum comap_object_kind kind,
                          const struct comap_type *type, uint32_t cell_count,
                          const struct comap__founding *founding,
                          struct comap_object_shm **ret_object)
{
	struct comap__row *row = comap__thread_row(region);
	struct comap_u64 *mutex = &region->control->directory_mutex;
	int code;

	if (!row)
		return -comap_last_error()->code;
	code = comap__mutex_lock(region, mutex, row->token, comap_deadline_ms(LOCK_MS));
	if (code < 0)
		return code;
	if (code > 0)
		recount_cells(region);
	code = 0;
	*ret_object = find(region, name);
	if (!*ret_object)
		code = create(region, name, kind, type, cell_count, founding, ret_object);
	comap__mutex_unlock(mutex, row->token);
	return code;
}

static int check_name(const char *name)
{
	if (!name || !*name)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an object needs a name");
	if (strnlen(name, COMAP_OBJECT_NAME_BYTES) >= COMAP_OBJECT_NAME_BYTES)
		return comap__fail(COMAP_CAUSE_NAME, "the name '%.32s...' is longer than %u characters", name,
		                   COMAP_OBJECT_NAME_BYTES - 1);
	return 0;
}

int comap__directory_await(struct comap *region, const char *name)
{
	struct comap_u32 *flag = &region->control->directory_waiting;
	uint64_t deadline_ns = region->wait_deadline_ns, step_ns = 0;
	uint32_t seen;

	if (!(__atomic_load_n(&region->flags, __ATOMIC_RELAXED) & COMAP_WAIT)) /* flags only appear */
		return comap__fail(COMAP_CAUSE_NOT_FOUND, "%s holds no '%s': `comap ls` shows what it holds",
		                   region->path, name);
	for (;;) {
		if (find(region, name))
			return 0;
		if (comap_now_ns() >= deadline_ns)
			return comap__fail(COMAP_CAUSE_TIMEOUT, "'%s' did not appear in %s in time", name,
			                   region->path);
		if (comap__is_guest(region)) {
			comap__poll_sleep(&step_ns, deadline_ns);
			continue;
		}
		seen = comap__flag_set(flag);
		if (!find(region, name))
			comap__flag_sleep(flag, seen, deadline_ns);
	}
}

int comap__directory_open(struct comap *region, const char *name, enum comap_object_kind kind,
                          const struct comap_type *type, uint32_t cell_count,
                          const struct comap__founding *founding,
                          struct comap_ref *ret_cells, uint32_t *ret_type_bytes)
{
	struct comap_object_shm *object;
	int code = check_name(name);

	if (!code && type)
		code = comap_type_check(type);
	if (code)
		return code;
	object = find(region, name);
	/* relaxed: flags only appear */
	if (!object && (__atomic_load_n(&region->flags, __ATOMIC_RELAXED) & COMAP_CREATE))
		code = find_or_create(region, name, kind, type, cell_count, founding, &object);
	if (code)
		return code;
	if (!object)
		return comap__fail(COMAP_CAUSE_NOT_FOUND, "%s holds no '%s': `comap ls` shows what it holds",
		                   region->path, name);
	code = check_fit(object, kind, type);
	if (!code && !comap__at(region, (struct comap_ref){ object->cell_ref.v },
	                        (size_t)cell_count * COMAP_CELL_BYTES, COMAP_CELL_BYTES))
		code = comap__fail(COMAP_CAUSE_CORRUPT, "the directory entry of '%s' is damaged", name);
	if (code)
		return code;
	*ret_cells = (struct comap_ref){ object->cell_ref.v };
	*ret_type_bytes = object->type_size_bytes;
	return 0;
}

/* --- looking --- */

int comap_object_at(struct comap *region, uint32_t index, struct comap_object *ret_object)
{
	uint32_t count, seen = 0;

	if (!region || !ret_object)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	count = comap__objects_used(region);
	for (uint32_t i = 0; i < count; i++) {
		const struct comap_object_shm *object = &region->objects[i];

		if (!is_live(object) || seen++ != index)
			continue;
		memset(ret_object, 0, sizeof *ret_object);
		memcpy(ret_object->name, object->name, sizeof ret_object->name - 1);
		memcpy(ret_object->type_name, object->type_name, sizeof ret_object->type_name - 1);
		ret_object->kind = comap__kind_text(object->kind);
		ret_object->created_ns = object->created_ns;
		ret_object->type_size_bytes = object->type_size_bytes;
		ret_object->field_count = object->field_count;
		return 0;
	}
	return comap__fail(COMAP_CAUSE_NOT_FOUND, "%s holds %u objects", region->path, seen);
}

struct comap_type *comap_object_type(struct comap *region, const char *name)
{
	struct comap_object_shm *object;

	if (!region || check_name(name) != 0) {
		if (!region)
			comap__fail(COMAP_CAUSE_ARGUMENT, "the region handle is NULL");
		return NULL;
	}
	object = find(region, name);
	if (!object) {
		comap__fail(COMAP_CAUSE_NOT_FOUND, "%s holds no '%s'", region->path, name);
		return NULL;
	}
	if (object->field_count == 0) {
		comap__fail(COMAP_CAUSE_NONE, "'%s' is untyped", name);
		return NULL;
	}
	return unpack_type(object);
}
