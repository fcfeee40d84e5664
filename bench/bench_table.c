/* SPDX-License-Identifier: MIT */
/* A table of a million entries, keys of 16 bytes, values of 100, in random order,
 * against the floor: a plain open-addressing table of whole entries in the same mapping, same hash.
 *
 *     COMAP_BENCH_KEYS=10000000 bench_table      another number of keys
 *
 * Every look-up sums its value, word by word. Goals are of the floor's time. Peers: table/peers.c. */
#include "table/work.h"

#include <comap.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_NS 5000000.0     /* some 30,000 look-ups: the caches are full of this case again */
#define GROUP 256u             /* keys of one call that takes many */
#define WRITE_EVERY_NS 1000.0  /* of the writer beside: about a tenth of the reader's operations */

enum { STOP, READY, WRITES };

struct whole { struct key key; uint64_t words[14]; }; /* the floor's entry: 16 + 100, and 12 to spare */

static uint64_t key_count = 1000000, slot_mask;
static struct comap *region;
static struct comap_table *table;
static struct comap_value *floor_value;
static const struct whole *floor_slots;
static uint64_t random_state = 88172645463325252ull;
static char payload[VALUE_BYTES];

static inline struct key random_key(uint64_t first)
{
	return key_of(first + random_below(&random_state, key_count));
}

/* --- the floor ------------------------------------------------------------------------------------------ */

static inline const struct whole *floor_find(const struct whole *slots, const struct key *key)
{
	uint64_t at = XXH3_64bits(key, sizeof *key);

	for (;; at++) {
		const struct whole *slot = &slots[at & slot_mask];

		if (slot->key.words[0] == key->words[0] && slot->key.words[1] == key->words[1])
			return slot;
		if (slot->key.words[0] == 0)
			return NULL;
	}
}

/* Whole entries, of two lines each. */
static struct whole *whole_lines(const void *data)
{
	return (struct whole *)(((uintptr_t)data + 127) & ~(uintptr_t)127);
}

static void floor_make(void)
{
	uint64_t slots = 2;
	struct whole *all;
	void *data = NULL;

	while (slots < key_count * 2)
		slots *= 2;
	slot_mask = slots - 1;
	floor_value = comap_value_open(region, "floor", NULL);
	bench_need(floor_value && comap_value_reserve(floor_value, (slots + 1) * sizeof *all, &data) == 0);
	all = whole_lines(data);
	memset(all, 0, slots * sizeof *all);
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);
		uint64_t at = XXH3_64bits(&key, sizeof key);

		while (all[at & slot_mask].key.words[0])
			at++;
		all[at & slot_mask].key = key;
		memcpy(all[at & slot_mask].words, payload, VALUE_BYTES);
	}
	bench_need(comap_value_publish(floor_value) == 0);
	COMAP_READ(region)
		floor_slots = whole_lines(comap_value_view(floor_value).data); /* it stays: the value is not changed */
}

static void floor_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = random_key(0);

		bench_need(comap_read_begin(region) == 0);
		total += sum(floor_find(floor_slots, &key)->words);
		comap_read_end(region);
	}
	bench_use(total);
}

/* The floor where it is not known beforehand where it lies, as in a region others publish in. */
static void floor_value_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = random_key(0);

		bench_need(comap_read_begin(region) == 0);
		total += sum(floor_find(whole_lines(comap_value_view(floor_value).data), &key)->words);
		comap_read_end(region);
	}
	bench_use(total);
}

/* --- comap ------------------------------------------------------------------------------------ */

static void get_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = random_key(0);

		bench_need(comap_read_begin(region) == 0);
		total += sum(comap_table_view(table, &key, sizeof key).data);
		comap_read_end(region);
	}
	bench_use(total);
}

static void get_many_loop(void *context, uint64_t count)
{
	static struct key keys[GROUP];
	static struct comap_key names[GROUP];
	static struct comap_view views[GROUP];
	uint64_t total = 0, group;

	for (uint64_t i = 0; i < count; i += group) {
		group = count - i < GROUP ? count - i : GROUP;
		for (uint64_t k = 0; k < group; k++) {
			keys[k] = random_key(0);
			names[k] = (struct comap_key){ &keys[k], sizeof keys[k] };
		}
		bench_need(comap_read_begin(region) == 0);
		bench_need(comap_table_view_many(table, group, names, views) == (int)group);
		for (uint64_t k = 0; k < group; k++)
			total += sum(views[k].data);
		comap_read_end(region);
	}
	bench_use(total);
}

static void miss_loop(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct key key = random_key(key_count);

		bench_need(comap_read_begin(region) == 0);
		bench_use(comap_table_view(table, &key, sizeof key).data);
		comap_read_end(region);
	}
}

static void put_loop(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct key key = random_key(0);

		bench_need(comap_table_put(table, &key, sizeof key, payload, VALUE_BYTES) == 0);
	}
}

