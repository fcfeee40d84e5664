/* SPDX-License-Identifier: MIT */
/* From CSV text to a registry, in two passes: how large, then in place. */
#ifndef EXAMPLES_REGISTRY_BUILD_H
#define EXAMPLES_REGISTRY_BUILD_H

#include "../../tools/common/csv.h"
#include "registry.h"

/* What is to be built, and from which text. The text must stay as it is until it is built. */
struct registry_plan {
	const char *text;
	size_t text_bytes;
	char separator;
	struct registry_header header; /* all fields but version, source_time_ns and checksum */
};

/* The first pass. `key` names the key column; NULL: "Assignment" where there is one, else the first
 * column. 0, or: -EBADMSG no header line, no such column, a quote that is not closed, more than
 * REGISTRY_COLUMNS_MAX columns; -EFBIG more than 4 GiB of strings or a thousand million rows.
 * `problem` then has the sentence. */
int registry_plan(struct registry_plan *plan, const char *text, size_t text_bytes, char separator,
                  const char *key, char *problem, size_t problem_bytes);

/* The second pass: fills `block` (header.total_bytes bytes, aligned to 8), checksum included. */
void registry_build(const struct registry_plan *plan, void *block);

#endif
