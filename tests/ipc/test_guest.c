/* SPDX-License-Identifier: MIT */
/* Guests: read permission, no seat, no mark; what they copy is whole or they are told. */
#include "check.h"

#include "blob.h"

#include <comap/seat.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READY, STOP };
enum { STORM_MS = 700, LARGE_WORDS = 1024 };

static const char *path;

/* Versions of many sizes, as fast as it can. */
static int stormy_publisher(void *arg)
{
	static uint64_t blob[LARGE_WORDS];
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	uint64_t number = 0;

	PROC_REQUIRE(value);
	do {
		size_t size_bytes = 8 * (1 + proc_random_below(LARGE_WORDS));

		blob_fill(blob, size_bytes, ++number);
		PROC_REQUIRE_OK(comap_value_put(value, blob, size_bytes));
		if (number == 1)
			proc_post(READY);
	} while (proc_point(STOP) == 0);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	comap_u64_store_release(proc_counter(0), number);
	return 0;
}

static int stormy_guest(void *counter)
{
	static uint64_t blob[LARGE_WORDS];
	struct comap *region = check_open(path, COMAP_GUEST);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	uint64_t last = 0, reads = 0, refused = 0;
	struct comap_view view;

	PROC_REQUIRE(value);
	while (proc_point(STOP) == 0) {
		int code = comap_value_get(value, blob, sizeof blob, &view);

		if (code == -EAGAIN) {
			refused++;
			continue;
		}
		PROC_REQUIRE_OK(code);
		PROC_REQUIRE(blob_whole(blob, view.size_bytes));
		PROC_REQUIRE(view.version == blob_number(blob));
		PROC_REQUIRE(view.version >= last);
		last = view.version;
		reads++;
	}
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	comap_u64_store_release(proc_counter(*(unsigned *)counter), reads);
	comap_u64_store_release(proc_counter(*(unsigned *)counter + 10), refused);
	return 0;
}

static void test_guests_under_a_storm(void **state)
{
	struct proc *publisher, *guests[2];
	unsigned counters[2] = { 1, 2 };

	path = proc_path(PROC_SHM, "region");
	publisher = proc_spawn("publisher", stormy_publisher, NULL);
	proc_await(READY, 1);
	for (unsigned i = 0; i < 2; i++)
		guests[i] = proc_spawn("guest", stormy_guest, &counters[i]);
	usleep(STORM_MS * 1000);
	proc_post(STOP);
	proc_assert_ok(publisher);
	for (unsigned i = 0; i < 2; i++)
		proc_assert_ok(guests[i]);
	print_message("%llu versions; guests: %llu and %llu whole copies, %llu given up\n",
	              (unsigned long long)comap_u64_load_acquire(proc_counter(0)),
	              (unsigned long long)comap_u64_load_acquire(proc_counter(1)),
	              (unsigned long long)comap_u64_load_acquire(proc_counter(2)),
	              (unsigned long long)(comap_u64_load_acquire(proc_counter(11)) +
	                                   comap_u64_load_acquire(proc_counter(12))));
	assert_true(comap_u64_load_acquire(proc_counter(0)) > 1000);
	assert_true(comap_u64_load_acquire(proc_counter(1)) > 100);
	assert_true(comap_u64_load_acquire(proc_counter(2)) > 100);
}

/* --- what a guest may do, and what it does not leave -------------------------------------------- */

static int maker(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	PROC_REQUIRE(value);
	check_value_put(value, 1);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	PROC_REQUIRE(chmod(path, 0644) == 0);
	return 0;
}

static void refused_to_guests(struct comap *region, struct comap_value *value)
{
	char bytes[CHECK_VALUE_BYTES] = { 0 };

	PROC_REQUIRE(comap_read_begin(region) == -ENOTCONN);
	PROC_REQUIRE(comap_synchronize(region) == -ENOTCONN);
	PROC_REQUIRE(comap_seat_self(region) == -ENOTCONN);
	PROC_REQUIRE(comap_value_put(value, bytes, sizeof bytes) == -ENOTCONN);
	PROC_REQUIRE(comap_value_claim(value) == -ENOTCONN);
	PROC_REQUIRE(comap_value_view(value).data == NULL);
}

/* Somebody else, with read permission only. */
static int stranger(void *arg)
{
	uint64_t blob[CHECK_VALUE_BYTES / 8];
	struct comap *region;
	struct comap_value *value;
	struct comap_view view;

	if (getuid() == 0)
		PROC_REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
	PROC_REQUIRE(comap_open(path, 0) == NULL);
	PROC_REQUIRE(comap_last_error()->code == EACCES || comap_last_error()->code == EPERM);
	region = check_open(path, COMAP_GUEST);
	value = comap_value_open(region, "v", NULL);
	PROC_REQUIRE(value);
	PROC_REQUIRE_OK(comap_value_get(value, blob, sizeof blob, &view));
	PROC_REQUIRE(view.version == 1 && blob_whole(blob, view.size_bytes));
	PROC_REQUIRE(comap_value_get(value, blob, 8, &view) == -ENOBUFS);
	PROC_REQUIRE(view.size_bytes == CHECK_VALUE_BYTES);
	refused_to_guests(region, value);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int finds_no_trace(void *arg)
{
	struct comap *region = check_open(path, COMAP_GUEST);
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(region, &info));
	PROC_REQUIRE(info.clean && info.seat_high_water == 1);
	PROC_REQUIRE_OK(comap_close(region));
	PROC_REQUIRE(check_survive(path) == 1);
	return 0;
}

static void test_strangers_are_guests(void **state)
{
	path = proc_path(PROC_SHM, "region");
	assert_int_equal(chmod(proc_folder(PROC_SHM), 0755), 0);
	proc_assert_ok(proc_spawn("maker", maker, NULL));
	proc_assert_ok(proc_spawn("stranger", stranger, NULL));
	proc_assert_ok(proc_spawn("looks", finds_no_trace, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_guests_under_a_storm),
		PROC_TEST(test_strangers_are_guests),
	};

	return cmocka_run_group_tests_name("guests", tests, NULL, NULL);
}
