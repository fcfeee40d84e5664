/* SPDX-License-Identifier: MIT */
/* The registry as a table of the region: an entry for each key. */
#ifndef EXAMPLES_PRODUCER_ROWS_H
#define EXAMPLES_PRODUCER_ROWS_H

#include "../registry/registry.h"

#include <comap.h>

/* Replaces what the table holds by the registry's rows, at once: readers see the old rows or the new
 * ones. The value of a key is its row, cell after cell with tabs between; of several rows, line after
 * line. 0, or a negative errno: the rows before stand, comap_error_text() says why. */
int rows_publish(struct comap_table *table, const struct registry *registry);

#endif
