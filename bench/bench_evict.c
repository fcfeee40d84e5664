/* SPDX-License-Identifier: MIT */
/* Hit ratios of a table in cache mode, the real one, against LRU, CLOCK, SIEVE and S3-FIFO as their papers
 * have them, over generated traces and any file.
 *
 *     bench_evict [--dir DIR] [TRACE ...]      generated traces, or these files
 *
 * A trace file is a list of numbers, one a line, or libCacheSim's oracleGeneral format (named *.bin): 24
 * bytes {time:32, object:64, size:32, next:64}. Every object is an entry of 100 bytes, put when it is missed.
 * The table gets a budget; the others get as many entries as the table had, on average, in the second half.
 * The same numbers come out each time, but for the region's secret hash seed. */
#include "zipf.h"

#include <comap/easy.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIVERSE 1000000u
#define REQUESTS 3000000u
#define ENTRY_BYTES 166u       /* of budget, for an entry of this bench: about */
#define SECTION_MAX 64u

/* Objects are numbered from 0 on, without gaps. */
struct trace {
	char name[64];
	uint32_t *objects;
	size_t count, object_count;
};

static const char *folder = "/dev/shm";

static void need(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench_evict: %s: %s\n", what, comap_error_text());
	exit(1);
}

static void *zeroed(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size);

	need(memory != NULL, "memory");
	return memory;
}

/* --- traces ------------------------------------------------------------------------------------- */

static uint64_t state = 88172645463325252ull;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* What is asked for at request `i`, when popularity alone would ask for `popular`. */
typedef uint32_t shaping(size_t i, uint32_t popular);

static uint32_t plain(size_t i, uint32_t popular) { return popular; }

/* A third of the time goes to scans of 50,000 objects that nobody else asks for. */
static uint32_t with_scans(size_t i, uint32_t popular)
{
	return i % 150000 < 50000 ? UNIVERSE + (uint32_t)(i / 150000 * 50000 + i % 150000) : popular;
}

/* Every 100,000 requests other objects are the popular ones. */
static uint32_t shifting(size_t i, uint32_t popular)
{
	return (uint32_t)((popular + i / 100000 * 30011) % UNIVERSE);
}

/* Every other request goes round a loop of 60,000 objects. */
static uint32_t with_loop(size_t i, uint32_t popular)
{
	return i % 2 ? UNIVERSE + (uint32_t)(i / 2 % 60000) : popular;
}

static struct trace generate(const char *name, double exponent, shaping *shape)
{
	struct trace trace = { .count = REQUESTS, .object_count = UNIVERSE * 3 };
	double *sums = zipf_sums(UNIVERSE, exponent);

	need(sums != NULL, "memory");
	snprintf(trace.name, sizeof trace.name, "%s", name);
	trace.objects = zeroed(REQUESTS, sizeof *trace.objects);
	for (size_t i = 0; i < REQUESTS; i++)
		trace.objects[i] = shape(i, zipf_pick(sums, UNIVERSE, next_random()));
	free(sums);
	return trace;
}

/* Numbers of any size become numbers from 0 on. */
static size_t renumber(const uint64_t *names, struct trace *trace)
{
	size_t capacity = 64, known = 0;
	uint64_t *keys;
	uint32_t *numbers;

	while (capacity < trace->count * 2)
		capacity *= 2;
	keys = zeroed(capacity, sizeof *keys);
	numbers = zeroed(capacity, sizeof *numbers);
	for (size_t i = 0; i < trace->count; i++) {
		size_t at = names[i] * 0x9e3779b97f4a7c15ull % capacity;

		while (numbers[at] && keys[at] != names[i])
			at = (at + 1) % capacity;
		if (!numbers[at]) {
			keys[at] = names[i];
			numbers[at] = (uint32_t)++known;
		}
		trace->objects[i] = numbers[at] - 1;
	}
	free(keys);
	free(numbers);
	return known;
}

static bool next_name(FILE *file, bool binary, uint64_t *ret_name)
{
	unsigned char record[24];
	char line[256], *end;

	if (binary) {
		if (fread(record, 1, sizeof record, file) != sizeof record)
			return false;
		memcpy(ret_name, record + 4, 8);
		return true;
	}
	while (fgets(line, sizeof line, file)) {
		*ret_name = strtoull(line, &end, 0);
		if (end != line)
			return true;
	}
	return false;
}

