/* SPDX-License-Identifier: MIT */
/* Gets and puts mixed, comap's table beside a table with a sequence count per entry: a million keys of 16
 * bytes, values of 100; uniform and by Zipf's law with 0.99; 0, 1 and 10 % of the operations are puts.
 *
 *     1 process       it gets and puts
 *     2 processes     both do; fairness: the slower one's rate in the faster one's
 *     a reader        gets, while another process puts so often that the share is kept: rate, and the time of
 *                     single gets (with two time stamps around each, which keep look-ups from overlapping)
 *
 * Which key comes next is drawn beforehand, 4 bytes each. Every cell of the matrix is measured on its own:
 * slices of 5 ms, the first one thrown away, the lower quartile of the others counts. */
#include "../zipf.h"
#include "ours.h"
#include "seqlock.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 1000000u
#define DRAWS (1u << 21)
#define SLICE_TICKS_NS 5000000.0
#define SLICES 13u
#define GETS_TIMED 100000u
#define BATCH 32u              /* operations between two looks at the clock and at the other's count */

enum { GO, OTHERS_OPERATIONS, GETS, STOP }; /* shared words */

enum table { COMAP, SEQLOCK, TABLES };
enum order { UNIFORM, ZIPF, ORDERS };
enum shape { ONE, TWO, BESIDE, SHAPES };
static const unsigned percents[] = { 0, 1, 10 };
#define PERCENTS (sizeof percents / sizeof percents[0])

/* One cell of the matrix. */
struct cell {
	enum table table;
	enum order order;
	enum shape shape;
	unsigned percent;
	const char *name;
	struct bench_metric *each, *fairness, *quantiles[3];
	double puts, operations;       /* beside: of all rounds */
};

static struct cell cells[TABLES * ORDERS * SHAPES * PERCENTS];
static unsigned cell_count;
static uint32_t *draws[ORDERS];
static struct bench_helper *other;
static bool is_other;                  /* this process is the other one */
static uint64_t state = 88172645463325252ull;
static uint32_t next_draw;

/* --- the work --------------------------------------------------------------------------------- */

static inline uint32_t next_key(const struct cell *cell)
{
	return draws[cell->order][next_draw++ & (DRAWS - 1)];
}

static inline uint64_t get_one(const struct cell *cell)
{
	return cell->table == COMAP ? ours_get(next_key(cell)) : seqlock_get(next_key(cell));
}

static void put_one(const struct cell *cell)
{
	static char value[VALUE_BYTES];

	value[0]++;
	if (cell->table == COMAP)
		ours_put(next_key(cell), value);
	else
		seqlock_put(next_key(cell), value);
}

/* Gets and puts until the time has come. */
static uint64_t mix_until(const struct cell *cell, uint64_t deadline)
{
	uint64_t limit = UINT64_MAX / 100 * cell->percent, total = 0, count = 0;

	while (bench_ticks() < deadline)
		for (unsigned i = 0; i < BATCH * 8; i++, count++)
			if (random_step(&state) < limit)
				put_one(cell);
			else
				total += get_one(cell);
	bench_use(total);
	return count;
}

/* Gets, and says how many there have been so far. */
static uint64_t get_until(const struct cell *cell, uint64_t deadline)
{
	uint64_t total = 0, count = 0;

	while (bench_ticks() < deadline)
		for (unsigned part = 0; part < 8; part++, count += BATCH) {
			for (unsigned i = 0; i < BATCH; i++)
				total += get_one(cell);
			comap_u64_store_relaxed(bench_shared(GETS), count + BATCH); /* relaxed: paces the writer */
		}
	bench_use(total);
	return count;
}

/* Puts as many as belong to the reader's gets; without any it looks at their count all the same. */
static uint64_t put_until(const struct cell *cell, uint64_t deadline)
{
	uint64_t count = 0;

	while (bench_ticks() < deadline) {
		/* relaxed: soon enough */
		uint64_t due = comap_u64_load_relaxed(bench_shared(GETS)) * cell->percent / (100 - cell->percent);

		for (; count < due && bench_ticks() < deadline; count++)
			put_one(cell);
		if (comap_u64_load_relaxed(bench_shared(STOP))) /* relaxed: soon enough */
			break;
		comap_spin_pause();
	}
	return count;
}

