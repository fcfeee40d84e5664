/* SPDX-License-Identifier: MIT */
/* Values: the latest version of one blob. See value.h.
 *
 * Where it lives: region: struct comap_value_shm in a cell; each version in a block of its own that
 *             begins with struct comap_value_head_shm; process: struct comap_value, the handle
 * Invariants: I1 `current` is 0 or the ref of a block that has been whole since before it was stored
 *             I2 versions grow by one
 *             I3 a block is never changed after it was published
 * Writers:    the seat in `publisher`, one thread of it at a time.  Readers: anybody, without a lock
 * Ordering:   [edge value.publish], [edge flag.waiting], [edge value.role]
 * Progress:   reading is wait-free (guests: bounded retries); publishing does not wait for readers
 *             while there is memory
 * If a process dies here: before the commit point (the store of `current`) the version before stands
 *             and the new block is freed; after it the new one stands and the old one is retired
 *             (retire.c). The role is taken over once the dead seat is swept */
#include <comap/value.h>

#include "check.h"
#include "error.h"
#include "fault.h"
#include "futex.h"
#include "heap.h"
#include "object.h"
#include "rcu.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GUEST_TRIES 1000
#define TAKE_OVER_MS 2000

struct comap_value {
	struct comap__object object;
	struct comap_value_shm *shm;

	pthread_mutex_t building;     /* held from reserve to publish or abort */
	struct comap_u64 seat;        /* the process's seat token for which `building` is good */
	struct comap_u64 builder;     /* token of the thread that holds it; 0: none */
	struct comap_ref block;       /* the version that is being built; 0: none */
	struct comap_value_head_shm *head;
};

/* --- handles --- */

static void init_building(struct comap_value *value)
{
	pthread_mutexattr_t attributes;

	value->block.offset_bytes = 0;
	comap_u64_store_relaxed(&value->builder, 0); /* relaxed: compared with one's own token only */
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&value->building, &attributes);
	pthread_mutexattr_destroy(&attributes);
	/* [edge value.building] rel: the lock is made before it is said to be good */
	comap_u64_store_release(&value->seat, value->object.region->attachment->seat_token);
}

/* In a forked child that is attached anew, what the parent was building stays the parent's, and the
 * lock that one of its threads may hold is nobody's: it is made again, once. */
static void renew_building(struct comap_value *value)
{
	static pthread_mutex_t renewal = PTHREAD_MUTEX_INITIALIZER;
	uint64_t seat_token = value->object.region->attachment->seat_token;

	/* [edge value.building] acq: seen this process's seat => the lock is this process's */
	if (COMAP_LIKELY(comap_u64_load_acquire(&value->seat) == seat_token))
		return;
	pthread_mutex_lock(&renewal);
	if (comap_u64_load_relaxed(&value->seat) != seat_token) /* relaxed: under the lock */
		init_building(value);
	pthread_mutex_unlock(&renewal);
}

static void init_value(void *handle)
{
	struct comap_value *value = handle;

	value->shm = value->object.cells;
	init_building(value);
}

static void fini_value(void *handle)
{
	pthread_mutex_destroy(&((struct comap_value *)handle)->building);
}

static const struct comap__object_class value_class = {
	.kind = COMAP_KIND_OBJECT_VALUE,
	.cell_count = 1,
	.handle_bytes = sizeof(struct comap_value),
	.init = init_value,
	.fini = fini_value,
};

struct comap_value *comap_value_open(struct comap *region, const char *name,
                                     const struct comap_type *type)
{
	return comap__object_open(&value_class, region, name, type, NULL);
}

void comap_value_close(struct comap_value *value)
{
	comap__object_close(value);
}

static int check_handle(struct comap_value *value)
{
	return value ? comap__attached(value->object.region)
	             : comap__fail(COMAP_CAUSE_ARGUMENT, "the value handle is NULL");
}

/* --- reading --- */

/* The version behind `current`; data NULL where there is none or its bytes make no sense. Its size is
 * loaded once: what was checked is what is used, whoever writes meanwhile. */
static struct comap_view current_view(struct comap_value *value)
{
	/* [edge value.publish] acq: seen the ref => the whole version is seen */
	struct comap_ref ref = { comap_u64_load_acquire(&value->shm->current) };
	const struct comap_value_head_shm *head;
	struct comap_view view = { 0 };

