/* SPDX-License-Identifier: MIT */
/* Blocks of the region's heap.
 *
 * Where it lives: pages of 64 KiB and their descriptors (layout.h). Blocks of up to half a page come
 *             in size classes: a class page begins with a state word per block, then the blocks, each
 *             aligned to 64. Larger ones are runs of whole pages, their state word in the first
 *             descriptor.
 * Invariants: I1 the state word alone says whether a block is free; hints may be wrong
 *             I2 a PRIVATE block lies in a page that its thread owns, or is a run; so the blocks of a
 *                dead thread are found from the descriptors
 *             I3 TAIL pages follow their head without a gap
 *             I4 fresh pages from the file system (zeros) are FREE pages of FREE blocks
 * Writers:    allocation: the thread, in pages that it owns. Freeing: anybody, by CAS
 * Ordering:   [edge block.state], [edge page.word], [edge reuse.horizon], [edge region.committed]
 * Progress:   lock-free; no thread waits for another. A search is bounded by the committed pages
 * If a process dies here: see comap__heap_sweep(); each step leaves a word with the dead one's token
 * Limits:     one block is smaller than the heap; 44 bits of tenures */
#include "heap.h"

#include "error.h"
#include "fault.h"
#include "heap_page.h"
#include "rcu.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE COMAP_HEAP_PAGE_BYTES
#define ADOPT_SEARCH_PAGES 4096u
#define NO_PAGE UINT64_MAX


/* A thread's own view of where to allocate. Process memory; only hints, nothing is lost with it. */
struct comap__heap_cache {
	uint64_t page[COMAP_HEAP_CLASS_COUNT];      /* page + 1 that it allocates from, 0: none */
	uint32_t cursor[COMAP_HEAP_CLASS_COUNT];    /* the next block to look at */
	uint64_t run_hint;               /* where a run has been freed or found last */
	uint64_t search_hint;            /* where the last search for a class page ended */
	uint64_t form_hint;              /* ... and for a free page to make one of */
};

/* --- runs --- */

/* Gives a run's pages back, from the end, so that what is left is always without a gap (I3). The
 * head is CLAIMED, by us or by a dead one whom we sweep. */
static void release_run(struct comap *region, uint64_t head)
{
	struct comap_page_shm *pages = comap__pages(region);
	uint64_t end = head + 1, limit = comap__heap_committed_pages(region);
	uint64_t tail = comap__page_word(COMAP_PAGE_TAIL, head);

	while (end < limit && comap_u64_load_relaxed(&pages[end].word) == tail) /* relaxed: ours */
		end++;
	while (--end > head) {
		/* [edge page.word] rel: the page is nobody's. By CAS, for a sweeper that repeats. */
		comap_u64_cas_release(&pages[end].word, tail, COMAP_PAGE_FREE);
		COMAP_FAULT("run.tail_released");
	}
	comap_u64_store_relaxed(&pages[head].state, COMAP_BLOCK_FREE); /* relaxed: before the release */
	comap_u64_store_release(&pages[head].word, COMAP_PAGE_FREE); /* [edge page.word] rel */
}

/* Tries to own [head, head + count). False where one of them is not free; *ret_next says where to
 * look on. Commit point: CLAIMED -> RUN. */
static bool claim_run(struct comap *region, uint64_t token, uint64_t head, uint64_t count,
                      uint64_t *ret_next)
{
	struct comap_page_shm *pages = comap__pages(region);
	uint64_t claimed = comap__page_word(COMAP_PAGE_CLAIMED, token);

	for (uint64_t i = head; i < head + count; i++)
		if (comap_u64_load_relaxed(&pages[i].word) != COMAP_PAGE_FREE) { /* relaxed: CAS decides */
			*ret_next = i + 1;
			return false;
		}
	*ret_next = head + 1;
	/* [edge page.word] acq: who freed the page is done with it */
	if (!comap_u64_cas_acq_rel(&pages[head].word, COMAP_PAGE_FREE, claimed))
		return false;
	COMAP_FAULT("run.claimed");
	for (uint64_t i = head + 1; i < head + count; i++)
		if (!comap_u64_cas_acq_rel(&pages[i].word, COMAP_PAGE_FREE, comap__page_word(COMAP_PAGE_TAIL, head))) {
			release_run(region, head);
			return false;
		}
	/* relaxed: before the release */
	comap_u64_store_relaxed(&pages[head].state, comap__block_word(COMAP_BLOCK_PRIVATE, token));
	/* [edge page.word] rel */
	comap_u64_store_release(&pages[head].word, comap__page_word(COMAP_PAGE_RUN, count));
	COMAP_FAULT("run.owned");
	return true;
}

