/* SPDX-License-Identifier: MIT */
/* Tables: keys and values that many processes read at memory speed while some of them write.
 *
 * Readers take no lock and write to nothing but their own mark. Writers lock one stripe of 64 for
 * some hundred nanoseconds; a writer that dies there is repaired by the next one, a writer that is
 * stopped there holds up its stripe only, and the error names it. Each operation on a key happens at
 * one instant or not at all, whoever dies. A table grows bucket by bucket and never shrinks.
 *
 *     COMAP_READ(region) {
 *             struct comap_view price = comap_table_view(prices, "XETR", 4);
 *             if (price.data) use(price.data);
 *     }
 *
 *              | view get contains next | put insert replace cas remove touch clear | add
 *   readers    | any number, at once    | at once                                   | at once
 *   writers    |                        | one per stripe of the table               | at once
 *
 * Keys are 1 byte to 16 MiB, values 0 to 16 MiB. A key's hash is XXH3 under the region's secret seed.
 * A table is a store: when the region is full a write is -ENOSPC, and nothing is evicted. Or it is a cache,
 * by a byte budget given at its creation: then writes evict what has not been read lately (S3-FIFO), and
 * say how many; an entry is at most an eighth of the budget, or -EMSGSIZE.
 *
 * Versions: each write gives the key a version larger than any that it had before, also after a
 * removal. Times to live are nanoseconds of CLOCK_REALTIME, kept to some milliseconds; an entry
 * whose time is over is not seen any more, and writers that come by take it away.
 *
 * All functions: -EINVAL NULL or out of range; -ECHILD after fork(); writes of a guest: -ENOTCONN.
 * Writes: -ENOSPC; -ETIMEDOUT after two seconds on a lock, naming the seat that holds it (in the last
 * error); -EBUSY readers pin more than the region's budget. Nothing has changed then. Handles are for
 * all threads; nothing here but comap_table_view() is async-signal-safe. */
#ifndef COMAP_TABLE_H
#define COMAP_TABLE_H

#include <comap/rcu.h>
#include <comap/region.h>
#include <comap/type.h>
#include <comap/view.h>

COMAP_BEGIN_DECLS

#define COMAP_TABLE_KEY_MAX_BYTES (16u << 20)
#define COMAP_TABLE_VALUE_MAX_BYTES (16u << 20)

struct comap_table;

/* Named outcomes: positive results of writes that found another state than they asked for. */
enum comap_table_outcome {
	COMAP_TABLE_DONE = 0,
	COMAP_TABLE_EXISTS = 1,    /* insert: the key is there */
	COMAP_TABLE_MISSING = 2,   /* replace, cas, remove, touch: the key is not there */
	COMAP_TABLE_CHANGED = 3,   /* cas: it has another version */
};

/* Opens the table `name` (at most 47 characters), as comap_value_open() does; `type` is that of the
 * values. Close each handle. */
COMAP_API struct comap_table *comap_table_open(struct comap *region, const char *name,
                                               const struct comap_type *type);

/* What a table is created with. It grows at its end only; begin with COMAP_TABLE_OPTIONS_INIT. */
struct comap_table_options {
	uint64_t budget_bytes;     /* 0: a store. Else a cache, of COMAP_TABLE_BUDGET_MIN_BYTES at least */
	uint64_t default_ttl_ns;   /* as comap_table_set_default_ttl() */
};
#define COMAP_TABLE_OPTIONS_INIT { 0, 0 }
#define COMAP_TABLE_BUDGET_MIN_BYTES (256u << 10)

/* The same; `options` (NULL: a store) are for whoever creates the table. -EEXIST: it is there with another
 * budget than this one; 0 takes what is there. */
COMAP_API struct comap_table *comap_table_open_with(struct comap *region, const char *name,
                                                    const struct comap_type *type,
                                                    const struct comap_table_options *options);

/* Another budget for a cache; evicts until it is kept. What is kept per entry to choose what goes keeps the
 * size that it was created with. -EOPNOTSUPP: a store; -EBUSY: nothing can go at the moment, and later
 * writes go on. */
