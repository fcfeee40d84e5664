/* SPDX-License-Identifier: MIT */
/* Files with known bytes, and what tests of core ask of files again and again. The paths come from
 * the process kit (proc_path()), which removes them. Everything here ends the process where it fails
 * for a reason that the test does not mean. */
#ifndef COMAP_TESTS_CORE_FILES_H
#define COMAP_TESTS_CORE_FILES_H

#include "proc.h"

#define FILES_SKIP 77 /* meson shows it as a skip */

/* The byte that files_make() writes at this offset; never 0, so that lost bytes are seen. */
unsigned char files_pattern(uint64_t offset_bytes);
/* A file of `size_bytes` pattern bytes in the place; its path. */
const char *files_make(enum proc_place place, const char *name, uint64_t size_bytes);
/* Writes the pattern over a range of a file that exists. */
void files_write(const char *path, uint64_t offset_bytes, uint64_t size_bytes);
void files_resize(const char *path, uint64_t size_bytes);
uint64_t files_size_bytes(const char *path);
uint64_t files_allocated_bytes(const char *path);
/* The file holds these bytes there, read by read(). */
bool files_equal(const char *path, uint64_t offset_bytes, const void *bytes, size_t size_bytes);
/* The first byte of the range that differs from the pattern, or `size_bytes`. */
uint64_t files_first_wrong(const void *bytes, uint64_t offset_bytes, uint64_t size_bytes);

/* cmocka takes SIGBUS for itself before each test: gives it back to the guard, where it is used. To be
 * called after the first guarded mapping of a test. In roles that handle SIGBUS themselves: nothing. */
void files_guard(void);

/* Ends the test program as skipped, with the reason. */
void files_skip(const char *reason) __attribute__((noreturn));

#define MUST(condition) ((condition) ? (void)0 : files_stop(__FILE__, __LINE__, #condition))
void files_stop(const char *file, int line, const char *condition) __attribute__((noreturn));

#endif
