/* SPDX-License-Identifier: MIT */
/* Read-copy update between processes.
 *
 * A read-side critical section pins what it sees: memory that was reachable at its start is not
 * used again before its end, whichever process unlinks it, and whoever dies. Entering costs a load
 * and a store on a line of the thread's own; nobody is written to, nobody is waited for.
 *
 *     COMAP_READ(region) {
 *             struct comap_view view = comap_value_view(rates);
 *             use(view.data);
 *     }
 *
 * Sections nest (1,023 deep) and may be entered in signal handlers of a thread that has entered one
 * before outside of them. A section is short: while it lasts, no memory retired since is used again
 * anywhere. It ends with the thread and with the process. After fork() the child is in no section.
 *
 * Such a section is *pinned*. There is a second kind, for readers that may be slow, stopped or many:
 * an *evictable* one, which gives way when writers run out of memory, and says so at its end.
 *
 *     COMAP_READ_EVICTABLE(region, &code) {
 *             struct comap_view view = comap_value_view(rates);
 *             copy = parse(view.data, view.size_bytes);
 *     }
 *     if (code == -ESTALE) what was read may be of several versions: throw it away, begin anew */
#ifndef COMAP_RCU_H
#define COMAP_RCU_H

#include <comap/region.h>
#include <comap/word.h>

COMAP_BEGIN_DECLS

#define COMAP__MARK_NESTING 0x3ffu       /* bits 0-9 of a mark */
#define COMAP__MARK_PARKED 0x400u        /* bit 10 */
#define COMAP__MARK_EVICTABLE 0x800u     /* bit 11 */
#define COMAP__MARK_EPOCH_SHIFT 12
/* The word {epoch, state} beside the mark, so many words further on, and two of its states. */
#define COMAP__PARK_WORD 6
#define COMAP__PARK_PARKED 1u
#define COMAP__PARK_OUSTED 2u

/* Private, here for the inline functions only. A thread's row for one region: where its mark is.
 * Rows lie in memory that a forked child finds zeroed, so the child is unattached by a load that
 * the reader does anyway. */
struct comap__row {
	struct comap_u64 *mark;        /* NULL: this thread has no mark in the region (yet) */
	const struct comap_u64 *epoch; /* set after the mark; NULL too where the reader fences itself */
	struct comap_u32 pinned;       /* pinned sections open inside the evictable one */
	uint32_t record;               /* number of the thread record */
	uint64_t token;
	struct comap__heap_cache *cache; /* where the thread allocates */
	uint64_t reserved[3];
};
/* Private. The handle's address says which row is its own, in bits 6-11: a load less. */
#define COMAP__ROW_BYTES 64u
#define COMAP__ROW_COUNT 64u

extern COMAP_API __thread struct comap__row *comap__tls_rows
	__attribute__((tls_model("initial-exec")));

COMAP_API int comap__read_begin_slow(struct comap *region);
COMAP_API int comap__read_end_slow(struct comap *region);
COMAP_API int comap__read_begin_evictable_slow(struct comap *region);
COMAP_API int comap__read_end_evictable_slow(struct comap *region);

static inline struct comap__row *comap__row(const struct comap *region)
{
	size_t offset_bytes = (uintptr_t)region & ((COMAP__ROW_COUNT - 1) * COMAP__ROW_BYTES);

	return (struct comap__row *)(void *)((char *)comap__tls_rows + offset_bytes);
}

/* Enters a read section. 0, or: -EINVAL NULL; -EUSERS no thread record is free; -ECHILD after
 * fork(); -ENOTCONN a guest; -EOVERFLOW nested too deeply; -EINVAL while the thread's section is
 * parked; -ESTALE inside an evictable section that has been evicted. A thread's first section in a region
 * registers it (a few microseconds, not async-signal-safe); from then on: nanoseconds, wait-free. */
static inline int comap_read_begin(struct comap *region)
{
	const struct comap_u64 *epoch;
	struct comap__row *row;
	struct comap_u64 *mark;
	uint64_t word;

	if (COMAP_UNLIKELY(!region))
		return comap__read_begin_slow(region);
	row = comap__row(region);
	epoch = row->epoch;
	/* not registered, forked, or a reader that fences itself; else there is a mark */
	if (COMAP_UNLIKELY(!epoch))
		return comap__read_begin_slow(region);
	mark = row->mark;
	/* relaxed: only this thread and its signal handlers write the mark */
	word = comap_u64_load_relaxed(mark);
	if (COMAP_UNLIKELY(word != 0)) {
		/* relaxed: the section is open already. Full, or parked: an error. Evictable: pinned now */
		if (COMAP_UNLIKELY((word & COMAP__MARK_NESTING) == COMAP__MARK_NESTING ||
		                   (word & (COMAP__MARK_PARKED | COMAP__MARK_EVICTABLE))))
			return comap__read_begin_slow(region);
		comap_u64_store_relaxed(mark, word + 1);
		return 0;
	}
	/* [edge rcu.epoch] acq: seen the epoch of a ticket => everything unlinked before that
	 * ticket was drawn is seen unlinked.
	 * relaxed store: ordered against the section's loads by the fence below. */
	comap_u64_store_relaxed(mark, comap_u64_load_acquire(epoch) << COMAP__MARK_EPOCH_SHIFT | 1);
	/* [edge rcu.mark] the mark before the section's loads, by membarrier() on the synchronizer's
	 * side: if it does not see the mark, it has unlinked where these loads can see it. */
	comap_fence_compiler();
	return 0;
}

