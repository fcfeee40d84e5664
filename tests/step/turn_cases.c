/* SPDX-License-Identifier: MIT */
/* Death of one who computes: as it takes its turn, takes it over from a dead one, puts, says that there is
 * nothing, drops; and of one who waits for a change. The survivor fetches the key: it gets the value or
 * the turn, never a wait, and the table goes on. */
#include "cases.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct comap_table *the_table;
static struct comap_turn the_turn;

static int fetch(const char *key, uint64_t *ret_value, struct comap_turn *turn)
{
	struct comap_fetch_options options = {
		.deadline_ns = comap_deadline_ms(20000), .negative_ttl_ns = 3600000000000u,
	};

	return comap_table_fetch(the_table, key, 1, &options, ret_value, sizeof *ret_value, NULL, turn);
}

static int open_table(const char *path)
{
	open_region(path);
	the_table = comap_table_open(the_region, "t", NULL);
	if (!the_table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return 0;
}

static int open_with_turn(const char *path)
{
	uint64_t value;

	open_table(path);
	PROC_REQUIRE(fetch("k", &value, &the_turn) == COMAP_FETCH_YOURS);
	return 0;
}

static int make_dead_turn(void *path)
{
	open_with_turn(path);
	kill(getpid(), SIGKILL);
	return 1;
}

static int arrange_dead_turn(void *path)
{
	require_killed(make_dead_turn, path);
	return 0;
}

static int begin_turn(const char *path)
{
	uint64_t value;

	return fetch("k", &value, &the_turn) == COMAP_FETCH_YOURS ? 0 : -1;
}

static int put_value(const char *path)
{
	uint64_t value = 2;

	return comap_table_turn_put(&the_turn, &value, sizeof value);
}

static int put_nothing(const char *path) { return comap_table_turn_none(&the_turn); }
static int drop_turn(const char *path) { return comap_table_turn_drop(&the_turn); }

static int wait_for_key(const char *path)
{
	return comap_table_wait_key(the_table, "k", 1, 0, comap_deadline_ms(1), NULL) == -ETIMEDOUT ? 0 : -1;
}

static int wait_for_table(const char *path)
{
	return comap_table_wait(the_table, comap_table_changes(the_table), comap_deadline_ms(1), NULL) ==
	       -ETIMEDOUT ? 0 : -1;
}

/* 0: the turn was there to be had; 1: what the dead one had to say. */
static int survive(const char *path)
{
	struct comap_turn turn;
	uint64_t value = 0, next = 3;
	int found;

	open_table(path);
	found = fetch("k", &value, &turn);
	if (found == COMAP_FETCH_YOURS)
		PROC_REQUIRE(comap_table_turn_put(&turn, &next, sizeof next) == COMAP_TABLE_DONE);
	else
		PROC_REQUIRE(found == COMAP_FETCH_NEGATIVE || (found == COMAP_FETCH_VALUE && value == 2));
	PROC_REQUIRE(comap_table_remove(the_table, "k", 1) >= 0);
	PROC_REQUIRE(fetch("k", &value, &turn) == COMAP_FETCH_YOURS);
	PROC_REQUIRE(comap_table_turn_drop(&turn) == COMAP_TABLE_DONE);
	PROC_REQUIRE(comap_table_count(the_table) == 0);
	check_alone(the_region);
	comap_table_close(the_table);
	PROC_REQUIRE_OK(comap_close(the_region));
	return found != COMAP_FETCH_YOURS;
}

const struct step_case turn_cases[] = {
	{ "turn: begin", NULL, open_table, begin_turn, survive, only_same },
	{ "turn: take over", arrange_dead_turn, open_table, begin_turn, survive, only_same },
	{ "turn: put", NULL, open_with_turn, put_value, survive, old_or_new },
	{ "turn: none", NULL, open_with_turn, put_nothing, survive, old_or_new },
	{ "turn: drop", NULL, open_with_turn, drop_turn, survive, only_same },
	{ "turn: wait for a key", NULL, open_table, wait_for_key, survive, only_same },
	{ "turn: wait for a table", NULL, open_table, wait_for_table, survive, only_same },
};
const unsigned turn_case_count = sizeof turn_cases / sizeof turn_cases[0];
