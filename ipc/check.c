/* SPDX-License-Identifier: MIT */
/* The checker: from the roots, every byte of the heap exactly once.
 *
 * A block of the heap that is not FREE must be one of these, and only one:
 *
 *     PUBLISHED   linked from exactly one place: an object, or the intent of a thread that is at it
 *     RETIRED     on exactly one ring, under the stamp that it bears
 *     PRIVATE     of a thread that exists: under construction
 *     FREEING     of a thread that exists
 *
 * Looks only: no seat, no lock, no write. What it says of a region in which others work is a moment's
 * picture: a block between two of these states may be counted as a flaw. With nobody at work, or of a
 * copy, it is exact. */
#include "check.h"

#include "directory.h"
#include "error.h"
#include "heap.h"
#include "rcu.h"
#include "seat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link { uint64_t ref; const char *what; };

struct checking {
	const struct comap *region;
	struct comap_check *report;
	struct link *links;           /* what roots, rings and intents name; sorted before use */
	size_t link_count, link_capacity;
	bool out_of_memory;
};

static void flaw(struct checking *checking, const char *what, uint64_t ref)
{
	if (checking->report->flaws++ == 0)
		snprintf(checking->report->first_flaw, sizeof checking->report->first_flaw,
		         "%s (offset %llu)", what, (unsigned long long)ref);
}

static void add_link(void *context, struct comap_ref ref, const char *what)
{
	struct checking *checking = context;
	struct link *larger;

	if (checking->link_count == checking->link_capacity) {
		checking->link_capacity = checking->link_capacity ? checking->link_capacity * 2 : 256;
		larger = realloc(checking->links, checking->link_capacity * sizeof *larger);
		if (!larger) {
			checking->out_of_memory = true;
			checking->link_capacity = checking->link_count;
			return;
		}
		checking->links = larger;
	}
	checking->links[checking->link_count++] = (struct link){ ref.offset_bytes, what };
}

static int compare_links(const void *a, const void *b)
{
	uint64_t x = ((const struct link *)a)->ref, y = ((const struct link *)b)->ref;

	return (x > y) - (x < y);
}

/* How many links name the block. A ring's counts once: an owner that died while it moved its entries
 * leaves them on two, and whoever frees the block first makes the other entry void. */
static size_t count_links(const struct checking *checking, uint64_t ref)
{
	size_t low = 0, high = checking->link_count, count = 0;
	bool ring = false;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (checking->links[middle].ref < ref)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < checking->link_count && checking->links[low].ref == ref; low++) {
		if (strcmp(checking->links[low].what, "ring") == 0)
			ring = true;
		else
			count++;
	}
	return count + ring;
}

/* --- what is linked --- */

static void collect_objects(struct checking *checking)
{
	const struct comap *region = checking->region;
	uint32_t count = comap__objects_used(region);

	for (uint32_t i = 0; i < count; i++) {
		const struct comap_object_shm *object = &region->objects[i];
		const char *wrong;

		if (comap_u64_load_acquire(&object->state) != COMAP_OBJECT_LIVE) /* [edge directory.live] acq */
			continue;
		checking->report->objects++;
		wrong = comap__object_roots(region, object, add_link, checking);
		if (wrong)
			flaw(checking, wrong, object->cell_ref.v);
	}
}

/* Entries of a ring are good while their block bears their stamp; others are void and no flaw. */
static void collect_ring(struct checking *checking, uint32_t record)
{
	const struct comap_thread_shm *thread = &checking->region->threads[record];
	const struct comap_ring_shm *ring = &checking->region->rings[record];
	uint64_t tail = thread->ring_tail.v, count = thread->ring_head.v - tail;

	if (count > COMAP_RING_ENTRIES) {
		flaw(checking, "a ring holds more than it can", record);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		uint64_t ref = ring->entries[(tail + i) % COMAP_RING_ENTRIES].ref.v;
		uint64_t stamp = ring->entries[(tail + i) % COMAP_RING_ENTRIES].stamp.v;
		struct comap_u64 *state = comap__block_state(checking->region, (struct comap_ref){ ref });

		if (state && state->v == (stamp << 4 | COMAP_BLOCK_RETIRED))
			add_link(checking, (struct comap_ref){ ref }, "ring");
	}
}

