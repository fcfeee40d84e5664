/* SPDX-License-Identifier: MIT */
/* Tables: fetching a key whose value somebody computes. See comap/table_turn.h, and table_turn.c for what
 * a turn is.
 *
 *     look (no lock) --there--> done
 *       | missing, or stale and nobody at it
 *     take (stripe's lock) --free--> YOURS
 *       | somebody has the turn --stale--> done
 *     wait for its end, its owner's death, or the deadline; then look again
 *
 * Where it lives: process memory: struct fetch, on the stack
 * Ordering:   [edge table.turn], [edge flag.waiting]
 * Progress:   a hit as table_read.c; a miss blocks on the stripe's lock, then on the turn
 *
 * Who waits sleeps on the turn's flag. One of them is its sentry: it looks every 2 ms whether the owner
 * lives, and less often once the turn has lasted longer than 64 ms: after a 32nd of that time, 64 ms at
 * most. The others do so every 64 ms at most, and whether there is a sentry. A sentry that dies, is
 * stopped or leaves costs the others so much, once. */
#include "table.h"

#include <comap/table_turn.h>

#include "error.h"
#include "fault.h"
#include "futex.h"
#include "rcu.h"
#include "seat.h"

#include <errno.h>

#define SENTRY_NS 2000000u
#define SENTRY_PART 32u         /* or this part of the time that it has waited: long turns wake it seldom */
#define STALE_LOCK_MS 10        /* who has a stale value does not wait for the lock for longer */
#define OTHERS_FIRST_NS 4000000u
#define OTHERS_LAST_NS 64000000u
#define PROBE_EVERY_NS 1000000u /* readers of a stale value, all threads of a handle together */

static const struct comap_fetch_options no_options;

/* What is there of a key. */
enum finding { MISSING, FRESH, STALE, NEGATIVE };

struct fetch {
	struct comap_table *table;
	const void *key;
	size_t key_bytes;
	uint64_t hash;
	const struct comap_fetch_options *options;
	uint64_t deadline_ns;
	void *buffer;
	size_t capacity_bytes;
	struct comap_view view;      /* of what is in the buffer */
	enum finding finding;
	/* The turn that is in the way: */
	struct comap_turn_shm *turn;
	uint64_t ticket;
	uint64_t owner;
	bool full;                   /* of another key, and no place is free */
	uint64_t met_ns;             /* when it was met first */
	uint64_t robbed_ticket;      /* its owner is dead, or the patience over: it may be taken */
	struct comap_turn_shm *robbed;
};

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* --- looking ---------------------------------------------------------------------------------- */

static enum finding judge(const struct fetch *fetch, const struct comap__entry_parts *parts)
{
	uint64_t expires_ns, now_ns;

	if (!parts->expires)
		return FRESH;
	expires_ns = comap_u64_load_relaxed(parts->expires); /* relaxed: a word of its own */
	now_ns = comap__table_now_ns();
	if (expires_ns && expires_ns <= now_ns)
		return MISSING;
	if (parts->flags & COMAP_ENTRY_ABSENT)
		return NEGATIVE;
	return expires_ns && expires_ns - now_ns <= fetch->options->stale_ns ? STALE : FRESH;
}

/* Without the lock: what is there, into the buffer. */
static int look(struct fetch *fetch)
{
	struct comap *region = fetch->table->object.region;
	struct comap__entry_parts parts;
	int code = comap_read_begin(region);

	if (code)
		return code;
	fetch->finding = MISSING;
	fetch->view = (struct comap_view){ 0 };
	if (comap__table_find(fetch->table, fetch->hash, fetch->key, fetch->key_bytes, &parts))
		fetch->finding = judge(fetch, &parts);
	if (fetch->finding == FRESH || fetch->finding == STALE)
		code = comap__entry_copy(&parts, fetch->buffer, fetch->capacity_bytes, &fetch->view);
	comap_read_end(region);
	return code == -ENOBUFS
		? comap__fail_errno(ENOBUFS, "the value has %zu bytes, the buffer %zu", fetch->view.size_bytes,
		                    fetch->capacity_bytes)
		: code;
}

