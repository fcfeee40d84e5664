/* SPDX-License-Identifier: MIT */
/* The CSV reader, cell by cell, beside the oracle that must agree with it. */
#include "../../tools/common/csv.h"
#include "registry/oracle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* One text, and its records as the reader must give them: cells joined by '|', records by '/'. */
struct expectation {
	const char *text;
	const char *records;
};

static const struct expectation expectations[] = {
	{ "", "" },
	{ "\n\n\r\n", "" },
	{ "a", "a" },
	{ "a,b\nc,d\n", "a|b/c|d" },
	{ "a,b\r\nc,d", "a|b/c|d" },
	{ "a,b\n\n\r\nc,d\n\n", "a|b/c|d" },
	{ "\xef\xbb\xbf" "a,b\n", "a|b" },
	{ ",\n", "|" },
	{ "a,,\n,,\n", "a||/||" },
	{ "\"a\",\"b\"\n", "a|b" },
	{ "\"a,b\",c\n", "a,b|c" },
	{ "\"a\nb\",c\nd,e\n", "a\nb|c/d|e" },
	{ "\"a\r\nb\"\r\nc\r\n", "a\r\nb/c" },
	{ "\"say \"\"a\"\"\",b\n", "say \"a\"|b" },
	{ "\"\",\"\"\"\"\n", "|\"" },
	{ "a\"b,c\n", "a\"b|c" },
	{ "\"a\"b,c\n", "ab|c" },
	{ "\"a\"b\"c\",d\n", "ab\"c\"|d" },
	{ "a\rb,c\n", "a\rb|c" },
	{ "a,b\r", "a|b\r" },
	{ " a , b \n", " a | b " },
	{ "a,b,c\nd\ne,f,g,h\n", "a|b|c/d/e|f|g|h" },
};

/* Reads the whole text into the notation above; the result of the last csv_next(). */
static int join(const char *text, char *out, size_t size_bytes)
{
	struct csv_cell cells[8];
	struct csv csv;
	size_t count, used = 0;
	int result;

	csv_init(&csv, text, strlen(text), ',');
	while ((result = csv_next(&csv, cells, 8, &count)) > 0) {
		if (used > 0)
			out[used++] = '/';
		for (size_t i = 0; i < count; i++) {
			if (i > 0)
				out[used++] = '|';
			assert_true(used + csv_cell_bytes(&cells[i]) + 2 < size_bytes);
			csv_cell_copy(&cells[i], out + used);
			used += csv_cell_bytes(&cells[i]);
		}
	}
	out[used] = '\0';
	return result;
}

static void test_records(void **state)
{
	char got[256];

	(void)state;
	for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
		assert_int_equal(join(expectations[i].text, got, sizeof got), 0);
		assert_string_equal(got, expectations[i].records);
	}
}

/* The same cells from the oracle, which knows neither this reader nor its rules. */
static void test_oracle_agrees(void **state)
{
	struct csv_cell cells[8];
	char copy[64];

	(void)state;
	for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
		const char *text = expectations[i].text;
		struct oracle *oracle = oracle_from_text(text, strlen(text), ',', 0);
		struct csv csv;
		size_t count;
		long record = -1; /* the first one names the columns */

		assert_non_null(oracle);
		csv_init(&csv, text, strlen(text), ',');
		for (; csv_next(&csv, cells, 8, &count) > 0; record++) {
			for (unsigned column = 0; record >= 0 && column < count; column++) {
				size_t size = csv_cell_bytes(&cells[column]);

				csv_cell_copy(&cells[column], copy);
				assert_true(oracle_cell_is(oracle, record, column, copy, size));
				copy[size] = 'x';
				assert_false(oracle_cell_is(oracle, record, column, copy, size + 1));
			}
		}
		assert_int_equal(oracle_record_count(oracle), record < 0 ? 0 : record);
		oracle_close(oracle);
	}
}

static void test_open_quote_is_refused_with_its_line(void **state)
{
	struct csv_cell cells[4];
	struct csv csv;
	size_t count;
	const char *text = "a,b\n\"c\nd\",e\nf,\"g\nh";

	(void)state;
	csv_init(&csv, text, strlen(text), ',');
	assert_int_equal(csv_next(&csv, cells, 4, &count), 1);
	assert_int_equal(csv_next(&csv, cells, 4, &count), 1);
	assert_int_equal(csv_next(&csv, cells, 4, &count), -EBADMSG);
	assert_int_equal(csv.line, 4);
}

static void test_other_separators(void **state)
{
	struct csv_cell cells[4];
	struct csv csv;
	size_t count;
	const char *text = "a,b\tc\n";

	(void)state;
	csv_init(&csv, text, strlen(text), '\t');
	assert_int_equal(csv_next(&csv, cells, 4, &count), 1);
	assert_int_equal(count, 2);
	assert_true(csv_cell_is(&cells[0], "a,b", 3));
	assert_false(csv_cell_is(&cells[0], "a,", 2));
}

static void test_surplus_cells_are_counted_and_not_kept(void **state)
{
	struct csv_cell cells[2] = { { .raw = "untouched" } };
	struct csv csv;
	size_t count;

	(void)state;
	csv_init(&csv, "a,b,c", 5, ',');
	assert_int_equal(csv_next(&csv, cells, 1, &count), 1);
	assert_int_equal(count, 3);
	assert_null(cells[1].raw);
}

/* Found by fuzzing: a quoted cell of more than 256 bytes was not its own text. */
static void test_a_long_quoted_cell_is_its_text(void **state)
{
	char text[302], cell_text[300];
	struct csv_cell cell;
	struct csv csv;
	size_t count;

	(void)state;
	memset(text, 'a', sizeof text);
	memset(cell_text, 'a', sizeof cell_text);
	text[0] = text[301] = '"';
	csv_init(&csv, text, sizeof text, ',');
	assert_int_equal(csv_next(&csv, &cell, 1, &count), 1);
	assert_true(csv_cell_is(&cell, cell_text, 300));
	assert_false(csv_cell_is(&cell, cell_text, 299));
	cell_text[299] = 'b';
	assert_false(csv_cell_is(&cell, cell_text, 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_oracle_agrees),
		cmocka_unit_test(test_open_quote_is_refused_with_its_line),
		cmocka_unit_test(test_other_separators),
		cmocka_unit_test(test_surplus_cells_are_counted_and_not_kept),
		cmocka_unit_test(test_a_long_quoted_cell_is_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
