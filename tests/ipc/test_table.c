/* SPDX-License-Identifier: MIT */
/* Tables: each operation against what its header says, growth, walks, time, guests, a full region; after
 * each test the checker looks through the whole region. */
#include "proc.h"

#include <comap.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

#define TABLE_TEST(function) cmocka_unit_test_setup_teardown(function, open_table, close_table)

/* --- small helpers ---------------------------------------------------------------------------- */

static int put(const char *key, const char *value)
{
	return comap_table_put(table, key, strlen(key), value, strlen(value));
}

static const char *get(const char *key)
{
	static char buffer[100];
	struct comap_view view;

	if (comap_table_get(table, key, strlen(key), buffer, sizeof buffer - 1, &view) != 0)
		return NULL;
	buffer[view.size_bytes] = 0;
	return buffer;
}

static uint64_t version_of(const char *key)
{
	uint64_t version = 0;

	COMAP_READ(region)
		version = comap_table_view(table, key, strlen(key)).version;
	return version;
}

static int put_number(uint64_t number, uint64_t value)
{
	return comap_table_put(table, &number, sizeof number, &value, sizeof value);
}

static bool get_number(uint64_t number, uint64_t *ret_value)
{
	return comap_table_get(table, &number, sizeof number, ret_value, sizeof *ret_value, NULL) == 0;
}

/* --- the operations --------------------------------------------------------------------------- */

static void test_put_get_remove(void **state)
{
	assert_null(get("a"));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NOT_FOUND);
	assert_int_equal(comap_table_contains(table, "a", 1), 0);
	assert_int_equal(put("a", "one"), 0);
	assert_int_equal(put("b", ""), 0);
	assert_string_equal(get("a"), "one");
	assert_string_equal(get("b"), "");
	assert_int_equal(comap_table_contains(table, "b", 1), 1);
	assert_int_equal(put("a", "another"), 0);
	assert_string_equal(get("a"), "another");
	assert_int_equal(comap_table_count(table), 2);
	assert_int_equal(comap_table_remove(table, "a", 1), COMAP_TABLE_DONE);
	assert_int_equal(comap_table_remove(table, "a", 1), COMAP_TABLE_MISSING);
	assert_null(get("a"));
	assert_int_equal(comap_table_count(table), 1);
}

static void test_view_holds_while_the_section_lasts(void **state)
{
	struct comap_view view;

	assert_int_equal(put("k", "first"), 0);
	assert_null(comap_table_view(table, "k", 1).data); /* outside of a section */
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_ARGUMENT);
	COMAP_READ(region) {
		view = comap_table_view(table, "k", 1);
		assert_int_equal(view.size_bytes, 5);
		assert_int_equal((uintptr_t)view.data % 8, 0);
		for (int i = 0; i < 100; i++)
			assert_int_equal(put("k", "other"), 0);
		assert_memory_equal(view.data, "first", 5);
		assert_memory_equal(comap_table_view(table, "k", 1).data, "other", 5);
	}
}

static void test_conditional_writes(void **state)
{
	uint64_t version;

	assert_int_equal(comap_table_replace(table, "k", 1, "x", 1), COMAP_TABLE_MISSING);
	assert_int_equal(comap_table_cas(table, "k", 1, 0, "x", 1), COMAP_TABLE_MISSING);
	assert_int_equal(comap_table_insert(table, "k", 1, "1", 1), COMAP_TABLE_DONE);
	assert_int_equal(comap_table_insert(table, "k", 1, "2", 1), COMAP_TABLE_EXISTS);
	assert_string_equal(get("k"), "1");
	version = version_of("k");
	assert_int_equal(comap_table_cas(table, "k", 1, version + 1, "3", 1), COMAP_TABLE_CHANGED);
	assert_int_equal(comap_table_cas(table, "k", 1, version, "3", 1), COMAP_TABLE_DONE);
	assert_int_equal(comap_table_cas(table, "k", 1, version, "4", 1), COMAP_TABLE_CHANGED);
	assert_string_equal(get("k"), "3");
	assert_true(version_of("k") > version);
	version = version_of("k");
	assert_int_equal(comap_table_remove(table, "k", 1), 0);
	assert_int_equal(comap_table_insert(table, "k", 1, "5", 1), 0);
	assert_true(version_of("k") > version); /* also after a removal */
	assert_int_equal(comap_table_replace(table, "k", 1, "6", 1), 0);
	assert_string_equal(get("k"), "6");
}

