/* SPDX-License-Identifier: MIT */
/* The second opinion: a CSV reader that steps one character at a time. */
#include "oracle.h"

#include "../common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct oracle {
	char *text;
	size_t size_bytes;
	char separator;
	unsigned key_column;
	size_t record_count, capacity;
	size_t *starts;        /* of the records, the line with the names excluded */
	uint32_t *table;       /* record number + 1 by FNV-1a of the key, linear probing */
	size_t table_size;
};

enum step { STEP_CHARACTER, STEP_CELL_ENDS, STEP_RECORD_ENDS };

/* Where the reader is, and what it is in. */
struct walk {
	const struct oracle *oracle;
	size_t at;
	bool cell_is_fresh, quoted;
	char character;
};

static bool next_is(const struct walk *walk, char c)
{
	return walk->at + 1 < walk->oracle->size_bytes && walk->oracle->text[walk->at + 1] == c;
}

static enum step end_cell(struct walk *walk, enum step step, size_t width)
{
	walk->at += width;
	walk->cell_is_fresh = true;
	return step;
}

/* One character of data, or the end of something. */
static enum step walk_step(struct walk *walk)
{
	for (;;) {
		char c;

		if (walk->at >= walk->oracle->size_bytes)
			return end_cell(walk, STEP_RECORD_ENDS, 0);
		c = walk->oracle->text[walk->at];
		if (walk->quoted && c == '"' && !next_is(walk, '"')) {
			walk->quoted = false;
			walk->at++;
			/* what follows is plain, and no new quote opens in it */
			continue;
		}
		if (!walk->quoted && walk->cell_is_fresh && c == '"') {
			walk->quoted = true;
			walk->cell_is_fresh = false;
			walk->at++;
			continue;
		}
		if (!walk->quoted && c == walk->oracle->separator)
			return end_cell(walk, STEP_CELL_ENDS, 1);
		if (!walk->quoted && c == '\n')
			return end_cell(walk, STEP_RECORD_ENDS, 1);
		if (!walk->quoted && c == '\r' && next_is(walk, '\n'))
			return end_cell(walk, STEP_RECORD_ENDS, 2);
		walk->at += walk->quoted && c == '"' ? 2 : 1;
		walk->cell_is_fresh = false;
		walk->character = c;
		return STEP_CHARACTER;
	}
}

static struct walk walk_from(const struct oracle *oracle, size_t at)
{
	return (struct walk){ .oracle = oracle, .at = at, .cell_is_fresh = true };
}

/* Brings the walk to the column; false where the record ends before. */
static bool walk_to_column(struct walk *walk, unsigned column)
{
	while (column > 0) {
		switch (walk_step(walk)) {
		case STEP_RECORD_ENDS: return false;
		case STEP_CELL_ENDS: column--; break;
		case STEP_CHARACTER: break;
		}
	}
	return true;
}

static bool cell_at_is(const struct oracle *oracle, size_t start, unsigned column, const char *text,
                       size_t size_bytes)
{
	struct walk walk = walk_from(oracle, start);
	size_t seen = 0;

	if (!walk_to_column(&walk, column))
		return size_bytes == 0;
	while (walk_step(&walk) == STEP_CHARACTER) {
		if (seen == size_bytes || walk.character != text[seen])
			return false;
		seen++;
	}
	return seen == size_bytes;
}

static uint64_t fnv_byte(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 0x100000001b3u;
}

#define FNV_START 0xcbf29ce484222325u

static uint64_t key_hash_at(const struct oracle *oracle, size_t start)
{
	struct walk walk = walk_from(oracle, start);
	uint64_t hash = FNV_START;

	if (walk_to_column(&walk, oracle->key_column))
		while (walk_step(&walk) == STEP_CHARACTER)
			hash = fnv_byte(hash, walk.character);
	return hash;
}

static bool same_key(const struct oracle *oracle, size_t a, size_t b)
{
	struct walk left = walk_from(oracle, a), right = walk_from(oracle, b);
	bool left_has = walk_to_column(&left, oracle->key_column);
	bool right_has = walk_to_column(&right, oracle->key_column);
	enum step from_left, from_right;

	do {
		from_left = left_has ? walk_step(&left) : STEP_RECORD_ENDS;
		from_right = right_has ? walk_step(&right) : STEP_RECORD_ENDS;
		if ((from_left == STEP_CHARACTER) != (from_right == STEP_CHARACTER))
			return false;
		if (from_left == STEP_CHARACTER && left.character != right.character)
			return false;
	} while (from_left == STEP_CHARACTER);
	return true;
}

