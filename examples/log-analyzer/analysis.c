/* SPDX-License-Identifier: MIT */
/* The work: slices of the file are handed out by a counter in shared memory; each worker scans its
 * slices' own lines (comap's COMAP_SCAN_OWN_LINES: cut anywhere, each line is seen once), and writes
 * what it counted to a memory file that the parent reads when the worker has ended well.
 *
 * If a process dies here: the whole analysis fails. A worker's counts are taken only after exit 0.
 * Limits: memory of one worker is two windows of the map (page cache, not its own), and the keys. */
#include "analysis.h"

#include "../../tools/common/progress.h"

#include <comap/error.h>
#include <comap/mapping.h>
#include <comap/search.h>
#include <comap/word.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 64u
#define WINDOW_BYTES (16u << 20)

/* In memory that parent and workers share. */
struct board {
	struct comap_u64 next_slice;
	struct comap_u64 done_bytes;
	struct comap_u32 method;
};

struct worker {
	pid_t pid;
	int result; /* a memory file */
};

/* What one process knows while it counts. */
struct counting {
	const struct question *question;
	struct answer *answer;
	struct comap_finder finder;
	bool finder_ready;
	char last_time[40];      /* the second that was read last, as text */
	size_t last_time_bytes;
	int64_t last_bucket;
};

void answer_init(struct answer *answer, const struct question *question)
{
	*answer = (struct answer){ 0 };
	for (unsigned i = 0; i < question->key_count; i++)
		tally_init(&answer->keys[i], question->key_count_max);
	tally_init(&answer->times, question->key_count_max);
}

void answer_fini(struct answer *answer)
{
	for (unsigned i = 0; i < KEYS_MAX; i++)
		tally_fini(&answer->keys[i]);
	tally_fini(&answer->times);
}

/* --- counting ----------------------------------------------------------------------------- */

static void count_literal(struct counting *c, const struct comap_span *span)
{
	const unsigned char *at = span->data, *end = at + span->size_bytes, *hit;
	const char *literal = c->question->literal;

	if (!c->finder_ready)
		comap_finder_init(&c->finder, literal, strlen(literal), at, span->size_bytes);
	c->finder_ready = true;
	while (at < end && (hit = comap_finder_next(&c->finder, at, (uint64_t)(end - at)))) {
		const unsigned char *newline = memchr(hit, '\n', (size_t)(end - hit));

		c->answer->hit_count++;
		at = newline ? newline + 1 : end;
	}
}

static int count_time(struct counting *c, const char *text, size_t size_bytes)
{
	int64_t seconds, bucket = (int64_t)c->question->bucket_seconds;

	/* Lines of the same second follow each other. */
	if (size_bytes != c->last_time_bytes || memcmp(text, c->last_time, size_bytes) != 0) {
		if (!format_time(text, size_bytes, c->question->year, &seconds)) {
			c->answer->untimed_count++;
			return 0;
		}
		c->last_bucket = (seconds - (seconds % bucket + bucket) % bucket);
		c->last_time_bytes = 0;
		if (size_bytes <= sizeof c->last_time) {
			memcpy(c->last_time, text, size_bytes);
			c->last_time_bytes = size_bytes;
		}
	}
	return tally_add(&c->answer->times, &c->last_bucket, sizeof c->last_bucket, 1);
}

static int count_line(struct counting *c, const char *line, size_t size_bytes)
{
	const struct question *question = c->question;
	struct format_fields fields;
	int code = 0;

	c->answer->line_count++;
	if (!question->format.split(&question->format, line, size_bytes, &fields)) {
		c->answer->unknown_count++;
		return 0;
	}
	for (unsigned i = 0; i < question->key_count && code == 0; i++)
		code = tally_add(&c->answer->keys[i], fields.data[question->keys[i]],
		                 fields.size_bytes[question->keys[i]], 1);
	if (code == 0 && question->time_field >= 0)
		code = count_time(c, fields.data[question->time_field],
		                  fields.size_bytes[question->time_field]);
	return code;
}

static int count_lines(struct counting *c, const struct comap_span *span)
{
	const char *at = (const char *)span->data, *end = at + span->size_bytes;
	int code = 0;

	while (at < end && code == 0) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		code = count_line(c, at, (size_t)(line_end - at));
		at = newline ? newline + 1 : end;
	}
	return code;
}

static int count_scan(struct counting *c, struct comap_scan *scan, struct board *board)
{
	struct comap_span span;
	int code;

	/* relaxed: for the report only */
	comap_u32_store_relaxed(&board->method, comap_scan_method(scan));
	while ((code = comap_scan_lines(scan, &span)) == 0) {
		if (c->question->literal)
			count_literal(c, &span);
		else
			code = count_lines(c, &span);
		if (code)
			return code;
		/* relaxed: a progress bar, which concludes nothing about other memory */
		comap_u64_add_relaxed(&board->done_bytes, span.size_bytes);
	}
	return code == COMAP_SCAN_END ? 0 : code;
}

