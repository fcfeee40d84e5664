/* SPDX-License-Identifier: MIT */
/* Death in the heap and in a lock: allocate and free blocks and runs, grow, lock, unlock, take over. */
#include "cases.h"

#include "heap.h"
#include "mutex.h"
#include "region.h"
#include "thread.h"

#include <signal.h>
#include <unistd.h>

static struct comap__row *row;
static struct comap_ref block;
static void *bytes;

static int open_heap(const char *path)
{
	open_value_1(path);
	row = comap__thread_row(the_region);
	PROC_REQUIRE(row);
	return 0;
}

static int allocate(size_t size_bytes)
{
	return comap__block_alloc(the_region, row, size_bytes, &block, &bytes);
}

/* Of a size that has no page yet. */
static int allocate_small_new_page(const char *path)
{
	return allocate(1000);
}

static int open_with_small(const char *path)
{
	open_heap(path);
	return allocate(1000);
}

static int allocate_small(const char *path)
{
	return allocate(1000);
}

static int free_block(const char *path)
{
	comap__block_abandon(the_region, row, block);
	return 0;
}

static int allocate_run(const char *path)
{
	return allocate(300000);
}

static int open_with_run(const char *path)
{
	open_heap(path);
	return allocate(300000);
}

/* All that is committed is taken: a run of 1 MiB has to grow the heap. */
static int open_with_full_heap(const char *path)
{
	uint64_t committed;

	open_heap(path);
	committed = comap_u64_load_relaxed(&the_region->control->heap_committed_bytes); /* relaxed: alone */
	while (committed > 0 && allocate(65536) == 0 &&
	       comap_u64_load_relaxed(&the_region->control->heap_committed_bytes) == committed)
		;
	return 0;
}

static int allocate_and_grow(const char *path)
{
	return allocate(1200000);
}

/* --- the lock ----------------------------------------------------------------------------------- */

static struct comap_u64 *lock_word(void)
{
	return &the_region->control->directory_mutex;
}

static int lock_and_unlock(const char *path)
{
	int code = comap__mutex_lock(the_region, lock_word(), row->token, COMAP_FOREVER);

	if (!code)
		comap__mutex_unlock(lock_word(), row->token);
	return code;
}

/* Dies holding the lock of the directory, in the middle of making an object. */
static int make_dead_owner(void *path)
{
	open_value_1(path);
	proc_fault(PROC_FAULT_KILL, "directory.written", 1);
	(void)comap_value_open(the_region, "half", NULL);
	return 1;
}

/* Dies holding it, with nothing under it half-done: what follows takes it over and repairs nothing. */
static int make_dead_holder(void *path)
{
	open_heap(path);
	PROC_REQUIRE_OK(comap__mutex_lock(the_region, lock_word(), row->token, COMAP_FOREVER));
	kill(getpid(), SIGKILL);
	return 1;
}

static int arrange_dead_holder(void *path)
{
	require_killed(make_dead_holder, path);
	return 0;
}

static int take_over(const char *path)
{
	int code = comap__mutex_lock(the_region, lock_word(), row->token, COMAP_FOREVER);

	if (code != 1)
		return -1; /* its owner died: it must be said */
	comap__mutex_unlock(lock_word(), row->token);
	return 0;
}

/* The whole of it: take over, repair, go on where the dead one was. */
static int make_object_after_death(const char *path)
{
	return comap_value_open(the_region, "half", NULL) ? 0 : -1;
}

static int arrange_dead_owner(void *path)
{
	require_killed(make_dead_owner, path);
	return 0;
}

static int open_after_death(const char *path)
{
	open_region(path);
	row = comap__thread_row(the_region);
	PROC_REQUIRE(row);
	return 0;
}

const struct step_case place_cases[] = {
	{ "allocate, new page", NULL, open_heap, allocate_small_new_page, finds_1, only_same },
	{ "allocate", NULL, open_with_small, allocate_small, finds_1, only_same },
	{ "free", NULL, open_with_small, free_block, finds_1, only_same },
	{ "allocate a run", NULL, open_heap, allocate_run, finds_1, only_same,
	  .heap_max_bytes = 1 << 20 },
	{ "free a run", NULL, open_with_run, free_block, finds_1, only_same, .heap_max_bytes = 1 << 20 },
	{ "allocate and grow", NULL, open_with_full_heap, allocate_and_grow, finds_1, only_same,
	  .heap_max_bytes = 4 << 20 },
	{ "lock and unlock", NULL, open_heap, lock_and_unlock, finds_1, only_same },
	{ "take over a lock", arrange_dead_holder, open_after_death, take_over, finds_1, only_same },
	{ "make a value after a death", arrange_dead_owner, open_after_death, make_object_after_death,
	  finds_1, only_same },
};
const unsigned place_case_count = sizeof place_cases / sizeof place_cases[0];
