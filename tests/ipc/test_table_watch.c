/* SPDX-License-Identifier: MIT */
/* Tables: waiting for a change of the table and of a key; walking again for what is new. */
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THERE, GO, DONE };
enum { ANSWER, WAITED_NS };     /* counters */

#define SOON_NS 500000000u      /* far less than the second after which a sleeper looks by itself */

static struct comap *region;
static struct comap_table *table;

static void open_table(const char *path, uint32_t flags)
{
	check_heap_max_bytes = 16u << 20;
	region = check_open_small(path, flags);
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

static int put(const char *key, const char *value)
{
	return comap_table_put(table, key, strlen(key), value, strlen(value));
}

/* --- one process ------------------------------------------------------------------------------ */

static void test_every_change_counts_and_nothing_else(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");
	uint64_t seen, now;

	open_table(path, COMAP_CREATE);
	assert_int_equal(comap_table_changes(table), 0);
	assert_int_equal(put("a", "1"), 0);
	seen = comap_table_changes(table);
	assert_int_not_equal(seen, 0);
	assert_int_equal(comap_table_wait(table, seen, comap_deadline_ms(20), &now), -ETIMEDOUT);
	assert_int_equal(comap_table_insert(table, "a", 1, "2", 1), COMAP_TABLE_EXISTS);
	assert_int_equal(comap_table_remove(table, "b", 1), COMAP_TABLE_MISSING);
	assert_int_equal(comap_table_changes(table), seen);
	assert_int_equal(comap_table_remove(table, "a", 1), 0);
	assert_int_equal(comap_table_wait(table, seen, 0, &now), 0);
	assert_int_not_equal(now, seen);
	assert_int_equal(put("a", "3"), 0);
	seen = comap_table_changes(table);
	assert_int_equal(comap_table_clear(table), 0);
	assert_int_equal(comap_table_wait(table, seen, 0, NULL), 0);
	close_table();
}

static void test_waits_that_cannot_be(void **state)
{
	const char *path = proc_path(PROC_SHM, "a");

	open_table(path, COMAP_CREATE);
	assert_int_equal(comap_table_wait(NULL, 0, 0, NULL), -EINVAL);
	assert_int_equal(comap_table_wait_key(table, NULL, 0, 0, 0, NULL), -EINVAL);
	assert_int_equal(comap_table_walk_again(NULL), -EINVAL);
	assert_int_equal(comap_table_walk_skip(NULL), -EINVAL);
	COMAP_READ(region) {
		assert_int_equal(comap_table_wait(table, 0, comap_deadline_ms(20), NULL), -EDEADLK);
		assert_int_equal(comap_table_wait_key(table, "a", 1, 0, comap_deadline_ms(20), NULL), -EDEADLK);
	}
	assert_int_equal(comap_unlink(path), 0);
	assert_int_equal(comap_table_wait(table, 0, COMAP_FOREVER, NULL), -ESTALE);
	assert_int_equal(comap_table_wait_key(table, "a", 1, 0, COMAP_FOREVER, NULL), -ESTALE);
	close_table();
}

static void test_a_key_is_over_when_its_time_is(void **state)
{
	struct comap_table_write write = { "a", 1, "1", 1, COMAP_TABLE_PUT, 0, 100000000u };
	uint64_t begun_ns = comap_now_ns(), version, now = 7;

	open_table(proc_path(PROC_SHM, "a"), COMAP_CREATE);
	assert_int_equal(comap_table_write(table, &write, &version), 0);
	assert_int_equal(comap_table_wait_key(table, "a", 1, version, comap_deadline_ms(5000), &now), 0);
	assert_int_equal(now, 0);
	assert_in_range(comap_now_ns() - begun_ns, 90000000u, SOON_NS);
	close_table();
}

/* --- walking again ---------------------------------------------------------------------------- */

static unsigned met(struct comap_table_walk *walk, char *ret_keys)
{
	struct comap_table_entry entry;
	unsigned count = 0;
	int code;

	while ((code = comap_table_walk_next(walk, &entry)) == 1)
		ret_keys[count++] = *(const char *)entry.key;
	assert_int_equal(code, 0);
	ret_keys[count] = '\0';
	return count;
}

static void test_a_walk_again_meets_what_is_new(void **state)
{
	struct comap_table_walk *walk;
	char keys[64], key[2] = "a";

	open_table(proc_path(PROC_SHM, "a"), COMAP_CREATE);
	walk = comap_table_walk_begin(table);
	assert_non_null(walk);
	assert_int_equal(met(walk, keys), 0);
	for (; key[0] <= 'z'; key[0]++)
		assert_int_equal(put(key, "1"), 0);
	assert_int_equal(comap_table_walk_again(walk), 0);
	assert_int_equal(met(walk, keys), 26);
	assert_int_equal(comap_table_walk_again(walk), 0);
	assert_int_equal(met(walk, keys), 0);
	assert_int_equal(put("q", "2"), 0);
	assert_int_equal(put("7", "2"), 0);
	assert_int_equal(comap_table_remove(table, "r", 1), 0);
	assert_int_equal(comap_table_walk_again(walk), 0);
	assert_int_equal(met(walk, keys), 2);
	assert_true(strchr(keys, 'q') && strchr(keys, '7'));
	assert_int_equal(put("q", "3"), 0);
	assert_int_equal(comap_table_walk_skip(walk), 0);
	assert_int_equal(met(walk, keys), 0);
	assert_int_equal(put("s", "3"), 0);
	assert_int_equal(comap_table_walk_again(walk), 0);
	assert_int_equal(met(walk, keys), 1);
	comap_table_walk_end(walk);
	close_table();
}

/* --- several processes ------------------------------------------------------------------------ */

static int make(void *path)
{
	open_table(path, COMAP_CREATE);
	PROC_REQUIRE_OK(put("a", "1"));
	close_table();
	return 0;
}

static void answer(int code, uint64_t number, uint64_t begun_ns)
{
	PROC_REQUIRE_OK(code);
	comap_u64_store_relaxed(proc_counter(ANSWER), number); /* relaxed: posted below */
	comap_u64_store_relaxed(proc_counter(WAITED_NS), comap_now_ns() - begun_ns);
	proc_post(DONE);
}

static int wait_table(void *path)
{
	uint64_t now = 0;
	int code;

	open_table(path, 0);
	proc_post(THERE);
	code = comap_table_wait(table, comap_table_changes(table), comap_deadline_ms(20000), &now);
	answer(code, now, comap_now_ns());
	close_table();
	return 0;
}

static int wait_key(void *path)
{
	uint64_t version = 0, begun_ns = comap_now_ns();
	struct comap_view view;
	int code;

	open_table(path, 0);
	PROC_REQUIRE(comap_table_get(table, "a", 1, NULL, 0, &view) == -ENOBUFS);
	proc_post(THERE);
	code = comap_table_wait_key(table, "a", 1, view.version, comap_deadline_ms(20000), &version);
	answer(code, version, begun_ns);
	close_table();
	return 0;
}

static int wait_key_as_guest(void *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	uint64_t version = 0;
	struct comap_view view;
	int code;

	options.flags = COMAP_GUEST;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region);
	table = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(table && comap_table_get(table, "a", 1, NULL, 0, &view) == -ENOBUFS);
	proc_post(THERE);
	code = comap_table_wait_key(table, "a", 1, view.version, comap_deadline_ms(20000), &version);
	answer(code, version, comap_now_ns());
	close_table();
	return 0;
}

