/* SPDX-License-Identifier: MIT */
/* The guard: zeros and a status instead of a SIGBUS; sections; copies; repair; other handlers. */
#include <comap/flush.h>
#include <comap/guard.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)
#define PAGES 16u
#define BYTES (PAGES * 4096u)

static struct comap_map *open_map(const char *path, const struct comap_map_options *options)
{
	struct comap_map *map = NULL;

	MUST(comap_map_open(path, options, &map) == 0);
	files_guard();
	return map;
}

static unsigned char byte_at(const struct comap_map *map, uint64_t offset_bytes)
{
	return ((const volatile unsigned char *)comap_map_data(map))[offset_bytes];
}

/* A mapping of a file that has become `left_bytes` long since. */
static struct comap_map *cut_map(const struct comap_map_options *options, uint64_t left_bytes)
{
	const char *path = files_make(PROC_DISK, "cut", BYTES);
	struct comap_map *map = open_map(path, options);

	files_resize(path, left_bytes);
	return map;
}

static void truncation_is_a_status(void **state)
{
	struct comap_map *map = cut_map(NULL, 2 * 4096);
	struct comap_fault fault;

	assert_int_equal(comap_map_status(map), 0);
	assert_int_equal(byte_at(map, 5), files_pattern(5));
	assert_int_equal(comap_map_status(map), 0);
	assert_int_equal(byte_at(map, 3 * 4096 + 7), 0);
	assert_int_equal(comap_map_status(map), -ESTALE);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TRUNCATED);
	assert_int_equal(comap_last_error()->offset_bytes, 3 * 4096 + 7);
	assert_int_equal(byte_at(map, BYTES - 1), 0);
	assert_int_equal(byte_at(map, 5), files_pattern(5));
	comap_map_fault(map, &fault);
	assert_int_equal(fault.first_offset_bytes, 3 * 4096 + 7);
	assert_int_equal(fault.cause, COMAP_CAUSE_TRUNCATED);
	assert_true(fault.fault_count >= 1);
	comap_map_close(map);
}

static void repair_brings_the_file_back(void **state)
{
	struct comap_map *map = cut_map(NULL, 4096);
	const char *path = proc_path(PROC_DISK, "cut");

	assert_int_equal(comap_map_repair(map), 0); /* nothing is broken yet */
	assert_int_equal(byte_at(map, 5000), 0);
	assert_int_equal(comap_map_repair(map), -ESTALE);
	files_resize(path, BYTES - 1);
	assert_int_equal(comap_map_repair(map), -ESTALE); /* byte-exact */
	files_write(path, 0, BYTES);
	assert_int_equal(byte_at(map, 5000), 0); /* the mapping still differs, and says so */
	assert_int_equal(comap_map_status(map), -ESTALE);
	assert_int_equal(comap_map_repair(map), 0);
	assert_int_equal(comap_map_status(map), 0);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, BYTES), BYTES);
	files_resize(path, 0);
	assert_int_equal(byte_at(map, 0), 0);
	assert_int_equal(comap_map_status(map), -ESTALE);
	assert_int_equal(comap_last_error()->offset_bytes, 0);
	comap_map_close(map);
}

static void private_copies_are_guarded_not_repaired(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "copied", BYTES),
	                                 COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY));

	*(char *)comap_map_at_mutable(map, 8192, 1, 1) = 'x';
	files_resize(proc_path(PROC_DISK, "copied"), 4096);
	assert_int_equal(byte_at(map, 8192), 0); /* the kernel drops even what was written */
	assert_int_equal(comap_map_status(map), -ESTALE);
	files_write(proc_path(PROC_DISK, "copied"), 0, BYTES);
	assert_int_equal(comap_map_repair(map), -EOPNOTSUPP);
	comap_map_close(map);
}

static void lost_stores_fail_the_flush(void **state)
{
	struct comap_map *map = cut_map(WRITE(), 4096);

	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), 0);
	memset(comap_map_at_mutable(map, 8192, 100, 1), 'x', 100);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_DATA, 0, COMAP_MAP_REST), -ESTALE);
	assert_int_equal(comap_map_flush(map, COMAP_FLUSH_FILE, 0, 0), -ESTALE);
	comap_map_close(map);
}

/* ---- sections ------------------------------------------------------------------------------- */

static int section_result(struct comap_map *map, uint64_t offset_bytes, volatile bool *ret_went_on)
{
	COMAP_TRY(map) {
		(void)byte_at(map, offset_bytes);
		*ret_went_on = true;
		if (offset_bytes == 1)
			return 1;
		if (offset_bytes == 2)
			break;
	} COMAP_CATCH(code) {
		return code;
	}
	return 0;
}