static uint64_t work_until(const struct cell *cell, uint64_t deadline)
{
	if (cell->shape != BESIDE)
		return mix_until(cell, deadline);
	return is_other ? put_until(cell, deadline) : get_until(cell, deadline);
}

/* The other process: waits for the deadline of this slice, which comes after `now`. */
static void other_loop(void *context, uint64_t now)
{
	uint64_t count;

	bench_await(bench_shared(GO), now + 1);
	/* relaxed, both: awaited above; acquired with the helper's end */
	count = work_until(context, comap_u64_load_relaxed(bench_shared(GO)));
	comap_u64_store_relaxed(bench_shared(OTHERS_OPERATIONS), count);
}

static void other_init(void)
{
	is_other = true;
	state = 362436069362436069ull;
	next_draw = DRAWS / 2;
	ours_attach();
}

/* --- one cell --------------------------------------------------------------------------------- */

static void start_other(struct cell *cell, uint64_t length)
{
	uint64_t now = bench_ticks();

	comap_u64_store_relaxed(bench_shared(GETS), 0); /* relaxed, both: before the order */
	comap_u64_store_relaxed(bench_shared(STOP), 0);
	if (cell->shape != ONE)
		bench_helper_order(other, other_loop, cell, now);
	comap_u64_store_release(bench_shared(GO), bench_ticks() + length); /* begin, both */
}

/* How many operations the other has done. */
static double end_other(const struct cell *cell)
{
	if (cell->shape == ONE)
		return 0;
	bench_helper_await(other);
	return (double)comap_u64_load_relaxed(bench_shared(OTHERS_OPERATIONS)); /* relaxed: awaited */
}

/* A slice's time per operation, of the process or of both. */
static double slice(struct cell *cell, double length, double *mine, double *its)
{
	uint64_t begin;
	double count, time, others;

	start_other(cell, (uint64_t)length);
	begin = bench_ticks();
	/* relaxed: stored by this process */
	count = (double)work_until(cell, comap_u64_load_relaxed(bench_shared(GO)));
	time = bench_ticks_ns(bench_ticks() - begin);
	others = end_other(cell);
	*mine += count;
	*its += others;
	return cell->shape == TWO ? (time / count + time / others) / 2 : time / count;
}

static void measure(struct cell *cell)
{
	double length = SLICE_TICKS_NS / bench_ticks_ns(1000) * 1000, samples[SLICES], mine = 0, its = 0;

	slice(cell, length, &mine, &its);
	mine = its = 0;
	for (unsigned i = 0; i < SLICES; i++)
		samples[i] = slice(cell, length, &mine, &its);
	bench_sort(samples, SLICES);
	bench_put(cell->each, bench_quantile(samples, SLICES, 0.25));
	bench_put(cell->fairness, mine < its ? mine / its : its / mine);
	cell->puts += its;
	cell->operations += mine + its;
}

/* The time of single gets, with the writer beside. */
static void measure_single(struct cell *cell)
{
	static const double of[] = { 0.5, 0.99, 0.999 };
	static double samples[GETS_TIMED];
	double far = 100 * SLICE_TICKS_NS / bench_ticks_ns(1000) * 1000;
	uint64_t total = 0;

	start_other(cell, (uint64_t)far);
	for (unsigned i = 0; i < GETS_TIMED; i++) {
		uint64_t begin = bench_ticks();

		total += get_one(cell);
		samples[i] = bench_span_ns(bench_ticks() - begin);
		if (i % BATCH == 0) /* relaxed, both: they pace the writer */
			comap_u64_store_relaxed(bench_shared(GETS), i);
	}
	comap_u64_store_relaxed(bench_shared(STOP), 1);
	bench_use(total);
	end_other(cell);
	bench_sort(samples, GETS_TIMED);
	for (unsigned q = 0; q < 3; q++)
		bench_put(cell->quantiles[q], bench_quantile(samples, GETS_TIMED, of[q]));
}

/* --- all -------------------------------------------------------------------------------------- */

