/* SPDX-License-Identifier: MIT */
/* Threads: each has a row for every region of the process, each row a record in the region.
 *
 * Lives in:   process: rows in a page that a forked child finds zeroed, one page per thread;
 *             region: struct comap_thread_shm, claimed by CAS on `owner`
 * Invariants: I1 a record with an owner is below the thread high-water mark
 *             I2 a mark is written by the record's owner only; the claimer clears the one it finds
 *             I3 the tenure is raised before the owner word is cleared
 * Ordering:   [edge thread.release], [edge thread.high_water]
 * If a process dies here: after the claim the record is the dead seat's and is swept with it */
#include "thread.h"

#include "fault.h"
#include "rcu.h"
#include "seat.h"
#include "vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A thread of this process that has registered somewhere. Ordinary memory: a forked child inherits
 * the list, in which its only living thread finds a page of zeros. */
struct local_thread {
	struct local_thread *next;
	struct comap__row *rows;                     /* wiped on fork */
	struct comap *regions[COMAP__ROW_COUNT];     /* for the destructor */
};

static struct comap__row no_rows[COMAP__ROW_COUNT];
__thread struct comap__row *comap__tls_rows __attribute__((tls_model("initial-exec"))) = no_rows;
static __thread struct local_thread *local;

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER; /* the list, the row numbers */
static struct local_thread *threads;
static uint64_t rows_taken; /* bit i: row number i is an open region's */
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

void comap__threads_before_fork(void)
{
	pthread_mutex_lock(&threads_lock);
}

void comap__threads_after_fork(void)
{
	pthread_mutex_unlock(&threads_lock);
}

/* --- records of the region --- */

/* Space for the record and its ring, before they are touched. */
static int allocate_record(struct comap *region, uint32_t record)
{
	const struct comap_identity_shm *identity = region->identity;
	int code = comap__region_allocate(region, identity->threads_offset_bytes +
	                                  record * sizeof(struct comap_thread_shm),
	                                  sizeof(struct comap_thread_shm));

	return code ? code : comap__region_allocate(region, identity->rings_offset_bytes +
	                                            record * sizeof(struct comap_ring_shm),
	                                            sizeof(struct comap_ring_shm));
}

int comap__thread_claim(struct comap *region, uint64_t seat_token, bool empty_ring,
                        uint32_t *ret_record)
{
	struct comap_control_shm *control = region->control;
	uint32_t high_water = comap__threads_used(region);
	int code;

	for (uint32_t i = COMAP_FIRST_RECORD; i < region->identity->thread_count; i++) {
		struct comap_thread_shm *thread = &region->threads[i];

		if (i >= high_water) {
			code = allocate_record(region, i);
			if (code)
				return code;
			/* [edge thread.high_water] rel: space before the mark; and the mark before the
			 * record's first section, so that a synchronizer that loads the mark after its
			 * membarrier either looks at this record or is seen by its sections. */
			comap_u32_max_acq_rel(&control->thread_high_water, i + 1);
		}
		/* relaxed: hints; the CAS decides. A ring that fills meanwhile has room for less. */
		if (comap_u64_load_relaxed(&thread->owner) != 0 ||
		    (empty_ring && comap__ring_count(thread) != 0))
			continue;
		/* [edge thread.release] acq: the owner before is done with ring and intent */
		if (!comap_u64_cas_acquire(&thread->owner, 0, seat_token << 1 | 1))
			continue;
		COMAP_FAULT("thread.claimed");
		/* relaxed: our own words; we have not been in a section of this record yet */
		comap_u64_store_relaxed(&thread->mark, 0);
		comap_u64_store_relaxed(&thread->park, 0);
		comap_u32_store_relaxed(&thread->proxy, 0);
		comap_u32_store_relaxed(&thread->thread_id, (uint32_t)syscall(SYS_gettid));
		*ret_record = i;
		return 0;
	}
	return comap__fail(COMAP_CAUSE_MARKS, "all %u thread records of %s are taken: create it with a "
	                   "larger thread_count", region->identity->thread_count - COMAP_FIRST_RECORD,
	                   region->path);
}

