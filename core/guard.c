/* SPDX-License-Identifier: MIT */
/* The guard's table and its signal handler. What mappings make of it is in guard_map.c.
 *
 * Lives in:   chunks of entries in the process's heap, never freed, so that a handler may look at any
 *             of them at any time
 * Invariants: I1  an entry's range is read under its sequence count: odd while it changes
 *             I2  a handler that acts on an entry is counted in `in_handler`; a range is unmapped only
 *                 when it is out of the entry and nobody is counted: no page of a stranger is replaced
 *             I3  `faults` is raised before the page is replaced: who has read zeros finds it raised
 * Writers:    an entry's range: the one who claimed it; faults, first_bad: handlers
 * Ordering:   [edge guard.entry] range -> sequence -> handler;  [edge guard.fault] faults -> status;
 *             [edge guard.leave] handler counted <-> range withdrawn (both sides fence)
 * Progress:   the handler: bounded by the number of entries, and a bounded number of tries;
 *             withdrawing waits for handlers, which do three system calls at most
 * Death:      of a thread: with its process. In a forked child the counts of other threads are reset
 * Limits:     4,096 replaced pages per entry, after which the rest of the range goes at once
 *             (vm.max_map_count); a linear search, 1 us per thousand entries, only on a fault */
#include "guard.h"

#include "error.h"
#include "vm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#define BUS_MCEERR_AO 5
#endif

#define CHUNK_ENTRIES 64u
#define PATCHES_MAX 4096u
#define LOOKUP_TRIES 1000u

struct comap__guard_entry {
	struct comap_u32 claimed;
	struct comap_u32 sequence;    /* odd: the range is changing */
	struct comap_u64 base, end;   /* addresses; equal: no range */
	struct comap_u64 file_offset_bytes;
	struct comap_u32 fd, protection, page_bytes;
	struct comap_u32 in_handler;
	struct comap_u32 faults;      /* only grows */
	struct comap_u32 mended;      /* `faults` at the last repair */
	struct comap_u32 patches;     /* since the last repair */
	struct comap_u32 hint;        /* of the first bad page */
	struct comap_u64 first_bad;   /* its offset in the file; UINT64_MAX: none */
} __attribute__((aligned(64)));

struct chunk {
	struct comap_u64 next; /* struct chunk * */
	struct comap__guard_entry entries[CHUNK_ENTRIES];
};

/* A range as a handler read it, whole. */
struct view {
	struct comap__guard_entry *entry;
	uintptr_t base, end;
	uint64_t file_offset_bytes;
	int fd, protection;
	size_t page_bytes;
	uint32_t sequence;
};

static struct chunk first_chunk;
static enum comap_guard_mode mode;
static bool started;
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;

/* The handler reads these. Initial-exec: their first use allocates nothing. */
static __thread struct comap_try *volatile top_frame __attribute__((tls_model("initial-exec")));
static __thread const void *volatile chain_info __attribute__((tls_model("initial-exec")));
static __thread volatile uintptr_t chain_frame __attribute__((tls_model("initial-exec")));
static __thread struct comap__guard_fault caught __attribute__((tls_model("initial-exec")));

/* ---- the table ----------------------------------------------------------------------------- */

static struct chunk *next_chunk(const struct chunk *chunk)
{
	/* [edge guard.chunk] A chunk that is found is zeroed: all its ranges are empty. */
	return (struct chunk *)(uintptr_t)comap_u64_load_acquire(&chunk->next);
}

static struct comap__guard_entry *claim_in(struct chunk *chunk)
{
	for (unsigned i = 0; i < CHUNK_ENTRIES; i++)
		/* [edge guard.claim] The one who gave the entry back has finished with it. */
		if (comap_u32_cas_acquire(&chunk->entries[i].claimed, 0, 1))
			return &chunk->entries[i];
	return NULL;
}

static struct comap__guard_entry *claim(void)
{
	struct comap__guard_entry *entry;
	struct chunk *chunk = &first_chunk, *more;

