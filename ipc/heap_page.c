/* SPDX-License-Identifier: MIT */
/* Pages of the heap: their descriptors' words, the geometry of class pages, growth. See heap.c for
 * the invariants and for who does what when. */
#include "heap_page.h"

#include "error.h"
#include "fault.h"
#include "file.h"
#include "heap.h"

#define PAGE COMAP_HEAP_PAGE_BYTES
#define GROW_PAGES_MIN 4u     /* 256 KiB: whoever needs a page waits while the kernel clears them */
#define GROW_PAGES_MAX 64u    /* 4 MiB */
#define GROW_PART 1024u       /* of the heap: who grows it has looked through all of it in vain */

/* Steps of at most a quarter; the last ones divide a page by 12 ... 2. */
static const uint32_t class_bytes[] = {
	64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072,
	3584, 4032, 5440, 6528, 8128, 10880, 13056, 16320, 21824, 32704,
};
_Static_assert(sizeof class_bytes / sizeof class_bytes[0] == COMAP_HEAP_CLASS_COUNT, "count them");

uint32_t comap__class_bytes(uint32_t class) { return class_bytes[class]; }

uint64_t comap__heap_committed_pages(const struct comap *region)
{
	/* [edge region.committed] acq: these pages and their descriptors have space */
	uint64_t bytes = comap_u64_load_acquire(&region->control->heap_committed_bytes);

	return (bytes < region->identity->heap_max_bytes ? bytes : region->identity->heap_max_bytes) / PAGE;
}

uint64_t comap__page_offset(const struct comap *region, uint64_t page)
{
	return region->identity->heap_offset_bytes + page * PAGE;
}

/* --- geometry of a class page --- */

uint32_t comap__class_of(size_t size_bytes)
{
	uint32_t index = 0;

	while (index < COMAP_HEAP_CLASS_COUNT && class_bytes[index] < size_bytes)
		index++;
	return index;
}

uint32_t comap__states_bytes(uint32_t count)
{
	return (count * 8 + COMAP_BLOCK_ALIGN_BYTES - 1) / COMAP_BLOCK_ALIGN_BYTES * COMAP_BLOCK_ALIGN_BYTES;
}

uint32_t comap__blocks_per_page(uint32_t block_bytes)
{
	uint32_t count = PAGE / (block_bytes + 8);

	while (comap__states_bytes(count) + count * block_bytes > PAGE)
		count--;
	return count;
}

/* Descriptors are words of a file: a size that is no class's counts as no blocks. */
uint32_t comap__page_block_bytes(const struct comap_page_shm *desc)
{
	uint32_t block_bytes = comap_u32_load_relaxed(&desc->block_bytes); /* relaxed: fixed while CLASS */
	uint32_t index = comap__class_of(block_bytes);

	return index < COMAP_HEAP_CLASS_COUNT && class_bytes[index] == block_bytes ? block_bytes : 0;
}

uint32_t comap__page_block_count(const struct comap_page_shm *desc)
{
	uint32_t block_bytes = comap__page_block_bytes(desc);

	return block_bytes ? comap__blocks_per_page(block_bytes) : 0;
}

struct comap_u64 *comap__page_states(const struct comap *region, uint64_t page)
{
	const char *base = comap_u32_load_acquire(&region->heap_writable) /* [edge heap.writable] acq */
		? region->writable : region->view;

	return (struct comap_u64 *)(uintptr_t)(base + comap__page_offset(region, page));
}

struct comap_ref comap__page_block(const struct comap *region, uint64_t page, uint32_t block_bytes,
                                   uint32_t index)
{
	return (struct comap_ref){
		comap__page_offset(region, page) + comap__states_bytes(comap__blocks_per_page(block_bytes)) +
		(uint64_t)index * block_bytes
	};
}

/* --- from a ref to its block --- */

