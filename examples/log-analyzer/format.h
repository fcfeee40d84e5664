/* SPDX-License-Identifier: MIT */
/* Lines of logs as fields: web requests, syslog, dpkg, or what a regular expression names. */
#ifndef LOG_ANALYZER_FORMAT_H
#define LOG_ANALYZER_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_FIELDS_MAX 16u

struct format_fields {
	const char *data[FORMAT_FIELDS_MAX];
	size_t size_bytes[FORMAT_FIELDS_MAX];
};

struct format {
	const char *name;
	const char *fields[FORMAT_FIELDS_MAX];
	unsigned field_count;
	/* False: the line is not of the format. */
	bool (*split)(const struct format *format, const char *line, size_t size_bytes,
	              struct format_fields *ret_fields);
	/* private */
	void *pattern, *matches;
	unsigned groups[FORMAT_FIELDS_MAX];
};

/* "access", "syslog" or "dpkg". False: no such format. */
bool format_find(const char *name, struct format *ret_format);
/* The format of which these lines have most; false where no line is of any. */
bool format_guess(const char *text, size_t size_bytes, struct format *ret_format);
/* A regular expression with named groups, which are the fields. 0, or -EINVAL with the reason. */
int format_compile(const char *expression, struct format *ret_format, char *problem,
                   size_t problem_bytes);
void format_fini(struct format *format);

/* The field's number, or -1. */
int format_field(const struct format *format, const char *name);

/* Seconds since 1970 of a time as logs write it:
 *     23/Jan/2026:10:00:00 +0100    2026-01-23[T ]10:00:00[.123][Z|+01:00]    Jan 23 10:00:00
 * The last is taken to be of `year`. Without a zone: UTC. False: none of them. */
bool format_time(const char *text, size_t size_bytes, int year, int64_t *ret_seconds);

#endif