/* The waiter is asleep, or nearly so. */
static struct proc *begin_wait(int (*waiter)(void *), const char *path)
{
	struct proc *p;

	proc_assert_ok(proc_spawn("make", make, (void *)(uintptr_t)path));
	p = proc_spawn("waiter", waiter, (void *)(uintptr_t)path);
	proc_await(THERE, 1);
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	open_table(path, 0);
	return p;
}

static void end_wait(struct proc *waiter, uint64_t begun_ns)
{
	assert_true(proc_await_ms(DONE, 1, 10000));
	assert_true(comap_now_ns() - begun_ns < SOON_NS);
	proc_assert_ok(waiter);
	close_table();
}

static void test_a_put_wakes_who_waits_for_the_table(void **state)
{
	struct proc *waiter = begin_wait(wait_table, proc_path(PROC_SHM, "a"));
	uint64_t begun_ns = comap_now_ns();

	assert_int_equal(put("b", "1"), 0);
	end_wait(waiter, begun_ns);
}

static void test_a_put_wakes_who_waits_for_the_key(void **state)
{
	struct proc *waiter = begin_wait(wait_key, proc_path(PROC_SHM, "a"));
	uint64_t begun_ns;

	for (char key[2] = "b"; key[0] <= 'z'; key[0]++)
		assert_int_equal(put(key, "1"), 0);
	assert_false(proc_await_ms(DONE, 1, 100)); /* none of them was it */
	begun_ns = comap_now_ns();
	assert_int_equal(put("a", "2"), 0);
	end_wait(waiter, begun_ns);
	assert_int_not_equal(comap_u64_load_relaxed(proc_counter(ANSWER)), 0);
}

