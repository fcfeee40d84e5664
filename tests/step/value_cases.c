/* SPDX-License-Identifier: MIT */
/* Death of a publisher: at its first version, at a later one, while it builds in place, gives up,
 * claims or releases the role; while it retires, reclaims, spills its ring. */
#include "cases.h"

#include "blob.h"
#include "rcu.h"
#include "region.h"
#include "thread.h"

static int put_1(const char *path)
{
	check_value_put(the_value, 1);
	return 0;
}

static int put_2(const char *path)
{
	check_value_put(the_value, 2);
	return 0;
}

static int build_and_publish(const char *path)
{
	void *data;
	int code = comap_value_reserve(the_value, CHECK_VALUE_BYTES, &data);

	if (code)
		return code;
	blob_fill(data, CHECK_VALUE_BYTES, 2);
	return comap_value_publish(the_value);
}

static int build_and_abort(const char *path)
{
	void *data;
	int code = comap_value_reserve(the_value, CHECK_VALUE_BYTES, &data);

	return code ? code : comap_value_abort(the_value);
}

static int claim(const char *path)
{
	return comap_value_claim(the_value);
}

static int release(const char *path)
{
	return comap_value_release(the_value);
}

/* Blocks on the ring, whose grace period is not over. */
static int open_with_retired(const char *path)
{
	open_value_1(path);
	struct comap_value *other = comap_value_open(the_region, "other", NULL);

	PROC_REQUIRE(other);
	for (uint64_t number = 1; number <= 40; number++)
		check_value_put(other, number);
	return 0;
}

static int reclaim(const char *path)
{
	return comap__ring_flush(the_region, comap__thread_row(the_region), COMAP_FOREVER);
}

static struct comap_value *large;
static char large_bytes[200000];

/* Runs of pages: the second put allocates one, the third may take the first one's place. */
static int open_with_large(const char *path)
{
	open_value_1(path);
	large = comap_value_open(the_region, "large", NULL);
	PROC_REQUIRE(large);
	PROC_REQUIRE_OK(comap_value_put(large, large_bytes, sizeof large_bytes));
	return comap_value_put(large, large_bytes, 70000);
}

/* Smaller than it was: four pages instead of two or one; the copy is short, the run long. */
static int put_large(const char *path)
{
	void *data;
	int code = comap_value_reserve(large, 200000, &data);

	return code ? code : comap_value_publish(large);
}

static int reclaim_large(const char *path)
{
	return comap__ring_flush(the_region, comap__thread_row(the_region), COMAP_FOREVER);
}

/* The ring is full and a reader, this thread, pins it: the next put has to spill. */
static int open_with_full_ring(const char *path)
{
	struct comap_value *other;

	open_value_1(path);
	other = comap_value_open(the_region, "other", NULL);
	PROC_REQUIRE(other);
	PROC_REQUIRE_OK(comap_read_begin(the_region));
	for (uint64_t number = 1; number <= COMAP_RING_ENTRIES + 1; number++)
		check_value_put(other, number);
	return 0;
}

/* The negative control: a guest looks and repairs nothing. It has to find halves, or the survivors'
 * checks see nothing. */
static int looks_unrepaired(const char *path)
{
	struct comap *guest = check_open(path, COMAP_GUEST);
	struct comap_check report;
	int code = comap_check(guest, &report);

	PROC_REQUIRE(code >= 0);
	code = code > 0 || report.intents > 0 || report.private_bytes > 0;
	PROC_REQUIRE_OK(comap_close(guest));
	return code;
}

static const char *const sound_or_half[] = { "sound", "half-done", NULL };

const struct step_case value_cases[] = {
	{ "put, nobody repairs", NULL, open_value_1, put_2, looks_unrepaired, sound_or_half },
	{ "first put", NULL, open_value, put_1, finds_0_or_1, old_or_new },
	{ "put", NULL, open_value_1, put_2, finds_1_or_2, old_or_new },
	{ "reserve and publish", NULL, open_value_1, build_and_publish, finds_1_or_2, old_or_new },
	{ "reserve and abort", NULL, open_value_1, build_and_abort, finds_1, only_same },
	{ "claim", make_value_1, open_value, claim, finds_1, only_same },
	{ "release", NULL, open_value_1, release, finds_1, only_same },
	{ "reclaim 40 retired", NULL, open_with_retired, reclaim, finds_1, only_same },
	{ "publish a run", NULL, open_with_large, put_large, finds_1, only_same,
	  .heap_max_bytes = 2 << 20 },
	{ "reclaim runs", NULL, open_with_large, reclaim_large, finds_1, only_same,
	  .heap_max_bytes = 2 << 20 },
	{ "put, ring full: spill", NULL, open_with_full_ring, put_2, finds_1_or_2, old_or_new, .is_long = true },
};
const unsigned value_case_count = sizeof value_cases / sizeof value_cases[0];