static void test_write_tells_the_version(void **state)
{
	struct comap_table_write write = { "k", 1, "v", 1, COMAP_TABLE_INSERT, 0, 0 };
	uint64_t first = 0, second = 0;

	assert_int_equal(comap_table_write(table, &write, &first), 0);
	assert_true(first > 0);
	assert_int_equal(comap_table_write(table, &write, &second), COMAP_TABLE_EXISTS);
	assert_int_equal(second, first);
	assert_int_equal(version_of("k"), first);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 1, 7, 8, 9, 100, 255, 256, 257, 5000, 70000, 1 << 20 };
	size_t count = sizeof sizes / sizeof sizes[0];
	char *key = malloc(2 << 20), *value = malloc(2 << 20), *copy = malloc(2 << 20);
	struct comap_view view;

	for (size_t k = 0; k < count; k++)
		for (size_t v = 0; v < count; v++) {
			memset(key, 'a' + (int)v, sizes[k]);
			memset(value, 'A' + (int)k, sizes[v]);
			assert_int_equal(comap_table_put(table, key, sizes[k], value, sizes[v]), 0);
		}
	assert_int_equal(comap_table_count(table), count * count);
	for (size_t k = 0; k < count; k++)
		for (size_t v = 0; v < count; v++) {
			memset(key, 'a' + (int)v, sizes[k]);
			memset(value, 'A' + (int)k, sizes[v]);
			assert_int_equal(comap_table_get(table, key, sizes[k], copy, 2 << 20, &view), 0);
			assert_int_equal(view.size_bytes, sizes[v]);
			assert_memory_equal(copy, value, sizes[v]);
		}
	assert_int_equal(comap_table_get(table, key, sizes[count - 1], copy, 10, &view), -ENOBUFS);
	assert_int_equal(view.size_bytes, sizes[count - 1]);
	free(key);
	free(value);
	free(copy);
}

static void test_refuses_what_makes_no_sense(void **state)
{
	struct comap_table_write write = { "k", 1, "v", 1, 9, 0, 0 };

	assert_int_equal(comap_table_put(NULL, "k", 1, "v", 1), -EINVAL);
	assert_int_equal(comap_table_put(table, NULL, 1, "v", 1), -EINVAL);
	assert_int_equal(comap_table_put(table, "k", 0, "v", 1), -EINVAL);
	assert_int_equal(comap_table_put(table, "k", COMAP_TABLE_KEY_MAX_BYTES + 1, "v", 1), -EINVAL);
	assert_int_equal(comap_table_put(table, "k", 1, NULL, 1), -EINVAL);
	assert_int_equal(comap_table_put(table, "k", 1, "v", COMAP_TABLE_VALUE_MAX_BYTES + 1), -EMSGSIZE);
	assert_int_equal(comap_table_write(table, &write, NULL), -EINVAL);
	assert_int_equal(comap_table_get(NULL, "k", 1, NULL, 0, NULL), -EINVAL);
	assert_int_equal(comap_table_remove(NULL, "k", 1), -EINVAL);
	assert_int_equal(comap_table_clear(NULL), -EINVAL);
	assert_int_equal(comap_table_count(NULL), -EINVAL);
	assert_null(comap_table_walk_begin(NULL));
	assert_null(comap_table_open(region, NULL, NULL));
	comap_table_close(NULL);
	comap_table_walk_end(NULL);
	assert_null(comap_value_open(region, "t", NULL)); /* a table is no value */
}

/* --- an oracle -------------------------------------------------------------------------------- */

#define ORACLE_KEYS 5000u

static uint64_t oracle[ORACLE_KEYS]; /* 0: not there */

static void oracle_step(uint64_t key)
{
	uint64_t value = proc_random() | 1, there = oracle[key];

	switch (proc_random_below(8)) {
	case 0:
	case 1:
	case 2:
		assert_int_equal(put_number(key, value), 0);
		oracle[key] = value;
		break;
	case 3:
		assert_int_equal(comap_table_insert(table, &key, sizeof key, &value, sizeof value),
		                 there ? COMAP_TABLE_EXISTS : COMAP_TABLE_DONE);
		oracle[key] = there ? there : value;
		break;
	case 4:
		assert_int_equal(comap_table_replace(table, &key, sizeof key, &value, sizeof value),
		                 there ? COMAP_TABLE_DONE : COMAP_TABLE_MISSING);
		oracle[key] = there ? value : 0;
		break;
	case 5:
		assert_int_equal(comap_table_remove(table, &key, sizeof key),
		                 there ? COMAP_TABLE_DONE : COMAP_TABLE_MISSING);
		oracle[key] = 0;
		break;
	default:
		assert_int_equal(get_number(key, &value), there != 0);
		if (there)
			assert_int_equal(value, there);
	}
}

