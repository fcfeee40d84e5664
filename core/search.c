/* SPDX-License-Identifier: MIT */
/* Search: count a byte, find a literal.
 *
 * A literal is looked for by two of its bytes, the rarest that it has: where both stand at their
 * distance the whole is compared. Rare is what text rarely contains, by class of character.
 *
 * Progress:   counting is linear; finding is linear in practice, size times literal at worst */
#include <comap/search.h>

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2 1
#endif

/* --- count -------------------------------------------------------------------------------- */

/* Vectors of bytes; the compiler makes of them what the machine has. A lane counts up to 255. */
typedef unsigned char lanes __attribute__((vector_size(32)));
#define LANES 32u
#define UNROLL 4u
#define ROUNDS_MAX 255u

static inline __attribute__((always_inline)) uint64_t lanes_sum(const lanes *counts)
{
	unsigned char each[LANES];
	uint64_t sum = 0;

	memcpy(each, counts, sizeof each);
	for (size_t i = 0; i < LANES; i++)
		sum += each[i];
	return sum;
}

/* One block of at most ROUNDS_MAX rounds; returns what it counted. */
static inline __attribute__((always_inline)) uint64_t count_block(const unsigned char *at,
                                                                  size_t rounds, unsigned char byte)
{
	lanes counts[UNROLL] = { 0 }, wanted = { 0 };
	uint64_t sum = 0;

	wanted += byte;
	for (size_t round = 0; round < rounds; round++, at += UNROLL * LANES)
		for (size_t i = 0; i < UNROLL; i++) {
			lanes found;

			memcpy(&found, at + i * LANES, sizeof found);
			/* Equal lanes are all ones, which is -1. */
			counts[i] -= (lanes)(found == wanted);
		}
	for (size_t i = 0; i < UNROLL; i++)
		sum += lanes_sum(&counts[i]);
	return sum;
}

static inline __attribute__((always_inline)) uint64_t count_all(const unsigned char *at,
                                                                uint64_t size_bytes,
                                                                unsigned char byte)
{
	uint64_t rounds = size_bytes / (UNROLL * LANES), count = 0;

	for (uint64_t left = rounds; left;) {
		size_t now = left < ROUNDS_MAX ? (size_t)left : ROUNDS_MAX;

		count += count_block(at, now, byte);
		at += now * UNROLL * LANES;
		left -= now;
	}
	for (size_t i = 0; i < size_bytes % (UNROLL * LANES); i++)
		count += at[i] == byte;
	return count;
}

#ifdef HAVE_AVX2
__attribute__((target("avx2"), optimize("O3")))
static uint64_t count_avx2(const unsigned char *at, uint64_t size_bytes, unsigned char byte)
{
	return count_all(at, size_bytes, byte);
}
#endif

__attribute__((optimize("O3")))
uint64_t comap_bytes_count(const void *bytes, uint64_t size_bytes, unsigned char byte)
{
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2"))
		return count_avx2(bytes, size_bytes, byte);
#endif
	return count_all(bytes, size_bytes, byte);
}

/* --- find --------------------------------------------------------------------------------- */

#ifdef HAVE_AVX2
/* How common a byte is in text and logs; the smaller the rarer. */
static unsigned commonness(unsigned char c)
{
	if (c == ' ' || c == '\n')
		return 10;
	if (memchr("etaoinsr", c, 8))
		return 9;
	if (c >= '0' && c <= '9')
		return 8;
	if (c >= 'a' && c <= 'z')
		return memchr("jqxzvkw", c, 7) ? 3 : 7;
	if (memchr("./:-\"=,[]()", c, 11))
		return 6;
	if (c >= 'A' && c <= 'Z')
		return 4;
	return c == 0 ? 8 : 2;
}

/* The places in the literal of its two rarest bytes, the same one twice where it has only one. */
static void pick_rare(const unsigned char *literal, size_t size, size_t *ret_first, size_t *ret_second)
{
	size_t first = 0, second = size - 1;

	for (size_t i = 1; i < size; i++)
		if (commonness(literal[i]) < commonness(literal[first]))
			first = i;
	if (second == first)
		second = 0;
	for (size_t i = 0; i < size; i++)
		if (i != first && literal[i] != literal[first] &&
		    commonness(literal[i]) < commonness(literal[second]))
			second = i;
	*ret_first = first;
	*ret_second = second;
}

__attribute__((target("avx2")))
static const unsigned char *check_candidates(const unsigned char *at, uint32_t mask,
                                             const unsigned char *literal, size_t size)
{
	for (; mask; mask &= mask - 1) {
		const unsigned char *here = at + __builtin_ctz(mask);

		if (memcmp(here, literal, size) == 0)
			return here;
	}
	return NULL;
}

/* Looks at starts 0 .. *ret_starts - 1, whole steps only; says how many those were. */
__attribute__((target("avx2")))
static const unsigned char *find_avx2(const unsigned char *bytes, uint64_t start_count,
                                      const unsigned char *literal, size_t size,
                                      uint64_t *ret_starts)
{
	size_t first, second;
	__m256i rare, other;
	uint64_t start = 0;

	pick_rare(literal, size, &first, &second);
	rare = _mm256_set1_epi8((char)literal[first]);
	other = _mm256_set1_epi8((char)literal[second]);
	for (; start + 64 <= start_count; start += 64) {
		const unsigned char *at = bytes + start;
		const unsigned char *found = NULL;
		__m256i low, high;

		low = _mm256_and_si256(
			_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at + first)), rare),
			_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at + second)), other));
		high = _mm256_and_si256(
			_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at + first + 32)), rare),
			_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(at + second + 32)), other));
		if (_mm256_testz_si256(_mm256_or_si256(low, high), _mm256_set1_epi8(-1)))
			continue;
		found = check_candidates(at, (uint32_t)_mm256_movemask_epi8(low), literal, size);
		if (!found)
			found = check_candidates(at + 32, (uint32_t)_mm256_movemask_epi8(high), literal, size);
		if (found)
			return found;
	}
	*ret_starts = start;
	return NULL;
}
#endif

const void *comap_bytes_find(const void *bytes, uint64_t size_bytes, const void *literal,
                             uint64_t literal_bytes)
{
	uint64_t done = 0;

	if (literal_bytes > size_bytes)
		return NULL;
	if (literal_bytes <= 1)
		return literal_bytes ? memchr(bytes, *(const unsigned char *)literal, size_bytes) : bytes;
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2")) {
		const void *found = find_avx2(bytes, size_bytes - literal_bytes + 1, literal,
		                              literal_bytes, &done);

		if (found)
			return found;
	}
#endif
	return memmem((const char *)bytes + done, size_bytes - done, literal, literal_bytes);
}