static struct trace read_trace(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	FILE *file = fopen(path, "re");
	size_t capacity = 1u << 20;
	uint64_t *names = zeroed(capacity, sizeof *names), name;
	struct trace trace = { 0 };

	need(file != NULL, path);
	while (trace.count < UINT32_MAX / 2 && next_name(file, dot && strcmp(dot, ".bin") == 0, &name)) {
		if (trace.count == capacity) {
			names = realloc(names, (capacity *= 2) * sizeof *names);
			need(names != NULL, "memory");
		}
		names[trace.count++] = name;
	}
	fclose(file);
	snprintf(trace.name, sizeof trace.name, "%s", slash ? slash + 1 : path);
	trace.objects = zeroed(trace.count, sizeof *trace.objects);
	trace.object_count = renumber(names, &trace);
	free(names);
	return trace;
}

static size_t footprint(const struct trace *trace)
{
	char *seen = zeroed(trace->object_count, 1);
	size_t count = 0;

	for (size_t i = 0; i < trace->count; i++)
		if (!seen[trace->objects[i]]) {
			seen[trace->objects[i]] = 1;
			count++;
		}
	free(seen);
	return count;
}

/* --- the others --------------------------------------------------------------------------------- */

/* A list of objects; an object is in one of them at most. */
struct node { uint32_t before, after; unsigned char in, marks; };
struct list { uint32_t head, tail, count; };
#define NOBODY UINT32_MAX

struct rival {
	struct node *nodes;
	struct list lists[3];
	size_t capacity;
	uint32_t hand;
};

static void put_first(struct rival *rival, unsigned in, uint32_t object)
{
	struct list *list = &rival->lists[in];

	rival->nodes[object].in = (unsigned char)(in + 1);
	rival->nodes[object].before = NOBODY;
	rival->nodes[object].after = list->count ? list->head : NOBODY;
	if (list->count++)
		rival->nodes[list->head].before = object;
	else
		list->tail = object;
	list->head = object;
}

static void take_out(struct rival *rival, uint32_t object)
{
	struct node *node = &rival->nodes[object];
	struct list *list = &rival->lists[node->in - 1];

	if (node->before != NOBODY)
		rival->nodes[node->before].after = node->after;
	else
		list->head = node->after;
	if (node->after != NOBODY)
		rival->nodes[node->after].before = node->before;
	else
		list->tail = node->before;
	list->count--;
	node->in = 0;
}

/* Each: is it there? And it is, afterwards. */
static bool lru(struct rival *rival, uint32_t object)
{
	bool there = rival->nodes[object].in;

	if (there)
		take_out(rival, object);
	else if (rival->lists[0].count == rival->capacity)
		take_out(rival, rival->lists[0].tail);
	put_first(rival, 0, object);
	return there;
}

static bool clock_(struct rival *rival, uint32_t object)
{
	struct list *list = &rival->lists[0];

	if (rival->nodes[object].in) {
		rival->nodes[object].marks = 1;
		return true;
	}
	while (list->count == rival->capacity) {
		uint32_t last = list->tail;

		take_out(rival, last);
		if (rival->nodes[last].marks) {
			rival->nodes[last].marks = 0;
			put_first(rival, 0, last);
		}
	}
	rival->nodes[object].marks = 0;
	put_first(rival, 0, object);
	return false;
}

static bool sieve(struct rival *rival, uint32_t object)
{
	struct list *list = &rival->lists[0];

	if (rival->nodes[object].in) {
		rival->nodes[object].marks = 1;
		return true;
	}
	if (list->count == rival->capacity) {
		uint32_t hand = rival->hand != NOBODY ? rival->hand : list->tail;

		while (rival->nodes[hand].marks) {
			rival->nodes[hand].marks = 0;
			hand = rival->nodes[hand].before != NOBODY ? rival->nodes[hand].before : list->tail;
		}
		rival->hand = rival->nodes[hand].before;
		take_out(rival, hand);
	}
	rival->nodes[object].marks = 0;
	put_first(rival, 0, object);
	return false;
}

enum { SMALL, MAIN, GHOST };

static void s3_evict_main(struct rival *rival)
{
	for (;;) {
		uint32_t last = rival->lists[MAIN].tail;

		take_out(rival, last);
		if (rival->nodes[last].marks == 0)
			return;
		rival->nodes[last].marks--;
		put_first(rival, MAIN, last);
	}
}

static void s3_evict(struct rival *rival)
{
	while (rival->lists[SMALL].count > rival->capacity / 10 || rival->lists[MAIN].count == 0) {
		uint32_t last = rival->lists[SMALL].tail;

		take_out(rival, last);
		if (rival->nodes[last].marks > 1) {
			rival->nodes[last].marks = 0;
			put_first(rival, MAIN, last);
			continue;
		}
		put_first(rival, GHOST, last);
		if (rival->lists[GHOST].count > rival->capacity * 9 / 10)
			take_out(rival, rival->lists[GHOST].tail);
		return;
	}
	s3_evict_main(rival);
}

