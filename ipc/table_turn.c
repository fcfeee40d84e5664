/* SPDX-License-Identifier: MIT */
/* Tables: turns, who computes a key that others miss. See comap/table_turn.h; fetching is table_fetch.c.
 *
 *     free --comap__turn_begin--> taken(owner, hash, ticket) --comap__turns_end_some--> free
 *                                   `--owner dead, or patience over: comap__turn_begin--> taken(ticket + 1)
 *
 * Where it lives: struct comap_turn_shm, COMAP_STRIPE_TURNS for each stripe; `turns` of the stripe
 * Invariants: I1 no two turns of a stripe that are taken have one hash
 *             I2 a ticket is given once per place; a turn lasts while its place is taken under its ticket
 *             I3 a turn's value is stored, and the turn ended, under one hold of the stripe's lock: no
 *                later than its ticket is good, and before anybody else's turn of the key begins
 *             I4 `turns` is the number of places taken whenever nobody holds the lock, and 0 on the side that
 *                is not in use: a bulk load ends all turns, holding all stripes, before the sides change
 *                roles, as what is computed may be older than what was loaded
 * Writers:    holder of the stripe's lock.  Readers: those who wait, without it
 * Ordering:   [edge table.turn], [edge flag.waiting], [edge mutex.lock]
 * Progress:   as the stripe's lock
 * If a process dies here:
 *   with a turn           its place stays taken by a dead owner, whom the next taker finds
 *   in the middle of it   owner is stored last and cleared first: the place is free or whole; the next
 *                         holder of the lock counts anew (I4)
 *   after its value was stored, before the turn ended: who comes next finds the value, not the turn
 *   before it has waked those who wait: they look by themselves within 64 ms */
#include "table.h"

#include <comap/table_turn.h>

#include "error.h"
#include "fault.h"
#include "futex.h"

/* --- under the lock --------------------------------------------------------------------------- */

bool comap__turn_lasts(const struct comap__writer *writer, const struct comap_turn *turn)
{
	const struct comap_turn_shm *shm = comap__turn_at(writer, turn->place);

	/* relaxed, both: under the mutex */
	return comap_u64_load_relaxed(&shm->owner) != 0 &&
	       comap_u64_load_relaxed(&shm->ticket) == turn->ticket;
}

static void change_count(struct comap__writer *writer, uint32_t by)
{
	struct comap_u32 *turns = &writer->stripe->turns;

	/* relaxed, both: under the mutex */
	comap_u32_store_relaxed(turns, comap_u32_load_relaxed(turns) + by);
}

uint64_t comap__turn_begin(struct comap__writer *writer, uint32_t place, uint64_t hash)
{
	struct comap_turn_shm *shm = comap__turn_at(writer, place);
	uint64_t ticket = comap_u64_load_relaxed(&shm->ticket) + 1; /* relaxed: under the mutex */

	/* relaxed: under the mutex, and before the owner for those who look without it */
	if (comap_u64_load_relaxed(&shm->owner) == 0)
		change_count(writer, 1);
	else
		writer->turns_over |= 1u << place; /* those who waited for the one before look again */
	/* [edge table.turn] rel: free before it is another key's */
	comap_u64_store_release(&shm->owner, 0);
	COMAP_FAULT("turn.emptied");
	/* relaxed, all: before the owner */
	comap_u64_store_relaxed(&shm->hash, hash);
	comap_u64_store_relaxed(&shm->ticket, ticket);
	comap_u32_store_relaxed(&shm->sentry, 0);
	/* [edge table.turn] rel: hash and ticket before the owner */
	comap_u64_store_release(&shm->owner, writer->row->token);
	COMAP_FAULT("turn.begun");
	return ticket;
}

void comap__turns_end_some(struct comap__writer *writer, const uint64_t *hash)
{
	for (uint32_t place = 0; place < COMAP_STRIPE_TURNS; place++) {
		struct comap_turn_shm *shm = comap__turn_at(writer, place);

		/* relaxed, both: under the mutex */
		if (comap_u64_load_relaxed(&shm->owner) == 0 ||
		    (hash && comap_u64_load_relaxed(&shm->hash) != *hash))
			continue;
		/* [edge table.turn] rel: seen the turn over => what was stored in it is seen */
		comap_u64_store_release(&shm->owner, 0);
		COMAP_FAULT("turn.ended");
		change_count(writer, UINT32_MAX);
		writer->turns_over |= 1u << place;
	}
}

