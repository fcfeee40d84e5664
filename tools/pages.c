/* SPDX-License-Identifier: MIT */
/* comap pages: what a region costs each process that maps it, and that it is one copy.
 *
 * It asks the kernel about the file and does not open the region, so it works on any file. */
#include "tool.h"

#include <comap/pages.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char tool_pages_help[] =
	"One line for each process that maps the file. RSS counts shared pages in full, PSS\n"
	"divides each page by the number of its sharers: where there is one copy, the sum of PSS\n"
	"is what the memory is, however many processes there are. SAME: of the pages that this\n"
	"process and the first one both have in their page tables, how many are the same page\n"
	"frame; '-' without the privilege to see frames (CAP_SYS_ADMIN).\n"
	"\n"
	"Any file will do: what has a slash in it is a path.\n"
	"\n"
	"Options:\n"
	"      --no-frames       do not compare page frames: faster for large regions\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	TOOL_HELP_TABLE
	"\n"
	"Examples:\n"
	"  comap pages fx\n"
	"  comap pages fx --json | jq '.pss_bytes, .rss_bytes'\n"
	"  comap pages ./access.log\n";

struct survey {
	struct tool_call call;
	bool frames;
	struct comap_pages_key key;
	uint64_t page_count;       /* of the file */
	pid_t *pids;
	size_t pid_count;
	size_t hidden_count;       /* processes whose maps may not be read */
	struct comap_pages sum;
	struct comap_pages_match match;
	char problem[300];         /* why frames are not compared */
};

static const struct out_column columns[] = {
	{ "PID", true }, { "NAME", false }, { "MAPPED", true }, { "RSS", true }, { "PSS", true },
	{ "SHARED", true }, { "PRIVATE", true }, { "SAME", true },
};

/* What the verb works on: a regular file, and whatever the kernel knows it by. An exit code. */
static int identify(struct survey *survey, const char *name)
{
	char path[PATH_MAX];
	struct stat stat;
	int fd, code;

	if (comap_path(name, path, sizeof path) != 0)
		return tool_fail(name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		int failure = errno;
		bool is_here = !strchr(name, '/') && access(name, F_OK) == 0;

		code = failure == ENOENT ? TOOL_NOT_FOUND : failure == EACCES ? TOOL_PERMISSION : TOOL_FAILED;
		return tool_say(code, name, "cannot open %s: %s%s", path, strerror(failure),
		                is_here ? "; a name is a region's: for the file in this folder put ./ before it" : "");
	}
	if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return tool_say(TOOL_UNUSABLE, name, "%s is not a regular file", path);
	}
	survey->page_count = ((uint64_t)stat.st_size + (uint64_t)sysconf(_SC_PAGESIZE) - 1) /
	                     (uint64_t)sysconf(_SC_PAGESIZE);
	code = comap_pages_key(fd, &survey->key);
	close(fd);
	return code ? tool_fail(name) : TOOL_OK;
}

/* Processes come and go meanwhile: the list may be asked for twice. An exit code. */
static int find_sharers(struct survey *survey, const char *name)
{
	size_t capacity = 256, count;

	for (;;) {
		survey->pids = out_alloc(capacity * sizeof *survey->pids);
		if (comap_pages_sharers(survey->key, survey->pids, capacity, &count,
		                        &survey->hidden_count) != 0)
			return tool_fail(name);
		if (count <= capacity)
			break;
		free(survey->pids);
		capacity = count * 2;
	}
	survey->pid_count = count;
	return TOOL_OK;
}

static void process_name(pid_t pid, char *buffer, size_t size_bytes)
{
	char path[40];
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, buffer, size_bytes - 1);
		close(fd);
	}
	buffer[got > 0 ? got : 0] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
}

static void add(struct comap_pages *sum, const struct comap_pages *pages)
{
	sum->mapped_bytes += pages->mapped_bytes;
	sum->rss_bytes += pages->rss_bytes;
	sum->pss_bytes += pages->pss_bytes;
	sum->shared_clean_bytes += pages->shared_clean_bytes;
	sum->shared_dirty_bytes += pages->shared_dirty_bytes;
	sum->private_clean_bytes += pages->private_clean_bytes;
	sum->private_dirty_bytes += pages->private_dirty_bytes;
}

/* Compares with the first process; says once why it cannot be done. */
static bool compare(struct survey *survey, pid_t pid, struct comap_pages_match *ret_match)
{
	if (!survey->frames || survey->pid_count < 2)
		return false;
	if (comap_pages_compare(survey->pids[0], pid, survey->key, 0, survey->page_count,
	                        ret_match) == 0)
		return true;
	if (comap_last_error()->code != ESRCH)
		snprintf(survey->problem, sizeof survey->problem, "%s", comap_error_text());
	return false;
}

