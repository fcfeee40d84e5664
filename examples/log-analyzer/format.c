/* SPDX-License-Identifier: MIT */
/* Lines of logs as fields. The three formats are split by hand, for speed; expressions by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- splitting ---------------------------------------------------------------------------- */

/* What is left of a line. */
struct rest {
	const char *at, *end;
};

static void put(struct format_fields *fields, unsigned index, const char *from, const char *to)
{
	fields->data[index] = from;
	fields->size_bytes[index] = (size_t)(to - from);
}

/* Up to the next `stop`, which is passed over; false where there is none. */
static bool until(struct rest *rest, char stop, const char **ret_from, const char **ret_to)
{
	const char *found = memchr(rest->at, stop, (size_t)(rest->end - rest->at));

	if (!found)
		return false;
	*ret_from = rest->at;
	*ret_to = found;
	rest->at = found + 1;
	return true;
}

static bool word(struct rest *rest, struct format_fields *fields, unsigned index)
{
	const char *from, *to;

	if (!until(rest, ' ', &from, &to)) {
		from = rest->at;
		to = rest->at = rest->end;
	}
	put(fields, index, from, to);
	return to > from;
}

static bool skip(struct rest *rest, char c)
{
	if (rest->at == rest->end || *rest->at != c)
		return false;
	rest->at++;
	return true;
}

/* "text", where \" does not end it. */
static bool quoted(struct rest *rest, const char **ret_from, const char **ret_to)
{
	if (!skip(rest, '"'))
		return false;
	*ret_from = rest->at;
	for (; rest->at < rest->end; rest->at++) {
		if (*rest->at == '\\' && rest->at + 1 < rest->end)
			rest->at++;
		else if (*rest->at == '"') {
			*ret_to = rest->at++;
			return true;
		}
	}
	return false;
}

enum { ACCESS_CLIENT, ACCESS_USER, ACCESS_TIME, ACCESS_METHOD, ACCESS_PATH, ACCESS_STATUS,
       ACCESS_BYTES, ACCESS_REFERER, ACCESS_AGENT };

/* "GET /path HTTP/1.1"; what is no such thing is all path. */
static void split_request(const char *from, const char *to, struct format_fields *fields)
{
	struct rest rest = { from, to };
	const char *a, *b;

	put(fields, ACCESS_METHOD, from, from);
	put(fields, ACCESS_PATH, from, to);
	if (!until(&rest, ' ', &a, &b))
		return;
	put(fields, ACCESS_METHOD, a, b);
	word(&rest, fields, ACCESS_PATH);
}

static bool split_access(const struct format *format, const char *line, size_t size_bytes,
                         struct format_fields *fields)
{
	struct rest rest = { line, line + size_bytes };
	const char *from, *to;

	if (!word(&rest, fields, ACCESS_CLIENT) || !word(&rest, fields, ACCESS_USER) ||
	    !word(&rest, fields, ACCESS_USER) || !skip(&rest, '[') || !until(&rest, ']', &from, &to))
		return false;
	put(fields, ACCESS_TIME, from, to);
	if (!skip(&rest, ' ') || !quoted(&rest, &from, &to) || !skip(&rest, ' '))
		return false;
	split_request(from, to, fields);
	if (!word(&rest, fields, ACCESS_STATUS) || !word(&rest, fields, ACCESS_BYTES))
		return false;
	put(fields, ACCESS_REFERER, rest.end, rest.end);
	put(fields, ACCESS_AGENT, rest.end, rest.end);
	if (quoted(&rest, &from, &to))
		put(fields, ACCESS_REFERER, from, to);
	if (skip(&rest, ' ') && quoted(&rest, &from, &to))
		put(fields, ACCESS_AGENT, from, to);
	return true;
}

enum { SYSLOG_TIME, SYSLOG_HOST, SYSLOG_PROGRAM, SYSLOG_MESSAGE };

static bool split_syslog(const struct format *format, const char *line, size_t size_bytes,
                         struct format_fields *fields)
{
	struct rest rest = { line, line + size_bytes };
	const char *from, *to, *end;

	if (size_bytes > 16 && isupper((unsigned char)line[0])) {
		put(fields, SYSLOG_TIME, line, line + 15); /* "Jan 23 10:00:00" */
		rest.at = line + 15;
		if (!skip(&rest, ' '))
			return false;
	} else if (!word(&rest, fields, SYSLOG_TIME)) {
		return false;
	}
	if (!word(&rest, fields, SYSLOG_HOST) || !until(&rest, ':', &from, &to))
		return false;
	for (end = from; end < to && *end != '['; end++)
		if (*end == ' ')
			return false;
	put(fields, SYSLOG_PROGRAM, from, end);
	skip(&rest, ' ');
	put(fields, SYSLOG_MESSAGE, rest.at, rest.end);
	return end > from;
}

