/* SPDX-License-Identifier: MIT */
/* See ours.h. */
#include "ours.h"

struct ours ours;

void ours_make(const char *path, uint64_t key_count)
{
	char value[VALUE_BYTES];

	value_fill(value);
	ours.region = comap_open(path, COMAP_CREATE);
	ours.table = ours.region ? comap_table_open(ours.region, "t", NULL) : NULL;
	bench_need(ours.table);
	for (uint64_t i = 0; i < key_count; i++)
		ours_put(i, value);
}

void ours_attach(void) { bench_need(comap_attach(ours.region) == 0); }

void ours_close(void)
{
	comap_table_close(ours.table);
	comap_close(ours.region);
}

double ours_bytes_per_entry(uint64_t key_count)
{
	struct comap_check held;

	bench_need(comap_check(ours.region, &held) == 0);
	return (double)(held.committed_bytes - held.free_bytes) / (double)key_count;
}
