/* SPDX-License-Identifier: MIT */
/* A private index of a version: how many rows have the same text in a column.
 *
 * Where liburcu has its place: the index is memory of this process, derived from the version,
 * replaced with rcu_xchg_pointer() when a newer version is there, and freed by call_rcu() after the
 * last thread that uses it has left its (in-process) read section.
 *
 * Writers and readers:  one thread builds and replaces; lookup threads, registered with liburcu,
 *             query (rcu_register_thread(), the memb flavour).
 * Ordering:   rcu_xchg_pointer() publishes, rcu_dereference() reads: liburcu's own edges. */
#ifndef EXAMPLES_CONSUMER_INDEX_H
#define EXAMPLES_CONSUMER_INDEX_H

#include "../registry/registry.h"

struct index_cell {
	struct index *current;   /* under liburcu; NULL: none yet */
};

/* Builds the index of the version and replaces the one before. The caller is inside a read section
 * of the region. `column`: its name; "": the default. False: no memory, or no such column. */
bool index_replace(struct index_cell *cell, const struct registry *registry, uint64_t version,
                   const char *column);
/* Removes the last one, and waits until nothing of it is left to be freed. */
void index_drop(struct index_cell *cell);

/* What a query finds. */
struct index_answer {
	uint64_t version;        /* of the registry that the index was made from; 0: no index */
	uint32_t column;
	uint64_t count;          /* rows with that text */
};
struct index_answer index_query(struct index_cell *cell, const char *text, size_t size_bytes);

void index_thread_register(void);
void index_thread_unregister(void);

#endif
