/* SPDX-License-Identifier: MIT */
/* Evictable sections: who may be in which, who gives way when, who is told; with membarrier() and with
 * fences, over values and tables. The storm of them is evict_storm.c. */
#include "blob.h"
#include "proc.h"

#include <comap.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { INSIDE, GO, PINNED, UNPINNED };
enum { BUDGET = 1 << 20, BYTES = 8000, HEAP_BYTES = 16 << 20 };

static const char *path;
static uint32_t barrier_flag;          /* COMAP_FENCED or 0: each test runs with both */
static struct comap *region;
static struct comap_value *value;
static struct comap_table *table;
static uint64_t blob[BYTES / 8], copy[BYTES / 8];

static struct comap *evict_open(uint32_t policy, uint64_t budget_bytes)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE | barrier_flag;
	options.heap_max_bytes = HEAP_BYTES;
	options.pin_budget_bytes = budget_bytes;
	options.pin_policy = policy;
	options.seat_count = options.thread_count = 16;
	region = comap_open_with(path, &options);
	value = region ? comap_value_open(region, "v", NULL) : NULL;
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	return table ? region : NULL;
}

static int put(uint64_t number)
{
	blob_fill(blob, sizeof blob, number);
	return comap_value_put(value, blob, sizeof blob);
}

static void leave(void)
{
	comap_value_close(value);
	comap_table_close(table);
	if (comap_close(region) != 0)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

static void make(uint32_t policy, uint64_t budget_bytes)
{
	path = proc_path(PROC_SHM, barrier_flag ? "fenced" : "region");
	assert_non_null(evict_open(policy, budget_bytes));
	assert_int_equal(put(1), 0);
	assert_int_equal(comap_table_put(table, "k", 1, blob, sizeof blob), 0);
}

static uint64_t evictions(void)
{
	struct comap_info info;

	assert_int_equal(comap_info(region, &info), 0);
	return info.evictions;
}

static uint64_t retired_bytes(void)
{
	struct comap_info info;

	assert_int_equal(comap_info(region, &info), 0);
	return info.retired_bytes;
}

/* --- nesting ---------------------------------------------------------------------------------- */

static void test_an_undisturbed_section_is_right(void **state)
{
	int code = 1, passes = 0;

	make(COMAP_PIN_FAIL, BUDGET);
	COMAP_READ_EVICTABLE(region, &code) {
		struct comap_view view = comap_value_view(value);

		assert_true(view.data && blob_whole(view.data, view.size_bytes));
		assert_false(comap_read_is_stale(region));
		passes++;
	}
	assert_int_equal(code, 0);
	assert_int_equal(passes, 1);
	assert_int_equal(comap_read_end_evictable(region), -EINVAL);
	COMAP_READ_EVICTABLE(NULL, &code)
		passes++;
	assert_int_equal(code, -EINVAL);
	assert_int_equal(passes, 1);
	leave();
}

static void test_break_leaves_and_tells(void **state)
{
	int code = 1;

	make(COMAP_PIN_FAIL, BUDGET);
	COMAP_READ_EVICTABLE(region, &code)
		break;
	assert_int_equal(code, 0);
	assert_int_equal(comap_synchronize(region), 0); /* it is in no section any more */
	leave();
}

static void test_sections_in_sections(void **state)
{
	make(COMAP_PIN_FAIL, BUDGET);
	/* evictable in pinned, and pinned in that */
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_read_begin_evictable(region), 0);
	assert_int_equal(comap_read_begin(region), 0);
	assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_read_end_evictable(region), 0);
	assert_int_equal(comap_read_end(region), 0);
	assert_int_equal(comap_synchronize(region), 0);
	/* evictable in evictable in pinned in evictable */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(comap_read_begin_evictable(region), 0);
		assert_int_equal(comap_read_begin(region), 0);
		assert_int_equal(comap_read_begin_evictable(region), 0);
		assert_int_equal(comap_read_begin_evictable(region), 0);
		assert_int_equal(comap_synchronize(region), -EDEADLK);
		assert_int_equal(comap_read_end_evictable(region), 0);
		assert_int_equal(comap_read_end_evictable(region), 0);
		assert_int_equal(comap_read_end(region), 0);
		assert_int_equal(comap_read_end(region), -EINVAL); /* it ends with the other one */
		assert_int_equal(comap_read_end_evictable(region), 0);
	}
	assert_int_equal(comap_synchronize(region), 0);
	leave();
}