static int count_slice(struct counting *c, struct board *board, uint64_t offset_bytes,
                       uint64_t size_bytes)
{
	const struct question *question = c->question;
	struct comap_scan_options *options = COMAP_SCAN_OPTIONS(
		.flags = COMAP_SCAN_OWN_LINES, .method = question->method, .offset_bytes = offset_bytes,
		.size_bytes = size_bytes, .process_count = question->worker_count);
	struct comap_scan *scan;
	int code;

	if (question->method == COMAP_METHOD_MAP)
		options->buffer_bytes = WINDOW_BYTES;
	code = comap_scan_open(question->path, options, &scan);
	if (code)
		return code;
	code = count_scan(c, scan, board);
	comap_scan_close(scan);
	return code;
}

/* --- workers ------------------------------------------------------------------------------ */

static int write_answer(const struct question *question, const struct answer *answer, int fd)
{
	FILE *stream = fdopen(fd, "w");
	uint64_t head[] = { answer->line_count, answer->hit_count, answer->unknown_count,
	                    answer->untimed_count };
	int code = 0;

	if (!stream)
		return -errno;
	fwrite(head, sizeof head, 1, stream);
	for (unsigned i = 0; i < question->key_count && code == 0; i++)
		code = tally_write(&answer->keys[i], stream);
	if (code == 0)
		code = tally_write(&answer->times, stream);
	return fclose(stream) != 0 ? -EIO : code;
}

static int read_answer(const struct question *question, struct answer *answer, int fd)
{
	FILE *stream = fdopen(fd, "r");
	uint64_t head[4];
	int code = 0;

	if (!stream)
		return -errno;
	rewind(stream);
	if (fread(head, sizeof head, 1, stream) != 1)
		code = -EBADMSG;
	for (unsigned i = 0; i < question->key_count && code == 0; i++)
		code = tally_read(&answer->keys[i], stream);
	if (code == 0)
		code = tally_read(&answer->times, stream);
	fclose(stream);
	if (code)
		return code;
	answer->line_count += head[0];
	answer->hit_count += head[1];
	answer->unknown_count += head[2];
	answer->untimed_count += head[3];
	return 0;
}

/* In the child. Exit codes: 0, or 1 with a sentence in the result file. */
static void work(const struct question *question, struct board *board, uint64_t file_bytes,
                 int result)
{
	struct answer answer;
	struct counting counting = { .question = question, .answer = &answer };
	uint64_t at;
	int code = 0;

	answer_init(&answer, question);
	while (code == 0) {
		/* relaxed: the number itself is all that is shared; the file does not depend on it */
		at = comap_u64_add_relaxed(&board->next_slice, 1) * question->slice_bytes;
		if (at >= file_bytes)
			break;
		code = count_slice(&counting, board, at, file_bytes - at < question->slice_bytes
		                                                 ? file_bytes - at : question->slice_bytes);
	}
	if (code == 0)
		code = write_answer(question, &answer, result);
	else
		dprintf(result, "%s", comap_last_error()->code == -code ? comap_error_text()
		                                                        : strerror(-code));
	_exit(code ? 1 : 0);
}

static int start_worker(const struct question *question, struct board *board, uint64_t file_bytes,
                        struct worker *worker)
{
	worker->result = memfd_create("result", MFD_CLOEXEC);
	if (worker->result < 0)
		return -errno;
	worker->pid = fork();
	if (worker->pid < 0)
		return -errno;
	if (worker->pid == 0)
		work(question, board, file_bytes, worker->result);
	return 0;
}

/* --- progress ----------------------------------------------------------------------------- */

/* Until SIGCHLD, or for a fifth of a second where there is something to draw. */
static void sleep_for_child(const sigset_t *child_signal, bool progress)
{
	struct timespec fifth = { .tv_nsec = 200000000 };

	sigtimedwait(child_signal, NULL, progress ? &fifth : &(struct timespec){ .tv_sec = 3600 });
}

/* --- the parent --------------------------------------------------------------------------- */

static int take_result(const struct question *question, struct answer *answer,
                       struct worker *worker, int status, char *problem, size_t problem_bytes)
{
	ssize_t got;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		int fd = worker->result;

		worker->result = -1; /* the stream closes it */
		return read_answer(question, answer, fd);
	}
	got = WIFEXITED(status) ? pread(worker->result, problem, problem_bytes - 1, 0) : 0;
	problem[got > 0 ? got : 0] = 0;
	if (got <= 0)
		snprintf(problem, problem_bytes, "a worker was ended by signal %d", WTERMSIG(status));
	return -EIO;
}

