/* SPDX-License-Identifier: MIT */
/* A million entries at once: how long a bulk load takes, beside a loop of puts and LMDB's one transaction;
 * what a reader and a writer on the second CPU notice of its commit; dumps and restores.
 *
 *     COMAP_BENCH_KEYS=10000000 load      another number of entries
 *
 * Each load is into a new file, whose pages the kernel must clear; "again" replaces what is there. */
#include "ours.h"

#include <stdlib.h>
#include <unistd.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

enum { PHASE, SEEN, LONGEST }; /* shared words; LONGEST + phase */
enum phase { WARMING, IDLE, LOADING, COMMITTING, OVER };

static uint64_t key_count = 1000000;
static char value[VALUE_BYTES];
static struct bench_metric *bulk_ns, *put_ns, *again_ns, *commit_ms, *lmdb_ns, *lmdb_sorted_ns;
static struct bench_metric *pause_us[2][OVER], *dump_mbs, *dump_pause_ms, *walk_mbs, *restore_ns;

static double per_entry(uint64_t begun_ns)
{
	return (double)(bench_clock_ns() - begun_ns) / (double)key_count;
}

static void fill(struct comap_bulk *bulk)
{
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);

		bench_need(comap_table_bulk_put(bulk, &key, sizeof key, value, VALUE_BYTES) == 0);
	}
}

/* --- loads into new files ----------------------------------------------------------------------- */

static void measure_bulk(const char *path)
{
	struct comap_bulk *bulk;
	uint64_t begun_ns;

	ours_make(path, 0);
	begun_ns = bench_clock_ns();
	bulk = comap_table_bulk_begin(ours.table, key_count);
	bench_need(bulk);
	fill(bulk);
	bench_need(comap_table_bulk_commit(bulk) == 0);
	bench_put(bulk_ns, per_entry(begun_ns));
	ours_close();
	unlink(path);
}

static void measure_puts(const char *path)
{
	uint64_t begun_ns;

	ours_make(path, 0);
	begun_ns = bench_clock_ns();
	for (uint64_t i = 0; i < key_count; i++)
		ours_put(i, value);
	bench_put(put_ns, per_entry(begun_ns));
	ours_close();
	unlink(path);
}

#ifdef HAVE_LMDB
/* In the order of the others' keys; or in LMDB's own, by appending, which is its best. */
static void measure_lmdb(const char *path, bool sorted)
{
	uint64_t begun_ns = bench_clock_ns();
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	bench_need(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, key_count * 1024) == 0);
	bench_need(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK, 0600) == 0);
	bench_need(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = sorted ? (struct key){ { __builtin_bswap64(i), 0 } } : key_of(i);
		MDB_val name = { sizeof key, &key }, data = { VALUE_BYTES, value };

		bench_need(mdb_put(txn, dbi, &name, &data, sorted ? MDB_APPEND : 0) == 0);
	}
	bench_need(mdb_txn_commit(txn) == 0);
	bench_put(sorted ? lmdb_sorted_ns : lmdb_ns, per_entry(begun_ns));
	mdb_env_close(env);
	unlink(path);
}
#endif

/* --- what others notice ------------------------------------------------------------------------- */

/* One get or put after the other; each phase has its longest. `context`: puts. */
static void bystander(void *context)
{
	uint64_t state = 88172645463325252ull, begun, phase;

	ours_attach();
	comap_u64_store_release(bench_shared(SEEN), 1);
	while ((phase = comap_u64_load_acquire(bench_shared(PHASE))) != OVER) {
		uint64_t number = random_below(&state, key_count);

		begun = bench_ticks();
		if (context)
			ours_put(number, value);
		else
			bench_use(ours_get(number));
		comap_u64_max_acq_rel(bench_shared(LONGEST + (unsigned)phase), bench_ticks() - begun);
	}
}

static void enter(enum phase phase)
{
	comap_u64_store_release(bench_shared(PHASE), phase);
}

/* A load over the contents of the load before, with somebody beside it. */
static void measure_again(bool beside_writer)
{
	struct comap_bulk *bulk;
	uint64_t begun_ns, filled_ns;
	pid_t pid;

	for (unsigned i = 0; i < OVER; i++)
		comap_u64_store_release(bench_shared(LONGEST + i), 0);
	comap_u64_store_release(bench_shared(SEEN), 0);
	enter(WARMING);
	pid = bench_fork(bystander, beside_writer ? &key_count : NULL);
	bench_await(bench_shared(SEEN), 1);
	usleep(300000);
	enter(IDLE);
	usleep(200000); /* about as long as the commit */
	enter(LOADING);
	begun_ns = bench_clock_ns();
	bulk = comap_table_bulk_begin(ours.table, key_count);
	bench_need(bulk);
	fill(bulk);
	filled_ns = bench_clock_ns();
	enter(COMMITTING);
	bench_need(comap_table_bulk_commit(bulk) == 0);
	if (!beside_writer) {
		bench_put(commit_ms, (double)(bench_clock_ns() - filled_ns) / 1e6);
		bench_put(again_ns, per_entry(begun_ns));
	}
	enter(OVER);
	bench_wait(pid);
	for (unsigned i = IDLE; i < OVER; i++)
		bench_put(pause_us[beside_writer][i],
		          bench_span_ns(comap_u64_load_acquire(bench_shared(LONGEST + i))) / 1e3);
}