void comap__turns_repair(struct comap__writer *writer)
{
	uint32_t count = 0;

	/* relaxed, all of it: under the mutex */
	for (uint32_t place = 0; place < COMAP_STRIPE_TURNS && !writer->is_loader; place++)
		count += comap_u64_load_relaxed(&comap__turn_at(writer, place)->owner) != 0;
	comap_u32_store_relaxed(&writer->stripe->turns, count);
}

void comap__turns_wake(const struct comap__writer *writer)
{
	COMAP_FAULT("turn.unlocked");
	for (uint32_t place = 0; place < COMAP_STRIPE_TURNS; place++)
		if (writer->turns_over & 1u << place)
			comap__flag_wake(&comap__turn_at(writer, place)->waiting);
}

const char *comap__turns_check(const struct comap_table *table, uint32_t stripe_index)
{
	const struct comap_turn_shm *turns = &table->turns[stripe_index * COMAP_STRIPE_TURNS];
	const struct comap_stripe_shm *stripe =
		comap__table_side(table, comap__table_swaps(table)) + stripe_index;
	uint32_t count = 0;

	/* relaxed, all of it: nobody is at work, or the lock says who */
	for (uint32_t i = 0; i < COMAP_STRIPE_TURNS; i++)
		count += comap_u64_load_relaxed(&turns[i].owner) != 0;
	return comap_u64_load_relaxed(&stripe->mutex) == 0 && comap_u32_load_relaxed(&stripe->turns) != count
		? "a table has counted its turns wrong (I8)" : NULL;
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static int check_turn(const struct comap_turn *turn)
{
	if (!turn || !turn->table || !turn->key)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no turn was given: comap_table_fetch() gives them");
	return comap__table_check(turn->table);
}

int comap_table_turn_drop(struct comap_turn *turn)
{
	struct comap__writer writer;
	bool lasts;
	int code = check_turn(turn);

	if (!code)
		code = comap__writer_init(&writer, turn->table, turn->hash);
	if (!code)
		code = comap__stripe_lock(&writer);
	if (code)
		return code;
	lasts = comap__turn_lasts(&writer, turn);
	if (lasts)
		comap__turns_end(&writer, turn->hash);
	comap__stripe_unlock(&writer);
	return lasts ? COMAP_TABLE_DONE : COMAP_TABLE_CHANGED;
}

/* The write ends the turn; where it fails the turn is dropped, and the failure is what is told. */
static int write_or_drop(struct comap_turn *turn, const struct comap_table_write *write, unsigned flags)
{
	int code = comap__table_write(turn->table, write, flags, turn, &turn->version);
	struct comap_error failure;

	if (code < 0) {
		failure = *comap_last_error();
		comap_table_turn_drop(turn);
		*comap__error() = failure;
	}
	return code;
}

/* How long the value stays: its time to live, and the time in which it may be handed out stale. */
static uint64_t total_ttl(const struct comap_turn *turn)
{
	uint64_t ttl_ns = turn->ttl_ns;

	if (ttl_ns == COMAP_TTL_DEFAULT)
		/* relaxed: a number of its own */
		ttl_ns = comap_u64_load_relaxed(&turn->table->shm->default_ttl_ns);
	if (ttl_ns == 0 || ttl_ns > UINT64_MAX - 1 - turn->stale_ns)
		return COMAP_TTL_NONE;
	return ttl_ns + turn->stale_ns;
}

int comap_table_turn_put(struct comap_turn *turn, const void *value, size_t value_bytes)
{
	struct comap_table_write write;
	int code = check_turn(turn);

	if (code)
		return code;
	write = (struct comap_table_write){
		turn->key, turn->key_bytes, value, value_bytes, COMAP_TABLE_PUT, 0, total_ttl(turn)
	};
	code = comap__write_check(turn->table, &write);
	if (!code)
		return write_or_drop(turn, &write, 0);
	comap_table_turn_drop(turn);
	return comap__write_check(turn->table, &write); /* again, for its sentence */
}

int comap_table_turn_none(struct comap_turn *turn)
{
	struct comap_table_write write;
	int code = check_turn(turn);

	if (code)
		return code;
	write = (struct comap_table_write){
		turn->key, turn->key_bytes, NULL, 0, COMAP_TABLE_PUT, 0,
		turn->negative_ttl_ns ? turn->negative_ttl_ns : COMAP_NEGATIVE_TTL_NS
	};
	return write_or_drop(turn, &write, COMAP_ENTRY_ABSENT);
}
