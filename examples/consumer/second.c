/* SPDX-License-Identifier: MIT */
/* Second opinions on answers. */
#include "second.h"

#include "../common/log.h"
#include "../registry/oracle.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct second {
	pthread_mutex_t mutex;
	const char *folder;
	char separator;
	uint64_t version;        /* of the parse; 0: none yet */
	struct oracle *oracle;
};

bool answer_take(struct answer *answer, const struct registry *registry, uint32_t row)
{
	size_t total = 0, used = 0;

	answer->found = row != REGISTRY_NO_ROW;
	answer->column_count = registry->column_count;
	answer->key_column = registry->key_column;
	if (!answer->found)
		return true;
	for (uint32_t i = 0; i < registry->column_count; i++) {
		answer->cell_bytes[i] = registry_cell(registry, row, i).size_bytes;
		total += answer->cell_bytes[i];
	}
	if (total > answer->text_capacity) {
		char *grown = realloc(answer->text, total);

		if (!grown)
			return false;
		answer->text = grown;
		answer->text_capacity = total;
	}
	for (uint32_t i = 0; i < registry->column_count; i++) {
		if (answer->cell_bytes[i] > 0)
			memcpy(answer->text + used, registry_cell(registry, row, i).data,
			       answer->cell_bytes[i]);
		used += answer->cell_bytes[i];
	}
	return true;
}

struct second *second_open(const char *folder, char separator)
{
	struct second *second = calloc(1, sizeof *second);

	if (!second)
		return NULL;
	pthread_mutex_init(&second->mutex, NULL);
	second->folder = folder;
	second->separator = separator;
	return second;
}

void second_close(struct second *second)
{
	if (!second)
		return;
	oracle_close(second->oracle);
	pthread_mutex_destroy(&second->mutex);
	free(second);
}

/* The parse of the version; NULL where there is none. Called with the mutex held. */
static struct oracle *oracle_of(struct second *second, uint64_t version, uint32_t key_column)
{
	char path[4096];

	if (second->version == version)
		return second->oracle;
	oracle_close(second->oracle);
	snprintf(path, sizeof path, "%s/%llu.csv", second->folder, (unsigned long long)version);
	second->version = version;
	second->oracle = oracle_open(path, second->separator, key_column);
	if (!second->oracle)
		log_warning("%s: %s", path, strerror(errno));
	return second->oracle;
}

static bool same_cells(const struct oracle *oracle, long record, const struct answer *answer)
{
	const char *at = answer->text;

	for (uint32_t i = 0; i < answer->column_count; i++) {
		if (!oracle_cell_is(oracle, record, i, at, answer->cell_bytes[i]))
			return false;
		at += answer->cell_bytes[i];
	}
	return true;
}

enum second_verdict second_compare(struct second *second, const struct answer *answer)
{
	enum second_verdict verdict = SECOND_UNKNOWN;
	struct oracle *oracle;

	pthread_mutex_lock(&second->mutex);
	oracle = oracle_of(second, answer->version, answer->key_column);
	if (oracle) {
		long record = oracle_find(oracle, answer->key, answer->key_bytes);
		bool same = answer->found == (record >= 0) &&
		            (record < 0 || same_cells(oracle, record, answer));

		verdict = same ? SECOND_SAME : SECOND_DIFFERENT;
	}
	pthread_mutex_unlock(&second->mutex);
	return verdict;
}

enum second_verdict second_compare_count(struct second *second, uint64_t version,
                                         uint32_t key_column, uint32_t column, const char *text,
                                         size_t size_bytes, uint64_t count)
{
	enum second_verdict verdict = SECOND_UNKNOWN;
	struct oracle *oracle;

	pthread_mutex_lock(&second->mutex);
	oracle = oracle_of(second, version, key_column);
	if (oracle)
		verdict = oracle_count(oracle, column, text, size_bytes) == count
			? SECOND_SAME : SECOND_DIFFERENT;
	pthread_mutex_unlock(&second->mutex);
	return verdict;
}
