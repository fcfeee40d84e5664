/* SPDX-License-Identifier: MIT */
/* Read-copy update between processes: grace periods.
 *
 * Where it lives: `epoch` and `completed` in the control part, one mark per thread record.
 *
 * A synchronizer draws a ticket n by raising the epoch to n, makes every running reader pass a full
 * barrier, and then waits for each mark until it is 0 or of epoch n or later. One pass is enough:
 * a reader that was delayed between loading the epoch and storing its mark stores an old number, and
 * an old number only makes the writer wait. (With one phase bit it would look current two flips
 * later.) The algorithm is that of liburcu's 64-bit qsbr flavour and of DPDK's rte_rcu_qsbr, with
 * liburcu's asymmetric barrier; marks of the dead are passed over by their owner's seat.
 *
 * Why it holds. A section S, a ticket n, the unlink U before it:
 *   the scan sees S's mark gone             [edge rcu.quiescent]: S's loads are over
 *   the scan sees a word from before S      [edge rcu.mark]: the barrier fell before S's mark was
 *                                           stored, so S's loads come after U
 *   the scan sees S with an epoch >= n      [edge rcu.epoch]: S loaded the epoch after U
 *   the scan sees S with an epoch < n       it waits
 *
 *              | reader                        | synchronizer
 *   first      | store mark                    | store unlink, raise epoch
 *   barrier    | compiler (or full, if fenced) | membarrier (or full, if fenced)
 *   then       | load pointers                 | load marks
 *
 * Progress:   no lock, no leader; concurrent synchronizers share results through `completed`
 * If a process dies here: the epoch is larger than before, which harms nobody
 * Limits:     2^52 grace periods */
#include "rcu.h"

#include "error.h"
#include "fault.h"
#include "futex.h"
#include "host.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 2000u                  /* a few microseconds: most sections are shorter */
#define SLEEP_FIRST_NS 20000u
#define SLEEP_LAST_NS 5000000u       /* how often a reader that stays is asked whether it lives */

static int membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : -errno;
}

int comap__barrier_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

bool comap__may_look(const struct comap *region)
{
	const struct comap__row *row = comap__row(region);
	/* relaxed: the thread's own word */
	uint64_t mark = row->mark ? comap_u64_load_relaxed(row->mark) : 0;

	if (COMAP_LIKELY((mark & COMAP__MARK_NESTING) != 0))
		return !(mark & COMAP__MARK_PARKED);
	return region->host && comap__host_in_section(region);
}

int comap__may_change(const struct comap *region)
{
	const struct comap_u64 *mark = comap__row(region)->mark;

	/* relaxed: the thread's own word */
	if (COMAP_LIKELY(!mark || !(comap_u64_load_relaxed(mark) & COMAP__MARK_EVICTABLE)))
		return 0;
	return comap__fail(COMAP_CAUSE_ARGUMENT, "nothing can be changed inside an evictable read section");
}

bool comap__in_section(const struct comap *region)
{
	const struct comap__row *row = comap__row(region);

	/* relaxed: the thread's own word */
	if (COMAP_LIKELY(row->mark && (comap_u64_load_relaxed(row->mark) & COMAP__MARK_NESTING) != 0))
		return true;
	return region->host && comap__host_in_section(region);
}

/* --- one record --- */

enum passage { PASSED, IN_THE_WAY };

/* Has the parked or evictable section that this mark belongs to been ended by a writer? The mark is
 * looked at again after the park word: the pair belongs together when it has not changed, because the
 * owner stores the park word before the mark that says so, and ends a section by the mark. (Or the mark
 * is that of a later section of the same epoch, whose park word was stored after this look and so after
 * the barrier: its loads see the unlink, as in the second case above.) */
static bool is_ousted(const struct comap_thread_shm *thread, uint64_t mark)
{
	/* [edge rcu.park] acq */
	uint64_t park = comap_u64_load_acquire(&thread->park);

	return park == ((mark >> COMAP__MARK_EPOCH_SHIFT) << 2 | COMAP_PARK_OUSTED) &&
	       comap_u64_load_acquire(&thread->mark) == mark; /* [edge rcu.quiescent] acq */
}

