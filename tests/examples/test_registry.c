/* SPDX-License-Identifier: MIT */
/* The published registry: built, searched, compared row by row with the oracle, damaged. */
#include "common/file.h"
#include "common/histogram.h"
#include "registry/build.h"
#include "registry/oracle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define REAL_FOLDER "/usr/share/ieee-data"

/* Builds into a fresh block; the caller frees *ret_block. */
static int make(const char *text, size_t size_bytes, const char *key, void **ret_block,
                struct registry *ret_registry)
{
	struct registry_plan plan;
	char problem[160] = "";
	int result = registry_plan(&plan, text, size_bytes, ',', key, problem, sizeof problem);

	if (result != 0) {
		assert_true(strlen(problem) > 0);
		return result;
	}
	*ret_block = malloc(plan.header.total_bytes);
	assert_non_null(*ret_block);
	memset(*ret_block, 0xa5, plan.header.total_bytes); /* a reserved block is not clean */
	registry_build(&plan, *ret_block);
	assert_int_equal(registry_open(ret_registry, *ret_block, plan.header.total_bytes), 0);
	return 0;
}

static void compare_row(const struct registry *registry, const struct oracle *oracle, uint32_t row)
{
	struct registry_text key = registry_key(registry, row);
	uint32_t found = registry_find(registry, key.data, key.size_bytes);
	long record = oracle_find(oracle, key.data, key.size_bytes);

	assert_int_equal(found, record); /* the first of its key, for both */
	while (found < row)
		found = registry_next_same(registry, found);
	assert_int_equal(found, row);    /* the chain leads to each row */
	for (uint32_t column = 0; column < registry->column_count; column++) {
		struct registry_text text = registry_cell(registry, row, column);

		assert_non_null(text.data);
		assert_true(oracle_cell_is(oracle, row, column, text.data, text.size_bytes));
	}
}

static void compare_with_oracle(const char *text, size_t size_bytes, const char *key)
{
	struct registry registry;
	struct oracle *oracle;
	void *block;

	assert_int_equal(make(text, size_bytes, key, &block, &registry), 0);
	assert_int_equal(registry_verify(&registry), 0);
	oracle = oracle_from_text(text, size_bytes, ',', registry.key_column);
	assert_non_null(oracle);
	assert_int_equal(registry.row_count, oracle_record_count(oracle));
	for (uint32_t row = 0; row < registry.row_count; row++)
		compare_row(&registry, oracle, row);
	assert_int_equal(registry_find(&registry, "no such key", 11), REGISTRY_NO_ROW);
	assert_int_equal(oracle_find(oracle, "no such key", 11), -1);
	oracle_close(oracle);
	free(block);
}

static void test_real_registries(void **state)
{
	static const char *const names[] = { "oui.csv", "iab.csv", "mam.csv", "oui36.csv" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct file_text file;
		char path[128];

		snprintf(path, sizeof path, REAL_FOLDER "/%s", names[i]);
		if (file_read(path, &file) != 0) {
			print_message("%s is not here\n", path);
			skip();
		}
		compare_with_oracle(file.data, file.size_bytes, NULL);
		free(file.data);
	}
}

static void test_awkward_tables(void **state)
{
	static const char *const texts[] = {
		"k\n", "k,v\n", "k\na\nb\n", "k,v\na,1\na,2\nb,3\na,4\n", "k,v,w\na\nb,1,2,3,4\n,,\n",
		"\xef\xbb\xbfk,v\r\n\"a\"\"b\",\"c\r\nd\"\r\n", "k,v\n\"\",1\n,2\n", "k,k\na,b\n",
		"k,v\n\"a\"x,1\nax,2\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		compare_with_oracle(texts[i], strlen(texts[i]), NULL);
}

/* Random texts from the few characters that matter: whatever one accepts, both read alike. */
static void test_random_texts(void **state)
{
	static const char alphabet[] = "ab,,\n\n\"\"\r";
	uint64_t random = 20260101;
	unsigned compared = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct registry registry;
		char text[40];
		size_t size;
		void *block;

		random = random * 6364136223846793005u + 1442695040888963407u;
		size = (random >> 40) % sizeof text;
		for (size_t i = 0; i < size; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			text[i] = alphabet[(random >> 40) % (sizeof alphabet - 1)];
		}
		if (make(text, size, NULL, &block, &registry) != 0)
			continue;
		free(block);
		compare_with_oracle(text, size, NULL);
		compared++;
	}
	assert_true(compared > 2000);
}

