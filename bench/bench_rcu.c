/* SPDX-License-Identifier: MIT */
/* Read sections and grace periods of comap, which work between processes, against liburcu's flavours,
 * which work within one. All inline, in one program, in turns.
 *
 * comap's readers: a mark in the mapped region. liburcu's: a word of the thread. */
#define _LGPL_SOURCE /* liburcu's read side inline */
#include "kit.h"

#include <comap.h>

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <urcu/urcu-bp.h>
#include <urcu/urcu-mb.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#define SAMPLES 400u           /* grace periods per round and kind */
#define KILLS 4u               /* per round and kind */

enum { STOP, INSIDE }; /* shared words */

static struct comap *region, *fenced;

static struct comap_u64 *word(unsigned index) { return bench_shared(index); }

/* --- read pairs --------------------------------------------------------------------------------- */

/* Eight pairs per turn, so that the loop's own cost is not what is measured. */
#define PAIR_LOOP(name, begin, end) \
static void name(void *context, uint64_t count) \
{ \
	struct comap *r = context; \
	(void)r; \
	for (uint64_t i = 0; i < count; i += 8) { \
		begin; end; begin; end; begin; end; begin; end; \
		begin; end; begin; end; begin; end; begin; end; \
	} \
}

PAIR_LOOP(pair_comap, (void)comap_read_begin(r), (void)comap_read_end(r))
PAIR_LOOP(pair_bp, urcu_bp_read_lock(), urcu_bp_read_unlock())
PAIR_LOOP(pair_memb, urcu_memb_read_lock(), urcu_memb_read_unlock())
PAIR_LOOP(pair_mb, urcu_mb_read_lock(), urcu_mb_read_unlock())
PAIR_LOOP(pair_qsbr, urcu_qsbr_read_lock(), (urcu_qsbr_read_unlock(), urcu_qsbr_quiescent_state()))

static void nested_comap(void *context, uint64_t count)
{
	bench_need(comap_read_begin(context) == 0);
	pair_comap(context, count);
	(void)comap_read_end(context);
}

static void nested_bp(void *context, uint64_t count)
{
	urcu_bp_read_lock();
	pair_bp(context, count);
	urcu_bp_read_unlock();
}

/* --- grace periods --------------------------------------------------------------------------------- */

/* Sections one after the other until somebody says stop; each looks at some lines. */
#define BUSY_LOOP(name, begin, end) \
static void name(void *context, uint64_t count) \
{ \
	struct comap *r = context; \
	(void)r; \
	while (comap_u64_load_relaxed(word(STOP)) == 0) { /* relaxed: a flag */ \
		begin; \
		for (unsigned i = 0; i < 16; i++) \
			bench_use(comap_u64_load_relaxed(bench_shared(16 + i))); /* relaxed: work */ \
		end; \
	} \
}

BUSY_LOOP(busy_comap, (void)comap_read_begin(r), (void)comap_read_end(r))
BUSY_LOOP(busy_memb, urcu_memb_read_lock(), urcu_memb_read_unlock())

static void grace_comap(void) { bench_need(comap_synchronize(region) == 0); }
static void grace_fenced(void) { bench_need(comap_synchronize(fenced) == 0); }
static void grace_memb(void) { urcu_memb_synchronize_rcu(); }

struct grace {
	void (*wait)(void);
	struct bench_metric *p50, *p99;
	struct bench_helper *helper;     /* who reads meanwhile; NULL: nobody */
	bench_loop *busy;
	struct comap *busy_in;
	double samples[SAMPLES];
};

static void sample_grace(struct grace *this, unsigned from, unsigned to)
{
	uint64_t begin;

	comap_u64_store_relaxed(word(STOP), 0); /* relaxed: before the order */
	if (this->helper)
		bench_helper_order(this->helper, this->busy, this->busy_in, 1);
	for (unsigned i = from; i < to; i++) {
		begin = bench_ticks();
		this->wait();
		this->samples[i] = bench_span_ns(bench_ticks() - begin) / 1000;
	}
	comap_u64_store_relaxed(word(STOP), 1); /* relaxed: a flag */
	if (this->helper)
		bench_helper_await(this->helper);
}

/* Four turns of each. */
static void measure_graces(struct grace *graces, unsigned count)
{
	for (unsigned turn = 0; turn < 4; turn++)
		for (unsigned i = 0; i < count; i++)
			sample_grace(&graces[i], turn * SAMPLES / 4, (turn + 1) * SAMPLES / 4);
	for (unsigned i = 0; i < count; i++) {
		bench_sort(graces[i].samples, SAMPLES);
		bench_put(graces[i].p50, bench_quantile(graces[i].samples, SAMPLES, 0.5));
		bench_put(graces[i].p99, bench_quantile(graces[i].samples, SAMPLES, 0.99));
	}
}

/* --- a reader that dies inside ------------------------------------------------------------------------ */