static struct worker *worker_of(struct worker *workers, unsigned count, pid_t pid)
{
	for (unsigned i = 0; i < count; i++)
		if (workers[i].pid == pid)
			return &workers[i];
	return NULL;
}

/* Collects until all have ended; the first failure ends the others. */
static int collect(const struct question *question, struct answer *answer, struct worker *workers,
                   const struct board *board, char *problem, size_t problem_bytes)
{
	unsigned left = question->worker_count;
	struct progress progress;
	sigset_t child_signal;
	int code = 0, status;
	pid_t pid;

	progress_begin(&progress, question->progress, answer->size_bytes);
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	while (left) {
		struct worker *worker;

		pid = waitpid(-1, &status, WNOHANG);
		if (pid == 0) {
			sleep_for_child(&child_signal, question->progress);
			/* relaxed: to look at */
			progress_draw(&progress, comap_u64_load_relaxed(&board->done_bytes), NULL);
			continue;
		}
		worker = pid > 0 ? worker_of(workers, question->worker_count, pid) : NULL;
		if (pid < 0)
			return -errno;
		if (!worker)
			continue;
		left--;
		worker->pid = 0;
		if (code == 0)
			code = take_result(question, answer, worker, status, problem, problem_bytes);
		for (unsigned i = 0; code && i < question->worker_count; i++)
			if (workers[i].pid > 0)
				kill(workers[i].pid, SIGKILL);
	}
	progress_end(&progress);
	return code;
}

static int analyze_file(const struct question *question, struct answer *answer, struct board *board,
                        char *problem, size_t problem_bytes)
{
	struct worker workers[WORKERS_MAX] = { { 0 } };
	struct stat status;
	sigset_t child_signal, before;
	unsigned started = 0;
	int code = 0;

	if (stat(question->path, &status) != 0)
		return -errno;
	answer->size_bytes = (uint64_t)status.st_size;
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, &before);
	for (; started < question->worker_count && code == 0; started++)
		code = start_worker(question, board, answer->size_bytes, &workers[started]);
	for (unsigned i = 0; code && i < started; i++)
		if (workers[i].pid > 0)
			kill(workers[i].pid, SIGKILL);
	if (code == 0)
		code = collect(question, answer, workers, board, problem, problem_bytes);
	for (unsigned i = 0; i < started; i++)
		if (workers[i].result > 0)
			close(workers[i].result);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

/* One choice for all slices, by looking at the whole file. */
static void choose_method(struct question *question)
{
	struct comap_use use = { .struct_bytes = sizeof use, .process_count = question->worker_count };
	struct comap_choice choice;
	int fd = open(question->path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && question->method == COMAP_METHOD_AUTO && comap_choose(fd, &use, &choice) == 0)
		question->method = choice.method;
	if (fd >= 0)
		close(fd);
}

/* Pipes, and files of which the size is not known, are read in order by this process. */
static int analyze_stream(const struct question *question, struct answer *answer, struct board *board)
{
	struct counting counting = { .question = question, .answer = answer };
	struct comap_scan *scan;
	int code = question->path ? comap_scan_open(question->path, NULL, &scan)
	                          : comap_scan_open_fd(STDIN_FILENO, NULL, &scan);

	if (code)
		return code;
	code = count_scan(&counting, scan, board);
	comap_scan_close(scan);
	answer->size_bytes = comap_u64_load_relaxed(&board->done_bytes); /* relaxed: our own */
	return code;
}

int analyze(struct question *question, struct answer *answer, char *problem,
            size_t problem_bytes)
{
	uint64_t start_ns = comap_now_ns();
	struct comap_map *map;
	struct board *board;
	struct stat status;
	int code = comap_map_open_anonymous(sizeof *board, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE),
	                                    &map);

	if (code == 0) {
		board = comap_map_data_mutable(map);
		problem[0] = 0;
		if (question->path && stat(question->path, &status) == 0 && S_ISREG(status.st_mode) &&
		    status.st_size > 0) {
			choose_method(question);
			code = analyze_file(question, answer, board, problem, problem_bytes);
		} else {
			code = analyze_stream(question, answer, board);
		}
		/* relaxed: the workers have ended */
		answer->method = comap_method_name(comap_u32_load_relaxed(&board->method));
		comap_map_close(map);
	}
	answer->wall_ns = comap_now_ns() - start_ns;
	if (code && !problem[0])
		snprintf(problem, problem_bytes, "%s", comap_last_error()->code == -code
		                                               ? comap_error_text() : strerror(-code));
	return code;
}