	if (ref.offset_bytes == 0)
		return view;
	head = comap__at(value->object.region, ref, sizeof *head, COMAP_BLOCK_ALIGN_BYTES);
	if (!head)
		return view;
	/* relaxed: immutable while published; a guest validates afterwards */
	view.size_bytes = comap_u64_load_relaxed(&head->size_bytes);
	view.version = comap_u64_load_relaxed(&head->version);
	view.data = comap__at(value->object.region, (struct comap_ref){ ref.offset_bytes + sizeof *head },
	                      view.size_bytes, COMAP_BLOCK_ALIGN_BYTES);
	return view.data ? view : (struct comap_view){ 0 };
}

static const struct comap_value_head_shm *head_of(struct comap_view view)
{
	return (const struct comap_value_head_shm *)view.data - 1;
}

struct comap_view comap_value_view(struct comap_value *value)
{
	struct comap_view view;

	if (COMAP_UNLIKELY(!value || !comap__may_look(value->object.region))) {
		if (check_handle(value) == 0)
			comap__fail(COMAP_CAUSE_ARGUMENT, "a view is taken inside a read section: COMAP_READ");
		return (struct comap_view){ 0 };
	}
	view = current_view(value);
	/* Nothing there, or zeros in the place of a page that is gone? */
	if (COMAP_UNLIKELY(!view.data || comap__guard_is_bad(value->object.region->view_guard)) &&
	    comap__region_status(value->object.region) != 0)
		return (struct comap_view){ 0 };
	return view;
}

/* Bytes that may change under the reader, by relaxed words: no value is invented between two loads.
 * Both sides are aligned to 8; the source may be read up to the end of its last word. */
static void copy_relaxed(void *to, const void *from, size_t size_bytes)
{
	const struct comap_u64 *words = from;
	uint64_t word;

	for (size_t i = 0; i < size_bytes / 8; i++) {
		word = comap_u64_load_relaxed(&words[i]); /* relaxed: validated by the horizon */
		memcpy((char *)to + i * 8, &word, 8);
	}
	if (size_bytes % 8) {
		word = comap_u64_load_relaxed(&words[size_bytes / 8]); /* the same */
		memcpy((char *)to + size_bytes / 8 * 8, &word, size_bytes % 8);
	}
}

static int deliver(struct comap_view view, void *buffer, size_t capacity_bytes,
                   struct comap_view *ret_view)
{
	*ret_view = view;
	ret_view->data = buffer;
	if (view.size_bytes > capacity_bytes)
		return -ENOBUFS;
	copy_relaxed(buffer, view.data, view.size_bytes);
	return 0;
}

/* A guest holds nothing back. What it has copied is whole if no memory has been used again since it
 * began: if the horizon has not passed its starting epoch. */
static int guest_get(struct comap_value *value, void *buffer, size_t capacity_bytes,
                     struct comap_view *ret_view, uint64_t *ret_published_ns)
{
	const struct comap_control_shm *control = value->object.region->control;
	struct comap_view current, view;
	uint64_t epoch, published_ns;
	int code;

	for (int i = 0; i < GUEST_TRIES; i++) {
		/* [edge rcu.epoch] acq: what was unlinked before this epoch is not found any more */
		epoch = comap_u64_load_acquire(&control->epoch);
		comap__race_meant_begin(); /* a writer may be using the memory again: then it is thrown away */
		current = current_view(value);
		code = -ENODATA;
		published_ns = 0;
		if (current.data) {
			code = deliver(current, buffer, capacity_bytes, &view);
			/* relaxed: validated below */
			published_ns = comap_u64_load_relaxed(&head_of(current)->published_ns);
		}
		comap__race_meant_end();
		/* [edge reuse.horizon] acq: the copy before the horizon; a byte from a later use of the
		 * memory comes after a horizon beyond our epoch. */
		comap_fence_acquire();
		if (comap_u64_load_relaxed(&control->horizon) > epoch) /* relaxed: after the fence */
			continue;
		if (code != -ENODATA) {
			*ret_view = view;
			*ret_published_ns = published_ns;
		}
		return code;
	}
	return comap__fail_errno(EAGAIN, "the value changed %d times while it was copied", GUEST_TRIES);
}

