/* SPDX-License-Identifier: MIT */
/* What the command prints of bytes that it does not trust: JSON stays JSON, terminals stay whole. */
#include "out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct odd {
	double numbers[6];
	float one;
	char text[16];
	int64_t least;
	uint64_t most;
};
COMAP_FIELDS(struct odd,
	COMAP_FIELD(f64, numbers),
	COMAP_FIELD(f32, one),
	COMAP_FIELD(str, text),
	COMAP_FIELD(i64, least),
	COMAP_FIELD(u64, most));

/* Standard output goes into a file from begin to end, and then is compared. */
static FILE *captured;
static int stdout_fd;

static void capture(void)
{
	fflush(stdout);
	captured = tmpfile();
	assert_non_null(captured);
	stdout_fd = dup(STDOUT_FILENO);
	assert_true(stdout_fd >= 0);
	assert_true(dup2(fileno(captured), STDOUT_FILENO) >= 0);
}

static void assert_printed(const char *expected)
{
	char text[2048];
	size_t length;

	fflush(stdout);
	assert_true(dup2(stdout_fd, STDOUT_FILENO) >= 0);
	close(stdout_fd);
	rewind(captured);
	length = fread(text, 1, sizeof text - 1, captured);
	text[length] = '\0';
	fclose(captured);
	assert_string_equal(text, expected);
}

static void print_odd(struct out *out)
{
	const struct comap_type *type = COMAP_TYPE(struct odd);
	const struct odd odd = {
		{ NAN, INFINITY, -INFINITY, 1e300, -0.5, 0 }, NAN,
		{ '"', '\\', '\n', 0x1b, (char)0xc3, (char)0xa4, (char)0xff, (char)0xc2, (char)0x9b,
		  (char)0xe2, (char)0x82 },
		INT64_MIN, UINT64_MAX
	};

	out_begin(out);
	for (uint32_t i = 0; i < type->field_count; i++)
		out_field(out, &type->fields[i], &odd);
	out_end(out);
}

static void test_fields_are_json(void **state)
{
	struct out out = { .json = true };

	(void)state;
	capture();
	print_odd(&out);
	assert_printed("{\"numbers\": [null, null, null, 1.0000000000000001e+300, -0.5, 0], "
	               "\"one\": null, "
	               "\"text\": \"\\\"\\\\\\u000a\\u001b\xc3\xa4\\u00ff\\u00c2\\u009b"
	               "\\u00e2\\u0082\", "
	               "\"least\": -9223372036854775808, \"most\": 18446744073709551615}\n");
}

static void test_fields_are_lines(void **state)
{
	struct out out = { 0 };

	(void)state;
	capture();
	print_odd(&out);
	assert_printed("numbers              [nan, inf, -inf, 1.0000000000000001e+300, -0.5, 0]\n"
	               "one                  nan\n"
	               "text                 \"\\\"\\\\\\u000a\\u001b\xc3\xa4\\u00ff\\u00c2\\u009b"
	               "\\u00e2\\u0082\"\n"
	               "least                -9223372036854775808\n"
	               "most                 18446744073709551615\n");
}

static void print_list(struct out *out)
{
	static const struct out_column columns[] = { { "NAME", false }, { "SIZE", true } };

	out_begin(out);
	out_list_begin(out, "rows", columns, 2);
	for (int i = 0; i < 2; i++) {
		out_row(out);
		out_text(out, "name", i ? "b\x1b[2J\"" : "a");
		out_bytes(out, "size_bytes", i ? 1536 : 10);
		out_row_end(out);
	}
	out_list_end(out);
	if (out->json)
		out_none(out, "after");
	out_end(out);
}

static void test_a_list_is_a_table_or_an_array(void **state)
{
	struct out json = { .json = true }, text = { .headings = true }, plain = { .exact = true };

	(void)state;
	capture();
	print_list(&json);
	assert_printed("{\"rows\": [{\"name\": \"a\", \"size_bytes\": 10}, "
	               "{\"name\": \"b\\\\x1b[2J\\\"\", \"size_bytes\": 1536}], "
	               "\"after\": null}\n");
	capture();
	print_list(&text);
	assert_printed("NAME      SIZE\n"
	               "a           10\n"
	               "b\\x1b[2J\" 1.5K\n");
	capture();
	print_list(&plain);
	assert_printed("a           10\n"
	               "b\\x1b[2J\" 1536\n");
}

static void test_values_of_each_kind(void **state)
{
	struct out json = { .json = true }, text = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct out *out = i ? &text : &json;

		capture();
		out_begin(out);
		out_text(out, "nothing", NULL);
		out_bool(out, "is_so", true);
		out_time(out, "when_ns", 1500000000123456789u);
		out_time(out, "never_ns", 0);
		out_object_begin(out, "inner");
		out_u64(out, "number_of_it", 7);
		out_object_end(out);
		out_hex(out, "hex", "\x00\xff", 2);
		out_end(out);
		assert_printed(i ? "nothing              -\n"
		                   "is so                yes\n"
		                   "when                 2017-07-14T02:40:00.123Z\n"
		                   "never                -\n"
		                   "number of it         7\n"
		                 : "{\"nothing\": null, \"is_so\": true, "
		                   "\"when_ns\": 1500000000123456789, \"never_ns\": null, "
		                   "\"inner\": {\"number_of_it\": 7}, \"hex\": \"00ff\"}\n");
	}
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1K" }, { 1536, "1.5K" }, { 4362376, "4.2M" },
		{ 200ull << 20, "200M" }, { (200ull << 20) + 1, "200M" }, { 64ull << 30, "64G" },
		{ 1ull << 40, "1T" }, { UINT64_MAX, "16.0E" },
	};
	char text[24];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		out_size(text, sizeof text, rows[i].bytes);
		assert_string_equal(text, rows[i].text);
	}
}

/* Every string of up to three bytes: what is taken for UTF-8 is what a strict reading takes. */
static void test_utf8(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1u << 24; i++) {
		const unsigned char at[3] = { (unsigned char)(i >> 16), (unsigned char)(i >> 8),
		                              (unsigned char)i };
		size_t length = out_utf8_length(at, sizeof at);
		bool two = at[0] >= 0xc2 && at[0] <= 0xdf && at[1] >= 0x80 && at[1] <= 0xbf &&
		           !(at[0] == 0xc2 && at[1] < 0xa0);
		bool three = (at[0] & 0xf0) == 0xe0 && (at[1] & 0xc0) == 0x80 &&
		             (at[2] & 0xc0) == 0x80 && !(at[0] == 0xe0 && at[1] < 0xa0) &&
		             !(at[0] == 0xed && at[1] >= 0xa0);
		size_t expected = at[0] < 0x80 ? at[0] >= 0x20 && at[0] != 0x7f : two ? 2
		                : three ? 3 : 0;

		if (length != expected)
			fail_msg("%02x %02x %02x: %zu, not %zu", at[0], at[1], at[2], length, expected);
	}
	assert_int_equal(out_utf8_length((const unsigned char *)"\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(out_utf8_length((const unsigned char *)"\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(out_utf8_length((const unsigned char *)"\xf0\x8f\xbf\xbf", 4), 0);
	assert_int_equal(out_utf8_length((const unsigned char *)"\xf4\x90\x80\x80", 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_json),
		cmocka_unit_test(test_fields_are_lines),
		cmocka_unit_test(test_a_list_is_a_table_or_an_array),
		cmocka_unit_test(test_values_of_each_kind),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests_name("out", tests, NULL, NULL);
}