/* --- class pages --- */

/* FREE -> FORMING -> CLASS: the states are zeroed under FORMING, where nobody looks at them. */
static bool form_page(struct comap *region, uint64_t token, uint64_t page, uint32_t block_bytes)
{
	struct comap_page_shm *desc = &comap__pages(region)[page];
	uint32_t count = comap__blocks_per_page(block_bytes);

	if (comap_u64_load_relaxed(&desc->word) != COMAP_PAGE_FREE || /* relaxed: CAS decides */
	    /* [edge page.word] acq: who freed the page is done with it */
	    !comap_u64_cas_acq_rel(&desc->word, COMAP_PAGE_FREE, comap__page_word(COMAP_PAGE_FORMING, token)))
		return false;
	COMAP_FAULT("page.forming");
	/* [edge reuse.horizon] rel: the horizon, seen by us when the page was freed, before new bytes */
	comap_fence_release();
	memset(comap__page_states(region, page), 0, comap__states_bytes(count));
	comap_u32_store_relaxed(&desc->block_bytes, block_bytes); /* relaxed: before the release */
	comap_u32_store_relaxed(&desc->block_count, count);
	comap_u32_store_relaxed(&desc->free_hint, count);
	/* [edge page.word] rel */
	comap_u64_store_release(&desc->word, comap__page_word(COMAP_PAGE_CLASS, token));
	return true;
}

/* May the calling thread allocate from this page from now on? Nobody's, its own, and those whose
 * thread has ended are to be had. */
static bool adopt_page(struct comap *region, uint64_t token, struct comap_page_shm *desc,
                       uint32_t block_bytes)
{
	/* [edge page.word] acq: seen CLASS => the size of its blocks is the one it was formed with */
	uint64_t word = comap_u64_load_acquire(&desc->word);
	uint32_t count = comap__blocks_per_page(block_bytes);

	/* relaxed, both: hints until the page is ours */
	if (comap__page_kind(word) != COMAP_PAGE_CLASS ||
	    comap_u32_load_relaxed(&desc->block_bytes) != block_bytes ||
	    comap_u32_load_relaxed(&desc->free_hint) < (count + 7) / 8)
		return false;
	if (comap__word_rest(word) == token)
		return true;
	if (comap__word_rest(word) != 0 && comap__thread_seat(region, comap__word_rest(word)) != 0)
		return false;
	/* [edge page.word] acq: who gave it up is done with it */
	if (!comap_u64_cas_acq_rel(&desc->word, word, comap__page_word(COMAP_PAGE_CLASS, token)))
		return false;
	/* relaxed: ours. The word may be the one that we saw although the page was free meanwhile and has
	 * become another class's. */
	if (COMAP_LIKELY(comap_u32_load_relaxed(&desc->block_bytes) == block_bytes))
		return true;
	/* [edge page.word] rel */
	comap_u64_store_release(&desc->word, comap__page_word(COMAP_PAGE_CLASS, 0));
	return false;
}

/* A page of the class with free blocks, from the hint on; else a page fresh or freed. The first
 * search is bounded, so that its cost does not grow with the heap. */
static uint64_t find_page(struct comap *region, struct comap__row *row, uint32_t block_bytes)
{
	struct comap_page_shm *pages = comap__pages(region);
	struct comap__heap_cache *cache = row->cache;
	uint64_t limit = comap__heap_committed_pages(region);
	uint64_t start = cache->search_hint < limit ? cache->search_hint : 0;

	for (uint64_t i = 0; i < limit && i < ADOPT_SEARCH_PAGES; i++) {
		uint64_t page = start + i < limit ? start + i : start + i - limit;

		cache->search_hint = page;
		if (adopt_page(region, row->token, &pages[page], block_bytes))
			return page;
	}
	start = cache->form_hint < limit ? cache->form_hint : 0;
	for (uint64_t i = 0; i < limit; i++) {
		uint64_t page = start + i < limit ? start + i : start + i - limit;

		cache->form_hint = page;
		if (form_page(region, row->token, page, block_bytes))
			return page;
	}
	return NO_PAGE;
}

