/* SPDX-License-Identifier: MIT */
/* Fuzzing: one entry function per target, called with bytes that mean anything.
 *
 *   fast suite   fuzz.c: the seeds and their mutations, from a fixed seed, in a child process
 *   run long     libfuzzer.c: the same functions under clang's libFuzzer with ASan and UBSan
 *
 * An entry function holds a sentence about its target with FUZZ_REQUIRE() and returns whatever the
 * bytes were. It keeps no state between two inputs but what begin() made. */
#ifndef COMAP_TESTS_FUZZ_H
#define COMAP_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_seed {
	const void *data;
	size_t size_bytes;
};
/* A seed from a string literal, its NUL not included. */
#define FUZZ_SEED(text) { text, sizeof(text) - 1 }

struct fuzz_target {
	const char *name;
	const char *text;              /* what is promised, in a line */
	void (*begin)(void);           /* once per process; NULL: nothing */
	void (*one)(const uint8_t *data, size_t size_bytes);
	void (*end)(void);
	const struct fuzz_seed *seeds;
	unsigned seed_count;
	unsigned input_count;          /* in the fast suite */
	size_t size_max_bytes;
};

extern const struct fuzz_target fuzz_region_bytes, fuzz_region_fields, fuzz_type, fuzz_records, fuzz_name,
	fuzz_csv, fuzz_log, fuzz_out, fuzz_scan, fuzz_search, fuzz_guard;

/* Ends the process with a sentence and SIGABRT: a finding. */
#define FUZZ_REQUIRE(condition) \
	((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));

/* An input is taken apart from its front; where it is over, there are zeros. */
struct fuzz_in {
	const uint8_t *at, *end;
};
static inline size_t fuzz_left(const struct fuzz_in *in)
{
	return (size_t)(in->end - in->at);
}
uint64_t fuzz_take(struct fuzz_in *in, unsigned byte_count); /* at most 8 */
/* The next bytes, in memory of their own size, so that a byte too far is noticed. free() them. */
void *fuzz_take_copy(struct fuzz_in *in, size_t size_bytes);
/* The same as a string without NULs inside. */
char *fuzz_take_string(struct fuzz_in *in, size_t length_max);

/* A folder in memory ($COMAP_FUZZ_FOLDER, or one of this process's), made by the first call; a file there;
 * and its end. */
void fuzz_folder_make(void);
const char *fuzz_path(const char *name);
void fuzz_folder_remove(void);

#endif
