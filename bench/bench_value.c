/* SPDX-License-Identifier: MIT */
/* A value of 64 KiB that is published a thousand times a second by one process and read by another:
 * comap, and other ways to do the same, each in the same round, beside the floor: summing 64 KiB of
 * one's own that lie in the cache. Then: how long it takes until a sleeper has woken. */
#include "kit.h"
#include "ways.h"

#include <comap.h>

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 1000000.0
#define PUBLISHES 100u         /* per round and way */
#define READS_MAX 200000u
#define LOOKS 64u              /* per batch */
#define WAKES 100u             /* per round and kind */

enum { STOP, PUBLISHED = 1, SEEN = 2, BELL = 3, RUNG = 4, SAMPLES = 8 };

static struct comap_u64 *word(unsigned index) { return bench_shared(index); }
static double samples[READS_MAX];

/* --- publishing and reading ---------------------------------------------------------------------- */

/* The publisher: at its own pace, without sleep, so that the CPU is awake as a busy server's is. */
static void publish_loop(void *context, uint64_t count)
{
	const struct way *way = context;
	uint64_t next = bench_ticks(), begin;

	for (uint64_t i = 0; i < count; i++) {
		while (bench_ticks_ns(bench_ticks() - next) < PERIOD_NS)
			comap_spin_pause();
		begin = next = bench_ticks();
		way->publish(i + 1);
		/* relaxed: the end of the loop is waited for */
		comap_u64_store_relaxed(word(SAMPLES + (unsigned)i), bench_ticks() - begin);
		comap_u64_store_release(word(PUBLISHED), 1); /* readers may begin */
	}
	comap_u64_store_release(word(STOP), 1); /* the samples before the word */
}

static uint64_t __attribute__((noinline)) sum(const uint64_t *words, size_t count)
{
	uint64_t total[8] = { 0 };

	for (size_t i = 0; i < count; i += 8) /* eight sums, so that loads and not additions count */
		for (unsigned k = 0; k < 8; k++)
			total[k] += words[i + k];
	return total[0] + total[1] + total[2] + total[3] + total[4] + total[5] + total[6] + total[7];
}

void way_use(const void *data)
{
	bench_use(sum(data, WAY_BYTES / 8));
}

struct reading {
	const struct way *way;
	struct bench_metric *full, *full_mean, *look, *publish, *publish_mean;
};

/* Full reads while the first half of the versions come, looks while the second do. */
static void read_while_published(struct reading *this, struct bench_helper *publisher)
{
	size_t count = 0, batches = 0;
	static double looks[READS_MAX];
	uint64_t begin, half;
	double total = 0;

	comap_u64_store_relaxed(word(STOP), 0); /* relaxed, both: before the order */
	comap_u64_store_relaxed(word(PUBLISHED), 0);
	bench_helper_order(publisher, publish_loop, (void *)(uintptr_t)this->way, PUBLISHES);
	bench_await(word(PUBLISHED), 1);
	half = bench_clock_ns() + (uint64_t)(PUBLISHES / 2 * PERIOD_NS);
	while (bench_clock_ns() < half && count < READS_MAX) {
		begin = bench_ticks();
		this->way->full();
		samples[count] = bench_span_ns(bench_ticks() - begin);
		total += samples[count++];
	}
	while (comap_u64_load_acquire(word(STOP)) == 0 && batches < READS_MAX) { /* acquire: samples */
		begin = bench_ticks();
		for (unsigned i = 0; i < LOOKS; i++)
			this->way->look();
		looks[batches++] = bench_span_ns(bench_ticks() - begin) / LOOKS;
	}
	bench_helper_await(publisher);
	bench_sort(samples, count);
	bench_sort(looks, batches);
	bench_put(this->full, bench_quantile(samples, count, 0.5));
	bench_put(this->full_mean, total / (double)count);
	bench_put(this->look, bench_quantile(looks, batches, 0.5));
}