static void section_ends_at_the_fault(void **state)
{
	struct comap_map *map = cut_map(NULL, 4096);
	volatile bool went_on = false;

	assert_int_equal(section_result(map, 9000, &went_on), -ESTALE);
	assert_false(went_on);
	assert_int_equal(comap_last_error()->offset_bytes, 9000);
	assert_int_equal(comap_map_status(map), 0); /* no zeros were seen */
	assert_int_equal(section_result(map, 0, &went_on), 0);
	assert_true(went_on);
	assert_int_equal(section_result(map, 1, &went_on), 1);
	assert_int_equal(section_result(map, 2, &went_on), 0);
	/* No section is left behind by return and break: the next fault is patched. */
	assert_int_equal(byte_at(map, 9000), 0);
	assert_int_equal(comap_map_status(map), -ESTALE);
	comap_map_close(map);
}

static void sections_nest(void **state)
{
	struct comap_map *cut = cut_map(NULL, 4096);
	struct comap_map *whole = open_map(files_make(PROC_DISK, "whole", BYTES), NULL);
	volatile int inner = 0, outer = 0, any = 0;

	COMAP_TRY(cut) {
		COMAP_TRY(whole) {
			(void)byte_at(cut, 9000);
			inner = 1;
		} COMAP_CATCH(code) {
			inner = code;
		}
		outer = 1;
	} COMAP_CATCH(code) {
		outer = code;
	}
	assert_int_equal(inner, 0);
	assert_int_equal(outer, -ESTALE);
	COMAP_TRY(NULL) {
		(void)byte_at(cut, 9000);
	} COMAP_CATCH(code) {
		any = code;
	}
	assert_int_equal(any, -ESTALE);
	COMAP_TRY(whole) {
		(void)byte_at(cut, 9000); /* another mapping: patched */
		outer = 2;
	} COMAP_CATCH(code) {
		outer = code;
	}
	assert_int_equal(outer, 2);
	assert_int_equal(comap_map_status(cut), -ESTALE);
	comap_map_close(cut);
	comap_map_close(whole);
}

static void section_keeps_the_signal_mask(void **state)
{
	struct comap_map *map = cut_map(NULL, 4096);
	volatile bool went_on = false;
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (int i = 0; i < 3; i++)
		assert_int_equal(section_result(map, 9000, &went_on), -ESTALE);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < 32; i++)
		assert_int_equal(sigismember(&before, i), sigismember(&after, i));
	comap_map_close(map);
}

/* ---- copies --------------------------------------------------------------------------------- */

static void copies_are_checked(void **state)
{
	struct comap_map *map = cut_map(WRITE(), 4096 + 100);
	unsigned char buffer[8192];

	assert_int_equal(comap_map_copy_out(map, 0, buffer, 4196), 0);
	assert_int_equal(files_first_wrong(buffer, 0, 4196), 4196);
	/* The same page, no fault, but behind the file's end. */
	assert_int_equal(comap_map_copy_out(map, 4096, buffer, 101), -ESTALE);
	assert_int_equal(comap_map_copy_in(map, 4190, "0123456789", 10), -ESTALE);
	assert_int_equal(comap_map_copy_in(map, 4190, "012345", 6), 0);
	assert_true(files_equal(proc_path(PROC_DISK, "cut"), 4190, "012345", 6));
	assert_int_equal(comap_map_copy_out(map, 9000, buffer, 10), -ESTALE);
	assert_int_equal(comap_map_status(map), 0);
	assert_int_equal(comap_map_copy_out(map, BYTES - 5, buffer, 6), -ERANGE);
	assert_int_equal(comap_map_copy_out(map, 0, buffer, UINT64_MAX), -EINVAL);
	/* Pages replaced earlier are looked through. */
	assert_int_equal(byte_at(map, 9000), 0);
	files_write(proc_path(PROC_DISK, "cut"), 0, BYTES);
	assert_int_equal(byte_at(map, 9000), 0);
	assert_int_equal(comap_map_copy_out(map, 9000, buffer, 100), 0);
	assert_int_equal(files_first_wrong(buffer, 9000, 100), 100);
	assert_int_equal(comap_map_copy_in(map, 9000, "through", 7), 0);
	assert_true(files_equal(proc_path(PROC_DISK, "cut"), 9000, "through", 7));
	comap_map_close(map);
	map = open_map(proc_path(PROC_DISK, "cut"), NULL);
	assert_int_equal(comap_map_copy_in(map, 0, "x", 1), -EACCES);
	comap_map_close(map);
}