/* The writer beside: one put a microsecond, of keys that the reader asks for. */
static void write_beside(void *context)
{
	uint64_t next = bench_ticks(), count = 0;

	comap_u64_store_release(bench_shared(READY), 1);
	while (comap_u64_load_relaxed(bench_shared(STOP)) == 0) { /* relaxed: soon enough */
		while (bench_ticks_ns(bench_ticks() - next) < WRITE_EVERY_NS)
			comap_spin_pause();
		next = bench_ticks();
		if (context)
			put_loop(NULL, 1);
		comap_u64_store_relaxed(bench_shared(WRITES), ++count); /* relaxed: a statistic */
	}
}

/* --- all -------------------------------------------------------------------------------------- */

static double load_ns, bytes_per_entry;
static struct bench_helper *second;

static void attach(void) { bench_need(comap_attach(region) == 0); }

static void set_up(void)
{
	struct comap_check held;
	uint64_t begin;

	value_fill(payload);
	bench_slices(SLICE_NS);
	region = comap_open(bench_path("region"), COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	bench_need(table);
	begin = bench_clock_ns();
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);

		bench_need(comap_table_put(table, &key, sizeof key, payload, VALUE_BYTES) == 0);
	}
	load_ns = (double)(bench_clock_ns() - begin) / (double)key_count;
	bench_need(comap_check(region, &held) == 0);
	bytes_per_entry = (double)(held.committed_bytes - held.free_bytes) /
	                  (double)key_count;
	floor_make();
	second = bench_helper_start(BENCH_PROCESS, attach, NULL);
}

static void measure_beside(struct bench_metric *metric, bool writes)
{
	struct bench_case reader = { metric, get_loop };
	pid_t writer;

	comap_u64_store_relaxed(bench_shared(STOP), 0); /* relaxed, both: before the fork */
	comap_u64_store_relaxed(bench_shared(READY), 0);
	writer = fork();
	bench_need(writer >= 0);
	if (writer == 0) {
		bench_pin(1);
		attach();
		write_beside(writes ? region : NULL);
		_exit(0);
	}
	bench_await(bench_shared(READY), 1);
	bench_interleave(&reader, 1);
	comap_u64_store_release(bench_shared(STOP), 1);
	bench_wait(writer);
}

int main(int argc, char **argv)
{
	const char *keys = getenv("COMAP_BENCH_KEYS");

	bench_begin(argc, argv, "table", "keys of 16 bytes, values of 100, in random order");
	if (keys)
		key_count = strtoull(keys, NULL, 10);
	set_up();

	struct bench_metric *floor_get = bench_metric("get, the floor", "ns");
	struct bench_metric *floor_found = bench_metric("get, the floor as a value", "ns");
	struct bench_metric *get = bench_metric("get", "ns");
	struct bench_metric *many = bench_metric("get, 256 at once", "ns");
	struct bench_metric *miss = bench_metric("get, not there", "ns");
	struct bench_metric *put = bench_metric("put over", "ns");
	struct bench_metric *floor_two = bench_metric("get, two processes, the floor", "ns");
	struct bench_metric *two = bench_metric("get, two processes", "ns");
	struct bench_metric *alone = bench_metric("get, idle process beside", "ns");
	struct bench_metric *beside = bench_metric("get, a writer beside", "ns");
	struct bench_metric *load = bench_metric("load, per entry", "ns");
	struct bench_metric *memory = bench_metric("memory per entry", "bytes");

	while (bench_round()) {
		struct bench_case reads[] = {
			{ floor_get, floor_loop }, { floor_found, floor_value_loop }, { get, get_loop },
			{ many, get_many_loop }, { miss, miss_loop },
		};
		struct bench_case pairs[] = {
			{ floor_two, floor_loop, NULL, second }, { two, get_loop, NULL, second },
		};
		struct bench_case writes[] = { { put, put_loop } };

		bench_interleave(reads, sizeof reads / sizeof reads[0]);
		bench_interleave(pairs, sizeof pairs / sizeof pairs[0]);
		measure_beside(alone, false);
		measure_beside(beside, true);
		bench_interleave(writes, 1);
		bench_put(load, load_ns);
		bench_put(memory, bytes_per_entry);
	}
	bench_show(floor_get);
	bench_against(get, floor_get, 1.25);
	bench_show(floor_found);
	bench_against(get, floor_found, 0);
	bench_against(many, floor_get, 0.5);
	bench_show(miss);
	bench_show(floor_two);
	bench_against(two, floor_two, 1.25);
	bench_against(beside, alone, 1.053);
	bench_at_most(put, 1000);
	bench_show(load);
	bench_at_most(memory, (KEY_BYTES + VALUE_BYTES) * 1.25 + 24);
	bench_note("%.0f keys", (double)key_count);
	bench_helper_end(second);
	comap_value_close(floor_value);
	comap_table_close(table);
	comap_close(region);
	return bench_end();
}