enum { DPKG_TIME, DPKG_ACTION, DPKG_PACKAGE, DPKG_VERSION };

/* "2026-01-23 10:00:00 status installed bash:amd64 5.2" and "... install bash:amd64 <none> 5.2". */
static bool split_dpkg(const struct format *format, const char *line, size_t size_bytes,
                       struct format_fields *fields)
{
	struct rest rest = { line, line + size_bytes };

	if (size_bytes < 21 || line[4] != '-' || line[10] != ' ' || line[19] != ' ')
		return false;
	put(fields, DPKG_TIME, line, line + 19);
	rest.at = line + 20;
	if (!word(&rest, fields, DPKG_ACTION))
		return false;
	if (fields->size_bytes[DPKG_ACTION] == 6 && memcmp(line + 20, "status", 6) == 0) {
		if (!word(&rest, fields, DPKG_PACKAGE))
			return false;
		put(fields, DPKG_ACTION, line + 20, rest.at < rest.end ? rest.at - 1 : rest.end);
	}
	put(fields, DPKG_PACKAGE, rest.end, rest.end);
	put(fields, DPKG_VERSION, rest.end, rest.end);
	if (word(&rest, fields, DPKG_PACKAGE))
		put(fields, DPKG_VERSION, rest.at, rest.end);
	return true;
}

static const struct format formats[] = {
	{ "access", { "client", "user", "time", "method", "path", "status", "bytes", "referer", "agent" },
	  9, split_access },
	{ "syslog", { "time", "host", "program", "message" }, 4, split_syslog },
	{ "dpkg", { "time", "action", "package", "version" }, 4, split_dpkg },
};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

bool format_find(const char *name, struct format *ret_format)
{
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		if (strcmp(formats[i].name, name) == 0) {
			*ret_format = formats[i];
			return true;
		}
	return false;
}

/* How many of the lines are of the format, their time included. */
static unsigned count_fitting(const struct format *format, const char *text, size_t size_bytes)
{
	struct rest rest = { text, text + size_bytes };
	struct format_fields fields;
	const char *from, *to;
	unsigned count = 0;
	int64_t seconds;

	while (until(&rest, '\n', &from, &to)) {
		int time_field = format_field(format, "time");

		count += format->split(format, from, (size_t)(to - from), &fields) &&
		         format_time(fields.data[time_field], fields.size_bytes[time_field], 2000,
		                     &seconds);
	}
	return count;
}

bool format_guess(const char *text, size_t size_bytes, struct format *ret_format)
{
	unsigned best = 0;

	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		unsigned count = count_fitting(&formats[i], text, size_bytes);

		if (count <= best)
			continue;
		best = count;
		*ret_format = formats[i];
	}
	return best > 0;
}

int format_field(const struct format *format, const char *name)
{
	for (unsigned i = 0; i < format->field_count; i++)
		if (strcmp(format->fields[i], name) == 0)
			return (int)i;
	return -1;
}

/* --- expressions -------------------------------------------------------------------------- */

static bool split_expression(const struct format *format, const char *line, size_t size_bytes,
                             struct format_fields *fields)
{
	PCRE2_SIZE *places;

	if (pcre2_match(format->pattern, (PCRE2_SPTR)line, size_bytes, 0, 0, format->matches, NULL) < 0)
		return false;
	places = pcre2_get_ovector_pointer(format->matches);
	for (unsigned i = 0; i < format->field_count; i++) {
		PCRE2_SIZE from = places[2 * format->groups[i]], to = places[2 * format->groups[i] + 1];

		if (from == PCRE2_UNSET || to < from)
			from = to = size_bytes;
		put(fields, i, line + from, line + to);
	}
	return true;
}

/* The table of names: two bytes of group number, then the name, in entries of one size. */
static int take_names(struct format *format)
{
	uint32_t count = 0, entry_bytes = 0;
	PCRE2_SPTR table = NULL;

	pcre2_pattern_info(format->pattern, PCRE2_INFO_NAMECOUNT, &count);
	pcre2_pattern_info(format->pattern, PCRE2_INFO_NAMEENTRYSIZE, &entry_bytes);
	pcre2_pattern_info(format->pattern, PCRE2_INFO_NAMETABLE, &table);
	if (count == 0 || count > FORMAT_FIELDS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++, table += entry_bytes) {
		format->groups[i] = (unsigned)table[0] << 8 | table[1];
		format->fields[i] = (const char *)table + 2;
	}
	format->field_count = count;
	return 0;
}

