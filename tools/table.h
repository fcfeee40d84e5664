/* SPDX-License-Identifier: MIT */
/* How the table verbs print an entry. */
#ifndef COMAP_TOOLS_TABLE_H
#define COMAP_TOOLS_TABLE_H

#include "tool.h"

/* Key, tab, value, as one line or as one JSON object; `type` may be NULL: bytes. */
void table_print_entry(struct out *out, const struct comap_type *type, bool keys_only,
                       const struct comap_table_entry *entry);

#endif
