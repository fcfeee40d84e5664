/* SPDX-License-Identifier: MIT */
/* Payload that shows whether it is whole: every word is a mix of the payload's number and of the
 * word's place, so that two versions differ in every word and no word fits another place. */
#ifndef COMAP_TESTS_KIT_BLOB_H
#define COMAP_TESTS_KIT_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t blob__word(uint64_t number, size_t index)
{
	return (number + index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ number;
}

/* `size_bytes` is a multiple of 8, at least 8. The number stands in the first word. */
static inline void blob_fill(void *bytes, size_t size_bytes, uint64_t number)
{
	uint64_t *words = bytes;

	words[0] = number;
	for (size_t i = 1; i < size_bytes / sizeof *words; i++)
		words[i] = blob__word(number, i);
}

static inline uint64_t blob_number(const void *bytes)
{
	return *(const uint64_t *)bytes;
}

static inline bool blob_whole(const void *bytes, size_t size_bytes)
{
	const uint64_t *words = bytes;

	for (size_t i = 1; i < size_bytes / sizeof *words; i++)
		if (words[i] != blob__word(words[0], i))
			return false;
	return true;
}

#endif
