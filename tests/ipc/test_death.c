/* SPDX-License-Identifier: MIT */
/* Death and standstill at every named fault point of every operation.
 *
 * Each operation is first run through once, to learn which points it passes; then once per point, a
 * process that kills itself there, and a survivor that finds the region sound; then once more, a
 * process that stops there, beside which others work on. */
#include "check.h"

#include "layout.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { STANDING, GO };

struct operation {
	const char *name;
	int (*prepare)(const char *path);
	void (*operate)(const char *path);
	uint64_t before, after; /* number of the value that the survivor may find */
};

static struct comap *region;
static struct comap_value *value, *large;

/* --- the operations --------------------------------------------------------------------------- */

static int nothing(const char *path)
{
	return 0;
}

static int open_region(const char *path)
{
	region = check_open(path, COMAP_CREATE);
	return 0;
}

static int open_value(const char *path)
{
	open_region(path);
	value = comap_value_open(region, "v", NULL);
	PROC_REQUIRE(value);
	return 0;
}

static int put_one(const char *path)
{
	open_value(path);
	check_value_put(value, 1);
	return 0;
}

static void create(const char *path)
{
	region = check_open(path, COMAP_CREATE);
}

static void read_first(const char *path)
{
	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE_OK(comap_read_end(region));
}

static void make_value(const char *path)
{
	value = comap_value_open(region, "v", NULL);
	PROC_REQUIRE(value);
}

static void put_next(const char *path)
{
	check_value_put(value, 2);
}

/* So many that the ring of retired blocks fills and is drained. */
static void put_many(const char *path)
{
	for (uint64_t number = 2; number <= 600; number++)
		check_value_put(value, number);
}

/* Runs of whole pages, in a value of their own. */
static int put_one_large(const char *path)
{
	put_one(path);
	large = comap_value_open(region, "large", NULL);
	PROC_REQUIRE(large);
	return 0;
}

static void put_large(const char *path)
{
	static char bytes[300000];

	for (int i = 0; i < 3; i++)
		PROC_REQUIRE_OK(comap_value_put(large, bytes, sizeof bytes - (size_t)i * 100000));
}

/* The thread itself pins what it has retired: the next put has to move its full ring elsewhere. */
static int fill_ring(const char *path)
{
	struct comap_value *other;

	put_one(path);
	other = comap_value_open(region, "other", NULL);
	PROC_REQUIRE(other);
	PROC_REQUIRE_OK(comap_read_begin(region));
	for (uint64_t number = 1; number <= COMAP_RING_ENTRIES + 1; number++)
		check_value_put(other, number);
	return 0;
}

static void release(const char *path)
{
	PROC_REQUIRE_OK(comap_value_release(value));
}

static void synchronize(const char *path)
{
	PROC_REQUIRE_OK(comap_synchronize(region));
}

static void leave(const char *path)
{
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
}

static const struct operation operations[] = {
	{ "create", nothing, create, 0, 0 },
	{ "attach", nothing, create, 1, 1 }, /* the region is there, with a value */
	{ "first read", open_region, read_first, 0, 0 },
	{ "make a value", open_region, make_value, 0, 0 },
	{ "put", put_one, put_next, 1, 2 },
	{ "put many", put_one, put_many, 1, 600 },
	{ "put large", put_one_large, put_large, 1, 1 },
	{ "put, ring full", fill_ring, put_next, 1, 2 },
	{ "release", put_one, release, 1, 1 },
	{ "synchronize", put_one, synchronize, 1, 1 },
	{ "leave", put_one, leave, 1, 1 },
};
#define OPERATION_COUNT (sizeof operations / sizeof operations[0])

/* --- roles ------------------------------------------------------------------------------------- */

struct victim {
	const struct operation *operation;
	const char *path;
	enum proc_fault fault;
	const char *point;
	unsigned nth;
};

static int victim(void *arg)
{
	struct victim *v = arg;

	PROC_REQUIRE_OK(v->operation->prepare(v->path));
	proc_fault(v->fault, v->point, v->nth);
	v->operation->operate(v->path);
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	return 0;
}

static int maker(void *path)
{
	put_one(path);
	leave(path);
	return 0;
}

static int survivor(void *arg)
{
	struct victim *v = arg;
	uint64_t found = check_survive(v->path);

	PROC_REQUIRE(found >= v->operation->before);
	PROC_REQUIRE(found <= v->operation->after);
	return 0;
}

static void prepare_file(const struct operation *operation, const char *path)
{
	remove(path);
	if (strcmp(operation->name, "attach") == 0)
		proc_assert_ok(proc_spawn("maker", maker, (void *)(uintptr_t)path));
}

static void finish(struct proc *proc)
{
	proc_assert_ok(proc);
	proc_release(proc);
}

static unsigned collect(const struct operation *operation, const char *path)
{
	struct victim v = { operation, path, PROC_FAULT_COLLECT, NULL, 0 };
	unsigned count = 0;

	prepare_file(operation, path);
	finish(proc_spawn("through", victim, &v));
	finish(proc_spawn("survivor", survivor, &v));
	while (proc_fault_name(count))
		count++;
	return count;
}