int comap__janitor_claim(struct comap *region, uint64_t *ret_token)
{
	struct comap_thread_shm *thread = &region->threads[COMAP_JANITOR_RECORD];
	uint64_t own = region->attachment->seat_token << 1 | 1, owner;
	int code = allocate_record(region, COMAP_JANITOR_RECORD);

	if (code)
		return code;
	owner = comap_u64_load_acquire(&thread->owner); /* [edge thread.release] acq */
	if (owner == own || (owner && !comap__seat_is_dead(region, owner >> 1)))
		return -EBUSY;
	/* [edge thread.release] acq: what the one before had begun to sweep is seen */
	if (!comap_u64_cas_acq_rel(&thread->owner, owner, own))
		return -EBUSY;
	COMAP_FAULT("janitor.claimed");
	/* A dead one's locks name its tenure: from here on it is over. Relaxed: acquired with the owner
	 * word, and a reader who sees the old one believes the dead one's lock held a moment longer. */
	if (owner)
		comap_u64_add_relaxed(&thread->tenure, 1);
	*ret_token = comap__record_token(region, COMAP_JANITOR_RECORD);
	return 0;
}

void comap__janitor_release(struct comap *region)
{
	comap__thread_release(region, &region->threads[COMAP_JANITOR_RECORD]);
}

void comap__thread_release(struct comap *region, struct comap_thread_shm *thread)
{
	/* relaxed: owner's own word, and ordered by the release below */
	comap_u64_add_relaxed(&thread->tenure, 1);
	/* [edge thread.release] rel: ring, intent and tenure before the record is anybody's */
	comap_u64_store_release(&thread->owner, 0);
}

/* --- rows of the process --- */

static void release_row(struct comap *region, struct comap__row *row)
{
	struct comap_thread_shm *thread = &region->threads[row->record];

	comap__rings_drain_done(region, row->record);
	/* relaxed: the thread is in no section any more that anybody should wait for */
	comap_u64_store_relaxed(&thread->mark, 0);
	comap__thread_release(region, thread);
	free(row->cache);
	memset(row, 0, sizeof *row);
}

/* The end of a thread: its marks hold nobody back from now on. */
static void thread_exit(void *argument)
{
	struct local_thread *self = argument;
	struct local_thread **at;

	pthread_mutex_lock(&threads_lock);
	for (unsigned i = 0; i < COMAP__ROW_COUNT; i++)
		if (self->regions[i] && self->rows[i].mark)
			release_row(self->regions[i], &self->rows[i]);
	for (at = &threads; *at; at = &(*at)->next)
		if (*at == self) {
			*at = self->next;
			break;
		}
	pthread_mutex_unlock(&threads_lock);
	comap__tls_rows = no_rows;
	local = NULL;
	comap__vm_unmap(self->rows, COMAP__ROW_COUNT * sizeof(struct comap__row));
	free(self);
}

static void make_exit_key(void)
{
	pthread_key_create(&exit_key, thread_exit);
}

static struct local_thread *local_thread(void)
{
	struct local_thread *self = local;
	void *rows;

	if (self)
		return self;
	pthread_once(&exit_once, make_exit_key);
	self = calloc(1, sizeof *self);
	if (!self || comap__vm_wiped_on_fork(COMAP__ROW_COUNT * sizeof(struct comap__row), &rows) != 0) {
		free(self);
		comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory to register a thread");
		return NULL;
	}
	self->rows = rows;
	pthread_setspecific(exit_key, self);
	pthread_mutex_lock(&threads_lock);
	self->next = threads;
	threads = self;
	pthread_mutex_unlock(&threads_lock);
	local = self;
	comap__tls_rows = self->rows;
	return self;
}

static int register_thread(struct comap *region)
{
	struct comap__attachment *attachment = region->attachment;
	struct local_thread *self;
	struct comap__row *row;
	uint32_t record;
	int code = comap__attached(region);

	if (code)
		return code;
	self = local_thread();
	if (!self)
		return -ENOMEM;
	row = &self->rows[region->row];
	if (row->mark)
		return 0;
	code = comap__thread_claim(region, attachment->seat_token, false, &record);
	if (code)
		return code;
	row->record = record;
	row->token = comap__record_token(region, record);
	self->regions[region->row] = region;
	/* A signal handler of this thread that enters a section sees none of the row; or the mark, and
	 * goes the slow way, as readers that fence themselves always do; or all of it. */
	comap_fence_compiler();
	row->mark = &region->threads[record].mark;
	comap_fence_compiler();
	if (!attachment->fenced)
		row->epoch = &region->control->epoch;
	return 0;
}

int comap_thread_register(struct comap *region)
{
	int code;

	if (!region)
		return comap__attached(region);
	code = register_thread(region);
	if (code == -EUSERS && comap__seats_reap(region) > 0)
		code = register_thread(region);
	return code;
}

