/* SPDX-License-Identifier: MIT */
/* Tables: death and standstill at every fault point that a table's operation passes.
 *
 * Each operation runs through once, to learn the points; then once per point and arrival with a process
 * that kills itself there and a survivor that looks at every key, writes to every stripe, and finds the
 * region sound; then with a process that stands still there, beside which others read all and write to
 * the other stripes, and whose stripe's writer is told who it is that stands in the way. */
#include "check.h"
#include "step.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define KEYS 2500u          /* of the prepared table */
#define ARRIVALS 2u

/* What the survivor may find of the key that the operation is about. */
enum finding { ABSENT = 0, OLD = 1, NEW = 2 };

struct operation {
	const char *name;
	int (*operate)(void);   /* on the key SUBJECT, or many */
	uint64_t subject;
	unsigned before, after; /* findings */
	uint64_t new_keys;      /* keys from KEYS on that it adds */
};

static struct comap *region;
static struct comap_table *table;

static uint64_t old_value(uint64_t key) { return key * 3 + 1; }
static uint64_t new_value(uint64_t key) { return key * 5 + 2; }

static void open_table(const char *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 16u << 20;
	options.seat_count = 8;
	options.thread_count = 8;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(table);
}

static void close_table(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

static int put(uint64_t key, uint64_t value)
{
	return comap_table_put(table, &key, sizeof key, &value, sizeof value);
}

static unsigned find(uint64_t key)
{
	uint64_t value;
	int code = comap_table_get(table, &key, sizeof key, &value, sizeof value, NULL);

	PROC_REQUIRE(code == 0 || code == -ENOENT);
	if (code)
		return ABSENT;
	PROC_REQUIRE(value == old_value(key) || value == new_value(key));
	return value == old_value(key) ? OLD : NEW;
}

/* --- the operations --------------------------------------------------------------------------- */

static int put_new(void) { return put(KEYS, new_value(KEYS)); }
static int put_over(void) { return put(7, new_value(7)); }

static int remove_one(void)
{
	uint64_t key = 7;

	return comap_table_remove(table, &key, sizeof key);
}

static int touch(void)
{
	uint64_t key = 7;

	return comap_table_touch(table, &key, sizeof key, 3600000000000ull);
}

static int make_counter(void)
{
	uint64_t key = KEYS;

	return comap_table_add(table, &key, sizeof key, (int64_t)new_value(KEYS), NULL);
}

/* Enough for splits, overflow buckets and new segments. */
static int put_many(void)
{
	int code = 0;

	for (uint64_t key = KEYS; key < KEYS + 3000 && !code; key++)
		code = put(key, new_value(key));
	return code;
}

/* So many that the ring of retired blocks is drained. */
static int put_over_many(void)
{
	int code = 0;

	for (int i = 0; i < 400 && !code; i++)
		code = put(7, new_value(7));
	return code;
}

static int clear(void) { return comap_table_clear(table); }

static const struct operation operations[] = {
	{ "put new", put_new, KEYS, ABSENT, NEW, 1 },
	{ "put over", put_over, 7, OLD, NEW, 0 },
	{ "remove", remove_one, 7, OLD, ABSENT, 0 },
	{ "touch", touch, 7, OLD, OLD, 0 },
	{ "make a counter", make_counter, KEYS, ABSENT, NEW, 1 },
	{ "put many", put_many, KEYS, ABSENT, NEW, 3000 },
	{ "put over many", put_over_many, 7, OLD, NEW, 0 },
	{ "clear", clear, 7, OLD, ABSENT, 0 },
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

/* --- roles ------------------------------------------------------------------------------------ */

struct act {
	const struct operation *operation;
	const char *path;
	enum proc_fault fault;
	const char *point;
	unsigned nth;
};

static int maker(void *path)
{
	open_table(path);
	for (uint64_t key = 0; key < KEYS; key++)
		PROC_REQUIRE_OK(put(key, old_value(key)));
	close_table();
	return 0;
}

static int victim(void *arg)
{
	struct act *act = arg;

	open_table(act->path);
	proc_fault(act->fault, act->point, act->nth);
	PROC_REQUIRE_OK(act->operation->operate());
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	close_table();
	return 0;
}

/* Nothing but the subject (and what is added behind it) may have changed. */
static void look_at_all(const struct operation *operation)
{
	bool cleared = operation->operate == clear, gap = false;
	unsigned found = find(operation->subject);

	PROC_REQUIRE(found == operation->before || found == operation->after);
	for (uint64_t key = 0; key < KEYS && !cleared; key++)
		PROC_REQUIRE(key == operation->subject || find(key) == OLD);
	for (uint64_t key = KEYS; key < KEYS + operation->new_keys; key++) {
		found = find(key);
		PROC_REQUIRE(found == ABSENT || found == NEW);
		PROC_REQUIRE(found == ABSENT || !gap); /* they were written in order */
		gap = found == ABSENT;
	}
}

static int survivor(void *arg)
{
	struct act *act = arg;
	struct comap_table_stats stats;
	struct comap_check report;
	uint64_t count = 0;

	open_table(act->path);
	look_at_all(act->operation);
	for (uint64_t key = 0; key < 1500; key++) { /* every stripe has a writer once more, for certain */
		PROC_REQUIRE_OK(put(key, old_value(key)));
		PROC_REQUIRE(find(key) == OLD);
	}
	for (uint64_t key = 0; key < KEYS + 3000; key++)
		count += find(key) != ABSENT;
	PROC_REQUIRE_OK(comap_table_stats(table, &stats));
	PROC_REQUIRE(stats.entries == count);
	if (comap_check(region, &report) != 0)
		proc_fail(__FILE__, __LINE__, "the checker: %s", report.first_flaw);
	check_alone(region);
	close_table();
	return 0;
}

static void finish(struct proc *proc)
{
	proc_assert_ok(proc);
	proc_release(proc);
}

static void copy_file(const char *from, const char *to)
{
	step_copy(from, to);
}

/* The prepared table is made once; each run works on a copy of it. */
static const char *prepared(void)
{
	const char *path = proc_path(PROC_SHM, "prepared");

	finish(proc_spawn("maker", maker, (void *)(uintptr_t)path));
	return path;
}

static unsigned collect(struct act *act, const char *original)
{
	unsigned count = 0;

	copy_file(original, act->path);
	act->fault = PROC_FAULT_COLLECT;
	finish(proc_spawn("through", victim, act));
	finish(proc_spawn("survivor", survivor, act));
	while (proc_fault_name(count))
		count++;
	return count;
}

static unsigned kill_at(struct act *act, const char *original)
{
	unsigned killed = 0;
	struct proc *p;
	int result;

	act->fault = PROC_FAULT_KILL;
	for (act->nth = 1; act->nth <= ARRIVALS; act->nth++) {
		copy_file(original, act->path);
		p = proc_spawn("victim", victim, act);
		result = proc_wait(p);
		if (result != -SIGKILL && result != 0)
			fail_msg("%s, killed at %s: %d %s", act->operation->name, act->point, result,
			         proc_verdict(p));
		proc_release(p);
		if (result == 0)
			return killed;
		killed++;
		p = proc_spawn("survivor", survivor, act);
		if (proc_wait(p) != 0)
			fail_msg("%s, killed at %s (%u): the survivor: %d %s", act->operation->name, act->point,
			         act->nth, p->result, proc_verdict(p));
		proc_release(p);
	}
	return killed;
}

static void test_kill_everywhere(void **state)
{
	const char *original = prepared();
	unsigned points, kills = 0;

	if (!proc_has_faults())
		skip();
	for (unsigned o = 0; o < OPERATION_COUNT; o++) {
		struct act act = { &operations[o], proc_path(PROC_SHM, "region"), PROC_FAULT_NONE, NULL, 1 };
		unsigned killed = 0;

		points = collect(&act, original);
		for (unsigned i = 0; i < points; i++) {
			act.point = proc_fault_name(i);
			killed += kill_at(&act, original);
		}
		print_message("%-16s killed %3u times\n", operations[o].name, killed);
		assert_true(killed > 0);
		kills += killed;
	}
	print_message("%u kills\n", kills);
}

/* --- standing still --------------------------------------------------------------------------- */

enum { HELD };

/* Reads all; writes to all stripes: one of them may be held, and then the error names the holder. */
static int bystander(void *arg)
{
	struct act *act = arg;
	unsigned held = 0;
	int64_t seat = -1;

	open_table(act->path);
	look_at_all(act->operation);
	/* The subject comes last: its stripe is held for certain, should no other key have met it (one of 64
	 * stripes is missed by two hundred keys once in forty tables). */
	for (uint64_t i = 0; i <= KEYS / 11 && held == 0; i++) {
		uint64_t key = i < KEYS / 11 ? i * 11 : act->operation->subject;
		int code = put(key, old_value(key));

		if (code == -ETIMEDOUT) {
			held++;
			seat = comap_last_error()->seat;
		} else {
			PROC_REQUIRE(code == 0);
		}
	}
	if (held) {
		PROC_REQUIRE(seat >= 0 && seat != comap_seat_self(region));
		comap_u64_add_relaxed(proc_counter(HELD), 1); /* relaxed: a number for later */
	}
	close_table();
	return 0;
}

static void test_a_stopped_writer_holds_one_stripe_and_is_named(void **state)
{
	static const char *const points[] = { "table.journal", "table.committed", "table.settled" };
	const char *original = prepared();
	struct proc *standing;

	if (!proc_has_faults())
		skip();
	for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++) {
		struct act act = {
			&operations[1], proc_path(PROC_SHM, "region"), PROC_FAULT_STOP, points[i], 1
		};

		copy_file(original, act.path);
		standing = proc_spawn("standing", victim, &act);
		assert_int_equal(proc_wait_stopped(standing), 0);
		finish(proc_spawn("bystander", bystander, &act));
		proc_continue(standing);
		finish(standing);
		finish(proc_spawn("survivor", survivor, &act));
	}
	assert_int_equal(comap_u64_load_relaxed(proc_counter(HELD)), sizeof points / sizeof points[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_kill_everywhere),
		PROC_TEST(test_a_stopped_writer_holds_one_stripe_and_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
