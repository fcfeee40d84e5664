/* SPDX-License-Identifier: MIT */
/* The second opinion: answers from the CSV text itself, by another parser and another search.
 *
 * Shares no code with csv.c, build.c and registry.c, so that a mistake in one of them shows. Reads
 * one character at a time, and keeps of each record only where it begins. */
#ifndef EXAMPLES_REGISTRY_ORACLE_H
#define EXAMPLES_REGISTRY_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle;

/* Reads the file; `key_column` counts from 0. NULL with errno set where it cannot be read. */
struct oracle *oracle_open(const char *path, char separator, unsigned key_column);
/* The same from memory: the text is copied. */
struct oracle *oracle_from_text(const char *text, size_t size_bytes, char separator,
                                unsigned key_column);
void oracle_close(struct oracle *oracle);

size_t oracle_record_count(const struct oracle *oracle);

/* The first record with this key, in the order of the text, or -1. */
long oracle_find(const struct oracle *oracle, const char *key, size_t key_bytes);
/* How many records have this text in the column. Reads the whole text. */
size_t oracle_count(const struct oracle *oracle, unsigned column, const char *text,
                    size_t size_bytes);
/* The record's cell is these bytes; a cell that the record lacks is "". */
bool oracle_cell_is(const struct oracle *oracle, long record, unsigned column, const char *text,
                    size_t size_bytes);

#endif
