/* SPDX-License-Identifier: MIT */
/* For programs that have nothing better to do about an error than to say it and end.
 *
 * Each _or_die function does what its namesake does, and on failure writes one line to standard
 * error ("program: what: why") and ends the program with status 1. They live in this header, in the
 * program's own code: the library never prints or exits. */
#ifndef COMAP_EASY_H
#define COMAP_EASY_H

#include <comap.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

COMAP_BEGIN_DECLS

extern char *program_invocation_short_name; /* glibc and musl; <errno.h> hides it without _GNU_SOURCE */

static inline void comap_die(const char *what) __attribute__((noreturn));
static inline void comap_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, comap_error_text());
	exit(1);
}

static inline struct comap *comap_open_or_die(const char *name, uint32_t flags)
{
	struct comap *region = comap_open(name, flags);

	if (!region)
		comap_die(name ? name : "(null)");
	return region;
}

static inline struct comap_value *comap_value_open_or_die(struct comap *region, const char *name,
                                                          const struct comap_type *type)
{
	struct comap_value *value = comap_value_open(region, name, type);

	if (!value)
		comap_die(name ? name : "(null)");
	return value;
}

static inline void comap_value_put_or_die(struct comap_value *value, const void *data,
                                          size_t size_bytes)
{
	if (comap_value_put(value, data, size_bytes) != 0)
		comap_die("put");
}

static inline struct comap_table *comap_table_open_or_die(struct comap *region, const char *name,
                                                          const struct comap_type *type)
{
	struct comap_table *table = comap_table_open(region, name, type);

	if (!table)
		comap_die(name ? name : "(null)");
	return table;
}

static inline void comap_table_put_or_die(struct comap_table *table, const void *key, size_t key_bytes,
                                          const void *value, size_t value_bytes)
{
	if (comap_table_put(table, key, key_bytes, value, value_bytes) != 0)
		comap_die("put");
}

COMAP_END_DECLS
#endif
