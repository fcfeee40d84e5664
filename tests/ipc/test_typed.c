/* SPDX-License-Identifier: MIT */
/* Tables of records: each macro of table_typed.h; readers with an older field list; values that are no
 * records. What the compiler must refuse is typed_refused.sh. */
#include "proc.h"

#include <comap.h>
#include <comap/table_typed.h>

#include <errno.h>
#include <string.h>

struct price { double bid, ask; uint64_t at_ns; };
COMAP_FIELDS(struct price, COMAP_FIELD(f64, bid), COMAP_FIELD(f64, ask), COMAP_FIELD(u64, at_ns));

/* As programs of yesterday know it. */
struct bid { double bid; };
static const struct comap_field bid_fields[] = { { "bid", COMAP_KIND_f64, 0, 8 } };
static const struct comap_type yesterdays = { "struct price", 8, 8, 1, bid_fields };

struct other { uint64_t ask; };
COMAP_FIELDS(struct other, COMAP_FIELD(u64, ask));

struct instrument { uint32_t market, number; };

static struct comap *region;
static struct comap_table *prices;

static int open_prices(void **state)
{
	int code = proc_setup(state);

	if (code)
		return code;
	region = comap_open(proc_path(PROC_SHM, "region"), COMAP_CREATE);
	prices = region ? COMAP_TABLE_OPEN_AS(struct price, region, "prices") : NULL;
	return prices ? 0 : -1;
}

static int close_prices(void **state)
{
	comap_table_close(prices);
	return comap_close(region) || proc_teardown(state) ? -1 : 0;
}

static void test_records_by_their_type(void **state)
{
	const struct instrument key = { 7, 42 };
	struct price now = { 1.25, 1.5, 17 }, found = { 0 };
	uint64_t version = 0;

	assert_int_equal(COMAP_TABLE_GET_AS(struct price, prices, &key, &found), -ENOENT);
	assert_int_equal(COMAP_TABLE_REPLACE_AS(struct price, prices, &key, &now), COMAP_TABLE_MISSING);
	assert_int_equal(COMAP_TABLE_PUT_AS(struct price, prices, &key, &now), 0);
	assert_int_equal(COMAP_TABLE_INSERT_AS(struct price, prices, &key, &now), COMAP_TABLE_EXISTS);
	COMAP_READ(region) {
		const struct price *p = COMAP_TABLE_VIEW_AS(struct price, prices, &key);

		assert_non_null(p);
		assert_true(p->bid == 1.25 && p->ask == 1.5 && p->at_ns == 17);
		version = comap_table_view(prices, &key, sizeof key).version;
	}
	now.bid = 2;
	assert_int_equal(COMAP_TABLE_CAS_AS(struct price, prices, &key, version + 1, &now),
	                 COMAP_TABLE_CHANGED);
	assert_int_equal(COMAP_TABLE_CAS_AS(struct price, prices, &key, version, &now), 0);
	assert_int_equal(COMAP_TABLE_GET_AS(struct price, prices, &key, &found), 0);
	assert_memory_equal(&found, &now, sizeof now);
	assert_int_equal(COMAP_TABLE_REMOVE_AS(struct price, prices, &key), 0);
	COMAP_READ(region)
		assert_null(COMAP_TABLE_VIEW_AS(struct price, prices, &key));
}

static void test_a_bulk_load_by_its_type(void **state)
{
	const struct instrument key = { 7, 42 };
	const struct price now = { 1.25, 1.5, 17 };
	struct comap_bulk *bulk = comap_table_bulk_begin(prices, 0);
	struct price found = { 0 };

	assert_non_null(bulk);
	assert_int_equal(COMAP_TABLE_BULK_PUT_AS(struct price, bulk, &key, &now), 0);
	assert_int_equal(comap_table_bulk_put(bulk, &key, sizeof key, &now, sizeof now - 1), -EMSGSIZE);
	assert_int_equal(comap_table_bulk_commit(bulk), 0);
	assert_int_equal(COMAP_TABLE_GET_AS(struct price, prices, &key, &found), 0);
	assert_memory_equal(&found, &now, sizeof now);
}

/* The same name in the same process is the same handle; the list is checked at each open. */
static void test_the_open_compares_the_lists(void **state)
{
	struct comap_table *older = comap_table_open(region, "prices", &yesterdays);
	struct price now = { 1.25, 1.5, 17 };
	struct bid found = { 0 };
	uint64_t key = 9;

	assert_non_null(older);
	assert_int_equal(COMAP_TABLE_PUT_AS(struct price, prices, &key, &now), 0);
	assert_int_equal(COMAP_TABLE_GET_AS(struct bid, older, &key, &found), 0);
	assert_true(found.bid == 1.25);
	COMAP_READ(region)
		assert_true(COMAP_TABLE_VIEW_AS(struct bid, older, &key)->bid == 1.25);
	comap_table_close(older);
	assert_null(COMAP_TABLE_OPEN_AS(struct other, region, "prices"));
	assert_int_equal(comap_last_error()->code, EPROTOTYPE);
}

