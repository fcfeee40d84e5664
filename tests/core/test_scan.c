/* SPDX-License-Identifier: MIT */
/* Scan: every method, direction and buffer size sees the same bytes; and what may change, changes. */
#include <comap/error.h>
#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/pages.h>
#include <comap/scan.h>
#include <comap/search.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READY, STEP };

/* --- a text with all that is awkward: empty lines, long ones, no newline at the end ---------- */

static unsigned char *text;
static uint64_t text_bytes;

static const char *make_text(const char *name, uint64_t size_bytes, bool ends_with_newline)
{
	const char *path = proc_path(PROC_SHM, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t next = 0;

	text = realloc(text, size_bytes);
	text_bytes = size_bytes;
	MUST(text && fd >= 0);
	for (uint64_t i = 0; i < size_bytes; i++) {
		text[i] = i == next ? '\n' : (unsigned char)('a' + proc_random_below(26));
		if (i == next)
			next += proc_random_below(10) == 0 ? proc_random_below(9000) : 1 + proc_random_below(70);
	}
	text[size_bytes - 1] = ends_with_newline ? '\n' : 'z';
	MUST(write(fd, text, size_bytes) == (ssize_t)size_bytes);
	close(fd);
	return path;
}

/* The line that begins at `at`, and where the next one begins. */
static uint64_t line_bytes_at(uint64_t at, uint64_t *ret_next)
{
	const unsigned char *newline = memchr(text + at, '\n', text_bytes - at);
	uint64_t end = newline ? (uint64_t)(newline - text) : text_bytes;

	*ret_next = newline ? end + 1 : end;
	return end - at;
}

static struct comap_scan *scan_open(const char *path, struct comap_scan_options *options)
{
	struct comap_scan *scan;
	int code = comap_scan_open(path, options, &scan);

	if (code)
		fail_msg("%s", comap_error_text());
	return scan;
}

static void check_span(const struct comap_span *span, uint64_t offset, uint64_t size)
{
	assert_int_equal(span->offset_bytes, offset);
	assert_int_equal(span->size_bytes, size);
	assert_memory_equal(span->data, text + offset, size);
}

static void check_lines_forward(const char *path, struct comap_scan_options options)
{
	struct comap_scan *scan = scan_open(path, &options);
	struct comap_span span;
	uint64_t at = 0, next;
	int code;

	while ((code = comap_scan_line(scan, &span)) == 0) {
		check_span(&span, at, line_bytes_at(at, &next));
		at = next;
	}
	assert_int_equal(code, COMAP_SCAN_END);
	assert_int_equal(at, text_bytes);
	assert_int_equal(comap_scan_line(scan, &span), COMAP_SCAN_END); /* and again */
	comap_scan_close(scan);
}

static void check_lines_backward(const char *path, struct comap_scan_options options)
{
	struct comap_span span;
	uint64_t begin = text_bytes;
	struct comap_scan *scan;
	int code;

	options.flags |= COMAP_SCAN_BACKWARD;
	scan = scan_open(path, &options);
	while ((code = comap_scan_line(scan, &span)) == 0) {
		uint64_t next;

		check_span(&span, span.offset_bytes, line_bytes_at(span.offset_bytes, &next));
		assert_int_equal(next, begin);
		begin = span.offset_bytes;
	}
	assert_int_equal(code, COMAP_SCAN_END);
	assert_int_equal(begin, 0);
	comap_scan_close(scan);
}

static void check_chunks(const char *path, struct comap_scan_options options, unsigned flags)
{
	uint64_t at = flags & COMAP_SCAN_BACKWARD ? text_bytes : 0;
	struct comap_span span;
	struct comap_scan *scan;
	int code;

	options.flags |= flags;
	scan = scan_open(path, &options);
	while ((code = comap_scan_chunk(scan, &span)) == 0) {
		assert_true(span.size_bytes > 0);
		if (flags & COMAP_SCAN_BACKWARD)
			at -= span.size_bytes;
		check_span(&span, at, span.size_bytes);
		if (!(flags & COMAP_SCAN_BACKWARD))
			at += span.size_bytes;
	}
	assert_int_equal(code, COMAP_SCAN_END);
	assert_int_equal(at, flags & COMAP_SCAN_BACKWARD ? 0 : text_bytes);
	comap_scan_close(scan);
}

static void check_whole_lines(const char *path, struct comap_scan_options options)
{
	struct comap_scan *scan = scan_open(path, &options);
	struct comap_span span;
	uint64_t at = 0;
	int code;

	while ((code = comap_scan_lines(scan, &span)) == 0) {
		check_span(&span, at, span.size_bytes);
		at += span.size_bytes;
		assert_true(text[at - 1] == '\n' || at == text_bytes);
	}
	assert_int_equal(code, COMAP_SCAN_END);
	assert_int_equal(at, text_bytes);
	comap_scan_close(scan);
}

static const enum comap_method methods[] = { COMAP_METHOD_WHOLE, COMAP_METHOD_STREAM,
                                             COMAP_METHOD_MAP, COMAP_METHOD_AUTO };
static const uint64_t buffers[] = { 1, 7, 4096, 65536, 0 };

static void check_text(const char *path)
{
	for (size_t m = 0; m < 4; m++)
		for (size_t b = 0; b < 5; b++) {
			struct comap_scan_options options = { .struct_bytes = sizeof options,
			                                      .method = methods[m],
			                                      .buffer_bytes = buffers[b] };

			check_lines_forward(path, options);
			check_lines_backward(path, options);
			check_chunks(path, options, 0);
			check_chunks(path, options, COMAP_SCAN_BACKWARD);
			check_whole_lines(path, options);
		}
}

static void all_ways_see_the_same(void **state)
{
	check_text(make_text("text", 200001, true));
}

static void without_a_last_newline(void **state)
{
	check_text(make_text("unended", 70000, false));
	check_text(make_text("one", 1, false));
	check_text(make_text("newline", 1, true));
}

static void nothing_is_the_end(void **state)
{
	const char *path = files_make(PROC_SHM, "empty", 0);

	for (size_t m = 0; m < 4; m++)
		for (unsigned flags = 0; flags <= COMAP_SCAN_BACKWARD; flags++) {
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(.method = methods[m],
			                                                             .flags = flags));
			struct comap_span span;

			assert_int_equal(comap_scan_line(scan, &span), COMAP_SCAN_END);
			assert_int_equal(comap_scan_chunk(scan, &span), COMAP_SCAN_END);
			comap_scan_close(scan);
		}
}

