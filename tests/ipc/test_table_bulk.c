/* SPDX-License-Identifier: MIT */
/* Bulk loads: what readers and writers see before and after, versions, what is refused; after a death the
 * next one goes on; after each test the checker looks through the whole region. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READY, GO };
enum { MANY = 20000 };

static struct comap *region;
static struct comap_table *table;

static int open_table(void **state)
{
	int code = proc_setup(state);

	if (code)
		return code;
	region = comap_open(proc_path(PROC_SHM, "region"), COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	return table ? 0 : -1;
}

static int close_table(void **state)
{
	struct comap_check report;
	int code = comap_check(region, &report);

	if (code)
		print_error("the checker: %s\n", code == 1 ? report.first_flaw : comap_error_text());
	comap_table_close(table);
	if (comap_close(region) != 0)
		code = -1;
	return proc_teardown(state) || code ? -1 : 0;
}

#define BULK_TEST(function) cmocka_unit_test_setup_teardown(function, open_table, close_table)

/* --- small helpers ---------------------------------------------------------------------------- */

static int put(uint64_t key, uint64_t value)
{
	return comap_table_put(table, &key, sizeof key, &value, sizeof value);
}

static uint64_t get(uint64_t key)
{
	uint64_t value = 0;

	return comap_table_get(table, &key, sizeof key, &value, sizeof value, NULL) == 0 ? value : 0;
}

static uint64_t version_of(uint64_t key)
{
	struct comap_view view = { 0 };
	uint64_t value;

	return comap_table_get(table, &key, sizeof key, &value, sizeof value, &view) == 0 ? view.version : 0;
}

static int bulk_put(struct comap_bulk *bulk, uint64_t key, uint64_t value)
{
	return comap_table_bulk_put(bulk, &key, sizeof key, &value, sizeof value);
}

static struct comap_bulk *filled(uint64_t first, uint64_t count, uint64_t value, uint64_t expected)
{
	struct comap_bulk *bulk = comap_table_bulk_begin(table, expected);

	for (uint64_t i = first; bulk && i < first + count; i++)
		if (bulk_put(bulk, i, value) != 0)
			return NULL;
	return bulk;
}

/* --- what is seen ----------------------------------------------------------------------------- */

static void test_nothing_before_everything_after(void **state)
{
	struct comap_bulk *bulk;
	struct comap_table_stats stats;

	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(put(i, 1), 0);
	bulk = filled(50, MANY, 2, MANY);
	assert_non_null(bulk);
	assert_int_equal(comap_table_bulk_count(bulk), MANY);
	assert_int_equal(comap_table_count(table), 100);
	assert_int_equal(get(10), 1);
	assert_int_equal(get(60), 1);
	assert_int_equal(get(MANY), 0);
	assert_int_equal(put(7, 3), 0);
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	assert_int_equal(comap_table_count(table), MANY);
	assert_int_equal(get(7), 0); /* written before the commit: replaced */
	for (uint64_t i = 50; i < 50 + MANY; i++)
		assert_int_equal(get(i), 2);
	assert_int_equal(put(7, 4), 0);
	assert_int_equal(get(7), 4);
	assert_int_equal(comap_table_stats(table, &stats), 0);
	assert_int_equal(stats.writes, 100 + 1 + MANY + 1); /* the gap between the sides is not counted */
}

static void test_again_and_again(void **state)
{
	for (uint64_t round = 1; round <= 12; round++) {
		uint64_t count = round % 3 == 0 ? 0 : 300 * round;
		struct comap_bulk *bulk = filled(0, count, round, round % 2 ? count : 0);

		assert_non_null(bulk);
		assert_int_equal(comap_table_bulk_commit(bulk), 0);
		assert_int_equal(comap_table_count(table), count);
		for (uint64_t i = 0; i < count; i++)
			assert_int_equal(get(i), round);
		assert_int_equal(get(count), 0);
	}
}

static void test_abort_changes_nothing(void **state)
{
	struct comap_bulk *bulk;
	struct comap_check before, after;

	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(put(i, 1), 0);
	assert_int_equal(comap_check(region, &before), 0);
	bulk = filled(0, MANY, 2, 0);
	assert_non_null(bulk);
	comap_table_bulk_abort(bulk);
	comap_table_bulk_abort(NULL);
	assert_int_equal(comap_table_count(table), 100);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(get(i), 1);
	assert_int_equal(comap_synchronize(region), 0);
	assert_int_equal(comap_check(region, &after), 0);
	assert_int_equal(after.published_bytes, before.published_bytes);
}

static void test_last_put_stays(void **state)
{
	struct comap_bulk *bulk = filled(0, 1000, 1, 10);

	for (uint64_t i = 0; i < 1000; i += 2)
		assert_int_equal(bulk_put(bulk, i, 2), 0);
	assert_int_equal(comap_table_bulk_count(bulk), 1000);
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(get(i), i % 2 ? 1 : 2);
}

