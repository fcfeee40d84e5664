/* SPDX-License-Identifier: MIT */
/* Scan: chunks, lines and records over a source. What a source is: scan_source.h.
 *
 * Lives in:   the process's own memory
 * Invariants: I1  forward, the spans of a scan concatenated (with their newlines) are the range;
 *                 backward, the same in reverse order
 *             I2  ranges side by side with OWN_LINES see each line of the file exactly once
 * Progress:   blocking on I/O; memory bounded by buffer_bytes + line_max_bytes */
#include "scan_source.h"

#include "error.h"

#include <errno.h>
#include <string.h>

#define PIECE_BYTES (UINT64_C(2) << 20)

enum comap_method comap_scan_method(const struct comap_scan *scan)
{
	return scan ? scan->method : COMAP_METHOD_AUTO;
}

const char *comap_scan_reason(const struct comap_scan *scan)
{
	return scan ? scan->reason : "";
}

static bool is_backward(const struct comap_scan *scan)
{
	return scan->options.flags & COMAP_SCAN_BACKWARD;
}

static int begin_fetch(struct comap_scan *scan, const struct comap_span *ret_span)
{
	if (!scan || !ret_span)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no scan, or no place for the span");
	return comap__scan_settle(scan);
}

/* Hands out `size_bytes` bytes at `data`, which begin at `at`; `skip_bytes` more are passed
 * over. */
static int deliver(struct comap_scan *scan, const unsigned char *data, uint64_t size_bytes,
                   uint64_t skip_bytes, struct comap_span *ret_span)
{
	*ret_span = (struct comap_span){ data, size_bytes, scan->at };
	scan->at += size_bytes + skip_bytes;
	return 0;
}

/* --- chunks ------------------------------------------------------------------------------- */

/* A piece of a map is not as large as its window: see touch(). */
static uint64_t piece_bytes(const struct comap_scan *scan)
{
	if (!scan->memory)
		return UINT64_MAX;
	return scan->options.buffer_bytes < PIECE_BYTES ? scan->options.buffer_bytes : PIECE_BYTES;
}

static int chunk_back(struct comap_scan *scan, struct comap_span *ret_span)
{
	const unsigned char *data;
	uint64_t have_bytes, size_bytes;
	int code;

	if (scan->at <= scan->begin)
		return comap__scan_at_end(scan);
	code = comap__scan_peek_back(scan, 1, &data, &have_bytes);
	if (code)
		return comap__scan_fail(scan, code);
	size_bytes = have_bytes < piece_bytes(scan) ? have_bytes : piece_bytes(scan);
	scan->at -= size_bytes;
	*ret_span = (struct comap_span){ data + have_bytes - size_bytes, size_bytes, scan->at };
	return 0;
}

int comap_scan_chunk(struct comap_scan *scan, struct comap_span *ret_span)
{
	int code = begin_fetch(scan, ret_span);

	if (code)
		return code;
	if (scan->options.flags & COMAP_SCAN_OWN_LINES)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a range of whole lines has no chunks; it has lines");
	if (is_backward(scan))
		return chunk_back(scan, ret_span);
	for (;;) {
		const unsigned char *data;
		uint64_t size_bytes;

		code = comap__scan_peek(scan, 1, &data, &size_bytes);
		if (code)
			return comap__scan_fail(scan, code);
		if (size_bytes)
			return deliver(scan, data, size_bytes < piece_bytes(scan) ? size_bytes
			               : piece_bytes(scan), 0, ret_span);
		code = comap__scan_at_end(scan);
		if (code)
			return code;
	}
}

/* --- lines -------------------------------------------------------------------------------- */

static int fail_long_line(struct comap_scan *scan)
{
	int code = comap__fail_errno(EMSGSIZE, "the line at byte %llu is longer than %llu bytes",
	                             (unsigned long long)scan->at,
	                             (unsigned long long)scan->options.line_max_bytes);

	return comap__scan_fail(scan, code);
}

/* Finds the first newline at or after `at` + `from_bytes` and makes everything up to it visible.
 * *ret_bytes: up to and with the newline; *ret_ended: there is none, and it is all there is. */