COMAP_API int comap_table_set_budget(struct comap_table *table, uint64_t budget_bytes);

COMAP_API void comap_table_close(struct comap_table *table);

/* --- reading ---------------------------------------------------------------------------------------- */

/* The key's value, inside a read section of the region: valid until the section ends, aligned to 8.
 * .data NULL: not there. Never blocks. Guests: use comap_table_get(). */
COMAP_API struct comap_view comap_table_view(struct comap_table *table, const void *key,
                                             size_t key_bytes);

struct comap_key {
	const void *data;
	size_t size_bytes;
};

/* `count` keys at once, inside a read section: the look-ups overlap, so that a large table answers
 * two to three times as many a second. ret_views[i] belongs to keys[i]. Returns how many are there. */
COMAP_API int comap_table_view_many(struct comap_table *table, size_t count,
                                    const struct comap_key *keys, struct comap_view *ret_views);

/* Copies the key's value; for guests too, who validate and try again (at most 1,000 times: -EAGAIN).
 * 0; -ENOENT; -ENOBUFS larger than `capacity_bytes`, and *ret_view.size_bytes says how large.
 * ret_view may be NULL; its data is `buffer`. */
COMAP_API int comap_table_get(struct comap_table *table, const void *key, size_t key_bytes,
                              void *buffer, size_t capacity_bytes, struct comap_view *ret_view);

/* 1 it is there, 0 it is not. */
COMAP_API int comap_table_contains(struct comap_table *table, const void *key, size_t key_bytes);

/* --- writing ---------------------------------------------------------------------------------------- */

/* The value of the key from now on, whatever it was. The default time to live applies. */
COMAP_API int comap_table_put(struct comap_table *table, const void *key, size_t key_bytes,
                              const void *value, size_t value_bytes);
/* Only where it is not there: DONE or EXISTS. */
COMAP_API int comap_table_insert(struct comap_table *table, const void *key, size_t key_bytes,
                                 const void *value, size_t value_bytes);
/* Only where it is there: DONE or MISSING. */
COMAP_API int comap_table_replace(struct comap_table *table, const void *key, size_t key_bytes,
                                  const void *value, size_t value_bytes);
/* Only where its version is `version`: DONE, MISSING or CHANGED. */
COMAP_API int comap_table_cas(struct comap_table *table, const void *key, size_t key_bytes,
                              uint64_t version, const void *value, size_t value_bytes);
/* DONE or MISSING. */
COMAP_API int comap_table_remove(struct comap_table *table, const void *key, size_t key_bytes);

enum comap_table_mode {
	COMAP_TABLE_PUT = 0, COMAP_TABLE_INSERT = 1, COMAP_TABLE_REPLACE = 2, COMAP_TABLE_CAS = 3,
};
#define COMAP_TTL_DEFAULT 0            /* the table's */
#define COMAP_TTL_NONE UINT64_MAX      /* for ever */

/* The four above with all that can be said. */
struct comap_table_write {
	const void *key;
	size_t key_bytes;
	const void *value;
	size_t value_bytes;
	uint32_t mode;             /* enum comap_table_mode */
	uint64_t version;          /* of CAS */
	uint64_t ttl_ns;           /* COMAP_TTL_DEFAULT, COMAP_TTL_NONE, or nanoseconds from now */
	uint64_t *ret_evicted;     /* where not NULL: how many entries this write has evicted, also when
	                              it fails then */
};
/* As above. ret_version (may be NULL): the new version, or with EXISTS and CHANGED the present one. */
COMAP_API int comap_table_write(struct comap_table *table, const struct comap_table_write *write,
                                uint64_t *ret_version);

/* A counter: an 8-byte value that is changed in place, atomically, without a lock. Adds `delta`, from
 * 0 where the key is not there. The version stays. -EPROTOTYPE: the key's value is no counter. Others
 * read it as 8 bytes. ret_value (may be NULL): the sum. */