static void count_eviction(struct comap *region, const struct comap_thread_shm *thread)
{
	uint64_t owner = comap_u64_load_relaxed(&thread->owner); /* relaxed: for a counter */
	uint32_t index = comap__token_index(owner >> 1);

	/* relaxed, both: counters */
	comap_u64_add_relaxed(&region->control->evictions, 1);
	if (owner & 1 && index < region->identity->seat_count)
		comap_u64_add_relaxed(&region->seats[index].evictions, 1);
}

/* Ends a section that allows it: a parked one, and an evictable one where memory is needed. Whoever
 * resumes or ends it is told. */
static void oust(struct comap *region, struct comap_thread_shm *thread, bool evict)
{
	uint64_t mark = comap_u64_load_acquire(&thread->mark); /* [edge rcu.quiescent] acq */
	uint64_t epoch = mark >> COMAP__MARK_EPOCH_SHIFT;
	bool evictable = mark & COMAP__MARK_EVICTABLE;

	if (!(mark & COMAP__MARK_PARKED) && !(evictable && evict))
		return;
	/* [edge rcu.park] both: either the reader resumes, or pins itself, or we go on; is_ousted() decides.
	 * [edge rcu.evict] rel: the eviction before anything is used again */
	if (comap_u64_cas_acq_rel(&thread->park, epoch << 2 | COMAP_PARK_PARKED,
	                          epoch << 2 | COMAP_PARK_OUSTED) && evictable)
		count_eviction(region, thread);
}

/* May the grace period `ticket` end as far as this record goes? Does not ask the kernel. */
static enum passage look_at(const struct comap *region, const struct comap_thread_shm *thread,
                            uint64_t ticket)
{
	/* [edge rcu.quiescent] acq: seen the mark gone => the section's loads are over. */
	uint64_t mark = comap_u64_load_acquire(&thread->mark);
	uint64_t owner, index, state;

	if ((mark & COMAP__MARK_NESTING) == 0 || mark >> COMAP__MARK_EPOCH_SHIFT >= ticket)
		return PASSED;
	/* [edge thread.release] acq: nobody's record has nobody's section; the mark is stale. */
	owner = comap_u64_load_acquire(&thread->owner);
	if (!(owner & 1))
		return PASSED;
	/* [edge seat.dead] acq: somebody has found its process dead: its loads are over. */
	index = comap__token_index(owner >> 1);
	if (index >= region->identity->seat_count)
		return PASSED;
	state = comap_u64_load_acquire(&region->seats[index].state);
	if (state != (comap__token_generation(owner >> 1) << 2 | COMAP_SEAT_LIVE))
		return PASSED;
	return (mark & (COMAP__MARK_PARKED | COMAP__MARK_EVICTABLE)) && is_ousted(thread, mark)
		? PASSED : IN_THE_WAY;
}

/* A proxy's mark moves when its helper has been asked. */
static void ask_proxy(struct comap_thread_shm *thread)
{
	/* relaxed: a claimer's word; a wrong answer is a wake too many, or comes right next time */
	if (!comap_u32_load_relaxed(&thread->proxy))
		return;
	/* [edge host.request] full: ticket before request; the helper's exchange sees both */
	if (comap_u32_exchange_seq_cst(&thread->request, 1) == 0)
		comap__futex_wake(&thread->request, 1);
}

static int fail_held_up(struct comap *region, const struct comap_thread_shm *thread)
{
	uint64_t owner = comap_u64_load_relaxed(&thread->owner); /* relaxed: for a message */
	uint32_t index = comap__token_index(owner >> 1);
	int code;

	if (!(owner & 1) || index >= region->identity->seat_count)
		return comap__fail(COMAP_CAUSE_TIMEOUT, "the grace period was not over in time");
	code = comap__fail(COMAP_CAUSE_TIMEOUT, "%s is still inside a read section, in thread %u",
	                   comap__seat_name(region, index).text,
	                   comap_u32_load_relaxed(&thread->thread_id)); /* relaxed: for the message, too */
	comap__error()->seat = index;
	return code;
}

