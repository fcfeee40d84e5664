/* SPDX-License-Identifier: MIT */
/* The process kit: tests in which several processes play roles, and some of them die.
 *
 * A role is a function that a forked child runs; what it returns is its exit code, 0 for well done.
 * Children never use cmocka's asserts (they jump): they say PROC_REQUIRE(), whose sentence reaches
 * the test through a shared page. Parent and children meet at points: words in that page that are
 * only ever counted up.
 *
 *     static int reader(void *path) { ...; proc_post(READY); proc_await(GO, 1); ...; return 0; }
 *
 *     struct proc *p = proc_spawn("reader", reader, path);
 *     proc_await(READY, 1);
 *     proc_signal(p, SIGKILL);
 *     assert_int_equal(proc_wait(p), -SIGKILL);
 *
 * proc_setup() and proc_teardown() stand around every test (cmocka_unit_test_setup_teardown). The
 * teardown fails the test for what it left behind: children, threads, descriptors, maps of the
 * test's files, and files that nobody asked for.
 *
 * Everything here is for the main thread of a test process and for its children. */
#ifndef COMAP_TESTS_KIT_PROC_H
#define COMAP_TESTS_KIT_PROC_H

#include <comap/word.h>

#include <sys/types.h>

/* cmocka.h wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PROC_POINTS 64u
#define PROC_COUNTERS 256u
#define PROC_MAX 128u                   /* children of one test */
#define PROC_FAULT_NAMES 128u

#define PROC_TIMEOUT (-1000)            /* a wait that ran out of time */
#define PROC_FAILED 99                  /* exit code after PROC_REQUIRE() */

int proc_setup(void **state);
int proc_teardown(void **state);
#define PROC_TEST(function) cmocka_unit_test_setup_teardown(function, proc_setup, proc_teardown)

/* How long any wait of the kit lasts at most, and how long a child lives: 30 s, times four under a
 * sanitizer. Storms say how long they take. */
extern unsigned proc_limit_ms;

/* Where a test's files lie: memory, or the disk that the test was started on. */
enum proc_place { PROC_SHM, PROC_DISK, PROC_PLACES };

/* An absolute path for a file of this test, the same for the same name; lives until the teardown,
 * which removes the file (unless $COMAP_KEEP is set). */
const char *proc_path(enum proc_place place, const char *name);
/* The folder of the test in that place. */
const char *proc_folder(enum proc_place place);
const char *proc_place_name(enum proc_place place);

/* Random numbers (xorshift) from the seed in $COMAP_SEED, or 1: every test begins with it. Children
 * begin with it too and mix their number in. proc_setup() prints it where it is not the default. */
uint64_t proc_random(void);
uint64_t proc_random_below(uint64_t bound);

/* How long the calling thread has waited for a processor so far, being ready to run; 0 where the kernel does
 * not count it. What a measurement on a busy machine has to leave out. */
uint64_t proc_delay_ns(void);

/* --- children ----------------------------------------------------------------------------- */

struct proc {
	pid_t pid;          /* 0: ended and waited for */
	bool released;      /* its place may be taken */
	unsigned number;    /* its verdict's place in the shared page */
	int result;         /* as proc_wait() gave it */
	char name[32];
};

/* Forks a child that runs the role. Fails the test where it cannot. The child dies with the test. */
struct proc *proc_spawn(const char *name, int (*role)(void *arg), void *arg);
void proc_signal(struct proc *proc, int signal_number);
/* Stops it (SIGSTOP) and returns when it stands still. */
void proc_stop(struct proc *proc);
void proc_continue(struct proc *proc);
/* The exit code, or minus the signal that ended it, or PROC_TIMEOUT (and it runs on). */
int proc_wait(struct proc *proc);
int proc_wait_ms(struct proc *proc, unsigned limit_ms);
/* Until it has stopped itself: 0, or what proc_wait() says where it ended instead. */
int proc_wait_stopped(struct proc *proc);
/* What the child said when it failed; "" otherwise. */
const char *proc_verdict(const struct proc *proc);
/* Waits, and fails the test with the child's own words unless it ended with 0. */
void proc_assert_ok(struct proc *proc);
/* SIGKILL, and waits. Fails the test where it had ended otherwise before. */
void proc_kill(struct proc *proc);

/* Of a child that has been waited for: gives its place back, for tests with many children. */
void proc_release(struct proc *proc);

/* In a role: the test's program again, in place of this one, with two arguments; the role goes on in its
 * main(), where proc_executed() says so and has made the kit ready. Returns only where it fails. */
int proc_exec(const char *argument, const char *second);
bool proc_executed(void);

/* In a child: ends it with a sentence for the test. */
void proc_fail(const char *file, int line, const char *format, ...)
	COMAP_PRINTF(3, 4) __attribute__((noreturn));
#define PROC_REQUIRE(condition) \
	((condition) ? (void)0 : proc_fail(__FILE__, __LINE__, "not so: %s", #condition))
/* The same for a call that returns 0: the code and comap's last error are in the sentence. */
#define PROC_REQUIRE_OK(call) proc_require_ok(__FILE__, __LINE__, #call, (call))
void proc_require_ok(const char *file, int line, const char *what, int code);

/* Gives this process a mount namespace of its own, from which nothing gets out. False where that is
 * not permitted, or where "/" is no mount point (chroot). */
bool proc_own_mounts(void);
/* Would it, in a child? */
bool proc_can_own_mounts(void);

/* --- meeting ------------------------------------------------------------------------------ */

/* Counts a point up and wakes who waits there. Async-signal-safe. */
void proc_post(unsigned point);
/* Until the point has been counted up to `count`; a test or role that waits too long fails. */
void proc_await(unsigned point, uint32_t count);
/* False when the time is over. */
bool proc_await_ms(unsigned point, uint32_t count, unsigned limit_ms);
uint32_t proc_point(unsigned point);
/* All `count` processes that meet here go on together. Once per point and test. */
void proc_meet(unsigned point, uint32_t count);

/* Numbers in the shared page, zero at the start of each test. */
struct comap_u64 *proc_counter(unsigned index);

/* --- fault points (ipc/fault.h) ------------------------------------------------------------ */

enum proc_fault {
	PROC_FAULT_NONE,
	PROC_FAULT_COLLECT, /* notes the names of the points that are reached, in order */
	PROC_FAULT_KILL,    /* SIGKILL to itself */
	PROC_FAULT_STOP,    /* SIGSTOP to itself */
};

/* From now on, in this process: at the `nth` (from 1) arrival at the point. `name` is copied; NULL
 * for PROC_FAULT_COLLECT and PROC_FAULT_NONE. */
void proc_fault(enum proc_fault what, const char *name, unsigned nth);
/* Whether the library under test has fault points at all (a release build has none). */
bool proc_has_faults(void);
/* The collected names, each once, from any child of this test. NULL past the last one. */
const char *proc_fault_name(unsigned index);

#endif