static void put_publish_times(struct reading *this)
{
	double total = 0;

	for (unsigned i = 0; i < PUBLISHES; i++) {
		/* relaxed: the helper has ended */
		samples[i] = bench_span_ns(comap_u64_load_relaxed(word(SAMPLES + i))) / 1000;
		total += samples[i];
	}
	bench_sort(samples, PUBLISHES);
	bench_put(this->publish, bench_quantile(samples, PUBLISHES, 0.5));
	bench_put(this->publish_mean, total / PUBLISHES);
}

/* In the same surroundings: while somebody publishes. */
static void measure_floor(struct bench_metric *floor, struct bench_helper *publisher, int map_flag)
{
	uint64_t *own = mmap(NULL, WAY_BYTES, PROT_READ | PROT_WRITE, map_flag | MAP_ANONYMOUS, -1, 0);
	size_t count = 0;
	uint64_t begin;

	bench_need(own != MAP_FAILED);
	memset(own, 1, WAY_BYTES);
	comap_u64_store_relaxed(word(STOP), 0); /* relaxed: before the order */
	bench_helper_order(publisher, publish_loop, (void *)(uintptr_t)ways[0], PUBLISHES / 2);
	while (comap_u64_load_acquire(word(STOP)) == 0 && count < READS_MAX) { /* acquire: as below */
		begin = bench_ticks();
		way_use(own);
		samples[count++] = bench_span_ns(bench_ticks() - begin);
	}
	bench_helper_await(publisher);
	bench_sort(samples, count);
	bench_put(floor, bench_quantile(samples, count, 0.5));
	munmap(own, WAY_BYTES);
}

static const char *join(const char *what, const char *name)
{
	static char texts[64][64];
	static unsigned count;

	bench_need(count < 64);
	snprintf(texts[count], sizeof texts[0], "%s, %s", what, name);
	return texts[count++];
}

