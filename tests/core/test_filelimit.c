/* SPDX-License-Identifier: MIT */
/* RLIMIT_FSIZE: growing past it is an error, and its signal is not raised. */
#include <comap/mapping.h>

#include "files.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)

static int grow_past_the_limit(void *path)
{
	struct rlimit limit = { 100000, 100000 };
	struct comap_map *map = NULL;
	sigset_t pending;

	PROC_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	PROC_REQUIRE(comap_map_open(path, WRITE(.flags = COMAP_MAP_CREATE | COMAP_MAP_EXTEND,
	                                        .size_bytes = 100001), &map) == -EFBIG);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_NO_SPACE);
	PROC_REQUIRE_OK(comap_map_open(path, WRITE(.flags = COMAP_MAP_EXTEND, .size_bytes = 100000,
	                                           .maximum_bytes = 1 << 20), &map));
	PROC_REQUIRE(comap_map_resize(map, 100001, 0) == -EFBIG);
	PROC_REQUIRE(comap_map_size_bytes(map) == 100000 && files_size_bytes(path) == 100000);
	PROC_REQUIRE(sigpending(&pending) == 0 && !sigismember(&pending, SIGXFSZ));
	comap_map_close(map);
	return 0;
}

static void limit_is_an_error(void **state)
{
	for (enum proc_place place = 0; place < PROC_PLACES; place++)
		proc_assert_ok(proc_spawn("grow", grow_past_the_limit,
		                          (void *)(uintptr_t)proc_path(place, "limited")));
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(limit_is_an_error),
};

int main(void)
{
	return cmocka_run_group_tests_name("filelimit", tests, NULL, NULL);
}