/* ---- many mappings, threads, children -------------------------------------------------------- */

static void tables_grow(void **state)
{
	const char *path = files_make(PROC_DISK, "many", 8192);
	struct comap_map *maps[200];

	for (int i = 0; i < 200; i++)
		maps[i] = open_map(path, NULL);
	files_resize(path, 4096);
	for (int i = 0; i < 200; i += 3)
		assert_int_equal(byte_at(maps[i], 4096), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(comap_map_status(maps[i]), i % 3 ? 0 : -ESTALE);
	for (int i = 0; i < 200; i++)
		comap_map_close(maps[i]);
	/* The entries are used again, without their past. */
	maps[0] = open_map(path, NULL);
	assert_int_equal(comap_map_status(maps[0]), 0);
	comap_map_close(maps[0]);
}

static void *touch_all(void *map)
{
	for (unsigned page = 0; page < PAGES; page++)
		(void)byte_at(map, page * 4096u);
	return (void *)(intptr_t)comap_map_status(map);
}

static void threads_fault_together(void **state)
{
	for (int round = 0; round < 20; round++) {
		struct comap_map *map = cut_map(NULL, 4096);
		pthread_t threads[4];
		void *result;

		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, touch_all, map), 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], &result);
			assert_int_equal((intptr_t)result, -ESTALE);
		}
		comap_map_close(map);
	}
}

static int touch_in_child(void *map)
{
	files_guard(); /* the kit gives its children the default handlers */
	PROC_REQUIRE(byte_at(map, 9000) == 0);
	PROC_REQUIRE(comap_map_status(map) == -ESTALE);
	comap_map_close(map);
	return 0;
}

static void children_are_guarded(void **state)
{
	struct comap_map *map = cut_map(NULL, 4096);

	proc_assert_ok(proc_spawn("child", touch_in_child, map));
	assert_int_equal(comap_map_status(map), 0); /* its zeros are its own */
	comap_map_close(map);
}

static void grown_mappings_are_guarded(void **state)
{
	const char *path = files_make(PROC_DISK, "grown", 4096);
	struct comap_map *held = open_map(path, WRITE(.maximum_bytes = 1 << 20));
	struct comap_map *free_map = open_map(path, WRITE());

	assert_int_equal(comap_map_resize(held, 100000, 0), 0);
	assert_int_equal(comap_map_resize(free_map, 100000, COMAP_RESIZE_MAY_MOVE), 0);
	files_resize(path, 4096);
	assert_int_equal(byte_at(held, 99999), 0);
	assert_int_equal(comap_map_status(held), -ESTALE);
	assert_int_equal(byte_at(free_map, 99999), 0);
	assert_int_equal(comap_map_status(free_map), -ESTALE);
	comap_map_close(held);
	comap_map_close(free_map);
}

/* Replaced pages are pieces of another kind: the kernel does not stretch them. */
static void repair_comes_before_growth(void **state)
{
	const char *path = files_make(PROC_DISK, "pieces", BYTES);
	struct comap_map *map = open_map(path, WRITE());

	files_resize(path, 4096);
	assert_int_equal(byte_at(map, 9000), 0);
	files_write(path, 0, BYTES);
	assert_true(comap_map_resize(map, 4 * BYTES, COMAP_RESIZE_MAY_MOVE) < 0);
	assert_int_equal(comap_map_size_bytes(map), BYTES);
	assert_int_equal(comap_map_status(map), -ESTALE);
	assert_int_equal(comap_map_repair(map), 0);
	assert_int_equal(comap_map_resize(map, 4 * BYTES, COMAP_RESIZE_MAY_MOVE), 0);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, BYTES), BYTES);
	files_resize(path, 4096);
	assert_int_equal(byte_at(map, 3 * BYTES), 0); /* guarded where it is now */
	assert_int_equal(comap_map_status(map), -ESTALE);
	comap_map_close(map);
}

static int touch_unguarded(void *path)
{
	struct comap_map *map = open_map(path, COMAP_MAP_OPTIONS(.flags = COMAP_MAP_UNGUARDED));

	signal(SIGBUS, SIG_DFL);
	files_resize(path, 4096);
	return byte_at(map, 9000);
}

