/* SPDX-License-Identifier: MIT */
/* Texts that come from elsewhere: names, lists, lines of logs, numbers of the command line, and what the
 * command prints of strings that are none.
 *
 *   name   a path that is at most as long as its buffer, and ends with the name
 *   csv    cells lie inside the text, and quoted anew they are read as the same cells
 *   log    fields lie inside the line
 *   out    every text becomes printable UTF-8; parsed numbers are in their range */
#include "fuzz.h"

#include "../../examples/log-analyzer/format.h"
#include "../../tools/common/csv.h"
#include "../../tools/out.h"
#include "../../tools/tool.h"
#include "name.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- name ------------------------------------------------------------------------------------ */

static void one_name(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	size_t capacity = fuzz_take(&in, 2);
	char *name = fuzz_take_string(&in, SIZE_MAX), *buffer = malloc(capacity + 1);
	char resolved[COMAP_PATH_BYTES];
	size_t length;

	FUZZ_REQUIRE(buffer);
	if (comap_path(name, buffer, capacity) == 0) {
		length = strlen(buffer);
		FUZZ_REQUIRE(length < capacity && length < COMAP_PATH_BYTES);
		FUZZ_REQUIRE(buffer[0] == '/' && length >= strlen(name));
		FUZZ_REQUIRE(strcmp(buffer + length - strlen(name), name) == 0);
		FUZZ_REQUIRE(comap__name_resolve(name, false, resolved) == 0 && strcmp(resolved, buffer) == 0);
	} else {
		FUZZ_REQUIRE(comap_last_error()->code != 0);
	}
	free(buffer);
	free(name);
}

static char long_name[4200];

static const struct fuzz_seed name_seeds[] = {
	FUZZ_SEED("\377\17fx"), FUZZ_SEED("\377\17/dev/shm/fx"), FUZZ_SEED("\377\17./a/../b"), FUZZ_SEED("\10\0a"),
	FUZZ_SEED("\377\17.."), { long_name, sizeof long_name },
};

static void begin_name(void)
{
	memset(long_name, 'n', sizeof long_name);
	memcpy(long_name, "\377\37", 2);
	long_name[4000] = '/';
}

const struct fuzz_target fuzz_name = {
	"name", "a name becomes a path of its own, or an error", begin_name, one_name, NULL,
	name_seeds, sizeof name_seeds / sizeof name_seeds[0], 200000, 4400,
};

/* --- csv ------------------------------------------------------------------------------------- */

#define CELLS 8u

/* The cells as a line of their own, each quoted. */
static size_t quote(const struct csv_cell *cells, size_t count, char separator, char *line)
{
	char *at = line, *text;

	for (size_t i = 0; i < count; i++) {
		size_t length = csv_cell_bytes(&cells[i]);

		text = malloc(length ? length : 1);
		FUZZ_REQUIRE(text);
		csv_cell_copy(&cells[i], text);
		FUZZ_REQUIRE(csv_cell_is(&cells[i], text, length));
		*at++ = '"';
		for (size_t k = 0; k < length; k++) {
			if (text[k] == '"')
				*at++ = '"';
			*at++ = text[k];
		}
		*at++ = '"';
		*at++ = i + 1 < count ? separator : '\n';
		free(text);
	}
	return (size_t)(at - line);
}

static void check_round(const struct csv_cell *cells, size_t count, char separator, size_t text_bytes)
{
	struct csv_cell again[CELLS];
	char *line = malloc(2 * text_bytes + 4 * CELLS);
	struct csv csv;
	size_t found, length;

	FUZZ_REQUIRE(line);
	csv_init(&csv, line, quote(cells, count, separator, line), separator);
	FUZZ_REQUIRE(csv_next(&csv, again, CELLS, &found) == 1 && found == count);
	for (size_t i = 0; i < count; i++) {
		char *text;

		length = csv_cell_bytes(&cells[i]);
		text = malloc(length ? length : 1);
		FUZZ_REQUIRE(text);
		csv_cell_copy(&cells[i], text);
		FUZZ_REQUIRE(csv_cell_is(&again[i], text, length));
		free(text);
	}
	free(line);
}

