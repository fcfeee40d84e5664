/* SPDX-License-Identifier: MIT */
/* The store-buffer litmus of the grace period: does a synchronizer miss a reader whose mark is still
 * in its processor's store buffer?
 *
 *     test_litmus [SECONDS]     4 by default; `./run long litmus SECONDS`
 *
 *              | reader, process 1              | synchronizer, process 2
 *              | k stores to lines that the     |
 *              | other one has dirtied          |
 *              | comap_read_begin(): the mark   | pointer = new (the unlink)
 *              | r1 = pointer                   | a ticket; r2 = is the grace period over?
 *   a miss     | r1 = old, in a section         | r2 = yes
 *
 * The k stores fill the buffer, so that the mark waits behind them while the load goes ahead: without a
 * barrier, that load is hundreds of nanoseconds before the mark as others see it. Plain torture is blind
 * for this (docs/rcu.md); here it shows within milliseconds. comap_read_begin() is the real one, and so is
 * the synchronizer's look at the marks.
 *
 * Positive: membarrier() with a registered reader; a fenced region. No miss at all.
 * Negative, one thing taken away each: no barrier (a ticket without membarrier()); no registration (the
 * reader's process never registered, the barrier passes it by); no fence (a reader of a fenced region
 * that does not fence itself). Each must miss at least once within its time, or the test fails: then it
 * would not have seen the fault that it is for. */
#include "check.h"

#include "region.h"
#include "vm.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINES 96u
#define STRIDE_WORDS 512u       /* a line of each of so many pages: their stores take longest */
#define CONTROL_SECONDS 30      /* so long at most is a negative control tried once more */
#define GIVE_UP_NS 20000000000ull /* and any row, where nobody gets a processor */
#define HEAD_START 40u          /* the reader's start is so much later, in steps of delay() */
#define JITTER 32u

enum { READY, REGISTERED, NEVER };
enum { MARK_AT };              /* counter: of the lent mark in the file */

/* Between the two processes; a line for each word that one of them waits for. */
struct shared {
	struct comap_u64 round __attribute__((aligned(128)));   /* W: synchronizer. The round is on. */
	struct comap_u64 seen __attribute__((aligned(128)));    /* W: reader. round << 1 | saw the old one */
	struct comap_u64 judged __attribute__((aligned(128)));  /* W: synchronizer. The section may end. */
	struct comap_u64 ended __attribute__((aligned(128)));   /* W: reader. It has. */
	struct comap_u64 pointer __attribute__((aligned(128)));
	struct comap_u64 rounds, misses, waited;                /* W: synchronizer */
	struct comap_u64 lines[LINES * STRIDE_WORDS] __attribute__((aligned(128)));
};

struct way {
	const char *name;
	uint32_t flags;
	bool registered;        /* the reader's process attaches, and so registers */
	bool barrier;           /* the ticket has its barrier */
	bool fence;             /* a fenced region's reader fences itself */
	bool must_miss;
};

static const struct way ways[] = {
	{ "membarrier, registered", 0, true, true, true, false },
	{ "fenced region", COMAP_FENCED, true, true, true, false },
	{ "no barrier", 0, true, false, true, true },
	{ "no registration", 0, false, true, true, true },
	{ "fenced region, no fence", COMAP_FENCED, true, true, false, true },
};
static const unsigned depths[] = { 0, 20, 60, 96 };
enum { WAYS = sizeof ways / sizeof ways[0], DEPTHS = sizeof depths / sizeof depths[0] };

static double seconds = 4;
static const char *path;
static struct shared *shared;
static const struct way *way;           /* before the fork: the children read it */
static unsigned depth;
static uint64_t run_ns;

static void run_on(int processor)
{
	cpu_set_t all, one;
	int at = -1;

	PROC_REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
	for (int left = processor + 1; left > 0 && ++at < CPU_SETSIZE;)
		left -= CPU_ISSET(at, &all) ? 1 : 0;
	CPU_ZERO(&one);
	CPU_SET(at, &one);
	PROC_REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
}

static int processors(void)
{
	cpu_set_t all;

	return sched_getaffinity(0, sizeof all, &all) == 0 ? CPU_COUNT(&all) : 1;
}

/* The other one may be off its processor: then ours is given away as well. */
static uint64_t await(const struct comap_u64 *word, uint64_t least)
{
	uint64_t is;

	/* acquire: what the other one stored before the word */
	for (unsigned n = 1; (is = comap_u64_load_acquire(word)) < least; n++)
		if (n % 4096 == 0)
			sched_yield();
		else
			comap_spin_pause();
	return is;
}

static void delay(uint64_t steps)
{
	for (uint64_t i = 0; i < steps * 50; i++)
		__asm__ volatile("" : "+r"(i)); /* some ten nanoseconds a step */
}

