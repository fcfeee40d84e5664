/* SPDX-License-Identifier: MIT */
/* A hundred million small entries (or COMAP_BENCH_KEYS), keys and values of 8 bytes, comap alone: loading by
 * puts, memory per entry, gets one by one and 256 at once, in random order. Needs some 12 GB of memory where
 * the region lies; says so and ends where there are less. */
#include "work.h"

#include <comap.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SLICE_NS 10000000.0
#define GROUP 256u
#define GETS_TIMED 200000u
#define ENTRY_BYTES_MAX 120u   /* with room to spare */

static uint64_t key_count = 100000000, state = 88172645463325252ull;
static struct comap *region;
static struct comap_table *table;

static uint64_t word_of(uint64_t number) { return number * 0x9e3779b97f4a7c15ull + 1; }

static uint64_t random_word(uint64_t first) { return word_of(first + random_below(&state, key_count)); }

static uint64_t get(uint64_t word)
{
	uint64_t value;

	bench_need(comap_read_begin(region) == 0);
	value = *(const uint64_t *)comap_table_view(table, &word, sizeof word).data;
	comap_read_end(region);
	return value;
}

static void get_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++)
		total += get(random_word(0));
	bench_use(total);
}

static void get_many_loop(void *context, uint64_t count)
{
	static struct comap_key names[GROUP];
	static struct comap_view views[GROUP];
	static uint64_t words[GROUP];
	uint64_t total = 0, group;

	for (uint64_t i = 0; i < count; i += group) {
		group = count - i < GROUP ? count - i : GROUP;
		for (uint64_t k = 0; k < group; k++) {
			words[k] = random_word(0);
			names[k] = (struct comap_key){ &words[k], sizeof words[k] };
		}
		bench_need(comap_read_begin(region) == 0);
		bench_need(comap_table_view_many(table, group, names, views) == (int)group);
		for (uint64_t k = 0; k < group; k++)
			total += *(const uint64_t *)views[k].data;
		comap_read_end(region);
	}
	bench_use(total);
}

static void miss_loop(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = random_word(key_count);

		bench_need(comap_read_begin(region) == 0);
		bench_need(comap_table_view(table, &word, sizeof word).data == NULL);
		comap_read_end(region);
	}
}

static void put_loop(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = random_word(0);

		bench_need(comap_table_put(table, &word, sizeof word, &word, sizeof word) == 0);
	}
}

/* Of the smaller of the file system and of what memory there is. */
static bool has_room(const char *path)
{
	uint64_t need = key_count * ENTRY_BYTES_MAX, available = 0, there;
	FILE *file = fopen("/proc/meminfo", "r");
	char folder[256], line[128];
	struct statvfs system;

	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = 0;
	bench_need(statvfs(folder, &system) == 0);
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "MemAvailable: %lu", &available) == 1)
			break;
	if (file)
		fclose(file);
	there = system.f_bavail * system.f_frsize;
	if (there > available * 1024)
		there = available * 1024;
	if (there < need)
		fprintf(stderr, "bench: %.1f GB are needed for %.0e entries, and %.1f are there: --dir, or "
		        "COMAP_BENCH_KEYS\n", (double)need / 1e9, (double)key_count, (double)there / 1e9);
	return there >= need;
}

/* Returns what a put took. */
static double load(const char *path)
{
	uint64_t begin;

	region = comap_open(path, COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	bench_need(table);
	begin = bench_clock_ns();
	for (uint64_t i = 0; i < key_count; i++) {
		uint64_t word = word_of(i);

		bench_need(comap_table_put(table, &word, sizeof word, &i, sizeof i) == 0);
		if (i % 1000000 == 0 && isatty(STDERR_FILENO))
			fprintf(stderr, "\r\033[Ktable-huge: %.0f %%\r", (double)i * 100 / (double)key_count);
	}
	return (double)(bench_clock_ns() - begin) / (double)key_count;
}

static void measure_single(struct bench_metric *const *quantiles)
{
	static const double of[] = { 0.5, 0.99, 0.999 };
	static double samples[GETS_TIMED];

	for (unsigned i = 0; i < GETS_TIMED; i++) {
		uint64_t word = random_word(0), begin = bench_ticks();

		bench_use(get(word));
		samples[i] = bench_span_ns(bench_ticks() - begin);
	}
	bench_sort(samples, GETS_TIMED);
	for (unsigned q = 0; q < 3; q++)
		bench_put(quantiles[q], bench_quantile(samples, GETS_TIMED, of[q]));
}

static double bytes_per_entry(void)
{
	struct comap_check held;

	bench_need(comap_check(region, &held) == 0 && held.flaws == 0);
	return (double)(held.committed_bytes - held.free_bytes) / (double)key_count;
}

int main(int argc, char **argv)
{
	const char *keys = getenv("COMAP_BENCH_KEYS"), *path;
	struct bench_metric *one, *many, *miss, *put, *single[3], *loading, *memory;
	double load_ns, bytes;

	bench_begin(argc, argv, "table-huge", "keys and values of 8 bytes, a hundred million of them");
	if (keys)
		key_count = strtoull(keys, NULL, 10);
	path = bench_path("region");
	if (!has_room(path))
		return 1;
	load_ns = load(path);
	bytes = bytes_per_entry();
	bench_slices(SLICE_NS);
	one = bench_metric("get", "ns");
	many = bench_metric("get, 256 at once", "ns");
	miss = bench_metric("get, not there", "ns");
	put = bench_metric("put over", "ns");
	single[0] = bench_metric("get timed by itself, p50", "ns");
	single[1] = bench_metric("get timed by itself, p99", "ns");
	single[2] = bench_metric("get timed by itself, p99.9", "ns");
	loading = bench_metric("load by puts, per entry", "ns");
	memory = bench_metric("memory per entry", "B");
	while (bench_round()) {
		struct bench_case reads[] = { { one, get_loop }, { many, get_many_loop }, { miss, miss_loop } };
		struct bench_case writes[] = { { put, put_loop } };

		bench_interleave(reads, sizeof reads / sizeof reads[0]);
		measure_single(single);
		bench_interleave(writes, 1);
		bench_put(loading, load_ns);
		bench_put(memory, bytes);
	}
	bench_show(one);
	bench_against(many, one, 0);
	bench_show(miss);
	for (unsigned q = 0; q < 3; q++)
		bench_show(single[q]);
	bench_show(put);
	bench_show(loading);
	bench_at_most(memory, 16 * 1.25 + 24);
	bench_note("%.0f entries, loaded once", (double)key_count);
	comap_table_close(table);
	comap_close(region);
	return bench_end();
}
