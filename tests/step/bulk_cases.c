/* SPDX-License-Identifier: MIT */
/* Death of a loader: while it begins, puts, commits, gives up; and of the next one, or a writer, that empties
 * what a dead one has left. Three keys at 1 before, four at 2 after: never some of both. For long runs: 64
 * stripes are locked, and each has to be emptied. */
#include "cases.h"

#include <errno.h>
#include <signal.h>

enum { OLD = 3, NEW = 4 };

static struct comap_table *the_table;
static struct comap_bulk *the_bulk;

static int put(uint64_t key, uint64_t value)
{
	return comap_table_put(the_table, &key, sizeof key, &value, sizeof value);
}

static int bulk_put(uint64_t key, uint64_t value)
{
	return comap_table_bulk_put(the_bulk, &key, sizeof key, &value, sizeof value);
}

static uint64_t find(uint64_t key)
{
	uint64_t value = 0;
	int code = comap_table_get(the_table, &key, sizeof key, &value, sizeof value, NULL);

	PROC_REQUIRE(code == 0 || code == -ENOENT);
	return code ? 0 : value;
}

static int open_old(const char *path)
{
	open_region(path);
	the_table = comap_table_open(the_region, "t", NULL);
	if (!the_table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return 0;
}

static int open_with_old(const char *path)
{
	open_old(path);
	for (uint64_t key = 0; key < OLD; key++)
		PROC_REQUIRE_OK(put(key, 1));
	return 0;
}

static int open_loading(const char *path)
{
	open_with_old(path);
	the_bulk = comap_table_bulk_begin(the_table, 0);
	PROC_REQUIRE(the_bulk);
	for (uint64_t key = 0; key < NEW - 1; key++)
		PROC_REQUIRE_OK(bulk_put(key, 2));
	return 0;
}

static int open_loaded(const char *path)
{
	open_loading(path);
	return bulk_put(NEW - 1, 2);
}

static int begin(const char *path)
{
	return comap_table_bulk_begin(the_table, 0) ? 0 : -1;
}

static int put_last(const char *path) { return bulk_put(NEW - 1, 2); }
static int commit(const char *path) { return comap_table_bulk_commit(the_bulk); }

static int give_up(const char *path)
{
	comap_table_bulk_abort(the_bulk);
	return 0;
}

/* All old or all new; writers go on, the next load too; all is sound. */
static int old_or_new_load(const char *path)
{
	uint64_t found, count;

	open_old(path);
	found = find(0);
	PROC_REQUIRE(found == 1 || found == 2);
	count = found == 1 ? OLD : NEW;
	PROC_REQUIRE(comap_table_count(the_table) == (int64_t)count);
	for (uint64_t key = 0; key < NEW; key++)
		PROC_REQUIRE(find(key) == (key < count ? found : 0));
	for (uint64_t key = 100; key < 300; key++) /* every stripe is written to, some of it helps */
		PROC_REQUIRE_OK(put(key, 3));
	PROC_REQUIRE(find(0) == found && comap_table_count(the_table) == (int64_t)count + 200);
	the_bulk = comap_table_bulk_begin(the_table, 0);
	PROC_REQUIRE(the_bulk);
	PROC_REQUIRE_OK(bulk_put(7, 4));
	PROC_REQUIRE_OK(commit(path));
	PROC_REQUIRE(find(7) == 4 && find(0) == 0 && comap_table_count(the_table) == 1);
	check_alone(the_region);
	comap_table_close(the_table);
	PROC_REQUIRE_OK(comap_close(the_region));
	return found == 2;
}

/* --- those who put right what a death left, and die as well ------------------------------------- */

static int die_loading(void *path)
{
	open_loaded(path);
	return raise(SIGKILL);
}

/* The new side is in use, and the old one is full. */
static int die_swapped(void *path)
{
	open_loaded(path);
	proc_fault(PROC_FAULT_KILL, "side.swapped", 1);
	return commit(path);
}

static int arrange_loading(void *path)
{
	require_killed(die_loading, path);
	return 0;
}

static int arrange_swapped(void *path)
{
	require_killed(die_swapped, path);
	return 0;
}

/* The next write is one of those that help: key 1000, whose version says so. */
static int open_before_help(const char *path)
{
	uint64_t key = 1000, value = 9, version = 0;
	struct comap_table_write write = { &key, sizeof key, &value, sizeof value };

	open_old(path);
	do
		PROC_REQUIRE_OK(comap_table_write(the_table, &write, &version));
	while (version % 64 != 63);
	return 0;
}

static int help(const char *path) { return put(1000, 9); }

/* As above, with key 1000 besides. */
static int helped(const char *path)
{
	uint64_t key = 1000;

	open_old(path);
	PROC_REQUIRE(find(key) == 9);
	PROC_REQUIRE_OK(comap_table_remove(the_table, &key, sizeof key));
	comap_table_close(the_table);
	PROC_REQUIRE_OK(comap_close(the_region));
	return old_or_new_load(path);
}

const struct step_case bulk_cases[] = {
	{ "bulk: begin", NULL, open_with_old, begin, old_or_new_load, old_or_new, .some_outcomes = true,
	  .heap_max_bytes = 1 << 20, .is_long = true },
	{ "bulk: put", NULL, open_loading, put_last, old_or_new_load, old_or_new, .some_outcomes = true,
	  .heap_max_bytes = 1 << 20 },
	{ "bulk: commit", NULL, open_loaded, commit, old_or_new_load, old_or_new, .heap_max_bytes = 1 << 20,
	  .is_long = true },
	{ "bulk: abort", NULL, open_loaded, give_up, old_or_new_load, old_or_new, .some_outcomes = true,
	  .heap_max_bytes = 1 << 20, .is_long = true },
	{ "bulk: begin after a death", arrange_loading, open_old, begin, old_or_new_load, old_or_new,
	  .some_outcomes = true, .heap_max_bytes = 1 << 20, .is_long = true },
	{ "bulk: begin after a swap", arrange_swapped, open_old, begin, old_or_new_load, old_or_new,
	  .some_outcomes = true, .heap_max_bytes = 1 << 20, .is_long = true },
	{ "bulk: help after a death", arrange_loading, open_before_help, help, helped, old_or_new,
	  .some_outcomes = true, .heap_max_bytes = 1 << 20, .is_long = true },
	{ "bulk: help after a swap", arrange_swapped, open_before_help, help, helped, old_or_new,
	  .some_outcomes = true, .heap_max_bytes = 1 << 20, .is_long = true },
};
const unsigned bulk_case_count = sizeof bulk_cases / sizeof bulk_cases[0];