static int seated_get(struct comap_value *value, void *buffer, size_t capacity_bytes,
                      struct comap_view *ret_view, uint64_t *ret_published_ns)
{
	struct comap_view current;
	int code = comap_read_begin(value->object.region);

	if (code)
		return code;
	current = current_view(value);
	code = current.data ? deliver(current, buffer, capacity_bytes, ret_view) : -ENODATA;
	if (current.data) /* relaxed: immutable */
		*ret_published_ns = comap_u64_load_relaxed(&head_of(current)->published_ns);
	comap_read_end(value->object.region);
	return code;
}

static int get(struct comap_value *value, void *buffer, size_t capacity_bytes,
               struct comap_view *ret_view, uint64_t *ret_published_ns)
{
	int code, status;

	if (!value)
		return check_handle(value);
	code = comap__is_guest(value->object.region)
		? guest_get(value, buffer, capacity_bytes, ret_view, ret_published_ns)
		: seated_get(value, buffer, capacity_bytes, ret_view, ret_published_ns);
	status = comap__region_status(value->object.region); /* after the copy */
	return status ? status : code;
}

int comap_value_get(struct comap_value *value, void *buffer, size_t capacity_bytes,
                    struct comap_view *ret_view)
{
	struct comap_view view = { 0 };
	uint64_t published_ns;
	int code;

	if (!buffer && capacity_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the buffer is NULL");
	code = get(value, buffer, capacity_bytes, &view, &published_ns);
	if (code == -ENODATA)
		comap__fail_errno(ENODATA, "nothing has been published yet");
	if (code == -ENOBUFS)
		comap__fail_errno(ENOBUFS, "the version has %zu bytes, the buffer %zu", view.size_bytes,
		                  capacity_bytes);
	if (ret_view && (code == 0 || code == -ENOBUFS))
		*ret_view = view;
	return code;
}

uint64_t comap_value_version(struct comap_value *value)
{
	struct comap_view view = { 0 };
	uint64_t published_ns;
	int code = get(value, NULL, 0, &view, &published_ns);

	return code == 0 || code == -ENOBUFS ? view.version : 0;
}

uint64_t comap_value_published_ns(struct comap_value *value)
{
	struct comap_view view = { 0 };
	uint64_t published_ns = 0;
	int code = get(value, NULL, 0, &view, &published_ns);

	return code == 0 || code == -ENOBUFS ? published_ns : 0;
}

/* --- the checker's question --- */

const char *comap__value_roots(const struct comap *region, const struct comap_object_shm *object,
                               comap__root_visitor *visit, void *context)
{
	const struct comap_value_shm *shm = comap__at(region, (struct comap_ref){ object->cell_ref.v },
	                                              sizeof *shm, COMAP_CELL_BYTES);
	const struct comap_value_head_shm *head;
	struct comap_ref ref;

	if (!shm)
		return "a value without a cell";
	ref.offset_bytes = comap_u64_load_acquire(&shm->current); /* [edge value.publish] acq */
	if (ref.offset_bytes == 0)
		return NULL;
	visit(context, ref, "value");
	head = comap__at(region, ref, sizeof *head, COMAP_BLOCK_ALIGN_BYTES);
	if (!head || head->version.v == 0)
		return "a value's block has no version";
	return head->size_bytes.v + sizeof *head <= comap__block_bytes(region, ref)
		? NULL : "a value is longer than its block";
}

/* --- waiting --- */

int comap_value_wait(struct comap_value *value, uint64_t seen, uint64_t deadline_ns)
{
	uint64_t step_ns = 0;
	uint32_t flag;
	bool guest = value && comap__is_guest(value->object.region);
	int code = guest ? 0 : check_handle(value);

	if (code)
		return code;
	if (!guest && comap__in_section(value->object.region))
		return comap__fail(COMAP_CAUSE_DEADLOCK, "waiting inside a read section would hold back the "
		                   "memory that the publisher needs");
	for (;;) {
		if (comap_value_version(value) > seen)
			return 0;
		code = comap__region_awaited(value->object.region);
		if (code)
			return code;
		if (comap_now_ns() >= deadline_ns)
			return comap__fail(COMAP_CAUSE_TIMEOUT, "no version newer than %llu came in time",
			                   (unsigned long long)seen);
		if (guest) { /* it cannot set the flag that it would sleep on */
			comap__poll_sleep(&step_ns, deadline_ns);
			continue;
		}
		flag = comap__flag_set(&value->shm->waiting);
		if (comap_value_version(value) <= seen)
			comap__flag_sleep(&value->shm->waiting, flag, deadline_ns);
	}
}

/* --- the role --- */

static int fail_role(struct comap *region, uint64_t seat_token)
{
	uint32_t seat = comap__token_index(seat_token);
	int code = comap__fail(COMAP_CAUSE_ROLE, "%s publishes this value, and one at a time may",
	                       comap__seat_name(region, seat).text);

	comap__error()->seat = seat;
	return code;
}

/* The dead one's half-done publish must be settled before the next one begins. */
static int settle_predecessor(struct comap *region, uint64_t seat_token)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t deadline_ns = comap_deadline_ms(TAKE_OVER_MS);