static void test_nothing_changes_from_inside(void **state)
{
	int64_t sum;
	int code = 1;

	make(COMAP_PIN_FAIL, BUDGET);
	COMAP_READ_EVICTABLE(region, &code) {
		assert_int_equal(comap_read_park(region), -EINVAL);
		assert_int_equal(put(2), -EINVAL);
		assert_int_equal(comap_value_claim(value), -EINVAL);
		assert_int_equal(comap_table_put(table, "k", 1, "", 0), -EINVAL);
		assert_int_equal(comap_table_remove(table, "k", 1), -EINVAL);
		assert_int_equal(comap_table_touch(table, "k", 1, 5), -EINVAL);
		assert_int_equal(comap_table_add(table, "n", 1, 5, &sum), -EINVAL);
		assert_int_equal(comap_table_clear(table), -EINVAL);
		assert_int_equal(comap_synchronize(region), -EDEADLK);
		/* whole copies are made inside a pinned section within */
		assert_int_equal(comap_value_get(value, copy, sizeof copy, NULL), 0);
		assert_int_equal(comap_table_get(table, "k", 1, copy, sizeof copy, NULL), 0);
	}
	assert_int_equal(code, 0);
	assert_int_equal(put(2), 0);
	leave();
}

static int the_stale, handled;

static void read_in_handler(int number)
{
	(void)number;
	handled += comap_read_begin(region) == 0 && comap_read_end(region) == 0;
	handled += comap_read_begin_evictable(region) == 0 && comap_read_end_evictable(region) == 0;
	the_stale += comap_read_is_stale(region);
}

static void test_a_signal_handler_reads_too(void **state)
{
	struct sigaction action = { .sa_handler = read_in_handler }, before;
	int code;

	make(COMAP_PIN_FAIL, BUDGET);
	handled = the_stale = 0;
	sigaction(SIGUSR1, &action, &before);
	COMAP_READ_EVICTABLE(region, &code) {
		raise(SIGUSR1);
		COMAP_READ(region)
			raise(SIGUSR1);
		raise(SIGUSR1);
	}
	sigaction(SIGUSR1, &before, NULL);
	assert_int_equal(code, 0);
	assert_int_equal(handled, 6);
	assert_int_equal(the_stale, 0);
	assert_int_equal(comap_synchronize(region), 0);
	leave();
}

/* --- eviction --------------------------------------------------------------------------------- */

/* Inside until it is told; then it says what it finds. The argument: must it have been evicted? */
static int holder(void *evicted)
{
	struct comap_view view, entry;
	int code;

	PROC_REQUIRE(evict_open(COMAP_PIN_FAIL, BUDGET));
	PROC_REQUIRE_OK(comap_read_begin_evictable(region));
	view = comap_value_view(value);
	entry = comap_table_view(table, "k", 1);
	PROC_REQUIRE(view.data && entry.data);
	memcpy(copy, view.data, sizeof copy);
	PROC_REQUIRE(!comap_read_is_stale(region));
	PROC_REQUIRE(blob_whole(copy, sizeof copy) && copy[0] == 1);
	proc_post(INSIDE);
	proc_await(GO, 1);
	if (!evicted) {
		PROC_REQUIRE(!comap_read_is_stale(region));
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes) && blob_number(view.data) == 1);
		PROC_REQUIRE(blob_whole(entry.data, entry.size_bytes));
		PROC_REQUIRE_OK(comap_read_end_evictable(region));
		leave();
		return 0;
	}
	PROC_REQUIRE(comap_read_is_stale(region));
	/* what looks again looks safely; what copies is refused; the end says it */
	(void)comap_value_view(value);
	(void)comap_table_view(table, "k", 1);
	PROC_REQUIRE(comap_read_begin(region) == -ESTALE);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_EVICTED);
	PROC_REQUIRE(comap_value_get(value, copy, sizeof copy, NULL) == -ESTALE);
	PROC_REQUIRE(comap_table_get(table, "k", 1, copy, sizeof copy, NULL) == -ESTALE);
	PROC_REQUIRE_OK(comap_read_begin_evictable(region));
	PROC_REQUIRE(comap_read_end_evictable(region) == -ESTALE);
	PROC_REQUIRE(comap_read_end_evictable(region) == -ESTALE);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_EVICTED);
	PROC_REQUIRE(!comap_read_is_stale(region));
	COMAP_READ_EVICTABLE(region, &code) {
		view = comap_value_view(value);
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes) && blob_number(view.data) > 1);
	}
	PROC_REQUIRE_OK(code);
	leave();
	return 0;
}

