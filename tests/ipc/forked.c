/* SPDX-License-Identifier: MIT */
#include "forked.h"

#include <sys/wait.h>

struct forked my;

void attach_with_value(void)
{
	my.region = check_open(my.path, COMAP_CREATE);
	my.value = comap_value_open(my.region, "v", NULL);
	PROC_REQUIRE(my.value);
}

void leave(void)
{
	comap_value_close(my.value);
	PROC_REQUIRE_OK(comap_close(my.region));
}

static int successor(void *arg)
{
	PROC_REQUIRE(check_survive(my.path) == *(uint64_t *)arg);
	return 0;
}

void require_survivor(uint64_t found)
{
	proc_assert_ok(proc_spawn("successor", successor, &found));
}

void wait_for_child(pid_t pid)
{
	int status;

	PROC_REQUIRE(waitpid(pid, &status, 0) == pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		proc_fail(__FILE__, __LINE__, "grandchild: status %#x", status);
}
