/* SPDX-License-Identifier: MIT */
/* What must hold of a region after deaths. See check.h. */
#include "check.h"

#include "blob.h"
#include "region.h"

#include <string.h>

uint64_t check_heap_max_bytes = 4u << 20;

struct comap *check_open_small(const char *path, uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.heap_max_bytes = check_heap_max_bytes;
	options.seat_count = 4;
	options.thread_count = 4;
	options.object_count = 4;
	return comap_open_with(path, &options);
}

struct comap *check_open(const char *path, uint32_t flags)
{
	struct comap *region = check_open_small(path, flags);

	if (!region)
		proc_fail(__FILE__, __LINE__, "%s: %s", path, comap_error_text());
	return region;
}

static void check_seats(struct comap *region)
{
	int self = comap_seat_self(region);

	PROC_REQUIRE(self >= 0);
	for (uint32_t i = 0; i < region->identity->seat_count; i++) {
		/* relaxed: nobody else is here */
		uint64_t word = comap_u64_load_relaxed(&region->seats[i].state);
		unsigned expected = (int)i == self ? COMAP_SEAT_LIVE : COMAP_SEAT_FREE;

		if ((word & 3) != expected)
			proc_fail(__FILE__, __LINE__, "seat %u: state %u, not %u (own seat: %d)", i,
			          (unsigned)(word & 3), expected, self);
	}
}

static void check_threads(struct comap *region)
{
	uint64_t own = region->attachment->seat_token << 1 | 1;

	/* the janitor's record keeps its dead owner's word; it is taken over from it */
	for (uint32_t i = COMAP_FIRST_RECORD; i < region->identity->thread_count; i++) {
		struct comap_thread_shm *thread = &region->threads[i];
		/* relaxed: nobody else is here */
		uint64_t owner = comap_u64_load_relaxed(&thread->owner);

		if (owner != 0 && owner != own)
			proc_fail(__FILE__, __LINE__, "thread record %u belongs to %#llx, which is gone",
			          i, (unsigned long long)owner);
		if (comap_u64_load_relaxed(&thread->intent.op) != COMAP_INTENT_NONE)
			proc_fail(__FILE__, __LINE__, "thread record %u: an intent stands", i);
	}
}

static void check_heap(struct comap *region)
{
	struct comap_check report;
	int code = comap_check(region, &report);

	if (code != 0)
		proc_fail(__FILE__, __LINE__, "comap_check: %d: %llu flaws: %s", code,
		          (unsigned long long)report.flaws, report.first_flaw);
}

void check_alone(struct comap *region)
{
	check_seats(region);
	check_threads(region);
	check_heap(region);
}

void check_value_put(struct comap_value *value, uint64_t number)
{
	uint64_t blob[CHECK_VALUE_BYTES / 8];

	blob_fill(blob, sizeof blob, number);
	PROC_REQUIRE_OK(comap_value_put(value, blob, sizeof blob));
}

uint64_t check_value_number(struct comap *region, struct comap_value *value)
{
	struct comap_view view;
	uint64_t number = 0;

	PROC_REQUIRE_OK(comap_read_begin(region));
	view = comap_value_view(value);
	if (view.data) {
		PROC_REQUIRE(view.size_bytes == CHECK_VALUE_BYTES);
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes));
		number = blob_number(view.data);
		PROC_REQUIRE(view.version == number);
	}
	PROC_REQUIRE_OK(comap_read_end(region));
	return number;
}

/* Cells are taken back by the next who makes an object: then there are as many as objects have. */
static void check_cells(struct comap *region)
{
	/* relaxed: nobody else is here */
	uint32_t objects = comap_u32_load_relaxed(&region->control->object_high_water), cells = 0;

	for (uint32_t i = 0; i < objects; i++)
		if (comap_u64_load_relaxed(&region->objects[i].state) == COMAP_OBJECT_LIVE)
			cells += region->objects[i].cell_count;
	if (comap_u32_load_relaxed(&region->control->cell_high_water) != cells)
		proc_fail(__FILE__, __LINE__, "%u cells are taken, objects have %u",
		          comap_u32_load_relaxed(&region->control->cell_high_water), cells);
}

static void require_clean(const char *path)
{
	struct comap *guest = check_open(path, COMAP_GUEST);
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(guest, &info));
	PROC_REQUIRE(info.clean);
	PROC_REQUIRE_OK(comap_close(guest));
}

static bool has_object(struct comap *region, const char *name)
{
	struct comap_object object;

	for (uint32_t i = 0; comap_object_at(region, i, &object) == 0; i++)
		if (strcmp(object.name, name) == 0)
			return true;
	return false;
}

uint64_t check_survive(const char *path)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value, *other;
	uint64_t found;
	bool made_other;

	check_alone(region);
	value = comap_value_open(region, "v", NULL);
	if (!value)
		proc_fail(__FILE__, __LINE__, "value: %s", comap_error_text());
	found = check_value_number(region, value);
	check_value_put(value, found + 1);
	check_value_put(value, found + 2);
	PROC_REQUIRE(check_value_number(region, value) == found + 2);
	made_other = !has_object(region, "other");
	other = comap_value_open(region, "other", NULL);
	if (!other)
		proc_fail(__FILE__, __LINE__, "other value: %s", comap_error_text());
	check_value_put(other, 1);
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	if (made_other)
		check_cells(region);
	comap_value_close(other);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	require_clean(path);
	return found;
}