/* The thread goes on elsewhere. A page with a PRIVATE block of its own stays its own (I2); an empty
 * one becomes a free page again. */
static void leave_page(struct comap *region, uint64_t token, uint64_t page)
{
	struct comap_page_shm *desc = &comap__pages(region)[page];
	struct comap_u64 *states = comap__page_states(region, page);
	uint32_t count = comap__page_block_count(desc), free_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t word = comap_u64_load_acquire(&states[i]); /* [edge block.state] acq: it is over */

		if (word == comap__block_word(COMAP_BLOCK_PRIVATE, token))
			return;
		free_count += word == COMAP_BLOCK_FREE;
	}
	comap_u32_store_relaxed(&desc->free_hint, free_count); /* relaxed: a hint, set right */
	/* [edge page.word] rel */
	comap_u64_cas_acq_rel(&desc->word, comap__page_word(COMAP_PAGE_CLASS, token),
	                      free_count == count ? COMAP_PAGE_FREE : comap__page_word(COMAP_PAGE_CLASS, 0));
}

/* Class pages of nobody in which everything is free become free pages. True where some did. */
static bool recycle_pages(struct comap *region, uint64_t token)
{
	struct comap_page_shm *pages = comap__pages(region);
	uint64_t limit = comap__heap_committed_pages(region);
	bool any = false;

	for (uint64_t page = 0; page < limit; page++) {
		uint32_t block_bytes = comap__page_block_bytes(&pages[page]);
		uint64_t word = comap_u64_load_relaxed(&pages[page].word); /* relaxed: a hint */

		if (comap__page_kind(word) != COMAP_PAGE_CLASS || comap__word_rest(word) == token ||
		    block_bytes == 0 ||
		    /* relaxed: a hint */
		    comap_u32_load_relaxed(&pages[page].free_hint) < comap__blocks_per_page(block_bytes) ||
		    !adopt_page(region, token, &pages[page], block_bytes))
			continue;
		leave_page(region, token, page);
		any |= comap_u64_load_relaxed(&pages[page].word) == COMAP_PAGE_FREE; /* relaxed: a look */
	}
	return any;
}

/* More pages to look at: of what the dead left on their rings, of empty class pages, and only then
 * new ones from the file system. */
static int find_room(struct comap *region, struct comap__row *row, uint64_t count)
{
	if (comap__rings_adopt(region) > 0 || recycle_pages(region, row->token))
		return 0;
	return comap__heap_grow(region, count);
}

static uint64_t search_run(struct comap *region, struct comap__row *row, uint64_t count)
{
	uint64_t limit = comap__heap_committed_pages(region), next;
	uint64_t hint = row->cache->run_hint;

	if (hint < limit && count <= limit - hint && claim_run(region, row->token, hint, count, &next))
		return hint;
	for (uint64_t head = 0; count <= limit && head <= limit - count; head = next)
		if (claim_run(region, row->token, head, count, &next))
			return head;
	return NO_PAGE;
}

static int alloc_run(struct comap *region, struct comap__row *row, size_t size_bytes,
                     struct comap_ref *ret_ref)
{
	uint64_t count = (size_bytes + PAGE - 1) / PAGE, head;
	int code;

	for (;;) {
		head = search_run(region, row, count);
		if (head != NO_PAGE)
			break;
		code = find_room(region, row, count);
		if (code)
			return code;
	}
	row->cache->run_hint = head + count;
	*ret_ref = (struct comap_ref){ comap__page_offset(region, head) };
	return 0;
}

/* The next FREE block from the cursor on. Only the page's owner takes blocks from it; freeing by
 * others adds some meanwhile. */
static bool take_block(struct comap *region, struct comap__row *row, uint64_t page, uint32_t *cursor,
                       uint32_t *ret_index)
{
	struct comap_page_shm *desc = &comap__pages(region)[page];
	struct comap_u64 *states = comap__page_states(region, page);
	uint32_t count = comap__page_block_count(desc);

	for (uint32_t i = *cursor; i < count; i++) {
		if (comap_u64_load_relaxed(&states[i]) != COMAP_BLOCK_FREE) /* relaxed: CAS decides */
			continue;
		/* [edge block.state] acq: who freed it is done with it, and the horizon is seen */
		if (!comap_u64_cas_acquire(&states[i], COMAP_BLOCK_FREE,
		                           comap__block_word(COMAP_BLOCK_PRIVATE, row->token)))
			continue;
		COMAP_FAULT("block.private");
		comap_u32_sub_relaxed(&desc->free_hint, 1); /* relaxed: a hint */
		*cursor = i + 1;
		*ret_index = i;
		return true;
	}
	return false;
}