static void reader_that_stays(void *context)
{
	bench_need(comap_attach(region) == 0 && comap_read_begin(region) == 0);
	comap_u64_add_acq_rel(word(INSIDE), 1); /* release: the section has begun */
	for (;;)
		pause();
}

struct killer {
	pid_t pid;
	uint64_t killed_at;
};

/* Kills while somebody waits for the grace period already. */
static void *kill_later(void *argument)
{
	struct killer *killer = argument;
	const struct timespec delay = { .tv_nsec = 30000000 };

	bench_pin(1);
	nanosleep(&delay, NULL);
	killer->killed_at = bench_ticks();
	bench_need(kill(killer->pid, SIGKILL) == 0);
	return NULL;
}

/* The worst of some kills, in ms from the kill to the end of the grace period. */
static double worst_grace_after_kill(bool waits_already)
{
	struct killer killer;
	pthread_t thread;
	uint64_t ended_at;
	double worst = 0, ms;

	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t before = comap_u64_load_relaxed(word(INSIDE)); /* relaxed: ours to compare */

		killer.pid = bench_fork(reader_that_stays, NULL);
		bench_await(word(INSIDE), before + 1);
		if (waits_already) {
			bench_need(pthread_create(&thread, NULL, kill_later, &killer) == 0);
		} else {
			killer.killed_at = bench_ticks();
			bench_need(kill(killer.pid, SIGKILL) == 0);
		}
		grace_comap();
		ended_at = bench_ticks();
		if (waits_already)
			bench_need(pthread_join(thread, NULL) == 0);
		ms = bench_ticks_ns(ended_at - killer.killed_at) / 1e6;
		bench_wait(killer.pid);
		worst = ms > worst ? ms : worst;
	}
	return worst;
}

/* --- death by event --- */

enum { DEATHS = 12 };

static void sit(void *context)
{
	struct comap_u64 *seat = context;

	bench_need(comap_attach(region) == 0);
	comap_u64_store_release(seat, (uint64_t)comap_seat_self(region) + 1); /* read by bench_await() */
	pause();
}

/* A thread sleeps until the holder of a seat is gone; from the SIGKILL to its return, in ms. */
struct death_watch { uint32_t seat; uint64_t generation, woken_at; };

static void *watch_death(void *argument)
{
	struct death_watch *watch = argument;

	bench_need(comap_seat_wait(region, watch->seat, watch->generation, COMAP_FOREVER) == 0);
	watch->woken_at = bench_ticks();
	return NULL;
}

static void measure_death_event(struct bench_metric *p50, struct bench_metric *worst)
{
	struct comap_u64 *seat = bench_shared(100);
	double samples[DEATHS];

	for (unsigned i = 0; i < DEATHS; i++) {
		struct comap_seat holder;
		struct death_watch watch;
		pthread_t thread;
		uint64_t killed_at;
		pid_t pid;

		comap_u64_store_release(seat, 0); /* before the fork */
		pid = bench_fork(sit, seat);
		bench_await(seat, 1);
		watch.seat = (uint32_t)comap_u64_load_acquire(seat) - 1; /* stored by sit() */
		bench_need(comap_seat_at(region, watch.seat, &holder) == 0);
		watch.generation = holder.generation;
		bench_need(pthread_create(&thread, NULL, watch_death, &watch) == 0);
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL); /* it sleeps by now */
		killed_at = bench_ticks();
		kill(pid, SIGKILL);
		bench_need(pthread_join(thread, NULL) == 0);
		samples[i] = bench_ticks_ns(watch.woken_at - killed_at) / 1e6;
		bench_wait(pid);
	}
	bench_sort(samples, DEATHS);
	bench_put(p50, bench_quantile(samples, DEATHS, 0.5));
	bench_put(worst, samples[DEATHS - 1]);
}

/* --- the program -------------------------------------------------------------------------------------- */

static struct bench_helper *process, *memb_thread, *bp_thread;

static void attach(void)
{
	bench_need(comap_attach(region) == 0 && comap_thread_register(region) == 0);
}
static void register_memb(void) { urcu_memb_register_thread(); }
static void unregister_memb(void) { urcu_memb_unregister_thread(); }

static void set_up(void)
{
	region = comap_open(bench_path("asymmetric"), COMAP_CREATE);
	fenced = comap_open(bench_path("fenced"), COMAP_CREATE | COMAP_FENCED);
	bench_need(region && fenced);
	process = bench_helper_start(BENCH_PROCESS, attach, NULL);
	memb_thread = bench_helper_start(BENCH_THREAD, register_memb, unregister_memb);
	bp_thread = bench_helper_start(BENCH_THREAD, NULL, urcu_bp_unregister_thread);
	urcu_memb_register_thread();
	urcu_mb_register_thread();
	urcu_qsbr_register_thread();
	bench_need(comap_thread_register(region) == 0);
}

