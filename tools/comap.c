/* SPDX-License-Identifier: MIT */
/* comap: looks at regions and works on them from a shell.
 *
 * This file is the table of verbs and the way from the command line to one of them. Verbs that only
 * look open the region as a guest: they take no seat and no lock, need read permission only, and
 * work whether the region's owners live, are stopped, or are dead. */
#include "tool.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static int help(int argc, char **argv);
static int version(int argc, char **argv);

static const char help_help[] =
	"Without a verb: all verbs.\n"
	"\nExamples:\n"
	"  comap help value get\n";

static const char version_help[] =
	"Options:\n"
	TOOL_HELP_JSON
	"\nExamples:\n"
	"  comap version --json\n";

static const struct tool_verb verbs[] = {
	{ "create", "REGION [OPTION ...]", "make a region", tool_create_help, tool_create },
	{ "info", "REGION [OPTION ...]", "what a region is and holds", tool_info_help, tool_info },
	{ "ls", "[REGION] [OPTION ...]", "list regions, or the objects in one",
	  tool_ls_help, tool_ls },
	{ "ps", "REGION [OPTION ...]", "who is attached, who is dead, who holds memory back",
	  tool_ps_help, tool_ps },
	{ "value get", "REGION VALUE [OPTION ...]", "print the latest version of a value",
	  tool_value_get_help, tool_value_get },
	{ "value put", "REGION VALUE [TEXT] [OPTION ...]", "publish a version of a value",
	  tool_value_put_help, tool_value_put },
	{ "value watch", "REGION VALUE [OPTION ...]", "print each new version as it comes",
	  tool_value_watch_help, tool_value_watch },
	{ "table get", "REGION TABLE KEY [OPTION ...]", "print the value of a key",
	  tool_table_get_help, tool_table_get },
	{ "table put", "REGION TABLE KEY [TEXT] [OPTION ...]", "set the value of a key",
	  tool_table_put_help, tool_table_put },
	{ "table del", "REGION TABLE KEY [OPTION ...]", "remove a key",
	  tool_table_del_help, tool_table_del },
	{ "table add", "REGION TABLE KEY [N] [OPTION ...]", "add to a counter",
	  tool_table_add_help, tool_table_add },
	{ "table touch", "REGION TABLE KEY [OPTION ...]", "let the time of an entry begin anew",
	  tool_table_touch_help, tool_table_touch },
	{ "table clear", "REGION TABLE [OPTION ...]", "remove all entries of a table",
	  tool_table_clear_help, tool_table_clear },
	{ "table scan", "REGION TABLE [OPTION ...]", "print all entries of a table",
	  tool_table_scan_help, tool_table_scan },
	{ "table load", "REGION TABLE [FILE] [OPTION ...]", "put the lines of a file into a table",
	  tool_table_load_help, tool_table_load },
	{ "table dump", "REGION TABLE FILE [OPTION ...]", "write a table into a file, with checksums",
	  tool_table_dump_help, tool_table_dump },
	{ "table restore", "REGION TABLE FILE [OPTION ...]", "what a dump holds becomes the table",
	  tool_table_restore_help, tool_table_restore },
	{ "table stat", "REGION TABLE [OPTION ...]", "how much a table holds",
	  tool_table_stat_help, tool_table_stat },
	{ "table watch", "REGION TABLE [KEY] [OPTION ...]", "print entries as they are written",
	  tool_table_watch_help, tool_table_watch },
	{ "pages", "REGION [OPTION ...]",
	  "what a region costs each process, and that it is one copy", tool_pages_help, tool_pages },
	{ "verify", "REGION [OPTION ...]", "say whether every block of the heap is accounted for",
	  tool_verify_help, tool_verify },
	{ "advise", "FILE [OPTION ...]", "how to read a file: map it, stream it, or read it whole",
	  tool_advise_help, tool_advise },
	{ "unlink", "REGION ... [OPTION ...]", "take the name of a region away",
	  tool_unlink_help, tool_unlink },
	{ "path", "REGION [OPTION ...]", "print the path behind a name",
	  tool_path_help, tool_path },
	{ "version", "[OPTION ...]", "print the version", version_help, version },
	{ "help", "[VERB]", "explain a verb", help_help, help },
};

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static int version(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	char text[40];

	if (tool_plain(&call, argc, argv) || tool_operands(&call, 0, 0))
		return TOOL_USAGE;
	snprintf(text, sizeof text, "%d.%d.%d", COMAP_VERSION_MAJOR, COMAP_VERSION_MINOR,
	         COMAP_VERSION_PATCH);
	if (!call.out.json) {
		printf("comap %s\n", text);
		return TOOL_OK;
	}
	out_begin(&call.out);
	out_text(&call.out, "version", text);
	out_end(&call.out);
	return TOOL_OK;
}