	for (;;) {
		comap__seats_reap(region);
		if (!comap__seat_left_over(region, seat_token))
			return 0;
		if (comap_now_ns() >= deadline_ns)
			return comap__fail(COMAP_CAUSE_BUSY, "the publisher died, and the process that puts its "
			                   "affairs in order does not go on");
		nanosleep(&pause, NULL);
	}
}

int comap_value_claim(struct comap_value *value)
{
	struct comap_u64 *role;
	uint64_t me, holder;
	int code = check_handle(value);

	if (!code)
		code = comap__may_change(value->object.region);
	if (code)
		return code;
	role = &value->shm->publisher;
	me = value->object.region->attachment->seat_token;
	for (;;) {
		/* [edge value.role] acq: what the publisher before has done is seen */
		holder = comap_u64_load_acquire(role);
		if (holder == me)
			return 0;
		if (holder != 0) {
			if (!comap__seat_is_dead(value->object.region, holder))
				return fail_role(value->object.region, holder);
			code = settle_predecessor(value->object.region, holder);
			if (code)
				return code;
		}
		if (comap_u64_cas_acq_rel(role, holder, me)) /* [edge value.role] both */
			break;
	}
	comap_u64_add_relaxed(&value->shm->role_changes, 1); /* relaxed: a counter */
	return 0;
}

int comap_value_release(struct comap_value *value)
{
	int code = check_handle(value);

	if (code)
		return code;
	renew_building(value);
	if (pthread_mutex_trylock(&value->building) != 0)
		return comap__fail(COMAP_CAUSE_DEADLOCK, "a version is being built: publish or abort it first");
	/* [edge value.role] rel: everything published before the next one begins */
	comap_u64_cas_acq_rel(&value->shm->publisher, value->object.region->attachment->seat_token, 0);
	pthread_mutex_unlock(&value->building);
	return 0;
}

int comap_value_publisher(struct comap_value *value)
{
	uint64_t holder;

	if (!value)
		return check_handle(value);
	holder = comap_u64_load_relaxed(&value->shm->publisher); /* relaxed: a moment's answer */
	return holder ? (int)comap__token_index(holder)
	              : comap__fail(COMAP_CAUSE_NOT_FOUND, "nobody publishes this value");
}

/* --- publishing --- */

/* What a thread of this process was building when it ended. */
static void drop_unfinished(struct comap_value *value)
{
	struct comap *region = value->object.region;
	struct comap_u64 *state = comap__block_state(region, value->block);
	/* relaxed: the thread has ended, and we hold its lock */
	uint64_t word = state ? comap_u64_load_relaxed(state) : 0;

	if ((word & 15) == COMAP_BLOCK_PRIVATE)
		comap__block_free(region, comap__row(region)->token, value->block, word);
	value->block.offset_bytes = 0;
}

static int lock_building(struct comap_value *value)
{
	switch (pthread_mutex_lock(&value->building)) {
	case EDEADLK:
		return comap__fail(COMAP_CAUSE_DEADLOCK, "the thread is building a version already");
	case EOWNERDEAD:
		pthread_mutex_consistent(&value->building);
		if (comap__thread_row(value->object.region))
			drop_unfinished(value);
		return 0;
	default:
		return 0;
	}
}