static void measure_ways(struct bench_helper *publisher)
{
	struct bench_metric *floor = bench_metric("sum of 64 KiB, private memory", "ns");
	struct bench_metric *shared_floor = bench_metric("sum of 64 KiB, shared memory", "ns");
	struct reading readings[WAYS_MAX];
	unsigned count = 0;

	for (; ways[count]; count++) {
		const char *name = ways[count]->name;

		readings[count] = (struct reading){
			ways[count], bench_metric(join("full read, p50", name), "ns"),
			bench_metric(join("full read, mean", name), "ns"),
			bench_metric(join("first look", name), "ns"),
			bench_metric(join("build and publish, p50", name), "us"),
			bench_metric(join("build and publish, mean", name), "us"),
		};
	}
	while (bench_round()) {
		measure_floor(floor, publisher, MAP_PRIVATE);
		measure_floor(shared_floor, publisher, MAP_SHARED);
		for (unsigned i = 0; i < count; i++) {
			read_while_published(&readings[i], publisher);
			put_publish_times(&readings[i]);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		bench_against(readings[i].full, floor, i == 0 ? 1.05 : 0);
		bench_against(readings[i].full, shared_floor, 0);
		bench_show(readings[i].full_mean);
		bench_at_most(readings[i].look, i == 0 ? 30 : 0);
		bench_at_most(readings[i].publish, i == 0 ? 2 : 0);
		bench_at_most(readings[i].publish_mean, i == 0 ? 4 : 0);
	}
}

/* --- guests ----------------------------------------------------------------------------------------- */

static struct comap_value *guest_value;
static const char *guest_path;

static void be_guest(void)
{
	struct comap *region = comap_open(guest_path, COMAP_GUEST | COMAP_WAIT);

	bench_need(region && (guest_value = comap_value_open(region, "blob", NULL)));
}

static void guest_loop(void *context, uint64_t count)
{
	static char buffer[WAY_BYTES];

	for (uint64_t i = 0; i < count; i++)
		bench_need(comap_value_get(guest_value, buffer, sizeof buffer, NULL) == 0);
}

/* --- waking ------------------------------------------------------------------------------------------ */

static void sleep_on_value(void *context, uint64_t count)
{
	uint64_t seen = comap_value_version(way_value);

	comap_u64_store_release(word(SEEN), 1);
	for (uint64_t i = 0; i < count; i++) {
		bench_need(comap_value_wait(way_value, seen++, COMAP_FOREVER) == 0);
		comap_u64_store_release(word(RUNG), bench_ticks()); /* for who waits for it */
	}
}

static void sleep_on_futex(void *context, uint64_t count)
{
	comap_u64_store_release(word(SEEN), 1);
	for (uint64_t i = 0; i < count; i++) {
		while (comap_u64_load_acquire(word(BELL)) == i) /* acquire: what the waker did before */
			syscall(SYS_futex, word(BELL), FUTEX_WAIT, (uint32_t)i, NULL, NULL, 0);
		comap_u64_store_release(word(RUNG), bench_ticks());
	}
}

static void ring_value(uint64_t number) { way_small(number); }
static void ring_futex(uint64_t number)
{
	comap_u64_store_release(word(BELL), number + 1);
	syscall(SYS_futex, word(BELL), FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* From before the publish to the sleeper's first instruction after its sleep. */
static void measure_wake(struct bench_metric *metric, struct bench_helper *sleeper, bench_loop *sleep,
                         void (*ring)(uint64_t number))
{
	const struct timespec until_it_sleeps = { .tv_nsec = 200000 };
	uint64_t begin;

	comap_u64_store_relaxed(word(BELL), 0); /* relaxed, all: before the order */
	comap_u64_store_relaxed(word(SEEN), 0);
	bench_helper_order(sleeper, sleep, NULL, WAKES);
	bench_await(word(SEEN), 1);
	for (unsigned i = 0; i < WAKES; i++) {
		comap_u64_store_relaxed(word(RUNG), 0); /* relaxed: it sleeps */
		nanosleep(&until_it_sleeps, NULL);
		begin = bench_ticks();
		ring(i);
		bench_await(word(RUNG), 1);
		samples[i] = bench_span_ns(comap_u64_load_relaxed(word(RUNG)) - begin) / 1000; /* acquired */
	}
	bench_helper_await(sleeper);
	bench_sort(samples, WAKES);
	bench_put(metric, bench_quantile(samples, WAKES, 0.5));
}

/* --- the program ---------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	struct bench_helper *guest, *publisher, *sleeper;
	struct bench_metric *get, *wake, *futex;

	bench_begin(argc, argv, "value", "64 KiB published 1000 times a second by another process");
	guest_path = bench_path("region");
	guest = bench_helper_start(BENCH_PROCESS, be_guest, NULL);
	ways_open(guest_path);
	publisher = bench_helper_start(BENCH_PROCESS, ways_attach, NULL);
	measure_ways(publisher);
	bench_helper_end(publisher);

	get = bench_metric("guest's get: copy of 64 KiB, validated", "ns");
	wake = bench_metric("publish to awake, p50, comap", "us");
	futex = bench_metric("store to awake, p50, bare futex", "us");
	sleeper = bench_helper_start(BENCH_PROCESS, ways_attach, NULL);
	ways[0]->publish(1);
	while (bench_round()) {
		struct bench_case guests = { .metric = get, .loop = guest_loop, .only_helper = guest };

		bench_interleave(&guests, 1);
		measure_wake(wake, sleeper, sleep_on_value, ring_value);
		measure_wake(futex, sleeper, sleep_on_futex, ring_futex);
		ways[0]->publish(1);
	}
	bench_show(get);
	bench_against(wake, futex, 1.1);
	bench_helper_end(sleeper);
	bench_helper_end(guest);
	ways_close();
	bench_note("build and publish: reserve, 64 KiB stored, publish; its mean holds grace periods and reuse");
	bench_note("first look: read section, view, first word; mean of batches of %u, median batch", LOOKS);
	return bench_end();
}