static void test_random_operations_agree_with_an_oracle(void **state)
{
	uint64_t value;
	int64_t count = 0;

	memset(oracle, 0, sizeof oracle);
	for (int i = 0; i < 100000; i++)
		oracle_step(proc_random_below(ORACLE_KEYS));
	for (uint64_t key = 0; key < ORACLE_KEYS; key++) {
		assert_int_equal(get_number(key, &value), oracle[key] != 0);
		if (oracle[key])
			assert_int_equal(value, oracle[key]);
		count += oracle[key] != 0;
	}
	assert_int_equal(comap_table_count(table), count);
}

/* --- growth and many -------------------------------------------------------------------------- */

static void test_grows_and_keeps_everything(void **state)
{
	struct comap_table_stats stats;
	uint64_t value, count = 60000;

	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(put_number(i, i * 7), 0);
	assert_int_equal(comap_table_stats(table, &stats), 0);
	assert_int_equal(stats.entries, count);
	assert_int_equal(stats.stored_bytes, count * 16);
	assert_true(stats.buckets >= count / 7);
	assert_true(stats.buckets <= count);
	for (uint64_t i = 0; i < count; i++) {
		assert_true(get_number(i, &value));
		assert_int_equal(value, i * 7);
	}
	for (uint64_t i = count; i < count + 1000; i++)
		assert_false(get_number(i, &value));
}

static void test_view_many_agrees_with_view(void **state)
{
	static uint64_t numbers[1000];
	static struct comap_key keys[1000];
	static struct comap_view views[1000];
	int there = 0;

	for (uint64_t i = 0; i < 2000; i += 2)
		assert_int_equal(put_number(i, i), 0);
	for (unsigned i = 0; i < 1000; i++) {
		numbers[i] = proc_random_below(2000);
		keys[i] = (struct comap_key){ &numbers[i], sizeof numbers[i] };
		there += numbers[i] % 2 == 0;
	}
	assert_int_equal(comap_table_view_many(table, 1000, keys, views), -EINVAL);
	COMAP_READ(region) {
		assert_int_equal(comap_table_view_many(table, 1000, keys, views), there);
		for (unsigned i = 0; i < 1000; i++)
			assert_ptr_equal(views[i].data, comap_table_view(table, &numbers[i], 8).data);
	}
}

/* --- walks ------------------------------------------------------------------------------------ */

static unsigned seen[200000];

static uint64_t walk_all(void)
{
	struct comap_table_walk *walk = comap_table_walk_begin(table);
	struct comap_table_entry entry;
	uint64_t count = 0, key, value;
	int code;

	assert_non_null(walk);
	memset(seen, 0, sizeof seen);
	while ((code = comap_table_walk_next(walk, &entry)) == 1) {
		assert_int_equal(entry.key_bytes, 8);
		assert_int_equal(entry.value_bytes, 8);
		memcpy(&key, entry.key, 8);
		memcpy(&value, entry.value, 8);
		assert_true(key < sizeof seen / sizeof seen[0]);
		assert_int_equal(value, key + 1);
		seen[key]++;
		count++;
		/* The table grows under the walk: three new ones for each that it meets. */
		if (key < 20000)
			for (uint64_t i = 0; i < 3; i++)
				assert_int_equal(put_number(20000 + key * 3 + i, 20000 + key * 3 + i + 1), 0);
	}
	assert_int_equal(code, 0);
	comap_table_walk_end(walk);
	return count;
}

static void test_walk_meets_each_entry_once_while_the_table_grows(void **state)
{
	assert_int_equal(walk_all(), 0);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(put_number(i, i + 1), 0);
	assert_true(walk_all() >= 20000);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(seen[i], 1);
	for (uint64_t i = 20000; i < 80000; i++)
		assert_true(seen[i] <= 1);
	assert_int_equal(walk_all(), 80000);
	for (uint64_t i = 0; i < 80000; i++)
		assert_int_equal(seen[i], 1);
}

static void test_clear(void **state)
{
	uint64_t value;

	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(put_number(i, i), 0);
	assert_int_equal(comap_table_clear(table), 0);
	assert_int_equal(comap_table_count(table), 0);
	assert_false(get_number(17, &value));
	assert_int_equal(put_number(17, 1), 0);
	assert_true(get_number(17, &value));
}

