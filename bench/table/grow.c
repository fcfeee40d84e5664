/* SPDX-License-Identifier: MIT */
/* Pauses while a table grows from 1,000 entries to ten million (or COMAP_BENCH_KEYS), and its region with
 * it: one process puts, another gets keys that are there, the time of each is taken. For each tenfold: the
 * quantiles of the puts, the longest put and get, and what all its puts took, per entry. Beside it, in the
 * same round: as many puts over into the table that has grown, and a plain table of a quarter of the keys, in
 * private memory, that doubles all at once. What the machine itself takes away (others, interrupts, memory
 * that the hypervisor has to find first) is in all of them; the longest of the quietest round says most. */
#include "ours.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST 1000u
#define DECADES_MAX 5u
#define BUCKETS 2048u          /* of a histogram: 32 for each doubling of the time */

enum { THERE, READY, STOP };   /* shared words */

/* Times, counted by size: what a quantile says is at most 3 % too much. */
struct times {
	uint64_t counts[BUCKETS], count;
	double longest_ns;
	double all_ns;             /* of the puts, and what lies between them */
};

static uint64_t key_count = 10000000;
static char payload[VALUE_BYTES];
static struct times *reader_times;     /* shared; one for each tenfold, one for the puts over */

/* --- times ------------------------------------------------------------------------------------ */

static unsigned bucket_of(uint64_t ticks)
{
	unsigned power = ticks < 32 ? 0 : 58 - (unsigned)__builtin_clzll(ticks);

	return power * 32 + (unsigned)(ticks >> power);
}

static void note(struct times *times, uint64_t ticks)
{
	double ns = bench_span_ns(ticks);

	times->counts[bucket_of(ticks)]++;
	times->count++;
	if (ns > times->longest_ns)
		times->longest_ns = ns;
}

static double quantile(const struct times *times, double of)
{
	uint64_t sum = 0, limit = (uint64_t)((double)times->count * of);
	unsigned i = 0;

	while (i < BUCKETS - 1 && (sum += times->counts[i]) <= limit)
		i++;
	/* the upper end of the bucket */
	return bench_span_ns(i < 64 ? i : (uint64_t)(32 + i % 32 + 1) << (i / 32 - 1));
}

/* --- the two processes ------------------------------------------------------------------------ */

/* Which tenfold it is: 0 for 1,000 to 10,000. */
static unsigned decade_of(uint64_t there)
{
	unsigned decade = 0;

	for (uint64_t limit = FIRST * 10; there >= limit && limit < key_count; limit *= 10)
		decade++;
	return decade;
}

/* Gets keys that are there until it is told to stop. A number beyond the keys: they are put over. */
static void read_beside(void *context)
{
	uint64_t state = 362436069362436069ull, total = 0, there;

	ours_attach();
	comap_u64_store_release(bench_shared(READY), 1);
	while (comap_u64_load_relaxed(bench_shared(STOP)) == 0) { /* relaxed: soon enough */
		/* acquire: what is counted is in the table */
		there = comap_u64_load_acquire(bench_shared(THERE));
		for (unsigned i = 0; i < 64; i++) {
			uint64_t key = random_below(&state, there < key_count ? there : key_count);
			uint64_t begin = bench_ticks();

			total += ours_get(key);
			note(&reader_times[there > key_count ? DECADES_MAX : decade_of(there)],
			     bench_ticks() - begin);
		}
	}
	bench_use(total);
}

/* Puts the keys from `from` to before `to`. */
static void put_all(struct times *times, uint64_t from, uint64_t to)
{
	uint64_t begin_all = bench_ticks();

	for (uint64_t i = from; i < to; i++) {
		uint64_t begin = bench_ticks();

		ours_put(i, payload);
		note(times, bench_ticks() - begin);
		comap_u64_store_release(bench_shared(THERE), i + 1); /* the reader may ask for it */
	}
	times->all_ns = bench_span_ns(bench_ticks() - begin_all);
}

/* As many puts as in the last tenfold, nothing grows. */
static void put_over(struct times *times)
{
	uint64_t begin_all = bench_ticks();

	comap_u64_store_release(bench_shared(THERE), key_count + 1);
	for (uint64_t i = 0; i < key_count / 10 * 9; i++) {
		uint64_t begin = bench_ticks();

		ours_put(i, payload);
		note(times, bench_ticks() - begin);
	}
	times->all_ns = bench_span_ns(bench_ticks() - begin_all);
}

/* --- a plain table that doubles ----------------------------------------------------------------- */

struct whole { struct key key; char value[VALUE_BYTES]; };

static void plain_insert(struct whole *slots, uint64_t mask, const struct whole *entry)
{
	uint64_t at = XXH3_64bits(&entry->key, sizeof entry->key);

	while (slots[at & mask].key.words[0])
		at++;
	slots[at & mask] = *entry;
}

/* The longest insertion: the one that doubles last. */
static double plain_longest_ns(uint64_t count)
{
	uint64_t capacity = 1024, longest = 0;
	struct whole *slots = calloc(capacity, sizeof *slots), *wider, entry;

	memcpy(entry.value, payload, VALUE_BYTES);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t begin = bench_ticks(), ticks;

		entry.key = key_of(i);
		if (i * 2 == capacity) {
			wider = calloc(capacity * 2, sizeof *slots);
			bench_need(slots && wider);
			for (uint64_t k = 0; k < capacity; k++)
				if (slots[k].key.words[0])
					plain_insert(wider, capacity * 2 - 1, &slots[k]);
			free(slots);
			slots = wider;
			capacity *= 2;
		}
		plain_insert(slots, capacity - 1, &entry);
		ticks = bench_ticks() - begin;
		longest = ticks > longest ? ticks : longest;
	}
	free(slots);
	return bench_span_ns(longest);
}