static void test_versions_grow(void **state)
{
	struct comap_bulk *bulk;
	uint64_t version = 0;

	/* More writes to one key than the distance at which the other side begins. */
	bulk = filled(0, 2000, 1, 0);
	for (unsigned i = 0; i < (1u << 20) + 1000; i++)
		assert_int_equal(put(5, i + 1), 0);
	version = version_of(5);
	assert_true(version > 1u << 20);
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	assert_int_equal(get(5), 1);
	assert_true(version_of(5) > version);
	version = version_of(5);
	assert_int_equal(put(5, 2), 0);
	assert_true(version_of(5) > version);
	version = version_of(5);
	assert_int_equal(comap_table_bulk_commit(filled(0, 10, 3, 0)), 0);
	assert_true(version_of(5) > version);
}

static void test_times_to_live(void **state)
{
	struct comap_bulk *bulk = comap_table_bulk_begin(table, 2);
	struct comap_table_write write = {
		.key = "short", .key_bytes = 5, .value = "x", .value_bytes = 1, .ttl_ns = 30000000,
	};

	assert_int_equal(comap_table_bulk_write(bulk, &write), 0);
	assert_int_equal(comap_table_bulk_put(bulk, "long", 4, "x", 1), 0);
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	assert_int_equal(comap_table_contains(table, "short", 5), 1);
	usleep(60000);
	assert_int_equal(comap_table_contains(table, "short", 5), 0);
	assert_int_equal(comap_table_contains(table, "long", 4), 1);
}

/* --- walks ------------------------------------------------------------------------------------ */

static void test_walk_goes_on_with_the_new(void **state)
{
	struct comap_table_walk *walk;
	struct comap_table_entry entry;
	static unsigned char met[1000];
	unsigned before = 0, after = 0;
	uint64_t key;
	bool swapped = false;

	memset(met, 0, sizeof met);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(put(i, 1), 0);
	walk = comap_table_walk_begin(table);
	while (comap_table_walk_next(walk, &entry) == 1) {
		memcpy(&key, entry.key, sizeof key);
		assert_int_equal(met[key]++, 0); /* none twice, though all are new */
		if (*(const uint64_t *)entry.value == 1)
			before++;
		else
			after++;
		if (before == 500 && !swapped) {
			assert_int_equal(comap_table_bulk_commit(filled(0, 1000, 2, 1000)), 0);
			swapped = true;
		}
	}
	comap_table_walk_end(walk);
	assert_int_equal(before + after, 1000);
	assert_true(after > 400);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
	struct comap_bulk *bulk;
	struct comap *guest;
	struct comap_table *look;
	char path[256];

	assert_null(comap_table_bulk_begin(NULL, 1));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_ARGUMENT);
	assert_int_equal(comap_table_bulk_commit(NULL), -EINVAL);
	assert_int_equal(comap_table_bulk_count(NULL), -EINVAL);
	assert_int_equal(comap_table_bulk_put(NULL, "k", 1, "v", 1), -EINVAL);
	bulk = comap_table_bulk_begin(table, 0);
	assert_int_equal(comap_table_bulk_put(bulk, "k", 0, "v", 1), -EINVAL);
	assert_int_equal(comap_table_bulk_put(bulk, "k", 1, NULL, 1), -EINVAL);
	assert_null(comap_table_bulk_begin(table, 0)); /* one at a time, in one process too */
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_ROLE);
	assert_non_null(strstr(comap_error_text(), "one at a time"));
	comap_table_bulk_abort(bulk);
	snprintf(path, sizeof path, "%s", proc_path(PROC_SHM, "guests"));
	comap_close(comap_open(path, COMAP_CREATE));
	guest = comap_open(path, COMAP_CREATE);
	comap_table_close(comap_table_open(guest, "t", NULL));
	comap_close(guest);
	guest = comap_open(path, COMAP_GUEST);
	look = comap_table_open(guest, "t", NULL);
	assert_null(comap_table_bulk_begin(look, 0));
	assert_int_equal(comap_last_error()->code, ENOTCONN);
	comap_table_close(look);
	comap_close(guest);
}

static int use_in_a_child(void *arg)
{
	PROC_REQUIRE(comap_table_bulk_put(arg, "k", 1, "v", 1) == -ECHILD);
	PROC_REQUIRE(comap_table_bulk_commit(arg) == -ECHILD);
	comap_table_bulk_abort(arg);
	return 0;
}

static void test_a_child_has_no_part_in_it(void **state)
{
	struct comap_bulk *bulk = filled(0, 10, 1, 0);

	proc_assert_ok(proc_spawn("child", use_in_a_child, bulk));
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	assert_int_equal(comap_table_count(table), 10);
}

