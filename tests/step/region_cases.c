/* SPDX-License-Identifier: MIT */
/* Death while a region is made, attached to, left; while a thread registers, reads, waits; while an
 * object is made. */
#include "cases.h"

#include <unistd.h>

static int create(const char *path)
{
	return open_region(path);
}

static int none_or_whole(const char *path)
{
	if (access(path, F_OK) != 0)
		return 0;
	return finds_0(path) + 1;
}

static int attach(const char *path)
{
	return open_region(path);
}

static int detach(const char *path)
{
	comap_value_close(the_value);
	return comap_close(the_region);
}

static int thread_register(const char *path)
{
	return comap_thread_register(the_region);
}

static int read_section(const char *path)
{
	int code = comap_read_begin(the_region);

	if (!code)
		code = comap_read_begin(the_region);
	if (!code)
		code = comap_read_end(the_region);
	return code ? code : comap_read_end(the_region);
}

static int synchronize(const char *path)
{
	return comap_synchronize(the_region);
}

static int make_object(const char *path)
{
	the_value = comap_value_open(the_region, "v", NULL);
	return the_value ? 0 : -comap_last_error()->code;
}

static int open_and_register(const char *path)
{
	open_region(path);
	return comap_thread_register(the_region);
}

static int unlink_region(const char *path)
{
	return comap_unlink(path);
}

/* The name is gone, or the region is still whole. */
static int whole_or_none(const char *path)
{
	if (access(path, F_OK) != 0)
		return 1;
	return finds_1(path);
}

static const char *const none_whole[] = { "none", "whole", NULL };
static const char *const whole_none[] = { "whole", "none", NULL };

const struct step_case region_cases[] = {
	{ "create and attach", NULL, NULL, create, none_or_whole, none_whole },
	{ "attach", make_value_1, warm_up, attach, finds_1, only_same },
	{ "detach", NULL, open_value_1, detach, finds_1, only_same },
	{ "register a thread", NULL, open_region, thread_register, finds_0, only_same },
	{ "read section", NULL, open_value_1, read_section, finds_1, only_same },
	{ "synchronize", NULL, open_value_1, synchronize, finds_1, only_same },
	{ "make a value", NULL, open_and_register, make_object, finds_0, only_same },
	{ "unlink", make_value_1, warm_up, unlink_region, whole_or_none, whole_none },
};
const unsigned region_case_count = sizeof region_cases / sizeof region_cases[0];
