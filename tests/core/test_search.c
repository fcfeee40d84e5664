/* SPDX-License-Identifier: MIT */
/* Search: counts and finds, against the C library's answers. */
#include <comap/search.h>

#include "files.h"

#include <stdlib.h>
#include <string.h>

static void counts_are_exact(void **state)
{
	unsigned char bytes[3000];

	for (unsigned round = 0; round < 300; round++) {
		size_t from = proc_random_below(100), size = proc_random_below(sizeof bytes - from);
		uint64_t count = 0;

		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = round % 10 == 0 ? 5 : (unsigned char)proc_random_below(7);
		for (size_t i = 0; i < size; i++)
			count += bytes[from + i] == 5;
		assert_int_equal(comap_bytes_count(bytes + from, size, 5), count);
	}
}

/* More than a lane can count before it is emptied. */
static void counts_do_not_wrap(void **state)
{
	enum { SIZE = 3 << 20 };
	unsigned char *bytes = malloc(SIZE);

	MUST(bytes);
	memset(bytes, '\n', SIZE);
	assert_int_equal(comap_bytes_count(bytes, SIZE, '\n'), SIZE);
	free(bytes);
}

/* Against memmem, in exactly allocated memory: AddressSanitizer sees a byte read beyond it. */
static void finds_what_memmem_finds(void **state)
{
	for (unsigned round = 0; round < 4000; round++) {
		size_t size = proc_random_below(400), literal_bytes = proc_random_below(8);
		unsigned char *bytes = malloc(size ? size : 1), literal[8];
		struct comap_finder finder;

		MUST(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = (unsigned char)("ab q"[proc_random_below(4)]);
		for (size_t i = 0; i < literal_bytes; i++)
			literal[i] = (unsigned char)("ab q"[proc_random_below(4)]);
		assert_ptr_equal(comap_bytes_find(bytes, size, literal, literal_bytes),
		                 memmem(bytes, size, literal, literal_bytes));
		comap_finder_init(&finder, literal, literal_bytes, bytes, size);
		assert_ptr_equal(comap_finder_next(&finder, bytes, size),
		                 memmem(bytes, size, literal, literal_bytes));
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(counts_are_exact),
		PROC_TEST(counts_do_not_wrap),
		PROC_TEST(finds_what_memmem_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
