/* SPDX-License-Identifier: MIT */
/* The bench kit's measuring half: time stamps, calibrated loops that take turns, and others who work
 * at the same time. See kit.h. */
#include "kit.h"
#include "kit_inside.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 1000000.0   /* short, so that turns are over before the machine's mood changes */
#define SLICES 21u
#define SLICE_QUANTILE 0.25  /* of them is the round's value: others who take the CPU only add time */
#define CASES_MAX 24u
#define SHARED_WORDS 512u
#define LINE_BYTES 128u

static unsigned cpus[2] = { 0, 1 };
static double ns_per_tick = 1, slice_ns = SLICE_NS;
static uint64_t stamp_ticks;  /* what two time stamps in a row cost */
static char *shared_lines;    /* mapped before anybody forks */

/* --- time --------------------------------------------------------------------------------------- */

uint64_t bench_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double bench_ticks_ns(uint64_t ticks) { return (double)ticks * ns_per_tick; }

double bench_span_ns(uint64_t ticks)
{
	return ticks > stamp_ticks ? bench_ticks_ns(ticks - stamp_ticks) : 0;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

void bench_sort(double *samples, size_t count)
{
	qsort(samples, count, sizeof *samples, compare);
}

double bench_quantile(const double *sorted, size_t count, double quantile)
{
	double at = quantile * (double)(count - 1);
	size_t below = (size_t)at;
	double rest = at - (double)below;

	return below + 1 < count ? sorted[below] * (1 - rest) + sorted[below + 1] * rest : sorted[below];
}

void bench__time_init(void)
{
	uint64_t begin_ns = bench_clock_ns(), begin = bench_ticks(), end_ns, end;
	double samples[1001];

	while ((end_ns = bench_clock_ns()) - begin_ns < 50000000)
		continue;
	end = bench_ticks();
	ns_per_tick = (double)(end_ns - begin_ns) / (double)(end - begin);
	for (unsigned i = 0; i < 1001; i++) {
		begin = bench_ticks();
		samples[i] = (double)(bench_ticks() - begin);
	}
	bench_sort(samples, 1001);
	stamp_ticks = (uint64_t)bench_quantile(samples, 1001, 0.5);
	shared_lines = mmap(NULL, SHARED_WORDS * LINE_BYTES, PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_need(shared_lines != MAP_FAILED);
}

const char *bench__cpu_model(char *buffer, size_t size_bytes)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(buffer, size_bytes, "unknown");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
			line[strcspn(line, "\n")] = 0;
			snprintf(buffer, size_bytes, "%s", strchr(line, ':') + 2);
			break;
		}
	if (file)
		fclose(file);
	return buffer;
}

/* --- loops ----------------------------------------------------------------------------------------- */

struct bench_helper {
	enum bench_helper_kind kind;
	void (*init)(void), (*fini)(void);
	pid_t pid;
	pthread_t thread;
	unsigned line;             /* where its words begin */
	uint64_t number;           /* of the last order */
	bench_loop *loop;          /* the order; same address in the process that was forked */
	void *context;
	uint64_t count;
};

static double run(bench_loop *loop, void *context, uint64_t count)
{
	uint64_t begin = bench_ticks();

	loop(context, count);
	return bench_span_ns(bench_ticks() - begin) / (double)count;
}

static double slice(struct bench_case *this);

void bench_slices(double length_ns) { slice_ns = length_ns; }

/* Finds the count that takes about a slice. */
static void calibrate(struct bench_case *this)
{
	uint64_t count = 8;

	if (this->count)
		return;
	if (this->only_helper) {
		this->count = 8;
		this->count *= (uint64_t)(slice_ns / 8 / slice(this)) + 1;
		return;
	}
	run(this->loop, this->context, count);
	while (run(this->loop, this->context, count) * (double)count < slice_ns / 4)
		count *= 2;
	this->count = count * 4;
}

void bench_interleave(struct bench_case *cases, unsigned case_count)
{
	static double samples[CASES_MAX][SLICES];

	bench_need(case_count <= CASES_MAX);
	for (unsigned i = 0; i < case_count; i++)
		calibrate(&cases[i]);
	for (unsigned turn = 0; turn < SLICES; turn++)
		for (unsigned i = 0; i < case_count; i++)
			samples[(turn + i) % case_count][turn] = slice(&cases[(turn + i) % case_count]);
	for (unsigned i = 0; i < case_count; i++) {
		bench_sort(samples[i], SLICES);
		bench_put(cases[i].metric, bench_quantile(samples[i], SLICES, SLICE_QUANTILE));
	}
}

/* --- others ------------------------------------------------------------------------------------------ */

struct comap_u64 *bench_shared(unsigned index)
{
	bench_need(index < SHARED_WORDS);
	return (struct comap_u64 *)(void *)(shared_lines + index * LINE_BYTES);
}

void bench__set_cpus(unsigned first, unsigned second)
{
	cpus[0] = first;
	cpus[1] = second;
}

void bench_pin(unsigned which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[which], &set);
	bench_need(sched_setaffinity(0, sizeof set, &set) == 0);
}

