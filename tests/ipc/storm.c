/* SPDX-License-Identifier: MIT */
/* The storm: publishers, readers and guests of one value, and makers who come, make or take one of
 * many values, publish a little and go, all of them killed and stopped at random moments.
 *
 *     test_storm [SECONDS]      3 by default; `./run long storm SECONDS`
 *
 * What is claimed: no reader ever sees half a version, nobody sees versions go backwards, whoever
 * comes later sees at least what was published before it came; at the end the region is sound, every
 * block accounted for. */
#include "check.h"

#include "blob.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STOP };
enum { PUBLISHED, READS, COPIES, GIVEN_UP, TAKEOVERS, NEWEST, MADE, COUNTED };
enum { PUBLISHERS = 2, READERS = 4, GUESTS = 2, MAKERS = 2,
       PLAYERS = PUBLISHERS + READERS + GUESTS + MAKERS };
enum { WORDS = 2000, LARGE_WORDS = 40000, MADE_VALUES = 24 };

static double seconds = 3;
static const char *path;
static uint64_t blob[LARGE_WORDS];

static bool over(void)
{
	return proc_point(STOP) > 0;
}

static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a statistic */
}

static struct comap *storm_open(uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;

	options.flags = flags;
	options.heap_max_bytes = 64u << 20;
	options.seat_count = 64;
	options.thread_count = 64;
	options.pin_policy = COMAP_PIN_WAIT; /* readers are stopped: publishers are patient */
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return region;
}

static struct comap_value *storm_value(struct comap *region)
{
	struct comap_value *value = comap_value_open(region, "v", NULL);

	if (!value)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return value;
}

/* Now and then a run of pages. */
static size_t random_size_bytes(void)
{
	return 8 * (1 + proc_random_below(proc_random_below(100) ? WORDS : LARGE_WORDS));
}

/* Builds in place or puts; the number is the version. */
static void publish_next(struct comap_value *value)
{
	size_t size_bytes = random_size_bytes();
	uint64_t number = comap_value_version(value) + 1;
	void *data;

	if (proc_random() & 1) {
		blob_fill(blob, size_bytes, number);
		PROC_REQUIRE_OK(comap_value_put(value, blob, size_bytes));
	} else {
		PROC_REQUIRE_OK(comap_value_reserve(value, size_bytes, &data));
		blob_fill(data, size_bytes, number);
		PROC_REQUIRE_OK(comap_value_publish(value));
	}
	comap_u64_max_acq_rel(proc_counter(NEWEST), number);
	count(PUBLISHED);
}

static int publisher(void *arg)
{
	struct comap *region = storm_open(COMAP_CREATE);
	struct comap_value *value = storm_value(region);
	int code;

	while (!over()) {
		code = comap_value_claim(value);
		if (code == -EBUSY) {
			usleep(500);
			continue;
		}
		PROC_REQUIRE_OK(code);
		count(TAKEOVERS);
		for (uint64_t left = 50 + proc_random_below(2000); left && !over(); left--)
			publish_next(value);
		PROC_REQUIRE_OK(comap_value_release(value));
	}
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static uint64_t look(struct comap *region, struct comap_value *value, uint64_t last)
{
	uint64_t newest = comap_u64_load_acquire(proc_counter(NEWEST));

	COMAP_READ(region) {
		struct comap_view view = comap_value_view(value);

		if (!view.data) {
			PROC_REQUIRE(newest == 0);
			break;
		}
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes));
		PROC_REQUIRE(view.version == blob_number(view.data));
		PROC_REQUIRE(view.version >= last);
		PROC_REQUIRE(view.version >= newest);
		last = view.version;
		if (proc_random_below(64) == 0)
			usleep(200);
		/* still there, and still whole */
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes));
		count(READS);
	}
	return last;
}

