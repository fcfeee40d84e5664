/* SPDX-License-Identifier: MIT */
/* Memory of 1 to 64 processes that read a table of 100,000 entries, keys of 16 bytes, values of 100: comap,
 * LMDB, a private copy each, and processes that do nothing. Each reads every entry once; then PSS and page
 * tables are summed. The copy is as small as one can be: entries back to back, and an index of 4 bytes a
 * slot, half full. Draws OUT/table-memory.svg where gnuplot is. */
#include "../crowd.h"
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

#define KEYS 100000u
#define SLOTS (1u << 18)
#define COUNTS 7u              /* 1, 2, 4 ... 64 processes */

static const char *region_path, *lmdb_path;

/* --- comap ------------------------------------------------------------------------------------ */

static void make_ours(void *context) { ours_make(region_path, KEYS); ours_close(); }

static bool read_ours(void *context)
{
	uint64_t total = 0;

	ours.region = comap_open(region_path, 0);
	ours.table = ours.region ? comap_table_open(ours.region, "t", NULL) : NULL;
	if (!ours.table)
		return false;
	for (uint32_t i = 0; i < KEYS; i++)
		total += ours_get(i);
	bench_use(total);
	return true;
}

/* --- a copy each ------------------------------------------------------------------------------ */

static bool read_copy(void *context)
{
	struct whole { struct key key; char value[VALUE_BYTES]; };
	struct whole *entries = malloc(KEYS * sizeof *entries);
	uint32_t *index = calloc(SLOTS, sizeof *index), at;

	if (!entries || !index)
		return false;
	for (uint32_t i = 0; i < KEYS; i++) {
		entries[i].key = key_of(i);
		value_fill(entries[i].value);
		for (at = (uint32_t)entries[i].key.words[0]; index[at % SLOTS]; at++)
			continue;
		index[at % SLOTS] = i + 1;
	}
	bench_use(entries);
	bench_use(index);
	return true;
}

/* --- LMDB ------------------------------------------------------------------------------------- */

#ifdef HAVE_LMDB
static MDB_env *lmdb_open(unsigned flags)
{
	MDB_env *env;

	bench_need(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, 1ull << 30) == 0);
	bench_need(mdb_env_open(env, lmdb_path, MDB_NOSUBDIR | MDB_NOSYNC | flags, 0600) == 0);
	return env;
}