/* Ranges cut anywhere: their lines, in order, are the lines of the file, each once. */
static void own_lines_meet(void **state)
{
	const char *path = make_text("ranges", 150000, false);

	for (unsigned round = 0; round < 60; round++) {
		uint64_t at = 0, from = 0, next;

		while (from < text_bytes) {
			uint64_t size = 1 + proc_random_below(round % 3 ? 30000 : 90);
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
				.method = methods[round % 4], .flags = COMAP_SCAN_OWN_LINES,
				.offset_bytes = from, .size_bytes = size, .buffer_bytes = 512));
			struct comap_span span;
			int code;

			while ((code = round % 2 ? comap_scan_line(scan, &span)
			                         : comap_scan_lines(scan, &span)) == 0) {
				if (round % 2) {
					check_span(&span, at, line_bytes_at(at, &next));
				} else {
					check_span(&span, at, span.size_bytes);
					next = at + span.size_bytes;
				}
				at = next;
			}
			assert_int_equal(code, COMAP_SCAN_END);
			comap_scan_close(scan);
			from += size;
		}
		assert_int_equal(at, text_bytes);
	}
}

static void own_lines_backward(void **state)
{
	const char *path = make_text("ranges-back", 60000, false);

	for (unsigned m = 0; m < 4; m++) {
		uint64_t begin = text_bytes, cuts[] = { 0, 1, 777, 20000, 20001, 59999 };

		for (int i = 5; i >= 0; i--) {
			uint64_t end = i == 5 ? text_bytes : cuts[i + 1];
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
				.method = methods[m], .flags = COMAP_SCAN_OWN_LINES | COMAP_SCAN_BACKWARD,
				.offset_bytes = cuts[i], .size_bytes = end - cuts[i], .buffer_bytes = 512));
			struct comap_span span;
			int code;

			while ((code = comap_scan_line(scan, &span)) == 0) {
				uint64_t next;

				check_span(&span, span.offset_bytes, line_bytes_at(span.offset_bytes, &next));
				assert_int_equal(next, begin);
				begin = span.offset_bytes;
			}
			assert_int_equal(code, COMAP_SCAN_END);
			comap_scan_close(scan);
		}
		assert_int_equal(begin, 0);
	}
}