static void test_a_shorter_value_is_no_record(void **state)
{
	struct comap_table *bytes = comap_table_open(region, "bytes", NULL);
	struct price found;
	uint64_t key = 9;

	assert_int_equal(comap_table_put(bytes, &key, sizeof key, "short", 5), 0);
	assert_int_equal(COMAP_TABLE_GET_AS(struct price, bytes, &key, &found), -EPROTOTYPE);
	COMAP_READ(region)
		assert_null(COMAP_TABLE_VIEW_AS(struct price, bytes, &key));
	assert_int_equal(comap_table_put(prices, &key, sizeof key, "short", 5), -EMSGSIZE);
	assert_int_equal(comap_table_get_first(NULL, &key, sizeof key, &found, sizeof found), -EINVAL);
	assert_int_equal(comap_table_get_first(bytes, &key, sizeof key, NULL, 1), -EINVAL);
	assert_int_equal(comap_table_get_first(bytes, &key, 0, &found, 1), -EINVAL);
	comap_table_close(bytes);
}

static int no_such_key(void *context, const void *key, size_t key_bytes, void *buffer, size_t capacity_bytes,
                       size_t *ret_bytes)
{
	return 1;
}

static void test_what_the_source_has_not_is_not_there(void **state)
{
	struct price found;
	uint64_t key = 9;

	assert_int_equal(comap_table_get_or_compute(prices, &key, sizeof key, NULL, no_such_key, NULL, &found,
	                                            sizeof found, NULL), COMAP_FETCH_NEGATIVE);
	assert_int_equal(COMAP_TABLE_GET_AS(struct price, prices, &key, &found), -ENOENT);
}

/* A cache keeps what is read by its type, as it keeps what is read by comap_table_get(). */
static void test_a_record_that_is_read_is_in_use(void **state)
{
	struct comap_table_options options = { .budget_bytes = 1u << 20 };
	struct comap_table *cache = comap_table_open_with(region, "cache", COMAP_TYPE(struct price), &options);
	struct price now = { 1.25, 1.5, 17 }, found;
	uint64_t key, kept = 0;

	assert_non_null(cache);
	for (key = 0; key < 100; key++)
		assert_int_equal(COMAP_TABLE_PUT_AS(struct price, cache, &key, &now), 0);
	for (uint64_t other = 100; other < 40000; other++) {
		assert_int_equal(COMAP_TABLE_PUT_AS(struct price, cache, &other, &now), 0);
		if (other % 100 == 0)
			for (key = 0; key < 50; key++)
				COMAP_TABLE_GET_AS(struct price, cache, &key, &found);
	}
	for (key = 0; key < 50; key++)
		kept += COMAP_TABLE_GET_AS(struct price, cache, &key, &found) == 0;
	assert_int_equal(kept, 50);
	for (; key < 100; key++)
		assert_int_equal(COMAP_TABLE_GET_AS(struct price, cache, &key, &found), -ENOENT);
	comap_table_close(cache);
}

static int guest(void *path)
{
	struct comap *looking = comap_open(path, COMAP_GUEST);
	struct comap_table *table = looking ? COMAP_TABLE_OPEN_AS(struct price, looking, "prices") : NULL;
	struct price found;
	struct bid bid;
	uint64_t key = 9, none = 10;

	PROC_REQUIRE(table);
	PROC_REQUIRE_OK(COMAP_TABLE_GET_AS(struct price, table, &key, &found));
	PROC_REQUIRE(found.ask == 1.5);
	PROC_REQUIRE_OK(COMAP_TABLE_GET_AS(struct bid, table, &key, &bid));
	PROC_REQUIRE(bid.bid == 1.25);
	PROC_REQUIRE(COMAP_TABLE_GET_AS(struct price, table, &none, &found) == -ENOENT);
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(looking));
	return 0;
}

static int fresh_guest(void *path)
{
	return proc_exec("guest", path);
}

static void test_guests_copy_records(void **state)
{
	struct price now = { 1.25, 1.5, 17 };
	uint64_t key = 9;

	assert_int_equal(COMAP_TABLE_PUT_AS(struct price, prices, &key, &now), 0);
	proc_assert_ok(proc_spawn("guest", fresh_guest, (void *)(uintptr_t)proc_path(PROC_SHM, "region")));
}

#define TYPED_TEST(function) cmocka_unit_test_setup_teardown(function, open_prices, close_prices)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TYPED_TEST(test_records_by_their_type),
		TYPED_TEST(test_a_bulk_load_by_its_type),
		TYPED_TEST(test_the_open_compares_the_lists),
		TYPED_TEST(test_a_shorter_value_is_no_record),
		TYPED_TEST(test_what_the_source_has_not_is_not_there),
		TYPED_TEST(test_a_record_that_is_read_is_in_use),
		TYPED_TEST(test_guests_copy_records),
	};

	if (proc_executed())
		return guest(argv[2]);
	return cmocka_run_group_tests_name("typed", tests, NULL, NULL);
}
