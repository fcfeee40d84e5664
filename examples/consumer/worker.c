/* SPDX-License-Identifier: MIT */
/* A thread that looks keys up, checks what it gets, and counts. */
#include "worker.h"

#include "../common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMED_EVERY 16u          /* lookups */
#define INDEX_EVERY 64u          /* lookups */
#define INDEX_VERIFY_EVERY 50000u /* queries: to verify one reads the whole source */
#define WRONG_LOGGED_MAX 5u

static void bump(struct comap_u64 *count)
{
	/* relaxed, and no read-modify-write: one writer; the counts order nothing */
	comap_u64_store_relaxed(count, comap_u64_load_relaxed(count) + 1);
}

static uint64_t next_random(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

static void log_finding(const struct worker *worker, const struct comap_u64 *count,
                        const char *what, uint64_t version)
{
	/* relaxed: the thread's own count */
	if (comap_u64_load_relaxed(count) <= WRONG_LOGGED_MAX)
		log_error("%s: %s, version %llu", worker->consumer->options.name, what,
		          (unsigned long long)version);
}

static void take_key(struct worker *worker, uint32_t number, const struct registry *registry)
{
	struct registry_text text;
	struct worker_key *key = &worker->keys[number];

	text = registry_key(registry, (uint32_t)(next_random(worker) % registry->row_count));
	if (!text.data || text.size_bytes > WORKER_KEY_MAX)
		return;
	memcpy(key->text, text.data, text.size_bytes);
	key->size_bytes = (uint32_t)text.size_bytes;
	/* One in sixteen is bent, and most probably nobody's key. */
	if (number % 16 == 15 && key->size_bytes > 0)
		key->text[key->size_bytes - 1] = '?';
}

/* New keys for half of the pool: the others are keys of earlier versions, which may be gone. */
static void take_keys(struct worker *worker, const struct registry *registry)
{
	uint32_t first = worker->key_count == 0 ? 0 : WORKER_KEYS / 2;

	if (registry->row_count == 0)
		return;
	for (uint32_t i = first; i < WORKER_KEYS; i++)
		take_key(worker, i, registry);
	worker->key_count = WORKER_KEYS;
}

static void check_sum(struct worker *worker, const struct registry *registry, uint64_t version)
{
	bump(&worker->counts.checks);
	if (registry_verify(registry) == 0 && registry->header->version == version)
		return;
	bump(&worker->counts.torn);
	log_finding(worker, &worker->counts.torn, "torn: the checksum differs", version);
}

static void linger(uint64_t duration_ms)
{
	struct timespec left = { (time_t)(duration_ms / 1000),
	                         (long)(duration_ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* Looks at a whole version: at its first sight, and from time to time again. */
static void look_at_version(struct worker *worker)
{
	const struct consumer *consumer = worker->consumer;
	struct registry registry;

	COMAP_READ(consumer->region) {
		struct comap_view view = comap_value_view(consumer->value);
		bool is_new = view.version != worker->version;

		if (!view.data || registry_open(&registry, view.data, view.size_bytes) != 0) {
			bump(&worker->counts.torn);
			log_finding(worker, &worker->counts.torn, "torn: no table", view.version);
			break;
		}
		check_sum(worker, &registry, view.version);
		if (is_new || worker->key_count == 0) {
			take_keys(worker, &registry);
		} else if (consumer->options.linger_ms > 0) {
			linger(consumer->options.linger_ms);
			check_sum(worker, &registry, view.version);
		}
		if (view.version < worker->version)
			bump(&worker->counts.backwards);
		if (is_new)
			bump(&worker->counts.versions);
		if (worker->version == 0 && is_new)
			/* relaxed: a number for the report */
			comap_u64_store_relaxed(&worker->version_first, view.version);
		comap_u64_store_relaxed(&worker->version_last, view.version); /* relaxed: so too */
		worker->version = view.version;
	}
	worker->check_at_ns = comap_now_ns() + consumer->options.check_ms * 1000000;
}

static void judge(struct worker *worker, enum second_verdict verdict, struct comap_u64 *verified,
                  const char *what, uint64_t version)
{
	switch (verdict) {
	case SECOND_SAME:
		bump(verified);
		break;
	case SECOND_DIFFERENT:
		bump(verified);
		bump(&worker->counts.wrong);
		log_finding(worker, &worker->counts.wrong, what, version);
		break;
	case SECOND_UNKNOWN:
		bump(&worker->counts.unverifiable);
		break;
	}
}

/* One lookup. With `verify`, worker->answer is what was found; version 0: nothing could be read. */
static void look_up(struct worker *worker, const struct worker_key *key, bool verify)
{
	struct consumer *consumer = worker->consumer;
	struct registry registry;
	uint64_t version = 0;
	bool done = false;

	worker->answer.version = 0;
	COMAP_READ(consumer->region) {
		struct comap_view view = comap_value_view(consumer->value);
		uint32_t row;

		if (!view.data || registry_open(&registry, view.data, view.size_bytes) != 0)
			break;
		row = registry_find(&registry, key->text, key->size_bytes);
		done = true;
		version = view.version;
		if (row != REGISTRY_NO_ROW)
			bump(&worker->counts.found);
		if (verify && answer_take(&worker->answer, &registry, row))
			worker->answer.version = version;
	}
	bump(done ? &worker->counts.lookups : &worker->counts.failures);
	if (done && version != worker->version)
		look_at_version(worker);
}

static void look_up_and_measure(struct worker *worker)
{
	/* A copy: the first lookup in a new version takes new keys while this one is still needed. */
	const struct worker_key key = worker->keys[next_random(worker) % worker->key_count];
	/* relaxed: the thread's own count */
	uint64_t number = comap_u64_load_relaxed(&worker->counts.lookups);
	struct consumer *consumer = worker->consumer;
	bool verify = consumer->second && number % consumer->options.verify_every == 0;
	uint64_t version = worker->version;
	uint64_t start_ns;

	if (verify || number % TIMED_EVERY != 0) {
		look_up(worker, &key, verify);
	} else {
		start_ns = comap_now_ns();
		look_up(worker, &key, false);
		/* The first lookup in a version goes on to verify all of it. */
		if (worker->version == version)
			histogram_record(&worker->latency, comap_now_ns() - start_ns);
	}
	if (verify && worker->answer.version > 0) {
		worker->answer.key = key.text;
		worker->answer.key_bytes = key.size_bytes;
		judge(worker, second_compare(consumer->second, &worker->answer),
		      &worker->counts.verified, "wrong answer", worker->answer.version);
	}
}

/* Asks the private index about a row that the region gives at random. */
static void query_index(struct worker *worker)
{
	struct consumer *consumer = worker->consumer;
	struct index_answer counted = { 0 };
	struct registry registry;
	uint64_t number;
	char text[512];
	size_t size_bytes = 0;
	uint32_t key_column = 0;

	COMAP_READ(consumer->region) {
		struct comap_view view = comap_value_view(consumer->value);
		struct registry_text cell;

		if (!view.data || registry_open(&registry, view.data, view.size_bytes) != 0 ||
		    registry.row_count == 0)
			break;
		counted = index_query(&consumer->index, "", 0);
		cell = registry_cell(&registry,
		                     (uint32_t)(next_random(worker) % registry.row_count),
		                     counted.column);
		if (!cell.data || cell.size_bytes > sizeof text)
			break;
		memcpy(text, cell.data, cell.size_bytes);
		size_bytes = cell.size_bytes;
		key_column = registry.key_column;
	}
	if (counted.version == 0)
		return;
	counted = index_query(&consumer->index, text, size_bytes);
	bump(&worker->counts.index_queries);
	/* relaxed: the thread's own count */
	number = comap_u64_load_relaxed(&worker->counts.index_queries);
	if (!consumer->second ||
	    (counted.version == worker->index_version && number % INDEX_VERIFY_EVERY != 0))
		return;
	worker->index_version = counted.version;
	judge(worker, second_compare_count(consumer->second, counted.version, key_column,
	                                   counted.column, text, size_bytes, counted.count),
	      &worker->counts.index_verified, "wrong count in the index", counted.version);
}

/* The next lookup's time where a rate is given; sleeps until it, in slices that notice a stop. */
static void pace(struct worker *worker, uint64_t *next_ns, uint64_t interval_ns)
{
	uint64_t now_ns;

	*next_ns += interval_ns;
	/* relaxed: a flag that orders nothing */
	while ((now_ns = comap_now_ns()) < *next_ns &&
	       !comap_u32_load_relaxed(&worker->consumer->stop)) {
		uint64_t wait_ns = *next_ns - now_ns;

		if (wait_ns > 200000000)
			wait_ns = 200000000;
		nanosleep(&(struct timespec){ 0, (long)wait_ns }, NULL);
	}
	if (now_ns > *next_ns + 1000000000)
		*next_ns = now_ns; /* stopped, or too slow: what was missed is not caught up with */
}

static void forget(struct worker *worker, uint32_t generation)
{
	worker->generation = generation;
	worker->index_version = 0;
	worker->key_count = 0;
	look_at_version(worker);
}

static void one_round(struct worker *worker, uint64_t lookup_count)
{
	struct consumer *consumer = worker->consumer;
	/* relaxed: whenever it is seen is soon enough */
	uint32_t generation = comap_u32_load_relaxed(&consumer->generation);

	if (generation != worker->generation || worker->key_count == 0)
		forget(worker, generation);
	else if (consumer->options.check_ms > 0 && comap_now_ns() >= worker->check_at_ns)
		look_at_version(worker);
	if (worker->key_count == 0) { /* a version without a row, so far */
		linger(20);
		return;
	}
	for (uint64_t i = 0; i < lookup_count; i++)
		look_up_and_measure(worker);
	if (consumer->options.index &&
	    /* relaxed: the own counts */
	    comap_u64_load_relaxed(&worker->counts.lookups) / INDEX_EVERY >
	    comap_u64_load_relaxed(&worker->counts.index_queries))
		query_index(worker);
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct consumer *consumer = worker->consumer;
	uint64_t rate = consumer->options.rate;
	/* Slow rates wake for each lookup, fast ones at most once a millisecond. */
	uint64_t per_thread = rate / consumer->options.threads;
	uint64_t batch = rate == 0 ? 64 : per_thread / 1000 + 1;
	uint64_t interval_ns = rate == 0 ? 0
	                                 : batch * 1000000000 * consumer->options.threads / rate;
	uint64_t next_ns = comap_now_ns();

	index_thread_register();
	while (!comap_u32_load_relaxed(&consumer->stop)) { /* relaxed: orders nothing */
		one_round(worker, batch);
		if (rate > 0)
			pace(worker, &next_ns, interval_ns);
	}
	index_thread_unregister();
	return NULL;
}

int worker_start(struct worker *worker, struct consumer *consumer, uint64_t number)
{
	int code;

	worker->consumer = consumer;
	worker->random = (consumer->options.seed * 64 + number) * 0x9e3779b97f4a7c15u | 1;
	worker->generation = UINT32_MAX;
	code = pthread_create(&worker->thread, NULL, work, worker);
	worker->started = code == 0;
	return -code;
}

void worker_join(struct worker *worker)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	worker->started = false;
	free(worker->answer.text);
}

void workers_sum(const struct worker *workers, uint64_t worker_count, struct consumer_stats *sum)
{
	struct consumer_counts *counts = &sum->counts;

	for (uint64_t i = 0; i < worker_count; i++) {
		const struct worker *worker = &workers[i];
		uint64_t first, last;

		/* relaxed, all of them: each count is whole, and a report needs no more */
#define ADD(field) counts->field += comap_u64_load_relaxed(&worker->counts.field)
		ADD(lookups); ADD(found); ADD(verified); ADD(wrong); ADD(unverifiable); ADD(checks);
		ADD(torn); ADD(backwards); ADD(index_queries); ADD(index_verified); ADD(failures);
#undef ADD
		/* Threads see the same versions: the most that one of them saw. */
		if (comap_u64_load_relaxed(&worker->counts.versions) > counts->versions)
			counts->versions = comap_u64_load_relaxed(&worker->counts.versions);
		first = comap_u64_load_relaxed(&worker->version_first);
		last = comap_u64_load_relaxed(&worker->version_last);
		if (first > 0 && (sum->version_first == 0 || first < sum->version_first))
			sum->version_first = first;
		if (last > sum->version_last)
			sum->version_last = last;
		histogram_add(&sum->latency, &worker->latency);
	}
	sum->p50_ns = histogram_quantile(&sum->latency, 5000);
	sum->p99_ns = histogram_quantile(&sum->latency, 9900);
	sum->p999_ns = histogram_quantile(&sum->latency, 9990);
}
