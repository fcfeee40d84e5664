/* SPDX-License-Identifier: MIT */
/* Changes of the source. */
#include "changes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 32

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
	return x ^ (x >> 29);
}

/* The line without its end. */
static size_t body_bytes(const char *line, size_t size_bytes)
{
	if (size_bytes > 0 && line[size_bytes - 1] == '\n')
		size_bytes--;
	if (size_bytes > 0 && line[size_bytes - 1] == '\r')
		size_bytes--;
	return size_bytes;
}

/* Copies the line as change `number` has it; returns its length. */
static size_t change_line(const char *line, size_t size_bytes, uint64_t line_number,
                          uint64_t number, char *out)
{
	uint64_t dice = mix(line_number * 1000003 + number);
	size_t body = body_bytes(line, size_bytes);
	size_t added = 0;

	if (line_number > 0 && body > 0 && !memchr(line, '"', size_bytes)) {
		if (dice % 200 == 0)
			return 0;
		if (dice % 50 == 1)
			added = (size_t)snprintf(out + body, WORD_MAX, " #%llu",
			                         (unsigned long long)number);
	}
	memcpy(out, line, body);
	memcpy(out + body + added, line + body, size_bytes - body);
	return size_bytes + added;
}

int change_write(const struct file_text *original, uint64_t number, const char *path)
{
	const char *at = original->data, *end = at + original->size_bytes;
	char *out = malloc(original->size_bytes * 2 + WORD_MAX * 2);
	uint64_t line_number = 0;
	size_t used = 0, room = original->size_bytes * 2;
	int result;

	if (!out)
		return -ENOMEM;
	while (at < end && used + WORD_MAX < room) {
		const char *next = memchr(at, '\n', (size_t)(end - at));
		size_t size = next ? (size_t)(next - at) + 1 : (size_t)(end - at);

		used += change_line(at, size, line_number++, number, out + used);
		at += size;
	}
	result = file_replace(path, out, used);
	free(out);
	return result;
}
