/* SPDX-License-Identifier: MIT */
/* Seats: who is attached, who is dead, and what becomes of what the dead held.
 *
 * A seat's life lock is a write lock on one byte, which is this holder's and no later one's, of an open
 * file description that has no descriptor: the description is kept by a mapping of one page (the
 * sentinel) that a forked child does not get. So the lock lives exactly as long as the address space,
 * whatever the program does to its descriptors, and the kernel drops it at SIGKILL, exec and exit, in
 * every PID namespace.
 *
 * State of a seat, each arrow a CAS on {generation, state}:
 *
 *     FREE(g) --seat_take--> LIVE(g) --seat_is_dead--> DEAD(g) --seat_sweep--> FREE(g+1)
 *                               `------------seat_leave------------------------^
 *     DEAD(g) --seat_take, when no other is free--> LIVE(g+1), whose owner sweeps first
 *
 * Invariants: I1 LIVE(g) was entered while the byte of g was locked; byte free and LIVE(g) => dead
 *             I2 DEAD(g) never becomes LIVE(g) again: nobody probes twice
 *             I3 a record whose owner token is of a generation before the seat's own (or of DEAD's)
 *                is a dead thread's; generations only grow, so a sweeper can be late but not wrong
 * Ordering:   [edge seat.free], [edge seat.dead]
 * Progress:   taking: lock-free, bounded by the number of seats. Sweeping: one at a time per seat
 * If a process dies here: before LIVE its byte lock goes and nothing is left; after, it is a dead
 *             seat like any other. A sweeper that dies leaves DEAD and a sweeper word that is a dead
 *             thread's: the next one takes over and repeats, every step being idempotent */
#include "seat.h"

#include "fault.h"
#include "file.h"
#include "heap.h"
#include "mutex.h"
#include "rcu.h"
#include "thread.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t seat_word(uint64_t generation, enum comap_seat_state state)
{
	return generation << 2 | state;
}
static enum comap_seat_state word_state(uint64_t word) { return (enum comap_seat_state)(word & 3); }
static uint64_t word_generation(uint64_t word) { return word >> 2; }

/* --- what /proc says --- */

uint64_t comap__pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Start times are told in the reader's time since boot. */
static uint64_t time_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/time", &st) == 0 ? st.st_ino : 0;
}

struct status {
	char state;
	uint64_t thread_count;
	uint64_t start_time;
};

/* Fields 3, 20 and 22 of the process's stat line, which begin after the last parenthesis. False where
 * there is no such process, or none that we may see. It is asked for as the line of the first thread, which
 * has the same: qemu's user mode makes up /proc/PID/stat for the process itself, with the time at which the
 * emulator began, and others would take the seat of the living for one of the dead. */
static bool process_status(uint32_t pid, struct status *ret_status)
{
	char path[40], line[1024];
	const char *at;
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/task/%u/stat", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, line, sizeof line - 1);
	close(fd);
	if (length <= 0)
		return false;
	line[length] = '\0';
	at = strrchr(line, ')');
	if (!at || at[1] != ' ')
		return false;
	at += 2;
	ret_status->state = *at;
	for (int field = 3; field < 22; field++) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
		if (field + 1 == 20)
			ret_status->thread_count = strtoull(at, NULL, 10);
	}
	ret_status->start_time = strtoull(at, NULL, 10);
	return true;
}

bool comap__process_is_stopped(uint32_t pid)
{
	struct status status;

	return process_status(pid, &status) && (status.state == 'T' || status.state == 't');
}

struct comap__seat_name comap__seat_name(const struct comap *region, uint32_t seat)
{
	struct comap__seat_name name;
	const struct comap_seat_shm *shm;
	uint32_t pid;
	bool is_here;

	if (seat >= region->identity->seat_count) {
		snprintf(name.text, sizeof name.text, "seat %u, which there is not", seat);
		return name;
	}
	shm = &region->seats[seat];
	/* relaxed, both: for a message */
	pid = comap_u32_load_relaxed(&shm->pid);
	is_here = comap_u64_load_relaxed(&shm->pid_namespace) == comap__pid_namespace();
	snprintf(name.text, sizeof name.text, "seat %u (%.31s, pid %u%s)", seat, shm->name, pid,
	         is_here && comap__process_is_stopped(pid) ? ", stopped" : "");
	return name;
}