	for (;;) {
		entry = claim_in(chunk);
		if (entry)
			return entry;
		if (!next_chunk(chunk)) {
			more = aligned_alloc(_Alignof(struct chunk), sizeof *more);
			if (!more)
				return NULL;
			memset(more, 0, sizeof *more);
			/* [edge guard.chunk] */
			if (!comap_u64_cas_release(&chunk->next, 0, (uintptr_t)more))
				free(more);
		}
		chunk = next_chunk(chunk);
	}
}

static void store_range(struct comap__guard_entry *entry, const struct comap__guard_range *range)
{
	/* Relaxed, all of them: the sequence count around them orders. */
	comap_u64_store_relaxed(&entry->base, (uintptr_t)range->base);
	comap_u64_store_relaxed(&entry->end, (uintptr_t)range->base + range->size_bytes);
	comap_u64_store_relaxed(&entry->file_offset_bytes, range->file_offset_bytes);
	comap_u32_store_relaxed(&entry->fd, (uint32_t)range->fd);
	comap_u32_store_relaxed(&entry->protection, (uint32_t)range->protection);
	comap_u32_store_relaxed(&entry->page_bytes, (uint32_t)range->page_bytes);
}

void comap__guard_set(struct comap__guard_entry *entry, const struct comap__guard_range *range)
{
	uint32_t sequence = comap_u32_load_relaxed(&entry->sequence); /* only the owner changes it */

	comap_u32_store_relaxed(&entry->sequence, sequence + 1);
	/* [edge guard.leave] Between the odd count and the look at in_handler: a handler is seen there, or
	 * it sees the odd count and leaves the range alone. It also keeps the fields behind the count. */
	comap_fence_full();
	while (comap_u32_load_acquire(&entry->in_handler)) /* [edge guard.leave] its work is done */
		comap_spin_pause();
	store_range(entry, range);
	/* [edge guard.entry] Who reads the even count reads these fields. */
	comap_u32_store_release(&entry->sequence, sequence + 2);
}

void comap__guard_remove(struct comap__guard_entry *entry)
{
	static const struct comap__guard_range none = { .fd = -1 };

	if (!entry)
		return;
	comap__guard_set(entry, &none);
	comap_u32_store_release(&entry->claimed, 0); /* [edge guard.claim] free, and empty */
}

/* False: the range was changing, or does not hold the address. */
static bool read_view(struct comap__guard_entry *entry, uintptr_t address, struct view *ret_view)
{
	/* [edge guard.entry] An even count: the fields are those of one range, if it stays the same. */
	uint32_t sequence = comap_u32_load_acquire(&entry->sequence);
	struct view view = {
		/* Relaxed: the count is read again behind the fence. */
		.entry = entry,
		.base = comap_u64_load_relaxed(&entry->base),
		.end = comap_u64_load_relaxed(&entry->end),
		.file_offset_bytes = comap_u64_load_relaxed(&entry->file_offset_bytes),
		.fd = (int)comap_u32_load_relaxed(&entry->fd),
		.protection = (int)comap_u32_load_relaxed(&entry->protection),
		.page_bytes = comap_u32_load_relaxed(&entry->page_bytes),
		.sequence = sequence,
	};

	comap_fence_acquire(); /* [edge guard.entry] between the fields and the second look */
	if ((sequence & 1) || comap_u32_load_relaxed(&entry->sequence) != sequence)
		return false;
	if (address < view.base || address >= view.end)
		return false;
	*ret_view = view;
	return true;
}

static bool find(uintptr_t address, struct view *ret_view)
{
	for (struct chunk *chunk = &first_chunk; chunk; chunk = next_chunk(chunk))
		for (unsigned i = 0; i < CHUNK_ENTRIES; i++)
			if (read_view(&chunk->entries[i], address, ret_view))
				return true;
	return false;
}

static void leave_entry(struct comap__guard_entry *entry)
{
	comap_u32_add_acq_rel(&entry->in_handler, UINT32_MAX); /* [edge guard.leave] minus one: done */
}