/* --- dumps -------------------------------------------------------------------------------------- */

static double megabytes_a_second(const struct comap_dump_report *report, uint64_t begun_ns)
{
	return (double)report->file_bytes * 1e3 / (double)(bench_clock_ns() - begun_ns);
}

static void measure_dump(const char *path)
{
	struct comap_dump_report report;
	uint64_t begun_ns = bench_clock_ns();

	bench_need(comap_table_dump(ours.table, path, COMAP_DUMP_BY_AND_BY, &report) == 0);
	bench_put(walk_mbs, megabytes_a_second(&report, begun_ns));
	begun_ns = bench_clock_ns();
	bench_need(comap_table_dump(ours.table, path, COMAP_DUMP_AT_ONCE, &report) == 0);
	bench_put(dump_mbs, megabytes_a_second(&report, begun_ns));
	bench_put(dump_pause_ms, (double)report.pause_ns / 1e6);
	begun_ns = bench_clock_ns();
	bench_need(comap_table_restore(ours.table, path, &report) == 0);
	bench_put(restore_ns, per_entry(begun_ns));
	bench_need(report.entries == key_count);
}

/* --- the bench ---------------------------------------------------------------------------------- */

static void make_metrics(void)
{
	bulk_ns = bench_metric("bulk load, new file", "ns/entry");
	put_ns = bench_metric("puts, new file", "ns/entry");
	lmdb_ns = bench_metric("LMDB, one transaction", "ns/entry");
	lmdb_sorted_ns = bench_metric("LMDB, sorted and appended", "ns/entry");
	again_ns = bench_metric("bulk load over the one before", "ns/entry");
	commit_ms = bench_metric("... of it the commit, old entries freed", "ms");
	pause_us[0][IDLE] = bench_metric("longest get: nobody loads, 0.2 s", "us");
	pause_us[0][LOADING] = bench_metric("longest get while a load is built", "us");
	pause_us[0][COMMITTING] = bench_metric("longest get during the commit", "us");
	pause_us[1][IDLE] = bench_metric("longest put: nobody loads, 0.2 s", "us");
	pause_us[1][LOADING] = bench_metric("longest put while a load is built", "us");
	pause_us[1][COMMITTING] = bench_metric("longest put during the commit", "us");
	dump_mbs = bench_metric("dump of one moment", "MB/s");
	dump_pause_ms = bench_metric("... and how long writers stood", "ms");
	walk_mbs = bench_metric("dump by and by", "MB/s");
	restore_ns = bench_metric("restore", "ns/entry");
}

static void show(void)
{
	bench_against(bulk_ns, put_ns, 0);
#ifdef HAVE_LMDB
	bench_against(bulk_ns, lmdb_ns, 0);
	bench_against(bulk_ns, lmdb_sorted_ns, 0);
#else
	bench_note("LMDB is not installed: tools/setup.sh bench");
#endif
	bench_show(again_ns);
	bench_show(commit_ms);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = IDLE; k < OVER; k++)
			bench_show(pause_us[i][k]);
	bench_show(dump_mbs);
	bench_show(dump_pause_ms);
	bench_show(walk_mbs);
	bench_show(restore_ns);
}

int main(int argc, char **argv)
{
	const char *keys = getenv("COMAP_BENCH_KEYS"), *fresh, *stays, *other;

	if (keys && strtoull(keys, NULL, 10) > 0)
		key_count = strtoull(keys, NULL, 10);
	value_fill(value);
	bench_begin(argc, argv, "table-load", "bulk loads, dumps and restores of a table");
	fresh = bench_path("new");
	stays = bench_path("region");
	other = bench_path("other");
	make_metrics();
	while (bench_round()) {
		measure_bulk(fresh);
		measure_puts(fresh);
#ifdef HAVE_LMDB
		measure_lmdb(other, false);
		measure_lmdb(other, true);
#else
		bench_put(lmdb_ns, 0);
		bench_put(lmdb_sorted_ns, 0);
#endif
		ours_make(stays, key_count);
		measure_again(false);
		measure_again(true);
		measure_dump(other);
		ours_close();
		unlink(stays);
		unlink(other);
	}
	show();
	bench_note("%llu entries of %u + %u bytes", (unsigned long long)key_count, KEY_BYTES, VALUE_BYTES);
	return bench_end();
}
