/* SPDX-License-Identifier: MIT */
/* Tables: get or compute. Of all who miss a key at once, one computes its value, the others wait.
 *
 *     int ask_source(void *source, const void *key, size_t key_bytes,
 *                    void *buffer, size_t capacity_bytes, size_t *ret_bytes);
 *
 *     struct comap_fetch_options options = { .ttl_ns = 60e9, .stale_ns = 10e9 };
 *     comap_table_get_or_compute(users, "u-17", 4, &options, ask_source, source,
 *                                buffer, sizeof buffer, &view);
 *
 * Who computes a key has its turn. A turn ends by one of the comap_table_turn_ functions, or with the
 * thread or process that has it: then another one takes over, some milliseconds later. One that only
 * does not go on (stopped, or slow) is named in the error of those whose deadline passes; they may take
 * its turn away after a patience.
 *
 * A turn that was taken away is over, and so is one whose key was written or removed meanwhile by
 * somebody else: what was computed may be older than that. Its comap_table_turn_put() stores nothing and
 * says COMAP_TABLE_CHANGED.
 *
 * Stale: a value is stored for its time to live and `stale_ns` more. In that more, one of those who
 * fetch it gets the turn, and all others the stale value at once. comap_table_get() knows nothing of
 * this and finds the value until the end. So all who fetch from a table should say the same `stale_ns`.
 *
 * Negative: that the source has no such key is remembered for `negative_ttl_ns`. For everything but the
 * functions here the key is not there; comap_table_stats() counts the entry.
 *
 *                | another fetch of the key | put, remove, clear | comap_table_get
 *   a turn       | waits, or takes stale    | ends the turn      | as though there was none
 *
 * All functions here: errors as in comap/table.h. Not inside a read section of the region where they
 * would wait (-EDEADLK). Up to 8 turns at once per stripe of 64; who finds none free waits. */
#ifndef COMAP_TABLE_TURN_H
#define COMAP_TABLE_TURN_H

#include <comap/table.h>

COMAP_BEGIN_DECLS

enum comap_fetch_outcome {
	COMAP_FETCH_VALUE = 0,     /* the value is in the buffer */
	COMAP_FETCH_STALE = 1,     /* so is this one, whose time is over; somebody computes it anew */
	COMAP_FETCH_NEGATIVE = 2,  /* the source was asked lately and has no such key */
	COMAP_FETCH_YOURS = 3,     /* compute it: it is your turn */
	COMAP_FETCH_UNSTORED = 4,  /* get_or_compute: the value is in the buffer, and not in the table */
};

#define COMAP_NEGATIVE_TTL_NS 1000000000u

/* Zeros are the defaults, and NULL is all zeros. */
struct comap_fetch_options {
	uint64_t ttl_ns;           /* of what is computed, as in struct comap_table_write */
	uint64_t stale_ns;         /* so long beyond it the value may still be handed out; 0: not at all */
	uint64_t negative_ttl_ns;  /* 0: COMAP_NEGATIVE_TTL_NS */
	uint64_t deadline_ns;      /* CLOCK_MONOTONIC: for others' turns and locks. 0: none */
	uint64_t patience_ns;      /* a living one's turn is taken away after so long; 0: never */
};

/* A turn; filled in by comap_table_fetch(), and nothing in it is yours but `version`, which is that of
 * the value that comap_table_turn_put() has stored. The key that it was fetched
 * with must stay where it is until the turn is over. Any thread of the process may end it. */
struct comap_turn {
	struct comap_table *table;
	const void *key;
	size_t key_bytes;
	uint64_t hash, ticket;
	uint64_t ttl_ns, stale_ns, negative_ttl_ns;
	uint64_t version;
	uint32_t place;
};

/* The key's value, or the turn to compute it. An outcome but UNSTORED, or: -ETIMEDOUT the deadline has
 * passed, and the last error names the seat that computes; -EDEADLK the thread has the key's turn
 * already; -ENOBUFS as comap_table_get(). Guests: a copy where there is one, else -ENOTCONN.
 * ret_view (may be NULL): of what is in the buffer; with YOURS too, if there is a stale value, else its
 * .data is NULL. A hit costs what comap_table_get() costs; a miss takes the stripe's lock, for which it
 * waits until the deadline, two seconds at most, or 10 ms where there is a stale value to give instead. */
COMAP_API int comap_table_fetch(struct comap_table *table, const void *key, size_t key_bytes,
                                const struct comap_fetch_options *options, void *buffer,
                                size_t capacity_bytes, struct comap_view *ret_view,
                                struct comap_turn *ret_turn);

/* Ends the turn with a value; with the knowledge that there is none; without a word (another one's turn
 * comes). DONE, or COMAP_TABLE_CHANGED: it was over before, nothing has changed. After an error the turn
 * is over, too, without a value. */
COMAP_API int comap_table_turn_put(struct comap_turn *turn, const void *value, size_t value_bytes);
COMAP_API int comap_table_turn_none(struct comap_turn *turn);
COMAP_API int comap_table_turn_drop(struct comap_turn *turn);

/* Computes: writes the value into the buffer, its length into *ret_bytes, and returns 0; 1: there is no
 * such key (negative); a negative errno: no answer, another one's turn comes. It may fetch other keys,
 * not this one. */
typedef int comap_compute(void *context, const void *key, size_t key_bytes, void *buffer,
                          size_t capacity_bytes, size_t *ret_bytes);

/* Fetches, and where it is this caller's turn, computes in the calling thread. VALUE, STALE, NEGATIVE;
 * UNSTORED where the table did not take the value: the turn was over (view.version is 0, errors are not
 * touched) or, with the last error saying why, it could not be written. Or an error of fetch or of
 * `compute`. */
COMAP_API int comap_table_get_or_compute(struct comap_table *table, const void *key, size_t key_bytes,
                                         const struct comap_fetch_options *options,
                                         comap_compute *compute, void *context, void *buffer,
                                         size_t capacity_bytes, struct comap_view *ret_view);

COMAP_END_DECLS
#endif