/* --- taking and leaving --- */

static int lock_life(int fd, uint64_t token)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = comap__life_byte(token), .l_len = 1,
	};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

/* Locks the byte and hands the lock over to a mapping. */
static int hold_life(struct comap *region, uint64_t token, void **ret_sentinel)
{
	size_t page_bytes = comap__vm_page_bytes();
	void *sentinel;
	int given, fd, code;

	code = comap__region_fd(region, &given);
	if (!code)
		code = comap__file_reopen(given, O_RDWR | O_NONBLOCK, &fd);
	if (code)
		return code;
	code = lock_life(fd, token);
	if (!code)
		code = comap__vm_map(page_bytes, PROT_READ, MAP_SHARED, fd, 0, &sentinel);
	if (!code) {
		code = comap__vm_advise(sentinel, page_bytes, MADV_DONTFORK);
		if (code)
			comap__vm_unmap(sentinel, page_bytes);
	}
	close(fd);
	if (!code)
		*ret_sentinel = sentinel;
	return code;
}

static void describe(struct comap *region, struct comap_seat_shm *seat)
{
	struct status status = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	process_status((uint32_t)getpid(), &status);
	/* relaxed: released by LIVE; who still looks at the owner before gets a word of either */
	comap_u64_store_relaxed(&seat->pid_namespace, comap__pid_namespace());
	comap_u64_store_relaxed(&seat->time_namespace, time_namespace());
	comap_u64_store_relaxed(&seat->start_time, status.start_time);
	comap_u64_store_relaxed(&seat->attached_ns,
	                        (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	comap_u64_store_relaxed(&seat->evictions, 0);
	comap_u32_store_relaxed(&seat->pid, (uint32_t)getpid());
	comap_u32_store_relaxed(&seat->capabilities, region->attachment->can_synchronize);
	memset(seat->name, 0, sizeof seat->name);
	strncpy(seat->name, region->seat_name, sizeof seat->name - 1);
}

/* 1: taken; 0: not this one; negative: no use to go on. */
static int try_seat(struct comap *region, uint32_t index, bool dead_ones)
{
	struct comap_seat_shm *seat = &region->seats[index];
	struct comap__attachment *attachment = region->attachment;
	uint64_t word = comap_u64_load_relaxed(&seat->state); /* relaxed: looked at again */
	uint64_t generation = word_generation(word) + (word_state(word) == COMAP_SEAT_DEAD);
	void *sentinel;
	int code;

	if (word_state(word) != (dead_ones ? COMAP_SEAT_DEAD : COMAP_SEAT_FREE))
		return 0;
	COMAP_FAULT("attach.chosen");
	code = hold_life(region, comap__token(generation, index), &sentinel);
	if (code == -EAGAIN || code == -EACCES)
		return 0; /* another one is taking it, or a foreign lock covers the byte */
	if (code)
		return comap__fail_errno(code, "cannot lock a seat of %s", region->path);
	/* Nobody takes the seat in this generation but who holds its byte: free now, it stays so until the CAS
	 * below, and its words are ours to write. Between the look and the lock others may have come and gone,
	 * and whoever sits there now must keep its own. [edge seat.free] acq */
	if (comap_u64_load_acquire(&seat->state) != word) {
		comap__vm_unmap(sentinel, comap__vm_page_bytes());
		return 0;
	}
	COMAP_FAULT("attach.locked");
	describe(region, seat);
	/* [edge seat.free] acq: the sweeper or owner before is done with the seat. Commit point of an
	 * attach: the seat is ours. */
	if (!comap_u64_cas_acq_rel(&seat->state, word, seat_word(generation, COMAP_SEAT_LIVE))) {
		comap__vm_unmap(sentinel, comap__vm_page_bytes());
		return 0;
	}
	COMAP_FAULT("attach.live");
	attachment->sentinel = sentinel;
	attachment->seat = index;
	attachment->seat_token = comap__token(generation, index);
	return 1;
}

/* Space for the seats' lines, before they are touched. */
static int allocate_seat(struct comap *region, uint32_t index)
{
	return comap__region_allocate(region, region->identity->seats_offset_bytes +
	                              index * sizeof(struct comap_seat_shm),
	                              sizeof(struct comap_seat_shm));
}

/* 0: taken; -EUSERS: none; or why it cannot be known. */
static int find_seat(struct comap *region, bool dead_ones)
{
	struct comap_control_shm *control = region->control;
	uint32_t high_water = comap__seats_used(region);
	int code;

	for (uint32_t i = 0; i < region->identity->seat_count; i++) {
		if (i >= high_water) {
			code = allocate_seat(region, i);
			if (code)
				return code;
			/* [edge seat.high_water] rel: space before the mark */
			comap_u32_max_acq_rel(&control->seat_high_water, i + 1);
		}
		code = try_seat(region, i, dead_ones);
		if (code != 0)
			return code < 0 ? code : 0;
	}
	return comap__fail(COMAP_CAUSE_SEATS, "all %u seats of %s are taken: `comap ps` shows by whom; "
	                   "a larger seat_count at creation gives more", region->identity->seat_count,
	                   region->path);
}

/* On a disk, what the flag says must not be newer than what it speaks of: "in use" is there before the
 * session's first store, "clean" after its last. In memory this costs a system call that does
 * nothing. A flush that fails leaves the flag as a power cut would find it, which is the safe side. */
static void sync_control(struct comap *region)
{
	comap__vm_sync(region->control, comap__vm_page_bytes(), MS_SYNC);
}

/* One word holds the number of attaches so far and the clean flag: an attach raises the one and
 * clears the other at once, so that a detach that saw an older number cannot set the flag. After the
 * seat is won: a detach that reads the number later finds the seat (tests/model/clean.pml). A death
 * in between leaves the flag set and nothing changed. */
static void note_attach(struct comap *region)
{
	struct comap_u64 *word = &region->control->attach;
	uint64_t seen;

	do
		seen = comap_u64_load_relaxed(word); /* relaxed: the CAS decides */
	/* [edge region.attach] both: whoever marks the region clean has seen the attach or fails */
	while (!comap_u64_cas_acq_rel(word, seen, ((seen >> 1) + 1) << 1));
	COMAP_FAULT("attach.counted");
	if (seen & 1)
		sync_control(region);
}

/* Asks for every seat once whether its owner lives. True where one was or is dead. */
static bool mark_dead_seats(struct comap *region)
{
	uint32_t high_water = comap__seats_used(region);
	bool found = false;

	for (uint32_t i = 0; i < high_water; i++) {
		uint64_t word = comap_u64_load_relaxed(&region->seats[i].state); /* relaxed: a look */

		if (word_state(word) == COMAP_SEAT_DEAD ||
		    (word_state(word) == COMAP_SEAT_LIVE &&
		     comap__seat_is_dead(region, comap__token(word_generation(word), i))))
			found = true;
	}
	return found;
}

int comap__seat_take(struct comap *region)
{
	struct comap__attachment *attachment = region->attachment;
	bool fenced_region = region->identity->barrier_mode == COMAP_BARRIER_FENCED;
	bool registered, dead;
	int code;

	/* Readers are reached by others' barriers from before their first record on. */
	registered = comap__barrier_register() == 0;
	attachment->fenced = fenced_region || !registered;
	attachment->can_synchronize = fenced_region || registered;
	dead = mark_dead_seats(region);
	code = find_seat(region, false);
	if (code == -EUSERS && dead)
		code = find_seat(region, true);
	if (code)
		return code;
	note_attach(region);
	/* relaxed: the handle is published to other threads after this */
	comap_u32_store_relaxed(&attachment->attached, 1);
	if (dead)
		comap__seats_reap(region);
	return 0;
}

static void mark_clean(struct comap *region)
{
	struct comap_control_shm *control = region->control;
	/* [edge region.attach] acq: read before the scan; an attach that the scan misses changes it */
	uint64_t seen = comap_u64_load_acquire(&control->attach);
	uint32_t high_water = comap__seats_used(region);
	int fd;

	for (uint32_t i = 0; i < high_water; i++)
		/* [edge seat.free] acq: what a leaver wrote is written */
		if (word_state(comap_u64_load_acquire(&region->seats[i].state)) != COMAP_SEAT_FREE)
			return;
	if (comap__region_fd(region, &fd) != 0 || fdatasync(fd) != 0)
		return;
	/* [edge region.attach] both */
	if (comap_u64_cas_acq_rel(&control->attach, seen, seen | 1))
		sync_control(region);
}

void comap__seat_leave(struct comap *region)
{
	struct comap__attachment *attachment = region->attachment;
	struct comap_seat_shm *seat;
	uint64_t generation;

	if (!comap_u32_load_relaxed(&attachment->attached)) /* relaxed: ours; 0 in a forked child */
		return;
	seat = &region->seats[attachment->seat];
	generation = comap__token_generation(attachment->seat_token);
	comap_u32_store_relaxed(&attachment->attached, 0);
	COMAP_FAULT("detach.begun");
	/* [edge seat.free] rel: all that this process did in the region before the seat is free */
	comap_u64_cas_acq_rel(&seat->state, seat_word(generation, COMAP_SEAT_LIVE),
	                      seat_word(generation + 1, COMAP_SEAT_FREE));
	COMAP_FAULT("detach.free");
	comap__vm_unmap(attachment->sentinel, comap__vm_page_bytes());
	mark_clean(region);
}

/* --- death --- */

/* Is the byte write-locked? A read lock (a backup tool) is no sign of life. Errors count as life. */
static bool life_is_held(struct comap *region, uint64_t token)
{
	struct flock lock = {
		.l_type = F_RDLCK, .l_whence = SEEK_SET,
		.l_start = comap__life_byte(token), .l_len = 1,
	};
	int fd;

	if (comap__region_fd(region, &fd) != 0)
		return true;
	return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* The second proof, for the instant in which a fork may have copied the locked description: in our
 * own PID namespace, the process is gone, or a zombie, or, as our own clock counts, another one by now.
 * A zombie with threads is a living process whose first thread has ended. */
static bool process_is_gone(const struct comap_seat_shm *seat)
{
	/* relaxed: written before LIVE, which the caller has seen */
	uint32_t pid = comap_u32_load_relaxed(&seat->pid);
	uint64_t start_time = comap_u64_load_relaxed(&seat->start_time);
	struct status now;

	if (pid == 0 || start_time == 0 ||
	    comap_u64_load_relaxed(&seat->pid_namespace) != comap__pid_namespace())
		return false;
	if (!process_status(pid, &now))
		return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
	if (now.start_time != start_time &&
	    comap_u64_load_relaxed(&seat->time_namespace) == time_namespace()) /* relaxed: as above */
		return true;
	return now.state == 'X' || (now.state == 'Z' && now.thread_count <= 1);
}

bool comap__seat_is_dead(struct comap *region, uint64_t seat_token)
{
	uint32_t index = comap__token_index(seat_token);
	uint64_t generation = comap__token_generation(seat_token);
	struct comap_seat_shm *seat;
	uint64_t word;

	if (index >= region->identity->seat_count)
		return true;
	seat = &region->seats[index];
	/* [edge seat.dead] acq: seen DEAD => what the dead one wrote is seen (the kernel released its
	 * lock after its last instruction) */
	word = comap_u64_load_acquire(&seat->state);
	if (word != seat_word(generation, COMAP_SEAT_LIVE))
		return true; /* DEAD, or its generation is over */
	if (life_is_held(region, seat_token) && !process_is_gone(seat))
		return false;
	if (comap__is_guest(region))
		return true; /* it may not write that down */
	/* [edge seat.dead] rel */
	if (comap_u64_cas_acq_rel(&seat->state, word, seat_word(generation, COMAP_SEAT_DEAD)))
		comap_u64_add_relaxed(&region->control->deaths, 1); /* relaxed: a counter */
	return true;
}

uint64_t comap__thread_seat(const struct comap *region, uint64_t thread_token)
{
	uint32_t record = comap__token_index(thread_token);
	const struct comap_thread_shm *thread;
	uint64_t owner;

	if (record >= region->identity->thread_count)
		return 0;
	thread = &region->threads[record];
	/* [edge thread.release] acq: an owner word from after a release shows the raised tenure too */
	owner = comap_u64_load_acquire(&thread->owner);
	if (comap_u64_load_acquire(&thread->tenure) != comap__token_generation(thread_token))
		return 0;
	return owner & 1 ? owner >> 1 : 0;
}

bool comap__thread_is_dead(struct comap *region, uint64_t thread_token)
{
	uint64_t seat_token = comap__thread_seat(region, thread_token);

	return seat_token == 0 || comap__seat_is_dead(region, seat_token);
}

/* --- sweeping --- */

bool comap__seat_token_before(uint64_t seat_token, uint32_t index, uint64_t generation)
{
	return seat_token != 0 && comap__token_index(seat_token) == index &&
	       comap__token_generation(seat_token) < generation;
}

/* Does the record belong to a thread of the seat from before `generation`? */
static bool is_left_over(const struct comap_thread_shm *thread, uint32_t index, uint64_t generation)
{
	/* [edge thread.release] acq */
	uint64_t owner = comap_u64_load_acquire(&thread->owner);

	return owner & 1 && comap__seat_token_before(owner >> 1, index, generation);
}

/* Everything that the seat's dead threads held: their operations are finished or taken back, their
 * unpublished blocks are freed, their records are anybody's. Rings stay with the records. */
static void sweep_threads(struct comap *region, uint32_t index, uint64_t generation)
{
	uint32_t high_water = comap__threads_used(region);
	bool any = false;

	for (uint32_t i = COMAP_FIRST_RECORD; i < high_water; i++)
		if (is_left_over(&region->threads[i], index, generation)) {
			comap__intent_repair(region, i);
			any = true;
		}
	COMAP_FAULT("sweep.repaired");
	if (any)
		comap__heap_sweep(region, index, generation);
	COMAP_FAULT("sweep.freed");
	for (uint32_t i = COMAP_FIRST_RECORD; i < high_water; i++)
		if (is_left_over(&region->threads[i], index, generation))
			comap__thread_release(region, &region->threads[i]);
}

static int sweep_as(struct comap *region, uint32_t index, uint64_t token)
{
	struct comap_seat_shm *seat = &region->seats[index];
	int code = comap__mutex_trylock(region, &seat->sweeper, token);
	uint64_t word;
	bool dead;

	if (code < 0)
		return code;
	/* [edge seat.dead] acq: what the dead one wrote is seen */
	word = comap_u64_load_acquire(&seat->state);
	dead = word_state(word) == COMAP_SEAT_DEAD;
	sweep_threads(region, index, word_generation(word) + dead);
	COMAP_FAULT("sweep.done");
	if (dead) {
		/* [edge seat.free] rel: the sweep before the seat is anybody's. It fails where somebody
		 * has taken the dead seat meanwhile, for want of others. */
		comap_u64_cas_acq_rel(&seat->state, word,
		                      seat_word(word_generation(word) + 1, COMAP_SEAT_FREE));
		comap_u64_add_relaxed(&region->control->sweeps, 1); /* relaxed: a counter */
	}
	comap__mutex_unlock(&seat->sweeper, token);
	return 0;
}

int comap__seat_sweep(struct comap *region, uint32_t index)
{
	uint64_t token;
	int code = comap__heap_make_writable(region);

	if (!code)
		code = comap__sweeper_begin(region, &token);
	if (code)
		return code;
	code = sweep_as(region, index, token);
	comap__sweeper_end(region, token);
	return code;
}

/* Is there a record of the seat whose thread is of a generation that is over? Left by a sweeper that
 * died after somebody had taken the seat. */
static bool has_left_over(struct comap *region, uint32_t index, uint64_t generation)
{
	uint32_t high_water = comap__threads_used(region);

	for (uint32_t i = COMAP_FIRST_RECORD; i < high_water; i++)
		if (is_left_over(&region->threads[i], index, generation))
			return true;
	return false;
}

bool comap__seat_left_over(struct comap *region, uint64_t seat_token)
{
	return has_left_over(region, comap__token_index(seat_token),
	                     comap__token_generation(seat_token) + 1);
}

unsigned comap__seats_reap(struct comap *region)
{
	uint32_t high_water = comap__seats_used(region);
	unsigned swept = 0;

	mark_dead_seats(region);
	for (uint32_t i = 0; i < high_water; i++) {
		uint64_t word = comap_u64_load_acquire(&region->seats[i].state); /* [edge seat.dead] acq */

		if ((word_state(word) == COMAP_SEAT_DEAD ||
		     has_left_over(region, i, word_generation(word))) &&
		    comap__seat_sweep(region, i) == 0)
			swept++;
	}
	return swept;
}

void comap__seats_settle(struct comap *region)
{
	/* relaxed: this process's word; a forked child has no seat to leave */
	if (!comap__is_guest(region) && comap_u32_load_relaxed(&region->attachment->attached) &&
	    mark_dead_seats(region))
		comap__seats_reap(region);
}
