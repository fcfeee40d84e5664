/* SPDX-License-Identifier: MIT */
/* Death of those who put the affairs of the dead in order: reap, adopt, take a role over. */
#include "cases.h"

#include "rcu.h"
#include "region.h"
#include "seat.h"
#include "thread.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static int arrange_dead(void *path)
{
	require_killed(make_other_dead, path);
	return 0;
}

static int attach_and_reap(const char *path)
{
	return open_region(path);
}

/* Attached before the other one dies. */
static int attach_beside_the_dying(const char *path)
{
	open_value(path);
	PROC_REQUIRE_OK(comap_thread_register(the_region));
	require_killed(make_other_dead, (void *)(uintptr_t)path);
	return 0;
}

static int reap(const char *path)
{
	return comap__seats_reap(the_region) == 1 ? 0 : -1;
}

static int attach_and_register(const char *path)
{
	open_value(path);
	return comap_thread_register(the_region);
}

/* The dead one's ring has entries; their grace period is over first, then they are freed. */
static int adopt(const char *path)
{
	int code = comap_synchronize(the_region);

	if (!code && comap__rings_adopt(the_region) == 0)
		return -1;
	return code;
}

static int take_the_role(const char *path)
{
	check_value_put(the_value, 2);
	return 0;
}

static int synchronize_past_the_dead(const char *path)
{
	return comap_synchronize(the_region);
}

/* Dies between the commit point of a publish and its last step. */
static int make_half_published(void *path)
{
	open_value_1(path);
	proc_fault(PROC_FAULT_KILL, "publish.marked", 1);
	check_value_put(the_value, 2);
	return 1;
}

static int arrange_half_published(void *path)
{
	require_killed(make_half_published, path);
	return 0;
}

static int finds_2(const char *path)
{
	return check_survive(path) == 2 ? 0 : -1;
}

/* Every kind of section, one in the other. */
static int read_evictable(const char *path)
{
	int code = comap_read_begin_evictable(the_region);

	if (!code)
		code = comap_value_view(the_value).version == 1 ? comap_read_begin(the_region) : -1;
	if (!code)
		code = comap_read_end(the_region);
	return code ? code : comap_read_end_evictable(the_region);
}

/* A living reader beside, inside its section for as long as this process lives. */
static int open_beside_an_evictable(const char *path)
{
	int inside[2];
	char byte;

	open_value_1(path);
	PROC_REQUIRE_OK(comap_thread_register(the_region));
	PROC_REQUIRE_OK(pipe(inside));
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		open_value(path);
		if (comap_read_begin_evictable(the_region) != 0 || write(inside[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	PROC_REQUIRE(read(inside[0], &byte, 1) == 1);
	close(inside[0]);
	close(inside[1]);
	return 0;
}

static int evict(const char *path)
{
	return comap__synchronize_evicting(the_region, COMAP_FOREVER);
}

const struct step_case death_cases[] = {
	{ "attach and reap", arrange_dead, warm_up, attach_and_reap, finds_1, only_same },
	{ "reap", NULL, attach_beside_the_dying, reap, finds_1, only_same },
	{ "finish a publish", arrange_half_published, warm_up, attach_and_reap, finds_2, only_same },
	{ "adopt a ring", arrange_dead, attach_and_register, adopt, finds_1, only_same },
	{ "take a dead one's role", NULL, attach_beside_the_dying, take_the_role, finds_1_or_2, old_or_new },
	{ "evictable sections", NULL, open_value_1, read_evictable, finds_1, only_same },
	{ "evict a reader", NULL, open_beside_an_evictable, evict, finds_1, only_same, .is_long = true },
	{ "synchronize past the dead", NULL, attach_beside_the_dying, synchronize_past_the_dead, finds_1,
	  only_same, .is_long = true },
};
const unsigned death_case_count = sizeof death_cases / sizeof death_cases[0];