static void test_one_key_for_all(void **state)
{
	size_t size = 0, rows = 50000;
	char *text = malloc(rows * 16 + 16);

	(void)state;
	assert_non_null(text);
	size += (size_t)sprintf(text, "k,v\n");
	for (size_t i = 0; i < rows; i++)
		size += (size_t)sprintf(text + size, "same,%zu\n", i);
	struct registry registry;
	void *block;
	uint32_t row, seen = 0;

	assert_int_equal(make(text, size, "k", &block, &registry), 0);
	for (row = registry_find(&registry, "same", 4); row != REGISTRY_NO_ROW;
	     row = registry_next_same(&registry, row))
		assert_int_equal(row, seen++);
	assert_int_equal(seen, rows);
	free(block);
	free(text);
}

static void test_key_column(void **state)
{
	const char *text = "a,Assignment,c\n1,2,3\n";
	struct registry registry;
	void *block;

	(void)state;
	assert_int_equal(make(text, strlen(text), NULL, &block, &registry), 0);
	assert_int_equal(registry.key_column, 1); /* the default has a name */
	free(block);
	assert_int_equal(make(text, strlen(text), "c", &block, &registry), 0);
	assert_int_equal(registry_find(&registry, "3", 1), 0);
	assert_int_equal(registry_find(&registry, "2", 1), REGISTRY_NO_ROW);
	assert_int_equal(registry_column(&registry, "Assignment"), 1);
	assert_int_equal(registry_column(&registry, "none"), -1);
	free(block);
	assert_int_equal(make(text, strlen(text), "d", &block, &registry), -EBADMSG);
	assert_int_equal(make("", 0, NULL, &block, &registry), -EBADMSG);
	assert_int_equal(make("k\n\"open", 7, NULL, &block, &registry), -EBADMSG);
}

/* Every byte of a small registry, bent: the checksum notices, and no search leaves the block (the
 * sanitizers' build would see it). */
static void test_each_damaged_byte_is_noticed(void **state)
{
	const char *text = "k,v\na,1\nb,22\na,333\n\"c,\",4\n";
	struct registry registry, bent;
	void *block;

	(void)state;
	assert_int_equal(make(text, strlen(text), NULL, &block, &registry), 0);
	size_t size = registry.header->total_bytes;
	unsigned char *copy = malloc(size);

	assert_non_null(copy);
	for (size_t at = 0; at < size; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, block, size);
			copy[at] ^= (unsigned char)(1u << bit);
			if (registry_open(&bent, copy, size) != 0)
				continue;
			assert_int_equal(registry_verify(&bent), -EBADMSG);
			(void)registry_find(&bent, "a", 1);
			(void)registry_find(&bent, "zz", 2);
			for (uint32_t row = 0; row < bent.row_count; row++)
				(void)registry_cell(&bent, row, registry_next_same(&bent, row) & 1);
		}
	}
	free(copy);
	free(block);
}

static void test_short_block_is_refused(void **state)
{
	const char *text = "k,v\na,1\n";
	struct registry registry;
	void *block;

	(void)state;
	assert_int_equal(make(text, strlen(text), NULL, &block, &registry), 0);
	for (size_t size = 0; size < registry.header->total_bytes; size++)
		assert_int_equal(registry_open(&registry, block, size), -EBADMSG);
	assert_int_equal(registry_open(&registry, NULL, 100), -EBADMSG);
	free(block);
}

static void test_histogram(void **state)
{
	static struct histogram histogram, twice;

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 5000), 0);
	for (uint64_t value = 1; value <= 100000; value++)
		histogram_record(&histogram, value);
	assert_int_equal(histogram_count(&histogram), 100000);
	/* never too low, at most 1/32 too high */
	for (uint32_t q = 1; q <= 10000; q += 7) {
		uint64_t exact = q * 10, got = histogram_quantile(&histogram, q);

		assert_in_range(got, exact, exact + exact / 31 + 1);
	}
	histogram_add(&twice, &histogram);
	histogram_add(&twice, &histogram);
	assert_int_equal(histogram_count(&twice), 200000);
	histogram_record(&twice, UINT64_MAX);
	assert_true(histogram_quantile(&twice, 10000) >= (1ull << HISTOGRAM_MAX_BITS) - 1);
	for (uint64_t bits = 0; bits < 64; bits++)
		assert_true(histogram_bucket(1ull << bits) < HISTOGRAM_BUCKETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_registries),
		cmocka_unit_test(test_awkward_tables),
		cmocka_unit_test(test_random_texts),
		cmocka_unit_test(test_one_key_for_all),
		cmocka_unit_test(test_key_column),
		cmocka_unit_test(test_each_damaged_byte_is_noticed),
		cmocka_unit_test(test_short_block_is_refused),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
