/* SPDX-License-Identifier: MIT */
/* How often each key occurred: open addressing, keys in one piece of memory.
 *
 * Invariants: I1  at most two thirds of the entries are used
 *             I2  the counts of all entries and other_count are what was added in sum */
#include "tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CAPACITY_START 1024u
#define KEY_BYTES_MAX 4096u /* a longer key is cut: it is to be shown in a table */
#define EMPTY UINT32_MAX

void tally_init(struct tally *tally, size_t key_count_max)
{
	*tally = (struct tally){ .used_max = key_count_max };
}

void tally_fini(struct tally *tally)
{
	free(tally->entries);
	free(tally->keys);
}

const char *tally_key(const struct tally *tally, const struct tally_entry *entry)
{
	return tally->keys + entry->key_at;
}

static struct tally_entry *find(const struct tally *tally, uint64_t hash, const void *key,
                                size_t key_bytes)
{
	size_t at = hash & (tally->capacity - 1);

	for (;; at = (at + 1) & (tally->capacity - 1)) {
		struct tally_entry *entry = &tally->entries[at];

		if (entry->key_at == EMPTY)
			return entry;
		if (entry->hash == hash && entry->key_bytes == key_bytes &&
		    memcmp(tally->keys + entry->key_at, key, key_bytes) == 0)
			return entry;
	}
}

static int grow(struct tally *tally)
{
	size_t capacity = tally->capacity ? 2 * tally->capacity : CAPACITY_START;
	struct tally_entry *entries = malloc(capacity * sizeof *entries);

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < capacity; i++)
		entries[i].key_at = EMPTY;
	for (size_t i = 0; i < tally->capacity; i++) {
		size_t at = tally->entries[i].hash & (capacity - 1);

		if (tally->entries[i].key_at == EMPTY)
			continue;
		while (entries[at].key_at != EMPTY)
			at = (at + 1) & (capacity - 1);
		entries[at] = tally->entries[i];
	}
	free(tally->entries);
	tally->entries = entries;
	tally->capacity = capacity;
	return 0;
}

static int keep_key(struct tally *tally, struct tally_entry *entry, const void *key, size_t key_bytes)
{
	if (tally->keys_bytes + key_bytes > tally->keys_capacity) {
		size_t capacity = 2 * tally->keys_capacity + KEY_BYTES_MAX;
		char *keys = capacity < EMPTY ? realloc(tally->keys, capacity) : NULL;

		if (!keys)
			return -ENOMEM;
		tally->keys = keys;
		tally->keys_capacity = capacity;
	}
	memcpy(tally->keys + tally->keys_bytes, key, key_bytes);
	entry->key_at = (uint32_t)tally->keys_bytes;
	entry->key_bytes = (uint32_t)key_bytes;
	tally->keys_bytes += key_bytes;
	tally->used++;
	return 0;
}

int tally_add(struct tally *tally, const void *key, size_t key_bytes, uint64_t count)
{
	struct tally_entry *entry;
	uint64_t hash;
	int code;

	if (key_bytes > KEY_BYTES_MAX)
		key_bytes = KEY_BYTES_MAX;
	if (3 * (tally->used + 1) > 2 * tally->capacity) {
		code = grow(tally);
		if (code)
			return code;
	}
	hash = XXH3_64bits(key, key_bytes);
	entry = find(tally, hash, key, key_bytes);
	if (entry->key_at != EMPTY) {
		entry->count += count;
		return 0;
	}
	if (tally->used >= tally->used_max) {
		tally->other_count += count;
		return 0;
	}
	entry->hash = hash;
	entry->count = count;
	return keep_key(tally, entry, key, key_bytes);
}

/* --- sorted ------------------------------------------------------------------------------- */

static int compare_keys(const struct tally_entry *a, const struct tally_entry *b, const char *keys)
{
	size_t shorter = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
	int order = memcmp(keys + a->key_at, keys + b->key_at, shorter);

	return order ? order : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

static int by_key(const void *a, const void *b, void *keys)
{
	return compare_keys(a, b, keys);
}

static int by_count(const void *a, const void *b, void *keys)
{
	uint64_t left = ((const struct tally_entry *)a)->count;
	uint64_t right = ((const struct tally_entry *)b)->count;

	if (left != right)
		return left > right ? -1 : 1;
	return compare_keys(a, b, keys);
}

struct tally_entry *tally_sorted(const struct tally *tally, enum tally_order order)
{
	struct tally_entry *sorted = tally->used ? malloc(tally->used * sizeof *sorted) : NULL;
	size_t count = 0;

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < tally->capacity; i++)
		if (tally->entries[i].key_at != EMPTY)
			sorted[count++] = tally->entries[i];
	qsort_r(sorted, count, sizeof *sorted, order == TALLY_BY_KEY ? by_key : by_count, tally->keys);
	return sorted;
}

/* --- between processes -------------------------------------------------------------------- */

int tally_write(const struct tally *tally, FILE *stream)
{
	uint64_t head[2] = { tally->used, tally->other_count };

	fwrite(head, sizeof head, 1, stream);
	for (size_t i = 0; i < tally->capacity; i++) {
		const struct tally_entry *entry = &tally->entries[i];

		if (entry->key_at == EMPTY)
			continue;
		fwrite(&entry->count, sizeof entry->count, 1, stream);
		fwrite(&entry->key_bytes, sizeof entry->key_bytes, 1, stream);
		fwrite(tally->keys + entry->key_at, 1, entry->key_bytes, stream);
	}
	return ferror(stream) ? -EIO : 0;
}

int tally_read(struct tally *tally, FILE *stream)
{
	uint64_t head[2], count;
	uint32_t key_bytes;
	char key[KEY_BYTES_MAX];
	int code = 0;

	if (fread(head, sizeof head, 1, stream) != 1)
		return -EBADMSG;
	tally->other_count += head[1];
	for (uint64_t i = 0; i < head[0] && code == 0; i++) {
		if (fread(&count, sizeof count, 1, stream) != 1 ||
		    fread(&key_bytes, sizeof key_bytes, 1, stream) != 1 || key_bytes > sizeof key ||
		    fread(key, 1, key_bytes, stream) != key_bytes)
			return -EBADMSG;
		code = tally_add(tally, key, key_bytes, count);
	}
	return code;
}
