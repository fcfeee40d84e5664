/* SPDX-License-Identifier: MIT */
/* How many system calls a table's operations make once everything is warm: every one of them is seen, by
 * ptrace, and none is but what grace periods need. A region that is FENCED needs none for these, so there
 * the number is zero; else a membarrier() comes once for many retired blocks. Nobody is waked where nobody
 * waits; where somebody does, the count shows it. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 4096u
#define VALUE_BYTES 100u
#define BATCH 32u
#define WARM 30000u
#define COUNTED 20000u
#define BUDGET (512u << 10)         /* less than the keys take */
#define PER_BARRIER 16u             /* retired blocks for one membarrier(), at least */

enum { READY, GO, BEGUN };
enum { PHASE };
enum { WARMING, COUNTING, DONE };

static struct comap *region;
static struct comap_table *table;

struct trial {
	const char *name;
	void (*operate)(uint64_t number);
	uint32_t flags;                 /* of the region */
	uint64_t budget_bytes;
	bool waited_for;                /* somebody waits for changes of the table */
	const char *path;
};

static void open_trial(const struct trial *trial)
{
	struct comap_table_options table_options = { .budget_bytes = trial->budget_bytes };
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE | trial->flags;
	options.heap_max_bytes = 16u << 20;
	region = comap_open_with(trial->path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table = comap_table_open_with(region, "t", NULL, &table_options);
	if (!table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

static void close_trial(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

/* --- what is counted ---------------------------------------------------------------------------- */

/* Every key comes by, in an order without a pattern that the queues could learn. */
static uint64_t key_of(uint64_t number) { return number * 2654435761u % KEYS; }

static void put(uint64_t number)
{
	static char value[VALUE_BYTES];
	uint64_t key = key_of(number);

	PROC_REQUIRE_OK(comap_table_put(table, &key, sizeof key, value, sizeof value));
}

static void get(uint64_t number)
{
	char value[VALUE_BYTES];
	uint64_t key = key_of(number);

	PROC_REQUIRE_OK(comap_table_get(table, &key, sizeof key, value, sizeof value, NULL));
}

static void view_many(uint64_t number)
{
	uint64_t numbers[BATCH];
	struct comap_key keys[BATCH];
	struct comap_view views[BATCH];
	int found = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		numbers[i] = key_of(number + i);
		keys[i] = (struct comap_key){ &numbers[i], sizeof numbers[i] };
	}
	COMAP_READ(region)
		found = comap_table_view_many(table, BATCH, keys, views);
	PROC_REQUIRE(found == (int)BATCH);
}

static void add(uint64_t number)
{
	uint64_t key = KEYS + number % 64;

	PROC_REQUIRE_OK(comap_table_add(table, &key, sizeof key, 1, NULL));
}

static void touch(uint64_t number)
{
	uint64_t key = key_of(number);

	PROC_REQUIRE_OK(comap_table_touch(table, &key, sizeof key, 3600000000000ull));
}

/* What has gone comes back at once. */
static void remove_and_put(uint64_t number)
{
	uint64_t key = key_of(number);

	PROC_REQUIRE(comap_table_remove(table, &key, sizeof key) >= 0);
	put(number);
}

/* Of a cache: what is looked for may have been evicted. */
static void look(uint64_t number)
{
	uint64_t key = key_of(number);
	char value[VALUE_BYTES];
	int code = comap_table_get(table, &key, sizeof key, value, sizeof value, NULL);

	PROC_REQUIRE(code == 0 || code == -ENOENT);
}

/* --- counting ----------------------------------------------------------------------------------- */

static void set_phase(uint64_t phase)
{
	comap_u64_store_release(proc_counter(PHASE), phase); /* release: between the operations */
}

static uint64_t phase(void) { return comap_u64_load_acquire(proc_counter(PHASE)); }

static int counted(void *arg)
{
	const struct trial *trial = arg;

	open_trial(trial);
	for (uint64_t i = 0; i < KEYS; i++)
		put(i);
	for (uint64_t i = 0; i < WARM; i++)
		trial->operate(i);
	proc_post(READY);
	proc_await(GO, 1);
	set_phase(COUNTING);
	for (uint64_t i = 0; i < COUNTED; i++)
		trial->operate(i);
	set_phase(DONE);
	(void)getppid(); /* the tracer sees that it is over */
	close_trial();
	return 0;
}

static int waiter(void *arg)
{
	uint64_t seen;

	open_trial(arg);
	seen = comap_table_changes(table);
	proc_post(BEGUN);
	while (phase() != DONE)
		(void)comap_table_wait(table, seen, comap_deadline_ms(100), &seen);
	close_trial();
	return 0;
}

struct calls {
	unsigned barriers, futexes, others;
	long last_other;
};

static void note(pid_t pid, struct calls *calls)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_membarrier) {
		calls->barriers++;
	} else if (info.entry.nr == SYS_futex) {
		calls->futexes++;
	} else {
		calls->others++;
		calls->last_other = (long)info.entry.nr;
	}
}

/* Goes along with the process until it is done. */
static void follow(pid_t pid, struct calls *calls)
{
	int status, signal_number;

	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	proc_post(GO);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		signal_number = 0;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (phase() == DONE)
				break;
			if (phase() == COUNTING)
				note(pid, calls);
		} else if (status >> 16 == 0) {
			signal_number = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, signal_number);
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static struct calls count(const struct trial *trial)
{
	struct calls calls = { 0 };
	struct proc *child, *waits = NULL;

	if (trial->waited_for) {
		waits = proc_spawn("waiter", waiter, (void *)(uintptr_t)trial);
		proc_await(BEGUN, 1);
	}
	child = proc_spawn("counted", counted, (void *)(uintptr_t)trial);
	if (!proc_await_ms(READY, 1, proc_limit_ms))
		proc_assert_ok(child);
	if (ptrace(PTRACE_SEIZE, child->pid, NULL, PTRACE_O_TRACESYSGOOD) != 0) {
		proc_kill(child);
		print_message("SKIPPED: ptrace is not allowed here\n");
		skip();
	}
	follow(child->pid, &calls);
	proc_assert_ok(child);
	if (waits)
		proc_assert_ok(waits);
	print_message("%-28s %u operations: %u futex, %u membarrier, %u other calls\n", trial->name, COUNTED,
	              calls.futexes, calls.barriers, calls.others);
	if (calls.others)
		print_message("the last other call was number %ld\n", calls.last_other);
	return calls;
}

static void require_none(struct trial trial)
{
	struct calls calls;

	trial.path = proc_path(PROC_SHM, "region");
	calls = count(&trial);
	assert_int_equal(calls.futexes, 0);
	assert_int_equal(calls.others, 0);
	assert_int_equal(calls.barriers, 0);
}

static void test_get(void **state)
{
	require_none((struct trial){ "get", get });
}

static void test_view_many(void **state)
{
	require_none((struct trial){ "view_many of 32", view_many });
}

static void test_counter(void **state)
{
	require_none((struct trial){ "add", add });
}

static void test_get_of_a_cache(void **state)
{
	require_none((struct trial){ "get of a cache", look, .budget_bytes = BUDGET });
}

static void test_put_over_in_a_fenced_region(void **state)
{
	require_none((struct trial){ "put over, fenced", put, .flags = COMAP_FENCED });
}

static void test_touch_in_a_fenced_region(void **state)
{
	require_none((struct trial){ "touch, fenced", touch, .flags = COMAP_FENCED });
}

static void test_remove_and_put_in_a_fenced_region(void **state)
{
	require_none((struct trial){ "remove and put, fenced", remove_and_put, .flags = COMAP_FENCED });
}

static void test_put_that_evicts_in_a_fenced_region(void **state)
{
	require_none((struct trial){ "put that evicts, fenced", put, .flags = COMAP_FENCED,
	                             .budget_bytes = BUDGET });
}

static void require_barriers_only(struct trial trial, unsigned retired)
{
	struct calls calls;

	trial.path = proc_path(PROC_SHM, "region");
	calls = count(&trial);
	assert_int_equal(calls.futexes, 0);
	assert_int_equal(calls.others, 0);
	assert_true(calls.barriers > 0 && calls.barriers <= retired / PER_BARRIER);
}

static void test_put_over(void **state)
{
	require_barriers_only((struct trial){ "put over", put }, COUNTED);
}

static void test_put_that_evicts(void **state)
{
	require_barriers_only((struct trial){ "put that evicts", put, .budget_bytes = BUDGET }, 3 * COUNTED);
}

/* The count counts: a table that somebody waits for is a table whose writer wakes. */
static void test_put_that_is_waited_for(void **state)
{
	struct trial trial = { "put, waited for", put, .flags = COMAP_FENCED, .waited_for = true,
	                       .path = proc_path(PROC_SHM, "region") };

	assert_true(count(&trial).futexes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_get),
		PROC_TEST(test_view_many),
		PROC_TEST(test_counter),
		PROC_TEST(test_get_of_a_cache),
		PROC_TEST(test_put_over_in_a_fenced_region),
		PROC_TEST(test_touch_in_a_fenced_region),
		PROC_TEST(test_remove_and_put_in_a_fenced_region),
		PROC_TEST(test_put_that_evicts_in_a_fenced_region),
		PROC_TEST(test_put_over),
		PROC_TEST(test_put_that_evicts),
		PROC_TEST(test_put_that_is_waited_for),
	};

	return cmocka_run_group_tests_name("system calls of a table", tests, NULL, NULL);
}