/* How often the operation is killed at the point: at its first arrivals there, while it comes by. */
static unsigned kill_at(const struct operation *operation, const char *path, const char *point)
{
	struct victim v = { operation, path, PROC_FAULT_KILL, point, 0 };
	unsigned killed = 0;
	struct proc *p;
	int result;

	for (v.nth = 1; v.nth <= 3; v.nth++) {
		prepare_file(operation, path);
		p = proc_spawn("victim", victim, &v);
		result = proc_wait(p);
		if (result != -SIGKILL && result != 0)
			fail_msg("%s, killed at %s: %d %s", operation->name, point, result, proc_verdict(p));
		proc_release(p);
		if (result == 0)
			return killed;
		killed++;
		p = proc_spawn("survivor", survivor, &v);
		if (proc_wait(p) != 0)
			fail_msg("%s, killed at %s (%u): the survivor: %d %s", operation->name, point, v.nth,
			         p->result, proc_verdict(p));
		proc_release(p);
	}
	return killed;
}

static void kill_everywhere(enum proc_place place)
{
	const char *path = proc_path(place, "region");
	unsigned points = 0, kills = 0;

	if (!proc_has_faults())
		skip();
	for (unsigned o = 0; o < OPERATION_COUNT; o++) {
		unsigned from = points, killed = 0;

		points = collect(&operations[o], path);
		/* points that an earlier operation passed are tried again: the operation differs */
		for (unsigned i = 0; i < points; i++)
			killed += kill_at(&operations[o], path, proc_fault_name(i));
		print_message("%-14s %3u new points, killed %3u times\n", operations[o].name,
		              points - from, killed);
		kills += killed;
	}
	print_message("%s: %u points, %u kills\n", proc_place_name(place), points, kills);
	assert_true(points >= 10);
	assert_true(kills >= points);
}

static void test_kill_everywhere_in_memory(void **state)
{
	kill_everywhere(PROC_SHM);
}

static void test_kill_everywhere_on_disk(void **state)
{
	kill_everywhere(PROC_DISK);
}

/* --- standing still ---------------------------------------------------------------------------- */

/* Beside a process that stands still at the point: attach, read, publish another value, leave. */
static int bystander(void *arg)
{
	struct victim *v = arg;
	struct comap_value *other;
	uint64_t found;

	open_region(v->path);
	value = comap_value_open(region, "v", NULL);
	PROC_REQUIRE(value);
	found = check_value_number(region, value);
	PROC_REQUIRE(found >= v->operation->before && found <= v->operation->after);
	other = comap_value_open(region, "beside", NULL);
	PROC_REQUIRE(other);
	for (int i = 0; i < 20; i++)
		check_value_put(other, comap_value_version(other) + 1);
	comap_value_close(other);
	leave(v->path);
	return 0;
}

static int beside_maker(void *path)
{
	struct comap_value *other;

	put_one(path);
	other = comap_value_open(region, "beside", NULL);
	PROC_REQUIRE(other);
	check_value_put(other, 1);
	comap_value_close(other);
	leave(path);
	return 0;
}

static int put_again(const char *path)
{
	open_value(path);
	return 0;
}

static void put_second(const char *path)
{
	check_value_put(value, 2);
}

static void stop_at(const struct operation *operation, const char *path, const char *point)
{
	struct victim v = { operation, path, PROC_FAULT_STOP, point, 1 };
	struct proc *standing, *p;

	remove(path);
	finish(proc_spawn("maker", beside_maker, (void *)(uintptr_t)path));
	standing = proc_spawn("standing", victim, &v);
	assert_int_equal(proc_wait_stopped(standing), 0);
	if (standing->pid) {
		p = proc_spawn("bystander", bystander, &v);
		if (proc_wait_ms(p, 5000) != 0) {
			proc_signal(standing, SIGKILL);
			(void)proc_wait(standing);
			if (p->pid)
				proc_kill(p);
			fail_msg("%s, stopped at %s: the bystander: %d %s", operation->name, point, p->result,
			         proc_verdict(p));
		}
		proc_release(p);
		proc_continue(standing);
	}
	finish(standing);
	finish(proc_spawn("survivor", survivor, &v));
}

static void test_stopped_processes_stop_nobody(void **state)
{
	static const struct operation some[] = {
		{ "attach", nothing, create, 1, 1 },
		{ "first read", open_region, read_first, 1, 1 },
		{ "put", put_again, put_second, 1, 2 },
		{ "release", put_again, release, 1, 1 },
		{ "synchronize", open_region, synchronize, 1, 1 },
		{ "leave", put_again, leave, 1, 1 },
	};
	const char *path = proc_path(PROC_SHM, "region");

	if (!proc_has_faults())
		skip();
	for (unsigned o = 0; o < sizeof some / sizeof some[0]; o++) {
		struct victim v = { &some[o], path, PROC_FAULT_COLLECT, NULL, 0 };

		remove(path);
		finish(proc_spawn("maker", beside_maker, (void *)(uintptr_t)path));
		finish(proc_spawn("through", victim, &v));
		for (unsigned i = 0; proc_fault_name(i); i++)
			stop_at(&some[o], path, proc_fault_name(i));
	}
	assert_non_null(proc_fault_name(5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_kill_everywhere_in_memory),
		PROC_TEST(test_kill_everywhere_on_disk),
		PROC_TEST(test_stopped_processes_stop_nobody),
	};

	return cmocka_run_group_tests_name("death at fault points", tests, NULL, NULL);
}
