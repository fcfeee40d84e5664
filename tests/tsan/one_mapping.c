/* SPDX-License-Identifier: MIT */
/* Everything at once, by threads over one mapping, for ThreadSanitizer.
 *
 *     one_mapping [SECONDS [broken]]     2 by default; `./run long tsan SECONDS`
 *
 * Two attachments of one region (the file has two names) and a guest, in one process and in one
 * mapping (ipc/one_view.h), in a fenced region and then in one with membarrier. Threads read pinned and
 * as guests, nest, park, publish and pass the role on, wait for grace periods, let memory be used again,
 * take mutexes, open and close, wait for flags, write tables, use a cache that evicts, come and go. What
 * grace periods and mutexes guard is ordinary memory too, written by plain stores: an order that is
 * missing is a report.
 *
 * With `broken` the updater leaves the grace period out: then there must be a report. The fences of
 * word.h are additions there, so what hangs on a fence alone is not tried here but by the litmus
 * test and by the models. Everywhere else than in ThreadSanitizer's build this is a small storm. */
#include <comap.h>

#include "futex.h"
#include "mutex.h"
#include "one_view.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_WORDS 24u
#define ELEMENTS 4u
#define ELEMENT_WORDS 16u
#define CACHE_KEYS 4000u      /* more than its budget has room for */
#define CACHE_COUNTERS 16u
#define CACHE_TTL_NS 2000000u

static char folder[64], names[2][96], other_name[96];
static struct comap *attached[2], *guest;
static struct comap_u32 stop;
static bool broken;

static struct comap_u64 work[16]; /* how often each player did its work */

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (%s)\n", comap_error_text());
	_exit(1);
}

#define REQUIRE(condition) ((condition) ? (void)0 : die("line %d: not so: %s", __LINE__, #condition))

static bool over(void)
{
	return comap_u32_load_relaxed(&stop) != 0; /* relaxed: a flag of its own */
}

#ifdef COMAP__TSAN
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return
		/* liburcu is not instrumented: the order between adding a node and finding it (a release
		 * and a dependent load inside the library) is not seen. The match reads the key only. */
		"race:^matches$\n"
		/* For the same reason its grace period is not seen, after which an entry is freed. */
		"race:^free_entry$\n";
}
#endif

/* --- values -------------------------------------------------------------------------------------- */

static void require_uniform(const uint64_t *words, size_t size_bytes)
{
	REQUIRE(size_bytes == VALUE_WORDS * sizeof *words);
	for (unsigned i = 1; i < VALUE_WORDS; i++)
		REQUIRE(words[i] == words[0]);
}

static void *value_reader(void *argument)
{
	struct comap *region = argument;
	struct comap_value *value = comap_value_open(region, "v", NULL);
	struct comap_view view;

	REQUIRE(value);
	for (uint64_t round = 0; !over(); round++) {
		REQUIRE(comap_read_begin(region) == 0);
		view = comap_value_view(value);
		if (view.data)
			require_uniform(view.data, view.size_bytes);
		REQUIRE(comap_read_begin(region) == 0);
		REQUIRE(comap_read_end(region) == 0);
		if (view.data)
			require_uniform(view.data, view.size_bytes);
		if (round % 64 == 0) {
			REQUIRE(comap_read_park(region) == 0);
			if (comap_read_resume(region) == -ESTALE)
				continue; /* which ended it */
		}
		REQUIRE(comap_read_end(region) == 0);
		comap_u64_add_relaxed(&work[0], 1); /* relaxed, here and below: statistics */
	}
	comap_value_close(value);
	return NULL;
}

static void *guest_reader(void *argument)
{
	struct comap_value *value = comap_value_open(argument, "v", NULL);
	uint64_t words[VALUE_WORDS];
	struct comap_view view;
	int code;

	REQUIRE(value);
	while (!over()) {
		code = comap_value_get(value, words, sizeof words, &view);
		if (code == 0)
			require_uniform(view.data, view.size_bytes);
		REQUIRE(code == 0 || code == -ENODATA || code == -EAGAIN);
		comap_u64_add_relaxed(&work[1], 1);
	}
	comap_value_close(value);
	return NULL;
}

