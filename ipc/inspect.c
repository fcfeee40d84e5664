/* SPDX-License-Identifier: MIT */
/* Looking at a region: numbers and seats. Takes nothing, writes nothing; works for guests. */
#include "error.h"
#include "rcu.h"
#include "region.h"
#include "seat.h"

#include <comap/seat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_uuid(const uint8_t uuid[16], char text[37])
{
	char *at = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at += snprintf(at, 3, "%02x", uuid[i]);
	}
}

static uint32_t seat_count_live(struct comap *region, uint32_t high_water)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < high_water; i++)
		/* relaxed: a look */
		count += (comap_u64_load_relaxed(&region->seats[i].state) & 3) == COMAP_SEAT_LIVE;
	return count;
}

int comap_info(struct comap *region, struct comap_info *ret_info)
{
	const struct comap_control_shm *control;
	const struct comap_identity_shm *identity;
	struct stat st;
	int fd, code;

	if (!region || !ret_info)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	code = comap__region_fd(region, &fd);
	if (code)
		return code;
	if (fstat(fd, &st) != 0)
		return comap__fail_errno(errno, "%s", region->path);
	control = region->control;
	identity = region->identity;
	memset(ret_info, 0, sizeof *ret_info);
	print_uuid(identity->uuid, ret_info->uuid);
	ret_info->format_version = identity->format_version;
	ret_info->fenced = identity->barrier_mode == COMAP_BARRIER_FENCED;
	ret_info->seat_count = identity->seat_count;
	ret_info->thread_count = identity->thread_count - COMAP_FIRST_RECORD;
	ret_info->object_count = identity->object_count;
	ret_info->birth_time_ns = identity->birth_time_ns;
	ret_info->heap_max_bytes = identity->heap_max_bytes;
	ret_info->file_bytes = (uint64_t)st.st_size;
	ret_info->allocated_bytes = (uint64_t)st.st_blocks * 512;
	/* relaxed, all of them: a moment's numbers */
	ret_info->clean = comap_u64_load_relaxed(&control->attach) & 1;
	ret_info->superseded = comap_u64_load_relaxed(&control->superseded) != 0;
	ret_info->seat_high_water = comap__seats_used(region);
	ret_info->thread_high_water = comap__threads_used(region);
	if (ret_info->thread_high_water)
		ret_info->thread_high_water -= COMAP_FIRST_RECORD;
	ret_info->attached = seat_count_live(region, ret_info->seat_high_water);
	ret_info->epoch = comap_u64_load_relaxed(&control->epoch);
	ret_info->completed = comap_u64_load_relaxed(&control->completed);
	ret_info->horizon = comap_u64_load_relaxed(&control->horizon);
	ret_info->heap_committed_bytes = comap_u64_load_relaxed(&control->heap_committed_bytes);
	ret_info->retired_bytes = comap_u64_load_relaxed(&control->retired_bytes);
	if ((int64_t)ret_info->retired_bytes < 0)
		ret_info->retired_bytes = 0; /* a hint that a death has put wrong */
	/* relaxed: counters */
	ret_info->grace_periods = comap_u64_load_relaxed(&control->grace_periods);
	ret_info->deaths = comap_u64_load_relaxed(&control->deaths);
	ret_info->sweeps = comap_u64_load_relaxed(&control->sweeps);
	ret_info->adopted_blocks = comap_u64_load_relaxed(&control->adopted_blocks);
	ret_info->evictions = comap_u64_load_relaxed(&control->evictions);
	return 0;
}

/* What the seat's threads are doing. */
static void look_at_threads(struct comap *region, uint64_t seat_token, struct comap_seat *seat)
{
	uint32_t high_water = comap__threads_used(region);
	uint64_t epoch = comap_u64_load_relaxed(&region->control->epoch); /* relaxed: a moment's number */

	for (uint32_t i = COMAP_FIRST_RECORD; i < high_water; i++) {
		const struct comap_thread_shm *thread = &region->threads[i];
		uint64_t mark, begun;

		/* relaxed, all of it: a look */
		if (comap_u64_load_relaxed(&thread->owner) != (seat_token << 1 | 1))
			continue;
		seat->thread_count++;
		seat->retired_count += comap__ring_count(thread);
		mark = comap_u64_load_relaxed(&thread->mark);
		if ((mark & COMAP__MARK_NESTING) == 0)
			continue;
		begun = mark >> COMAP__MARK_EPOCH_SHIFT;
		seat->reading_count++;
		seat->evictable_count += !!(mark & COMAP__MARK_EVICTABLE);
		if (comap__mark_is_stale(&thread->mark, mark))
			continue; /* holds nothing back */
		if (seat->oldest_epoch == 0 || begun < seat->oldest_epoch)
			seat->oldest_epoch = begun;
	}
	if (seat->oldest_epoch && epoch > seat->oldest_epoch)
		seat->behind = epoch - seat->oldest_epoch;
}

int comap_seat_at(struct comap *region, uint32_t index, struct comap_seat *ret_seat)
{
	const struct comap_seat_shm *shm;
	uint32_t high_water;
	uint64_t word, token;

	if (!region || !ret_seat)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL");
	high_water = comap__seats_used(region);
	if (index >= high_water)
		return comap__fail(COMAP_CAUSE_NOT_FOUND, "%s has used %u seats so far", region->path, high_water);
	memset(ret_seat, 0, sizeof *ret_seat);
	shm = &region->seats[index];
	/* [edge seat.free] acq: the description belongs to it */
	word = comap_u64_load_acquire(&shm->state);
	ret_seat->index = index;
	ret_seat->generation = word >> 2;
	if ((word & 3) == COMAP_SEAT_FREE)
		return 0;
	token = comap__token(word >> 2, index);
	ret_seat->life = (word & 3) == COMAP_SEAT_DEAD || comap__seat_is_dead(region, token)
		? COMAP_LIFE_DEAD : COMAP_LIFE_ALIVE;
	/* relaxed, all: a snapshot; seats come and go */
	ret_seat->pid = comap_u32_load_relaxed(&shm->pid);
	ret_seat->pid_namespace = comap_u64_load_relaxed(&shm->pid_namespace);
	ret_seat->attached_ns = comap_u64_load_relaxed(&shm->attached_ns);
	memcpy(ret_seat->name, shm->name, sizeof ret_seat->name - 1);
	ret_seat->same_namespace = ret_seat->pid_namespace == comap__pid_namespace();
	if (ret_seat->same_namespace && ret_seat->life == COMAP_LIFE_ALIVE)
		ret_seat->stopped = comap__process_is_stopped(ret_seat->pid);
	ret_seat->evictions = comap_u64_load_relaxed(&shm->evictions);
	look_at_threads(region, token, ret_seat);
	return 0;
}

int comap_seat_self(struct comap *region)
{
	int code = comap__attached(region);

	return code ? code : (int)region->attachment->seat;
}