static void long_lines_are_refused(void **state)
{
	const char *path = make_text("long", 50000, true);

	memset(text, 'x', text_bytes);
	text[100] = '\n';
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	MUST(pwrite(fd, text, text_bytes, 0) == (ssize_t)text_bytes);
	close(fd);
	for (size_t m = 0; m < 3; m++) {
		struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
			.method = methods[m], .line_max_bytes = 1000, .buffer_bytes = 64));
		struct comap_span span;

		assert_int_equal(comap_scan_line(scan, &span), 0);
		assert_int_equal(comap_scan_line(scan, &span), -EMSGSIZE);
		assert_int_equal(comap_scan_line(scan, &span), -EMSGSIZE); /* it stays */
		comap_scan_close(scan);
	}
}

static void records_forward_and_backward(void **state)
{
	const char *path = make_text("records", 24 * 1000, false);

	for (size_t m = 0; m < 4; m++)
		for (unsigned flags = 0; flags <= COMAP_SCAN_BACKWARD; flags++) {
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
				.method = methods[m], .flags = flags, .buffer_bytes = 100));
			struct comap_span span;
			unsigned count = 0;
			int code;

			while ((code = comap_scan_record(scan, 24, &span)) == 0) {
				check_span(&span, 24 * (flags ? 999 - count : count), 24);
				count++;
			}
			assert_int_equal(code, COMAP_SCAN_END);
			assert_int_equal(count, 1000);
			comap_scan_close(scan);
		}
}

static void partial_records_are_refused(void **state)
{
	const char *path = make_text("partial", 24 * 3 + 5, false);

	for (size_t m = 0; m < 4; m++)
		for (unsigned flags = 0; flags <= COMAP_SCAN_BACKWARD; flags++) {
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
				.method = methods[m], .flags = flags));
			struct comap_span span;

			for (unsigned i = 0; i < 3 && !flags; i++)
				assert_int_equal(comap_scan_record(scan, 24, &span), 0);
			assert_int_equal(comap_scan_record(scan, 24, &span), -EBADMSG);
			assert_non_null(strstr(comap_error_text(), "5 bytes"));
			comap_scan_close(scan);
		}
}

/* --- what is no ordinary file --------------------------------------------------------------- */

static void kernel_files_of_size_zero(void **state)
{
	for (unsigned flags = 0; flags <= COMAP_SCAN_BACKWARD; flags++)
		for (size_t m = 0; m < 4; m++) {
			struct comap_scan *scan = scan_open("/proc/self/status", COMAP_SCAN_OPTIONS(
				.method = methods[m], .flags = flags));
			unsigned names = 0, lines = 0;
			struct comap_span line;
			int code;

			while ((code = comap_scan_line(scan, &line)) == 0) {
				names += line.size_bytes > 5 && memcmp(line.data, "Name:", 5) == 0;
				lines++;
			}
			assert_int_equal(code, COMAP_SCAN_END);
			assert_int_equal(names, 1);
			assert_true(lines > 20);
			comap_scan_close(scan);
		}
}