int comap__sweeper_begin(struct comap *region, uint64_t *ret_token)
{
	int code = register_thread(region);

	if (code == -EUSERS)
		return comap__janitor_claim(region, ret_token);
	if (!code)
		*ret_token = comap__row(region)->token;
	return code;
}

void comap__sweeper_end(struct comap *region, uint64_t token)
{
	if (comap__token_index(token) == COMAP_JANITOR_RECORD)
		comap__janitor_release(region);
}

struct comap__row *comap__thread_row(struct comap *region)
{
	return comap_thread_register(region) == 0 ? comap__row(region) : NULL;
}

int comap__row_number_take(uint32_t *ret_number)
{
	int code = -EMFILE;

	pthread_mutex_lock(&threads_lock);
	for (uint32_t i = 0; i < COMAP__ROW_COUNT && code; i++)
		if (!(rows_taken & 1ull << i)) {
			rows_taken |= 1ull << i;
			*ret_number = i;
			code = 0;
		}
	pthread_mutex_unlock(&threads_lock);
	return code ? comap__fail_errno(code, "a process has at most %u regions open", COMAP__ROW_COUNT)
	            : 0;
}

void comap__row_number_give(uint32_t number)
{
	pthread_mutex_lock(&threads_lock);
	rows_taken &= ~(1ull << number);
	pthread_mutex_unlock(&threads_lock);
}

static bool somebody_reads(struct comap *region)
{
	unsigned number = region->row;
	bool busy = false;

	pthread_mutex_lock(&threads_lock);
	for (struct local_thread *thread = threads; thread && !busy; thread = thread->next) {
		const struct comap_u64 *mark = thread->rows[number].mark;

		/* [edge rcu.quiescent] acq: seen the mark gone => the section's loads are over */
		busy = thread->regions[number] == region && mark &&
		       (comap_u64_load_acquire(mark) & COMAP__MARK_NESTING) != 0;
	}
	pthread_mutex_unlock(&threads_lock);
	return busy;
}

void comap__rows_wait_quiescent(struct comap *region)
{
	const struct timespec pause = { .tv_nsec = 200000 };

	while (somebody_reads(region))
		nanosleep(&pause, NULL);
}

void comap__rows_release(struct comap *region)
{
	unsigned number = region->row;

	pthread_mutex_lock(&threads_lock);
	for (struct local_thread *thread = threads; thread; thread = thread->next) {
		if (thread->regions[number] == region && thread->rows[number].mark)
			release_row(region, &thread->rows[number]);
		thread->regions[number] = NULL;
	}
	pthread_mutex_unlock(&threads_lock);
}

/* --- the slow half of the read side --- */

/* A pinned section inside an evictable one: from here to its end nobody may evict. By CAS, against the
 * writer who would; the count first, so that a signal handler's section in between, which ends before
 * we go on, does not unpin what we have pinned. */
static int pin(struct comap__row *row, uint64_t word)
{
	struct comap_u64 *park = row->mark + COMAP__PARK_WORD;
	uint64_t epoch = word >> COMAP__MARK_EPOCH_SHIFT;
	/* relaxed, all of it: the thread's own number */
	uint32_t pinned = comap_u32_load_relaxed(&row->pinned);

	comap_u32_store_relaxed(&row->pinned, pinned + 1);
	/* [edge rcu.park] both: it is pinned, or a writer was first; or it was pinned already */
	comap_u64_cas_acq_rel(park, epoch << 2 | COMAP_PARK_PARKED, epoch << 2 | COMAP_PARK_NONE);
	if (comap__mark_is_stale(row->mark, word)) {
		comap_u32_store_relaxed(&row->pinned, pinned);
		return comap__fail(COMAP_CAUSE_EVICTED, "the evictable section around this one was evicted: "
		                   "end it and begin anew");
	}
	comap_u64_store_relaxed(row->mark, word + 1); /* relaxed: as nested sections do */
	return 0;
}

