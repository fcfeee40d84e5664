/* SPDX-License-Identifier: MIT */
/* Death of a table's writer: a new key, an old one, a removal, an expired one, a counter, a longer chain,
 * a split with all that belongs to it. All keys are of one stripe and, for the chain, of one bucket. */
#include "cases.h"

#include "table.h"

#include <errno.h>
#include <unistd.h>

#define KEYS_MAX 40u

static struct comap_table *the_table;
/* Of stripe 0, bucket 0 of 4; the same for everybody: the seed is the file's. */
static uint64_t keys[KEYS_MAX];
static unsigned prepared;       /* how many of them the table begins with */

static void choose_keys(void)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < KEYS_MAX; number++) {
		uint64_t hash = comap__table_hash(the_table, &number, sizeof number);

		if (comap__hash_stripe(hash) == 0 && (hash & 3) == 0)
			keys[i++] = number;
	}
}

static int open_table(const char *path)
{
	open_region(path);
	the_table = comap_table_open(the_region, "t", NULL);
	if (!the_table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	choose_keys();
	return 0;
}

static int put(unsigned index, uint64_t value)
{
	return comap_table_put(the_table, &keys[index], sizeof keys[index], &value, sizeof value);
}

static uint64_t find(unsigned index)
{
	uint64_t value = 0;
	int code = comap_table_get(the_table, &keys[index], sizeof keys[index], &value, sizeof value, NULL);

	PROC_REQUIRE(code == 0 || code == -ENOENT);
	return code ? 0 : value;
}

static int open_with(const char *path, unsigned count)
{
	open_table(path);
	for (unsigned i = 0; i < count; i++)
		PROC_REQUIRE_OK(put(i, 1));
	return 0;
}

static int open_empty(const char *path) { return open_with(path, 0); }
static int open_with_3(const char *path) { return open_with(path, 3); }
static int open_with_7(const char *path) { return open_with(path, 7); }
static int open_with_8(const char *path) { return open_with(path, 8); }
static int open_with_18(const char *path) { return open_with(path, 18); }

/* The seventh key stands alone in a second bucket. */
static int open_with_tail(const char *path)
{
	open_with_8(path);
	return comap_table_remove(the_table, &keys[7], sizeof keys[7]);
}

static int remove_seventh(const char *path)
{
	return comap_table_remove(the_table, &keys[6], sizeof keys[6]);
}

/* The first key and three of the chain are over already. */
static int open_with_expired(const char *path)
{
	open_with(path, 18);
	for (unsigned i = 0; i < 4; i++)
		PROC_REQUIRE_OK(comap_table_touch(the_table, &keys[i * 5], sizeof keys[0], 1));
	usleep(20000); /* their clock ticks every few milliseconds */
	return 0;
}

static int put_first(const char *path) { return put(0, 2); }
static int put_at_3(const char *path) { return put(3, 2); }
static int put_at_7(const char *path) { return put(7, 2); }
static int put_at_18(const char *path) { return put(18, 2); }

static int remove_first(const char *path)
{
	return comap_table_remove(the_table, &keys[0], sizeof keys[0]);
}


static int count_first(const char *path)
{
	return comap_table_add(the_table, &keys[0], sizeof keys[0], 2, NULL);
}

/* As a guest, who repairs nothing: the keys depend on the region's seed. */
static int learn_keys(const char *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	int code = warm_up(path);

	options.flags = COMAP_GUEST;
	the_region = comap_open_with(path, &options);
	the_table = the_region ? comap_table_open(the_region, "t", NULL) : NULL;
	if (!the_table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	choose_keys();
	comap_table_close(the_table);
	return code ? code : comap_close(the_region);
}

/* Whoever has the stripe's lock next repairs: by the removal of a key that is not there. */
static int lock_the_stripe(const char *path)
{
	uint64_t *key = &keys[KEYS_MAX - 1];
	int code;

	open_region(path);
	the_table = comap_table_open(the_region, "t", NULL);
	PROC_REQUIRE(the_table);
	code = comap_table_remove(the_table, key, sizeof *key);
	return code == COMAP_TABLE_MISSING ? 0 : -1;
}

/* The subject is absent, 1 or 2; the others are as they were; the stripe takes writes; all is sound. */
static int survive(const char *path, unsigned subject, uint64_t before, uint64_t after,
                   unsigned expired_every)
{
	struct comap_table_stats stats;
	uint64_t found, count = 0;

	open_table(path);
	found = find(subject);
	PROC_REQUIRE(found == before || found == after);
	for (unsigned i = 0; i < prepared; i++)
		PROC_REQUIRE(i == subject || find(i) == (expired_every && i % expired_every == 0 ? 0 : 1));
	PROC_REQUIRE_OK(put(subject, 3));
	for (unsigned i = 0; i < KEYS_MAX; i++)
		PROC_REQUIRE_OK(put(i, 4));
	for (unsigned i = 0; i < KEYS_MAX; i++)
		count += find(i) == 4;
	PROC_REQUIRE_OK(comap_table_stats(the_table, &stats));
	PROC_REQUIRE(count == KEYS_MAX && stats.entries == KEYS_MAX);
	check_alone(the_region);
	comap_table_close(the_table);
	PROC_REQUIRE_OK(comap_close(the_region));
	return found == after;
}

#define SURVIVE(name, count, subject, before, after, expired) \
	static int name(const char *path) \
	{ \
		prepared = count; \
		return survive(path, subject, before, after, expired); \
	}

SURVIVE(first_0_or_2, 0, 0, 0, 2, 0)
SURVIVE(new_0_or_2, 3, 3, 0, 2, 0)
SURVIVE(old_1_or_2, 3, 0, 1, 2, 0)
SURVIVE(old_1_or_0, 3, 0, 1, 0, 0)
SURVIVE(seventh_1_or_0, 7, 6, 1, 0, 0)
SURVIVE(eighth_0_or_2, 7, 7, 0, 2, 0)
SURVIVE(split_0_or_2, 18, 18, 0, 2, 0)
SURVIVE(expired_0_or_2, 18, 0, 0, 2, 5)
SURVIVE(expired_split_0_or_2, 18, 18, 0, 2, 5)

const struct step_case table_cases[] = {
	{ "table: first key", NULL, open_empty, put_first, first_0_or_2, old_or_new },
	{ "table: new key", NULL, open_with_3, put_at_3, new_0_or_2, old_or_new },
	{ "table: put over", NULL, open_with_3, put_first, old_1_or_2, old_or_new, .before_repair = learn_keys,
	  .repair = lock_the_stripe },
	{ "table: remove", NULL, open_with_3, remove_first, old_1_or_0, old_or_new },
	{ "table: counter", NULL, open_empty, count_first, first_0_or_2, old_or_new },
	{ "table: longer chain", NULL, open_with_7, put_at_7, eighth_0_or_2, old_or_new },
	{ "table: shorter chain", NULL, open_with_tail, remove_seventh, seventh_1_or_0, old_or_new },
	{ "table: split", NULL, open_with_18, put_at_18, split_0_or_2, old_or_new, .before_repair = learn_keys,
	  .repair = lock_the_stripe },
	{ "table: expired key", NULL, open_with_expired, put_first, expired_0_or_2, old_or_new },
	{ "table: split, expired", NULL, open_with_expired, put_at_18, expired_split_0_or_2, old_or_new },
};
const unsigned table_case_count = sizeof table_cases / sizeof table_cases[0];
