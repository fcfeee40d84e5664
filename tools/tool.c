/* SPDX-License-Identifier: MIT */
/* What the verbs of the command share: options, errors, exit codes. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tool_parse_owner(const char *text, int64_t *ret_uid)
{
	const struct passwd *user = getpwnam(text);
	uint64_t uid;

	if (strcmp(text, "any") == 0)
		*ret_uid = COMAP_OWNER_ANY;
	else if (user || tool_parse_number(text, UINT32_MAX - 1, &uid))
		*ret_uid = user ? (int64_t)user->pw_uid : (int64_t)uid;
	else
		return false;
	if (*ret_uid == 0) /* in struct comap_options 0 is the default */
		*ret_uid = COMAP_OWNER_ROOT;
	return true;
}

static int mistake(const struct tool_call *call, int option, char *word)
{
	if (option == ':')
		tool_usage(call, "option '%s' needs an argument", word);
	else if (optopt && optopt < 256 && word[0] == '-' && word[1] != '-')
		tool_usage(call, "unknown option '-%c'", optopt);
	else
		tool_usage(call, "unknown or misused option '%s'", word);
	return '?';
}

int tool_next(struct tool_call *call, int argc, char **argv, const struct option *options)
{
	int option;

	opterr = 0; /* mistakes are said our way */
	while ((option = getopt_long(argc, argv, ":jbH", options, NULL)) != -1) {
		switch (option) {
		case 'j': call->out.json = true; break;
		case 'b': call->out.exact = true; break;
		case 'H': call->out.headings = false; break;
		case '?': case ':':
			return mistake(call, option, argv[optind - 1]);
		default:
			return option;
		}
	}
	call->operand_count = argc - optind;
	call->operands = argv + optind;
	return -1;
}

int tool_plain(struct tool_call *call, int argc, char **argv)
{
	static const struct option options[] = { TOOL_OPTIONS };

	return tool_next(call, argc, argv, options) == -1 ? TOOL_OK : TOOL_USAGE;
}

int tool_operands(const struct tool_call *call, int least, int most)
{
	if (call->operand_count < least)
		return tool_usage(call, "%s", least - call->operand_count == 1 && least > 1
		                  ? "one more argument is needed" : "arguments are needed");
	if (call->operand_count > most)
		return tool_usage(call, "'%s' is one argument too many", call->operands[most]);
	return TOOL_OK;
}

static void say(const char *name, const char *text)
{
	char *safe_name = out_safe(name), *safe_text = out_safe(text);

	fflush(stdout);
	fprintf(stderr, "comap: %s: %s\n", safe_name, safe_text);
	free(safe_text);
	free(safe_name);
}

int tool_usage(const struct tool_call *call, const char *format, ...)
{
	char text[600], name[80];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say(call->verb, text);
	snprintf(name, sizeof name, "comap %s --help", call->verb);
	fprintf(stderr, "Try '%s'.\n", name);
	return TOOL_USAGE;
}

int tool_say(int code, const char *name, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say(name, text);
	return code;
}

int tool_exit_code(void)
{
	const struct comap_error *error = comap_last_error();

	switch (error->cause) {
	case COMAP_CAUSE_NOT_FOUND: case COMAP_CAUSE_SUPERSEDED: case COMAP_CAUSE_REPLACED:
		return TOOL_NOT_FOUND;
	case COMAP_CAUSE_TIMEOUT:
		return TOOL_TIMEOUT;
	case COMAP_CAUSE_NOT_REGULAR: case COMAP_CAUSE_NETWORK: case COMAP_CAUSE_EMPTY:
	case COMAP_CAUSE_SHORT: case COMAP_CAUSE_MAGIC: case COMAP_CAUSE_VERSION:
	case COMAP_CAUSE_FEATURE: case COMAP_CAUSE_BYTE_ORDER: case COMAP_CAUSE_LAYOUT:
	case COMAP_CAUSE_CHECKSUM: case COMAP_CAUSE_CORRUPT: case COMAP_CAUSE_COPY:
	case COMAP_CAUSE_REBOOTED: case COMAP_CAUSE_TRUNCATED:
		return TOOL_UNUSABLE;
	case COMAP_CAUSE_PERMISSION: case COMAP_CAUSE_READ_ONLY: case COMAP_CAUSE_OWNER:
	case COMAP_CAUSE_LINK:
		return TOOL_PERMISSION;
	case COMAP_CAUSE_EXISTS: case COMAP_CAUSE_BUSY: case COMAP_CAUSE_NO_SPACE:
	case COMAP_CAUSE_SEATS: case COMAP_CAUSE_MARKS: case COMAP_CAUSE_PINNED:
	case COMAP_CAUSE_ROLE:
		return TOOL_BUSY;
	default:
		return error->code == ENODATA ? TOOL_NOT_FOUND : TOOL_FAILED;
	}
}

int tool_fail(const char *name)
{
	return tool_say(tool_exit_code(), name, "%s", comap_error_text());
}

int tool_fail_missing(const char *name)
{
	int code = tool_exit_code();

	return code == TOOL_NOT_FOUND ? tool_say(code, name, "%s; --create makes it", comap_error_text())
	                              : tool_fail(name);
}

struct comap *tool_look(const char *name)
{
	return comap_open(name, COMAP_GUEST);
}

void tool_count_seats(struct comap *region, const struct comap_info *info, uint32_t *ret_alive,
                      uint32_t *ret_dead)
{
	struct comap_seat seat;

	*ret_alive = *ret_dead = 0;
	for (uint32_t i = 0; i < info->seat_high_water; i++) {
		if (comap_seat_at(region, i, &seat) != 0)
			continue;
		*ret_alive += seat.life == COMAP_LIFE_ALIVE;
		*ret_dead += seat.life == COMAP_LIFE_DEAD;
	}
}

bool tool_parse_number(const char *text, uint64_t most, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || *end || number > most)
		return false;
	*ret_number = number;
	return true;
}

/* A decimal number that is not negative, with what follows it. */
static bool parse_decimal(const char *text, double *ret_number, const char **ret_rest)
{
	char *end;

	if ((*text < '0' || *text > '9') && *text != '.')
		return false;
	*ret_number = strtod(text, &end);
	*ret_rest = end;
	return end != text && isfinite(*ret_number);
}

bool tool_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *rest, *unit;
	double number;

	if (!parse_decimal(text, &number, &rest))
		return false;
	unit = *rest ? strchr(units, *rest) : NULL;
	if (*rest && (!unit || (rest[1] && strcmp(rest + 1, "iB") != 0)))
		return false;
	for (long i = unit ? unit - units + 1 : 0; i > 0; i--)
		number *= 1024;
	if (number >= 9e18)
		return false;
	*ret_bytes = (uint64_t)number;
	return true;
}

bool tool_parse_seconds(const char *text, uint64_t *ret_ms)
{
	const char *rest;
	double number;

	if (!parse_decimal(text, &number, &rest) || *rest || number > 1e12)
		return false;
	*ret_ms = (uint64_t)(number * 1000 + 0.5);
	return true;
}