void bench_await(struct comap_u64 *word, uint64_t at_least)
{
	/* acquire: what was stored before the word was raised */
	while (comap_u64_load_acquire(word) < at_least)
		comap_spin_pause();
}

pid_t bench_fork(void (*role)(void *context), void *context)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	bench_need(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	bench_pin(1);
	role(context);
	_exit(0);
}

void bench_wait(pid_t pid)
{
	int status;

	bench_need(waitpid(pid, &status, 0) == pid);
	bench_need(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

void bench_kill(pid_t pid)
{
	bench_need(kill(pid, SIGKILL) == 0);
	bench_wait(pid);
}

#define HELPERS_MAX 8u
#define HELPER_LINES (SHARED_WORDS - HELPERS_MAX * HELPER_WORDS) /* the last lines are the helpers' */

enum { ORDERED, STARTED, DONE, TICKS, HELPER_WORDS };

static struct comap_u64 *helper_word(const struct bench_helper *helper, unsigned which)
{
	return bench_shared(helper->line + which);
}

/* Helpers that have nothing to do sleep: several share a CPU. */
static void await_order(struct comap_u64 *ordered, uint64_t number)
{
	for (unsigned round = 0; comap_u64_load_acquire(ordered) < number; round++) /* acquire: the order */
		if (round < 1000)
			comap_spin_pause();
		else
			syscall(SYS_futex, ordered, FUTEX_WAIT, (uint32_t)(number - 1), NULL, NULL, 0);
}

static void obey(void *argument)
{
	struct bench_helper *helper = argument;
	uint64_t begin;

	bench_pin(1);
	if (helper->init)
		helper->init();
	for (uint64_t number = 1;; number++) {
		await_order(helper_word(helper, ORDERED), number);
		if (!helper->loop)
			break;
		/* release: whoever waits for it may know that the helper runs */
		comap_u64_store_release(helper_word(helper, STARTED), number);
		begin = bench_ticks();
		helper->loop(helper->context, helper->count);
		/* relaxed: released with DONE */
		comap_u64_store_relaxed(helper_word(helper, TICKS), bench_ticks() - begin);
		comap_u64_store_release(helper_word(helper, DONE), number);
	}
	if (helper->fini)
		helper->fini();
}

static void *obey_as_thread(void *argument)
{
	obey(argument);
	return NULL;
}

struct bench_helper *bench_helper_start(enum bench_helper_kind kind, void (*init)(void),
                                        void (*fini)(void))
{
	static struct bench_helper *helpers; /* shared: orders are written there */
	static unsigned count;
	struct bench_helper *helper;

	if (!helpers)
		helpers = mmap(NULL, HELPERS_MAX * sizeof *helpers, PROT_READ | PROT_WRITE,
		               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_need(helpers != MAP_FAILED && count < HELPERS_MAX);
	helper = &helpers[count];
	*helper = (struct bench_helper){ .kind = kind, .init = init, .fini = fini };
	helper->line = HELPER_LINES + count++ * HELPER_WORDS;
	if (kind == BENCH_PROCESS)
		helper->pid = bench_fork(obey, helper);
	else
		bench_need(pthread_create(&helper->thread, NULL, obey_as_thread, helper) == 0);
	return helper;
}

static void give_order(struct bench_helper *helper, bench_loop *loop, void *context, uint64_t count)
{
	struct comap_u64 *ordered = helper_word(helper, ORDERED);

	helper->loop = loop;
	helper->context = context;
	helper->count = count;
	helper->number++;
	comap_u64_store_release(ordered, helper->number); /* the order before its number */
	syscall(SYS_futex, ordered, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void bench_helper_order(struct bench_helper *helper, bench_loop *loop, void *context, uint64_t count)
{
	give_order(helper, loop, context, count);
	bench_await(helper_word(helper, STARTED), helper->number);
}

void bench_helper_await(struct bench_helper *helper)
{
	bench_await(helper_word(helper, DONE), helper->number);
}

void bench_helper_end(struct bench_helper *helper)
{
	give_order(helper, NULL, NULL, 0);
	if (helper->kind == BENCH_PROCESS)
		bench_wait(helper->pid);
	else
		bench_need(pthread_join(helper->thread, NULL) == 0);
}

/* What the helper's last loop took, per time. */
static double helper_ns(struct bench_helper *helper, uint64_t count)
{
	bench_helper_await(helper);
	/* relaxed: acquired with DONE */
	return bench_ticks_ns(comap_u64_load_relaxed(helper_word(helper, TICKS))) / (double)count;
}

static double slice(struct bench_case *this)
{
	double mine, its;

	if (this->only_helper) {
		bench_helper_order(this->only_helper, this->loop, this->context, this->count);
		return helper_ns(this->only_helper, this->count);
	}
	if (!this->helper)
		return run(this->loop, this->context, this->count);
	bench_helper_order(this->helper, this->loop, this->helper_context, this->count);
	mine = run(this->loop, this->context, this->count);
	its = helper_ns(this->helper, this->count);
	return (mine + its) / 2;
}