int comap_value_reserve(struct comap_value *value, size_t size_bytes, void **ret_data)
{
	struct comap__row *row;
	void *block;
	int code = check_handle(value);

	if (!code && !ret_data)
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "nowhere to put the address");
	if (!code)
		code = comap__may_change(value->object.region);
	if (code)
		return code;
	if (size_bytes < value->object.type_bytes || size_bytes > value->object.region->identity->heap_max_bytes)
		return comap__fail_errno(EMSGSIZE, "%zu bytes: the type has %u, the region at most %llu",
		                         size_bytes, value->object.type_bytes,
		                         (unsigned long long)value->object.region->identity->heap_max_bytes);
	renew_building(value);
	code = lock_building(value);
	if (code)
		return code;
	row = comap__thread_row(value->object.region);
	code = row ? comap_value_claim(value) : -comap_last_error()->code;
	if (!code)
		code = comap__block_alloc(value->object.region, row, sizeof *value->head + size_bytes, &value->block,
		                          &block);
	if (code) {
		value->block.offset_bytes = 0;
		pthread_mutex_unlock(&value->building);
		return code;
	}
	value->head = block;
	comap_u64_store_relaxed(&value->builder, row->token); /* relaxed: as in init_building() */
	/* relaxed: published with `current` */
	comap_u64_store_relaxed(&value->head->size_bytes, size_bytes);
	*ret_data = value->head + 1;
	return 0;
}

static void finish_building(struct comap_value *value)
{
	value->block.offset_bytes = 0;
	comap_u64_store_relaxed(&value->builder, 0); /* relaxed: as in init_building() */
	pthread_mutex_unlock(&value->building);
}

/* Is the calling thread the one that has reserved? */
static int check_building(struct comap_value *value)
{
	const struct comap__row *row;
	int code = check_handle(value);

	if (code)
		return code;
	code = comap__may_change(value->object.region);
	if (code)
		return code;
	row = comap__row(value->object.region);
	/* relaxed: only this thread stores this thread's token; a forked child has another one */
	return row->mark && comap_u64_load_relaxed(&value->builder) == row->token ? 0
		: comap__fail(COMAP_CAUSE_ARGUMENT, "nothing was reserved by this thread");
}

int comap_value_abort(struct comap_value *value)
{
	int code = check_building(value);

	if (code)
		return code;
	comap__block_abandon(value->object.region, comap__thread_row(value->object.region), value->block);
	finish_building(value);
	return 0;
}

int comap_value_publish(struct comap_value *value)
{
	struct comap__row *row;
	struct comap *region;
	struct comap_ref old;
	struct timespec now;
	int code = check_building(value);

	if (code)
		return code;
	region = value->object.region;
	row = comap__thread_row(region);
	code = row ? comap__retire_reserve(region, row) : -comap_last_error()->code;
	if (code) {
		comap_value_abort(value);
		return code;
	}
	old.offset_bytes = comap_u64_load_relaxed(&value->shm->current); /* relaxed: ours to change */
	clock_gettime(CLOCK_REALTIME, &now);
	/* relaxed: published with `current` */
	comap_u64_store_relaxed(&value->head->published_ns,
	                        (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	comap_u64_store_relaxed(&value->head->version,
	                        current_view(value).version + 1);
	comap__intent_begin(region, row, value->object.cells_ref, old, value->block);
	/* [edge value.publish] rel: the whole version before the ref. The commit point. */
	comap_u64_store_release(&value->shm->current, value->block.offset_bytes);
	COMAP_FAULT("publish.committed");
	comap__intent_settle(region, row, old, value->block);
	comap__intent_end(region, row);
	COMAP_FAULT("publish.settled");
	finish_building(value);
	comap__flag_wake(&value->shm->waiting);
	return comap__region_status(region); /* where the file was cut off meanwhile, nobody will see it */
}

int comap_value_put(struct comap_value *value, const void *data, size_t size_bytes)
{
	void *into;
	int code;

	if (!data && size_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the data is NULL");
	code = comap_value_reserve(value, size_bytes, &into);
	if (code)
		return code;
	if (size_bytes)
		memcpy(into, data, size_bytes);
	return comap_value_publish(value);
}
