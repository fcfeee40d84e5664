/* SPDX-License-Identifier: MIT */
/* What every public header of comap starts from: visibility, versions, small macros.
 *
 * All headers are plain C11 that C++ can include; they use no type whose layout depends on libc. */
#ifndef COMAP_BASE_H
#define COMAP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define COMAP_BEGIN_DECLS extern "C" {
#define COMAP_END_DECLS }
#else
#define COMAP_BEGIN_DECLS
#define COMAP_END_DECLS
#endif

#define COMAP_VERSION_MAJOR 0
#define COMAP_VERSION_MINOR 1
#define COMAP_VERSION_PATCH 0

/* Part of the library's interface. */
#define COMAP_API __attribute__((visibility("default")))
/* The result says whether it worked; dropping it is a bug. */
#define COMAP_MUST_CHECK __attribute__((warn_unused_result))
#define COMAP_PRINTF(format_index, first_index) \
	__attribute__((format(printf, format_index, first_index)))

#define COMAP_LIKELY(x) __builtin_expect(!!(x), 1)
#define COMAP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Wait for ever: a deadline that does not come. Deadlines are absolute, CLOCK_MONOTONIC, in
 * nanoseconds; comap_deadline_ms() makes one from a duration. */
#define COMAP_FOREVER UINT64_MAX

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "comap's file format is little-endian; big-endian machines are not supported"
#endif

#endif