/* Waits until the record is passed. Between sleeps, and only there, the kernel is asked whether its
 * process lives: a dead one costs a few milliseconds, once. */
static int wait_for(struct comap *region, struct comap_thread_shm *thread, uint64_t ticket,
                    uint64_t deadline_ns, bool evict)
{
	uint64_t sleep_ns = SLEEP_FIRST_NS, owner;
	struct timespec pause = { 0 };

	ask_proxy(thread);
	for (uint32_t round = 0; look_at(region, thread, ticket) == IN_THE_WAY; round++) {
		if (round < SPINS) {
			comap_spin_pause();
			continue;
		}
		/* [edge rcu.completed] acq: somebody else has waited for a later ticket, or this one */
		if (comap_u64_load_acquire(&region->control->completed) >= ticket)
			return 0;
		owner = comap_u64_load_relaxed(&thread->owner); /* relaxed: checked by the callee */
		if ((owner & 1) && comap__seat_is_dead(region, owner >> 1))
			return 0;
		oust(region, thread, evict);
		ask_proxy(thread);
		if (deadline_ns != COMAP_FOREVER && comap_now_ns() >= deadline_ns) {
			/* it may have been ended just now, however late we come to it */
			if (look_at(region, thread, ticket) == PASSED)
				return 0;
			return fail_held_up(region, thread);
		}
		pause.tv_nsec = (long)sleep_ns;
		nanosleep(&pause, NULL);
		sleep_ns = sleep_ns * 2 < SLEEP_LAST_NS ? sleep_ns * 2 : SLEEP_LAST_NS;
	}
	return 0;
}

/* --- grace periods --- */

/* Draws a ticket and makes all readers pass a barrier. 0 on failure. */
static uint64_t draw_ticket(struct comap *region)
{
	uint64_t ticket;

	/* [edge rcu.epoch] rel (seq_cst): all unlinks before it are seen by whoever reads the ticket's
	 * epoch. */
	ticket = comap_u64_add_seq_cst(&region->control->epoch, 1) + 1;
	COMAP_FAULT("rcu.ticket");
	if (ticket >= COMAP_EPOCH_MAX) {
		comap__fail(COMAP_CAUSE_BOUNDS, "%s has come to the end of its epochs: create it anew",
		            region->path);
		return 0;
	}
	if (region->identity->barrier_mode == COMAP_BARRIER_FENCED) {
		/* [edge rcu.mark] full: unlink and epoch before the marks are loaded */
		comap_fence_full();
	} else {
		/* [edge rcu.mark] full, on every CPU that runs a registered reader */
		int code = membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);

		if (code) {
			comap__fail_errno(code, "grace periods in %s need membarrier(), which this process may not "
			                  "call: leave them to others, or create the region with COMAP_FENCED",
			                  region->path);
			return 0;
		}
	}
	return ticket;
}

static void complete(struct comap *region, uint64_t ticket)
{
	/* [edge rcu.completed] rel: the sections are over before anybody may use what they saw */
	comap_u64_max_acq_rel(&region->control->completed, ticket);
	comap_u64_add_relaxed(&region->control->grace_periods, 1); /* relaxed: a counter */
}

static int may_synchronize(struct comap *region)
{
	int code = comap__attached(region);

	if (code)
		return code;
	if (!region->attachment->can_synchronize)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "grace periods in %s need membarrier(), which this "
		                   "process may not call: leave them to others, or create the region with "
		                   "COMAP_FENCED", region->path);
	if (comap__in_section(region))
		return comap__fail(COMAP_CAUSE_DEADLOCK, "a grace period cannot end while the thread that waits "
		                   "for it is inside a read section");
	return 0;
}

static int synchronize(struct comap *region, uint64_t deadline_ns, bool evict)
{
	uint64_t ticket;
	uint32_t high_water;
	int code = may_synchronize(region);

	if (code)
		return code;
	ticket = draw_ticket(region);
	if (!ticket)
		return -comap_last_error()->code;
	high_water = comap__threads_used(region);
	for (uint32_t i = 0; i < high_water && !code; i++)
		if (look_at(region, &region->threads[i], ticket) == IN_THE_WAY)
			code = wait_for(region, &region->threads[i], ticket, deadline_ns, evict);
	if (!code)
		complete(region, ticket);
	return code;
}