static int find_line_end(struct comap_scan *scan, uint64_t from_bytes,
                         const unsigned char **ret_data, uint64_t *ret_bytes, bool *ret_ended)
{
	uint64_t looked_bytes = from_bytes, have_bytes = 0, want_bytes = from_bytes + 1;
	const unsigned char *newline;

	for (;;) {
		int code = comap__scan_peek(scan, want_bytes, ret_data, &have_bytes);
		uint64_t until_bytes;

		if (code)
			return comap__scan_fail(scan, code);
		/* A map has it all at once; the limit holds there too. */
		until_bytes = from_bytes + scan->options.line_max_bytes + 1;
		if (until_bytes > have_bytes)
			until_bytes = have_bytes;
		newline = looked_bytes < until_bytes
		                  ? memchr(*ret_data + looked_bytes, '\n', until_bytes - looked_bytes) : NULL;
		*ret_ended = !newline;
		*ret_bytes = newline ? (uint64_t)(newline - *ret_data) + 1 : have_bytes;
		if (newline || have_bytes < want_bytes)
			return 0;
		if (until_bytes - from_bytes > scan->options.line_max_bytes)
			return fail_long_line(scan);
		looked_bytes = until_bytes;
		if (scan->memory)
			return 0;
		want_bytes = have_bytes + 1; /* no more: a pipe may not have it */
	}
}

static int line_back(struct comap_scan *scan, struct comap_span *ret_span)
{
	uint64_t have_bytes, want_bytes = 2, looked_bytes = 0, line_bytes;
	const unsigned char *data, *newline = NULL;
	bool ends_with_newline = false;

	if (scan->at <= scan->begin)
		return comap__scan_at_end(scan);
	do {
		int code = comap__scan_peek_back(scan, want_bytes, &data, &have_bytes);

		if (code)
			return comap__scan_fail(scan, code);
		ends_with_newline = data[have_bytes - 1] == '\n';
		line_bytes = have_bytes - ends_with_newline;
		newline = memrchr(data, '\n', line_bytes - looked_bytes);
		looked_bytes = line_bytes;
		if (!newline && line_bytes > scan->options.line_max_bytes)
			return fail_long_line(scan);
		want_bytes = 2 * have_bytes;
	} while (!newline && have_bytes < scan->at - scan->begin);
	if (newline)
		line_bytes -= (uint64_t)(newline - data) + 1;
	scan->at -= line_bytes + ends_with_newline;
	*ret_span = (struct comap_span){ data + have_bytes - ends_with_newline - line_bytes, line_bytes,
	                                 scan->at };
	return 0;
}

/* At the end of the bytes, in the middle of a line: under FOLLOW the line may still be
 * completed. */
static bool line_may_grow(const struct comap_scan *scan)
{
	return scan->options.flags & COMAP_SCAN_FOLLOW && !scan->replaced;
}

int comap_scan_line(struct comap_scan *scan, struct comap_span *ret_span)
{
	int code = begin_fetch(scan, ret_span);

	if (code)
		return code;
	if (is_backward(scan))
		return line_back(scan, ret_span);
	for (;;) {
		const unsigned char *data;
		uint64_t size_bytes;
		bool ended;

		if (scan->at >= scan->end)
			return comap__scan_at_end(scan);
		code = find_line_end(scan, 0, &data, &size_bytes, &ended);
		if (code)
			return code;
		if (!ended)
			return deliver(scan, data, size_bytes - 1, 1, ret_span);
		if (size_bytes && !line_may_grow(scan))
			return deliver(scan, data, size_bytes, 0, ret_span);
		code = comap__scan_at_end(scan);
		if (code)
			return code;
	}
}

/* To look for a piece's last line is to touch its end first. Where that is beyond what was read
 * ahead the kernel takes it for a jump, and reads a cold map in single pages from then on: three
 * times as long. So the first byte is touched before, and the end is not far. */
static void touch(const unsigned char *data)
{
	(void)*(const volatile unsigned char *)data;
}