static void unguarded_mappings_kill(void **state)
{
	const char *path = files_make(PROC_DISK, "unguarded", BYTES);

	assert_int_equal(proc_wait(proc_spawn("child", touch_unguarded, (void *)(uintptr_t)path)), -SIGBUS);
}

/* ---- other handlers -------------------------------------------------------------------------- */

static sigjmp_buf away;
static void *volatile seen_address, *volatile seen_context;
static volatile int seen_count, seen_blocked;

static void see(int number, siginfo_t *info, void *context)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	seen_blocked = sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1);
	seen_address = info->si_addr;
	seen_context = context;
	seen_count++;
	if (info->si_code > 0)
		siglongjmp(away, 1);
}

static void see_plain(int number)
{
	seen_count++;
	siglongjmp(away, 1);
}

/* A mapping that comap knows nothing of, with a page that cannot be had. */
static volatile char *foreign_page(void)
{
	int fd = memfd_create("foreign", MFD_CLOEXEC);
	volatile char *at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	MUST(at != MAP_FAILED);
	return at;
}

static struct comap_map *guard_something(const char *path)
{
	struct comap_map *map = open_map(path, NULL);

	files_resize(path, 4096);
	PROC_REQUIRE(byte_at(map, 9000) == 0);
	PROC_REQUIRE(comap_map_status(map) == -ESTALE);
	return map;
}

static int chain_to_siginfo(void *path)
{
	struct sigaction action = { .sa_sigaction = see, .sa_flags = SA_SIGINFO };
	volatile char *foreign = foreign_page();

	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGBUS, &action, NULL);
	guard_something(path);
	PROC_REQUIRE(seen_count == 0);
	for (volatile int i = 1; i <= 40; i++) { /* again and again, though the handler jumps away */
		if (sigsetjmp(away, 1) == 0)
			(void)foreign[4097];
		PROC_REQUIRE(seen_count == i);
		PROC_REQUIRE(seen_address == foreign + 4097);
		PROC_REQUIRE(seen_context && seen_blocked);
	}
	raise(SIGBUS);
	PROC_REQUIRE(seen_count == 41);
	return 0;
}

static int chain_to_plain(void *path)
{
	volatile char *foreign = foreign_page();

	signal(SIGBUS, see_plain);
	guard_something(path);
	if (sigsetjmp(away, 1) == 0)
		(void)foreign[0];
	PROC_REQUIRE(seen_count == 1);
	return 0;
}

static int chain_to_default(void *path)
{
	volatile char *foreign = foreign_page();

	signal(SIGBUS, SIG_DFL);
	guard_something(path);
	return foreign[0];
}

static int chain_to_default_raised(void *path)
{
	signal(SIGBUS, SIG_DFL);
	guard_something(path);
	raise(SIGBUS);
	return 0;
}

static int chain_to_ignored(void *path)
{
	volatile char *foreign = foreign_page();

	signal(SIGBUS, SIG_IGN);
	guard_something(path);
	raise(SIGBUS);
	proc_post(0);
	return foreign[0];
}

static void (*first_handler)(int, siginfo_t *, void *);

static void pass_on(int number, siginfo_t *info, void *context)
{
	first_handler(number, info, context);
}

/* Somebody comes later and passes on to us; we take the signal back and pass on to him. */
static int chain_in_a_circle(void *path)
{
	struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO }, ours;
	volatile char *foreign = foreign_page();

	guard_something(path);
	PROC_REQUIRE(comap_guard_check() == 0);
	sigaction(SIGBUS, &action, &ours);
	first_handler = ours.sa_sigaction;
	PROC_REQUIRE(comap_guard_check() == -EBUSY);
	PROC_REQUIRE(comap_guard_reinstall() == 0);
	PROC_REQUIRE(comap_guard_check() == 0);
	return foreign[0];
}

static int in_child(int (*body)(void *), const char **ret_verdict)
{
	const char *path = files_make(PROC_DISK, "chained", BYTES);
	struct proc *proc = proc_spawn("child", body, (void *)(uintptr_t)path);
	int result = proc_wait(proc);

	*ret_verdict = proc_verdict(proc);
	return result;
}

#define ASSERT_CHILD(body, expected) do { \
	const char *verdict_; \
	int result_ = in_child(body, &verdict_); \
	if (result_ != (expected)) \
		fail_msg(#body ": %d, %s", result_, verdict_); \
} while (0)