/* A file of sysfs says 4096 and holds less. */
static void kernel_files_of_a_false_size(void **state)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	struct comap_scan *scan;
	struct comap_span line;

	if (access(path, R_OK) != 0)
		skip();
	scan = scan_open(path, NULL);
	assert_int_equal(comap_scan_line(scan, &line), 0);
	assert_true(line.size_bytes > 5 && line.size_bytes < 100);
	assert_int_equal(comap_scan_line(scan, &line), COMAP_SCAN_END);
	comap_scan_close(scan);
}

static int pipe_writer(void *arg)
{
	int fd = *(int *)arg;

	for (unsigned i = 0; i < 20000; i++) {
		char line[32];
		int length = snprintf(line, sizeof line, "line %u\n", i);

		PROC_REQUIRE(write(fd, line, (size_t)length) == length);
		if (i == 0) /* the first line arrives while the pipe is open and otherwise empty */
			proc_await(READY, 1);
	}
	return 0;
}

static void pipes(void **state)
{
	int ends[2];
	struct comap_scan *scan;
	struct comap_span line;
	struct proc *writer;
	unsigned count = 0;
	int code;

	MUST(pipe2(ends, O_CLOEXEC) == 0);
	writer = proc_spawn("writer", pipe_writer, &ends[1]);
	close(ends[1]);
	assert_int_equal(comap_scan_open_fd(ends[0], COMAP_SCAN_OPTIONS(.flags = COMAP_SCAN_BACKWARD),
	                                    &scan), -ESPIPE);
	assert_int_equal(comap_scan_open_fd(ends[0], NULL, &scan), 0);
	while ((code = comap_scan_line(scan, &line)) == 0) {
		char expected[32];

		snprintf(expected, sizeof expected, "line %u", count++);
		assert_int_equal(line.size_bytes, strlen(expected));
		assert_memory_equal(line.data, expected, line.size_bytes);
		if (count == 1)
			proc_post(READY);
	}
	assert_int_equal(code, COMAP_SCAN_END);
	assert_int_equal(count, 20000);
	proc_assert_ok(writer);
	comap_scan_close(scan);
	close(ends[0]);
}

/* --- files that change ---------------------------------------------------------------------- */

static void truncated_is_an_error(void **state)
{
	for (size_t m = 1; m < 3; m++) {
		for (uint64_t cut = 100; cut <= 900000; cut += 899900) {
			const char *path = files_make(PROC_SHM, "cut", 1000000);
			struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
				.method = methods[m], .buffer_bytes = 8192));
			struct comap_span span;
			int code = comap_scan_chunk(scan, &span);

			assert_int_equal(code, 0);
			assert_int_equal(comap_guard_reinstall(), 0); /* cmocka takes SIGBUS for each test */
			files_resize(path, cut);
			while ((code = comap_scan_chunk(scan, &span)) == 0)
				(void)comap_bytes_count(span.data, span.size_bytes, 0); /* touches all */
			assert_int_equal(code, -ESTALE);
			assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TRUNCATED);
			assert_int_equal(comap_scan_chunk(scan, &span), -ESTALE);
			comap_scan_close(scan);
			unlink(path);
		}
	}
}

/* A cut within the last page raises no fault: the size tells. */
static void truncated_within_the_page(void **state)
{
	const char *path = files_make(PROC_SHM, "cut-little", 10000);
	struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(.method = COMAP_METHOD_MAP));
	struct comap_span span;
	int code;

	files_resize(path, 9990);
	while ((code = comap_scan_chunk(scan, &span)) == 0)
		;
	assert_int_equal(code, -ESTALE);
	comap_scan_close(scan);
}