/* --- all -------------------------------------------------------------------------------------- */

struct row {
	struct bench_metric *p50, *p99, *p9999, *put, *get, *load;
};

static struct row rows[DECADES_MAX + 1];
static unsigned decade_count;

static struct bench_metric *named(const char *phase, const char *what)
{
	char *name; /* it is kept */

	bench_need(asprintf(&name, "%s: %s", phase, what) > 0);
	return bench_metric(name, "us");
}

static struct row row_named(const char *phase)
{
	return (struct row){ named(phase, "put, p50"), named(phase, "put, p99"), named(phase, "put, p99.99"),
	                     named(phase, "longest put"), named(phase, "longest get beside"),
	                     named(phase, "all puts, per entry") };
}

static void name_rows(void)
{
	for (uint64_t from = FIRST; from < key_count; from *= 10) {
		char phase[64];

		bench_need(decade_count < DECADES_MAX);
		snprintf(phase, sizeof phase, "%.0e to %.0e", (double)from,
		         (double)(from * 10 < key_count ? from * 10 : key_count));
		rows[decade_count++] = row_named(phase);
	}
	rows[DECADES_MAX] = row_named("puts over");
}

static void put_row(const struct row *row, const struct times *puts, const struct times *gets)
{
	bench_put(row->p50, quantile(puts, 0.5) / 1000);
	bench_put(row->p99, quantile(puts, 0.99) / 1000);
	bench_put(row->p9999, quantile(puts, 0.9999) / 1000);
	bench_put(row->put, puts->longest_ns / 1000);
	bench_put(row->get, gets->longest_ns / 1000);
	bench_put(row->load, puts->all_ns / 1000 / (double)puts->count);
}

static struct bench_metric *grown, *over_written; /* what the heap takes of its file, per entry */

static void put_committed(struct bench_metric *metric)
{
	struct comap_info info;

	bench_need(comap_info(ours.region, &info) == 0);
	bench_put(metric, (double)info.heap_committed_bytes / (double)key_count);
}

static void measure(const char *path)
{
	static struct times puts[DECADES_MAX + 1];
	uint64_t from = FIRST;
	pid_t reader;

	memset(puts, 0, sizeof puts);
	memset(reader_times, 0, sizeof puts);
	ours_make(path, FIRST);
	comap_u64_store_relaxed(bench_shared(STOP), 0); /* relaxed, all: before the fork */
	comap_u64_store_relaxed(bench_shared(READY), 0);
	comap_u64_store_relaxed(bench_shared(THERE), FIRST);
	reader = bench_fork(read_beside, NULL);
	bench_await(bench_shared(READY), 1);
	for (unsigned d = 0; d < decade_count; d++, from *= 10)
		put_all(&puts[d], from, from * 10 < key_count ? from * 10 : key_count);
	put_committed(grown);
	put_over(&puts[DECADES_MAX]);
	put_committed(over_written);
	comap_u64_store_release(bench_shared(STOP), 1);
	bench_wait(reader);
	ours_close();
	unlink(path);
	for (unsigned d = 0; d < decade_count; d++)
		put_row(&rows[d], &puts[d], &reader_times[d]);
	put_row(&rows[DECADES_MAX], &puts[DECADES_MAX], &reader_times[DECADES_MAX]);
}

int main(int argc, char **argv)
{
	const char *keys = getenv("COMAP_BENCH_KEYS"), *path;
	const struct row *over = &rows[DECADES_MAX], *last;
	struct bench_metric *plain;

	bench_begin(argc, argv, "table-grow", "pauses while a table grows");
	if (keys)
		key_count = strtoull(keys, NULL, 10);
	bench_need(key_count > FIRST);
	value_fill(payload);
	reader_times = mmap(NULL, (DECADES_MAX + 1) * sizeof *reader_times, PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_need(reader_times != MAP_FAILED);
	path = bench_path("region");
	name_rows();
	plain = bench_metric("plain table of a quarter: longest put", "us");
	grown = bench_metric("heap per entry, grown", "B");
	over_written = bench_metric("heap per entry, after the puts over", "B");
	while (bench_round()) {
		measure(path);
		bench_put(plain, plain_longest_ns(key_count / 4) / 1000);
	}
	for (unsigned d = 0; d < decade_count; d++) {
		bench_show(rows[d].p50);
		bench_show(rows[d].p99);
		bench_show(rows[d].p9999);
		bench_show(rows[d].put);
		bench_show(rows[d].get);
		bench_show(rows[d].load);
	}
	last = &rows[decade_count - 1];
	bench_against(last->p99, over->p99, 0);
	bench_against(last->p9999, over->p9999, 0);
	bench_against(last->put, over->put, 0);
	bench_against(last->get, over->get, 0);
	bench_against(last->put, plain, 0);
	bench_show(grown);
	bench_show(over_written);
	return bench_end();
}