static void *publisher(void *argument)
{
	struct comap_value *value = comap_value_open(argument, "v", NULL);
	uint64_t *words;
	void *into;
	int code;

	REQUIRE(value);
	for (uint64_t number = 1; !over(); number++) {
		code = comap_value_reserve(value, VALUE_WORDS * sizeof *words, &into);
		if (code == -EBUSY || code == -ENOSPC) { /* the other attachment publishes; readers pin */
			usleep(100);
			continue;
		}
		REQUIRE(code == 0);
		words = into;
		for (unsigned i = 0; i < VALUE_WORDS; i++)
			words[i] = number;
		code = comap_value_publish(value);
		REQUIRE(code == 0 || code == -EBUSY); /* over the budget */
		comap_u64_add_relaxed(&work[2], 1);
		if (number % 32 == 0)
			comap_value_release(value); /* another thread of ours may be building: no matter */
	}
	comap_value_close(value);
	return NULL;
}

static void *waiter(void *argument)
{
	struct comap_value *value = comap_value_open(argument, "v", NULL);
	uint64_t seen = 0;
	int code;

	REQUIRE(value);
	while (!over()) {
		code = comap_value_wait(value, seen, comap_deadline_ms(100));
		REQUIRE(code == 0 || code == -ETIMEDOUT);
		seen = comap_value_version(value);
		comap_u64_add_relaxed(&work[3], 1);
	}
	comap_value_close(value);
	return NULL;
}

/* --- grace periods over ordinary memory ------------------------------------------------------------ */

static uint64_t elements[ELEMENTS][ELEMENT_WORDS];
static struct comap_u64 current;

static void *element_reader(void *argument)
{
	struct comap *region = argument;

	while (!over()) {
		COMAP_READ(region) {
			const uint64_t *element = elements[comap_u64_load_acquire(&current)];

			for (unsigned i = 1; i < ELEMENT_WORDS; i++)
				REQUIRE(element[i] == element[0] || broken);
		}
		comap_u64_add_relaxed(&work[4], 1);
	}
	return NULL;
}

static void grace_period(struct comap *region, uint64_t number)
{
	uint64_t ticket;
	int done;

	if (broken)
		return;
	if (number % 4) {
		REQUIRE(comap_synchronize(region) == 0);
		return;
	}
	ticket = comap_synchronize_start(region);
	REQUIRE(ticket != 0);
	while ((done = comap_synchronize_poll(region, ticket)) == 0)
		usleep(20);
	REQUIRE(done == 1);
}

static void *element_updater(void *argument)
{
	static uint64_t number; /* goes on in the second run: what is current then is not to be written */

	for (number++; !over(); number++) {
		uint64_t next = number % ELEMENTS;

		/* Unlinked ELEMENTS - 1 grace periods ago: the plain stores must not meet its readers. */
		for (unsigned i = 0; i < ELEMENT_WORDS; i++)
			elements[next][i] = number;
		comap_u64_store_release(&current, next);
		grace_period(argument, number);
		comap_u64_add_relaxed(&work[5], 1);
	}
	return NULL;
}

static void *idle_synchronizer(void *argument)
{
	while (!over()) {
		REQUIRE(comap_synchronize(argument) == 0);
		usleep(200);
		comap_u64_add_relaxed(&work[6], 1);
	}
	return NULL;
}

/* --- mutex, handles, tables, threads ---------------------------------------------------------------- */

static struct comap_u64 lock_word;
static uint64_t guarded, locked[2];

static void *locker(void *argument)
{
	struct comap *region = *(struct comap **)argument;
	uint64_t *own = &locked[(struct comap **)argument - attached];
	struct comap__row *row = comap__thread_row(region);

	REQUIRE(row);
	while (!over()) {
		REQUIRE(comap__mutex_lock(region, &lock_word, row->token, COMAP_FOREVER) == 0);
		guarded++;
		comap__mutex_unlock(&lock_word, row->token);
		++*own;
		if (*own % 16 == 0)
			sched_yield();
		comap_u64_add_relaxed(&work[7], 1);
	}
	return NULL;
}

static void *opener(void *argument)
{
	while (!over()) {
		struct comap *same = comap_open(names[0], 0), *other = comap_open(other_name, 0);
		struct comap_value *value;

		REQUIRE(same == attached[0] && other);
		value = comap_value_open(other, "v", NULL);
		REQUIRE(value);
		comap_value_close(value);
		REQUIRE(comap_close(other) == 0); /* often the last one: it detaches */
		REQUIRE(comap_close(same) == 0);
		comap_u64_add_relaxed(&work[8], 1);
	}
	return NULL;
}

static void *table_writer(void *argument)
{
	struct comap_table *table = comap_table_open(argument, "t", NULL);
	uint64_t words[VALUE_WORDS];

	REQUIRE(table);
	for (uint64_t number = 0; !over(); number++) {
		uint64_t key = number % 64;
		int code;

		for (unsigned i = 0; i < VALUE_WORDS; i++)
			words[i] = number;
		code = number % 7 ? comap_table_put(table, &key, sizeof key, words, sizeof words)
		                  : comap_table_remove(table, &key, sizeof key);
		REQUIRE(code >= 0 || code == -ENOENT || code == -EBUSY || code == -ENOSPC);
		comap_u64_add_relaxed(&work[9], 1);
	}
	comap_table_close(table);
	return NULL;
}

