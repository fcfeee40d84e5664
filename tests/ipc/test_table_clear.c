/* SPDX-License-Identifier: MIT */
/* Tables: clearing, which retires as fast as anything can. The ring of retired blocks fills; whether
 * readers stay or nobody reads, the call comes to an end. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { READING, ENOUGH };

#define ALARM_S 60              /* a call that does not return ends the test */

static struct comap *region;
static struct comap_table *table;

static void open_table(uint32_t thread_count)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 32 << 20;
	options.thread_count = thread_count;
	region = comap_open_with(proc_path(PROC_SHM, "region"), &options);
	assert_non_null(region);
	table = comap_table_open(region, "t", NULL);
	assert_non_null(table);
}

static void close_table(void)
{
	struct comap_check report;

	assert_int_equal(comap_check(region, &report), 0);
	comap_table_close(table);
	assert_int_equal(comap_close(region), 0);
}

static void put_from(uint64_t first, uint64_t count)
{
	for (uint64_t key = first; key < first + count; key++)
		assert_int_equal(comap_table_put(table, &key, sizeof key, &key, sizeof key), 0);
}

static int clear_all(void)
{
	int code;

	alarm(ALARM_S);
	code = comap_table_clear(table);
	alarm(0);
	return code;
}

static int reader_that_stays(void *arg)
{
	struct comap *look = comap_open(proc_path(PROC_SHM, "region"), 0);

	PROC_REQUIRE(look);
	PROC_REQUIRE_OK(comap_read_begin(look));
	proc_post(READING);
	proc_await(ENOUGH, 1);
	PROC_REQUIRE_OK(comap_read_end(look));
	return comap_close(look);
}

/* What is cleared is pinned, and there are few rings for it: an error that names the reader. */
static void test_a_reader_that_stays_is_named(void **state)
{
	struct proc *reader;

	open_table(4);
	put_from(0, 5000);
	reader = proc_spawn("reader", reader_that_stays, NULL);
	proc_await(READING, 1);
	assert_int_equal(clear_all(), -EBUSY);
	assert_true(comap_last_error()->seat >= 0);
	assert_true(comap_last_error()->seat != comap_seat_self(region));
	proc_post(ENOUGH);
	proc_assert_ok(reader);
	assert_int_equal(clear_all(), 0);
	assert_int_equal(comap_table_count(table), 0);
	close_table();
}

/* The section is the caller's own: the rings of other records take what it pins, as long as there are
 * such; then an error. */
static void test_within_ones_own_section(void **state)
{
	uint64_t key = 17, value;

	open_table(64);
	put_from(0, 5000);
	COMAP_READ(region) {
		struct comap_view view = comap_table_view(table, &key, sizeof key);

		assert_int_equal(clear_all(), 0);
		assert_memory_equal(view.data, &key, sizeof key);
	}
	assert_int_equal(comap_table_get(table, &key, sizeof key, &value, sizeof value, NULL), -ENOENT);
	close_table();
	remove(proc_path(PROC_SHM, "region"));
	open_table(4);
	put_from(0, 5000);
	COMAP_READ(region)
		assert_int_equal(clear_all(), -EBUSY);
	assert_int_equal(clear_all(), 0);
	close_table();
}

/* Nobody reads. The lengths of the chains are other ones each time, and so is what stands on the ring
 * when it is looked at: at no length may it stand full for ever. */
static void test_again_and_again(void **state)
{
	open_table(4);
	for (uint64_t round = 0; round < 300; round++) {
		put_from(round * 1500, 1500);
		assert_int_equal(clear_all(), 0);
	}
	assert_int_equal(comap_table_count(table), 0);
	close_table();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_reader_that_stays_is_named),
		PROC_TEST(test_within_ones_own_section),
		PROC_TEST(test_again_and_again),
	};

	return cmocka_run_group_tests_name("tables, cleared", tests, NULL, NULL);
}