static bool s3_fifo(struct rival *rival, uint32_t object)
{
	struct node *node = &rival->nodes[object];
	bool ghost = node->in == GHOST + 1;

	if (node->in && !ghost) {
		node->marks += node->marks < 3;
		return true;
	}
	if (ghost)
		take_out(rival, object);
	if (rival->lists[SMALL].count + rival->lists[MAIN].count >= rival->capacity)
		s3_evict(rival);
	node->marks = 0;
	put_first(rival, ghost ? MAIN : SMALL, object);
	return false;
}

static double run_rival(const struct trace *trace, size_t capacity, bool (*ask)(struct rival *, uint32_t))
{
	struct rival rival = { .capacity = capacity, .hand = NOBODY };
	size_t hits = 0;

	rival.nodes = zeroed(trace->object_count, sizeof *rival.nodes);
	for (size_t i = 0; i < trace->count; i++)
		hits += ask(&rival, trace->objects[i]);
	free(rival.nodes);
	return 100.0 * (double)hits / (double)trace->count;
}

/* --- the table ------------------------------------------------------------------------------------ */

static double run_table(const struct trace *trace, uint64_t budget_bytes, size_t *ret_entries)
{
	struct comap_table_options options = { .budget_bytes = budget_bytes };
	static char value[100], path[512];
	size_t hits = 0, sum = 0, samples = 0;
	struct comap_table *table;
	struct comap *region;

	snprintf(path, sizeof path, "%s/comap-bench-evict-%d", folder, (int)getpid());
	region = comap_open(path, COMAP_CREATE);
	need(region != NULL, path);
	table = comap_table_open_with(region, "t", NULL, &options);
	need(table != NULL, "table");
	for (size_t i = 0; i < trace->count; i++) {
		uint64_t key = trace->objects[i];
		bool there = false;

		COMAP_READ(region)
			there = comap_table_view(table, &key, sizeof key).data != NULL;
		hits += there;
		if (!there)
			need(comap_table_put(table, &key, sizeof key, value, sizeof value) == 0, "put");
		if (i > trace->count / 2 && i % 10000 == 0) {
			sum += (size_t)comap_table_count(table);
			samples++;
		}
	}
	comap_table_close(table);
	comap_close(region);
	comap_unlink(path);
	*ret_entries = samples ? sum / samples : 1;
	return 100.0 * (double)hits / (double)trace->count;
}

static void measure(const struct trace *trace, double part)
{
	uint64_t budget = (uint64_t)((double)footprint(trace) * part * ENTRY_BYTES);
	size_t entries;
	double ours;

	if (budget < COMAP_TABLE_BUDGET_MIN_BYTES)
		budget = COMAP_TABLE_BUDGET_MIN_BYTES;
	ours = run_table(trace, budget, &entries);
	printf("%-28s %8zu %8.0f %7.2f %7.2f %7.2f %7.2f %7.2f\n", trace->name, entries,
	       (double)budget / (double)entries, ours, run_rival(trace, entries, lru),
	       run_rival(trace, entries, clock_), run_rival(trace, entries, sieve),
	       run_rival(trace, entries, s3_fifo));
	fflush(stdout);
}

static void measure_all(struct trace trace)
{
	measure(&trace, 0.01);
	measure(&trace, 0.1);
	free(trace.objects);
}

int main(int argc, char **argv)
{
	int first = 1;

	for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2)
		if (strcmp(argv[first], "--dir") == 0)
			folder = argv[first + 1];
	printf("Eviction: hit ratios in %% at 1 %% and 10 %% of the objects\n"
	       "%-28s %8s %8s %7s %7s %7s %7s %7s\n", "trace", "entries", "B/entry", "comap", "LRU", "CLOCK",
	       "SIEVE", "S3-FIFO");
	for (int i = first; i < argc; i++)
		measure_all(read_trace(argv[i]));
	if (first < argc)
		return 0;
	measure_all(generate("zipf 0.7", 0.7, plain));
	measure_all(generate("zipf 0.9", 0.9, plain));
	measure_all(generate("zipf 1.0", 1.0, plain));
	measure_all(generate("zipf 1.2", 1.2, plain));
	measure_all(generate("zipf 0.9, scans", 0.9, with_scans));
	measure_all(generate("zipf 0.9, shifting", 0.9, shifting));
	measure_all(generate("zipf 0.9, half a loop", 0.9, with_loop));
	return 0;
}
