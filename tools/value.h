/* SPDX-License-Identifier: MIT */
/* One version of a value, copied out, and the ways to print it. */
#ifndef COMAP_TOOLS_VALUE_H
#define COMAP_TOOLS_VALUE_H

#include "tool.h"

enum value_form {
	VALUE_PLAIN, /* fields where there is a field list, else the bytes */
	VALUE_RAW,   /* the bytes as they are */
	VALUE_HEX,   /* a dump */
};

struct value_copy {
	const char *name;
	struct comap_type *type; /* NULL: untyped */
	unsigned char *data;
	size_t capacity_bytes;
	size_t size_bytes;
	uint64_t version;
	uint64_t published_ns;   /* 0: not known, a newer version came in between */
	bool watched;
	uint64_t missed_count;   /* by a watcher, between this one and the one printed before */
};

/* All of one version; `field` may name one field that is to be printed alone. An exit code. */
int value_print(struct out *out, const struct value_copy *copy, enum value_form form,
                const char *field);
/* One line for one version, with its number and time. */
int value_print_line(struct out *out, const struct value_copy *copy, enum value_form form);

#endif