static void foreign_faults_are_passed_on(void **state)
{
	ASSERT_CHILD(chain_to_siginfo, 0);
	ASSERT_CHILD(chain_to_plain, 0);
	ASSERT_CHILD(chain_to_default, -SIGBUS);
	ASSERT_CHILD(chain_to_default_raised, -SIGBUS);
	ASSERT_CHILD(chain_to_ignored, -SIGBUS);
	assert_int_equal(proc_point(0), 1); /* a raised one is ignored, a fault cannot be */
	ASSERT_CHILD(chain_in_a_circle, -SIGBUS);
}

/* ---- modes ----------------------------------------------------------------------------------- */

static void host_handler(int number, siginfo_t *info, void *context)
{
	seen_count++;
	if (!comap_guard_handle(number, info, context))
		_exit(7);
}

static int host_owns_signals(void *path)
{
	struct sigaction action = { .sa_sigaction = host_handler, .sa_flags = SA_SIGINFO }, now;
	volatile bool went_on = false;
	struct comap_map *map;

	PROC_REQUIRE(comap_guard_set_mode(COMAP_GUARD_HOST) == 0);
	sigaction(SIGBUS, &action, NULL);
	map = guard_something(path);
	PROC_REQUIRE(seen_count == 1);
	sigaction(SIGBUS, NULL, &now);
	PROC_REQUIRE(now.sa_sigaction == host_handler);
	PROC_REQUIRE(comap_guard_set_mode(COMAP_GUARD_OFF) == -EBUSY);
	files_write(path, 0, BYTES);
	PROC_REQUIRE(comap_map_repair(map) == 0);
	files_resize(path, 4096);
	PROC_REQUIRE(section_result(map, 9000, &went_on) == -ESTALE && !went_on);
	return *(foreign_page() + 1);
}

static int without_a_handler(void *path)
{
	static const enum comap_map_mode modes[] = { COMAP_MAP_READ, COMAP_MAP_WRITE, COMAP_MAP_COPY };
	struct comap_map *map = NULL;
	unsigned char buffer[100];
	struct sigaction now;

	PROC_REQUIRE(comap_guard_set_mode(COMAP_GUARD_OFF) == 0);
	for (int i = 0; i < 3; i++) {
		files_write(path, 0, BYTES);
		map = open_map(path, COMAP_MAP_OPTIONS(.mode = modes[i]));
		files_resize(path, 4096 + 50);
		PROC_REQUIRE(comap_map_copy_out(map, 4090, buffer, 56) == 0);
		PROC_REQUIRE(files_first_wrong(buffer, 4090, 56) == 56);
		PROC_REQUIRE(comap_map_copy_out(map, 4090, buffer, 100) == -ESTALE || modes[i] == COMAP_MAP_COPY);
		PROC_REQUIRE(comap_map_copy_out(map, 9000, buffer, 100) == -ESTALE);
		if (modes[i] != COMAP_MAP_READ) {
			PROC_REQUIRE(comap_map_copy_in(map, 10, buffer, 10) == 0);
			PROC_REQUIRE(comap_map_copy_in(map, 9000, buffer, 10) == -ESTALE);
			PROC_REQUIRE(files_size_bytes(path) == 4096 + 50);
		}
	}
	sigaction(SIGBUS, NULL, &now);
	PROC_REQUIRE(comap_map_status(map) == 0);
	return byte_at(map, 9000);
}

static int off_kills(void *path)
{
	struct sigaction dying = { .sa_handler = SIG_DFL };

	sigaction(SIGBUS, &dying, NULL); /* the sanitizer's, where there is one */
	return without_a_handler(path);
}

static void modes_for_hosts(void **state)
{
	ASSERT_CHILD(host_owns_signals, 7);
	ASSERT_CHILD(off_kills, -SIGBUS);
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(modes_for_hosts), /* first: the mode is chosen before the first mapping */
	PROC_TEST(foreign_faults_are_passed_on),
	PROC_TEST(unguarded_mappings_kill),
	PROC_TEST(truncation_is_a_status),
	PROC_TEST(repair_brings_the_file_back),
	PROC_TEST(private_copies_are_guarded_not_repaired),
	PROC_TEST(lost_stores_fail_the_flush),
	PROC_TEST(section_ends_at_the_fault),
	PROC_TEST(sections_nest),
	PROC_TEST(section_keeps_the_signal_mask),
	PROC_TEST(copies_are_checked),
	PROC_TEST(tables_grow),
	PROC_TEST(threads_fault_together),
	PROC_TEST(children_are_guarded),
	PROC_TEST(grown_mappings_are_guarded),
	PROC_TEST(repair_comes_before_growth),
};

int main(void)
{
	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
