/* SPDX-License-Identifier: MIT */
/* What the tables of stepped operations share. See cases.h. */
#include "cases.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct comap *the_region;
struct comap_value *the_value;

const char *const only_same[] = { "same", NULL };
const char *const old_or_new[] = { "old", "new", NULL };

int open_region(const char *path)
{
	the_region = check_open(path, COMAP_CREATE);
	return 0;
}

int open_value(const char *path)
{
	open_region(path);
	the_value = comap_value_open(the_region, "v", NULL);
	if (!the_value)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	return 0;
}

int open_value_1(const char *path)
{
	open_value(path);
	check_value_put(the_value, 1);
	return 0;
}

int warm_up(const char *path)
{
	char other[512];
	struct comap *warm;
	struct comap_value *v;

	if (snprintf(other, sizeof other, "%s-warm", path) >= (int)sizeof other)
		return -1;
	warm = check_open(other, COMAP_CREATE);
	v = comap_value_open(warm, "v", NULL);
	check_value_put(v, 1);
	comap_value_close(v);
	PROC_REQUIRE_OK(comap_synchronize(warm));
	PROC_REQUIRE_OK(comap_close(warm));
	return remove(other);
}

int make_region(void *path)
{
	open_region(path);
	PROC_REQUIRE_OK(comap_close(the_region));
	return 0;
}

int make_value_1(void *path)
{
	open_value_1(path);
	comap_value_close(the_value);
	PROC_REQUIRE_OK(comap_close(the_region));
	return 0;
}

int make_other_dead(void *path)
{
	struct comap_value *other;
	void *data;

	open_value(path);
	other = comap_value_open(the_region, "other", NULL);
	PROC_REQUIRE(other);
	for (uint64_t number = 1; number <= 5; number++)
		check_value_put(other, number);
	check_value_put(the_value, 1);
	PROC_REQUIRE_OK(comap_value_reserve(the_value, 200, &data));
	PROC_REQUIRE_OK(comap_read_begin(the_region));
	kill(getpid(), SIGKILL);
	return 1;
}

static int found_from(const char *path, uint64_t first, uint64_t last)
{
	uint64_t found = check_survive(path);

	if (found < first || found > last)
		proc_fail(__FILE__, __LINE__, "found %llu, not %llu to %llu", (unsigned long long)found,
		          (unsigned long long)first, (unsigned long long)last);
	return (int)(found - first);
}

int finds_0(const char *path)
{
	return found_from(path, 0, 0);
}

int finds_1(const char *path)
{
	return found_from(path, 1, 1);
}

int finds_0_or_1(const char *path)
{
	return found_from(path, 0, 1);
}

int finds_1_or_2(const char *path)
{
	return found_from(path, 1, 2);
}

/* From the main process, or from a role: the victim is a grandchild then. */
void require_killed(int (*role)(void *), void *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)role(path);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) ||
	    WTERMSIG(status) != SIGKILL)
		proc_fail(__FILE__, __LINE__, "the victim did not die: %#x", status);
}