/* Leaves a read section; must follow a successful comap_read_begin() of the same thread. */
static inline int comap_read_end(struct comap *region)
{
	struct comap_u64 *mark;
	uint64_t word;

	if (COMAP_UNLIKELY(!region))
		return comap__read_end_slow(region);
	mark = comap__row(region)->mark;
	if (COMAP_UNLIKELY(!mark))
		return comap__read_end_slow(region);
	/* relaxed: the thread's own word */
	word = comap_u64_load_relaxed(mark);
	/* [edge rcu.quiescent] rel, both: the section's loads before the mark goes; a synchronizer
	 * that sees the mark gone may use again what they saw. */
	if (COMAP_LIKELY((word & (COMAP__MARK_NESTING | COMAP__MARK_EVICTABLE)) == 1))
		comap_u64_store_release(mark, 0);
	else if ((word & COMAP__MARK_NESTING) != 0 && !(word & COMAP__MARK_EVICTABLE))
		comap_u64_store_release(mark, word - 1);
	else
		return comap__read_end_slow(region);
	return 0;
}

/* --- evictable sections --------------------------------------------------------------------------- */

/* Enters an evictable section. It holds memory back as a pinned one does, until writers are at the
 * region's pin budget or the heap is full: then a writer evicts it, whatever the budget's policy says,
 * and goes on. From there on what its views show may change at any moment, into anything; it stays
 * readable. So inside:
 *
 *   copy first, or work on numbers that may be nonsense without harm; look at comap_read_is_stale(),
 *   or at the end's result, before the result is used: for a pointer, an index, a length, a decision;
 *   change nothing in the region: put, publish and the like are -EINVAL.
 *
 * Look-ups check every offset and end in bounded time, whatever the bytes have become.
 *
 *   inside          | begin (pinned)                             | begin_evictable
 *   a pinned one    | nests                                      | nests, pinned: its end is always 0
 *   an evictable    | pins the outer one too while it is open;   | nests
 *                   | -ESTALE where that is evicted already      |
 *
 * So comap_table_get() and comap_value_get() copy whole values inside too, or say -ESTALE. Errors
 * and cost as comap_read_begin(), and two more stores. An evictable section cannot be parked. */
static inline int comap_read_begin_evictable(struct comap *region)
{
	const struct comap_u64 *epoch;
	struct comap__row *row;
	struct comap_u64 *mark;
	uint64_t word;

	if (COMAP_UNLIKELY(!region))
		return comap__read_begin_evictable_slow(region);
	row = comap__row(region);
	epoch = row->epoch;
	if (COMAP_UNLIKELY(!epoch))
		return comap__read_begin_evictable_slow(region);
	mark = row->mark;
	if (COMAP_UNLIKELY(comap_u64_load_relaxed(mark) != 0)) /* relaxed: the thread's own word */
		return comap__read_begin_evictable_slow(region);
	/* [edge rcu.epoch] acq: as in comap_read_begin().  relaxed, both: pinned first, so that a
	 * section of a signal handler nests here; then the word by which it is evicted. */
	word = comap_u64_load_acquire(epoch);
	comap_u64_store_relaxed(mark, word << COMAP__MARK_EPOCH_SHIFT | 1);
	comap_fence_compiler();
	comap_u64_store_relaxed(mark + COMAP__PARK_WORD, word << 2 | COMAP__PARK_PARKED);
	/* [edge rcu.park] rel: the park word before the mark that says evictable */
	comap_u64_store_release(mark, word << COMAP__MARK_EPOCH_SHIFT | COMAP__MARK_EVICTABLE | 1);
	/* [edge rcu.mark] the mark before the section's loads, by membarrier(): as comap_read_begin() */
	comap_fence_compiler();
	return 0;
}

/* Private: has the section of this mark been evicted? */
static inline bool comap__mark_is_stale(const struct comap_u64 *mark, uint64_t word)
{
	if (!(word & COMAP__MARK_EVICTABLE))
		return false;
	/* [edge rcu.evict] acq: what the section has loaded before this look; a byte from a later use of
	 * the memory comes after the eviction, which is seen then.  relaxed: after the fence */
	comap_fence_acquire();
	return comap_u64_load_relaxed(mark + COMAP__PARK_WORD) ==
	       ((word >> COMAP__MARK_EPOCH_SHIFT) << 2 | COMAP__PARK_OUSTED);
}