static void test_a_removal_wakes_who_waits_for_the_key(void **state)
{
	struct proc *waiter = begin_wait(wait_key, proc_path(PROC_SHM, "a"));
	uint64_t begun_ns = comap_now_ns();

	assert_int_equal(comap_table_remove(table, "a", 1), 0);
	end_wait(waiter, begun_ns);
	assert_int_equal(comap_u64_load_relaxed(proc_counter(ANSWER)), 0);
}

static void test_a_guest_sees_it_too(void **state)
{
	struct proc *waiter = begin_wait(wait_key_as_guest, proc_path(PROC_SHM, "a"));
	uint64_t begun_ns = comap_now_ns();

	assert_int_equal(put("a", "2"), 0);
	end_wait(waiter, begun_ns);
}

/* --- a writer that dies with its change half told --------------------------------------------- */

static const char *const death_points[] = { "table.committed", "table.settled", "table.counted",
                                            "table.unlocked" };

static int put_and_die(void *point)
{
	open_table(proc_path(PROC_SHM, "a"), 0);
	proc_fault(PROC_FAULT_KILL, point, 1);
	(void)put("a", "2");
	return 1;
}

/* Whatever the waiter waits for, it learns of it within the second after which it looks by itself; and
 * the version that the dead one gave is not given again. */
static void survive_death(int (*waiter_role)(void *), const char *point, unsigned round)
{
	const char *path = proc_path(PROC_SHM, "a");
	struct comap_view dead = { 0 }, next = { 0 };
	struct proc *waiter, *writer;
	char buffer[8];

	proc_assert_ok(proc_spawn("make", make, (void *)(uintptr_t)path));
	waiter = proc_spawn("waiter", waiter_role, (void *)(uintptr_t)path);
	proc_await(THERE, round);
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	writer = proc_spawn("writer", put_and_die, (void *)(uintptr_t)point);
	assert_int_equal(proc_wait(writer), -SIGKILL);
	assert_true(proc_await_ms(DONE, round, 4000));
	proc_assert_ok(waiter);
	open_table(path, 0);
	assert_int_equal(comap_table_get(table, "a", 1, buffer, sizeof buffer, &dead), 0);
	assert_int_equal(buffer[0], '2');
	assert_int_equal(put("a", "3"), 0);
	assert_int_equal(comap_table_get(table, "a", 1, buffer, sizeof buffer, &next), 0);
	assert_true(next.version > dead.version);
	close_table();
	assert_int_equal(comap_unlink(path), 0);
}

static void test_a_change_whose_writer_died_is_learned_of(void **state)
{
	unsigned round = 0;

	if (!proc_has_faults())
		skip();
	for (unsigned i = 0; i < sizeof death_points / sizeof death_points[0]; i++) {
		survive_death(wait_table, death_points[i], ++round);
		survive_death(wait_key, death_points[i], ++round);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_every_change_counts_and_nothing_else),
		PROC_TEST(test_waits_that_cannot_be),
		PROC_TEST(test_a_key_is_over_when_its_time_is),
		PROC_TEST(test_a_walk_again_meets_what_is_new),
		PROC_TEST(test_a_put_wakes_who_waits_for_the_table),
		PROC_TEST(test_a_put_wakes_who_waits_for_the_key),
		PROC_TEST(test_a_removal_wakes_who_waits_for_the_key),
		PROC_TEST(test_a_guest_sees_it_too),
		PROC_TEST(test_a_change_whose_writer_died_is_learned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
