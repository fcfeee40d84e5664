/* SPDX-License-Identifier: MIT */
/* Idle is free: a process that waits is woken at most once a second.
 *
 * Counted by the kernel: voluntary context switches over some seconds, of all threads of processes that
 * wait for a version, for an object, for a region, for a table or a key of it; of a liburcu host, whose
 * helper waits for somebody to ask; of one that is attached and does something else, which is none. One
 * switch a second is the sleep itself; taking down the watch on a folder is another one where a region is
 * waited for; two more are for the edges. */
#include <comap.h>

#include <urcu-bp.h>
#include <urcu/flavor.h>

#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THERE, SECONDS = 3, WAITERS = 7 };

static uint64_t switches_of(const char *status_path)
{
	unsigned long long count = 0;
	char line[128];
	FILE *status;

	status = fopen(status_path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1)
			break;
	fclose(status);
	return count;
}

static uint64_t switches(pid_t pid)
{
	char path[320];
	uint64_t count = 0;
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = opendir(path);
	assert_non_null(threads);
	while ((entry = readdir(threads))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		count += switches_of(path);
	}
	closedir(threads);
	return count;
}

static int attached(void *path)
{
	struct comap *region = comap_open(path, 0);

	PROC_REQUIRE(region);
	PROC_REQUIRE_OK(comap_read_begin(region));
	PROC_REQUIRE_OK(comap_read_end(region));
	proc_post(THERE);
	return pause();
}

static int host(void *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.host_flavor = &urcu_bp_flavor;
	PROC_REQUIRE(comap_open_with(path, &options));
	proc_post(THERE);
	return pause();
}

static int wait_for_version(void *path)
{
	struct comap *region = comap_open(path, 0);
	struct comap_value *value = comap_value_open(region, "x", NULL);

	proc_post(THERE);
	(void)comap_value_wait(value, 1, COMAP_FOREVER);
	return 0;
}

static int wait_for_object(void *path)
{
	struct comap *region = comap_open(path, COMAP_WAIT);

	proc_post(THERE);
	(void)comap_value_open(region, "never", NULL);
	return 0;
}

static int wait_for_table(void *path)
{
	struct comap *region = comap_open(path, 0);
	struct comap_table *table = comap_table_open(region, "t", NULL);

	proc_post(THERE);
	(void)comap_table_wait(table, comap_table_changes(table), COMAP_FOREVER, NULL);
	return 0;
}

static int wait_for_key(void *path)
{
	struct comap *region = comap_open(path, 0);
	struct comap_table *table = comap_table_open(region, "t", NULL);

	proc_post(THERE);
	(void)comap_table_wait_key(table, "k", 1, 0, COMAP_FOREVER, NULL);
	return 0;
}

static int wait_for_region(void *path)
{
	proc_post(THERE);
	(void)comap_open(path, COMAP_WAIT);
	return 0;
}

static int make(void *path)
{
	struct comap *region = comap_open(path, COMAP_CREATE);
	struct comap_value *value = comap_value_open(region, "x", NULL);
	struct comap_table *table = comap_table_open(region, "t", NULL);

	PROC_REQUIRE_OK(comap_value_put(value, "x", 1));
	PROC_REQUIRE(table);
	comap_table_close(table);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_waiting_wakes_once_a_second(void **state)
{
	char *path = (char *)(uintptr_t)proc_path(PROC_SHM, "a");
	char *never = (char *)(uintptr_t)proc_path(PROC_SHM, "never");
	const char *names[] = { "waits for a version", "waits for an object", "waits for a region",
		"waits for a table", "waits for a key", "liburcu host", "attached" };
	struct proc *waiting[WAITERS];
	uint64_t before[WAITERS], count;

	proc_assert_ok(proc_spawn("maker", make, path));
	waiting[0] = proc_spawn("version", wait_for_version, path);
	waiting[1] = proc_spawn("object", wait_for_object, path);
	waiting[2] = proc_spawn("region", wait_for_region, never);
	waiting[3] = proc_spawn("table", wait_for_table, path);
	waiting[4] = proc_spawn("key", wait_for_key, path);
	waiting[5] = proc_spawn("host", host, path);
	waiting[6] = proc_spawn("attached", attached, path);
	proc_await(THERE, WAITERS);
	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	for (int i = 0; i < WAITERS; i++)
		before[i] = switches(waiting[i]->pid);
	nanosleep(&(struct timespec){ .tv_sec = SECONDS }, NULL);
	for (int i = 0; i < WAITERS; i++) {
		count = switches(waiting[i]->pid) - before[i];
		print_message("%-20s %llu wake-ups in %d s\n", names[i], (unsigned long long)count, SECONDS);
		if (i == WAITERS - 1)
			assert_int_equal(count, 0);
		else
			assert_in_range(count, 1, 2 * SECONDS + 2);
		proc_kill(waiting[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { PROC_TEST(test_waiting_wakes_once_a_second) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