static int reader(void *arg)
{
	struct comap *region = storm_open(COMAP_CREATE);
	struct comap_value *value = storm_value(region);
	uint64_t last = 0;

	while (!over()) {
		last = look(region, value, last);
		if (proc_random_below(16) == 0)
			(void)comap_value_wait(value, last, comap_deadline_ms(5));
	}
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int guest(void *arg)
{
	struct comap *region = storm_open(COMAP_GUEST | COMAP_WAIT);
	struct comap_value *value = storm_value(region);
	struct comap_view view;
	uint64_t last = 0;
	int code;

	while (!over()) {
		code = comap_value_get(value, blob, sizeof blob, &view);
		if (code == -EAGAIN || code == -ENODATA) {
			count(GIVEN_UP);
			continue;
		}
		PROC_REQUIRE_OK(code);
		PROC_REQUIRE(blob_whole(blob, view.size_bytes));
		PROC_REQUIRE(view.version == blob_number(blob));
		PROC_REQUIRE(view.version >= last);
		last = view.version;
		count(COPIES);
	}
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* What was there is whole, and what follows is its successor. */
static void succeed(struct comap *region, struct comap_value *value)
{
	uint64_t number = 0;
	size_t size_bytes = random_size_bytes();

	COMAP_READ(region) {
		struct comap_view view = comap_value_view(value);

		if (!view.data)
			break;
		PROC_REQUIRE(blob_whole(view.data, view.size_bytes));
		PROC_REQUIRE(view.version == blob_number(view.data));
		number = view.version;
	}
	blob_fill(blob, size_bytes, number + 1);
	PROC_REQUIRE_OK(comap_value_put(value, blob, size_bytes));
}

static int maker(void *arg)
{
	while (!over()) {
		struct comap *region = storm_open(COMAP_CREATE);
		struct comap_value *value;
		char name[16];
		int code;

		snprintf(name, sizeof name, "m%u", (unsigned)proc_random_below(MADE_VALUES));
		value = comap_value_open(region, name, NULL);
		if (!value)
			proc_fail(__FILE__, __LINE__, "%s: %s", name, comap_error_text());
		code = comap_value_claim(value);
		PROC_REQUIRE(code == 0 || code == -EBUSY);
		for (unsigned i = 0; code == 0 && i < 3; i++)
			succeed(region, value);
		if (code == 0 && proc_random() & 1)
			PROC_REQUIRE_OK(comap_value_release(value));
		comap_value_close(value);
		PROC_REQUIRE_OK(comap_close(region));
		count(MADE);
	}
	return 0;
}

static struct proc *players[PLAYERS];
static uint64_t wake_ns[PLAYERS]; /* of a stopped one: when it goes on */

static void enter(unsigned number)
{
	players[number] = number < PUBLISHERS ? proc_spawn("publisher", publisher, NULL)
		: number < PUBLISHERS + READERS ? proc_spawn("reader", reader, NULL)
		: number < PUBLISHERS + READERS + GUESTS ? proc_spawn("guest", guest, NULL)
		: proc_spawn("maker", maker, NULL);
	wake_ns[number] = 0;
}

/* Ended by our hand, or by an error that it has put into words. */
static void require_killed(struct proc *player)
{
	int result = proc_wait(player);

	if (result != -SIGKILL)
		fail_msg("%s ended with %d: %s", player->name, result, proc_verdict(player));
	proc_release(player);
}

static void strike(unsigned *kills, unsigned *stops)
{
	unsigned number = (unsigned)proc_random_below(PLAYERS);
	struct proc *player = players[number];

	if (proc_wait_ms(player, 0) != PROC_TIMEOUT)
		fail_msg("%s ended with %d: %s", player->name, player->result, proc_verdict(player));
	if (proc_random_below(3) > 0) {
		proc_signal(player, SIGKILL);
		require_killed(player);
		enter(number);
		++*kills;
	} else if (!wake_ns[number]) {
		proc_signal(player, SIGSTOP);
		wake_ns[number] = comap_now_ns() + 1000000 * proc_random_below(40);
		++*stops;
	}
}

static void wake_the_stopped(bool all)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!wake_ns[i] || (!all && comap_now_ns() < wake_ns[i]))
			continue;
		proc_continue(players[i]);
		wake_ns[i] = 0;
	}
}

static int successor(void *arg)
{
	struct comap *region = storm_open(0);
	struct comap_value *value = storm_value(region);

	check_alone(region);
	(void)look(region, value, 0);
	publish_next(value);
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static unsigned long long counted(unsigned counter)
{
	return comap_u64_load_relaxed(proc_counter(counter)); /* relaxed: everybody has ended */
}

static void storm(enum proc_place place)
{
	uint64_t deadline_ns = comap_now_ns() + (uint64_t)(seconds * 1e9 / 2);
	unsigned kills = 0, stops = 0;

	path = proc_path(place, "region");
	for (unsigned i = 0; i < PLAYERS; i++)
		enter(i);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(1000 + proc_random_below(9000)));
		strike(&kills, &stops);
		wake_the_stopped(false);
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	proc_assert_ok(proc_spawn("successor", successor, NULL));
	print_message("%s: %u kills, %u stops, %llu takeovers; %llu versions, %llu views, %llu copies by "
	              "guests (%llu given up), %llu visits of makers, 0 torn\n", proc_place_name(place),
	              kills, stops, counted(TAKEOVERS), counted(PUBLISHED), counted(READS),
	              counted(COPIES), counted(GIVEN_UP), counted(MADE));
	assert_true(kills > 5 && stops > 0);
	assert_true(counted(PUBLISHED) > 100 && counted(READS) > 100 && counted(COPIES) > 10);
	assert_true(counted(MADE) > 10);
}

static void test_storm_in_memory(void **state)
{
	storm(PROC_SHM);
}

static void test_storm_on_disk(void **state)
{
	storm(PROC_DISK);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_storm_in_memory),
		PROC_TEST(test_storm_on_disk),
	};

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