/* --- time ------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static int put_for_ms(const char *key, uint64_t ms)
{
	struct comap_table_write write = {
		key, strlen(key), "v", 1, COMAP_TABLE_PUT, 0, ms ? ms * 1000000 : COMAP_TTL_NONE
	};

	return comap_table_write(table, &write, NULL);
}

static void test_time_to_live(void **state)
{
	assert_int_equal(put_for_ms("short", 30), 0);
	assert_int_equal(put_for_ms("long", 600000), 0);
	assert_int_equal(put("ever", "v"), 0);
	assert_string_equal(get("short"), "v");
	pause_ms(60);
	assert_null(get("short"));
	assert_int_equal(comap_table_contains(table, "short", 5), 0);
	assert_string_equal(get("long"), "v");
	assert_string_equal(get("ever"), "v");
	assert_int_equal(comap_table_replace(table, "short", 5, "w", 1), COMAP_TABLE_MISSING);
	assert_int_equal(comap_table_insert(table, "short", 5, "w", 1), COMAP_TABLE_DONE);
	assert_string_equal(get("short"), "w");
	assert_int_equal(comap_table_count(table), 3);
}

static void test_touch(void **state)
{
	uint64_t version;

	assert_int_equal(comap_table_touch(table, "k", 1, 1), COMAP_TABLE_MISSING);
	assert_int_equal(put("k", "v"), 0);
	version = version_of("k");
	assert_int_equal(comap_table_touch(table, "k", 1, 30000000), 0); /* it had no place for a time */
	assert_int_equal(version_of("k"), version);
	assert_int_equal(comap_table_touch(table, "k", 1, COMAP_TTL_NONE), 0);
	pause_ms(60);
	assert_string_equal(get("k"), "v");
	assert_int_equal(comap_table_touch(table, "k", 1, 30000000), 0);
	pause_ms(60);
	assert_null(get("k"));
	assert_int_equal(comap_table_touch(table, "k", 1, 30000000), COMAP_TABLE_MISSING);
}

static void test_default_time_to_live(void **state)
{
	assert_int_equal(comap_table_set_default_ttl(table, 30000000), 0);
	assert_int_equal(put("k", "v"), 0);
	assert_int_equal(put_for_ms("own", 600000), 0);
	assert_int_equal(put_for_ms("ever", 0), 0);
	pause_ms(60);
	assert_null(get("k"));
	assert_string_equal(get("own"), "v");
	assert_string_equal(get("ever"), "v");
	assert_int_equal(comap_table_set_default_ttl(table, COMAP_TTL_NONE), 0);
	assert_int_equal(put("k", "v"), 0);
	pause_ms(60);
	assert_string_equal(get("k"), "v");
}

static void test_writers_take_expired_entries_away(void **state)
{
	struct comap_table_stats stats;
	char key[20];

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(put_for_ms(key, 20), 0);
	}
	pause_ms(50);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(put_for_ms("one", 600000 + (uint64_t)i), 0);
	for (int i = 0; i < 40000; i++) {
		snprintf(key, sizeof key, "n%d", i % 2000);
		assert_int_equal(put(key, "v"), 0);
	}
	assert_int_equal(comap_table_stats(table, &stats), 0);
	assert_int_equal(stats.expired, 2000);
	assert_int_equal(stats.entries, 2001);
}

/* --- counters --------------------------------------------------------------------------------- */

static void test_counters(void **state)
{
	int64_t sum = 0;
	uint64_t stored;

	assert_int_equal(comap_table_add(table, "hits", 4, 5, &sum), 0);
	assert_int_equal(sum, 5);
	assert_int_equal(comap_table_add(table, "hits", 4, -7, &sum), 0);
	assert_int_equal(sum, -2);
	assert_int_equal(comap_table_get(table, "hits", 4, &stored, sizeof stored, NULL), 0);
	assert_int_equal((int64_t)stored, -2);
	assert_int_equal(put("text", "12345678"), 0);
	assert_int_equal(comap_table_add(table, "text", 4, 1, NULL), -EPROTOTYPE);
	assert_int_equal(comap_table_touch(table, "hits", 4, 30000000), 0);
	pause_ms(60);
	assert_int_equal(comap_table_add(table, "hits", 4, 1, &sum), 0);
	assert_int_equal(sum, 1); /* it had expired: a new one */
}

/* --- types, guests, space --------------------------------------------------------------------- */

