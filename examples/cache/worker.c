/* SPDX-License-Identifier: MIT */
/* A worker: asks for articles, from the cache where there is one, and checks each answer. */
#include "worker.h"

#include "source.h"

#include <comap.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 2000u

struct worker {
	const struct plan *plan;
	struct notes *notes;
	unsigned number;
	struct source *source;
	struct comap *region;
	struct comap_table *table;
	uint64_t random;
};

static uint64_t next_random(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

/* Small numbers are asked for more often: the smaller of three draws. */
static unsigned choose_article(struct worker *worker)
{
	unsigned all = worker->plan->articles + worker->plan->articles / 9, least = all;

	for (int i = 0; i < 3; i++) {
		unsigned drawn = (unsigned)(next_random(worker) % all);

		least = drawn < least ? drawn : least;
	}
	/* spread those that do not exist among the others */
	return least * 7 % all;
}

/* The one that is to be killed: it computes, says so, and goes no further. */
static void hang_if_told(struct worker *worker)
{
	/* relaxed, all of it: notes of an example */
	if (!comap_u64_exchange_acq_rel(&worker->notes->hang, 0))
		return;
	comap_u64_store_relaxed(&worker->notes->may_hang[worker->number], 1);
	for (;;)
		pause();
}

static void note(struct comap_u64 *counter)
{
	comap_u64_add_relaxed(counter, 1); /* relaxed: a counter */
}

static int ask_source(struct worker *worker, unsigned article, char *text, size_t capacity_bytes)
{
	struct comap_u64 *asking = &worker->notes->asking[article];
	uint64_t me = worker->number + 1;
	uint64_t other = comap_u64_exchange_acq_rel(asking, me);
	int length;

	note(&worker->notes->questions);
	/* who hangs will never cross itself out */
	if (other && !comap_u64_load_relaxed(&worker->notes->may_hang[other - 1]))
		note(&worker->notes->doubled);
	hang_if_told(worker);
	length = source_ask(worker->source, article, text, capacity_bytes);
	comap_u64_cas_acq_rel(asking, me, 0);
	return length;
}

/* As comap_table_get_or_compute() asks for it. */
static int compute(void *context, const void *key, size_t key_bytes, void *buffer,
                   size_t capacity_bytes, size_t *ret_bytes)
{
	unsigned article;
	int length;

	memcpy(&article, key, sizeof article);
	length = ask_source(context, article, buffer, capacity_bytes);
	if (length <= 0)
		return length < 0 ? -EIO : 1; /* 1: there is no such article */
	*ret_bytes = (size_t)length;
	return 0;
}

/* The length of the answer; 0: there is no such article; negative: no answer. */
static int ask_cache(struct worker *worker, unsigned article, char *text, size_t capacity_bytes)
{
	const struct plan *plan = worker->plan;
	struct comap_fetch_options options = {
		.ttl_ns = plan->ttl_ms * 1000000ull, .stale_ns = plan->stale_ms * 1000000ull,
		.negative_ttl_ns = plan->negative_ttl_ms * 1000000ull,
		.deadline_ns = comap_deadline_ms(PATIENCE_MS),
	};
	struct comap_view view = { 0 };
	int code = comap_table_get_or_compute(worker->table, &article, sizeof article, &options, compute,
	                                      worker, text, capacity_bytes, &view);

	if (code == COMAP_FETCH_STALE)
		note(&worker->notes->stale);
	if (code == COMAP_FETCH_NEGATIVE)
		note(&worker->notes->negative);
	if (code < 0)
		fprintf(stderr, "cache: worker %u: %s\n", worker->number, comap_error_text());
	return code < 0 ? code : code == COMAP_FETCH_NEGATIVE ? 0 : (int)view.size_bytes;
}

/* Is it what the source must say? */
static bool is_right(const struct worker *worker, unsigned article, const char *text, int length)
{
	char expected[ARTICLE_BYTES_MAX];
	int expected_length = article < worker->plan->articles
		? source_expected(article, expected, sizeof expected) : 0;

	return length == expected_length && memcmp(text, expected, (size_t)length) == 0;
}

static void request(struct worker *worker)
{
	unsigned article = choose_article(worker);
	struct comap_u64 *longest = &worker->notes->longest_ns[worker->number];
	uint64_t begun_ns = comap_now_ns(), took_ns;
	char text[ARTICLE_BYTES_MAX];
	int length = worker->table ? ask_cache(worker, article, text, sizeof text)
	                           : ask_source(worker, article, text, sizeof text);

	took_ns = comap_now_ns() - begun_ns;
	histogram_record(&worker->notes->latency[worker->number], took_ns);
	if (took_ns > comap_u64_load_relaxed(longest)) /* relaxed, both: nobody else writes it */
		comap_u64_store_relaxed(longest, took_ns);
	note(length < 0 ? &worker->notes->failed : &worker->notes->answers);
	if (length >= 0 && !is_right(worker, article, text, length))
		note(&worker->notes->wrong);
}

static bool begin(struct worker *worker)
{
	worker->source = source_open(worker->plan->database, worker->plan->delay_ms);
	if (!worker->source || !worker->plan->region)
		return worker->source != NULL;
	worker->region = comap_open(worker->plan->region, 0);
	if (worker->region)
		worker->table = comap_table_open(worker->region, "articles", NULL);
	if (!worker->table)
		fprintf(stderr, "cache: %s\n", comap_error_text());
	return worker->table != NULL;
}

int worker_run(const struct plan *plan, struct notes *notes, unsigned number)
{
	struct worker worker = {
		.plan = plan, .notes = notes, .number = number,
		.random = 0x9e3779b97f4a7c15ull * (number + 1),
	};
	bool ready = begin(&worker);

	while (ready && !comap_u64_load_relaxed(&notes->stop)) /* relaxed: a request more does no harm */
		request(&worker);
	comap_table_close(worker.table);
	comap_close(worker.region);
	source_close(worker.source);
	return ready ? EXIT_SUCCESS : EXIT_FAILURE;
}
