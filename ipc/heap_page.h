/* SPDX-License-Identifier: MIT */
/* Pages of the heap: words of descriptors, geometry of class pages, growth. For heap.c and
 * heap_check.c; everybody else speaks of blocks (heap.h). */
#ifndef COMAP_IPC_HEAP_PAGE_H
#define COMAP_IPC_HEAP_PAGE_H

#include "region.h"

#define COMAP_HEAP_CLASS_COUNT 28u

/* Size of the blocks of a class, and the class of a size; COMAP_HEAP_CLASS_COUNT: a run. */
uint32_t comap__class_bytes(uint32_t class);
uint32_t comap__class_of(size_t size_bytes);

/* --- words: kind or state in the lower four bits, the rest above --- */
static inline uint64_t comap__page_word(enum comap_page_kind kind, uint64_t rest)
{
	return rest << 4 | kind;
}
static inline enum comap_page_kind comap__page_kind(uint64_t word)
{
	return (enum comap_page_kind)(word & 15);
}
static inline uint64_t comap__block_word(enum comap_block_state state, uint64_t rest)
{
	return rest << 4 | state;
}
static inline enum comap_block_state comap__block_state_of(uint64_t word)
{
	return (enum comap_block_state)(word & 15);
}
static inline uint64_t comap__word_rest(uint64_t word)
{
	return word >> 4;
}

/* --- geometry: a class page begins with a state word per block, then the blocks --- */
uint32_t comap__blocks_per_page(uint32_t block_bytes);
uint32_t comap__states_bytes(uint32_t block_count);

/* Descriptors are words of a file: a size that is no class's counts as 0, and as no blocks. Loads the
 * size once. */
uint32_t comap__page_block_bytes(const struct comap_page_shm *desc);
uint32_t comap__page_block_count(const struct comap_page_shm *desc);

struct comap_u64 *comap__page_states(const struct comap *region, uint64_t page);
uint64_t comap__page_offset(const struct comap *region, uint64_t page);
struct comap_ref comap__page_block(const struct comap *region, uint64_t page, uint32_t block_bytes,
                                   uint32_t index);

/* --- from a ref to its block --- */
struct comap__place {
	uint64_t page;
	struct comap_u64 *state;
	size_t size_bytes;
	bool run;
};
bool comap__block_locate(const struct comap *region, struct comap_ref ref, struct comap__place *place);

/* --- growth --- */
uint64_t comap__heap_committed_pages(const struct comap *region);

/* Room for `count` more pages at the end; a little more than asked where that can be had. */
int comap__heap_grow(struct comap *region, uint64_t count);

#endif