static void print_verbs(FILE *file, const char *group)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (!group || strncmp(verbs[i].name, group, strlen(group)) == 0)
			fprintf(file, "  %-13s %s\n", verbs[i].name, verbs[i].summary);
}

static void print_overview(FILE *file)
{
	fputs("Usage: comap VERB [ARGUMENT ...] [OPTION ...]\n"
	      "\n"
	      "Looks at shared-memory regions and works on them. A REGION is a name (a file in\n"
	      "$COMAP_DIR, or else in /dev/shm/comap-UID) or, with a slash, a path.\n"
	      "\n"
	      "Verbs:\n", file);
	print_verbs(file, NULL);
	fputs("\n"
	      "comap VERB --help says more about each; comap(1) is the manual.\n"
	      "\n"
	      "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 not found; 4 timeout; 5 not a\n"
	      "region that can be used; 6 no permission; 7 busy, full, or there already.\n", file);
}

static int print_verb(const struct tool_verb *verb, char **argv)
{
	char *words[] = { argv[0], (char[]){ "--help" }, NULL };

	if (!verb->help)
		return verb->run(2, words);
	printf("Usage: comap %s%s%s\n\n%c%s.\n\n%s", verb->name, *verb->arguments ? " " : "",
	       verb->arguments, verb->summary[0] - 'a' + 'A', verb->summary + 1, verb->help);
	return TOOL_OK;
}

/* The verb that the first words name, and how many words that took; NULL: none. */
static const struct tool_verb *find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < VERB_COUNT; i++) {
		const char *name = verbs[i].name;
		const char *space = strchr(name, ' ');
		size_t length = space ? (size_t)(space - name) : strlen(name);

		if (argc < 1 || strlen(argv[0]) != length || strncmp(argv[0], name, length) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return &verbs[i];
	}
	return NULL;
}

/* "comap value": which verbs there are. */
static int unknown(int argc, char **argv)
{
	char group[40];

	snprintf(group, sizeof group, "%s ", argv[0]);
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (strncmp(verbs[i].name, group, strlen(group)) != 0)
			continue;
		if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
			print_verbs(stdout, group);
			return TOOL_OK;
		}
		if (argc > 1)
			fprintf(stderr, "comap: %s: there is no '%s'; which of these?\n", argv[0], argv[1]);
		else
			fprintf(stderr, "comap: %s: which of these?\n", argv[0]);
		print_verbs(stderr, group);
		return TOOL_USAGE;
	}
	return tool_say(TOOL_USAGE, argv[0], "no such verb (comap --help lists them)");
}

static int help(int argc, char **argv)
{
	const struct tool_verb *verb;
	char *more[] = { argc > 1 ? argv[1] : NULL, (char[]){ "--help" } };
	int words;

	if (argc < 2) {
		print_overview(stdout);
		return TOOL_OK;
	}
	verb = find(argc - 1, argv + 1, &words);
	return verb ? print_verb(verb, argv) : unknown(2, more);
}

/* --help anywhere in front of a "--". */
static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int dispatch(int argc, char **argv)
{
	const struct tool_verb *verb;
	int words;

	if (argc < 1) {
		print_overview(stderr);
		return TOOL_USAGE;
	}
	if (strcmp(argv[0], "--version") == 0)
		return version(1, argv);
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
		return help(1, argv);
	verb = find(argc, argv, &words);
	if (!verb)
		return unknown(argc, argv);
	if (asks_for_help(argc - words, argv + words))
		return print_verb(verb, argv);
	/* The verb's own argv[0] is its whole name: it stands in messages. */
	argv[words - 1] = (char *)verb->name;
	return verb->run(argc - words + 1, argv + words - 1);
}

int main(int argc, char **argv)
{
	int code;

	setlocale(LC_CTYPE, ""); /* widths of characters; numbers keep their point */
	code = dispatch(argc - 1, argv + 1);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == TOOL_OK)
		code = tool_say(TOOL_FAILED, "standard output", "not everything could be written");
	return code;
}
