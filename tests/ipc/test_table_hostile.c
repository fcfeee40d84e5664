/* SPDX-License-Identifier: MIT */
/* A process with a seat scribbles over the heap while a reader and a guest go on looking: nobody crashes,
 * nobody hangs, every call comes back. What they find is anything. */
#include "proc.h"

#include <comap.h>

#include "region.h"
#include "table.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KEYS 5000u
#define SCRIBBLES 400000u
#define CALL_MS 5000u   /* no call may take longer, on a loaded machine with sanitizers too */

enum { STOP, READY };

static struct comap *region;
static struct comap_table *table;
static struct comap_table_options options; /* of the table; a cache has queues in the heap, too */

static void open_as(const char *path, uint32_t flags)
{
	region = comap_open(path, flags);
	PROC_REQUIRE(region);
	table = comap_table_open_with(region, "t", NULL, &options);
	PROC_REQUIRE(table);
}

static int maker(void *path)
{
	static char value[300];

	open_as(path, COMAP_CREATE);
	for (uint64_t key = 0; key < KEYS; key++)
		PROC_REQUIRE_OK(comap_table_put(table, &key, sizeof key, value, key % sizeof value));
	comap_table_close(table);
	return comap_close(region);
}

/* Words at random, and words copied from elsewhere: those look like refs and lengths. */
static int scribbler(void *path)
{
	struct comap_u64 *words;
	uint64_t count;

	open_as(path, 0);
	PROC_REQUIRE_OK(comap__heap_make_writable(region));
	words = (void *)(region->writable + region->identity->heap_offset_bytes);
	count = comap_u64_load_acquire(&region->control->heap_committed_bytes) / 8;
	proc_await(READY, 3);
	for (unsigned i = 0; i < SCRIBBLES; i++) {
		uint64_t word = proc_random_below(4) ? comap_u64_load_relaxed(&words[proc_random_below(count)])
		                                     : proc_random() >> proc_random_below(64);

		comap_u64_store_relaxed(&words[proc_random_below(count)], word ^ proc_random_below(2));
		if (i % 1000 == 0)
			usleep(1000); /* the others go on in between */
	}
	proc_post(STOP);
	return 0; /* its seat is left as by a death */
}

static uint64_t touch(const void *data, size_t size_bytes)
{
	const volatile unsigned char *bytes = data;
	uint64_t sum = 0;

	for (size_t i = 0; i < size_bytes; i += 64)
		sum += bytes[i];
	return sum;
}

static void look_once(bool is_guest, uint64_t key)
{
	static char buffer[1000];
	struct comap_view view;
	uint64_t begun_ns = comap_now_ns();
	int code;

	if (is_guest) {
		code = comap_table_get(table, &key, sizeof key, buffer, sizeof buffer, NULL);
		PROC_REQUIRE(code == 0 || code == -ENOENT || code == -ENOBUFS || code == -EAGAIN);
	} else {
		COMAP_READ(region) {
			view = comap_table_view(table, &key, sizeof key);
			if (view.data)
				(void)touch(view.data, view.size_bytes);
		}
	}
	PROC_REQUIRE(comap_now_ns() - begun_ns < CALL_MS * 1000000ull);
}

static void walk_once(void)
{
	struct comap_table_walk *walk = comap_table_walk_begin(table);
	struct comap_table_entry entry;

	PROC_REQUIRE(walk);
	for (unsigned i = 0; i < KEYS * 4 && comap_table_walk_next(walk, &entry) == 1; i++)
		(void)(touch(entry.key, entry.key_bytes) + touch(entry.value, entry.value_bytes));
	comap_table_walk_end(walk);
}

static int look(bool is_guest)
{
	struct comap_check report;

	proc_post(READY);
	while (proc_point(STOP) == 0)
		for (unsigned i = 0; i < 1000; i++)
			look_once(is_guest, proc_random_below(KEYS));
	for (uint64_t key = 0; key < KEYS; key++)
		look_once(is_guest, key);
	walk_once();
	PROC_REQUIRE(comap_check(region, &report) == 1); /* it sees the damage, and comes back */
	return 0; /* closing would be repairing: the file is past that */
}

static int reader(void *path)
{
	open_as(path, 0);
	return look(false);
}

static int guest(void *path)
{
	open_as(path, COMAP_GUEST);
	return look(true);
}

/* What it writes lands anywhere, or is refused. */
static int writer(void *path)
{
	struct comap_fetch_options fetch = { .deadline_ns = 1 };
	static char buffer[1000];
	struct comap_turn turn;
	uint64_t key, begun_ns;

	open_as(path, 0);
	proc_post(READY);
	while (proc_point(STOP) == 0) {
		key = proc_random_below(KEYS * 2);
		begun_ns = comap_now_ns();
		switch (proc_random_below(5)) {
		case 0:
			(void)comap_table_remove(table, &key, sizeof key);
			break;
		case 1:
			if (comap_table_fetch(table, &key, sizeof key, &fetch, buffer, sizeof buffer, NULL, &turn) ==
			    COMAP_FETCH_YOURS)
				(void)comap_table_turn_put(&turn, buffer, key % 300);
			break;
		default:
			(void)comap_table_put(table, &key, sizeof key, buffer, key % 300);
		}
		PROC_REQUIRE(comap_now_ns() - begun_ns < CALL_MS * 1000000ull);
	}
	return 0;
}

static void scribble_beside_those_who_look(void)
{
	void *path = (void *)(uintptr_t)proc_path(PROC_SHM, "region");
	struct proc *players[4];

	proc_assert_ok(proc_spawn("maker", maker, path));
	players[0] = proc_spawn("reader", reader, path);
	players[1] = proc_spawn("guest", guest, path);
	players[2] = proc_spawn("scribbler", scribbler, path);
	players[3] = proc_spawn("writer", writer, path);
	for (unsigned i = 0; i < 4; i++)
		proc_assert_ok(players[i]);
}

static void test_scribbles_harm_nobody_who_looks(void **state)
{
	options.budget_bytes = 0;
	scribble_beside_those_who_look();
}

static void test_scribbles_over_a_cache_harm_nobody_who_looks(void **state)
{
	options.budget_bytes = 16u << 20;
	scribble_beside_those_who_look();
	options.budget_bytes = 0;
}

/* A stripe of one bucket, which no table has: its interval is all hashes, and its end is the beginning. */
static int walker(void *path)
{
	struct comap_table_walk *walk;
	struct comap_table_entry entry;
	unsigned met = 0;

	open_as(path, 0);
	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		comap_u64_store_relaxed(&table->stripes[i].shape, 1);
	walk = comap_table_walk_begin(table);
	PROC_REQUIRE(walk);
	while (comap_table_walk_next(walk, &entry) == 1)
		PROC_REQUIRE(++met <= KEYS);
	return 0; /* its seat is left as by a death */
}

static void test_a_walk_of_stripes_of_one_bucket_ends(void **state)
{
	void *path = (void *)(uintptr_t)proc_path(PROC_SHM, "region");

	proc_assert_ok(proc_spawn("maker", maker, path));
	proc_assert_ok(proc_spawn("walker", walker, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_scribbles_harm_nobody_who_looks),
		PROC_TEST(test_scribbles_over_a_cache_harm_nobody_who_looks),
		PROC_TEST(test_a_walk_of_stripes_of_one_bucket_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
