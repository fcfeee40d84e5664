/* SPDX-License-Identifier: MIT */
/* The storm of stops: readers in evictable sections are stopped at random moments and stay so for long,
 * while writers of a value and of a table want more memory than the pin budget leaves them.
 *
 *     test_evict-storm [SECONDS]      3 by default; `./run long evict-storm SECONDS`
 *
 * What is claimed: no writer fails, and none pauses for long; retired bytes stay within the budget, but
 * for what writers hold at once; whatever a reader has read is right, or its section's end says ESTALE;
 * as many are told so as were evicted. */
#include "check.h"

#include "blob.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOP, ENTERED };
enum { PUBLISHED, PUTS, RIGHT, STALE, PINNED, NEWEST, PAUSE_NS };
enum { PUBLISHERS = 1, WRITERS = 2, READERS = 6, PLAYERS = PUBLISHERS + WRITERS + READERS };
enum { KEYS = 64, WORDS = 1000, BUDGET = 2 << 20, BLOCK_MAX = 8 << 10 };

static double seconds = 3;
static uint32_t policy, barrier_flag;
static const char *path;
static uint64_t blob[WORDS];

static bool over(void)
{
	return proc_point(STOP) > 0;
}

static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a statistic */
}

struct storm {
	struct comap *region;
	struct comap_value *value;
	struct comap_table *table;
};

static struct storm storm_open(void)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct storm storm;

	options.flags = COMAP_CREATE | barrier_flag;
	options.heap_max_bytes = 32u << 20;
	options.pin_budget_bytes = BUDGET;
	options.pin_policy = policy;
	options.seat_count = options.thread_count = 32;
	storm.region = comap_open_with(path, &options);
	storm.value = storm.region ? comap_value_open(storm.region, "v", NULL) : NULL;
	storm.table = storm.region ? comap_table_open(storm.region, "t", NULL) : NULL;
	if (!storm.table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return storm;
}

static void storm_close(struct storm *storm)
{
	comap_value_close(storm->value);
	comap_table_close(storm->table);
	PROC_REQUIRE_OK(comap_close(storm->region));
}

/* --- writers ---------------------------------------------------------------------------------- */

static void note_pause(uint64_t begun_ns)
{
	comap_u64_max_acq_rel(proc_counter(PAUSE_NS), comap_now_ns() - begun_ns);
}

/* Writers are in no pinned sections of their own: a stopped one would pin. */
static int publisher(void *arg)
{
	struct storm storm = storm_open();
	uint64_t number = 0;

	while (!over()) {
		uint64_t begun_ns = comap_now_ns();

		size_t size_bytes = 8 * (1 + proc_random_below(WORDS));

		blob_fill(blob, size_bytes, ++number);
		PROC_REQUIRE_OK(comap_value_put(storm.value, blob, size_bytes));
		note_pause(begun_ns);
		comap_u64_max_acq_rel(proc_counter(NEWEST), number);
		count(PUBLISHED);
		if (number == 1)
			proc_post(ENTERED);
	}
	storm_close(&storm);
	return 0;
}

static int writer(void *arg)
{
	struct storm storm = storm_open();
	uint64_t serial = 0;

	while (!over()) {
		uint64_t key = proc_random_below(KEYS), begun_ns = comap_now_ns();
		size_t size_bytes = 8 * (1 + proc_random_below(WORDS));

		blob_fill(blob, size_bytes, key << 40 | ++serial);
		PROC_REQUIRE_OK(comap_table_put(storm.table, &key, sizeof key, blob, size_bytes));
		note_pause(begun_ns);
		count(PUTS);
		if (serial == KEYS)
			proc_post(ENTERED);
	}
	storm_close(&storm);
	return 0;
}

/* --- readers ---------------------------------------------------------------------------------- */

/* What a view shows, as far as there is room: its length may be nonsense, too. */
static size_t take(struct comap_view view, uint64_t *into)
{
	size_t size_bytes = view.size_bytes <= sizeof blob ? view.size_bytes : sizeof blob;

	if (view.data)
		memcpy(into, view.data, size_bytes);
	return view.data ? size_bytes : 0;
}

static void linger(void)
{
	if (proc_random_below(200) == 0)
		usleep((useconds_t)proc_random_below(3000));
}

static void judge(int code, bool right)
{
	PROC_REQUIRE(code == 0 || code == -ESTALE);
	if (code == 0 && !right)
		proc_fail(__FILE__, __LINE__, "what a section that was not evicted has read is wrong");
	count(code == 0 ? RIGHT : STALE);
}

static void read_value(struct storm *storm, uint64_t *last)
{
	uint64_t newest = comap_u64_load_acquire(proc_counter(NEWEST));
	struct comap_view view = { 0 };
	size_t size_bytes = 0;
	int code;

	COMAP_READ_EVICTABLE(storm->region, &code) {
		linger();
		view = comap_value_view(storm->value);
		linger();
		size_bytes = take(view, blob);
		linger();
	}
	judge(code, size_bytes == view.size_bytes && size_bytes && blob_whole(blob, size_bytes) &&
	      blob_number(blob) == view.version && view.version >= newest && view.version >= *last);
	if (code == 0)
		*last = view.version;
}

/* Several keys in one section: each is there, and is what was put under it. */
static void read_keys(struct storm *storm)
{
	bool right = true;
	int code;

	COMAP_READ_EVICTABLE(storm->region, &code)
		for (unsigned i = 0; i < 8; i++) {
			uint64_t key = proc_random_below(KEYS);
			struct comap_view view = comap_table_view(storm->table, &key, sizeof key);
			size_t size_bytes = take(view, blob);

			linger();
			right &= size_bytes == view.size_bytes && size_bytes && blob_number(blob) >> 40 == key &&
			         blob_whole(blob, size_bytes);
			if (!right && comap_read_is_stale(storm->region))
				break;
		}
	judge(code, right);
}

