/* SPDX-License-Identifier: MIT */
/* What the verbs of the command share: the table they stand in, options, errors, exit codes.
 *
 * A verb is one row of the table in comap.c and one function: it takes its name and arguments as
 * main() would and returns an exit code. A new verb is a file, its row, its line in meson.build, in
 * the completion and in the manual page; tests/tools/test_command.sh notices what is missing. */
#ifndef COMAP_TOOLS_TOOL_H
#define COMAP_TOOLS_TOOL_H

#include "out.h"

#include <comap.h>
#include <getopt.h>

/* Exit codes; part of the interface (comap(1)). */
enum tool_exit {
	TOOL_OK = 0,
	TOOL_FAILED = 1,     /* anything that has no code of its own */
	TOOL_USAGE = 2,      /* the command line makes no sense */
	TOOL_NOT_FOUND = 3,  /* no such region or object, nothing published, or it went away */
	TOOL_TIMEOUT = 4,    /* the time given with --timeout is over */
	TOOL_UNUSABLE = 5,   /* there is something, but no region that this version can read */
	TOOL_PERMISSION = 6, /* no permission, or a file of somebody whom you do not trust */
	TOOL_BUSY = 7,       /* it exists already, is held by another process, or is full */
};

struct tool_verb {
	const char *name;      /* one word or two: "value get" */
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line */
	const char *help;      /* options and examples; NULL: the verb answers --help itself */
	int (*run)(int argc, char **argv);
};

/* One call of a verb. */
struct tool_call {
	const char *verb;
	struct out out;
	int operand_count;
	char **operands;       /* what is left after the options */
};

#define TOOL_CALL(name) \
	{ .verb = (name), .out = { .headings = true } }

#define TOOL_OPTIONS \
	{ "json", no_argument, NULL, 'j' }, \
	{ "bytes", no_argument, NULL, 'b' }, \
	{ "no-headings", no_argument, NULL, 'H' }, \
	{ NULL, 0, NULL, 0 }

#define TOOL_HELP_JSON \
	"  -j, --json            print one JSON object on one line\n"
#define TOOL_HELP_BYTES \
	"  -b, --bytes           print sizes in bytes, not as 1.5M\n"
#define TOOL_HELP_TABLE \
	"  -H, --no-headings     leave the table's first line out\n"

/* The next option of the verb's own list (which ends with TOOL_OPTIONS; values from 256 on), after
 * the shared ones are dealt with; -1 at the end, when the operands are counted; '?' for a mistake,
 * which has been reported: return TOOL_USAGE. */
int tool_next(struct tool_call *call, int argc, char **argv, const struct option *options);

/* Reads all options of a verb that has none of its own. TOOL_OK, or TOOL_USAGE. */
int tool_plain(struct tool_call *call, int argc, char **argv);

/* TOOL_OK when the number of operands is right; otherwise reported, TOOL_USAGE. */
int tool_operands(const struct tool_call *call, int least, int most);

/* "comap: VERB: sentence"; returns TOOL_USAGE. */
int tool_usage(const struct tool_call *call, const char *format, ...) COMAP_PRINTF(2, 3);

/* "comap: NAME: the library's last error"; returns the exit code that goes with its cause. */
int tool_fail(const char *name);
/* The same of a region that the verb could make: where it is missing, says how. */
int tool_fail_missing(const char *name);
/* "comap: NAME: sentence"; returns `code`. */
int tool_say(int code, const char *name, const char *format, ...) COMAP_PRINTF(3, 4);
/* The exit code of the last error, without a word. */
int tool_exit_code(void);

/* Opens a region to look at: as a guest, who takes no seat and no lock. NULL: see tool_fail(). */
struct comap *tool_look(const char *name);

/* What the kernel says of the seats: how many live, how many are dead and not swept yet. */
void tool_count_seats(struct comap *region, const struct comap_info *info, uint32_t *ret_alive,
                      uint32_t *ret_dead);

/* A user's name or number, or "any", as struct comap_options has it. */
bool tool_parse_owner(const char *text, int64_t *ret_uid);
/* "64", "64K", "1.5G" ... bytes; "0.25" seconds as milliseconds; whole numbers up to `most`.
 * False where the text is nothing of the kind, for all of them. */
bool tool_parse_size(const char *text, uint64_t *ret_bytes);
bool tool_parse_seconds(const char *text, uint64_t *ret_ms);
bool tool_parse_number(const char *text, uint64_t most, uint64_t *ret_number);

int tool_advise(int argc, char **argv);
int tool_create(int argc, char **argv);
int tool_info(int argc, char **argv);
int tool_ls(int argc, char **argv);
int tool_pages(int argc, char **argv);
int tool_path(int argc, char **argv);
int tool_ps(int argc, char **argv);
int tool_table_add(int argc, char **argv);
int tool_table_clear(int argc, char **argv);
int tool_table_del(int argc, char **argv);
int tool_table_dump(int argc, char **argv);
int tool_table_get(int argc, char **argv);
int tool_table_load(int argc, char **argv);
int tool_table_put(int argc, char **argv);
int tool_table_restore(int argc, char **argv);
int tool_table_scan(int argc, char **argv);
int tool_table_stat(int argc, char **argv);
int tool_table_touch(int argc, char **argv);
int tool_table_watch(int argc, char **argv);
int tool_unlink(int argc, char **argv);
int tool_value_get(int argc, char **argv);
int tool_value_put(int argc, char **argv);
int tool_value_watch(int argc, char **argv);
int tool_verify(int argc, char **argv);

extern const char tool_table_add_help[], tool_table_clear_help[], tool_table_dump_help[],
	tool_table_restore_help[], tool_table_touch_help[];
extern const char tool_advise_help[], tool_create_help[], tool_info_help[], tool_ls_help[],
	tool_pages_help[], tool_path_help[], tool_ps_help[], tool_table_del_help[], tool_table_get_help[],
	tool_table_load_help[], tool_table_put_help[], tool_table_scan_help[], tool_table_stat_help[],
	tool_table_watch_help[], tool_unlink_help[], tool_value_get_help[], tool_value_put_help[],
	 tool_value_watch_help[], tool_verify_help[];

#endif