/* Finds the address's range and is counted in it. */
static bool enter_range(uintptr_t address, struct view *ret_view)
{
	for (unsigned i = 0; i < LOOKUP_TRIES; i++) {
		if (find(address, ret_view)) {
			/* [edge guard.leave] Counted, then the count is looked at again: see comap__guard_set(). */
			comap_u32_add_seq_cst(&ret_view->entry->in_handler, 1);
			comap_fence_full(); /* [edge guard.leave] orders the relaxed load below */
			if (comap_u32_load_relaxed(&ret_view->entry->sequence) == ret_view->sequence)
				return true;
			leave_entry(ret_view->entry);
		} else if (i > 0) {
			return false; /* looked twice: not a range that was just changing */
		}
		comap_spin_pause();
	}
	return false;
}

/* ---- the handler --------------------------------------------------------------------------- */

static enum comap__guard_hint hint_of(const siginfo_t *info, const struct view *view, uintptr_t page)
{
	struct stat st;

	if (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO)
		return COMAP__GUARD_HARDWARE;
	if (fstat(view->fd, &st) == 0 &&
	    view->file_offset_bytes + (page - view->base) >= (uint64_t)st.st_size)
		return COMAP__GUARD_TRUNCATED;
	return COMAP__GUARD_UNKNOWN;
}

static struct comap_try *frame_for(const struct comap__guard_entry *entry)
{
	struct comap_try *frame = top_frame;

	while (frame && frame->range && frame->range != entry)
		frame = frame->outer;
	return frame;
}

static void jump_out(struct comap_try *frame, const struct view *view, uint64_t offset_bytes,
                     enum comap__guard_hint hint, const ucontext_t *context)
{
	caught = (struct comap__guard_fault){
		.entry = view->entry, .file_offset_bytes = offset_bytes, .fd = view->fd, .hint = hint,
	};
	top_frame = frame->outer;
	leave_entry(view->entry);
	/* The mask that the kernel would have put back at the handler's end. */
	if (context)
		pthread_sigmask(SIG_SETMASK, &context->uc_sigmask, NULL);
	longjmp(frame->jump, 1);
}

static bool replace(const struct view *view, uintptr_t page, enum comap__guard_hint hint)
{
	size_t bytes = view->page_bytes;
	/* Relaxed: a limit, not an order. */
	uint32_t patches = comap_u32_add_relaxed(&view->entry->patches, 1);

	/* Behind the end of a file all pages are gone; one call instead of a fault for each. */
	if (hint == COMAP__GUARD_TRUNCATED || patches >= PATCHES_MAX)
		bytes = view->end - page;
	if (comap__vm_patch((void *)page, bytes, view->protection) == 0)
		return true;
	/* Too many pieces: as one piece it may do. */
	return comap__vm_patch((void *)view->base, view->end - view->base, view->protection) == 0;
}

static bool handle(const siginfo_t *info, const ucontext_t *context)
{
	uintptr_t address = (uintptr_t)info->si_addr, page;
	enum comap__guard_hint hint;
	struct comap_try *frame;
	uint64_t offset_bytes;
	struct view view;
	bool done;

	if (info->si_code <= 0 || info->si_code == BUS_ADRALN || !enter_range(address, &view))
		return false;
	page = address & ~(uintptr_t)(view.page_bytes - 1);
	hint = hint_of(info, &view, page);
	offset_bytes = view.file_offset_bytes + (address - view.base);
	frame = frame_for(view.entry);
	if (frame)
		jump_out(frame, &view, offset_bytes, hint, context);
	/* [edge guard.fault] Both before the count. Relaxed: the hint is no more than that. */
	if (comap_u64_cas_release(&view.entry->first_bad, UINT64_MAX, offset_bytes))
		comap_u32_store_relaxed(&view.entry->hint, hint);
	/* [edge guard.fault] Raised before anybody can read the zeros. */
	comap_u32_add_acq_rel(&view.entry->faults, 1);
	done = replace(&view, page, hint);
	leave_entry(view.entry);
	return done;
}