/* --- the reader ------------------------------------------------------------------------------------ */

/* The stores that the mark waits behind. relaxed: nobody reads them. */
static inline void fill_store_buffer(uint64_t round)
{
	for (unsigned i = 0; i < depth; i++)
		comap_u64_store_relaxed(&shared->lines[(size_t)i * STRIDE_WORDS], round);
}

static void read_round(struct comap *region, uint64_t round)
{
	uint64_t pointer;

	delay(HEAD_START);
	fill_store_buffer(round);
	PROC_REQUIRE(comap_read_begin(region) == 0);
	pointer = comap_u64_load_relaxed(&shared->pointer); /* relaxed: the load that is asked about */
	comap_fence_compiler();
	comap_u64_store_release(&shared->seen, round << 1 | (pointer < round)); /* release: as await() says */
	(void)await(&shared->judged, round);
	PROC_REQUIRE(comap_read_end(region) == 0);
	comap_u64_store_release(&shared->ended, round); /* release: as await() says */
}

static void read_rounds(struct comap *region)
{
	run_on(0);
	proc_post(READY);
	for (uint64_t round = 1; await(&shared->round, round) != UINT64_MAX; round++)
		read_round(region, round);
}

/* A reader that leaves out its fence: what comap_read_begin() does where the barrier is membarrier(). */
static int reader(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE_OK(comap_thread_register(region));
	if (!way->fence)
		comap__row(region)->epoch = &region->control->epoch;
	read_rounds(region);
	return comap_close(region);
}

/* A reader whose process is not registered: another process, which is attached and sleeps, has the record;
 * this one has mapped its mark, and the thread's row says so. A section needs no more of a handle. */
static int stranger(void *arg)
{
	static char rows[COMAP__ROW_COUNT * COMAP__ROW_BYTES] __attribute__((aligned(4096)));
	uint64_t mark_offset = comap_u64_load_acquire(proc_counter(MARK_AT)); /* acquire: the lender's claim */
	struct comap *region = (void *)rows; /* its address says: row 0 */
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct comap_control_shm *control;
	void *map;

	PROC_REQUIRE(fd >= 0);
	PROC_REQUIRE(comap__vm_map(mark_offset + sizeof(struct comap_u64), PROT_READ | PROT_WRITE, MAP_SHARED,
	                           fd, 0, &map) == 0);
	close(fd);
	control = (void *)((char *)map + COMAP_IDENTITY_BYTES);
	comap__tls_rows = (void *)rows;
	comap__row(region)->mark = (void *)((char *)map + mark_offset);
	comap__row(region)->epoch = &control->epoch;
	read_rounds(region);
	return 0;
}

static int lends_its_record(void *arg)
{
	struct comap *region = check_open(path, 0);

	PROC_REQUIRE_OK(comap_thread_register(region));
	/* release: a record that is claimed */
	comap_u64_store_release(proc_counter(MARK_AT), (uint64_t)((char *)comap__row(region)->mark -
	                                                          region->writable));
	proc_post(REGISTERED);
	proc_await(NEVER, 1);
	return 1;
}

/* --- the synchronizer ------------------------------------------------------------------------------- */

static uint64_t draw_ticket(struct comap *region)
{
	if (way->barrier)
		return comap_synchronize_start(region);
	return comap_u64_add_seq_cst(&region->control->epoch, 1) + 1; /* all but the barrier */
}

/* So that the reader's stores to them take long: they come from here, or from memory. */
static void take_lines_away(uint64_t round)
{
	for (unsigned i = 0; i < LINES; i++) {
		struct comap_u64 *line = &shared->lines[(size_t)i * STRIDE_WORDS];

		comap_u64_store_relaxed(line, round); /* relaxed: nobody reads it */
#ifdef __x86_64__
		__builtin_ia32_clflush(line);
#endif
	}
	comap_fence_full(); /* before the round begins */
}

/* Half of the sections are to see the old pointer: that is where the two are closest. */
static uint64_t aim(uint64_t steps, bool saw_old)
{
	return saw_old ? steps - (steps > 0) : steps + 1;
}

static void synchronize_round(struct comap *region, uint64_t round)
{
	static uint64_t steps = HEAD_START;
	uint64_t ticket;
	bool saw_old, is_over;

	take_lines_away(round);
	comap_u64_store_release(&shared->round, round); /* release: as await() says */
	delay(steps + round % JITTER);
	comap_u64_store_release(&shared->pointer, round); /* release: as an unlink is */
	ticket = draw_ticket(region);
	PROC_REQUIRE(ticket != 0);
	is_over = comap_synchronize_poll(region, ticket) == 1;
	saw_old = await(&shared->seen, round << 1) & 1;
	steps = aim(steps, saw_old);
	comap_u64_store_release(&shared->judged, round); /* release: as await() says */
	(void)await(&shared->ended, round);
	/* relaxed: looked at when this process has ended */
	comap_u64_add_relaxed(&shared->rounds, 1);
	comap_u64_add_relaxed(&shared->misses, saw_old && is_over);
	comap_u64_add_relaxed(&shared->waited, saw_old && !is_over);
}

