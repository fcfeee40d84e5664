/* SPDX-License-Identifier: MIT */
/* Second opinions on answers: the producer's copy of each version's source, parsed independently.
 *
 * One parse is kept, of the version asked for last. Threads: any; they take turns. */
#ifndef EXAMPLES_CONSUMER_SECOND_H
#define EXAMPLES_CONSUMER_SECOND_H

#include "../registry/registry.h"

struct second;

enum second_verdict { SECOND_SAME, SECOND_DIFFERENT, SECOND_UNKNOWN };

/* An answer, copied out of the read section that found it. */
struct answer {
	uint64_t version;
	const char *key;
	size_t key_bytes;
	bool found;
	uint32_t column_count, key_column;
	char *text;                  /* the cells, one after the other; grown as needed, free() */
	size_t text_capacity;
	size_t cell_bytes[REGISTRY_COLUMNS_MAX];
};

/* Copies what was found, or that nothing was, inside the read section. False: no memory. */
bool answer_take(struct answer *answer, const struct registry *registry, uint32_t row);

struct second *second_open(const char *folder, char separator);
void second_close(struct second *second);

/* The answer is the file's. SECOND_UNKNOWN: the file of that version cannot be read. */
enum second_verdict second_compare(struct second *second, const struct answer *answer);

/* So many rows of the version have this text in the column. */
enum second_verdict second_compare_count(struct second *second, uint64_t version,
                                         uint32_t key_column, uint32_t column, const char *text,
                                         size_t size_bytes, uint64_t count);

#endif