/* As if the previous handler had been called by the kernel: its siginfo, its context, its mask. */
static void call_previous(int number, siginfo_t *info, void *context)
{
	struct sigaction action = previous;
	sigset_t mask = action.sa_mask;

	if (context)
		sigorset(&mask, &mask, &((ucontext_t *)context)->uc_sigmask);
	if (!(action.sa_flags & SA_NODEFER))
		sigaddset(&mask, number);
	if (action.sa_flags & SA_RESETHAND)
		previous.sa_handler = SIG_DFL;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	chain_info = info;
	chain_frame = (uintptr_t)__builtin_frame_address(0);
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(number, info, context);
	else
		action.sa_handler(number);
	chain_info = NULL;
}

/* The handler that we pass faults on to passes them on to us: the same siginfo comes by again, deeper
 * in the stack. (After a handler that jumped away, the same address means another signal, and our frame
 * is where it was.) */
static bool goes_in_circles(const siginfo_t *info)
{
	return chain_info == info && (uintptr_t)__builtin_frame_address(0) < chain_frame;
}

/* The process would have died without us: it dies at the same instruction, or by the same signal. */
static void default_action(int number, siginfo_t *info)
{
	struct sigaction dying = { .sa_handler = SIG_DFL };

	sigaction(number, &dying, NULL);
	if (info->si_code <= 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), number, info);
	/* A fault happens again as soon as the handler returns. */
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	bool plain = !(previous.sa_flags & SA_SIGINFO);

	if (!handle(info, context)) {
		if (goes_in_circles(info) || (plain && previous.sa_handler == SIG_DFL))
			default_action(number, info);
		else if (plain && previous.sa_handler == SIG_IGN && info->si_code > 0)
			default_action(number, info); /* the kernel does not let a fault be ignored */
		else if (!(plain && previous.sa_handler == SIG_IGN))
			call_previous(number, info, context);
	}
	errno = saved_errno;
}

bool comap_guard_handle(int signal_number, void *info, void *context)
{
	int saved_errno = errno;
	bool done = signal_number == SIGBUS && info && handle(info, context);

	errno = saved_errno;
	return done;
}

/* ---- starting ------------------------------------------------------------------------------ */

static void forget_other_threads(void)
{
	for (struct chunk *chunk = &first_chunk; chunk; chunk = next_chunk(chunk))
		for (unsigned i = 0; i < CHUNK_ENTRIES; i++)
			/* Relaxed: a forked child has one thread, this one, and it is in no handler. */
			comap_u32_store_relaxed(&chunk->entries[i].in_handler, 0);
}

static int install(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, before;

	action.sa_sigaction = on_signal;
	/* Nothing interrupts the handler: another handler's jump would leave it counted for ever. */
	sigfillset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &before) != 0)
		return -errno;
	if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == on_signal)
		return 0;
	previous = before; /* in place before the handler that reads it */
	return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
}

static int start(void)
{
	int code = 0;

	pthread_mutex_lock(&start_lock);
	if (!started) {
		code = mode == COMAP_GUARD_INSTALL ? install() : 0;
		if (code == 0)
			code = -pthread_atfork(NULL, NULL, forget_other_threads);
		started = code == 0;
	}
	pthread_mutex_unlock(&start_lock);
	return code;
}

int comap_guard_set_mode(enum comap_guard_mode wanted)
{
	int code = 0;

	if ((unsigned)wanted > COMAP_GUARD_OFF)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the unknown guard mode %u", (unsigned)wanted);
	pthread_mutex_lock(&start_lock);
	if (started && wanted != mode)
		code = comap__fail(COMAP_CAUSE_BUSY, "a mapping is guarded already: the mode comes first");
	else
		mode = wanted;
	pthread_mutex_unlock(&start_lock);
	return code;
}

int comap_guard_check(void)
{
	struct sigaction now;

	if (!started || mode != COMAP_GUARD_INSTALL)
		return 0;
	if (sigaction(SIGBUS, NULL, &now) != 0)
		return comap__fail_errno(errno, "looking at the handler of SIGBUS");
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
		return 0;
	return comap__fail(COMAP_CAUSE_BUSY, "another handler of SIGBUS was installed after comap's");
}