/* As many bytes as the budget has, several times over, by both kinds of object. */
static void write_past_the_budget(void)
{
	for (uint64_t number = 2; number < 2 + 4 * BUDGET / BYTES; number++) {
		if (put(number) != 0 || comap_table_put(table, "k", 1, blob, sizeof blob) != 0)
			fail_msg("%llu: %s", (unsigned long long)number, comap_error_text());
		assert_in_range(retired_bytes(), 0, BUDGET + 2 * 8192);
	}
}

static void test_a_stopped_section_gives_way_at_the_budget(uint32_t policy)
{
	struct proc *stopped, *second;
	struct comap_seat seat;

	make(policy, BUDGET);
	stopped = proc_spawn("holder", holder, &blob);
	second = proc_spawn("holder", holder, &blob);
	proc_await(INSIDE, 2);
	proc_stop(stopped);
	assert_int_equal(comap_synchronize_until(region, comap_deadline_ms(30)), -ETIMEDOUT);
	assert_int_equal(evictions(), 0); /* waiting evicts nobody */
	write_past_the_budget();
	assert_int_equal(evictions(), 2); /* each once */
	for (uint32_t i = 1; i <= 2; i++) {
		assert_int_equal(comap_seat_at(region, i, &seat), 0);
		assert_int_equal(seat.evictions, 1);
		assert_int_equal(seat.evictable_count, 1);
		assert_int_equal(seat.behind, 0); /* it holds nothing back any more */
	}
	assert_int_equal(comap_synchronize(region), 0);
	proc_continue(stopped);
	proc_post(GO);
	proc_assert_ok(stopped);
	proc_assert_ok(second);
	assert_int_equal(evictions(), 2);
	leave();
}

static void test_it_gives_way_where_writers_fail(void **state)
{
	test_a_stopped_section_gives_way_at_the_budget(COMAP_PIN_FAIL);
}

static void test_it_gives_way_where_writers_wait(void **state)
{
	test_a_stopped_section_gives_way_at_the_budget(COMAP_PIN_WAIT);
}

/* The budget is more than the heap: it is the heap that is full. */
static void test_it_gives_way_when_the_heap_is_full(void **state)
{
	struct proc *reading;

	make(COMAP_PIN_FAIL, 4ull * HEAP_BYTES);
	reading = proc_spawn("holder", holder, &blob);
	proc_await(INSIDE, 1);
	proc_stop(reading);
	for (uint64_t number = 2; number < 2 + 2 * HEAP_BYTES / BYTES; number++)
		assert_int_equal(put(number), 0);
	assert_int_equal(evictions(), 1);
	proc_continue(reading);
	proc_post(GO);
	proc_assert_ok(reading);
	leave();
}

static void test_it_stays_while_there_is_room(void **state)
{
	struct proc *reading;

	make(COMAP_PIN_FAIL, BUDGET);
	reading = proc_spawn("holder", holder, NULL);
	proc_await(INSIDE, 1);
	for (uint64_t number = 2; number < 2 + BUDGET / 3 / BYTES; number++) {
		assert_int_equal(put(number), 0);
		assert_int_equal(comap_table_put(table, "k", 1, blob, sizeof blob), 0);
	}
	assert_int_equal(evictions(), 0);
	proc_post(GO);
	proc_assert_ok(reading);
	leave();
}