/* The last pinned section inside an evictable one has ended. */
static void unpin(struct comap__row *row, uint64_t word)
{
	uint64_t epoch = word >> COMAP__MARK_EPOCH_SHIFT;
	/* relaxed, both: the thread's own number */
	uint32_t pinned = comap_u32_load_relaxed(&row->pinned) - 1;

	comap_u32_store_relaxed(&row->pinned, pinned);
	/* [edge rcu.quiescent] rel. (Ends in the wrong order leave no section behind either.) */
	comap_u64_store_release(row->mark, (word & COMAP__MARK_NESTING) == 1 ? 0 : word - 1);
	if (pinned == 0)
		/* [edge rcu.park] both: what was read pinned is read */
		comap_u64_cas_acq_rel(row->mark + COMAP__PARK_WORD, epoch << 2 | COMAP_PARK_NONE,
		                      epoch << 2 | COMAP_PARK_PARKED);
}

static void begin_outermost(struct comap *region, struct comap__row *row, bool evictable)
{
	/* [edge rcu.epoch] acq: as in comap_read_begin() */
	uint64_t epoch = comap_u64_load_acquire(&region->control->epoch);

	/* relaxed, and [edge rcu.park] rel: as in comap_read_begin_evictable() */
	comap_u64_store_relaxed(row->mark, epoch << COMAP__MARK_EPOCH_SHIFT | 1);
	if (evictable) {
		comap_fence_compiler();
		comap_u64_store_relaxed(row->mark + COMAP__PARK_WORD, epoch << 2 | COMAP_PARK_PARKED);
		comap_u64_store_release(row->mark, epoch << COMAP__MARK_EPOCH_SHIFT |
		                                   COMAP__MARK_EVICTABLE | 1);
	}
	/* [edge rcu.mark] full: the mark before the section's loads; a synchronizer that does not see
	 * the mark has unlinked where these loads can see it. */
	comap_fence_full();
}

/* All that the begins leave over: the first section of a thread, nested ones, readers that fence
 * themselves, errors. */
static int begin_slow(struct comap *region, bool evictable)
{
	int code = comap__attached(region);
	struct comap__row *row;
	uint64_t word;

	if (!code && !comap__row(region)->mark)
		code = comap_thread_register(region);
	if (code)
		return code;
	row = comap__row(region);
	/* relaxed, load and store: only this thread and its signal handlers write the mark */
	word = comap_u64_load_relaxed(row->mark);
	if ((word & COMAP__MARK_NESTING) == COMAP__MARK_NESTING)
		return comap__fail(COMAP_CAUSE_NESTING, "read sections are nested deeper than %u",
		                   COMAP__MARK_NESTING);
	if (word & COMAP__MARK_PARKED)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the thread's section is parked: what it could see may "
		                   "be used again; resume it first");
	if ((word & COMAP__MARK_NESTING) == 0) {
		begin_outermost(region, row, evictable);
		return 0;
	}
	if ((word & COMAP__MARK_EVICTABLE) && !evictable)
		return pin(row, word);
	comap_u64_store_relaxed(row->mark, word + 1);
	return 0;
}

int comap__read_begin_slow(struct comap *region)
{
	return begin_slow(region, false);
}

int comap__read_begin_evictable_slow(struct comap *region)
{
	return begin_slow(region, true);
}

int comap__read_end_slow(struct comap *region)
{
	int code = comap__attached(region);
	struct comap__row *row;
	uint64_t word;

	if (code)
		return code;
	row = comap__row(region);
	word = row->mark ? comap_u64_load_relaxed(row->mark) : 0; /* relaxed: the thread's own word */
	if ((word & COMAP__MARK_NESTING) == 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "comap_read_end() outside of a read section");
	if (comap_u32_load_relaxed(&row->pinned) == 0) /* relaxed: its own number */
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the section is an evictable one: it ends with "
		                   "comap_read_end_evictable(), which says whether it was evicted");
	unpin(row, word);
	return 0;
}

int comap__read_end_evictable_slow(struct comap *region)
{
	int code = comap__attached(region);
	const struct comap__row *row;
	uint64_t word;
	bool stale;

	if (code)
		return code;
	row = comap__row(region);
	word = row->mark ? comap_u64_load_relaxed(row->mark) : 0; /* relaxed: the thread's own word */
	if ((word & COMAP__MARK_NESTING) == 0 || (word & COMAP__MARK_PARKED))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "comap_read_end_evictable() outside of a read section, "
		                   "or in a parked one");
	stale = comap__mark_is_stale(row->mark, word);
	/* [edge rcu.quiescent] rel: as in comap_read_end() */
	comap_u64_store_release(row->mark, (word & COMAP__MARK_NESTING) == 1 ? 0 : word - 1);
	return stale ? comap__fail(COMAP_CAUSE_EVICTED, "writers needed the memory that this read section "
	                           "could see: begin a new one") : 0;
}
