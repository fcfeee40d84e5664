/* SPDX-License-Identifier: MIT */
/* Tables: a look-up or a walk stands still in its middle while the table doubles; and a reader holds what
 * a dead writer has published.
 *
 * Plain torture hits these windows too seldom to show anything: with the second look taken out of
 * comap__table_find(), a storm of a million look-ups passed. Here each of them is held open. */
#include "check.h"
#include "step.h"

#include "heap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define KEYS 2500u
#define MORE 3000u      /* then nearly every bucket has been split */
#define ROUNDS 24u

static struct comap *region;
static struct comap_table *table;
static uint64_t there[KEYS];

static void open_table(const char *path)
{
	region = comap_open(path, COMAP_CREATE);
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

static int maker(void *path)
{
	open_table(path);
	for (uint64_t key = 0; key < KEYS; key++)
		PROC_REQUIRE_OK(put(key, key + 1));
	close_table();
	return 0;
}

static int grower(void *path)
{
	open_table(path);
	for (uint64_t key = KEYS; key < KEYS + MORE; key++)
		PROC_REQUIRE_OK(put(key, key + 1));
	close_table();
	return 0;
}

struct looker {
	const char *path, *point;
	unsigned nth;
};

/* Every key that is there all the time is found, wherever the look-up was held. */
static int looker(void *arg)
{
	struct looker *l = arg;
	uint64_t value;

	open_table(l->path);
	proc_fault(PROC_FAULT_STOP, l->point, l->nth);
	for (uint64_t key = 0; key < KEYS; key++) {
		PROC_REQUIRE_OK(comap_table_get(table, &key, sizeof key, &value, sizeof value, NULL));
		PROC_REQUIRE(value == key + 1);
	}
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	close_table();
	return 0;
}

static int walker(void *arg)
{
	struct looker *l = arg;
	struct comap_table_walk *walk;
	struct comap_table_entry entry;
	uint64_t key;
	int code;

	open_table(l->path);
	walk = comap_table_walk_begin(table);
	PROC_REQUIRE(walk);
	proc_fault(PROC_FAULT_STOP, l->point, l->nth);
	while ((code = comap_table_walk_next(walk, &entry)) == 1) {
		memcpy(&key, entry.key, sizeof key);
		if (key < KEYS)
			there[key]++;
	}
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	PROC_REQUIRE(code == 0);
	comap_table_walk_end(walk);
	for (key = 0; key < KEYS; key++)
		PROC_REQUIRE(there[key] == 1);
	close_table();
	return 0;
}

static void finish(struct proc *proc)
{
	proc_assert_ok(proc);
	proc_release(proc);
}

/* Holds the role at the point, at many of its arrivals, each time while the table doubles. */
static void hold(int (*role)(void *), const char *point, unsigned stride)
{
	const char *original = proc_path(PROC_SHM, "original");
	unsigned held = 0;
	struct proc *p;

	if (!proc_has_faults())
		skip();
	finish(proc_spawn("maker", maker, (void *)(uintptr_t)original));
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct looker l = { proc_path(PROC_SHM, "region"), point, 1 + i * stride };

		step_copy(original, l.path);
		p = proc_spawn("held", role, &l);
		if (proc_wait_stopped(p) == 0 && p->pid) {
			held++;
			finish(proc_spawn("grower", grower, (void *)(uintptr_t)l.path));
			proc_continue(p);
		}
		finish(p);
	}
	print_message("%s: held %u times\n", point, held);
	assert_true(held >= ROUNDS / 2);
}

static void test_held_before_the_slots(void **state) { hold(looker, "table.aimed", 97); }
static void test_held_before_the_link(void **state) { hold(looker, "table.looked", 3); }
static void test_walk_held_before_the_last_slot(void **state) { hold(walker, "table.collecting", 23); }

/* --- what a dead writer has published --------------------------------------------------------- */

enum { OPEN, DEAD };

static int dying(void *path)
{
	open_table(path);
	proc_await(OPEN, 1);
	proc_fault(PROC_FAULT_KILL, "table.committed", 1);
	PROC_REQUIRE_OK(put(7, 70));
	return 0;
}

/* It overwrites what the dead one has stored and not marked: the block must wait for readers all the
 * same. */
static int witness(void *path)
{
	struct comap_view view;
	struct comap_ref ref;
	uint64_t key = 7;

	open_table(path);
	PROC_REQUIRE_OK(put(8, 80)); /* registered, with pages of its own */
	proc_post(OPEN);
	proc_await(DEAD, 1);
	COMAP_READ(region) {
		view = comap_table_view(table, &key, sizeof key);
		PROC_REQUIRE(view.data && *(const uint64_t *)view.data == 70);
		ref.offset_bytes = (uint64_t)((const char *)view.data - 16 - region->view);
		PROC_REQUIRE_OK(put(7, 71));
		PROC_REQUIRE((comap_u64_load_acquire(comap__block_state(region, ref)) & 15) ==
		             COMAP_BLOCK_RETIRED);
		PROC_REQUIRE(*(const uint64_t *)view.data == 70);
	}
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	close_table();
	return 0;
}

static void test_a_dead_writers_block_waits_for_readers(void **state)
{
	const char *path = proc_path(PROC_SHM, "region");
	struct proc *beside, *victim;

	if (!proc_has_faults())
		skip();
	finish(proc_spawn("maker", maker, (void *)(uintptr_t)path));
	victim = proc_spawn("dying", dying, (void *)(uintptr_t)path);
	beside = proc_spawn("witness", witness, (void *)(uintptr_t)path);
	assert_int_equal(proc_wait(victim), -SIGKILL);
	proc_post(DEAD);
	finish(beside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_held_before_the_slots),
		PROC_TEST(test_held_before_the_link),
		PROC_TEST(test_walk_held_before_the_last_slot),
		PROC_TEST(test_a_dead_writers_block_waits_for_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
