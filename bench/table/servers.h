/* SPDX-License-Identifier: MIT */
/* memcached and Redis, started for the bench, asked over a Unix socket by their plain protocols. */
#ifndef COMAP_BENCH_TABLE_SERVERS_H
#define COMAP_BENCH_TABLE_SERVERS_H

#include "work.h"

#define SERVER_BATCH 100u

enum server_kind { SERVER_MEMCACHED, SERVER_REDIS };

struct server;
struct server_gets {
	struct server *server;
	unsigned at_once;
	struct key keys[SERVER_BATCH];
};

/* Started, filled with that many keys, connected. NULL: it is not installed. */
struct server *server_start(enum server_kind kind, uint64_t key_count, const char *value);
/* Asks for the keys; every value must come. */
void server_get(struct server_gets *gets);
void servers_stop(void);

#endif