int comap_synchronize_until(struct comap *region, uint64_t deadline_ns)
{
	return synchronize(region, deadline_ns, false);
}

int comap__synchronize_evicting(struct comap *region, uint64_t deadline_ns)
{
	return synchronize(region, deadline_ns, true);
}

int comap_synchronize(struct comap *region)
{
	return comap_synchronize_until(region, COMAP_FOREVER);
}

uint64_t comap_synchronize_start(struct comap *region)
{
	return may_synchronize(region) == 0 ? draw_ticket(region) : 0;
}

int comap_synchronize_poll(struct comap *region, uint64_t ticket)
{
	uint32_t high_water;
	int code = comap__attached(region);

	if (code)
		return code;
	if (ticket == 0 || ticket > comap_u64_load_relaxed(&region->control->epoch)) /* relaxed: a check */
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%llu is no ticket", (unsigned long long)ticket);
	/* [edge rcu.completed] acq */
	if (comap_u64_load_acquire(&region->control->completed) >= ticket)
		return 1;
	high_water = comap__threads_used(region);
	for (uint32_t i = 0; i < high_water; i++) {
		struct comap_thread_shm *thread = &region->threads[i];
		uint64_t owner = comap_u64_load_relaxed(&thread->owner); /* relaxed: checked by the callee */

		if (look_at(region, thread, ticket) == PASSED)
			continue;
		ask_proxy(thread);
		if (!((owner & 1) && comap__seat_is_dead(region, owner >> 1)))
			return 0;
	}
	complete(region, ticket);
	return 1;
}

/* --- parking --- */

static struct comap_thread_shm *own_record(struct comap *region)
{
	return &region->threads[comap__row(region)->record];
}

int comap_read_park(struct comap *region)
{
	int code = comap__attached(region);
	struct comap_thread_shm *thread;
	uint64_t mark;

	if (code)
		return code;
	/* relaxed: the thread's own word */
	mark = comap__row(region)->mark ? comap_u64_load_relaxed(comap__row(region)->mark) : 0;
	if ((mark & COMAP__MARK_NESTING) != 1 || (mark & (COMAP__MARK_PARKED | COMAP__MARK_EVICTABLE)))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "only an outermost pinned section can be parked, and once");
	thread = own_record(region);
	/* [edge rcu.park] rel: the park word before the mark that says so */
	comap_u64_store_release(&thread->park, (mark >> COMAP__MARK_EPOCH_SHIFT) << 2 | COMAP_PARK_PARKED);
	/* [edge rcu.quiescent] rel: what was read so far is read */
	comap_u64_store_release(&thread->mark, mark | COMAP__MARK_PARKED);
	return 0;
}

int comap_read_resume(struct comap *region)
{
	int code = comap__attached(region);
	struct comap_thread_shm *thread;
	uint64_t mark, parked;

	if (code)
		return code;
	/* relaxed: the thread's own word */
	mark = comap__row(region)->mark ? comap_u64_load_relaxed(comap__row(region)->mark) : 0;
	if (!(mark & COMAP__MARK_PARKED))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the thread has no parked section");
	thread = own_record(region);
	parked = (mark >> COMAP__MARK_EPOCH_SHIFT) << 2 | COMAP_PARK_PARKED;
	/* [edge rcu.park] both: either the section goes on or a writer has ended it */
	if (comap_u64_cas_acq_rel(&thread->park, parked, COMAP_PARK_NONE)) {
		/* relaxed: the mark holds the same epoch all the time */
		comap_u64_store_relaxed(&thread->mark, mark & ~(uint64_t)COMAP__MARK_PARKED);
		return 0;
	}
	/* [edge rcu.quiescent] rel */
	comap_u64_store_release(&thread->mark, 0);
	return comap__fail(COMAP_CAUSE_EVICTED, "a writer needed the memory while the section was parked: "
	                   "begin a new one");
}