static void *table_reader(void *argument)
{
	struct comap_table *table = comap_table_open(argument, "t", NULL);

	REQUIRE(table);
	for (uint64_t key = 0; !over(); key = (key + 1) % 64) {
		COMAP_READ((struct comap *)argument) {
			struct comap_view view = comap_table_view(table, &key, sizeof key);

			if (view.data)
				require_uniform(view.data, view.size_bytes);
		}
		comap_u64_add_relaxed(&work[10], 1);
	}
	comap_table_close(table);
	return NULL;
}

/* Puts that evict, entries that expire, removals, counters, a budget that changes. */
static void *cache_writer(void *argument)
{
	struct comap_table *table = comap_table_open(argument, "c", NULL);
	uint64_t words[VALUE_WORDS], random = (uintptr_t)&words;
	struct comap_table_write write = {
		.key_bytes = sizeof random, .value = words, .value_bytes = sizeof words,
	};

	REQUIRE(table);
	for (uint64_t number = 0; !over(); number++) {
		uint64_t key = (random = random * 6364136223846793005ull + 1442695040888963407ull) >> 33;
		int code;

		key = key % CACHE_KEYS + CACHE_COUNTERS;
		for (unsigned i = 0; i < VALUE_WORDS; i++)
			words[i] = number;
		write.key = &key;
		write.ttl_ns = number % 3 ? COMAP_TTL_DEFAULT : CACHE_TTL_NS;
		if (number % 1000 == 999)
			code = comap_table_set_budget(table, COMAP_TABLE_BUDGET_MIN_BYTES * (1 + number / 1000 % 2));
		else if (number % 16 == 15)
			code = comap_table_remove(table, &key, sizeof key);
		else
			code = comap_table_write(table, &write, NULL);
		REQUIRE(code >= 0 || code == -EBUSY || code == -ENOSPC);
		key %= CACHE_COUNTERS;
		code = comap_table_add(table, &key, sizeof key, 1, NULL);
		REQUIRE(code == 0 || code == -EBUSY || code == -ENOSPC);
		comap_u64_add_relaxed(&work[12], 1);
	}
	comap_table_close(table);
	return NULL;
}

/* Looks mark what they find, while others move and evict it. */
static void *cache_reader(void *argument)
{
	struct comap_table *table = comap_table_open(argument, "c", NULL);
	struct comap_table_stats stats;

	REQUIRE(table);
	for (uint64_t key = CACHE_COUNTERS; !over(); key = key < CACHE_KEYS ? key + 1 : CACHE_COUNTERS) {
		uint64_t near = CACHE_COUNTERS + key % 100;

		COMAP_READ((struct comap *)argument) {
			struct comap_view view = comap_table_view(table, &key, sizeof key);
			struct comap_view hot = comap_table_view(table, &near, sizeof near);

			if (view.data)
				require_uniform(view.data, view.size_bytes);
			if (hot.data)
				require_uniform(hot.data, hot.size_bytes);
		}
		REQUIRE(comap_table_stats(table, &stats) == 0);
		comap_u64_add_relaxed(&work[13], 1);
	}
	comap_table_close(table);
	return NULL;
}

static void *short_life(void *argument)
{
	REQUIRE(comap_read_begin(argument) == 0);
	REQUIRE(comap_read_end(argument) == 0);
	return NULL;
}

static void *breeder(void *argument)
{
	pthread_t child;

	while (!over()) {
		REQUIRE(pthread_create(&child, NULL, short_life, argument) == 0);
		pthread_join(child, NULL);
		comap_u64_add_relaxed(&work[11], 1);
	}
	return NULL;
}

/* --- the run ------------------------------------------------------------------------------------------ */

static struct comap *open_as(const char *name, uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;

	options.flags = flags;
	options.heap_max_bytes = 16u << 20;
	options.seat_count = 8;
	options.thread_count = 64;
	region = comap_open_with(name, &options);
	if (!region)
		die("cannot open %s", name);
	return region;
}

