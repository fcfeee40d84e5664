/* SPDX-License-Identifier: MIT */
/* Regions that are whole and are refused all the same: somebody else's, out of reach, misnamed, of
 * another type, full. */
#include "damage.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 54321

/* --- whose file ------------------------------------------------------------------------------- */

static void test_other_owner(void **state)
{
	const char *path = proc_path(PROC_SHM, "foreign");
	struct comap *region;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can give a file away\n");
		skip();
	}
	damage_region(path);
	assert_int_equal(chown(path, STRANGER, (gid_t)-1), 0);
	damage_assert_refused(path, 0, -EPERM, COMAP_CAUSE_OWNER);
	damage_assert_refused(path, COMAP_CREATE, -EPERM, COMAP_CAUSE_OWNER);
	assert_null(damage_open(path, 0, COMAP_OWNER_ROOT));
	/* Guests look at whatever they can read, unless they are particular. */
	assert_null(damage_open(path, COMAP_GUEST, COMAP_OWNER_DEFAULT));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_OWNER);
	region = damage_open(path, COMAP_GUEST, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
	region = damage_open(path, 0, STRANGER);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
	region = damage_open(path, COMAP_GUEST, COMAP_OWNER_ANY);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

static void test_link_in_world_writable_folder(void **state)
{
	const char *path = proc_path(PROC_SHM, "target");
	const char *folder = proc_path(PROC_SHM, "open-to-all");
	char link_path[600];
	struct comap *region;

	(void)state;
	damage_region(path);
	snprintf(link_path, sizeof link_path, "%s/link", folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(symlink(path, link_path), 0);
	region = damage_open(link_path, 0, 0);
	assert_non_null(region); /* one's own folder: one's own link */
	assert_int_equal(comap_close(region), 0);

	assert_int_equal(chmod(folder, 01777), 0);
	for (size_t i = 0; i < 3; i++)
		damage_assert_refused(link_path, damage_flags[i], -ELOOP, COMAP_CAUSE_LINK);
	unlink(link_path);
	rmdir(folder);
}

static int stranger_role(void *arg)
{
	const char *path = arg;
	struct comap *region;

	PROC_REQUIRE(setgid(STRANGER) == 0 && setuid(STRANGER) == 0);
	for (size_t i = 0; i < 3; i++) {
		PROC_REQUIRE(!damage_open(path, damage_flags[i], COMAP_OWNER_ANY));
		PROC_REQUIRE(comap_last_error()->code == EACCES);
		PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_PERMISSION);
	}
	proc_post(0);
	proc_await(1, 1);
	/* Now the mode is 0644: looking is allowed, attaching is not. */
	PROC_REQUIRE(!damage_open(path, 0, COMAP_OWNER_ANY));
	PROC_REQUIRE(comap_last_error()->code == EACCES);
	region = damage_open(path, COMAP_GUEST, COMAP_OWNER_ANY);
	PROC_REQUIRE(region);
	damage_look(region);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_no_permission(void **state)
{
	const char *path = proc_path(PROC_SHM, "private");
	struct proc *stranger;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can become a stranger\n");
		skip();
	}
	damage_region(path);
	assert_int_equal(chmod(proc_folder(PROC_SHM), 0755), 0);
	stranger = proc_spawn("stranger", stranger_role, (void *)(uintptr_t)path);
	proc_await(0, 1);
	assert_int_equal(chmod(path, 0644), 0);
	proc_post(1);
	proc_assert_ok(stranger);
}

/* --- names and types -------------------------------------------------------------------------- */

static void test_names(void **state)
{
	char name[402], path[300];
	struct comap *region;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		assert_null(comap_open(name, damage_flags[i]));
		assert_int_equal(comap_last_error()->code, ENAMETOOLONG);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NAME);
		assert_null(comap_open(NULL, damage_flags[i]));
		assert_int_equal(comap_last_error()->code, EINVAL);
		assert_null(comap_open("", damage_flags[i]));
		assert_true(comap_last_error()->code == EINVAL ||
		            comap_last_error()->code == ENAMETOOLONG);
	}
	assert_int_equal(comap_path(name, path, sizeof path), -ENAMETOOLONG);
	assert_int_equal(comap_unlink(name), -ENAMETOOLONG);

	damage_region(proc_path(PROC_SHM, "names"));
	region = comap_open(proc_path(PROC_SHM, "names"), COMAP_CREATE);
	assert_non_null(region);
	name[48] = '\0'; /* one more than fits */
	assert_null(comap_value_open(region, name, NULL));
	assert_int_equal(comap_last_error()->code, ENAMETOOLONG);
	assert_null(comap_value_open(region, "", NULL));
	assert_int_equal(comap_close(region), 0);
}

