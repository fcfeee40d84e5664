/* SPDX-License-Identifier: MIT */
/* Blocks: memory of the region, by size, for whoever publishes it. */
#ifndef COMAP_IPC_HEAP_H
#define COMAP_IPC_HEAP_H

#include "region.h"

#define COMAP_BLOCK_ALIGN_BYTES 64u

/* A block of at least `size_bytes`, aligned to 64, PRIVATE to the row's thread; contents undefined.
 * *ret_data is its writable address. The reuse rule's fence is done: the caller may store at once.
 * -ENOSPC: nothing is lost; `comap info` tells of what. */
int comap__block_alloc(struct comap *region, struct comap__row *row, size_t size_bytes,
                       struct comap_ref *ret_ref, void **ret_data);

/* Gives back a PRIVATE block of the row's thread that was never linked. */
void comap__block_abandon(struct comap *region, struct comap__row *row, struct comap_ref ref);

/* From the state word `from` to FREE; nothing happens where it is another. `token` names the
 * record on whose behalf. */
bool comap__block_free(struct comap *region, uint64_t token, struct comap_ref ref, uint64_t from);

/* The state word of the block that begins at `ref`, or NULL where none does. */
struct comap_u64 *comap__block_state(const struct comap *region, struct comap_ref ref);

/* How many bytes the block takes, 0 where none begins. */
size_t comap__block_bytes(const struct comap *region, struct comap_ref ref);

/* Frees what dead threads of a seat from before `generation` had PRIVATE or half-claimed. */
void comap__heap_sweep(struct comap *region, uint32_t seat, uint64_t generation);

/* What the pages of the heap hold. */
struct comap__heap_census {
	uint64_t pages_committed, pages_free, pages_in_runs, pages_of_classes, pages_in_transit;
	uint64_t blocks_free, blocks_private, blocks_published, blocks_retired, blocks_freeing;
	uint64_t flaws;
	char first_flaw[160];
};

/* Visits every block that is not FREE. */
typedef void comap__block_visitor(void *context, struct comap_ref ref, uint64_t state_word,
                                  size_t size_bytes);

/* Checks I1..I4 of heap.c and counts. With nobody at work in the region, `flaws` is 0; with others
 * at work, pages in transit may be counted as flaws. */
void comap__heap_check(const struct comap *region, struct comap__heap_census *ret_census,
                       comap__block_visitor *visit, void *context);

#endif
