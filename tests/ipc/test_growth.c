/* SPDX-License-Identifier: MIT */
/* How the heap grows: by little at a time, so that the put that needs it waits for little; and in whole large
 * pages where the file system has them. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES (256u << 10)      /* of a heap below 256 MiB */
#define LARGE_BYTES (2u << 20)
#define CANNOT 77                    /* exit code: not on this machine */

static struct comap *region;
static struct comap_table *table;

static void open_at(const char *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 1u << 30;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table = comap_table_open(region, "t", NULL);
	PROC_REQUIRE(table);
}

static void close_all(void)
{
	comap_table_close(table);
	comap_close(region);
}

static uint64_t committed_bytes(void)
{
	struct comap_info info;

	PROC_REQUIRE_OK(comap_info(region, &info));
	return info.heap_committed_bytes;
}

/* Puts until the heap has grown once more; returns what it has then. */
static uint64_t grow_once(uint64_t *key)
{
	static const char value[1000];
	uint64_t before = committed_bytes(), now = before;

	while (now == before) {
		PROC_REQUIRE_OK(comap_table_put(table, key, sizeof *key, value, sizeof value));
		++*key;
		now = committed_bytes();
	}
	return now;
}

static int grows_by_little(void *path)
{
	uint64_t key = 0, before, now;

	open_at(path);
	before = committed_bytes();
	for (unsigned steps = 0; before < 24u << 20; steps++, before = now) {
		now = grow_once(&key);
		PROC_REQUIRE(now - before <= STEP_BYTES);
	}
	close_all();
	return 0;
}

static void test_who_needs_a_page_waits_for_few(void **state)
{
	const char *path = proc_path(PROC_SHM, "region");

	proc_assert_ok(proc_spawn("grows", grows_by_little, (void *)(uintptr_t)path));
}

/* --- large pages ------------------------------------------------------------------------------- */

/* What this process maps of the file by large pages. */
static uint64_t large_mapped_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long kib, sum = 0;
	char line[512];

	PROC_REQUIRE(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			sum += kib;
	fclose(file);
	return (uint64_t)sum << 10;
}

/* A tmpfs with large pages over the test's folder, for this process alone. */
static bool mount_large(const char *folder)
{
	return geteuid() == 0 && proc_own_mounts() &&
	       mount("comap-test", folder, "tmpfs", 0, "mode=0700,huge=within_size") == 0;
}

static bool has_large_pages(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_blksize == LARGE_BYTES;
}

static int grows_by_large_pages(void *folder)
{
	uint64_t key = 0, now = 0, aligned_from = 0;
	char path[512];

	if (!mount_large(folder))
		return CANNOT;
	snprintf(path, sizeof path, "%s/region", (char *)folder);
	open_at(path);
	while (now < 8u << 20)
		now = grow_once(&key);
	if (!has_large_pages(path))
		return CANNOT;
	while (now < 48u << 20) {
		now = grow_once(&key);
		if (!aligned_from && now >= 20u << 20)
			aligned_from = now;
		PROC_REQUIRE(!aligned_from || now % LARGE_BYTES == 0);
	}
	/* The last of it may not have been stored to yet. */
	PROC_REQUIRE(large_mapped_bytes() >= now - aligned_from - LARGE_BYTES);
	close_all();
	return 0;
}

static void test_steps_end_where_large_pages_do(void **state)
{
	const char *folder = proc_folder(PROC_SHM);
	int code = proc_wait(proc_spawn("grows", grows_by_large_pages, (void *)(uintptr_t)folder));

	if (code == CANNOT) {
		print_message("SKIPPED: a tmpfs with large pages needs root, and a kernel that has them\n");
		skip();
	}
	assert_int_equal(code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_who_needs_a_page_waits_for_few),
		PROC_TEST(test_steps_end_where_large_pages_do),
	};

	return cmocka_run_group_tests_name("growth of the heap", tests, NULL, NULL);
}
