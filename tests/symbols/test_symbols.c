/* SPDX-License-Identifier: MIT */
/* Every function that the shared library exports, called once without anything and once with a good handle
 * and nothing else, each in a process of its own: none crashes or hangs, and without anything
 *
 *   codes      are -EINVAL, with a sentence in the last error
 *   pointers   are NULL, views empty, numbers 0
 *   void       returns: destructors take NULL
 *
 * but where `exceptions` says otherwise. symbols.py makes the calls from the headers, so that a new function
 * is held to the rule at once; lint-exports compares the headers with the library. */
#include <comap.h>
#include <comap/mapping.h>
#include <comap/scan.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL_SECONDS_MAX 30

struct handles {
	struct comap *region;
	struct comap_value *value;
	struct comap_table *table;
	struct comap_table_walk *walk;
	struct comap_map *map;
	struct comap_scan *scan;
};

enum outcome_kind { OUTCOME_VOID, OUTCOME_CODE, OUTCOME_POINTER, OUTCOME_VIEW, OUTCOME_NUMBER };
struct outcome {
	enum outcome_kind kind;
	int64_t value;
};

struct function {
	const char *name;
	struct outcome (*nothing)(const struct handles *handles);
	struct outcome (*handle)(const struct handles *handles);
};

#include "calls.h"

/* What is right without anything, where the rule above is not. ANY: a number that is not known here. */
#define ANY INT64_MIN
static const struct exception {
	const char *name;
	int64_t value;
	const char *why;
} exceptions[] = {
	{ "comap_advice_is_supported", ANY, "asks the kernel" },
	{ "comap_caps", ANY, "asks the kernel" },
	{ "comap_cause_name", 1, "\"NONE\"" },
	{ "comap_cause_text", 1, "\"no error\"" },
	{ "comap_close", 0, "NULL is fine" },
	{ "comap_deadline_ms", ANY, "a time" },
	{ "comap_error_text", 1, "\"no error\"" },
	{ "comap_field_print", 8, "\"no field\"" },
	{ "comap_guard_check", 0, "there is no handler yet" },
	{ "comap_guard_reinstall", 0, "there is no handler yet" },
	{ "comap_guard_set_mode", 0, "0 is a mode" },
	{ "comap_last_error", 1, "never NULL" },
	{ "comap_map_data", 1, "never NULL" },
	{ "comap_map_describe", 10, "\"no mapping\"" },
	{ "comap_map_descriptor", -1, "no descriptor" },
	{ "comap_method_name", 1, "\"auto\"" },
	{ "comap_now_ns", ANY, "a time" },
	{ "comap_pages_mapcount", 0, "of no frames" },
	{ "comap_scan_reason", 1, "\"\"" },
	{ "comap_try_caught", ANY, "what was caught: nothing" },
	{ "comap_type_print", 7, "\"no type\"" },
};

static int64_t expected(const char *name, enum outcome_kind kind)
{
	for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
		if (strcmp(exceptions[i].name, name) == 0)
			return exceptions[i].value;
	return kind == OUTCOME_CODE ? -EINVAL : 0;
}

/* --- in a child --------------------------------------------------------------------------------- */

static char path[64], file[80];

/* What cannot be made is NULL; main() has seen that it can. */
static struct handles make_handles(void)
{
	struct handles handles = { comap_open(path, COMAP_CREATE) };

	handles.value = comap_value_open(handles.region, "v", NULL);
	handles.table = comap_table_open(handles.region, "t", NULL);
	handles.walk = comap_table_walk_begin(handles.table);
	if (comap_map_open(file, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE), &handles.map) != 0 ||
	    comap_scan_open(file, NULL, &handles.scan) != 0)
		handles.scan = NULL;
	return handles;
}

static bool are_whole(const struct handles *handles)
{
	return handles->region && handles->value && handles->table && handles->walk && handles->map &&
	       handles->scan;
}

struct report {
	struct outcome outcome;
	bool error_told;
};

static void call(const struct function *function, bool with_handle, struct report *report)
{
	struct handles handles = { 0 };

	alarm(CALL_SECONDS_MAX);
	if (with_handle) {
		handles = make_handles();
		if (!are_whole(&handles))
			_exit(2);
	}
	report->outcome = (with_handle ? function->handle : function->nothing)(&handles);
	report->error_told = comap_last_error()->code == EINVAL && strlen(comap_error_text()) > 10;
	_exit(0); /* the handles go with the process: some are closed by now */
}

/* --- in the test -------------------------------------------------------------------------------- */

static int judge(const struct function *function, bool with_handle, int status, const struct report *report)
{
	const char *what = with_handle ? "with a handle alone" : "without anything";
	int64_t right = expected(function->name, report->outcome.kind);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		printf("%s %s: %s\n", function->name, what, WIFSIGNALED(status)
		       ? strsignal(WTERMSIG(status)) : "the process ended with an error");
		return 1;
	}
	if (with_handle || right == ANY)
		return 0;
	if (report->outcome.value != right) {
		printf("%s %s: %lld, not %lld\n", function->name, what, (long long)report->outcome.value,
		       (long long)right);
		return 1;
	}
	if (right == -EINVAL && !report->error_told) {
		printf("%s %s: -EINVAL, and the last error says nothing\n", function->name, what);
		return 1;
	}
	return 0;
}

static int try(const struct function *function, bool with_handle, struct report *report)
{
	int status;
	pid_t pid;

	memset(report, 0, sizeof *report);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		call(function, with_handle, report);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return judge(function, with_handle, status, report);
}

static bool make_file(void)
{
	static const char bytes[10000] = "one\ntwo\n";
	FILE *stream = fopen(file, "we");

	return stream && fwrite(bytes, 1, sizeof bytes, stream) == sizeof bytes && fclose(stream) == 0;
}

int main(void)
{
	const size_t count = sizeof functions / sizeof functions[0];
	struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int wrong = 0, handles = 0;

	snprintf(path, sizeof path, "/dev/shm/comap-test-%d-symbols", (int)getpid());
	snprintf(file, sizeof file, "%s-file", path);
	if (report == MAP_FAILED || !make_file())
		return 2;
	for (size_t i = 0; i < count; i++) {
		wrong += try(&functions[i], false, report);
		if (!functions[i].handle)
			continue;
		wrong += try(&functions[i], true, report);
		handles++;
		unlink(path); /* a call may have left it in any state */
	}
	unlink(file);
	printf("%zu functions without anything, %d with a handle alone, %d wrong\n", count, handles, wrong);
	return wrong || count < 100;
}
