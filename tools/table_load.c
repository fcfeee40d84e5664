/* SPDX-License-Identifier: MIT */
/* comap table load: the rows of a file (rows.h) into a table, one by one or in bulk. */
#include "common/progress.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DRAW_EVERY 64 /* rows */
#define SAMPLE_BYTES 65536

const char tool_table_load_help[] =
	"Puts the rows of FILE, or of standard input, into the table, as scan prints them. Each on its\n"
	"own: readers see some of them before the others. With --bulk they take the place of all that\n"
	"the table holds, at once, or nothing changes. A table with a field list takes a column for\n"
	"each field.\n"
	"\n"
	"Options:\n"
	"      --format FORMAT   tsv (default), csv, or json: one object on each line\n"
	"      --key-column NAME by its heading or member, or its number, from 1; default: key, or the\n"
	"                        first. With json and no --value-column the value is the whole line\n"
	"      --value-column NAME\n"
	"                        default: value, or the other of two columns\n"
	"  -H, --no-headings     the first line of a csv file is a row\n"
	"      --create          make the region, too, if there is none\n"
	"      --bulk            instead of all that the table holds, at once\n"
	"      --ttl SECONDS     the entries expire after so long, or never: none; default: what the rows say\n"
	"      --budget SIZE     make the table, if there is none, as a cache of so many bytes: it\n"
	"                        evicts instead of filling the region\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"
	"      --progress        a bar with rate and time left, on standard error; default on a terminal\n"
	"  -j, --json            print how many as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table load fx sessions sessions.tsv\n"
	"  comap table load fx airports airports.csv --format csv --key-column iata --value-column name\n"
	"  comap table load fx users users.jsonl --format json --key-column id --bulk --create\n"
	"  comap table scan fx sessions | comap table load copy sessions --create\n";

struct loading {
	struct work *work;
	const char *name;            /* of the file */
	int fd;
	uint64_t file_bytes;         /* 0: not known */
	struct rows rows;
	struct comap_bulk *bulk;     /* NULL: one write after the other */
	struct progress progress;
	uint64_t loaded, expired, evicted;
};

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How many rows there may be, by the lines at the file's start; 0: no idea. */
static uint64_t estimate(const struct loading *loading)
{
	char sample[SAMPLE_BYTES];
	ssize_t got = loading->file_bytes ? pread(loading->fd, sample, sizeof sample, 0) : 0;
	uint64_t lines = 0;

	for (ssize_t i = 0; i < got; i++)
		lines += sample[i] == '\n';
	return got > 0 ? (uint64_t)((double)loading->file_bytes / (double)got * (double)lines) : 0;
}

static int put_row(struct loading *loading, const struct row *row)
{
	const struct work *work = loading->work;
	uint64_t evicted = 0, now_ns = row->expires_ns && !work->ttl_ns ? realtime_ns() : 0;
	struct comap_table_write write = {
		.key = row->key, .key_bytes = row->key_bytes, .value = row->value,
		.value_bytes = row->value_bytes, .ret_evicted = &evicted,
		.ttl_ns = work->ttl_ns,
	};

	if (now_ns && row->expires_ns <= now_ns) {
		loading->expired++;
		return 0;
	}
	if (now_ns)
		write.ttl_ns = row->expires_ns - now_ns;
	if ((loading->bulk ? comap_table_bulk_write(loading->bulk, &write)
	                   : comap_table_write(work->table, &write, NULL)) < 0)
		return tool_say(tool_exit_code(), loading->name, "line %" PRIu64 ": %s", loading->rows.line,
		                comap_error_text());
	loading->evicted += evicted;
	loading->loaded++;
	return TOOL_OK;
}