/* Another file takes the name: the scan stays with the one that it opened. */
static void replaced_is_not_seen(void **state)
{
	for (size_t m = 0; m < 3; m++) {
		const char *path = files_make(PROC_SHM, "replaced", 1000000), *other;
		struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
			.method = methods[m], .buffer_bytes = 8192));
		uint64_t at = 0;
		struct comap_span span;
		int code;

		other = files_make(PROC_SHM, "other", 500);
		MUST(rename(other, path) == 0);
		while ((code = comap_scan_chunk(scan, &span)) == 0)
			for (size_t i = 0; i < span.size_bytes; i++, at++)
				assert_int_equal(((const unsigned char *)span.data)[i], files_pattern(at));
		assert_int_equal(code, COMAP_SCAN_END);
		assert_int_equal(at, 1000000);
		comap_scan_close(scan);
		unlink(path);
	}
}

static void growth_is_not_seen(void **state)
{
	for (size_t m = 0; m < 4; m++) {
		const char *path = make_text("grows", 100000, true);
		struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(.method = methods[m]));
		struct comap_span span;
		uint64_t sum = 0;

		files_resize(path, 200000);
		while (comap_scan_chunk(scan, &span) == 0)
			sum += span.size_bytes;
		assert_int_equal(sum, 100000);
		comap_scan_close(scan);
	}
}

static int logger(void *arg)
{
	const char *path = arg;
	char old[4200];
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	snprintf(old, sizeof old, "%s.1", path);
	PROC_REQUIRE(fd >= 0);
	proc_await(STEP, 1);
	PROC_REQUIRE(write(fd, "second\nthi", 10) == 10); /* half a line ... */
	proc_await(STEP, 2);
	PROC_REQUIRE(write(fd, "rd\n", 3) == 3);          /* ... and its other half */
	proc_await(STEP, 3);
	PROC_REQUIRE(ftruncate(fd, 0) == 0);              /* copytruncate */
	PROC_REQUIRE(write(fd, "cut\n", 4) == 4);
	proc_await(STEP, 4);
	PROC_REQUIRE(write(fd, "unfinished", 10) == 10);
	PROC_REQUIRE(rename(path, old) == 0);             /* rotation */
	close(fd);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	PROC_REQUIRE(write(fd, "new\n", 4) == 4);
	close(fd);
	proc_await(STEP, 5);
	PROC_REQUIRE(unlink(old) == 0);
	return 0;
}

/* The next line, waiting as long as it takes; counts how often it slept and restarted. */
static void expect_line(struct comap_scan *scan, const char *expected, unsigned *restarts)
{
	uint64_t deadline_ns = comap_deadline_ms(proc_limit_ms / 2);
	struct comap_span line;
	int code;

	while ((code = comap_scan_line(scan, &line)) > 0) {
		assert_int_not_equal(code, COMAP_SCAN_END);
		*restarts += code == COMAP_SCAN_RESTART;
		if (code == COMAP_SCAN_IDLE)
			assert_int_equal(comap_scan_wait(scan, deadline_ns), 0);
	}
	assert_int_equal(code, 0);
	assert_int_equal(line.size_bytes, strlen(expected));
	assert_memory_equal(line.data, expected, line.size_bytes);
}

static void follow_growth_cuts_and_rotation(void **state)
{
	const char *path = proc_path(PROC_SHM, "log");
	FILE *file = fopen(path, "we");
	struct comap_scan *scan;
	struct comap_span line;
	struct proc *writer;
	unsigned restarts = 0;

	MUST(file && fputs("first\n", file) >= 0 && fclose(file) == 0);
	writer = proc_spawn("logger", logger, (void *)(uintptr_t)path);
	scan = scan_open(path, COMAP_SCAN_OPTIONS(.flags = COMAP_SCAN_FOLLOW));
	expect_line(scan, "first", &restarts);
	assert_int_equal(comap_scan_line(scan, &line), COMAP_SCAN_IDLE);
	assert_int_equal(comap_scan_wait(scan, comap_deadline_ms(20)), -ETIMEDOUT);
	proc_post(STEP);
	expect_line(scan, "second", &restarts);
	assert_int_equal(comap_scan_line(scan, &line), COMAP_SCAN_IDLE); /* not half a line */
	proc_post(STEP);
	expect_line(scan, "third", &restarts);
	assert_int_equal(restarts, 0);
	proc_post(STEP);
	expect_line(scan, "cut", &restarts);
	assert_int_equal(restarts, 1);
	proc_post(STEP);
	expect_line(scan, "unfinished", &restarts);
	expect_line(scan, "new", &restarts);
	assert_int_equal(restarts, 2);
	proc_post(STEP);
	proc_assert_ok(writer);
	comap_scan_close(scan);
}