static int alloc_small(struct comap *region, struct comap__row *row, uint32_t class,
                       struct comap_ref *ret_ref)
{
	struct comap__heap_cache *cache = row->cache;
	uint32_t block_bytes = comap__class_bytes(class), index;
	uint64_t page;
	int code;

	for (;;) {
		if (cache->page[class]) {
			page = cache->page[class] - 1;
			if (take_block(region, row, page, &cache->cursor[class], &index))
				break;
			leave_page(region, row->token, page);
			cache->page[class] = 0;
		}
		page = find_page(region, row, block_bytes);
		if (page == NO_PAGE) {
			code = find_room(region, row, 1);
			if (code)
				return code;
			continue;
		}
		cache->page[class] = page + 1;
		cache->cursor[class] = 0;
	}
	*ret_ref = comap__page_block(region, page, block_bytes, index);
	return 0;
}

/* --- the interface --- */

static int alloc_once(struct comap *region, struct comap__row *row, size_t size_bytes,
                      struct comap_ref *ret_ref)
{
	uint32_t class = comap__class_of(size_bytes);

	return class < COMAP_HEAP_CLASS_COUNT ? alloc_small(region, row, class, ret_ref)
	                           : alloc_run(region, row, size_bytes, ret_ref);
}

/* Memory that waits for somebody to ask: our own ring, the rings of the gone, the dead. */
static bool scrape(struct comap *region, struct comap__row *row)
{
	uint64_t before = comap_u64_load_relaxed(&region->control->horizon); /* relaxed: only compared */
	unsigned swept = comap__seats_reap(region);

	if (!comap__in_section(region))
		comap__ring_flush(region, row, comap_deadline_ms(100));
	comap__rings_adopt(region);
	return swept > 0 || comap_u64_load_relaxed(&region->control->horizon) != before;
}

int comap__block_alloc(struct comap *region, struct comap__row *row, size_t size_bytes,
                       struct comap_ref *ret_ref, void **ret_data)
{
	int code = comap__heap_make_writable(region);

	if (!code && !row->cache) {
		row->cache = calloc(1, sizeof *row->cache);
		if (!row->cache)
			code = comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for the thread's heap cache");
	}
	if (code)
		return code;
	if (size_bytes > region->identity->heap_max_bytes)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%zu bytes do not fit into %s, whose maximum is %llu",
		                   size_bytes, region->path,
		                   (unsigned long long)region->identity->heap_max_bytes);
	code = alloc_once(region, row, size_bytes ? size_bytes : 1, ret_ref);
	if ((code == -ENOSPC || code == -EFBIG) && scrape(region, row))
		code = alloc_once(region, row, size_bytes ? size_bytes : 1, ret_ref);
	if (code)
		return code == -EFBIG ? -ENOSPC : code;
	/* [edge reuse.horizon] rel: the horizon, seen with the FREE word, before the first new byte */
	comap_fence_release();
	*ret_data = region->writable + ret_ref->offset_bytes;
	return 0;
}

bool comap__block_free(struct comap *region, uint64_t token, struct comap_ref ref, uint64_t from)
{
	struct comap_page_shm *desc;
	struct comap__place place;

	if (!comap__block_locate(region, ref, &place))
		return false;
	desc = &comap__pages(region)[place.page];
	if (!place.run) {
		/* [edge block.state] rel: horizon and last use before the block is anybody's */
		if (!comap_u64_cas_acq_rel(place.state, from, COMAP_BLOCK_FREE))
			return false;
		comap_u32_add_relaxed(&desc->free_hint, 1); /* relaxed: a hint */
		return true;
	}
	/* [edge block.state] both: one of two frees the run */
	if (!comap_u64_cas_acq_rel(place.state, from, comap__block_word(COMAP_BLOCK_FREEING, token)))
		return false;
	COMAP_FAULT("run.freeing");
	/* [edge page.word] rel */
	comap_u64_store_release(&desc->word, comap__page_word(COMAP_PAGE_CLAIMED, token));
	release_run(region, place.page);
	/* Lowest first: what is used again soon lies in few lines. */
	if (comap__row(region)->cache && place.page < comap__row(region)->cache->run_hint)
		comap__row(region)->cache->run_hint = place.page;
	return true;
}