static int put_rows(struct loading *loading)
{
	char note[40];
	struct row row;
	int code, more;

	for (uint64_t n = 0;; n++) {
		more = rows_next(&loading->rows, &row);
		if (more != 1)
			break;
		code = put_row(loading, &row);
		if (code)
			return code;
		if (n % DRAW_EVERY)
			continue;
		snprintf(note, sizeof note, "%" PRIu64 " entries", loading->loaded);
		progress_draw(&loading->progress, loading->rows.done_bytes, note);
	}
	return more < 0 ? tool_say(TOOL_FAILED, loading->name, "%s", loading->rows.problem) : TOOL_OK;
}

static void print_loaded(struct loading *loading)
{
	struct out *out = &loading->work->call.out;

	if (!out->json)
		return;
	out_begin(out);
	out_u64(out, "loaded", loading->loaded);
	out_u64(out, "expired", loading->expired);
	out_u64(out, "evicted", loading->evicted);
	out_end(out);
}

static int load(struct loading *loading)
{
	struct work *work = loading->work;
	bool shown = work->progress || (progress_wanted() && !work->call.out.json);
	int code;

	loading->rows.format = work->format;
	loading->rows.type = work->type;
	loading->rows.key_column = work->key_column;
	loading->rows.value_column = work->value_column;
	loading->rows.headings = work->call.out.headings;
	if (!rows_open(&loading->rows, loading->fd))
		return tool_say(tool_exit_code(), loading->name, "%s", loading->rows.problem);
	if (work->in_bulk) {
		loading->bulk = comap_table_bulk_begin(work->table, estimate(loading));
		if (!loading->bulk)
			return tool_fail(work->call.operands[1]);
	}
	progress_begin(&loading->progress, shown, loading->file_bytes);
	code = put_rows(loading);
	progress_end(&loading->progress);
	if (code == TOOL_OK && loading->bulk) {
		if (comap_table_bulk_commit(loading->bulk) != 0)
			return tool_fail(loading->name);
		loading->bulk = NULL;
	}
	if (code == TOOL_OK)
		print_loaded(loading);
	return code;
}

/* The file or standard input. An exit code. */
static int open_input(struct loading *loading)
{
	const struct tool_call *call = &loading->work->call;
	struct stat status;

	loading->name = "standard input";
	loading->fd = STDIN_FILENO;
	if (call->operand_count == 3 && strcmp(call->operands[2], "-") != 0) {
		loading->name = call->operands[2];
		loading->fd = open(loading->name, O_RDONLY | O_CLOEXEC);
	}
	if (loading->fd < 0 || fstat(loading->fd, &status) != 0)
		return tool_say(errno == ENOENT ? TOOL_NOT_FOUND : TOOL_FAILED, loading->name, "%s",
		                strerror(errno));
	if (S_ISREG(status.st_mode))
		loading->file_bytes = (uint64_t)status.st_size;
	return TOOL_OK;
}

int tool_table_load(int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, WORK_CREATE }, { "ttl", required_argument, NULL, WORK_TTL },
		{ "owner", required_argument, NULL, WORK_OWNER },
		{ "budget", required_argument, NULL, WORK_BUDGET },
		{ "bulk", no_argument, NULL, WORK_BULK }, { "format", required_argument, NULL, WORK_FORMAT },
		{ "key-column", required_argument, NULL, WORK_KEY },
		{ "value-column", required_argument, NULL, WORK_VALUE },
		{ "progress", no_argument, NULL, WORK_PROGRESS }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	struct loading loading = { .work = &work };
	int code = work_options(&work, argc, argv, options, 2, 3);

	if (code)
		return code;
	code = open_input(&loading);
	if (!code)
		code = work_begin(&work, WORK_MAKE);
	if (!code && work.type && work.value_column)
		code = tool_usage(&work.call, "the table has a field list: a column for each field is taken");
	if (!code)
		code = load(&loading);
	comap_table_bulk_abort(loading.bulk);
	rows_close(&loading.rows);
	work_end(&work);
	if (loading.fd > STDIN_FILENO)
		close(loading.fd);
	return code;
}
