/* SPDX-License-Identifier: MIT */
/* What the benches of tables have in common: keys of 16 bytes, values of 100, and which comes next. */
#ifndef COMAP_BENCH_TABLE_WORK_H
#define COMAP_BENCH_TABLE_WORK_H

#include "../kit.h"

#include <string.h>

#define KEY_BYTES 16u
#define VALUE_BYTES 100u

struct key { uint64_t words[2]; };

static inline struct key key_of(uint64_t number)
{
	return (struct key){ { number * 0x9e3779b97f4a7c15ull + 1, ~number } };
}

/* xorshift: its next number does not wait for a look-up. */
static inline uint64_t random_step(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return (uint64_t)((unsigned __int128)random_step(state) * limit >> 64);
}

/* Looks at all of a value. */
static inline uint64_t sum(const void *value)
{
	uint64_t total = 0, word;

	for (unsigned i = 0; i + 8 <= VALUE_BYTES; i += 8) {
		memcpy(&word, (const char *)value + i, 8);
		total += word;
	}
	return total;
}

static inline void value_fill(char *value)
{
	for (unsigned i = 0; i < VALUE_BYTES; i++)
		value[i] = (char)(i * 7 + 1);
}

#endif