static void print_match(struct survey *survey, pid_t pid)
{
	struct out *out = &survey->call.out;
	struct comap_pages_match match;
	char text[48];

	if (pid == survey->pids[0] || !compare(survey, pid, &match)) {
		out_none(out, out->json ? "frames_in_both" : "same");
		if (out->json)
			out_none(out, "frames_same");
		return;
	}
	survey->match.both_count += match.both_count;
	survey->match.same_count += match.same_count;
	if (out->json) {
		out_u64(out, "frames_in_both", match.both_count);
		out_u64(out, "frames_same", match.same_count);
		return;
	}
	snprintf(text, sizeof text, "%llu/%llu", (unsigned long long)match.same_count,
	         (unsigned long long)match.both_count);
	out_text(out, "same", text);
}

/* A process that has ended since the list was made has no line. */
static void print_process(struct survey *survey, pid_t pid)
{
	struct out *out = &survey->call.out;
	struct comap_pages pages;
	char name[64];

	if (comap_pages_file(pid, survey->key, &pages) != 0)
		return;
	process_name(pid, name, sizeof name);
	add(&survey->sum, &pages);
	out_row(out);
	out_u64(out, "pid", (uint64_t)pid);
	out_text(out, "name", name);
	out_bytes(out, "mapped_bytes", pages.mapped_bytes);
	out_bytes(out, "rss_bytes", pages.rss_bytes);
	out_bytes(out, "pss_bytes", pages.pss_bytes);
	out_bytes(out, "shared_bytes", pages.shared_clean_bytes + pages.shared_dirty_bytes);
	out_bytes(out, "private_bytes", pages.private_clean_bytes + pages.private_dirty_bytes);
	print_match(survey, pid);
	out_row_end(out);
}

static void print_sum_text(const struct survey *survey)
{
	char rss[24], pss[24];

	out_size(rss, sizeof rss, survey->sum.rss_bytes);
	out_size(pss, sizeof pss, survey->sum.pss_bytes);
	printf("\n%zu process%s: RSS %s in sum, PSS %s in sum.\n", survey->pid_count,
	       survey->pid_count == 1 ? "" : "es", rss, pss);
	if (survey->match.both_count)
		printf("%llu of %llu pages compared are the same page frame.\n",
		       (unsigned long long)survey->match.same_count,
		       (unsigned long long)survey->match.both_count);
	if (survey->hidden_count)
		printf("%zu more could not be looked into, and may map it, too.\n",
		       survey->hidden_count);
}

static void print_sum(struct survey *survey)
{
	struct out *out = &survey->call.out;

	if (!out->json) {
		print_sum_text(survey);
		return;
	}
	out_u64(out, "process_count", survey->pid_count);
	out_u64(out, "hidden_count", survey->hidden_count);
	out_bytes(out, "mapped_bytes", survey->sum.mapped_bytes);
	out_bytes(out, "rss_bytes", survey->sum.rss_bytes);
	out_bytes(out, "pss_bytes", survey->sum.pss_bytes);
	out_u64(out, "frames_in_both", survey->match.both_count);
	out_u64(out, "frames_same", survey->match.same_count);
}

static int survey_options(struct survey *survey, int argc, char **argv)
{
	static const struct option options[] = {
		{ "no-frames", no_argument, NULL, 256 },
		TOOL_OPTIONS
	};
	int option;

	survey->frames = true;
	while ((option = tool_next(&survey->call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		survey->frames = false;
	}
	return tool_operands(&survey->call, 1, 1);
}

int tool_pages(int argc, char **argv)
{
	struct survey survey = { .call = TOOL_CALL(argv[0]) };
	const char *name;
	int code = survey_options(&survey, argc, argv);

	if (code)
		return code;
	name = survey.call.operands[0];
	code = identify(&survey, name);
	if (code == TOOL_OK)
		code = find_sharers(&survey, name);
	if (code == TOOL_OK) {
		out_begin(&survey.call.out);
		out_list_begin(&survey.call.out, "processes", columns,
		               sizeof columns / sizeof columns[0]);
		for (size_t i = 0; i < survey.pid_count; i++)
			print_process(&survey, survey.pids[i]);
		out_list_end(&survey.call.out);
		print_sum(&survey);
		out_end(&survey.call.out);
		if (survey.problem[0])
			tool_say(TOOL_OK, name, "page frames are not compared: %s", survey.problem);
	}
	free(survey.pids);
	return code;
}