/* Has the evictable section that this thread is in been evicted? False: all that it has read up to
 * here is as it was at its start, or newer, and whole. False too outside. Wait-free; it loads two
 * words of the thread's own line. Async-signal-safe. */
static inline bool comap_read_is_stale(struct comap *region)
{
	struct comap_u64 *mark = region ? comap__row(region)->mark : NULL;

	return mark && comap__mark_is_stale(mark, comap_u64_load_relaxed(mark)); /* relaxed: its own */
}

/* Leaves a section that comap_read_begin_evictable() has entered. 0: what was read in it is right;
 * -ESTALE: it was evicted, begin anew; -EINVAL: the thread is in none. */
static inline int comap_read_end_evictable(struct comap *region)
{
	struct comap_u64 *mark;
	uint64_t word;

	if (COMAP_UNLIKELY(!region))
		return comap__read_end_evictable_slow(region);
	mark = comap__row(region)->mark;
	if (COMAP_UNLIKELY(!mark))
		return comap__read_end_evictable_slow(region);
	word = comap_u64_load_relaxed(mark); /* relaxed: the thread's own word */
	if (COMAP_UNLIKELY((word & COMAP__MARK_NESTING) != 1 || (word & COMAP__MARK_PARKED) ||
	                   comap__mark_is_stale(mark, word)))
		return comap__read_end_evictable_slow(region);
	/* [edge rcu.quiescent] rel: as in comap_read_end() */
	comap_u64_store_release(mark, 0);
	return 0;
}

/* --- blocks --------------------------------------------------------------------------------------- */

/* Private: the loops of COMAP_READ and COMAP_READ_EVICTABLE. */
struct comap__section {
	struct comap *region;
	int *ret_code;
};
static inline struct comap__section comap__section_begin(struct comap *region)
{
	struct comap__section section = { region, NULL };

	if (comap_read_begin(region) != 0)
		section.region = NULL;
	return section;
}
static inline void comap__section_end(struct comap__section *section)
{
	if (section->region)
		(void)comap_read_end(section->region);
	section->region = NULL;
}

/* A block inside a read section; break, continue, return and goto leave it properly. When the
 * section cannot be entered the block is passed over and comap_last_error() says why. */
#define COMAP_READ(region_) \
	for (struct comap__section comap__open_section \
	             __attribute__((cleanup(comap__section_end))) = comap__section_begin(region_); \
	     comap__open_section.region; comap__section_end(&comap__open_section))

static inline struct comap__section comap__evictable_begin(struct comap *region, int *ret_code)
{
	struct comap__section section = { region, ret_code };

	*ret_code = comap_read_begin_evictable(region);
	if (*ret_code != 0)
		section.region = NULL;
	return section;
}
static inline void comap__evictable_end(struct comap__section *section)
{
	if (section->region)
		*section->ret_code = comap_read_end_evictable(section->region);
	section->region = NULL;
}

/* The same for an evictable section. *ret_code_ (an int): 0 what was read is right; -ESTALE it may
 * not be; or why the section could not be entered. */
#define COMAP_READ_EVICTABLE(region_, ret_code_) \
	for (struct comap__section comap__open_evictable \
	             __attribute__((cleanup(comap__evictable_end))) = \
	             comap__evictable_begin(region_, ret_code_); \
	     comap__open_evictable.region; comap__evictable_end(&comap__open_evictable))

/* Parks the thread's section: it promises not to look at the region until it resumes. A writer that
 * needs the memory ends a parked section instead of waiting for it: then comap_read_resume() is
 * -ESTALE, the section is over, and everything that it saw is void. 0 from resume: the section goes
 * on, and what it saw is as it was. For readers that stay long: those that wait for a network while
 * they hold a view. Only the outermost section can be parked (-EINVAL); comap_read_end() ends it.
 * Wait-free, two stores. */
COMAP_API int comap_read_park(struct comap *region);
COMAP_API int comap_read_resume(struct comap *region);

/* Waits until every section that is open now, in any process, has ended, or its process has died, or
 * it was evicted (by others: this evicts nobody); a dead process is noticed within 50 ms. 0, or:
 * -EDEADLK inside a section of the region; -EOPNOTSUPP without membarrier() in a region that needs it;
 * -ETIMEDOUT at the deadline, and the last error names the seat in the way. Guests: -ENOTCONN.
 * Cost: one membarrier() (microseconds) and a line per thread record; nothing is locked. */
COMAP_API int comap_synchronize(struct comap *region);
COMAP_API int comap_synchronize_until(struct comap *region, uint64_t deadline_ns);

/* The same without waiting: take a ticket now; it is done when the poll says 1 (0: not yet). */
COMAP_API uint64_t comap_synchronize_start(struct comap *region);
COMAP_API int comap_synchronize_poll(struct comap *region, uint64_t ticket);

/* Registers the calling thread before its first section, where the cost of that section or a
 * signal handler matters. */
COMAP_API int comap_thread_register(struct comap *region);

COMAP_END_DECLS
#endif
