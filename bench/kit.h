/* SPDX-License-Identifier: MIT */
/* The bench kit: figures that mean something on a machine that others use too.
 *
 * A bench program measures some metrics, all of them once per round, in turns, and then shows rows: a
 * metric beside its goal, or against a floor or a peer that was measured in the same round. Ratios are
 * taken round by round; what counts is their median. Figures, not tests: a goal that is not met is
 * said plainly, and the program ends with 0.
 *
 *     bench_begin(argc, argv, "rcu", "read sections and grace periods");
 *     struct bench_metric *pair = bench_metric("pair, comap", "ns");
 *     while (bench_round())
 *             bench_interleave(cases, case_count);
 *     bench_against(pair, peer, 1.1);
 *     return bench_end();
 *
 * Everything here is for the main thread of the program but where it says so. What cannot go on is
 * said on standard error and ends the program with status 1 (bench_need). */
#ifndef COMAP_BENCH_KIT_H
#define COMAP_BENCH_KIT_H

#include <comap/base.h>
#include <comap/word.h>

#include <sys/types.h>

/* --- the program ------------------------------------------------------------------------------ */

/* Options: --rounds N (default 7, at least 5 counts as measured), --out DIR, --dir DIR (where regions
 * lie; default /dev/shm), --cpus A,B. Pins the caller to the first CPU. */
void bench_begin(int argc, char **argv, const char *name, const char *title);
/* Counts the rounds: true while one more is to be measured, then begins anew, for the metrics that
 * are made from then on. In each round each of them is put once. */
bool bench_round(void);
/* Prints the table and writes DIR/NAME.json. Returns the exit status. */
int bench_end(void);
/* A line under the table: what was not measured and why, what a figure leaves out. */
void bench_note(const char *format, ...) COMAP_PRINTF(1, 2);

void bench_need_that(bool condition, const char *what);
#define bench_need(condition) bench_need_that((condition), #condition)

/* The folder of the figures, made by bench_end(). */
const char *bench_out(void);
/* A path for a file of this program; removed at the end. Static, four at a time. */
const char *bench_path(const char *name);

/* --- metrics and rows -------------------------------------------------------------------------- */

struct bench_metric;

/* `name` and `unit` are kept, not copied. */
struct bench_metric *bench_metric(const char *name, const char *unit);
/* This round's value. */
void bench_put(struct bench_metric *metric, double value);

double bench_last(const struct bench_metric *metric);   /* this round's, where it is put already */
double bench_median(const struct bench_metric *metric); /* of all rounds, after the last one */

/* Rows. `goal` 0: shown without one. */
void bench_show(struct bench_metric *metric);
void bench_at_most(struct bench_metric *metric, double goal);
void bench_at_most_ever(struct bench_metric *metric, double goal); /* the worst round counts */
void bench_against(struct bench_metric *metric, struct bench_metric *reference, double goal);

/* --- time ---------------------------------------------------------------------------------------- */

uint64_t bench_clock_ns(void);
/* Time stamps: the CPU's counter where there is one, else the clock. Any thread. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	uint32_t low, high;

	/* Neither sooner nor later: what is timed has ended, what comes next has not begun. */
	__asm__ __volatile__("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
#else
	return bench_clock_ns();
#endif
}
double bench_ticks_ns(uint64_t ticks);
/* The same without what two time stamps in a row cost. Not below 0. */
double bench_span_ns(uint64_t ticks);

/* The compiler must suppose that the value is used. */
#define bench_use(value) __asm__ __volatile__("" : : "r"(value) : "memory")

/* Sorts; then a quantile, 0 to 1. */
void bench_sort(double *samples, size_t count);
double bench_quantile(const double *sorted, size_t count, double quantile);

/* --- calibrated loops ------------------------------------------------------------------------------ */

/* Does something `count` times (a multiple of 8). */
typedef void bench_loop(void *context, uint64_t count);

struct bench_case {
	struct bench_metric *metric;    /* gets ns per time; NULL: measured and thrown away */
	bench_loop *loop;
	void *context;
	struct bench_helper *helper;    /* does the same at the same time, on the second CPU */
	void *helper_context;
	struct bench_helper *only_helper; /* does it alone */
	uint64_t count;                 /* found by the kit: about SLICE_NS of work */
};

/* One round: each case for some milliseconds in slices that take turns; the lower quartile of the
 * slices counts. With a helper, a slice is the mean of both. */
void bench_interleave(struct bench_case *cases, unsigned case_count);

/* How long the slices are from now on; default 1 ms. Longer where the caches must fill anew after
 * another case's turn: a slice that is mostly that says little. */
void bench_slices(double length_ns);

/* --- others ----------------------------------------------------------------------------------------- */

/* Words that all processes of the program share, zero at the start. */
struct comap_u64 *bench_shared(unsigned index); /* below 512; one line each */

/* A forked process on the second CPU (or where it is put). It ends with its function, and with the
 * parent. */
pid_t bench_fork(void (*role)(void *context), void *context);
/* Kills it, where it lives, and waits for it. */
void bench_kill(pid_t pid);
void bench_wait(pid_t pid);
void bench_pin(unsigned which); /* 0 or 1: the first or second CPU. Any thread */
/* Spins until the word is at least that. Any thread or process. */
void bench_await(struct comap_u64 *word, uint64_t at_least);

/* Somebody on the second CPU who runs loops on command: a process, or a thread of this one. */
enum bench_helper_kind { BENCH_PROCESS, BENCH_THREAD };
struct bench_helper *bench_helper_start(enum bench_helper_kind kind, void (*init)(void),
                                        void (*fini)(void));
/* Begins a loop there and returns when it runs; and waits for its end. */
void bench_helper_order(struct bench_helper *helper, bench_loop *loop, void *context, uint64_t count);
void bench_helper_await(struct bench_helper *helper);
void bench_helper_end(struct bench_helper *helper);

#endif
