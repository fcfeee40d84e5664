/* SPDX-License-Identifier: MIT */
/* See ways.h: comap, a sequence lock, a file that is renamed, LMDB where it is installed. */
#include "ways.h"
#include "kit.h"

#include <comap.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

static uint64_t copy[WAY_BYTES / 8];
static uint64_t source[WAY_BYTES / 8];

/* --- comap --------------------------------------------------------------------------------------- */

static struct comap *region;
struct comap_value *way_value;

static void publish_size(uint64_t number, size_t size_bytes)
{
	void *data;

	bench_need(comap_value_reserve(way_value, size_bytes, &data) == 0);
	memset(data, (int)number, size_bytes);
	bench_need(comap_value_publish(way_value) == 0);
}

static void comap_publish(uint64_t number) { publish_size(number, WAY_BYTES); }
void way_small(uint64_t number) { publish_size(number, 64); }

static void comap_full(void)
{
	COMAP_READ(region) {
		struct comap_view view = comap_value_view(way_value);

		if (view.data)
			way_use(view.data);
	}
}

static void comap_look(void)
{
	COMAP_READ(region) {
		struct comap_view view = comap_value_view(way_value);

		if (view.data)
			bench_use(*(const uint64_t *)view.data);
	}
}

static const struct way comap_way = { "comap", comap_publish, comap_full, comap_look };

/* --- a sequence lock ------------------------------------------------------------------------------- */

static struct shared {
	struct comap_u64 sequence;
	uint8_t pad[120];
	uint64_t words[WAY_BYTES / 8];
} *shared;

static void seqlock_publish(uint64_t number)
{
	uint64_t sequence = comap_u64_load_relaxed(&shared->sequence); /* relaxed: the only writer */

	comap_u64_store_relaxed(&shared->sequence, sequence + 1);
	comap_fence_release(); /* odd before the bytes */
	memset(shared->words, (int)number, WAY_BYTES);
	comap_u64_store_release(&shared->sequence, sequence + 2); /* the bytes before even */
}

static void seqlock_copy(size_t size_bytes)
{
	uint64_t before;

	do {
		before = comap_u64_load_acquire(&shared->sequence); /* even before the bytes */
		memcpy(copy, shared->words, size_bytes);
		comap_fence_acquire(); /* the bytes before the second look */
	} while (before % 2 || comap_u64_load_relaxed(&shared->sequence) != before);
}

static void seqlock_full(void)
{
	seqlock_copy(WAY_BYTES);
	way_use(copy);
}

static void seqlock_look(void)
{
	seqlock_copy(8);
	bench_use(copy[0]);
}

static const struct way seqlock_way = { "seqlock and copy", seqlock_publish, seqlock_full,
                                        seqlock_look };

/* --- a file, written beside and renamed -------------------------------------------------------------- */

static const char *file_path, *next_path;

static void rename_publish(uint64_t number)
{
	int fd = open(next_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memset(source, (int)number, sizeof source);
	bench_need(fd >= 0 && write(fd, source, sizeof source) == (ssize_t)sizeof source);
	close(fd);
	bench_need(rename(next_path, file_path) == 0);
}

static void rename_read(size_t size_bytes)
{
	int fd = open(file_path, O_RDONLY | O_CLOEXEC);

	bench_need(fd >= 0 && read(fd, copy, size_bytes) == (ssize_t)size_bytes);
	close(fd);
}

static void rename_full(void)
{
	rename_read(WAY_BYTES);
	way_use(copy);
}

static void rename_look(void)
{
	rename_read(8);
	bench_use(copy[0]);
}

static const struct way rename_way = { "rename, open, read", rename_publish, rename_full, rename_look };

/* --- LMDB ----------------------------------------------------------------------------------------------- */

#ifdef HAVE_LMDB
static MDB_env *env;
static MDB_dbi database;
static char database_key[] = "blob";
static MDB_txn *reading;
static const char *lmdb_path;
static pid_t lmdb_pid;

static void lmdb_open(void)
{
	MDB_txn *txn;

	bench_need(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, 64u << 20) == 0 &&
	           mdb_env_open(env, lmdb_path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP, 0600) == 0);
	bench_need(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &database) == 0 &&
	           mdb_txn_commit(txn) == 0);
	lmdb_pid = getpid();
}

/* LMDB is opened where it is used: an environment must not cross a fork. */
static void lmdb_here(void)
{
	if (lmdb_pid != getpid())
		lmdb_open();
}

static void lmdb_publish(uint64_t number)
{
	MDB_val key = { 4, database_key }, data = { WAY_BYTES, NULL };
	MDB_txn *txn;

	lmdb_here();
	bench_need(mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
	           mdb_put(txn, database, &key, &data, MDB_RESERVE) == 0);
	memset(data.mv_data, (int)number, WAY_BYTES);
	bench_need(mdb_txn_commit(txn) == 0);
}

static void lmdb_read(bool all)
{
	MDB_val key = { 4, database_key }, data;

	lmdb_here();
	bench_need(reading ? mdb_txn_renew(reading) == 0
	                   : mdb_txn_begin(env, NULL, MDB_RDONLY, &reading) == 0);
	if (mdb_get(reading, database, &key, &data) == 0) {
		if (all)
			way_use(data.mv_data);
		else
			bench_use(*(const uint64_t *)data.mv_data);
	}
	mdb_txn_reset(reading);
}

static void lmdb_full(void) { lmdb_read(true); }
static void lmdb_look(void) { lmdb_read(false); }

static const struct way lmdb_way = { "LMDB", lmdb_publish, lmdb_full, lmdb_look };
#endif

/* --- all -------------------------------------------------------------------------------------- */

const struct way *const ways[] = {
	&comap_way, &seqlock_way, &rename_way,
#ifdef HAVE_LMDB
	&lmdb_way,
#endif
	NULL,
};

void ways_open(const char *region_path)
{
	region = comap_open(region_path, COMAP_CREATE);
	bench_need(region && (way_value = comap_value_open(region, "blob", NULL)));
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_need(shared != MAP_FAILED);
	file_path = bench_path("file");
	next_path = bench_path("file.next");
	rename_publish(1);
#ifdef HAVE_LMDB
	lmdb_path = bench_path("lmdb");
	bench_path("lmdb-lock");
#else
	bench_note("LMDB is not installed: not measured (Debian: liblmdb-dev)");
#endif
}

void ways_attach(void)
{
	bench_need(comap_attach(region) == 0);
}

void ways_close(void)
{
	comap_value_close(way_value);
	bench_need(comap_close(region) == 0);
}