void comap__block_abandon(struct comap *region, struct comap__row *row, struct comap_ref ref)
{
	comap__block_free(region, row->token, ref, comap__block_word(COMAP_BLOCK_PRIVATE, row->token));
}

/* --- after a death --- */

static bool is_dead_token(struct comap *region, uint64_t token, uint32_t seat, uint64_t generation)
{
	return comap__seat_token_before(comap__thread_seat(region, token), seat, generation);
}

static void sweep_class_page(struct comap *region, uint64_t page, uint32_t seat, uint64_t generation)
{
	struct comap_page_shm *desc = &comap__pages(region)[page];
	struct comap_u64 *states = comap__page_states(region, page);
	uint64_t word = comap_u64_load_relaxed(&desc->word); /* relaxed: the owner is dead */
	uint32_t count = comap__page_block_count(desc), free_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t state = comap_u64_load_relaxed(&states[i]); /* relaxed: CAS decides */

		if ((state & 15) == COMAP_BLOCK_PRIVATE &&
		    is_dead_token(region, comap__word_rest(state), seat, generation) &&
		    comap_u64_cas_acq_rel(&states[i], state, COMAP_BLOCK_FREE)) { /* [edge block.state] rel */
			comap_u64_add_relaxed(&region->control->adopted_blocks, 1); /* relaxed: a counter */
			state = COMAP_BLOCK_FREE;
		}
		free_count += state == COMAP_BLOCK_FREE;
	}
	comap_u32_store_relaxed(&desc->free_hint, free_count); /* relaxed: a hint, set right */
	/* [edge page.word] rel */
	comap_u64_cas_acq_rel(&desc->word, word, comap__page_word(COMAP_PAGE_CLASS, 0));
}

/* What the dead one's words say, and what is done:
 *
 *   FORMING(dead)                       the page goes back to FREE
 *   CLAIMED(dead)                       so do its tails and it: half-claimed or half-freed
 *   RUN, state PRIVATE/FREEING(dead)    becomes CLAIMED, and the same
 *   CLASS(dead)                         its PRIVATE(dead) blocks are FREE, the page is nobody's
 *
 * Intents have been repaired before, so what is still PRIVATE was never linked. Every step can be
 * repeated by the next sweeper. */
void comap__heap_sweep(struct comap *region, uint32_t seat, uint64_t generation)
{
	struct comap_page_shm *pages = comap__pages(region);
	uint64_t limit = comap__heap_committed_pages(region);

	for (uint64_t page = 0; page < limit; page++) {
		uint64_t word = comap_u64_load_acquire(&pages[page].word); /* [edge page.word] acq */
		uint64_t state = comap_u64_load_relaxed(&pages[page].state); /* relaxed: after the word */
		uint64_t token = comap__word_rest(comap__page_kind(word) == COMAP_PAGE_RUN ? state : word);
		bool unsettled_run = comap__page_kind(word) == COMAP_PAGE_RUN &&
		                     ((state & 15) == COMAP_BLOCK_PRIVATE ||
		                      (state & 15) == COMAP_BLOCK_FREEING);

		if (comap__page_kind(word) == COMAP_PAGE_FREE || comap__page_kind(word) == COMAP_PAGE_TAIL ||
		    (comap__page_kind(word) == COMAP_PAGE_RUN && !unsettled_run) ||
		    !is_dead_token(region, token, seat, generation))
			continue;
		if (comap__page_kind(word) == COMAP_PAGE_FORMING) {
			comap_u64_cas_acq_rel(&pages[page].word, word, COMAP_PAGE_FREE); /* [edge page.word] rel */
		} else if (comap__page_kind(word) == COMAP_PAGE_CLASS) {
			sweep_class_page(region, page, seat, generation);
		} else {
			/* [edge page.word] rel: the same word again where it was CLAIMED already */
			comap_u64_store_release(&pages[page].word, comap__page_word(COMAP_PAGE_CLAIMED, token));
			release_run(region, page);
			comap_u64_add_relaxed(&region->control->adopted_blocks, 1); /* relaxed: a counter */
		}
	}
}
