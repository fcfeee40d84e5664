/* SPDX-License-Identifier: MIT */
/* See seqlock.h. An entry's key is written before others see the table, and never again. */
#include "seqlock.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define VALUE_WORDS ((VALUE_BYTES + 7) / 8)

struct entry {
	struct comap_u64 sequence; /* odd: somebody writes */
	struct key key;            /* the first word is never 0 */
	struct comap_u64 words[VALUE_WORDS];
};

static struct entry *entries;
static uint64_t entry_mask;

static struct entry *find(const struct key *key)
{
	uint64_t at = XXH3_64bits(key, sizeof *key);

	for (;; at++) {
		struct entry *entry = &entries[at & entry_mask];
		const uint64_t *words = entry->key.words;

		if ((words[0] == key->words[0] && words[1] == key->words[1]) || words[0] == 0)
			return entry;
	}
}

uint64_t seqlock_get(uint64_t number)
{
	struct key key = key_of(number);
	const struct entry *entry = find(&key);
	uint64_t sequence, total;

	do {
		/* acquire: the value is at least as new as this sequence */
		while ((sequence = comap_u64_load_acquire(&entry->sequence)) & 1)
			comap_spin_pause();
		total = 0;
		for (unsigned i = 0; i < VALUE_BYTES / 8; i++)
			total += comap_u64_load_relaxed(&entry->words[i]); /* relaxed: looked at again below */
		comap_fence_acquire(); /* the words before the second look */
	} while (comap_u64_load_relaxed(&entry->sequence) != sequence); /* relaxed: behind the fence */
	return total;
}

void seqlock_put(uint64_t number, const char *value)
{
	struct key key = key_of(number);
	struct entry *entry = find(&key);
	uint64_t words[VALUE_WORDS] = { 0 }, sequence;

	memcpy(words, value, VALUE_BYTES);
	for (;;) {
		sequence = comap_u64_load_relaxed(&entry->sequence); /* relaxed: the exchange decides */
		if (!(sequence & 1) && comap_u64_cas_acquire(&entry->sequence, sequence, sequence + 1))
			break;
		comap_spin_pause();
	}
	comap_fence_release(); /* the odd sequence before the words */
	for (unsigned i = 0; i < VALUE_WORDS; i++)
		comap_u64_store_relaxed(&entry->words[i], words[i]); /* relaxed: between the two sequences */
	comap_u64_store_release(&entry->sequence, sequence + 2);
}

void seqlock_make(const char *path, uint64_t key_count)
{
	uint64_t count = 2;
	char value[VALUE_BYTES];
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	_Static_assert(sizeof(struct entry) == 128, "two lines");
	while (count < key_count * 2)
		count *= 2;
	entry_mask = count - 1;
	bench_need(fd >= 0 && ftruncate(fd, (off_t)(count * sizeof *entries)) == 0);
	entries = mmap(NULL, count * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bench_need(entries != MAP_FAILED);
	close(fd);
	value_fill(value);
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);

		find(&key)->key = key;
		seqlock_put(i, value);
	}
}