static bool is_found(void)
{
	/* relaxed: our own word */
	return way->must_miss && comap_u64_load_relaxed(&shared->misses) > 0;
}

static int synchronizer(void *arg)
{
	struct comap *region = check_open(path, 0);
	uint64_t deadline_ns;

	run_on(1);
	deadline_ns = comap_now_ns() + run_ns; /* from here on: on a busy machine it took its time to come */
	for (uint64_t round = 1; round == 1 || comap_now_ns() < deadline_ns; round++) {
		synchronize_round(region, round);
		if (is_found() && round % 4096 == 0)
			break;
	}
	comap_u64_store_release(&shared->round, UINT64_MAX);
	return comap_close(region);
}

/* --- the table --------------------------------------------------------------------------------------- */


static int maker(void *arg)
{
	PROC_REQUIRE_OK(comap_close(check_open(path, COMAP_CREATE | way->flags)));
	return 0;
}

static void finish(struct proc *proc)
{
	proc_assert_ok(proc);
	proc_release(proc);
}

static void run_once(double run_seconds)
{
	static uint32_t registered, ready; /* points only count up */
	struct proc *lender = NULL, *reading, *synchronizing;

	memset(shared, 0, sizeof *shared);
	(void)remove(path);
	finish(proc_spawn("maker", maker, NULL));
	if (!way->registered) {
		lender = proc_spawn("lender", lends_its_record, NULL);
		proc_await(REGISTERED, ++registered);
	}
	reading = proc_spawn("reader", way->registered ? reader : stranger, NULL);
	proc_await(READY, ++ready);
	run_ns = (uint64_t)(run_seconds * 1e9);
	synchronizing = proc_spawn("synchronizer", synchronizer, NULL);
	finish(synchronizing);
	finish(reading);
	if (lender) {
		proc_kill(lender);
		proc_release(lender);
	}
}

static void print_row(uint64_t rounds, uint64_t misses)
{
	printf("%-26s %4u %10llu %10llu %10llu\n", way->name, depth, (unsigned long long)rounds,
	       (unsigned long long)misses,
	       /* relaxed: its writer has ended */
	       (unsigned long long)comap_u64_load_relaxed(&shared->waited));
	fflush(stdout);
}

/* A row of the table: one way, one depth. Returns the misses. */
static uint64_t run_row(double run_seconds)
{
	uint64_t give_up_ns = comap_now_ns() + GIVE_UP_NS, rounds, misses;

	do { /* where others have the processors, a short time may pass without a round */
		run_once(run_seconds);
		rounds = comap_u64_load_relaxed(&shared->rounds); /* relaxed, both: their writer has ended */
	} while (rounds == 0 && comap_now_ns() < give_up_ns);
	misses = comap_u64_load_relaxed(&shared->misses);
	print_row(rounds, misses);
	assert_true(rounds > 0);
	if (!way->must_miss && misses)
		fail_msg("%s: %llu sections were missed", way->name, (unsigned long long)misses);
	return misses;
}

static void run_way(double run_seconds)
{
	uint64_t misses = 0;

	for (unsigned d = 0; d < DEPTHS; d++) {
		depth = depths[d];
		misses += run_row(run_seconds);
	}
	/* A busy machine gives the two few rounds at the same time: the last depth again, for long. */
	if (way->must_miss && misses == 0 && run_row(CONTROL_SECONDS) == 0)
		fail_msg("%s: no section was missed, the litmus is blind here", way->name);
}

static void test_litmus(void **state)
{
	path = proc_path(PROC_SHM, "region");
	printf("%-26s %4s %10s %10s %10s\n", "", "k", "rounds", "misses", "waited for");
	for (unsigned w = 0; w < WAYS; w++) {
		way = &ways[w];
		run_way(seconds / (WAYS * DEPTHS));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { PROC_TEST(test_litmus) };
	void *at;

	if (argc > 1)
		seconds = atof(argv[1]);
	if (processors() < 2) {
		printf("SKIPPED: a store buffer is seen from another processor only, and there is one\n");
		return 77;
	}
	if (comap__vm_map(sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0, &at) != 0)
		return 1;
	shared = at;
	proc_limit_ms = (unsigned)(seconds * 1000) + 2 * CONTROL_SECONDS * 1000;
	return cmocka_run_group_tests_name("store-buffer litmus", tests, NULL, NULL);
}