COMAP_API int comap_table_add(struct comap_table *table, const void *key, size_t key_bytes,
                              int64_t delta, int64_t *ret_value);

/* The entry expires `ttl_ns` from now, as in struct comap_table_write; the value and its version stay.
 * DONE or MISSING. */
COMAP_API int comap_table_touch(struct comap_table *table, const void *key, size_t key_bytes,
                                uint64_t ttl_ns);

/* Of entries written from now on without one of their own. 0 or COMAP_TTL_NONE: they stay. */
COMAP_API int comap_table_set_default_ttl(struct comap_table *table, uint64_t ttl_ns);

/* Removes every entry that was there at the call and is not written meanwhile. */
COMAP_API int comap_table_clear(struct comap_table *table);

/* --- walking ---------------------------------------------------------------------------------------- */

struct comap_table_walk;

/* A copy of one entry, the walk's own; valid until the next call on the walk, comap_table_walk_end()
 * included. What others write meanwhile does not change it, and it never faults. */
struct comap_table_entry {
	const void *key;           /* not NULL; aligned to 8; no NUL behind it */
	size_t key_bytes;          /* 1 to COMAP_TABLE_KEY_MAX_BYTES */
	const void *value;         /* not NULL, also of 0 bytes; aligned to 8; no NUL behind it */
	size_t value_bytes;        /* 0 to COMAP_TABLE_VALUE_MAX_BYTES; of a counter 8 */
	uint64_t version;          /* 1, 2, 3 ...; what comap_table_cas() takes */
	uint64_t expires_ns;       /* CLOCK_REALTIME; 0: never */
	bool counter;              /* made by comap_table_add(): the value is one int64_t */
};

/* Goes through the table: every entry that is there from begin to end is met exactly once, also while
 * the table grows; others at most once per time that they were written anew. Holds nothing back between
 * calls, outside or inside read sections; guests too. One thread per walk.
 * begin: NULL on failure. next: 1 an entry, 0 the end (and again at each further call), or an error; on 0
 * and errors *ret_entry is not written. After an error the walk stands where it stood: next tries the same
 * bucket again. end: frees the walk and its copies; takes NULL; also after an error, and before the table is
 * closed or after it. */
COMAP_API struct comap_table_walk *comap_table_walk_begin(struct comap_table *table);
COMAP_API int comap_table_walk_next(struct comap_table_walk *walk, struct comap_table_entry *ret_entry);
COMAP_API void comap_table_walk_end(struct comap_table_walk *walk);

/* --- looking ---------------------------------------------------------------------------------------- */

struct comap_table_stats {
	uint64_t entries;          /* expired ones too, until a writer has come by */
	uint64_t stored_bytes;     /* keys and values */
	uint64_t buckets;          /* of 64 bytes and seven entries */
	uint64_t overflow_buckets; /* further ones, behind full buckets */
	uint64_t writes;           /* and removals, so far */
	uint64_t expired;          /* entries taken away because their time was over */
	uint64_t repairs;          /* stripes that a dead writer has left in the middle */
	uint64_t default_ttl_ns;
	/* Of a cache; 0 of a store. inserted = entries + removed + expired + evicted_budget + evicted_full,
	 * exactly, when nobody writes. */
	uint64_t budget_bytes;
	uint64_t used_bytes;       /* as the heap hands them out: entries, buckets, queues; marks, ghosts */
	uint64_t inserted;
	uint64_t replaced;
	uint64_t removed;          /* by remove and clear */
	uint64_t evicted_budget;   /* for the budget's sake */
	uint64_t evicted_full;     /* because the region was full */
};
/* A moment's sums over the stripes. Works for guests. */
COMAP_API int comap_table_stats(struct comap_table *table, struct comap_table_stats *ret_stats);

/* The number of entries, expired ones too; or an error. */
COMAP_API int64_t comap_table_count(struct comap_table *table);

COMAP_END_DECLS
#endif
