/* SPDX-License-Identifier: MIT */
/* The step kit tests itself on a file of two words: a writer that marks its work done in the wrong
 * order is caught, one that does it in the right order is not. */
#include "step.h"

#include "vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct page { struct comap_u64 data, done; };

static struct page *map_page(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	if (fd < 0 || ftruncate(fd, 4096) != 0 ||
	    comap__vm_map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &at) != 0)
		proc_fail(__FILE__, __LINE__, "%s", path);
	close(fd);
	return at;
}

static struct page *page;

static int prepare(const char *path)
{
	page = map_page(path);
	return 0;
}

static int right_order(const char *path)
{
	comap_u64_store_release(&page->data, 7);
	comap_u64_store_release(&page->done, 1);
	return 0;
}

static int wrong_order(const char *path)
{
	comap_u64_store_release(&page->done, 1);
	comap_u64_store_release(&page->data, 7);
	return 0;
}

/* done => data is 7 */
static int survive(const char *path)
{
	struct page *found = map_page(path);

	if (comap_u64_load_acquire(&found->done) == 0)
		return 0;
	PROC_REQUIRE(comap_u64_load_acquire(&found->data) == 7);
	return 1;
}

static int count_broken(const char *path)
{
	struct page *found = map_page(path);
	bool done = comap_u64_load_acquire(&found->done);

	return !done ? 0 : comap_u64_load_acquire(&found->data) == 7 ? 1 : 2;
}

static const char *const outcomes[] = { "before", "after", "broken", NULL };

static void test_right_order(void **state)
{
	struct step_operation put = { "put", proc_path(PROC_SHM, "a"), prepare, right_order,
	                              survive, outcomes };
	struct step_report report;

	step_run(&put, &report);
	step_print(&report, 1);
	assert_int_equal(report.images, 3); /* nothing, data, data and done */
	assert_int_equal(report.outcomes[0], 2);
	assert_int_equal(report.outcomes[1], 1);
	assert_true(report.instructions >= 4 && report.instructions < 1000);
}

static void test_wrong_order_is_seen(void **state)
{
	struct step_operation put = { "put, wrong", proc_path(PROC_SHM, "b"), prepare, wrong_order,
	                              count_broken, outcomes, .keep_every = 1, .keep_max = 3 };
	struct step_report report;
	struct page *kept;

	step_run(&put, &report);
	step_print(&report, 1);
	assert_int_equal(report.images, 3);
	assert_int_equal(report.outcomes[2], 1);
	assert_int_equal(report.kept, 3);
	kept = map_page(step_kept_path(&put, 1));
	assert_int_equal(comap_u64_load_relaxed(&kept->done), 1); /* relaxed: nobody writes it */
	assert_int_equal(comap_u64_load_relaxed(&kept->data), 0); /* relaxed: as above */
	comap__vm_unmap(kept, 4096);
}

static int create_by_rename(const char *path)
{
	char other[512];
	int fd;

	snprintf(other, sizeof other, "%s.new", path);
	fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "whole", 5) != 5 || close(fd) != 0)
		return -1;
	return rename(other, path);
}

static int none_or_whole(const char *path)
{
	char text[8] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	PROC_REQUIRE(read(fd, text, sizeof text) == 5);
	PROC_REQUIRE(memcmp(text, "whole", 5) == 0);
	return 1;
}

static void test_file_appears(void **state)
{
	static const char *const names[] = { "none", "whole", NULL };
	struct step_operation create = { "create", proc_path(PROC_SHM, "c"), NULL,
	                                 create_by_rename, none_or_whole, names };
	struct step_report report;

	step_run(&create, &report);
	step_print(&report, 1);
	assert_int_equal(report.images, 2);
	assert_int_equal(report.outcomes[0], 1);
	assert_int_equal(report.outcomes[1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_right_order),
		PROC_TEST(test_wrong_order_is_seen),
		PROC_TEST(test_file_appears),
	};

	return cmocka_run_group_tests_name("step kit", tests, NULL, NULL);
}
