/* SPDX-License-Identifier: MIT */
/* Somebody cuts the file off under those who have it open: an error for each call, a crash for nobody. */
#include "check.h"

#include "layout.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOB_BYTES 100000u

enum { READY, GO };

static const char *path;

static void require_stale(int code)
{
	if (code != -ESTALE || comap_last_error()->cause != COMAP_CAUSE_TRUNCATED)
		proc_fail(__FILE__, __LINE__, "code %d, cause %s: %s", code,
		          comap_cause_name(comap_last_error()->cause), comap_error_text());
}

static struct comap_value *open_blob(struct comap *region)
{
	struct comap_value *value = comap_value_open(region, "blob", NULL);

	PROC_REQUIRE(value);
	return value;
}

static void require_all_stale(struct comap *region, struct comap_value *value)
{
	static char bytes[BLOB_BYTES];
	struct comap_view view;

	require_stale(comap_value_get(value, bytes, sizeof bytes, &view));
	require_stale(comap_value_wait(value, 1000, comap_deadline_ms(5000)));
	require_stale(comap_status(region));
}

/* Inside a section, looking at the bytes, when the cut comes. */
static int seat(void *arg)
{
	static char bytes[BLOB_BYTES];
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = open_blob(region);
	struct comap_view view;
	uint64_t sum = 0;

	PROC_REQUIRE(comap_status(region) == 0);
	PROC_REQUIRE_OK(comap_read_begin(region));
	view = comap_value_view(value);
	PROC_REQUIRE(view.size_bytes == BLOB_BYTES);
	proc_post(READY);
	proc_await(GO, 1);
	for (size_t i = 0; i < view.size_bytes; i++)
		sum += ((const uint8_t *)view.data)[i];
	PROC_REQUIRE(sum == 0);
	require_stale(comap_status(region)); /* zeros, and one is told */
	view = comap_value_view(value);
	PROC_REQUIRE(!view.data);
	require_stale(-comap_last_error()->code);
	(void)comap_read_end(region); /* its mark may be among what is gone */
	require_all_stale(region, value);
	require_stale(comap_value_put(value, bytes, sizeof bytes));
	require_stale(comap_synchronize(region));
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* Nothing touched since the cut: the first call meets it. */
static int publisher(void *arg)
{
	static char bytes[BLOB_BYTES];
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_value *value = open_blob(region);

	memset(bytes, 1, sizeof bytes);
	PROC_REQUIRE_OK(comap_value_put(value, bytes, sizeof bytes));
	proc_post(READY);
	proc_await(GO, 1);
	for (int i = 0; i < 3; i++)
		require_stale(comap_value_put(value, bytes, sizeof bytes));
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static int guest(void *arg)
{
	struct comap *region = check_open(path, COMAP_GUEST);
	struct comap_value *value = open_blob(region);

	proc_post(READY);
	proc_await(GO, 1);
	require_all_stale(region, value);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void run_with_cut_at(uint64_t size_bytes)
{
	struct proc *procs[3];
	struct stat st;

	path = proc_path(PROC_SHM, "region");
	procs[0] = proc_spawn("publisher", publisher, NULL);
	proc_await(READY, 1);
	procs[1] = proc_spawn("seat", seat, NULL);
	proc_await(READY, 2);
	procs[2] = proc_spawn("guest", guest, NULL);
	proc_await(READY, 3);
	assert_int_equal(truncate(path, (off_t)size_bytes), 0);
	proc_post(GO);
	for (size_t i = 0; i < 3; i++)
		proc_assert_ok(procs[i]);
	/* Nobody has made it look whole again. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, size_bytes);
}

static void test_cut_to_nothing(void **state) { run_with_cut_at(0); }
static void test_only_the_identity_is_left(void **state) { run_with_cut_at(COMAP_IDENTITY_BYTES); }

/* Where the heap begins. A role: the kit's children start with SIGBUS as it was before a guard. */
static int measure(void *arg)
{
	struct comap *region = check_open(path, COMAP_CREATE);
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(region, &info));
	comap_u64_store_release(proc_counter(0), info.file_bytes - info.heap_committed_bytes);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_the_heap_is_gone(void **state)
{
	path = proc_path(PROC_SHM, "region");
	proc_assert_ok(proc_spawn("measures", measure, NULL));
	run_with_cut_at(comap_u64_load_acquire(proc_counter(0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_cut_to_nothing),
		PROC_TEST(test_only_the_identity_is_left),
		PROC_TEST(test_the_heap_is_gone),
	};

	return cmocka_run_group_tests_name("truncated", tests, NULL, NULL);
}