/* Whether the owner of a turn is dead, asked at most once a millisecond; else it passes for alive. */
static bool is_dead_now_and_then(struct fetch *fetch, uint64_t owner)
{
	uint64_t now_ns = comap_now_ns();
	/* relaxed: a limit on the questions, no more */
	uint64_t probed_ns = comap_u64_load_relaxed(&fetch->table->probed_ns);

	if (now_ns - probed_ns < PROBE_EVERY_NS)
		return false;
	comap_u64_store_relaxed(&fetch->table->probed_ns, now_ns);
	return comap__thread_is_dead(fetch->table->object.region, owner);
}

/* Is somebody at it already, as far as one sees without the lock? */
static bool somebody_computes(struct fetch *fetch)
{
	struct comap_turn_shm *turn =
		&fetch->table->turns[comap__hash_stripe(fetch->hash) * COMAP_STRIPE_TURNS];
	uint64_t owner, ticket;

	for (uint32_t i = 0; i < COMAP_STRIPE_TURNS; i++, turn++) {
		/* [edge table.turn] acq: seen the owner => hash and ticket are seen */
		owner = comap_u64_load_acquire(&turn->owner);
		/* relaxed, both: acquired with the owner; another turn by now is no harm */
		ticket = comap_u64_load_relaxed(&turn->ticket);
		if (owner == 0 || comap_u64_load_relaxed(&turn->hash) != fetch->hash)
			continue;
		if (!is_dead_now_and_then(fetch, owner))
			return true;
		fetch->robbed = turn;
		fetch->robbed_ticket = ticket;
		return false;
	}
	return false;
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool may_rob(const struct fetch *fetch, const struct comap_turn_shm *turn)
{
	/* relaxed: under the mutex */
	return fetch->robbed == turn && fetch->robbed_ticket == comap_u64_load_relaxed(&turn->ticket);
}

/* The place of the key's turn, or a free one, or that of a dead owner; ret_taken: somebody has it. */
static uint32_t find_place(struct fetch *fetch, struct comap__writer *writer, bool *ret_taken)
{
	uint32_t free_place = COMAP_STRIPE_TURNS, home = (uint32_t)fetch->hash % COMAP_STRIPE_TURNS;

	for (uint32_t i = 0; i < COMAP_STRIPE_TURNS; i++) {
		const struct comap_turn_shm *turn = comap__turn_at(writer, i);
		/* relaxed, both: under the mutex */
		uint64_t owner = comap_u64_load_relaxed(&turn->owner);

		if (owner && comap_u64_load_relaxed(&turn->hash) == fetch->hash) {
			*ret_taken = !may_rob(fetch, turn);
			return i;
		}
		if (!owner)
			free_place = i;
	}
	for (uint32_t i = 0; i < COMAP_STRIPE_TURNS && free_place == COMAP_STRIPE_TURNS; i++)
		if (comap__thread_is_dead(writer->region,
		                          comap_u64_load_relaxed(&comap__turn_at(writer, i)->owner))) /* the same */
			free_place = i;
	*ret_taken = free_place == COMAP_STRIPE_TURNS;
	return *ret_taken ? home : free_place;
}

/* The turn at this place is in the way. */
static void note_turn(struct fetch *fetch, struct comap_turn_shm *turn)
{
	/* relaxed, all: under the mutex */
	uint64_t ticket = comap_u64_load_relaxed(&turn->ticket);

	if (fetch->turn != turn || fetch->ticket != ticket)
		fetch->met_ns = comap_now_ns();
	fetch->turn = turn;
	fetch->ticket = ticket;
	fetch->owner = comap_u64_load_relaxed(&turn->owner);
	fetch->full = comap_u64_load_relaxed(&turn->hash) != fetch->hash;
}

/* Under the lock. 1: the turn is ours; 0: somebody's (noted), or it is there by now. */
static int take_locked(struct fetch *fetch, struct comap__writer *writer, struct comap_turn *ret_turn)
{
	struct comap__entry_parts parts;
	struct comap__slot slot;
	enum finding finding = MISSING;
	uint32_t place;
	bool taken;

	fetch->turn = NULL;
	if (comap__slot_find(writer, fetch->hash, fetch->key, fetch->key_bytes, &slot, &parts))
		finding = judge(fetch, &parts);
	if (finding == FRESH || finding == NEGATIVE)
		return 0;
	place = find_place(fetch, writer, &taken);
	if (taken) {
		note_turn(fetch, comap__turn_at(writer, place));
		return fetch->owner != writer->row->token || fetch->full ? 0
			: comap__fail(COMAP_CAUSE_DEADLOCK, "the thread computes this key already");
	}
	*ret_turn = (struct comap_turn){
		.table = fetch->table, .key = fetch->key, .key_bytes = fetch->key_bytes, .hash = fetch->hash,
		.ticket = comap__turn_begin(writer, place, fetch->hash), .place = place,
		.ttl_ns = fetch->options->ttl_ns, .stale_ns = fetch->options->stale_ns,
		.negative_ttl_ns = fetch->options->negative_ttl_ns,
	};
	return 1;
}

static int take(struct fetch *fetch, struct comap_turn *ret_turn)
{
	struct comap__writer writer;
	int code = comap__writer_init(&writer, fetch->table, fetch->hash);

	if (!code)
		code = comap__stripe_lock_until(&writer, earlier(fetch->deadline_ns, comap_deadline_ms(
			fetch->finding == STALE ? STALE_LOCK_MS : COMAP_TABLE_LOCK_MS)));
	if (code)
		return code;
	code = take_locked(fetch, &writer, ret_turn);
	comap__stripe_unlock(&writer);
	COMAP_FAULT("turn.taken");
	return code;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool turn_is_over(const struct fetch *fetch)
{
	/* [edge table.turn] acq: seen it over => what was stored in it is found */
	return comap_u64_load_acquire(&fetch->turn->owner) != fetch->owner ||
	       comap_u64_load_relaxed(&fetch->turn->ticket) != fetch->ticket; /* relaxed: after it */
}

static bool sentry_is_gone(struct comap *region, uint32_t sentry)
{
	uint64_t owner;

	if (sentry == 0 || sentry > region->identity->thread_count)
		return true;
	owner = comap_u64_load_acquire(&region->threads[sentry - 1].owner); /* [edge thread.release] acq */
	return !(owner & 1) || comap__seat_is_dead(region, owner >> 1);
}

/* Is this thread the one who looks often? Becomes it where there is none. */
static bool be_sentry(const struct fetch *fetch, uint32_t me)
{
	struct comap_u32 *sentry = &fetch->turn->sentry;
	uint32_t seen = comap_u32_load_relaxed(sentry); /* relaxed: the CAS decides */

	if (seen == me)
		return true;
	if (!sentry_is_gone(fetch->table->object.region, seen))
		return false;
	/* [edge table.turn] acq, though nothing is concluded from it: at most one too many looks often */
	return comap_u32_cas_acquire(sentry, seen, me);
}

static int fail_deadline(const struct fetch *fetch)
{
	struct comap *region = fetch->table->object.region;
	uint64_t seat_token = comap__thread_seat(region, fetch->owner);
	uint32_t seat = comap__token_index(seat_token);
	int code;

	if (!seat_token || seat >= region->identity->seat_count)
		return comap__fail(COMAP_CAUSE_TIMEOUT, "the key was not computed in time");
	code = comap__fail(COMAP_CAUSE_TIMEOUT, "%s computed by %s",
	                   fetch->full ? "as many keys as can be are being computed, one of them is"
	                               : "the key is being", comap__seat_name(region, seat).text);
	comap__error()->seat = seat;
	return code;
}

/* Until when the patience lasts. */
static uint64_t patience_end(const struct fetch *fetch)
{
	uint64_t patience_ns = fetch->options->patience_ns;

	return patience_ns == 0 || fetch->full || patience_ns > COMAP_FOREVER - fetch->met_ns
		? COMAP_FOREVER : fetch->met_ns + patience_ns;
}

/* How long the sentry sleeps: a death is met at once, as measured by how long the turn has lasted. */
static uint64_t sentry_step(const struct fetch *fetch, uint64_t now_ns)
{
	uint64_t part_ns = (now_ns - fetch->met_ns) / SENTRY_PART;

	return part_ns < SENTRY_NS ? SENTRY_NS : earlier(part_ns, OTHERS_LAST_NS);
}

/* One sleep, unless it is over already. */
static void sleep_once(const struct fetch *fetch, uint64_t until_ns)
{
	uint32_t mark = comap__flag_set(&fetch->turn->waiting);

	COMAP_FAULT("turn.waiting");
	if (!turn_is_over(fetch))
		comap__flag_sleep(&fetch->turn->waiting, mark, until_ns);
}

/* 0: look again; the turn is over, or may be taken away. */
static int wait_for_turn(struct fetch *fetch, uint32_t me)
{
	struct comap *region = fetch->table->object.region;
	uint64_t step_ns = OTHERS_FIRST_NS, now_ns, patience_ns = patience_end(fetch);
	int code;

	while (!turn_is_over(fetch)) {
		now_ns = comap_now_ns();
		if (comap__thread_is_dead(region, fetch->owner) || now_ns >= patience_ns) {
			fetch->robbed = fetch->turn;
			fetch->robbed_ticket = fetch->ticket;
			return 0;
		}
		code = comap__region_awaited(region);
		if (code)
			return code;
		if (now_ns >= fetch->deadline_ns)
			return fail_deadline(fetch);
		sleep_once(fetch, earlier(now_ns + (be_sentry(fetch, me) ? sentry_step(fetch, now_ns) : step_ns),
		                          earlier(fetch->deadline_ns, patience_ns)));
		step_ns = earlier(step_ns * 2, OTHERS_LAST_NS);
	}
	return 0;
}

static int wait_its_end(struct fetch *fetch)
{
	struct comap *region = fetch->table->object.region;
	uint32_t me = comap__row(region)->record + 1;
	int code;

	if (comap__in_section(region))
		return comap__fail(COMAP_CAUSE_DEADLOCK, "waiting inside a read section would hold back the "
		                   "memory that the one who computes needs");
	code = wait_for_turn(fetch, me);
	/* [edge table.turn] acq, though nothing is concluded: another one may be the sentry from now on */
	comap_u32_cas_acquire(&fetch->turn->sentry, me, 0);
	return code;
}

/* --- fetch ------------------------------------------------------------------------------------ */

/* An outcome or an error; -EAGAIN: look again. */
static int fetch_once(struct fetch *fetch, struct comap_turn *ret_turn)
{
	int code = look(fetch);

	if (code || fetch->finding == FRESH)
		return code;
	if (fetch->finding == NEGATIVE)
		return COMAP_FETCH_NEGATIVE;
	if (fetch->finding == STALE && somebody_computes(fetch))
		return COMAP_FETCH_STALE;
	code = take(fetch, ret_turn);
	if (code == -ETIMEDOUT && fetch->finding == STALE)
		return COMAP_FETCH_STALE;
	if (code)
		return code < 0 ? code : COMAP_FETCH_YOURS;
	if (fetch->turn && fetch->finding == STALE)
		return COMAP_FETCH_STALE;
	code = fetch->turn ? wait_its_end(fetch) : 0;
	return code ? code : -EAGAIN;
}

static int check_fetch(const struct fetch *fetch, const struct comap_turn *turn)
{
	int code = comap__table_check_key(fetch->key, fetch->key_bytes);

	if (!code && ((!fetch->buffer && fetch->capacity_bytes) || !turn))
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "the %s is NULL", turn ? "buffer" : "turn");
	return code;
}

static int fetch_as_guest(struct fetch *fetch, struct comap_view *ret_view)
{
	int code = comap_table_get(fetch->table, fetch->key, fetch->key_bytes, fetch->buffer,
	                           fetch->capacity_bytes, ret_view);

	return code == -ENOENT ? comap__fail(COMAP_CAUSE_DETACHED, "the table does not hold this key, and a "
	                                     "guest cannot have its turn to compute it") : code;
}

int comap_table_fetch(struct comap_table *table, const void *key, size_t key_bytes,
                      const struct comap_fetch_options *options, void *buffer, size_t capacity_bytes,
                      struct comap_view *ret_view, struct comap_turn *ret_turn)
{
	struct fetch fetch = {
		.table = table, .key = key, .key_bytes = key_bytes, .buffer = buffer,
		.capacity_bytes = capacity_bytes, .options = options ? options : &no_options,
	};
	int code = check_fetch(&fetch, ret_turn);

	if (code)
		return code;
	if (table && comap__is_guest(table->object.region))
		return fetch_as_guest(&fetch, ret_view);
	code = comap__table_check(table);
	if (code)
		return code;
	fetch.hash = comap__table_hash(table, key, key_bytes);
	fetch.deadline_ns = fetch.options->deadline_ns ? fetch.options->deadline_ns : COMAP_FOREVER;
	do
		code = fetch_once(&fetch, ret_turn);
	while (code == -EAGAIN);
	if (ret_view && (code >= 0 || code == -ENOBUFS))
		*ret_view = fetch.view;
	return code;
}

/* --- get or compute --------------------------------------------------------------------------- */

static int end_turn(struct comap_turn *turn, int computed, void *buffer, size_t size_bytes,
                    struct comap_view *view)
{
	int code;

	*view = (struct comap_view){ 0 };
	if (computed < 0) {
		comap_table_turn_drop(turn);
		return computed;
	}
	if (computed > 0) {
		code = comap_table_turn_none(turn);
		return code < 0 ? code : COMAP_FETCH_NEGATIVE;
	}
	*view = (struct comap_view){ .data = buffer, .size_bytes = size_bytes };
	code = comap_table_turn_put(turn, buffer, size_bytes);
	if (code != COMAP_TABLE_DONE)
		return COMAP_FETCH_UNSTORED;
	view->version = turn->version;
	return COMAP_FETCH_VALUE;
}

int comap_table_get_or_compute(struct comap_table *table, const void *key, size_t key_bytes,
                               const struct comap_fetch_options *options, comap_compute *compute,
                               void *context, void *buffer, size_t capacity_bytes,
                               struct comap_view *ret_view)
{
	struct comap_turn turn;
	struct comap_view view = { 0 };
	size_t size_bytes = 0;
	int code;

	if (!compute)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "there is nothing to compute the value with");
	code = comap_table_fetch(table, key, key_bytes, options, buffer, capacity_bytes, &view, &turn);
	if (code == COMAP_FETCH_YOURS) {
		code = compute(context, key, key_bytes, buffer, capacity_bytes, &size_bytes);
		if (code == 0 && size_bytes > capacity_bytes)
			code = comap__fail(COMAP_CAUSE_ARGUMENT, "%zu bytes were computed into a buffer of %zu",
			                   size_bytes, capacity_bytes);
		code = end_turn(&turn, code, buffer, size_bytes, &view);
	}
	if (ret_view && (code >= 0 || code == -ENOBUFS))
		*ret_view = view;
	return code;
}
