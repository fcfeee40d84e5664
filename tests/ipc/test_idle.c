/* SPDX-License-Identifier: MIT */
/* Idle is free: a process that waits is woken at most once a second.
 *
 * Counted by the kernel: voluntary context switches over some seconds, of processes that wait for a
 * version, for an object, for a region, for a table or a key of it. One switch a second is the sleep
 * itself; taking down the watch on a folder is another one where a region is waited for; two more are
 * for the edges. */
#include <comap.h>

#include "proc.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { THERE, SECONDS = 3, WAITERS = 5 };

static uint64_t switches(pid_t pid)
{
	char path[40], line[128];
	unsigned long long count = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1)
			break;
	fclose(status);
	return count;
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
	const char *names[] = { "a version", "an object", "a region", "a table", "a key" };
	struct proc *waiting[WAITERS];
	uint64_t before[WAITERS], count;

	proc_assert_ok(proc_spawn("maker", make, path));
	waiting[0] = proc_spawn("version", wait_for_version, path);
	waiting[1] = proc_spawn("object", wait_for_object, path);
	waiting[2] = proc_spawn("region", wait_for_region, never);
	waiting[3] = proc_spawn("table", wait_for_table, path);
	waiting[4] = proc_spawn("key", wait_for_key, path);
	proc_await(THERE, WAITERS);
	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	for (int i = 0; i < WAITERS; i++)
		before[i] = switches(waiting[i]->pid);
	nanosleep(&(struct timespec){ .tv_sec = SECONDS }, NULL);
	for (int i = 0; i < WAITERS; i++) {
		count = switches(waiting[i]->pid) - before[i];
		print_message("waiting for %s: %llu wake-ups in %d s\n", names[i],
		              (unsigned long long)count, SECONDS);
		assert_in_range(count, 1, 2 * SECONDS + 2);
		proc_kill(waiting[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { PROC_TEST(test_waiting_wakes_once_a_second) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