static void make_lmdb(void *context)
{
	char payload[VALUE_BYTES];
	MDB_env *env = lmdb_open(0);
	MDB_txn *txn;
	MDB_dbi dbi;

	value_fill(payload);
	bench_need(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	for (uint32_t i = 0; i < KEYS; i++) {
		struct key key = key_of(i);
		MDB_val name = { sizeof key, &key }, value = { VALUE_BYTES, payload };

		bench_need(mdb_put(txn, dbi, &name, &value, 0) == 0);
	}
	bench_need(mdb_txn_commit(txn) == 0);
	mdb_env_close(env);
}

static bool read_lmdb(void *context)
{
	MDB_env *env = lmdb_open(MDB_RDONLY);
	uint64_t total = 0;
	MDB_txn *txn;
	MDB_dbi dbi;

	bench_need(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	for (uint32_t i = 0; i < KEYS; i++) {
		struct key key = key_of(i);
		MDB_val name = { sizeof key, &key }, value;

		if (mdb_get(txn, dbi, &name, &value) != 0)
			return false;
		total += sum(value.mv_data);
	}
	bench_use(total);
	return true;
}
#endif

/* --- all -------------------------------------------------------------------------------------- */

static bool do_nothing(void *context) { return true; }

enum { COMAP, LMDB, COPY, IDLE, WAYS };
static struct way {
	const char *name;
	crowd_part *part;
	struct bench_metric *sum[COUNTS];        /* PSS and page tables, MiB */
	struct bench_metric *more, *more_tables; /* of one more process, KiB */
} ways[WAYS] = {
	[COMAP] = { "comap", read_ours },
#ifdef HAVE_LMDB
	[LMDB] = { "LMDB", read_lmdb },
#endif
	[COPY] = { "a copy each", read_copy },
	[IDLE] = { "idle", do_nothing },
};

static struct bench_metric *named(const struct way *way, const char *what, unsigned count, const char *unit)
{
	char *text; /* it is kept */

	bench_need((count ? asprintf(&text, "%s%s: %u", way->name, what, count)
	                  : asprintf(&text, "%s%s", way->name, what)) > 0);
	return bench_metric(text, unit);
}

static void name_metrics(struct way *way)
{
	for (unsigned i = 0; i < COUNTS; i++)
		way->sum[i] = named(way, ", processes", 1u << i, "MiB");
	way->more = named(way, ", one more process", 0, "KiB");
	way->more_tables = named(way, ", one more process's page tables", 0, "KiB");
}

/* The resident pages of this process's stack. */
static double stack_kib(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long kib = 0;
	char line[256];
	bool there = false;

	while (file && fgets(line, sizeof line, file)) {
		there = there || strstr(line, "[stack]");
		if (there && sscanf(line, "Rss: %lu", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (double)kib;
}

static void measure(const struct way *way)
{
	struct crowd_sums sums, first = { 0 };
	double others = (1u << (COUNTS - 1)) - 1;

	for (unsigned i = 0; i < COUNTS; i++) {
		bench_need(crowd_measure(1u << i, way->part, NULL, &sums) == 0);
		bench_put(way->sum[i], (double)(sums.pss_bytes + sums.page_table_bytes) / 1048576);
		if (i == 0)
			first = sums;
	}
	bench_put(way->more, ((double)sums.pss_bytes - (double)first.pss_bytes) / others / 1024);
	bench_put(way->more_tables,
	          ((double)sums.page_table_bytes - (double)first.page_table_bytes) / others / 1024);
}

static void make_others(void)
{
	region_path = bench_path("region");
	lmdb_path = bench_path("lmdb");
	bench_path("lmdb-lock");
	bench_wait(bench_fork(make_ours, NULL));
#ifdef HAVE_LMDB
	bench_wait(bench_fork(make_lmdb, NULL));
#else
	bench_note("LMDB: not installed");
#endif
}

static void draw(void)
{
	FILE *gnuplot = popen("gnuplot 2>&1", "w");

	bench_need(gnuplot);
	fprintf(gnuplot, "set terminal svg size 760,440 font 'sans,13' background 'white'\n"
	        "set output '%s/table-memory.svg'\n"
	        "set title 'Memory of N processes that read one table of %u entries'\n"
	        "set xlabel 'processes'\nset ylabel 'PSS and page tables, MiB'\n"
	        "set logscale xy 2\nset grid ytics\nset key left top\n$points << EOD\n", bench_out(), KEYS);
	for (unsigned i = 0; i < COUNTS; i++) {
		fprintf(gnuplot, "%u", 1u << i);
		for (unsigned w = 0; w < IDLE; w++)
			fprintf(gnuplot, " %.4f", ways[w].part ? bench_median(ways[w].sum[i]) : 0);
		fprintf(gnuplot, "\n");
	}
	fprintf(gnuplot, "EOD\nplot ");
	for (unsigned w = IDLE; w-- > 0;)
		if (ways[w].part)
			fprintf(gnuplot, "$points using 1:%u with linespoints lw 2 title '%s'%s", w + 2,
			        ways[w].name, w ? ", " : "\n");
	if (pclose(gnuplot) == 0)
		printf("table-memory: drawn in %s/table-memory.svg\n", bench_out());
	else
		printf("table-memory: not drawn, gnuplot is missing\n");
}

int main(int argc, char **argv)
{
	struct bench_metric *stack;
	int status;

	bench_begin(argc, argv, "table-memory", "100,000 entries read by 1 to 64 processes");
	make_others();
	for (unsigned w = 0; w < WAYS; w++)
		if (ways[w].part)
			name_metrics(&ways[w]);
	stack = bench_metric("idle, one more process, and its stack", "KiB");
	while (bench_round()) {
		for (unsigned w = 0; w < WAYS; w++)
			if (ways[w].part)
				measure(&ways[w]);
		bench_put(stack, bench_last(ways[IDLE].more) + stack_kib());
	}
	for (unsigned i = 0; i < COUNTS; i++)
		for (unsigned w = LMDB; w <= COPY; w++)
			if (ways[w].part)
				bench_against(ways[COMAP].sum[i], ways[w].sum[i], 0);
	for (unsigned w = COPY + 1; w-- > 0;)
		if (ways[w].part) {
			bench_show(ways[w].more_tables);
			bench_against(ways[w].more, stack, w == COMAP ? 1 : 0);
		}
	status = bench_end();
	draw();
	return status;
}