static struct bench_metric *named(struct cell *cell, const char *what, const char *unit)
{
	static const char *const shapes[] = { "1 process", "2 processes", "a reader" };
	char *name;

	bench_need(asprintf(&name, "%s%s, %s, %u %% puts%s", cell->table == COMAP ? "" : "seqlock: ",
	                    shapes[cell->shape], cell->order == UNIFORM ? "uniform" : "zipf", cell->percent,
	                    what) > 0);
	if (!*what)
		cell->name = name;
	return bench_metric(name, unit); /* the name is kept */
}

static void add_cell(struct cell cell)
{
	cell.each = named(&cell, "", "ns");
	if (cell.shape == TWO)
		cell.fairness = named(&cell, ", fairness", "");
	if (cell.shape == BESIDE) {
		cell.quantiles[0] = named(&cell, ", p50", "ns");
		cell.quantiles[1] = named(&cell, ", p99", "ns");
		cell.quantiles[2] = named(&cell, ", p99.9", "ns");
	}
	cells[cell_count++] = cell;
}

static void add_cells(void)
{
	for (unsigned shape = 0; shape < SHAPES; shape++)
		for (unsigned order = 0; order < ORDERS; order++)
			for (unsigned p = 0; p < PERCENTS; p++)
				for (unsigned table = 0; table < TABLES; table++)
					add_cell((struct cell){ table, order, shape, percents[p] });
}

static void draw(void)
{
	double *sums = zipf_sums(KEYS, 0.99);

	bench_need(sums);
	for (unsigned order = 0; order < ORDERS; order++) {
		draws[order] = malloc(DRAWS * sizeof *draws[order]);
		bench_need(draws[order]);
	}
	for (uint32_t i = 0; i < DRAWS; i++) {
		draws[UNIFORM][i] = (uint32_t)random_below(&state, KEYS);
		/* which keys are popular has nothing to do with when they were put: 611953 is a prime */
		draws[ZIPF][i] = (uint32_t)(zipf_pick(sums, KEYS, random_step(&state)) * 611953ull % KEYS);
	}
	free(sums);
}

/* The cell of the same reader where nobody puts. */
static const struct cell *quiet(const struct cell *cell)
{
	const struct cell *at = cells;

	while (at->table != cell->table || at->order != cell->order || at->shape != cell->shape || at->percent)
		at++;
	return at;
}

static void show(const struct cell *cell)
{
	const struct cell *peer = cell + 1;

	bench_against(cell->each, peer->each, 0);
	if (cell->fairness)
		bench_against(cell->fairness, peer->fairness, 0);
	if (cell->shape != BESIDE || cell->percent == 0)
		return;
	bench_against(cell->each, quiet(cell)->each, cell->percent == 10 ? 1 / 0.95 : 0);
	bench_against(peer->each, quiet(peer)->each, 0);
	for (unsigned q = 0; q < 3; q++)
		bench_against(cell->quantiles[q], peer->quantiles[q], 0);
}

/* A writer that cannot keep the share is said so. */
static void note_slow_writers(void)
{
	for (const struct cell *cell = cells; cell < cells + cell_count; cell++)
		if (cell->shape == BESIDE && cell->puts * 100 < cell->operations * cell->percent * 0.95)
			bench_note("%s: the writer came to %.1f %% only", cell->name,
			           cell->puts / cell->operations * 100);
}

int main(int argc, char **argv)
{
	unsigned round = 0;

	bench_begin(argc, argv, "table-mix", "gets and puts of a million keys, ns per operation");
	draw();
	ours_make(bench_path("region"), KEYS);
	seqlock_make(bench_path("seqlock"), KEYS);
	add_cells(); /* before the other process is forked: it sees the same */
	other = bench_helper_start(BENCH_PROCESS, other_init, NULL);
	for (; bench_round(); round++)
		for (unsigned i = 0; i < cell_count; i++) {
			struct cell *cell = &cells[(i + round * 7) % cell_count];

			measure(cell);
			if (cell->shape == BESIDE)
				measure_single(cell);
		}
	for (unsigned i = 0; i < cell_count; i += TABLES)
		show(&cells[i]);
	note_slow_writers();
	bench_helper_end(other);
	ours_close();
	return bench_end();
}