static void bad_options(void **state)
{
	const char *path = files_make(PROC_SHM, "options", 100);
	struct comap_scan *scan;

	assert_int_equal(comap_scan_open(path, COMAP_SCAN_OPTIONS(.offset_bytes = 101), &scan), -ERANGE);
	assert_int_equal(comap_scan_open(path, COMAP_SCAN_OPTIONS(.method = COMAP_METHOD_MAP_WRITE), &scan),
	                 -EINVAL);
	assert_int_equal(comap_scan_open(path, COMAP_SCAN_OPTIONS(
		.flags = COMAP_SCAN_FOLLOW | COMAP_SCAN_BACKWARD), &scan), -EINVAL);
	assert_int_equal(comap_scan_open(path, COMAP_SCAN_OPTIONS(
		.flags = COMAP_SCAN_FOLLOW, .method = COMAP_METHOD_MAP), &scan), -EINVAL);
	assert_int_equal(comap_scan_open("/nonexistent/file", NULL, &scan), -ENOENT);
	assert_int_equal(comap_scan_open("/", NULL, &scan), -EISDIR);
	assert_int_equal(comap_scan_open(NULL, NULL, &scan), -EINVAL);
	comap_scan_close(NULL);
}

/* A map that has been passed leaves the page table: never more than two windows. */
static void maps_stay_small(void **state)
{
	enum { WINDOW = 1 << 20 };
	const char *path = files_make(PROC_DISK, "windows", 16 << 20);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct comap_pages_key key;

	assert_int_equal(comap_pages_key(fd, &key), 0);
	close(fd);
	for (unsigned flags = 0; flags <= COMAP_SCAN_BACKWARD; flags++) {
		struct comap_scan *scan = scan_open(path, COMAP_SCAN_OPTIONS(
			.method = COMAP_METHOD_MAP, .flags = flags, .buffer_bytes = WINDOW));
		uint64_t sum = 0, largest_bytes = 0;
		struct comap_span span;

		while (comap_scan_chunk(scan, &span) == 0) {
			struct comap_pages pages;

			sum += comap_bytes_count(span.data, span.size_bytes, 7);
			assert_int_equal(comap_pages_file(0, key, &pages), 0);
			if (pages.rss_bytes > largest_bytes)
				largest_bytes = pages.rss_bytes;
		}
		assert_true(sum > 0);
		assert_true(largest_bytes >= WINDOW / 2);
		/* The kernel may map a large folio, which reaches into the neighbours' windows. */
		assert_true(largest_bytes <= 2 * WINDOW + (2 << 20));
		comap_scan_close(scan);
	}
}

static int free_text(void **state)
{
	free(text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(all_ways_see_the_same),
		PROC_TEST(without_a_last_newline),
		PROC_TEST(nothing_is_the_end),
		PROC_TEST(own_lines_meet),
		PROC_TEST(own_lines_backward),
		PROC_TEST(long_lines_are_refused),
		PROC_TEST(records_forward_and_backward),
		PROC_TEST(partial_records_are_refused),
		PROC_TEST(kernel_files_of_size_zero),
		PROC_TEST(kernel_files_of_a_false_size),
		PROC_TEST(pipes),
		PROC_TEST(truncated_is_an_error),
		PROC_TEST(truncated_within_the_page),
		PROC_TEST(replaced_is_not_seen),
		PROC_TEST(growth_is_not_seen),
		PROC_TEST(follow_growth_cuts_and_rotation),
		PROC_TEST(bad_options),
		PROC_TEST(maps_stay_small),
	};

	return cmocka_run_group_tests(tests, NULL, free_text);
}
