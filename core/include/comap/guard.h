/* SPDX-License-Identifier: MIT */
/* The guard: a page that cannot be had is an error, not a SIGBUS.
 *
 * A file that is truncated, a disk that is full or broken under a mapping: the kernel sends SIGBUS to
 * whoever touches the page. For guarded mappings (the default where a fault is possible) comap's
 * handler puts zeros in the page's place, for this process, and remembers. From then on the mapping
 * says so: comap_map_status(), every flush, every copy. Four ways to use it, from simple to strict:
 *
 *   1  use the bytes, then ask          if (comap_map_status(map) < 0) the bytes may have been zeros
 *   2  a recovery section               COMAP_TRY(map) { ... } COMAP_CATCH(code) { ... }
 *                                       nothing after the fault runs; no zeros are seen
 *   3  checked copies                   comap_map_copy_out(), comap_map_copy_in()
 *   4  no handler at all                comap_guard_set_mode(COMAP_GUARD_OFF); checked copies, which
 *                                       read and write through the descriptor then
 *
 * What the guard cannot see: in the last page of a file that became shorter, the bytes behind its end
 * read as zeros without a fault. comap_map_check() (contract.h) and the checked copies ask the size.
 * The kernel gets no signal: read(), write() and futex() on a page that is gone return EFAULT.
 *
 * The handler is installed with the first guarded mapping: SA_SIGINFO | SA_ONSTACK. A SIGBUS that is
 * not ours goes to the handler that was there before, with its own siginfo, context and mask; where
 * that was the default, the process dies as it would have, its core pointing at the instruction.
 * A thread that blocks SIGBUS is killed by the kernel nevertheless.
 *
 * Threads: everything may be called by any thread; see comap_map_repair().
 * Fork: the child is guarded as the parent is. Signals: only comap_guard_handle() is for handlers. */
#ifndef COMAP_GUARD_H
#define COMAP_GUARD_H

#include <comap/mapping.h>

#include <setjmp.h>

COMAP_BEGIN_DECLS

enum comap_guard_mode {
	COMAP_GUARD_INSTALL = 0, /* comap installs its handler */
	COMAP_GUARD_HOST,        /* the host's handler calls comap_guard_handle() */
	COMAP_GUARD_OFF,         /* no handler: faults kill, checked copies work */
};

/* For the whole process, before its first guarded mapping: -EBUSY afterwards. */
COMAP_API COMAP_MUST_CHECK int comap_guard_set_mode(enum comap_guard_mode mode);

/* For hosts that own their signals: true where the fault was in a guarded mapping and has been dealt
 * with, so that the host's handler returns. `info` and `context` as the host was given them (a siginfo_t
 * and a ucontext_t). May not return: a recovery section is entered by a jump. Async-signal-safe. */
COMAP_API bool comap_guard_handle(int signal_number, void *info, void *context);

/* 0: the handler of SIGBUS is ours (or the host's, or there is none to be). -EBUSY (BUSY): somebody
 * has installed another one since; faults go there. */
COMAP_API int comap_guard_check(void);
/* Takes SIGBUS back; whoever had it is the one that is chained to. */
COMAP_API int comap_guard_reinstall(void);

/* 0: no page was replaced since the open or the last repair, so every byte that was read before this
 * call came from the file. Otherwise sticky: -ESTALE (TRUNCATED), -ENOSPC (NO_SPACE: also tmpfs on
 * reading a hole), -EIO (IO), with the first bad offset in the last error. Stores to such pages are
 * lost. Costs two loads while all is well. Mappings that are not guarded: 0. */
COMAP_API int comap_map_status(const struct comap_map *map);

struct comap_fault {
	uint64_t fault_count;        /* since the open; never goes back: compare before and after */
	uint64_t first_offset_bytes; /* of the first bad page touched, or UINT64_MAX */
	enum comap_cause cause;      /* NONE where the status is 0 */
};
COMAP_API void comap_map_fault(const struct comap_map *map, struct comap_fault *ret_fault);

/* Puts the file's pages back in the place of the zeros and clears the status, when the file is as long
 * as the mapping again: -ESTALE (TRUNCATED) before that. What was stored into replaced pages stays
 * lost; advice, locks and protection of parts have to be given again. -EOPNOTSUPP (UNSUPPORTED) for
 * MAP_COPY, whose own changes it would drop. No other thread may stand between reading and asking for
 * the status: it would take zeros for data (or let it compare fault_count). */
COMAP_API COMAP_MUST_CHECK int comap_map_repair(struct comap_map *map);

/* Copies bytes out of the mapping, or in. 0: all of them came from, or went to, the file as it was
 * long enough at the end of the call. -ESTALE, -ENOSPC, -EIO as comap_map_status(), for this copy alone:
 * the mapping's status is not touched, and pages replaced earlier are looked through to the file.
 * -ERANGE (BOUNDS), -EACCES (READ_ONLY). After a failure the target holds anything. */
COMAP_API COMAP_MUST_CHECK int comap_map_copy_out(const struct comap_map *map, uint64_t offset_bytes,
                                                  void *buffer, uint64_t size_bytes);
COMAP_API COMAP_MUST_CHECK int comap_map_copy_in(struct comap_map *map, uint64_t offset_bytes,
                                                 const void *buffer, uint64_t size_bytes);

/* The recovery section. A fault of this thread in `map` (NULL: in any guarded mapping) leaves the block
 * and enters the second one, `code` being the negative errno as above and the last error telling more.
 *
 *     COMAP_TRY(map) {
 *             parse(comap_map_data(map));
 *     } COMAP_CATCH(code) {
 *             puts(comap_error_text());
 *     }
 *
 * It is a jump: locals changed inside must be volatile to be read after a fault; no lock may be taken
 * and nothing allocated inside; `break` leaves the section, return and goto do as well. Sections nest.
 * C only. Costs some 5 ns. */
#define COMAP_TRY(map) COMAP__TRY(map, COMAP__PASTE(comap__try_, __COUNTER__))
#define COMAP__PASTE(a, b) COMAP__PASTE2(a, b)
#define COMAP__PASTE2(a, b) a##b
#define COMAP__TRY(map, frame) \
	for (struct comap_try frame __attribute__((cleanup(comap_try_leave))) = { 0 }; \
	     comap_try_enter(&frame, map);) \
		if (setjmp(frame.jump) == 0) /* the handler restores the signal mask */
#define COMAP_CATCH(code) else for (int code = comap_try_caught(); code; code = 0)

/* What the macros use; a frame on the section's stack. */
struct comap_try {
	struct comap_try *outer;
	const void *range;
	volatile int entered;
	jmp_buf jump;
};
COMAP_API bool comap_try_enter(struct comap_try *frame, const struct comap_map *map);
COMAP_API void comap_try_leave(struct comap_try *frame);
COMAP_API int comap_try_caught(void);

COMAP_END_DECLS
#endif
