/* SPDX-License-Identifier: MIT */
/* Tables: threads over one mapping, reading and writing while the table grows from nothing. This is what
 * ThreadSanitizer can see: built with -Db_sanitize=thread it finds a missing order where a storm finds
 * nothing. Otherwise it is one more test of the same claims. */
#include "blob.h"
#include "proc.h"

#include <comap.h>

#include "one_view.h"

#include <pthread.h>

enum { WRITERS = 2, READERS = 2, KEYS = 6000, PASSES = 4, WORDS = 6 };

static struct comap *region;
static struct comap_table *table;
static struct comap_u64 failures, writers_left, written[WRITERS];

static void fails(bool wrong)
{
	if (wrong)
		comap_u64_add_relaxed(&failures, 1); /* relaxed: a count, read after the join */
}

/* Number `key` of writer `self` is written in the order of the keys, over and over; some go. */
static void *write_keys(void *arg)
{
	uint64_t self = (uint64_t)(uintptr_t)arg, blob[WORDS], i = 0;

	for (unsigned pass = 0; pass < PASSES; pass++)
		for (uint64_t key = self; key < KEYS; key += WRITERS, i++) {
			blob_fill(blob, sizeof blob, key << 32 | pass);
			fails(comap_table_put(table, &key, sizeof key, blob, sizeof blob) != 0);
			if (pass == 0)
				comap_u64_store_release(&written[self], i + 1);
			if (key % 7 == 6)
				fails(comap_table_remove(table, &key, sizeof key) != 0);
			fails(comap_table_add(table, "sum", 3, 1, NULL) != 0);
		}
	comap_u64_add_acq_rel(&writers_left, (uint64_t)-1);
	return NULL;
}

/* A key that has been written and is not among those that go is there, whole. */
static void *read_keys(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg + 1;

	while (comap_u64_load_acquire(&writers_left) > 0) {
		uint64_t self = (seed = seed * 6364136223846793005ull + 1442695040888963407ull) >> 33 & 1;
		uint64_t count = comap_u64_load_acquire(&written[self]);
		uint64_t key = count ? (seed >> 34) % count * WRITERS + self : 0;

		if (count == 0)
			continue;
		COMAP_READ(region) {
			struct comap_view view = comap_table_view(table, &key, sizeof key);

			fails(!view.data && key % 7 != 6);
			fails(view.data && (!blob_whole(view.data, view.size_bytes) ||
			                    blob_number(view.data) >> 32 != key));
		}
	}
	return NULL;
}

static void test_threads_over_one_mapping(void **state)
{
	pthread_t threads[WRITERS + READERS];
	int64_t sum = 0;

	comap__one_view = true;
	region = comap_open(proc_path(PROC_SHM, "region"), COMAP_CREATE);
	assert_non_null(region);
	table = comap_table_open(region, "t", NULL);
	assert_non_null(table);
	comap_u64_store_relaxed(&writers_left, WRITERS); /* relaxed: before the threads */
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? write_keys : read_keys,
		                                (void *)i), 0);
	for (unsigned i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(comap_u64_load_relaxed(&failures), 0);
	assert_int_equal(comap_table_add(table, "sum", 3, 0, &sum), 0);
	assert_int_equal(sum, PASSES * KEYS);
	assert_int_equal(comap_table_count(table), KEYS - KEYS / 7 + 1);
	comap_table_close(table);
	assert_int_equal(comap_close(region), 0);
}

static void *nothing(void *arg) { return arg; }

int main(void)
{
	pthread_t thread;

	const struct CMUnitTest tests[] = {
		PROC_TEST(test_threads_over_one_mapping),
	};

	/* ThreadSanitizer starts a thread of its own with the first one: before the kit counts them. */
	if (pthread_create(&thread, NULL, nothing, NULL) == 0)
		pthread_join(thread, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
