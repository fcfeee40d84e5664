/* SPDX-License-Identifier: MIT */
/* comap's table as the benches of tables use it: one region, one table, each look-up in a read section of
 * its own and summing its value. */
#ifndef COMAP_BENCH_TABLE_OURS_H
#define COMAP_BENCH_TABLE_OURS_H

#include "work.h"

#include <comap.h>

struct ours {
	struct comap *region;
	struct comap_table *table;
};

extern struct ours ours;

static inline void ours_put(uint64_t number, const char *value)
{
	struct key key = key_of(number);

	bench_need(comap_table_put(ours.table, &key, sizeof key, value, VALUE_BYTES) == 0);
}

static inline uint64_t ours_get(uint64_t number)
{
	struct key key = key_of(number);
	uint64_t total;

	bench_need(comap_read_begin(ours.region) == 0);
	total = sum(comap_table_view(ours.table, &key, sizeof key).data);
	comap_read_end(ours.region);
	return total;
}

/* Creates the region, and in it the table with the first `key_count` keys. */
void ours_make(const char *path, uint64_t key_count);
/* In a forked process: takes a seat of its own. */
void ours_attach(void);
void ours_close(void);
/* What the heap has handed out, per entry. */
double ours_bytes_per_entry(uint64_t key_count);

#endif