static void one_csv(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	char separator = (char)",;\t|"[fuzz_take(&in, 1) % 4];
	size_t left = fuzz_left(&in), count, records = 0;
	char *text = fuzz_take_copy(&in, left);
	struct csv_cell cells[CELLS];
	struct csv csv;
	uint64_t line = 0;
	int code;

	csv_init(&csv, text, left, separator);
	while ((code = csv_next(&csv, cells, CELLS, &count)) == 1) {
		FUZZ_REQUIRE(++records <= left && csv.line > line && count >= 1);
		line = csv.line - 1;
		for (size_t i = 0; i < count && i < CELLS; i++) {
			FUZZ_REQUIRE(cells[i].raw >= text && cells[i].raw + cells[i].raw_bytes <= text + left);
			FUZZ_REQUIRE(csv_cell_bytes(&cells[i]) <= cells[i].raw_bytes);
		}
		check_round(cells, count < CELLS ? count : CELLS, separator, left);
	}
	FUZZ_REQUIRE(code <= 0);
	free(text);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const struct fuzz_seed csv_seeds[] = {
	FUZZ_SEED("\0\"" A64 A64 A64 A64 A64 "\",b\n"),
	FUZZ_SEED("\0MA-L,0000AA,\"Xerox, \"\"Inc\"\"\",US\r\n\r\nMA-L,0000AB,Y,\n"),
	FUZZ_SEED("\1\xef\xbb\xbf" "a;b;c\n\"1\n2\";\"\"\"\";3"),
	FUZZ_SEED("\2a\t\"b\"c\t\"\n"),
	FUZZ_SEED("\3|||\n|\r|\n"),
};

const struct fuzz_target fuzz_csv = {
	"csv", "cells lie inside the text and survive quoting", NULL, one_csv, NULL,
	csv_seeds, sizeof csv_seeds / sizeof csv_seeds[0], 200000, 1024,
};

/* --- log ------------------------------------------------------------------------------------- */

static void check_split(const struct format *format, const char *line, size_t length)
{
	struct format_fields fields;
	int64_t seconds;

	memset(&fields, 0xff, sizeof fields);
	if (!format->split(format, line, length, &fields))
		return;
	for (unsigned i = 0; i < format->field_count; i++) {
		FUZZ_REQUIRE(fields.data[i] >= line && fields.size_bytes[i] <= length);
		FUZZ_REQUIRE(fields.data[i] + fields.size_bytes[i] <= line + length);
	}
	(void)format_time(fields.data[0], fields.size_bytes[0], 2026, &seconds);
}

static void one_log(const uint8_t *data, size_t size_bytes)
{
	static const char *const names[] = { "access", "syslog", "dpkg" };
	struct fuzz_in in = { data, data + size_bytes };
	char *text = fuzz_take_copy(&in, size_bytes);
	struct format format;
	int64_t seconds = 0;

	for (unsigned i = 0; i < 3; i++) {
		FUZZ_REQUIRE(format_find(names[i], &format));
		check_split(&format, text, size_bytes);
	}
	if (format_guess(text, size_bytes, &format))
		FUZZ_REQUIRE(format_find(format.name, &format));
	if (format_time(text, size_bytes, 2026, &seconds)) /* year 0 to 9999, a zone of up to 100 hours */
		FUZZ_REQUIRE(llabs(seconds) < 300000000000ll);
	free(text);
}

static const struct fuzz_seed log_seeds[] = {
	FUZZ_SEED("127.0.0.1 - bob [23/Jan/2026:10:00:00 +0100] \"GET /a?b=\\\"c HTTP/1.1\" 200 12 \"-\" \"x\"\n"),
	FUZZ_SEED("Jan 23 10:00:00 host sshd[12]: Accepted\n"),
	FUZZ_SEED("2026-01-23T10:00:00.123+01:00 host kernel: text\n"),
	FUZZ_SEED("2026-01-23 10:00:00 status installed bash:amd64 5.2\n2026-01-23 10:00:00 install a <none> 1"),
	FUZZ_SEED("23/Jan/2026:10:00:00 +0100"), FUZZ_SEED("2026-01-23T10:00:00.5Z"), FUZZ_SEED("Jan  3 10:00:00"),
};

const struct fuzz_target fuzz_log = {
	"log", "fields lie inside the line", NULL, one_log, NULL,
	log_seeds, sizeof log_seeds / sizeof log_seeds[0], 300000, 512,
};

/* --- out ------------------------------------------------------------------------------------- */

static void one_out(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	char *text = fuzz_take_string(&in, SIZE_MAX), *safe = out_safe(text), size_text[16], time_text[64];
	uint64_t number = fuzz_take(&in, 8);
	size_t length = strlen(safe);

	for (size_t i = 0, step; i < length; i += step) {
		step = out_utf8_length((const unsigned char *)safe + i, length - i);
		FUZZ_REQUIRE(step >= 1 && step <= 4 && i + step <= length);
		FUZZ_REQUIRE((unsigned char)safe[i] >= 0x20 && safe[i] != 0x7f);
	}
	out_size(size_text, sizeof size_text, number);
	FUZZ_REQUIRE(strlen(size_text) <= 8);
	out_time_text(time_text, sizeof time_text, number);
	if (tool_parse_number(text, 1000, &number))
		FUZZ_REQUIRE(number <= 1000);
	if (tool_parse_size(text, &number))
		FUZZ_REQUIRE(number < UINT64_C(9000000000000000000));
	if (tool_parse_seconds(text, &number))
		FUZZ_REQUIRE(number <= UINT64_C(1000000000000000));
	free(safe);
	free(text);
}

static const struct fuzz_seed out_seeds[] = {
	FUZZ_SEED("plain"), FUZZ_SEED("\x1b[31m\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff\xc0\x80\xed\xa0\x80"),
	FUZZ_SEED("12345"), FUZZ_SEED("1.5MiB"), FUZZ_SEED("9e18"), FUZZ_SEED("0x10K"),
	FUZZ_SEED("1000\0\1\2\3\4\5\6"),
};

const struct fuzz_target fuzz_out = {
	"out", "what is printed is printable; numbers are in their range", NULL, one_out, NULL,
	out_seeds, sizeof out_seeds / sizeof out_seeds[0], 300000, 256,
};
