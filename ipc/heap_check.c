/* SPDX-License-Identifier: MIT */
/* The heap's checker: every page is of one kind, every block of one state, and what is in transit
 * belongs to a thread that exists. */
#include "heap.h"

#include "heap_page.h"
#include "seat.h"

#include <stdio.h>
#include <string.h>

#define PAGE COMAP_HEAP_PAGE_BYTES

struct walk {
	const struct comap *region;
	struct comap__heap_census *census;
	comap__block_visitor *visit;
	void *context;
};

static void flaw(struct comap__heap_census *census, const char *what, uint64_t page, uint64_t word)
{
	if (census->flaws++ == 0)
		snprintf(census->first_flaw, sizeof census->first_flaw, "page %llu: %s (word %llx)",
		         (unsigned long long)page, what, (unsigned long long)word);
}

static void count_block(struct walk *walk, uint64_t page, struct comap_ref ref, uint64_t state,
                        size_t size_bytes)
{
	struct comap__heap_census *census = walk->census;

	switch (state & 15) {
	case COMAP_BLOCK_FREE: census->blocks_free++; return;
	case COMAP_BLOCK_PRIVATE: census->blocks_private++; break;
	case COMAP_BLOCK_PUBLISHED: census->blocks_published++; break;
	case COMAP_BLOCK_RETIRED: census->blocks_retired++; break;
	case COMAP_BLOCK_FREEING: census->blocks_freeing++; break;
	default: flaw(census, "a block has no known state", page, state); return;
	}
	if (((state & 15) == COMAP_BLOCK_PRIVATE || (state & 15) == COMAP_BLOCK_FREEING) &&
	    comap__thread_seat(walk->region, comap__word_rest(state)) == 0)
		flaw(census, "a block belongs to a thread that has ended", page, state);
	if (walk->visit)
		walk->visit(walk->context, ref, state, size_bytes);
}

/* Returns the page after the run or page. */
static uint64_t check_page(struct walk *walk, uint64_t page, uint64_t limit)
{
	const struct comap_page_shm *pages = comap__pages(walk->region);
	uint64_t word = comap_u64_load_acquire(&pages[page].word); /* [edge page.word] acq */
	uint64_t length = comap__word_rest(word);
	uint32_t count, block_bytes;

	switch (comap__page_kind(word)) {
	case COMAP_PAGE_FREE:
		walk->census->pages_free++;
		return page + 1;
	case COMAP_PAGE_RUN:
		if (length == 0 || length > limit - page) {
			flaw(walk->census, "a run reaches past the heap", page, word);
			return page + 1;
		}
		for (uint64_t i = 1; i < length; i++)
			if (pages[page + i].word.v != comap__page_word(COMAP_PAGE_TAIL, page))
				flaw(walk->census, "a run has lost a page", page + i, pages[page + i].word.v);
		walk->census->pages_in_runs += length;
		count_block(walk, page, (struct comap_ref){ comap__page_offset(walk->region, page) },
		            pages[page].state.v, length * PAGE);
		return page + length;
	case COMAP_PAGE_CLASS:
		block_bytes = comap__page_block_bytes(&pages[page]);
		count = block_bytes ? comap__blocks_per_page(block_bytes) : 0;
		if (count == 0)
			flaw(walk->census, "a class page of an unknown size", page, pages[page].block_bytes.v);
		for (uint32_t i = 0; i < count; i++)
			count_block(walk, page, comap__page_block(walk->region, page, block_bytes, i),
			            comap__page_states(walk->region, page)[i].v, block_bytes);
		walk->census->pages_of_classes++;
		return page + 1;
	case COMAP_PAGE_CLAIMED:
	case COMAP_PAGE_FORMING:
		walk->census->pages_in_transit++;
		if (comap__thread_seat(walk->region, length) == 0)
			flaw(walk->census, "a page belongs to a thread that has ended", page, word);
		return page + 1;
	case COMAP_PAGE_TAIL:
		walk->census->pages_in_transit++;
		if (length >= page || comap__page_kind(pages[length].word.v) != COMAP_PAGE_CLAIMED)
			flaw(walk->census, "a tail without a head", page, word);
		return page + 1;
	default:
		flaw(walk->census, "a page of no known kind", page, word);
		return page + 1;
	}
}

void comap__heap_check(const struct comap *region, struct comap__heap_census *ret_census,
                       comap__block_visitor *visit, void *context)
{
	struct walk walk = { region, ret_census, visit, context };
	uint64_t limit = comap__heap_committed_pages(region);

	memset(ret_census, 0, sizeof *ret_census);
	ret_census->pages_committed = limit;
	for (uint64_t page = 0; page < limit;)
		page = check_page(&walk, page, limit);
}