static int full(void *arg)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *small;
	uint64_t i = 0;
	int code = 0;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 4u << 20;
	small = comap_open_with(proc_path(PROC_SHM, "small"), &options);
	table = small ? comap_table_open(small, "t", NULL) : NULL;
	PROC_REQUIRE(table);
	for (uint64_t k = 0; k < 100; k++)
		PROC_REQUIRE_OK(put(k, 1));
	for (int round = 0; round < 3; round++) {
		struct comap_bulk *bulk = comap_table_bulk_begin(table, 0);

		PROC_REQUIRE(bulk);
		for (i = 0, code = 0; code == 0 && i < 1000000; i++)
			code = bulk_put(bulk, i, 2);
		PROC_REQUIRE(code == -ENOSPC && i > 1000);
		comap_table_bulk_abort(bulk);
		PROC_REQUIRE(get(5) == 1 && comap_table_count(table) == 100);
	}
	PROC_REQUIRE(comap_table_bulk_begin(table, 1u << 30) == NULL);
	PROC_REQUIRE(comap_last_error()->code == ENOSPC);
	for (uint64_t k = 0; k < 1000; k++)
		PROC_REQUIRE_OK(put(k, 1));
	PROC_REQUIRE_OK(comap_synchronize(small));
	check_alone(small);
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(small));
	return 0;
}

static void test_full_region(void **state)
{
	proc_assert_ok(proc_spawn("full", full, NULL));
}

/* --- others die and stop ---------------------------------------------------------------------- */

static const char *shared_path;

/* Opened anew: a child of the test has no seat of its parent's. */
static void open_again(void)
{
	region = comap_open(shared_path, COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	PROC_REQUIRE(table);
}

static int load_and_wait(void *arg)
{
	struct comap_bulk *bulk;

	open_again();
	for (uint64_t i = 0; i < 1000; i++)
		PROC_REQUIRE_OK(put(i, 1));
	bulk = filled(0, 5000, 2, 5000);
	PROC_REQUIRE(bulk);
	proc_post(READY);
	pause();
	return 0;
}

static int named_while_alive(void *arg)
{
	open_again();
	PROC_REQUIRE(comap_table_bulk_begin(table, 0) == NULL);
	PROC_REQUIRE(comap_last_error()->code == EBUSY && comap_last_error()->seat >= 0);
	PROC_REQUIRE(get(1) == 1 && put(1, 1) == 0);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Ordinary writers free what the dead loader had built. */
static int writers_free_it(void *arg)
{
	struct comap_check report;

	open_again();
	PROC_REQUIRE(get(1) == 1 && comap_table_count(table) == 1000);
	for (uint64_t i = 0; i < 200000; i++)
		PROC_REQUIRE_OK(put(i % 1000, 1));
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	PROC_REQUIRE_OK(comap_check(region, &report));
	/* 1,000 entries and their buckets; not 5,000 more, which take at least 64 bytes each */
	PROC_REQUIRE(report.published_bytes < 5000 * 64);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int next_loads(void *arg)
{
	open_again();
	PROC_REQUIRE(comap_table_count(table) == 1000);
	PROC_REQUIRE_OK(comap_table_bulk_commit(filled(0, 3000, 3, 0)));
	PROC_REQUIRE(comap_table_count(table) == 3000 && get(2999) == 3);
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void a_loader_dies_and(int (*then)(void *))
{
	struct proc *loader;

	shared_path = proc_path(PROC_SHM, "shared");
	loader = proc_spawn("loader", load_and_wait, NULL);

	proc_await(READY, 1);
	if (then == named_while_alive) {
		proc_signal(loader, SIGSTOP);
		proc_assert_ok(proc_spawn("next", then, NULL));
		proc_continue(loader);
	}
	proc_signal(loader, SIGKILL);
	assert_int_equal(proc_wait(loader), -SIGKILL);
	proc_release(loader);
	if (then != named_while_alive)
		proc_assert_ok(proc_spawn("next", then, NULL));
}

static void test_a_loader_that_is_stopped_is_named(void **state) { a_loader_dies_and(named_while_alive); }
static void test_writers_free_what_a_dead_one_built(void **state) { a_loader_dies_and(writers_free_it); }
static void test_the_next_load_goes_on(void **state) { a_loader_dies_and(next_loads); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BULK_TEST(test_nothing_before_everything_after),
		BULK_TEST(test_again_and_again),
		BULK_TEST(test_abort_changes_nothing),
		BULK_TEST(test_last_put_stays),
		BULK_TEST(test_versions_grow),
		BULK_TEST(test_times_to_live),
		BULK_TEST(test_walk_goes_on_with_the_new),
		BULK_TEST(test_refusals),
		BULK_TEST(test_a_child_has_no_part_in_it),
		PROC_TEST(test_full_region),
		PROC_TEST(test_a_loader_that_is_stopped_is_named),
		PROC_TEST(test_writers_free_what_a_dead_one_built),
		PROC_TEST(test_the_next_load_goes_on),
	};

	return cmocka_run_group_tests_name("bulk loads", tests, NULL, NULL);
}