static size_t skip_empty(const struct oracle *oracle, size_t at)
{
	for (;;) {
		if (at < oracle->size_bytes && oracle->text[at] == '\n')
			at += 1;
		else if (at + 1 < oracle->size_bytes && oracle->text[at] == '\r' &&
		         oracle->text[at + 1] == '\n')
			at += 2;
		else
			return at;
	}
}

static bool keep_start(struct oracle *oracle, size_t start)
{
	if (oracle->record_count == oracle->capacity) {
		size_t capacity = oracle->capacity ? oracle->capacity * 2 : 1024;
		size_t *starts = realloc(oracle->starts, capacity * sizeof *starts);

		if (!starts)
			return false;
		oracle->starts = starts;
		oracle->capacity = capacity;
	}
	oracle->starts[oracle->record_count++] = start;
	return true;
}

static bool find_records(struct oracle *oracle)
{
	static const char mark[3] = { '\xef', '\xbb', '\xbf' };
	size_t at = oracle->size_bytes >= 3 && memcmp(oracle->text, mark, 3) == 0 ? 3 : 0;
	bool names = true;

	for (at = skip_empty(oracle, at); at < oracle->size_bytes; at = skip_empty(oracle, at)) {
		struct walk walk = walk_from(oracle, at);

		while (walk_step(&walk) != STEP_RECORD_ENDS)
			;
		if (!names && !keep_start(oracle, at))
			return false;
		names = false;
		at = walk.at;
	}
	return true;
}

/* A later record with the same key stays out: the first one is the answer. */
static bool fill_table(struct oracle *oracle)
{
	for (oracle->table_size = 16; oracle->table_size < 2 * oracle->record_count;)
		oracle->table_size *= 2;
	oracle->table = calloc(oracle->table_size, sizeof *oracle->table);
	if (!oracle->table)
		return false;
	for (size_t record = 0; record < oracle->record_count; record++) {
		size_t at = key_hash_at(oracle, oracle->starts[record]) % oracle->table_size;

		while (oracle->table[at] && !same_key(oracle, oracle->starts[record],
		                                      oracle->starts[oracle->table[at] - 1]))
			at = (at + 1) % oracle->table_size;
		if (!oracle->table[at])
			oracle->table[at] = (uint32_t)record + 1;
	}
	return true;
}

/* Takes the text over, whatever comes of it. */
static struct oracle *oracle_over(char *text, size_t size_bytes, char separator,
                                  unsigned key_column)
{
	struct oracle *oracle = calloc(1, sizeof *oracle);

	if (!oracle) {
		free(text);
		return NULL;
	}
	oracle->text = text;
	oracle->size_bytes = size_bytes;
	oracle->separator = separator;
	oracle->key_column = key_column;
	if (!find_records(oracle) || !fill_table(oracle)) {
		oracle_close(oracle);
		errno = ENOMEM;
		return NULL;
	}
	return oracle;
}

struct oracle *oracle_from_text(const char *text, size_t size_bytes, char separator,
                                unsigned key_column)
{
	char *copy = malloc(size_bytes + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, size_bytes);
	return oracle_over(copy, size_bytes, separator, key_column);
}

struct oracle *oracle_open(const char *path, char separator, unsigned key_column)
{
	struct file_text file;

	if (file_read(path, &file) != 0)
		return NULL;
	return oracle_over(file.data, file.size_bytes, separator, key_column);
}

void oracle_close(struct oracle *oracle)
{
	if (!oracle)
		return;
	free(oracle->text);
	free(oracle->starts);
	free(oracle->table);
	free(oracle);
}

size_t oracle_record_count(const struct oracle *oracle)
{
	return oracle->record_count;
}

long oracle_find(const struct oracle *oracle, const char *key, size_t key_bytes)
{
	uint64_t hash = FNV_START;
	size_t at;

	for (size_t i = 0; i < key_bytes; i++)
		hash = fnv_byte(hash, key[i]);
	for (at = hash % oracle->table_size; oracle->table[at];
	     at = (at + 1) % oracle->table_size) {
		long record = (long)oracle->table[at] - 1;

		if (oracle_cell_is(oracle, record, oracle->key_column, key, key_bytes))
			return record;
	}
	return -1;
}

size_t oracle_count(const struct oracle *oracle, unsigned column, const char *text,
                    size_t size_bytes)
{
	size_t count = 0;

	for (size_t record = 0; record < oracle->record_count; record++)
		count += cell_at_is(oracle, oracle->starts[record], column, text, size_bytes);
	return count;
}

bool oracle_cell_is(const struct oracle *oracle, long record, unsigned column, const char *text,
                    size_t size_bytes)
{
	return cell_at_is(oracle, oracle->starts[record], column, text, size_bytes);
}