static void test_type_mismatch_shows_both_lists(void **state)
{
	static const struct comap_field fields[] = {
		{ "at_ns", COMAP_KIND_u64, 0, 8 }, { "price", COMAP_KIND_u64, 8, 8 },
	};
	static const struct comap_type other = { "struct tick", 16, 8, 2, fields };
	const char *path = proc_path(PROC_SHM, "types");
	struct comap *region;

	(void)state;
	damage_region(path);
	for (size_t i = 0; i < 3; i++) {
		region = damage_open(path, damage_flags[i], 0);
		assert_non_null(region);
		assert_null(comap_value_open(region, "tick", &other));
		assert_int_equal(comap_last_error()->code, EPROTOTYPE);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TYPE);
		assert_non_null(strstr(comap_error_text(), "u64 price @8"));
		assert_non_null(strstr(comap_error_text(), "f64 price @8"));
		assert_int_equal(comap_close(region), 0);
	}
}

/* --- full ------------------------------------------------------------------------------------- */

static int seated_role(void *arg)
{
	struct comap *region = comap_open(arg, 0);

	PROC_REQUIRE(region);
	proc_post(0);
	proc_await(1, 1);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_seats_exhausted(void **state)
{
	const char *path = proc_path(PROC_SHM, "seats");
	struct proc *seated[4];
	struct comap *region;

	(void)state;
	damage_region(path); /* four seats */
	for (int i = 0; i < 4; i++)
		seated[i] = proc_spawn("seated", seated_role, (void *)(uintptr_t)path);
	proc_await(0, 4);
	damage_assert_refused(path, 0, -EUSERS, COMAP_CAUSE_SEATS);
	region = damage_open(path, COMAP_GUEST, 0); /* looking takes no seat */
	assert_non_null(region);
	damage_look(region);
	assert_int_equal(comap_close(region), 0);

	/* A death frees one, with nobody's help. */
	proc_kill(seated[0]);
	region = damage_open(path, 0, 0);
	if (!region)
		fail_msg("after a death: %s", comap_error_text());
	assert_int_equal(comap_close(region), 0);
	proc_post(1);
	for (int i = 1; i < 4; i++)
		proc_assert_ok(seated[i]);
}

static int full_role(void *arg)
{
	static char blob[1 << 20];
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;
	struct comap_value *value;
	struct comap_view view;
	char path[600];
	int code = 0, published = 0;

	PROC_REQUIRE(proc_own_mounts());
	PROC_REQUIRE(mount("none", arg, "tmpfs", 0, "size=6m,mode=700") == 0);
	snprintf(path, sizeof path, "%s/region", (const char *)arg);
	options.flags = COMAP_CREATE;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region);
	value = comap_value_open(region, "blob", NULL);
	PROC_REQUIRE(value);
	/* Nothing is given back while this section lasts: the file system fills. */
	PROC_REQUIRE_OK(comap_read_begin(region));
	for (int i = 0; i < 20 && code == 0; i++) {
		memset(blob, i + 1, sizeof blob);
		code = comap_value_put(value, blob, sizeof blob);
		published += code == 0;
	}
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE(code == -ENOSPC);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_NO_SPACE);
	PROC_REQUIRE(published >= 1);
	PROC_REQUIRE_OK(comap_value_get(value, blob, sizeof blob, &view));
	PROC_REQUIRE(view.version == (uint64_t)published && blob[0] == published &&
	             blob[sizeof blob - 1] == published);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));

	/* A second region finds no room at all, and leaves no name behind. */
	snprintf(path, sizeof path, "dd if=/dev/zero of=%s/rest bs=4k 2>/dev/null",
	         (const char *)arg);
	(void)!system(path);
	snprintf(path, sizeof path, "%s/second", (const char *)arg);
	PROC_REQUIRE(!comap_open_with(path, &options));
	PROC_REQUIRE(comap_last_error()->code == ENOSPC);
	PROC_REQUIRE(access(path, F_OK) != 0);
	return 0;
}

static void test_full_tmpfs(void **state)
{
	const char *folder = proc_path(PROC_SHM, "small");

	(void)state;
	if (geteuid() != 0 || !proc_can_own_mounts()) {
		print_message("only root can mount a small file system, where / is a mount point\n");
		skip();
	}
	assert_int_equal(mkdir(folder, 0700), 0);
	proc_assert_ok(proc_spawn("full", full_role, (void *)(uintptr_t)folder));
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_other_owner),
		PROC_TEST(test_link_in_world_writable_folder),
		PROC_TEST(test_no_permission),
		PROC_TEST(test_names),
		PROC_TEST(test_type_mismatch_shows_both_lists),
		PROC_TEST(test_seats_exhausted),
		PROC_TEST(test_full_tmpfs),
	};

	return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
