/* SPDX-License-Identifier: MIT */
/* Tables: views by the short way (keys to 16 bytes, in buckets of their own segment) and by the long one:
 * both must agree with comap_table_get(), which goes the long way only. */
#include "proc.h"

#include <comap.h>

#include <errno.h>
#include <string.h>

#define LENGTH_MAX 40u
#define FILLERS 4000u        /* enough that stripes have left their first four buckets */

static struct comap *region;
static struct comap_table *table;

static int open_table(void **state)
{
	if (proc_setup(state) != 0)
		return -1;
	region = comap_open(proc_path(PROC_SHM, "region"), COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	return table ? 0 : -1;
}

static int close_table(void **state)
{
	struct comap_check report;
	int code = comap_check(region, &report);

	comap_table_close(table);
	if (comap_close(region) != 0)
		code = -1;
	return proc_teardown(state) || code ? -1 : 0;
}

#define TABLE_TEST(function) cmocka_unit_test_setup_teardown(function, open_table, close_table)

static void fill(void)
{
	for (uint64_t i = 0; i < FILLERS; i++) {
		uint64_t key[3] = { i, ~i, i * 3 };

		assert_int_equal(comap_table_put(table, key, sizeof key, &i, sizeof i), 0);
	}
}

/* A key of `length` bytes, each length its own; byte `changed` is another one (length: none is). */
static void make_key(unsigned char *key, unsigned length, unsigned changed)
{
	for (unsigned i = 0; i < length; i++)
		key[i] = (unsigned char)(i * 17 + 3);
	if (changed < length)
		key[changed] ^= 0x80;
}

/* What the view says must be what get says. */
static bool agree(const void *key, size_t key_bytes)
{
	char copy[256];
	struct comap_view got = { 0 }, view = { 0 };
	int code = comap_table_get(table, key, key_bytes, copy, sizeof copy, &got);
	bool same;

	assert_true(code == 0 || code == -ENOENT);
	assert_int_equal(comap_read_begin(region), 0);
	view = comap_table_view(table, key, key_bytes);
	same = code ? view.data == NULL && view.size_bytes == 0 && view.version == 0
	            : view.data && view.size_bytes == got.size_bytes && view.version == got.version &&
	              memcmp(view.data, copy, got.size_bytes) == 0;
	assert_int_equal(comap_read_end(region), 0);
	assert_true(same);
	return code == 0;
}

static void test_keys_of_each_length_and_their_neighbours(void **state)
{
	unsigned char key[LENGTH_MAX];
	char value[100];

	fill();
	for (unsigned length = 1; length <= LENGTH_MAX; length++) {
		make_key(key, length, length);
		memset(value, (int)length, sizeof value);
		assert_int_equal(comap_table_put(table, key, length, value, length), 0);
	}
	for (unsigned length = 1; length <= LENGTH_MAX; length++)
		for (unsigned changed = 0; changed <= length; changed++) {
			make_key(key, length, changed);
			assert_int_equal(agree(key, length), changed == length);
		}
}

static void test_zeros_at_the_end_are_part_of_a_key(void **state)
{
	static const char zeros[LENGTH_MAX] = "a";

	fill();
	for (unsigned length = 1; length <= LENGTH_MAX; length += 2)
		assert_int_equal(comap_table_put(table, zeros, length, &length, sizeof length), 0);
	for (unsigned length = 1; length <= LENGTH_MAX; length++)
		assert_int_equal(agree(zeros, length), length % 2 == 1);
}

/* Mortal entries, counters and long values go the long way. */
static void test_other_entries_under_short_keys(void **state)
{
	char value[200] = "x";
	int64_t count;

	fill();
	assert_int_equal(comap_table_add(table, "counter", 7, 5, &count), 0);
	assert_int_equal(comap_table_put(table, "mortal", 6, value, 100), 0);
	assert_int_equal(comap_table_touch(table, "mortal", 6, 3600 * 1000000000ull), 0);
	assert_int_equal(comap_table_put(table, "empty", 5, NULL, 0), 0);
	assert_true(agree("counter", 7));
	assert_true(agree("mortal", 6));
	assert_true(agree("empty", 5));
	assert_int_equal(comap_table_remove(table, "empty", 5), 0);
	assert_false(agree("empty", 5));
}

static void test_each_entry_of_a_large_table(void **state)
{
	uint64_t count = 50000;

	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(comap_table_put(table, &i, sizeof i, &i, sizeof i), 0);
	for (uint64_t i = 0; i < count * 2; i++)
		assert_int_equal(agree(&i, sizeof i), i < count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(test_keys_of_each_length_and_their_neighbours),
		TABLE_TEST(test_zeros_at_the_end_are_part_of_a_key),
		TABLE_TEST(test_other_entries_under_short_keys),
		TABLE_TEST(test_each_entry_of_a_large_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
