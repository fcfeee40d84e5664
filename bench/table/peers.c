/* SPDX-License-Identifier: MIT */
/* One get of a million by others, beside comap's: LMDB, SQLite, memcached and Redis over a socket of this
 * machine, liburcu's hash table inside one process. Keys of 16 bytes, values of 100, uniform, one reader. A
 * peer that is not installed is a note. memcached's keys are written in hexadecimal. */
#include "ours.h"
#include "servers.h"

#include <stdlib.h>
#include <unistd.h>

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif
#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif

static const uint64_t key_count = 1000000;
static uint64_t state = 88172645463325252ull;
static char payload[VALUE_BYTES];

static struct key next_key(void) { return key_of(random_below(&state, key_count)); }

static void comap_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++)
		total += ours_get(random_below(&state, key_count));
	bench_use(total);
}

/* --- liburcu ---------------------------------------------------------------------------------- */

struct node {
	struct cds_lfht_node link;
	struct key key;
	char value[VALUE_BYTES];
};

static struct cds_lfht *lfht;

static struct node *node_of(struct cds_lfht_node *link) { return (void *)link; } /* its first field */

static int is_node(struct cds_lfht_node *link, const void *key)
{
	return memcmp(&node_of(link)->key, key, KEY_BYTES) == 0;
}

/* Any mixing will do: the keys are spread already. */
static unsigned long hash_of(const struct key *key)
{
	return (key->words[0] ^ key->words[0] >> 29) * 0xbf58476d1ce4e5b9ull;
}

static void lfht_make(void)
{
	urcu_memb_register_thread();
	lfht = cds_lfht_new_flavor(1 << 20, 1, 0, CDS_LFHT_AUTO_RESIZE, &urcu_memb_flavor, NULL);
	bench_need(lfht);
	urcu_memb_read_lock();
	for (uint64_t i = 0; i < key_count; i++) {
		struct node *node = malloc(sizeof *node);

		bench_need(node);
		node->key = key_of(i);
		memcpy(node->value, payload, VALUE_BYTES);
		cds_lfht_add(lfht, hash_of(&node->key), &node->link);
	}
	urcu_memb_read_unlock();
}

static void lfht_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = next_key();
		struct cds_lfht_iter iter;

		urcu_memb_read_lock();
		cds_lfht_lookup(lfht, hash_of(&key), is_node, &key, &iter);
		total += sum(node_of(cds_lfht_iter_get_node(&iter))->value);
		urcu_memb_read_unlock();
	}
	bench_use(total);
}

/* --- LMDB ------------------------------------------------------------------------------------- */

#ifdef HAVE_LMDB
static MDB_txn *lmdb_txn;
static MDB_dbi lmdb_dbi;

static void lmdb_make(void)
{
	MDB_env *env;
	MDB_txn *txn;

	bench_need(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, 2ull << 30) == 0);
	bench_need(mdb_env_open(env, bench_path("lmdb"), MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK, 0600) == 0);
	bench_need(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &lmdb_dbi) == 0);
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);
		MDB_val name = { sizeof key, &key }, value = { VALUE_BYTES, payload };

		bench_need(mdb_put(txn, lmdb_dbi, &name, &value, 0) == 0);
	}
	bench_need(mdb_txn_commit(txn) == 0 && mdb_txn_begin(env, NULL, MDB_RDONLY, &lmdb_txn) == 0);
}

/* With a context: the transaction is renewed for each get. */
static void lmdb_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = next_key();
		MDB_val name = { sizeof key, &key }, value;

		if (context) {
			mdb_txn_reset(lmdb_txn);
			bench_need(mdb_txn_renew(lmdb_txn) == 0);
		}
		bench_need(mdb_get(lmdb_txn, lmdb_dbi, &name, &value) == 0);
		total += sum(value.mv_data);
	}
	bench_use(total);
}
#endif

/* --- SQLite ----------------------------------------------------------------------------------- */

#ifdef HAVE_SQLITE
static sqlite3_stmt *select_one;