/* How many of the visible bytes are whole lines, in one piece and not beyond the range; 0: none. */
static uint64_t whole_lines(const struct comap_scan *scan, const unsigned char *data,
                            uint64_t have_bytes)
{
	uint64_t size_bytes = have_bytes < piece_bytes(scan) ? have_bytes : piece_bytes(scan);
	const unsigned char *newline;

	if (size_bytes)
		touch(data);
	if (scan->end != COMAP__UNSIZED && size_bytes >= scan->end - scan->at)
		return 0; /* the last piece: it ends with the line that the range's end cuts */
	newline = size_bytes ? memrchr(data, '\n', size_bytes) : NULL;
	return newline ? (uint64_t)(newline - data) + 1 : 0;
}

/* No whole line in the piece, or the range's last piece: up to the first newline behind it. */
static int last_lines(struct comap_scan *scan, uint64_t have_bytes, const unsigned char **ret_data,
                      uint64_t *ret_bytes, bool *ret_ended)
{
	uint64_t from_bytes = have_bytes < piece_bytes(scan) ? have_bytes : piece_bytes(scan);

	if (scan->end != COMAP__UNSIZED && from_bytes >= scan->end - scan->at)
		from_bytes = scan->end - scan->at - 1;
	return find_line_end(scan, from_bytes, ret_data, ret_bytes, ret_ended);
}

int comap_scan_lines(struct comap_scan *scan, struct comap_span *ret_span)
{
	int code = begin_fetch(scan, ret_span);

	if (code)
		return code;
	if (is_backward(scan))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "pieces of whole lines are read forward only");
	for (;;) {
		const unsigned char *data;
		uint64_t have_bytes, size_bytes;
		bool ended = false;

		if (scan->at >= scan->end)
			return comap__scan_at_end(scan);
		code = comap__scan_peek(scan, 1, &data, &have_bytes);
		if (code)
			return comap__scan_fail(scan, code);
		size_bytes = whole_lines(scan, data, have_bytes);
		if (size_bytes == 0 && scan->at < scan->end)
			code = last_lines(scan, have_bytes, &data, &size_bytes, &ended);
		if (code)
			return code;
		if (size_bytes && (!ended || !line_may_grow(scan)))
			return deliver(scan, data, size_bytes, 0, ret_span);
		code = comap__scan_at_end(scan);
		if (code)
			return code;
	}
}

/* --- records ------------------------------------------------------------------------------ */

static int fail_partial(struct comap_scan *scan, uint64_t size_bytes, uint64_t left_bytes)
{
	return comap__scan_fail(scan, comap__fail(COMAP_CAUSE_SHORT,
		"no whole number of records of %llu bytes: %llu bytes are left over",
		(unsigned long long)size_bytes, (unsigned long long)left_bytes));
}

static int record_back(struct comap_scan *scan, uint64_t size_bytes, struct comap_span *ret_span)
{
	const unsigned char *data;
	uint64_t have_bytes;
	int code;

	if (scan->at <= scan->begin)
		return comap__scan_at_end(scan);
	if ((scan->at - scan->begin) % size_bytes)
		return fail_partial(scan, size_bytes, (scan->at - scan->begin) % size_bytes);
	code = comap__scan_peek_back(scan, size_bytes, &data, &have_bytes);
	if (code)
		return comap__scan_fail(scan, code);
	scan->at -= size_bytes;
	*ret_span = (struct comap_span){ data + have_bytes - size_bytes, size_bytes, scan->at };
	return 0;
}

int comap_scan_record(struct comap_scan *scan, uint64_t size_bytes, struct comap_span *ret_span)
{
	int code = begin_fetch(scan, ret_span);

	if (code)
		return code;
	if (size_bytes == 0 || scan->options.flags & COMAP_SCAN_OWN_LINES)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "records have a size, and are no lines");
	if (is_backward(scan))
		return record_back(scan, size_bytes, ret_span);
	for (;;) {
		const unsigned char *data;
		uint64_t have_bytes;

		code = comap__scan_peek(scan, size_bytes, &data, &have_bytes);
		if (code)
			return comap__scan_fail(scan, code);
		if (have_bytes >= size_bytes)
			return deliver(scan, data, size_bytes, 0, ret_span);
		if (have_bytes && !line_may_grow(scan))
			return fail_partial(scan, size_bytes, have_bytes);
		code = comap__scan_at_end(scan);
		if (code)
			return code;
	}
}
