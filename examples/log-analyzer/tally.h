/* SPDX-License-Identifier: MIT */
/* How often each key occurred. Keys are bytes; memory is bounded by a number of keys, and what comes
 * after it is full is counted together and reported as such, never dropped. */
#ifndef LOG_ANALYZER_TALLY_H
#define LOG_ANALYZER_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct tally_entry {
	uint64_t hash, count;
	uint32_t key_at;       /* in the keys; UINT32_MAX: empty */
	uint32_t key_bytes;
};

struct tally {
	struct tally_entry *entries;
	size_t capacity, used, used_max;
	char *keys;
	size_t keys_bytes, keys_capacity;
	uint64_t other_count;  /* of keys that found no place */
};

void tally_init(struct tally *tally, size_t key_count_max);
void tally_fini(struct tally *tally);
/* 0, or -ENOMEM. */
int tally_add(struct tally *tally, const void *key, size_t key_bytes, uint64_t count);
const char *tally_key(const struct tally *tally, const struct tally_entry *entry);

enum tally_order { TALLY_BY_COUNT, TALLY_BY_KEY };
/* The used entries, sorted: by count, largest first, then by key; or by key. To be freed. NULL where
 * there is no memory, or nothing to sort. */
struct tally_entry *tally_sorted(const struct tally *tally, enum tally_order order);

/* To a stream and back, added to what is there. 0, -EIO, -EBADMSG, -ENOMEM. */
int tally_write(const struct tally *tally, FILE *stream);
int tally_read(struct tally *tally, FILE *stream);

#endif