static void tear_down(void)
{
	bench_helper_end(process);
	bench_helper_end(memb_thread);
	bench_helper_end(bp_thread);
	urcu_memb_unregister_thread();
	urcu_mb_unregister_thread();
	urcu_qsbr_unregister_thread();
	bench_need(comap_close(fenced) == 0 && comap_close(region) == 0);
}

static void measure_pairs(void)
{
	struct bench_metric *comap = bench_metric("read pair, comap", "ns");
	struct bench_metric *bp = bench_metric("read pair, liburcu bp", "ns");
	struct bench_metric *memb = bench_metric("read pair, liburcu memb", "ns");
	struct bench_metric *mb = bench_metric("read pair, liburcu mb", "ns");
	struct bench_metric *qsbr = bench_metric("pair and quiescent state, liburcu qsbr", "ns");
	struct bench_metric *own_fence = bench_metric("read pair, comap, fenced region", "ns");
	struct bench_metric *inner = bench_metric("inner pair, comap", "ns");
	struct bench_metric *inner_bp = bench_metric("inner pair, liburcu bp", "ns");
	struct bench_metric *two = bench_metric("pair, two processes at once, comap", "ns");
	struct bench_metric *two_bp = bench_metric("pair, two threads at once, bp", "ns");
	struct bench_metric *two_memb = bench_metric("pair, two threads at once, memb", "ns");
	struct bench_case cases[] = {
		{ comap, pair_comap, region }, { bp, pair_bp }, { memb, pair_memb }, { mb, pair_mb },
		{ qsbr, pair_qsbr }, { own_fence, pair_comap, fenced },
		{ inner, nested_comap, region }, { inner_bp, nested_bp },
		{ two, pair_comap, region, process, region }, { two_bp, pair_bp, NULL, bp_thread },
		{ two_memb, pair_memb, NULL, memb_thread },
	};

	while (bench_round())
		bench_interleave(cases, sizeof cases / sizeof cases[0]);
	bench_against(comap, bp, 1.1);
	bench_against(comap, memb, 1.5);
	bench_against(comap, mb, 0);
	bench_against(comap, qsbr, 0);
	bench_against(own_fence, mb, 0);
	bench_against(inner, inner_bp, 0);
	bench_against(two, two_bp, 1.1);
	bench_against(two, two_memb, 1.5);
}

static void measure_grace_periods(void)
{
	static struct grace graces[] = {
		{ .wait = grace_comap }, { .wait = grace_memb }, { .wait = grace_fenced },
		{ .wait = grace_comap, .busy = busy_comap }, { .wait = grace_memb, .busy = busy_memb },
	};
	static const char *const names[][2] = {
		{ "synchronize, no reader, p50, comap", "synchronize, no reader, p99, comap" },
		{ "synchronize, no reader, p50, memb", "synchronize, no reader, p99, memb" },
		{ "synchronize, fenced, no reader, p50, comap", "synchronize, fenced, no reader, p99, comap" },
		{ "synchronize, busy reader, p50, comap", "synchronize, busy reader, p99, comap" },
		{ "synchronize, busy reader, p50, memb", "synchronize, busy reader, p99, memb" },
	};
	const unsigned count = sizeof graces / sizeof graces[0];

	for (unsigned i = 0; i < count; i++) {
		graces[i].p50 = bench_metric(names[i][0], "us");
		graces[i].p99 = bench_metric(names[i][1], "us");
	}
	graces[3].helper = process;
	graces[3].busy_in = region;
	graces[4].helper = memb_thread;
	while (bench_round())
		measure_graces(graces, count);
	bench_against(graces[0].p50, graces[1].p50, 0);
	bench_against(graces[0].p99, graces[1].p99, 0);
	bench_show(graces[2].p50);
	bench_against(graces[3].p50, graces[4].p50, 1);
	bench_against(graces[3].p99, graces[4].p99, 0);
}

static void measure_deaths(void)
{
	struct bench_metric *before = bench_metric("SIGKILL inside, then synchronize, worst of 4", "ms");
	struct bench_metric *during = bench_metric("SIGKILL inside, synchronizer waits, worst of 4", "ms");

	while (bench_round()) {
		bench_put(before, worst_grace_after_kill(false));
		bench_put(during, worst_grace_after_kill(true));
	}
	bench_at_most_ever(before, 50);
	bench_at_most_ever(during, 50);
}

static void measure_events(void)
{
	struct bench_metric *p50 = bench_metric("SIGKILL to comap_seat_wait() back, p50", "ms");
	struct bench_metric *worst = bench_metric("SIGKILL to comap_seat_wait() back, worst of 12", "ms");

	while (bench_round())
		measure_death_event(p50, worst);
	bench_at_most(p50, 1);
	bench_show(worst);
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "rcu", "read sections and grace periods between processes");
	set_up();
	measure_pairs();
	measure_grace_periods();
	measure_deaths();
	measure_events();
	tear_down();
	bench_note("liburcu's flavours work within one process; comap's mark lies in the mapped region");
	bench_note("memb and bp use membarrier() where the kernel has it, as comap does");
	return bench_end();
}
