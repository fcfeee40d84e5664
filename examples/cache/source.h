/* SPDX-License-Identifier: MIT */
/* The slow source: a table of articles in SQLite, with a delay added to each question. */
#ifndef EXAMPLES_CACHE_SOURCE_H
#define EXAMPLES_CACHE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#define ARTICLE_BYTES_MAX 128u

struct source;

/* Makes the database anew, with articles 0 ... count - 1. 0, or -1 with a line on standard error. */
int source_create(const char *path, unsigned article_count);

/* A connection of this process; NULL with a line on standard error. */
struct source *source_open(const char *path, unsigned delay_ms);
void source_close(struct source *source);

/* The article, as one line of text without a NUL: its length; 0: there is none; -1: an error. */
int source_ask(struct source *source, unsigned number, char *text, size_t capacity_bytes);

/* What the article must say: the same, without the source. */
int source_expected(unsigned number, char *text, size_t capacity_bytes);

#endif