bool comap__block_locate(const struct comap *region, struct comap_ref ref, struct comap__place *place)
{
	uint64_t heap = region->identity->heap_offset_bytes;
	struct comap_page_shm *desc;
	uint64_t word, inside, first;
	uint32_t count, block_bytes;

	if (ref.offset_bytes < heap || (ref.offset_bytes - heap) / PAGE >= comap__heap_committed_pages(region))
		return false;
	place->page = (ref.offset_bytes - heap) / PAGE;
	inside = (ref.offset_bytes - heap) % PAGE;
	desc = &comap__pages(region)[place->page];
	word = comap_u64_load_acquire(&desc->word); /* [edge page.word] acq: the rest of it is filled in */
	if (comap__page_kind(word) == COMAP_PAGE_RUN && inside == 0) {
		place->run = true;
		place->state = &desc->state;
		place->size_bytes = comap__word_rest(word) * PAGE;
		return true;
	}
	block_bytes = comap__page_kind(word) == COMAP_PAGE_CLASS ? comap__page_block_bytes(desc) : 0;
	if (block_bytes == 0)
		return false;
	count = comap__blocks_per_page(block_bytes);
	first = comap__states_bytes(count);
	if (inside < first || (inside - first) % block_bytes != 0 ||
	    (inside - first) / block_bytes >= count)
		return false;
	place->run = false;
	place->size_bytes = block_bytes;
	place->state = &comap__page_states(region, place->page)[(inside - first) / block_bytes];
	return true;
}

struct comap_u64 *comap__block_state(const struct comap *region, struct comap_ref ref)
{
	struct comap__place place;

	return comap__block_locate(region, ref, &place) ? place.state : NULL;
}

size_t comap__block_bytes(const struct comap *region, struct comap_ref ref)
{
	struct comap__place place;

	return comap__block_locate(region, ref, &place) ? place.size_bytes : 0;
}

/* --- growth --- */

/* Commit point: the atomic maximum. Before it the space is there and nobody knows; that is no loss,
 * the next to grow allocates it again, which changes nothing. */
static int grow_to(struct comap *region, uint64_t end_page)
{
	const struct comap_identity_shm *identity = region->identity;
	uint64_t begin_page = comap__heap_committed_pages(region);
	int code;

	if (end_page <= begin_page)
		return 0;
	code = comap__region_allocate(region, identity->pages_offset_bytes +
	                              begin_page * sizeof(struct comap_page_shm),
	                              (end_page - begin_page) * sizeof(struct comap_page_shm));
	if (!code)
		code = comap__region_allocate(region, comap__page_offset(region, begin_page),
		                              (end_page - begin_page) * PAGE);
	COMAP_FAULT("grow.allocated");
	if (!code)
		/* [edge region.committed] rel: space before the mark */
		comap_u64_max_acq_rel(&region->control->heap_committed_bytes, end_page * PAGE);
	return code;
}

/* By how many pages a heap of `begin` pages grows at a time: few, for the sake of who waits, and yet a
 * part of what it has, so that the searches before are paid by the pages that come. A file system with
 * large pages gives one only where all of it is asked for at once: once it is small beside the heap,
 * steps end where one ends. */
static uint64_t grow_step(struct comap *region, uint64_t begin)
{
	uint64_t step = begin / GROW_PART, large = 0;
	int fd;

	step = step < GROW_PAGES_MIN ? GROW_PAGES_MIN : step > GROW_PAGES_MAX ? GROW_PAGES_MAX : step;
	if (comap__region_fd(region, &fd) == 0)
		large = comap__file_preferred_bytes(fd) / PAGE;
	if (large < 2 || large > GROW_PAGES_MAX || large > begin / 8)
		return step;
	return (begin + step + large - 1) / large * large - begin;
}

/* Room for `count` more pages at the end; a little more than asked where that can be had. */
int comap__heap_grow(struct comap *region, uint64_t count)
{
	uint64_t begin = comap__heap_committed_pages(region);
	uint64_t max = region->identity->heap_max_bytes / PAGE;
	uint64_t step = grow_step(region, begin);
	int code;

	if (count > max - begin)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "%s is full: all %llu bytes of its maximum are in use; "
		                   "create it with a larger one (comap create --max)", region->path,
		                   (unsigned long long)region->identity->heap_max_bytes);
	if (step < count)
		step = count;
	if (step > max - begin)
		step = max - begin;
	code = grow_to(region, begin + step);
	return code && step > count ? grow_to(region, begin + count) : code;
}