static void collect_threads(struct checking *checking)
{
	const struct comap *region = checking->region;
	uint32_t count = comap__threads_used(region);

	for (uint32_t i = 0; i < count; i++) {
		const struct comap_thread_shm *thread = &region->threads[i];

		collect_ring(checking, i);
		checking->report->intents += thread->intent.op.v != COMAP_INTENT_NONE;
		if (thread->owner.v == 0 && thread->intent.op.v != COMAP_INTENT_NONE)
			flaw(checking, "a free thread record has an intent", i);
	}
}

/* --- what is there --- */

static void check_block(void *context, struct comap_ref ref, uint64_t state, size_t size_bytes)
{
	struct checking *checking = context;
	size_t links = count_links(checking, ref.offset_bytes);

	switch (state & 15) {
	case COMAP_BLOCK_PUBLISHED:
		checking->report->published_bytes += size_bytes;
		if (links == 0)
			flaw(checking, "a published block is linked from nowhere", ref.offset_bytes);
		break;
	case COMAP_BLOCK_RETIRED:
		checking->report->retired_bytes += size_bytes;
		if (links == 0)
			flaw(checking, "a retired block is on no ring", ref.offset_bytes);
		break;
	default:
		checking->report->private_bytes += size_bytes;
		/* Linked and not yet marked PUBLISHED: a publisher is in the middle. */
		if (links != 0 && checking->report->intents == 0)
			flaw(checking, "a private block is linked", ref.offset_bytes);
	}
	if (links > 1)
		flaw(checking, "a block is linked twice", ref.offset_bytes);
}

static void check_links(struct checking *checking)
{
	for (size_t i = 0; i < checking->link_count; i++) {
		struct comap_ref ref = { checking->links[i].ref };
		struct comap_u64 *state = comap__block_state(checking->region, ref);

		if (!state)
			flaw(checking, "a link leads to no block", ref.offset_bytes);
		else if ((state->v & 15) == COMAP_BLOCK_FREE)
			flaw(checking, "a link leads to a free block", ref.offset_bytes);
		else if ((state->v & 15) == COMAP_BLOCK_RETIRED &&
		         strcmp(checking->links[i].what, "ring") != 0)
			flaw(checking, "a link leads to a retired block", ref.offset_bytes);
	}
}

int comap_check(struct comap *region, struct comap_check *ret_report)
{
	struct checking checking = { .region = region, .report = ret_report };
	struct comap__heap_census census;

	if (!region || !ret_report)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	memset(ret_report, 0, sizeof *ret_report);
	collect_objects(&checking);
	collect_threads(&checking);
	if (!checking.out_of_memory) {
		if (checking.link_count) /* without any there is no array either */
			qsort(checking.links, checking.link_count, sizeof *checking.links,
			      compare_links);
		comap__heap_check(region, &census, check_block, &checking);
		check_links(&checking);
		ret_report->free_bytes = census.pages_free * COMAP_HEAP_PAGE_BYTES;
		ret_report->committed_bytes = census.pages_committed * COMAP_HEAP_PAGE_BYTES;
		ret_report->blocks = census.blocks_published + census.blocks_retired +
		                     census.blocks_private + census.blocks_freeing;
		if (census.flaws && ret_report->flaws == 0)
			memcpy(ret_report->first_flaw, census.first_flaw, sizeof census.first_flaw);
		ret_report->flaws += census.flaws;
	}
	free(checking.links);
	if (checking.out_of_memory)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory to check %s", region->path);
	return ret_report->flaws ? 1 : 0;
}
