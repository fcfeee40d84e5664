/* SPDX-License-Identifier: MIT */
/* Tables: records by their type. See table_typed.h, which does most of it in the program's own code.
 *
 * Readers:    this file, as table_read.c. */
#include <comap/table_typed.h>

#include "error.h"
#include "rcu.h"
#include "table.h"
#include "table_cache.h"

#include <errno.h>
#include <string.h>

#define GUEST_TRIES 1000

/* 0, -ENOENT, -EPROTOTYPE. Inside a section, or validated. */
static int copy_first(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                      size_t size_bytes)
{
	struct comap__entry_parts parts;
	struct comap_view view;

	if (!comap__table_find(table, comap__table_hash(table, key, key_bytes), key, key_bytes, &parts) ||
	    comap__entry_is_gone(&parts))
		return -ENOENT;
	comap__table_used(table, parts.entry);
	if (parts.value_bytes < size_bytes)
		return -EPROTOTYPE;
	if (parts.value_bytes == size_bytes)
		return comap__entry_copy(&parts, buffer, size_bytes, &view);
	memcpy(buffer, parts.value, size_bytes);
	return 0;
}

static int guest_get_first(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                           size_t size_bytes)
{
	const struct comap_control_shm *control = table->object.region->control;
	uint64_t epoch;
	int code;

	for (int i = 0; i < GUEST_TRIES; i++) {
		/* [edge rcu.epoch] acq: what was unlinked before this epoch is not found any more */
		epoch = comap_u64_load_acquire(&control->epoch);
		code = copy_first(table, key, key_bytes, buffer, size_bytes);
		/* [edge reuse.horizon] acq: the copy before the horizon */
		comap_fence_acquire();
		if (comap_u64_load_relaxed(&control->horizon) <= epoch) /* relaxed: after the fence */
			return code;
	}
	return comap__fail_errno(EAGAIN, "the memory was used again %d times while a record was copied",
	                         GUEST_TRIES);
}

static int seated_get_first(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                            size_t size_bytes)
{
	int code = comap_read_begin(table->object.region);

	if (code)
		return code;
	code = copy_first(table, key, key_bytes, buffer, size_bytes);
	comap_read_end(table->object.region);
	return code;
}

int comap_table_get_first(struct comap_table *table, const void *key, size_t key_bytes, void *buffer,
                          size_t size_bytes)
{
	bool guest = table && comap__is_guest(table->object.region);
	int code = guest ? 0 : comap__table_check(table);

	if (!code)
		code = comap__table_check_key(key, key_bytes);
	if (!code && !buffer && size_bytes)
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "the buffer is NULL");
	if (code)
		return code;
	code = guest ? guest_get_first(table, key, key_bytes, buffer, size_bytes)
	             : seated_get_first(table, key, key_bytes, buffer, size_bytes);
	if (code == -ENOENT)
		comap__fail(COMAP_CAUSE_NOT_FOUND, "the table does not hold this key");
	if (code == -EPROTOTYPE)
		comap__fail(COMAP_CAUSE_TYPE, "the value is shorter than a record of %zu bytes", size_bytes);
	return code;
}