/* A pinned section inside the evictable one; then the evictable one alone. */
static int pins_within(void *arg)
{
	struct comap_view view;

	PROC_REQUIRE(evict_open(COMAP_PIN_FAIL, BUDGET));
	PROC_REQUIRE_OK(comap_read_begin_evictable(region));
	PROC_REQUIRE_OK(comap_read_begin(region));
	view = comap_value_view(value);
	proc_post(PINNED);
	proc_await(GO, 1);
	PROC_REQUIRE(!comap_read_is_stale(region));
	PROC_REQUIRE(blob_whole(view.data, view.size_bytes) && blob_number(view.data) == 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	proc_post(UNPINNED);
	proc_await(GO, 2);
	PROC_REQUIRE(comap_read_is_stale(region));
	PROC_REQUIRE(comap_read_end_evictable(region) == -ESTALE);
	leave();
	return 0;
}

static void test_a_pinned_section_within_holds(void **state)
{
	struct proc *reading;
	uint64_t number = 2;
	int code = 0;

	make(COMAP_PIN_FAIL, BUDGET);
	reading = proc_spawn("pins within", pins_within, NULL);
	proc_await(PINNED, 1);
	while (code == 0 && number < 4 * BUDGET / BYTES)
		code = put(number++);
	assert_int_equal(code, -EBUSY); /* pinned: the budget's policy, and the seat is named */
	assert_int_equal(comap_last_error()->seat, 1);
	assert_int_equal(evictions(), 0);
	proc_post(GO);
	proc_await(UNPINNED, 1);
	assert_int_equal(put(number), 0);
	assert_int_equal(evictions(), 1);
	proc_post(GO);
	proc_assert_ok(reading);
	leave();
}

/* A pinned reader beside an evictable one: eviction does not help, the error names the pinned. */
static int pinned_reader(void *arg)
{
	PROC_REQUIRE(evict_open(COMAP_PIN_FAIL, BUDGET));
	PROC_REQUIRE_OK(comap_read_begin(region));
	proc_post(PINNED);
	proc_await(GO, 1);
	PROC_REQUIRE_OK(comap_read_end(region));
	leave();
	return 0;
}

static void test_the_pinned_is_named_not_the_evicted(void **state)
{
	struct proc *evictable, *pinned;
	uint64_t number = 2;
	int code = 0;

	make(COMAP_PIN_FAIL, BUDGET);
	evictable = proc_spawn("holder", holder, &blob);
	proc_await(INSIDE, 1);
	pinned = proc_spawn("pinned", pinned_reader, NULL);
	proc_await(PINNED, 1);
	while (code == 0 && number < 4 * BUDGET / BYTES)
		code = put(number++);
	assert_int_equal(code, -EBUSY);
	assert_int_equal(comap_last_error()->seat, 2);
	assert_int_equal(evictions(), 1);
	proc_post(GO);
	proc_assert_ok(evictable);
	proc_assert_ok(pinned);
	leave();
}

static int parks(void *arg)
{
	PROC_REQUIRE(evict_open(COMAP_PIN_FAIL, BUDGET));
	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE_OK(comap_read_park(region));
	proc_post(INSIDE);
	proc_await(GO, 1);
	PROC_REQUIRE(comap_read_resume(region) == -ESTALE);
	leave();
	return 0;
}

/* However late the waiting one comes to it: who lets go is not named as in the way. */
static void test_a_passed_deadline_still_ousts(void **state)
{
	struct proc *parked;

	make(COMAP_PIN_FAIL, BUDGET);
	parked = proc_spawn("parks", parks, NULL);
	proc_await(INSIDE, 1);
	assert_int_equal(comap_synchronize_until(region, comap_now_ns() - 1), 0);
	proc_post(GO);
	proc_assert_ok(parked);
	leave();
}

/* A dead reader is dead, not evicted. */
static void test_the_dead_are_not_counted(void **state)
{
	struct proc *reading;

	make(COMAP_PIN_FAIL, BUDGET);
	reading = proc_spawn("holder", holder, &blob);
	proc_await(INSIDE, 1);
	proc_kill(reading);
	write_past_the_budget();
	assert_int_equal(evictions(), 0);
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_an_undisturbed_section_is_right),
		PROC_TEST(test_break_leaves_and_tells),
		PROC_TEST(test_sections_in_sections),
		PROC_TEST(test_nothing_changes_from_inside),
		PROC_TEST(test_a_signal_handler_reads_too),
		PROC_TEST(test_it_gives_way_where_writers_fail),
		PROC_TEST(test_it_gives_way_where_writers_wait),
		PROC_TEST(test_it_gives_way_when_the_heap_is_full),
		PROC_TEST(test_it_stays_while_there_is_room),
		PROC_TEST(test_a_pinned_section_within_holds),
		PROC_TEST(test_the_pinned_is_named_not_the_evicted),
		PROC_TEST(test_a_passed_deadline_still_ousts),
		PROC_TEST(test_the_dead_are_not_counted),
	};
	int failed = cmocka_run_group_tests_name("evict", tests, NULL, NULL);

	barrier_flag = COMAP_FENCED;
	return failed + cmocka_run_group_tests_name("evict, fenced", tests, NULL, NULL);
}