/* A whole copy, by a pinned section within. */
static void read_pinned(struct storm *storm)
{
	uint64_t key = proc_random_below(KEYS);
	struct comap_view view;
	int inner = 0, code;

	COMAP_READ_EVICTABLE(storm->region, &code) {
		linger();
		inner = comap_table_get(storm->table, &key, sizeof key, blob, sizeof blob, &view);
		PROC_REQUIRE(inner == 0 || inner == -ESTALE);
		if (inner == 0) {
			PROC_REQUIRE(blob_whole(blob, view.size_bytes) && blob_number(blob) >> 40 == key);
			count(PINNED);
		}
		linger();
	}
	PROC_REQUIRE(inner == 0 || code == -ESTALE);
	judge(code, true);
}

static int reader(void *arg)
{
	struct storm storm = storm_open();
	uint64_t last = 0;

	while (!over()) {
		read_value(&storm, &last);
		read_keys(&storm);
		if (policy == COMAP_PIN_WAIT) /* the others would fail before a reader that is stopped in there */
			read_pinned(&storm);
	}
	storm_close(&storm);
	return 0;
}

/* --- the storm -------------------------------------------------------------------------------- */

static struct proc *players[PLAYERS];
static uint64_t wake_ns[PLAYERS];

static void wake_the_stopped(bool all)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		if (wake_ns[i] && (all || comap_now_ns() >= wake_ns[i])) {
			proc_continue(players[i]);
			wake_ns[i] = 0;
		}
}

/* Readers for long; writers only as long as others may wait for a lock. */
static unsigned strike(void)
{
	unsigned number = (unsigned)proc_random_below(PLAYERS);

	if (proc_wait_ms(players[number], 0) != PROC_TIMEOUT)
		fail_msg("%s ended with %d: %s", players[number]->name, players[number]->result,
		         proc_verdict(players[number]));
	if (wake_ns[number])
		return 0;
	proc_signal(players[number], SIGSTOP);
	wake_ns[number] = comap_now_ns() + 1000000 * (number < PUBLISHERS + WRITERS
		? 1 + proc_random_below(20) : 50 + proc_random_below(400));
	return 1;
}

static unsigned long long counted(unsigned counter)
{
	return comap_u64_load_relaxed(proc_counter(counter)); /* relaxed: everybody has ended */
}

static struct comap_info look(struct storm *storm)
{
	struct comap_info info;

	assert_int_equal(comap_info(storm->region, &info), 0);
	return info;
}

static void enter(void)
{
	for (unsigned i = 0; i < PUBLISHERS + WRITERS; i++)
		players[i] = i < PUBLISHERS ? proc_spawn("publisher", publisher, NULL)
		                            : proc_spawn("writer", writer, NULL);
	proc_await(ENTERED, PUBLISHERS + WRITERS);
}

static void play(uint32_t pin_policy, uint32_t fenced)
{
	uint64_t deadline_ns = comap_now_ns() + (uint64_t)(seconds * 1e9 / 3), most = 0;
	struct storm storm;
	struct comap_check report;
	unsigned stops = 0;

	policy = pin_policy;
	barrier_flag = fenced;
	path = proc_path(PROC_SHM, "region");
	storm = storm_open();
	for (uint64_t key = 0; key < KEYS; key++) {
		blob_fill(blob, sizeof blob, key << 40);
		assert_int_equal(comap_table_put(storm.table, &key, sizeof key, blob, sizeof blob), 0);
	}
	enter();
	for (unsigned i = PUBLISHERS + WRITERS; i < PLAYERS; i++)
		players[i] = proc_spawn("reader", reader, NULL);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(500 + proc_random_below(4000)));
		stops += strike();
		wake_the_stopped(false);
		if (look(&storm).retired_bytes > most)
			most = look(&storm).retired_bytes;
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	print_message("%s%s: %u stops, %llu evictions; %llu sections right, %llu stale, %llu pinned copies; "
	              "%llu versions, %llu puts, longest pause %.1f ms; retired at most %.2f of the budget\n",
	              policy == COMAP_PIN_WAIT ? "wait" : "fail", fenced ? ", fenced" : "", stops,
	              (unsigned long long)look(&storm).evictions, counted(RIGHT), counted(STALE),
	              counted(PINNED), counted(PUBLISHED), counted(PUTS), (double)counted(PAUSE_NS) / 1e6,
	              (double)most / BUDGET);
	/* Each is told; but one that comes between a section's last look and its end, whose answer is right. */
	assert_in_range(look(&storm).evictions, counted(STALE), counted(STALE) + counted(STALE) / 20 + 3);
	assert_true(stops > 10 && counted(STALE) > 0 && counted(RIGHT) > 100);
	assert_true(policy == COMAP_PIN_FAIL || counted(PINNED) > 10);
	assert_true(counted(PUBLISHED) > 100 && counted(PUTS) > 100);
	assert_in_range(most, 1, BUDGET + 2 * (PUBLISHERS + WRITERS) * BLOCK_MAX);
	assert_int_equal(comap_check(storm.region, &report), 0);
	storm_close(&storm);
}

static void test_writers_that_would_wait(void **state)
{
	play(COMAP_PIN_WAIT, 0);
}

static void test_writers_that_would_fail(void **state)
{
	play(COMAP_PIN_FAIL, 0);
}

static void test_in_a_fenced_region(void **state)
{
	play(COMAP_PIN_FAIL, COMAP_FENCED);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_writers_that_would_wait),
		PROC_TEST(test_writers_that_would_fail),
		PROC_TEST(test_in_a_fenced_region),
	};

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("evict storm", tests, NULL, NULL);
}