int comap_guard_reinstall(void)
{
	int code = 0;

	if (mode != COMAP_GUARD_INSTALL)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "the guard does not own the signal in this mode");
	pthread_mutex_lock(&start_lock);
	code = install();
	pthread_mutex_unlock(&start_lock);
	return code ? comap__fail_errno(code, "installing the handler of SIGBUS") : start();
}

/* ---- entries, from outside the handler ------------------------------------------------------ */

int comap__guard_add(const struct comap__guard_range *range, struct comap__guard_entry **ret_entry)
{
	struct comap__guard_entry *entry;
	int code;

	*ret_entry = NULL;
	if (mode == COMAP_GUARD_OFF)
		return 0;
	code = start();
	if (code)
		return code;
	entry = claim();
	if (!entry)
		return -ENOMEM;
	/* Relaxed: the entry has no range yet, so no handler looks at these. */
	comap_u32_store_relaxed(&entry->mended, comap_u32_load_relaxed(&entry->faults));
	comap_u32_store_relaxed(&entry->patches, 0);
	comap_u64_store_relaxed(&entry->first_bad, UINT64_MAX);
	comap__guard_set(entry, range);
	*ret_entry = entry;
	return 0;
}

uint32_t comap__guard_fault_count(const struct comap__guard_entry *entry)
{
	if (!entry)
		return 0;
	comap_fence_acquire(); /* [edge guard.fault] the bytes were read before the count */
	return comap_u32_load_acquire(&entry->faults); /* [edge guard.fault] */
}

bool comap__guard_is_bad(const struct comap__guard_entry *entry)
{
	/* Relaxed: `mended` is stored by the one who repairs, alone with the mapping. */
	return entry && comap__guard_fault_count(entry) != comap_u32_load_relaxed(&entry->mended);
}

struct comap__guard_fault comap__guard_first_fault(struct comap__guard_entry *entry)
{
	return (struct comap__guard_fault){
		.entry = entry,
		/* [edge guard.fault] Set before the count that made the caller ask. */
		.file_offset_bytes = comap_u64_load_acquire(&entry->first_bad),
		.fd = (int)comap_u32_load_relaxed(&entry->fd),  /* the owner's own, no order needed */
		.hint = comap_u32_load_relaxed(&entry->hint),   /* only a hint */
	};
}

uint32_t comap__guard_mend(struct comap__guard_entry *entry)
{
	/* [edge guard.fault] Who has raised this count was counted in `in_handler` before. */
	uint32_t fault_count = comap_u32_load_acquire(&entry->faults);

	/* A fault that is in the count and not yet in the page would be mended before it is there, and its
	 * zeros believed. Who enters from now on raises the count beyond ours. */
	while (comap_u32_load_acquire(&entry->in_handler)) /* [edge guard.leave] its page is replaced */
		comap_spin_pause();
	return fault_count;
}

void comap__guard_mended(struct comap__guard_entry *entry, uint32_t fault_count)
{
	/* Relaxed, all: a fault that came in between has raised `faults` beyond `fault_count`. */
	comap_u32_store_relaxed(&entry->patches, 0);
	if (comap_u32_load_relaxed(&entry->faults) == fault_count)
		comap_u64_store_relaxed(&entry->first_bad, UINT64_MAX);
	comap_u32_store_relaxed(&entry->mended, fault_count);
}

bool comap__guard_catches(const struct comap__guard_entry *entry)
{
	return entry && comap_u64_load_relaxed(&entry->end) != 0; /* the owner's own */
}

bool comap__try_enter(struct comap_try *frame, const struct comap__guard_entry *entry)
{
	if (frame->entered)
		return false;
	frame->entered = 1;
	frame->range = entry;
	frame->outer = top_frame;
	top_frame = frame;
	comap_fence_compiler(); /* the frame is up before the section touches anything */
	return true;
}

void comap_try_leave(struct comap_try *frame)
{
	comap_fence_compiler(); /* the section's accesses are over */
	if (frame && top_frame == frame)
		top_frame = frame->outer;
}

struct comap__guard_fault comap__try_fault(void)
{
	return caught;
}