struct price { double bid; double ask; };
COMAP_FIELDS(struct price, COMAP_FIELD(f64, bid), COMAP_FIELD(f64, ask));
struct other { uint64_t bid; };
COMAP_FIELDS(struct other, COMAP_FIELD(u64, bid));

static void test_types(void **state)
{
	struct comap_table *prices = comap_table_open(region, "prices", COMAP_TYPE(struct price));
	struct price price = { 1.5, 1.75 };

	assert_non_null(prices);
	assert_null(comap_table_open(region, "prices", COMAP_TYPE(struct other)));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TYPE);
	assert_int_equal(comap_table_put(prices, "x", 1, &price, 3), -EMSGSIZE);
	assert_int_equal(comap_table_put(prices, "x", 1, &price, sizeof price), 0);
	comap_table_close(prices);
}

static int guest(void *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table_entry entry;
	struct comap_table_walk *walk;
	struct comap_table *looked;
	struct comap *look;
	uint64_t key = 41, value = 0, count = 0;

	options.flags = COMAP_GUEST;
	look = comap_open_with(path, &options);
	PROC_REQUIRE(look);
	looked = comap_table_open(look, "t", NULL);
	PROC_REQUIRE(looked);
	PROC_REQUIRE_OK(comap_table_get(looked, &key, 8, &value, 8, NULL));
	PROC_REQUIRE(value == 42);
	PROC_REQUIRE(comap_table_contains(looked, "no", 2) == 0);
	PROC_REQUIRE(comap_table_count(looked) == 1000);
	PROC_REQUIRE(comap_table_put(looked, "k", 1, "v", 1) == -ENOTCONN);
	PROC_REQUIRE(comap_table_remove(looked, "k", 1) == -ENOTCONN);
	PROC_REQUIRE(!comap_table_view(looked, "k", 1).data);
	walk = comap_table_walk_begin(looked);
	PROC_REQUIRE(walk);
	while (comap_table_walk_next(walk, &entry) == 1)
		count++;
	PROC_REQUIRE(count == 1000);
	comap_table_walk_end(walk);
	comap_table_close(looked);
	return comap_close(look);
}

static void test_guests(void **state)
{
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(put_number(i, i + 1), 0);
	proc_assert_ok(proc_spawn("guest", guest, (void *)(uintptr_t)proc_path(PROC_SHM, "region")));
}

static void test_full_is_an_error_and_nothing_is_lost(void **state)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap_table *small_table;
	struct comap *small;
	struct comap_check report;
	static char value[1000];
	uint64_t key, count;
	int code = 0;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 4 << 20;
	small = comap_open_with(proc_path(PROC_SHM, "small"), &options);
	assert_non_null(small);
	small_table = comap_table_open(small, "t", NULL);
	assert_non_null(small_table);
	for (key = 0; code == 0; key++)
		code = comap_table_put(small_table, &key, 8, value, sizeof value);
	assert_int_equal(code, -ENOSPC);
	count = key - 1;
	assert_true(count > 2000);
	assert_int_equal(comap_table_count(small_table), count);
	for (key = 0; key < count; key++)
		assert_int_equal(comap_table_contains(small_table, &key, 8), 1);
	for (key = 0; key < 100; key++)
		assert_int_equal(comap_table_remove(small_table, &key, 8), 0);
	for (key = 0; key < 50; key++)
		assert_int_equal(comap_table_put(small_table, &key, 8, value, sizeof value), 0);
	assert_int_equal(comap_check(small, &report), 0);
	comap_table_close(small_table);
	assert_int_equal(comap_close(small), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(test_put_get_remove),
		TABLE_TEST(test_view_holds_while_the_section_lasts),
		TABLE_TEST(test_conditional_writes),
		TABLE_TEST(test_write_tells_the_version),
		TABLE_TEST(test_sizes),
		TABLE_TEST(test_refuses_what_makes_no_sense),
		TABLE_TEST(test_random_operations_agree_with_an_oracle),
		TABLE_TEST(test_grows_and_keeps_everything),
		TABLE_TEST(test_view_many_agrees_with_view),
		TABLE_TEST(test_walk_meets_each_entry_once_while_the_table_grows),
		TABLE_TEST(test_clear),
		TABLE_TEST(test_time_to_live),
		TABLE_TEST(test_touch),
		TABLE_TEST(test_default_time_to_live),
		TABLE_TEST(test_writers_take_expired_entries_away),
		TABLE_TEST(test_counters),
		TABLE_TEST(test_types),
		TABLE_TEST(test_guests),
		TABLE_TEST(test_full_is_an_error_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