int format_compile(const char *expression, struct format *ret_format, char *problem,
                   size_t problem_bytes)
{
	struct format format = { .name = "expression", .split = split_expression };
	PCRE2_SIZE at = 0;
	int code = 0;

	format.pattern = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
	if (!format.pattern) {
		PCRE2_UCHAR text[160];

		pcre2_get_error_message(code, text, sizeof text);
		snprintf(problem, problem_bytes, "%s, at character %zu", (const char *)text, at);
		return -EINVAL;
	}
	/* Without the compiler of PCRE2 it is slower, and right. */
	(void)pcre2_jit_compile(format.pattern, PCRE2_JIT_COMPLETE);
	format.matches = pcre2_match_data_create_from_pattern(format.pattern, NULL);
	if (!format.matches || take_names(&format) != 0) {
		snprintf(problem, problem_bytes, "it needs 1 to %u named groups: (?<name>...)",
		         FORMAT_FIELDS_MAX);
		format_fini(&format);
		return -EINVAL;
	}
	*ret_format = format;
	return 0;
}

void format_fini(struct format *format)
{
	pcre2_match_data_free(format->matches);
	pcre2_code_free(format->pattern);
}

/* --- time --------------------------------------------------------------------------------- */

/* Days from 1 January 1970 to a date of the Gregorian calendar. */
static int64_t days_to(int64_t year, int64_t month, int64_t day)
{
	int64_t shifted = year - (month <= 2), era = (shifted >= 0 ? shifted : shifted - 399) / 400;
	int64_t year_of_era = shifted - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       719468;
}

/* `count` digits (a space counts as 0); -1 where there are others. */
static int digits(const char *at, int count)
{
	int number = 0;

	for (int i = 0; i < count; i++) {
		char c = at[i] == ' ' && i == 0 ? '0' : at[i];

		if (c < '0' || c > '9')
			return -1;
		number = number * 10 + (c - '0');
	}
	return number;
}

static int month_of(const char *at)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (memcmp(names + 3 * i, at, 3) == 0)
			return i + 1;
	return -1;
}

/* "+01:00" or "+0100", in seconds; what is no zone is UTC. */
static int zone_seconds(const char *at, size_t size_bytes)
{
	int hours, minutes;

	if (size_bytes < 5 || (*at != '+' && *at != '-'))
		return 0;
	hours = digits(at + 1, 2);
	minutes = at[3] == ':' ? (size_bytes >= 6 ? digits(at + 4, 2) : -1) : digits(at + 3, 2);
	if (hours < 0 || minutes < 0)
		return 0;
	return (*at == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

static bool make_time(int year, int month, int day, const char *clock, int zone, int64_t *ret_seconds)
{
	int hours = digits(clock, 2), minutes = digits(clock + 3, 2), seconds = digits(clock + 6, 2);

	if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hours < 0 || minutes < 0 ||
	    seconds < 0 || clock[2] != ':' || clock[5] != ':')
		return false;
	*ret_seconds = days_to(year, month, day) * 86400 + hours * 3600 + minutes * 60 + seconds - zone;
	return true;
}

bool format_time(const char *text, size_t size_bytes, int year, int64_t *ret_seconds)
{
	if (size_bytes >= 20 && text[2] == '/' && text[6] == '/' && text[11] == ':')
		return make_time(digits(text + 7, 4), month_of(text + 3), digits(text, 2), text + 12,
		                 size_bytes > 21 ? zone_seconds(text + 21, size_bytes - 21) : 0,
		                 ret_seconds);
	if (size_bytes >= 19 && text[4] == '-' && text[7] == '-') {
		size_t zone = 19;

		if (size_bytes > zone && text[zone] == '.')
			for (zone++; zone < size_bytes && isdigit((unsigned char)text[zone]); zone++)
				;
		return make_time(digits(text, 4), digits(text + 5, 2), digits(text + 8, 2), text + 11,
		                 zone_seconds(text + zone, size_bytes - zone), ret_seconds);
	}
	if (size_bytes >= 15 && text[3] == ' ' && text[6] == ' ')
		return make_time(year, month_of(text), digits(text + 4, 2), text + 7, 0, ret_seconds);
	return false;
}