static void sqlite_make(void)
{
	static const char set_up[] = "pragma journal_mode=off; pragma synchronous=off; pragma mmap_size=1073741824;"
		"create table t (k blob primary key, v blob) without rowid; begin";
	sqlite3_stmt *insert;
	sqlite3 *db;

	bench_need(sqlite3_open(bench_path("sqlite"), &db) == 0 && sqlite3_exec(db, set_up, 0, 0, 0) == 0);
	bench_need(sqlite3_prepare_v2(db, "insert into t values (?, ?)", -1, &insert, NULL) == 0);
	for (uint64_t i = 0; i < key_count; i++) {
		struct key key = key_of(i);

		sqlite3_bind_blob(insert, 1, &key, sizeof key, SQLITE_STATIC);
		sqlite3_bind_blob(insert, 2, payload, VALUE_BYTES, SQLITE_STATIC);
		bench_need(sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == 0);
	}
	bench_need(sqlite3_finalize(insert) == 0 && sqlite3_exec(db, "commit; begin", 0, 0, 0) == 0);
	bench_need(sqlite3_prepare_v2(db, "select v from t where k = ?", -1, &select_one, NULL) == 0);
}

static void sqlite_loop(void *context, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct key key = next_key();

		sqlite3_bind_blob(select_one, 1, &key, sizeof key, SQLITE_STATIC);
		bench_need(sqlite3_step(select_one) == SQLITE_ROW);
		total += sum(sqlite3_column_blob(select_one, 0));
		bench_need(sqlite3_reset(select_one) == 0);
	}
	bench_use(total);
}
#endif

/* --- all -------------------------------------------------------------------------------------- */

static void server_loop(void *context, uint64_t count)
{
	struct server_gets *gets = context;

	for (uint64_t i = 0; i == 0 || i + gets->at_once / 2 < count; i += gets->at_once) {
		for (unsigned k = 0; k < gets->at_once; k++)
			gets->keys[k] = next_key();
		server_get(gets);
	}
}

static struct bench_case cases[12];
static unsigned case_count;

static void add(const char *name, bench_loop *loop, void *context)
{
	cases[case_count++] = (struct bench_case){ bench_metric(name, "ns"), loop, context };
}

static void add_server(enum server_kind kind, const char *name, const char *one, const char *many)
{
	static struct server_gets gets[4];
	static unsigned used;
	struct server *server = server_start(kind, key_count, payload);

	if (!server) {
		bench_note("%s: not installed", name);
		return;
	}
	gets[used] = (struct server_gets){ server, 1, { { { 0 } } } };
	add(one, server_loop, &gets[used++]);
	gets[used] = (struct server_gets){ server, SERVER_BATCH, { { { 0 } } } };
	add(many, server_loop, &gets[used++]);
}

static void add_all(void)
{
	ours_make(bench_path("region"), key_count);
	add("get", comap_loop, NULL);
	lfht_make();
	add("get, liburcu's table in one process", lfht_loop, NULL);
#ifdef HAVE_LMDB
	lmdb_make();
	add("get, LMDB, one transaction", lmdb_loop, NULL);
	add("get, LMDB, renewed", lmdb_loop, &lmdb_txn);
#else
	bench_note("LMDB: not installed");
#endif
#ifdef HAVE_SQLITE
	sqlite_make();
	add("get, SQLite", sqlite_loop, NULL);
#else
	bench_note("SQLite: not installed");
#endif
	add_server(SERVER_MEMCACHED, "memcached", "get, memcached", "get, memcached, 100 at once");
	add_server(SERVER_REDIS, "Redis", "get, Redis", "get, Redis, 100 at once");
}

/* The goal is for LMDB. */
static bool is_judged(const struct bench_case *peer)
{
#ifdef HAVE_LMDB
	return peer->loop == lmdb_loop;
#else
	return false;
#endif
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "table-peers", "one get of a million, against others");
	bench_slices(4000000);
	value_fill(payload);
	add_all();
	while (bench_round())
		for (unsigned i = 0; i < case_count; i++) /* each on its own: they drive each other out of the caches */
			bench_interleave(&cases[i], 1);
	bench_show(cases[0].metric);
	for (unsigned i = 1; i < case_count; i++) {
		bench_show(cases[i].metric);
		bench_against(cases[0].metric, cases[i].metric, is_judged(&cases[i]) ? 0.125 : 0);
	}
	servers_stop();
	ours_close();
	return bench_end();
}
