/* SPDX-License-Identifier: MIT */
/* Death of a cache's writer: the first key, a put that evicts, one that moves what was read to the main
 * queue first, one that finds expired entries, one that finds them in another stripe, a removal. After each,
 * the account is exact and the budget kept. */
#include "cases.h"

#include "table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BUDGET COMAP_TABLE_BUDGET_MIN_BYTES
#define VALUE_BYTES 2000u
#define SUBJECT 1000000u
#define SLACK (BUDGET / 64 + 3 * VALUE_BYTES)

static struct comap_table *the_table;

static int open_cache(const char *path)
{
	struct comap_table_options options = { .budget_bytes = BUDGET };

	open_region(path);
	the_table = comap_table_open_with(the_region, "t", NULL, &options);
	if (!the_table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return 0;
}

static int put(uint64_t key, uint64_t ttl_ns)
{
	static const char value[VALUE_BYTES];
	struct comap_table_write write = {
		.key = &key, .key_bytes = sizeof key, .value = value, .value_bytes = sizeof value,
		.ttl_ns = ttl_ns,
	};

	return comap_table_write(the_table, &write, NULL);
}

static bool has(uint64_t key)
{
	bool found = false;

	COMAP_READ(the_region)
		found = comap_table_view(the_table, &key, sizeof key).data != NULL;
	return found;
}

static struct comap_table_stats stats(void)
{
	struct comap_table_stats stats;

	PROC_REQUIRE_OK(comap_table_stats(the_table, &stats));
	return stats;
}

static uint64_t fill(uint64_t ttl_ns)
{
	uint64_t key = 0;

	while (stats().used_bytes + VALUE_BYTES + 1000 < BUDGET)
		PROC_REQUIRE_OK(put(key++, ttl_ns));
	PROC_REQUIRE(stats().evicted_budget == 0);
	return key;
}

static int open_full(const char *path)
{
	open_cache(path);
	fill(COMAP_TTL_DEFAULT);
	return 0;
}

static int open_read(const char *path)
{
	open_cache(path);
	for (uint64_t key = fill(COMAP_TTL_DEFAULT); key-- > 0;)
		PROC_REQUIRE(has(key) && has(key));
	return 0;
}

static int open_expired(const char *path)
{
	open_cache(path);
	fill(1);
	usleep(20000);
	return 0;
}

/* The next put of the subject looks for expired entries in another stripe, and there are some. */
static int open_expired_elsewhere(const char *path)
{
	uint64_t subject = SUBJECT, own, other;
	const struct comap_u64 *sequence;

	open_expired(path);
	own = comap__hash_stripe(comap__table_hash(the_table, &subject, sizeof subject));
	sequence = &the_table->stripes[own].sequence;
	do {
		PROC_REQUIRE_OK(put(SUBJECT, COMAP_TTL_NONE));
		/* relaxed, both: nobody else is there */
		other = (own + (comap_u64_load_relaxed(sequence) + 1) / 16) % COMAP_STRIPES;
	} while ((comap_u64_load_relaxed(sequence) + 1) % 16 != 0 ||
	         comap_u64_load_relaxed(&the_table->stripes[other].entries) == 0);
	return 0;
}

static int put_subject(const char *path) { return put(SUBJECT, COMAP_TTL_DEFAULT); }

static int remove_first(const char *path)
{
	uint64_t key = 0;

	return comap_table_remove(the_table, &key, sizeof key);
}

/* A write to every stripe, so that each is repaired. */
static void write_to_all(void)
{
	uint64_t done = 0;

	for (uint64_t key = 2 * SUBJECT; done != UINT64_MAX; key++) {
		uint64_t bit = 1ull << comap__hash_stripe(comap__table_hash(the_table, &key, sizeof key));

		if (!(done & bit))
			PROC_REQUIRE_OK(put(key, COMAP_TTL_DEFAULT));
		done |= bit;
	}
}

static void require_account(void)
{
	struct comap_table_stats now = stats();
	int64_t known = (int64_t)the_table->cache->used_bytes.v;

	PROC_REQUIRE(now.inserted == now.entries + now.removed + now.expired + now.evicted_budget +
	             now.evicted_full);
	PROC_REQUIRE(now.used_bytes <= BUDGET + SLACK);
	PROC_REQUIRE(llabs(known - (int64_t)now.used_bytes) <= (int64_t)SLACK);
	check_alone(the_region);
}

static int survive(const char *path, uint64_t subject)
{
	bool found;

	open_cache(path);
	found = has(subject);
	write_to_all();
	PROC_REQUIRE_OK(put(subject, COMAP_TTL_DEFAULT));
	PROC_REQUIRE(has(subject));
	require_account();
	comap_table_close(the_table);
	PROC_REQUIRE_OK(comap_close(the_region));
	return found;
}

static int there_or_not(const char *path) { return survive(path, SUBJECT); }
static int there(const char *path) { return !survive(path, SUBJECT); }
static int gone_or_not(const char *path) { return !survive(path, 0); }

#define HEAP (1u << 20)

const struct step_case cache_cases[] = {
	{ "cache: first key", NULL, open_cache, put_subject, there_or_not, old_or_new, .heap_max_bytes = HEAP },
	{ "cache: put that evicts", NULL, open_full, put_subject, there_or_not, old_or_new,
	  .heap_max_bytes = HEAP },
	{ "cache: put that moves", NULL, open_read, put_subject, there_or_not, old_or_new,
	  .heap_max_bytes = HEAP },
	{ "cache: put, expired", NULL, open_expired, put_subject, there_or_not, old_or_new,
	  .heap_max_bytes = HEAP },
	{ "cache: put, others expired", NULL, open_expired_elsewhere, put_subject, there, only_same,
	  .heap_max_bytes = HEAP },
	{ "cache: remove", NULL, open_full, remove_first, gone_or_not, old_or_new, .heap_max_bytes = HEAP },
};
const unsigned cache_case_count = sizeof cache_cases / sizeof cache_cases[0];
