/* SPDX-License-Identifier: MIT */
/* Bytes that change while they are looked at: a size or a word is loaded once and checked as loaded,
 * so that a writer gone wild makes wrong answers and no crash. */
#include "check.h"

#include "heap.h"
#include "heap_page.h"
#include "layout.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER_BYTES (256u << 20)
#define TRIES 2000000

enum { READY, GO };

static const char *path;

/* The whole file, writable: what no process of comap's has. */
static char *map_raw(size_t *ret_size_bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
	char *raw;

	PROC_REQUIRE(end > 0);
	raw = mmap(NULL, (size_t)end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	PROC_REQUIRE(raw != MAP_FAILED);
	close(fd);
	*ret_size_bytes = (size_t)end;
	return raw;
}

static struct comap_value_head_shm *find_head(char *raw, uint64_t size_bytes)
{
	const struct comap_identity_shm *identity = (const void *)raw;
	const struct comap_control_shm *control = (const void *)(raw + COMAP_IDENTITY_BYTES);
	uint64_t end = identity->heap_offset_bytes + control->heap_committed_bytes.v;

	for (uint64_t at = identity->heap_offset_bytes; at < end; at += COMAP_BLOCK_ALIGN_BYTES) {
		struct comap_value_head_shm *head = (void *)(raw + at);

		if (head->version.v == 1 && head->size_bytes.v == size_bytes)
			return head;
	}
	proc_fail(__FILE__, __LINE__, "no value of %llu bytes", (unsigned long long)size_bytes);
}

static void publish_one(size_t size_bytes)
{
	static char bytes[1 << 20];
	struct comap *region = check_open_small(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "v", NULL);

	assert_non_null(value);
	assert_int_equal(comap_value_put(value, bytes, size_bytes), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

/* --- a size that changes --------------------------------------------------------------------------- */

#define VALUE_BYTES 264u

static int changes_the_size(void *arg)
{
	size_t raw_bytes;
	char *raw = map_raw(&raw_bytes);
	struct comap_value_head_shm *head = find_head(raw, VALUE_BYTES);

	proc_post(READY);
	while (proc_point(GO) == 0) {
		comap_u64_store_relaxed(&head->size_bytes, BUFFER_BYTES - 64);
		comap_u64_store_relaxed(&head->size_bytes, VALUE_BYTES);
	}
	return 0;
}

static int reads_with_much_room(void *flags)
{
	void *buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct comap *region = check_open_small(path, *(uint32_t *)flags);
	struct comap_value *value = comap_value_open(region, "v", NULL);
	struct comap_view view;

	PROC_REQUIRE(buffer != MAP_FAILED && value);
	for (int i = 0; i < TRIES; i++)
		if (comap_value_get(value, buffer, BUFFER_BYTES, &view) == 0)
			PROC_REQUIRE(view.size_bytes == VALUE_BYTES);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void run_against_sizes(uint32_t flags)
{
	struct proc *hostile;

	path = proc_path(PROC_SHM, "region");
	publish_one(VALUE_BYTES);
	hostile = proc_spawn("changes the size", changes_the_size, NULL);
	proc_await(READY, 1);
	proc_assert_ok(proc_spawn("reads", reads_with_much_room, &flags));
	proc_post(GO);
	proc_assert_ok(hostile);
}

static void test_a_guest_copies_as_much_as_it_has_checked(void **state)
{
	run_against_sizes(COMAP_GUEST);
}

static void test_a_seat_copies_as_much_as_it_has_checked(void **state)
{
	run_against_sizes(0);
}

/* --- a field list that changes ---------------------------------------------------------------------- */

struct tick {
	uint64_t at_ns;
	double price;
};
COMAP_FIELDS(struct tick, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f64, price));

static int changes_the_field_count(void *arg)
{
	size_t raw_bytes;
	char *raw = map_raw(&raw_bytes);
	const struct comap_identity_shm *identity = (const void *)raw;
	struct comap_object_shm *object = (void *)(raw + identity->objects_offset_bytes);
	volatile uint32_t *count = &object->field_count;

	proc_post(READY);
	while (proc_point(GO) == 0) {
		*count = 2000;
		*count = 2;
	}
	return 0;
}

static int asks_for_the_type(void *arg)
{
	struct comap *region = check_open_small(path, COMAP_GUEST);
	struct comap_type *type;

	PROC_REQUIRE(region);
	for (int i = 0; i < TRIES / 4; i++) {
		type = comap_object_type(region, "v");
		PROC_REQUIRE(!type || type->field_count == 2);
		free(type);
	}
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* As many fields as were checked; found by reading: the count was loaded three times. */
static void test_a_field_count_is_used_as_checked(void **state)
{
	struct comap *region;
	struct comap_value *value;
	struct proc *hostile;

	path = proc_path(PROC_SHM, "region");
	region = check_open_small(path, COMAP_CREATE);
	value = comap_value_open(region, "v", COMAP_TYPE(struct tick));
	assert_non_null(value);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
	hostile = proc_spawn("changes the count", changes_the_field_count, NULL);
	proc_await(READY, 1);
	proc_assert_ok(proc_spawn("asks", asks_for_the_type, NULL));
	proc_post(GO);
	proc_assert_ok(hostile);
}

/* --- block sizes that are none --------------------------------------------------------------------- */

static int fills_the_region(void *arg)
{
	static char bytes[100000];
	struct comap *region = check_open_small(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "w", NULL);

	PROC_REQUIRE(value);
	for (int i = 0; i < 40; i++)
		(void)comap_value_put(value, bytes, sizeof bytes - (size_t)i * 2000);
	(void)comap_value_put(value, bytes, 3u << 20);
	(void)comap_value_put(value, bytes, 100);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* A class page of nobody's whose block size is a lie, before a search for room. */
static void test_a_block_size_that_is_none(void **state)
{
	static const uint32_t lies[] = { 0, 1, 65, 0xfffffff8u, 0xffffffffu, 0x80000000u };
	const struct comap_identity_shm *identity;
	struct comap_page_shm *pages;
	size_t raw_bytes;
	char *raw;

	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		path = proc_path(PROC_SHM, "region");
		publish_one(100);
		raw = map_raw(&raw_bytes);
		identity = (const void *)raw;
		pages = (void *)(raw + identity->pages_offset_bytes);
		pages[3].word.v = comap__page_word(COMAP_PAGE_CLASS, 0);
		pages[3].block_bytes.v = lies[i];
		pages[3].free_hint.v = 0xffffffffu;
		proc_assert_ok(proc_spawn("fills", fills_the_region, NULL));
		munmap(raw, raw_bytes);
		unlink(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_a_guest_copies_as_much_as_it_has_checked),
		PROC_TEST(test_a_seat_copies_as_much_as_it_has_checked),
		PROC_TEST(test_a_field_count_is_used_as_checked),
		PROC_TEST(test_a_block_size_that_is_none),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
