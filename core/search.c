/* SPDX-License-Identifier: MIT */
/* Search: count a byte, find a literal.
 *
 * A literal is looked for by two of its bytes: where both stand at their distance the whole is
 * compared. Which two is decided by a sample of the text, where there is one: bytes that are rare
 * alone may be common together (the 'v' of every "/svc07/"). Without a sample, rare is what text
 * rarely contains, by class of character.
 *
 * Progress:   counting is linear; finding is linear in practice, size times literal at worst */
#include <comap/search.h>

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2 1
#endif

/* Loops that are to become vectors at every level of optimization. clang makes them so at -O2. */
#ifdef __clang__
#define VECTORIZED
#else
#define VECTORIZED __attribute__((optimize("O3")))
#endif

#define PLACES_MAX 64u      /* of the literal, that are looked at to choose two */
#define SAMPLE_PLACES 10u
#define SAMPLE_BYTES (16u << 10)

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
__attribute__((target("avx2"))) VECTORIZED
static uint64_t count_avx2(const unsigned char *at, uint64_t size_bytes, unsigned char byte)
{
	return count_all(at, size_bytes, byte);
}
#endif

VECTORIZED
uint64_t comap_bytes_count(const void *bytes, uint64_t size_bytes, unsigned char byte)
{
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2"))
		return count_avx2(bytes, size_bytes, byte);
#endif
	return count_all(bytes, size_bytes, byte);
}

/* --- find --------------------------------------------------------------------------------- */

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

/* The rarest byte of the literal, and the rarest other one; the ends where all are alike. */
static void pick_by_class(struct comap_finder *finder)
{
	const unsigned char *literal = finder->literal;
	uint32_t size = finder->literal_bytes < PLACES_MAX ? (uint32_t)finder->literal_bytes
	                                                   : PLACES_MAX;

	finder->first = 0;
	for (uint32_t i = 1; i < size; i++)
		if (commonness(literal[i]) < commonness(literal[finder->first]))
			finder->first = i;
	finder->second = finder->first == size - 1 ? 0 : size - 1;
	for (uint32_t i = 0; i < size; i++)
		if (i != finder->first && literal[i] != literal[finder->first] &&
		    commonness(literal[i]) < commonness(literal[finder->second]))
			finder->second = i;
}

/* How often two bytes of the literal stand at their distance in the sample. */
VECTORIZED
static uint32_t count_pair(const struct comap_finder *finder, uint32_t first, uint32_t second,
                           const unsigned char *sample, uint32_t start_count)
{
	unsigned char a = finder->literal[first], b = finder->literal[second];
	uint32_t count = 0;

	for (uint32_t i = 0; i < start_count; i++)
		count += (sample[i + first] == a) & (sample[i + second] == b);
	return count;
}

static void pick_by_sample(struct comap_finder *finder, const unsigned char *sample,
                           uint64_t sample_bytes)
{
	uint32_t size = finder->literal_bytes < SAMPLE_PLACES ? (uint32_t)finder->literal_bytes
	                                                      : SAMPLE_PLACES;
	uint32_t least = UINT32_MAX, start_count;

	if (sample_bytes > SAMPLE_BYTES)
		sample_bytes = SAMPLE_BYTES;
	if (sample_bytes < 2 * PLACES_MAX)
		return;
	start_count = (uint32_t)sample_bytes - PLACES_MAX;
	for (uint32_t i = 0; i + 1 < size; i++)
		for (uint32_t k = i + 1; k < size; k++) {
			uint32_t count = count_pair(finder, i, k, sample, start_count);

			if (count >= least)
				continue;
			least = count;
			finder->first = i;
			finder->second = k;
		}
}

void comap_finder_init(struct comap_finder *finder, const void *literal, uint64_t literal_bytes,
                       const void *sample, uint64_t sample_bytes)
{
	if (!finder)
		return;
	*finder = (struct comap_finder){ .literal = literal, .literal_bytes = literal_bytes };
	if (literal_bytes < 2)
		return;
	pick_by_class(finder);
	if (sample)
		pick_by_sample(finder, sample, sample_bytes);
}

#ifdef HAVE_AVX2
__attribute__((target("avx2")))
static inline uint32_t pair_mask(const unsigned char *at, const struct comap_finder *finder,
                                 __m256i rare, __m256i other)
{
	__m256i first = _mm256_loadu_si256((const void *)(at + finder->first));
	__m256i second = _mm256_loadu_si256((const void *)(at + finder->second));

	return (uint32_t)_mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(first, rare),
	                                                       _mm256_cmpeq_epi8(second, other)));
}

/* Looks at starts 0 .. start_count - 1, whole steps only; *ret_starts says how many those were. */
__attribute__((target("avx2")))
static const unsigned char *find_avx2(const struct comap_finder *finder, const unsigned char *bytes,
                                      uint64_t start_count, uint64_t *ret_starts)
{
	const __m256i rare = _mm256_set1_epi8((char)finder->literal[finder->first]);
	const __m256i other = _mm256_set1_epi8((char)finder->literal[finder->second]);
	uint64_t start = 0;

	for (; start + 64 <= start_count; start += 64) {
		const unsigned char *at = bytes + start;
		uint64_t mask = pair_mask(at, finder, rare, other) |
		                (uint64_t)pair_mask(at + 32, finder, rare, other) << 32;

		for (; COMAP_UNLIKELY(mask); mask &= mask - 1) {
			const unsigned char *here = at + __builtin_ctzll(mask);

			if (memcmp(here, finder->literal, finder->literal_bytes) == 0)
				return here;
		}
	}
	*ret_starts = start;
	return NULL;
}
#endif

const void *comap_finder_next(const struct comap_finder *finder, const void *bytes,
                              uint64_t size_bytes)
{
	uint64_t literal_bytes = finder ? finder->literal_bytes : 0, done = 0;

	if (!finder || literal_bytes > size_bytes)
		return NULL;
	if (literal_bytes <= 1)
		return literal_bytes ? memchr(bytes, *finder->literal, size_bytes) : bytes;
#ifdef HAVE_AVX2
	if (__builtin_cpu_supports("avx2")) {
		const void *found = find_avx2(finder, bytes, size_bytes - literal_bytes + 1, &done);

		if (found)
			return found;
	}
#endif
	return memmem((const char *)bytes + done, size_bytes - done, finder->literal, literal_bytes);
}

const void *comap_bytes_find(const void *bytes, uint64_t size_bytes, const void *literal,
                             uint64_t literal_bytes)
{
	struct comap_finder finder;

	comap_finder_init(&finder, literal, literal_bytes, NULL, 0);
	return comap_finder_next(&finder, bytes, size_bytes);
}
