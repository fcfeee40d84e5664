/* SPDX-License-Identifier: MIT */
/* Shared words: memory that other threads and other processes read and write at the same time.
 *
 * A shared word is a struct, so that plain access does not compile by accident, and every access
 * names its order. On the compiler's __atomic builtins, not on _Atomic: valid C11 and valid C++.
 *
 * Comments at the call name the edge: [edge NAME] and what the other side may conclude; a relaxed
 * access says why no order is needed. docs/memory-model.md lists the edges, a test compares.
 *
 * Signals: every accessor is async-signal-safe (lock-free, checked below). */
#ifndef COMAP_WORD_H
#define COMAP_WORD_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

struct comap_u32 { uint32_t v; };
struct comap_u64 { uint64_t v; };

#if __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "comap needs 64-bit words that are always lock-free"
#endif

#define COMAP__WORD(bits) \
static inline uint##bits##_t comap_u##bits##_load_relaxed(const struct comap_u##bits *w) \
{ return __atomic_load_n(&w->v, __ATOMIC_RELAXED); } \
static inline uint##bits##_t comap_u##bits##_load_acquire(const struct comap_u##bits *w) \
{ return __atomic_load_n(&w->v, __ATOMIC_ACQUIRE); } \
static inline uint##bits##_t comap_u##bits##_load_seq_cst(const struct comap_u##bits *w) \
{ return __atomic_load_n(&w->v, __ATOMIC_SEQ_CST); } \
static inline void comap_u##bits##_store_relaxed(struct comap_u##bits *w, uint##bits##_t v) \
{ __atomic_store_n(&w->v, v, __ATOMIC_RELAXED); } \
static inline void comap_u##bits##_store_release(struct comap_u##bits *w, uint##bits##_t v) \
{ __atomic_store_n(&w->v, v, __ATOMIC_RELEASE); } \
static inline uint##bits##_t comap_u##bits##_exchange_acq_rel(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_exchange_n(&w->v, v, __ATOMIC_ACQ_REL); } \
static inline uint##bits##_t comap_u##bits##_exchange_seq_cst(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_exchange_n(&w->v, v, __ATOMIC_SEQ_CST); } \
static inline uint##bits##_t comap_u##bits##_add_relaxed(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_add(&w->v, v, __ATOMIC_RELAXED); } \
static inline uint##bits##_t comap_u##bits##_add_acq_rel(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_add(&w->v, v, __ATOMIC_ACQ_REL); } \
static inline uint##bits##_t comap_u##bits##_add_seq_cst(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_add(&w->v, v, __ATOMIC_SEQ_CST); } \
static inline uint##bits##_t comap_u##bits##_sub_relaxed(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_sub(&w->v, v, __ATOMIC_RELAXED); } \
static inline uint##bits##_t comap_u##bits##_or_acq_rel(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_or(&w->v, v, __ATOMIC_ACQ_REL); } \
static inline uint##bits##_t comap_u##bits##_or_seq_cst(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_or(&w->v, v, __ATOMIC_SEQ_CST); } \
static inline uint##bits##_t comap_u##bits##_and_acq_rel(struct comap_u##bits *w, uint##bits##_t v) \
{ return __atomic_fetch_and(&w->v, v, __ATOMIC_ACQ_REL); } \
/* True when it was `from` and is `to` now. Failure orders as a relaxed load. */ \
static inline bool comap_u##bits##_cas_relaxed( \
	struct comap_u##bits *w, uint##bits##_t from, uint##bits##_t to) \
{ return __atomic_compare_exchange_n(&w->v, &from, to, false, \
	__ATOMIC_RELAXED, __ATOMIC_RELAXED); } \
static inline bool comap_u##bits##_cas_acquire( \
	struct comap_u##bits *w, uint##bits##_t from, uint##bits##_t to) \
{ return __atomic_compare_exchange_n(&w->v, &from, to, false, \
	__ATOMIC_ACQUIRE, __ATOMIC_RELAXED); } \
static inline bool comap_u##bits##_cas_release( \
	struct comap_u##bits *w, uint##bits##_t from, uint##bits##_t to) \
{ return __atomic_compare_exchange_n(&w->v, &from, to, false, \
	__ATOMIC_RELEASE, __ATOMIC_RELAXED); } \
static inline bool comap_u##bits##_cas_acq_rel( \
	struct comap_u##bits *w, uint##bits##_t from, uint##bits##_t to) \
{ return __atomic_compare_exchange_n(&w->v, &from, to, false, \
	__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); } \
static inline bool comap_u##bits##_cas_seq_cst( \
	struct comap_u##bits *w, uint##bits##_t from, uint##bits##_t to) \
{ return __atomic_compare_exchange_n(&w->v, &from, to, false, \
	__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); } \
/* The word becomes the larger of itself and `v`; returns the larger. */ \
static inline uint##bits##_t comap_u##bits##_max_acq_rel(struct comap_u##bits *w, uint##bits##_t v) \
{ \
	uint##bits##_t old = __atomic_load_n(&w->v, __ATOMIC_ACQUIRE); \
	while (old < v) \
		if (__atomic_compare_exchange_n(&w->v, &old, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) \
			return v; \
	return old; \
}

COMAP__WORD(32)
COMAP__WORD(64)
#undef COMAP__WORD

/* ThreadSanitizer does not know of fences. In its build, and only there, a fence is an addition of
 * nothing to a word of its own: each is ordered after all that were executed before it. That is more
 * order than fences give: an edge that hangs on a fence is believed there, not tested. */
#if defined(__SANITIZE_THREAD__)
#define COMAP__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COMAP__TSAN 1
#endif
#endif

/* Fences. Each call names the two sides that it keeps in order. */
extern COMAP_API struct comap_u32 comap__tsan_fence;
#ifdef COMAP__TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
/* Around reads that are meant to meet writes, and whose result is validated afterwards. */
static inline void comap__race_meant_begin(void) { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
static inline void comap__race_meant_end(void) { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
static inline void comap_fence_acquire(void) { comap_u32_add_acq_rel(&comap__tsan_fence, 0); }
static inline void comap_fence_release(void) { comap_u32_add_acq_rel(&comap__tsan_fence, 0); }
static inline void comap_fence_full(void) { comap_u32_add_seq_cst(&comap__tsan_fence, 0); }
#else
static inline void comap__race_meant_begin(void) { }
static inline void comap__race_meant_end(void) { }
static inline void comap_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void comap_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void comap_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#endif
/* Orders this thread against its own signal handlers, and against a membarrier() by others. */
static inline void comap_fence_compiler(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/* In a spin loop: the other hardware thread may go first. */
static inline void comap_spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

COMAP_END_DECLS
#endif
