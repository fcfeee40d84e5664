/* SPDX-License-Identifier: MIT */
/* Changes of the source: lines go, come back and get other words, differently for each number. */
#ifndef EXAMPLES_DEMO_CHANGES_H
#define EXAMPLES_DEMO_CHANGES_H

#include "../common/file.h"

/* Writes change `number` of the original over `path`, by rename. Works on any CSV: the first line
 * stays, one line in 200 is left out, one in 50 gets a word more; lines with quotes stay.
 * 0, or a negative errno. */
int change_write(const struct file_text *original, uint64_t number, const char *path);

#endif