static void open_all(uint32_t flags)
{
	const struct comap_table_options cache = { .budget_bytes = COMAP_TABLE_BUDGET_MIN_BYTES };

	comap_value_close(comap_value_open(attached[0] = open_as(names[0], COMAP_CREATE | flags), "v", NULL));
	comap_table_close(comap_table_open(attached[0], "t", NULL));
	comap_table_close(comap_table_open_with(attached[0], "c", NULL, &cache));
	REQUIRE(link(names[0], names[1]) == 0 && link(names[0], other_name) == 0);
	attached[1] = open_as(names[1], COMAP_CREATE);
	guest = open_as(names[0], COMAP_GUEST);
	REQUIRE(attached[0] != attached[1] && attached[0]->view == attached[1]->view);
	REQUIRE(guest->view == attached[0]->view);
	REQUIRE(attached[0]->attachment->seat_token != attached[1]->attachment->seat_token);
}

/* Whatever came into the cache is there, or has gone for a reason; and there was every reason. */
static void require_account(void)
{
	struct comap_table *table = comap_table_open(attached[0], "c", NULL);
	struct comap_table_stats stats;

	REQUIRE(table);
	REQUIRE(comap_table_stats(table, &stats) == 0);
	REQUIRE(stats.inserted == stats.entries + stats.removed + stats.expired + stats.evicted_budget +
	        stats.evicted_full);
	comap_u64_add_relaxed(&work[14], stats.evicted_budget);
	comap_u64_add_relaxed(&work[15], stats.expired);
	comap_table_close(table);
}

static void close_all(void)
{
	struct comap_check report;

	require_account();
	REQUIRE(comap_close(guest) == 0);
	REQUIRE(comap_close(attached[1]) == 0);
	if (comap_check(attached[0], &report) != 0)
		die("the region is not in order: %s", report.first_flaw);
	REQUIRE(comap_close(attached[0]) == 0);
	unlink(names[0]);
	unlink(names[1]);
	unlink(other_name);
}

static void run(double seconds)
{
	const struct { void *(*play)(void *); void *argument; } cast[] = {
		{ value_reader, attached[0] }, { value_reader, attached[1] }, { guest_reader, guest },
		{ publisher, attached[0] }, { publisher, attached[0] }, { publisher, attached[1] },
		{ waiter, attached[1] }, { element_reader, attached[0] }, { element_reader, attached[1] },
		{ element_updater, attached[1] }, { idle_synchronizer, attached[0] },
		{ locker, &attached[0] }, { locker, &attached[1] }, { opener, NULL }, { opener, NULL },
		{ table_writer, attached[0] }, { table_writer, attached[1] }, { table_reader, attached[0] },
		{ breeder, attached[1] },
		{ cache_writer, attached[0] }, { cache_writer, attached[1] }, { cache_reader, attached[0] },
		{ cache_reader, attached[1] },
	};
	pthread_t threads[sizeof cast / sizeof cast[0]];

	comap_u32_store_relaxed(&stop, 0); /* relaxed: before the threads are made */
	guarded = locked[0] = locked[1] = 0;
	for (size_t i = 0; i < sizeof cast / sizeof cast[0]; i++)
		REQUIRE(pthread_create(&threads[i], NULL, cast[i].play, cast[i].argument) == 0);
	usleep((useconds_t)(seconds * 1e6));
	comap_u32_store_relaxed(&stop, 1); /* relaxed: a flag of its own */
	for (size_t i = 0; i < sizeof cast / sizeof cast[0]; i++)
		pthread_join(threads[i], NULL);
	REQUIRE(guarded == locked[0] + locked[1]);
}

int main(int argc, char **argv)
{
	static const char *const players[] = { "pinned reads", "guests' reads", "publications", "waits",
		"element reads", "updates", "grace periods beside", "locks", "opens", "table writes",
		"table reads", "threads", "cache writes", "cache reads", "evictions", "expired" };
	double seconds = argc > 1 ? atof(argv[1]) : 2;

	broken = argc > 2 && strcmp(argv[2], "broken") == 0;
	comap__one_view = true;
	snprintf(folder, sizeof folder, "/dev/shm/comap-tsan-XXXXXX");
	REQUIRE(mkdtemp(folder));
	snprintf(names[0], sizeof names[0], "%s/a", folder);
	snprintf(names[1], sizeof names[1], "%s/b", folder);
	snprintf(other_name, sizeof other_name, "%s/c", folder);
	for (unsigned mode = 0; mode < 2; mode++) {
		open_all(mode == 0 ? COMAP_FENCED : 0);
		run(seconds / 2);
		close_all();
	}
	rmdir(folder);
	for (size_t i = 0; i < sizeof players / sizeof players[0]; i++) {
		printf("%llu %s%s", (unsigned long long)work[i].v, players[i],
		       i + 1 < sizeof players / sizeof players[0] ? ", " : "\n");
		REQUIRE(work[i].v > 0);
	}
	return 0;
}
