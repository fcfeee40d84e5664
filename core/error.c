/* SPDX-License-Identifier: MIT */
/* The thread's last error, and the words for it.
 *
 * Lives in:   thread-local memory of the process
 * Progress:   wait-free. The first failure of a thread may allocate its thread-local block, so a
 *             signal handler must not be the first to fail. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static __thread struct comap_error last_error = { .offset_bytes = UINT64_MAX, .seat = -1 };

static const struct {
	const char *name;
	const char *text;
	int code;
} causes[COMAP_CAUSE_COUNT] = {
#define X(name, code, text) { #name, text, code },
	COMAP_CAUSE_MAP(X)
#undef X
};

struct comap_error *comap__error(void)
{
	return &last_error;
}

const struct comap_error *comap_last_error(void)
{
	return &last_error;
}

const char *comap_error_text(void)
{
	return last_error.code ? last_error.text : causes[COMAP_CAUSE_NONE].text;
}

const char *comap_cause_name(enum comap_cause cause)
{
	return (unsigned)cause < COMAP_CAUSE_COUNT ? causes[cause].name : "UNKNOWN";
}

const char *comap_cause_text(enum comap_cause cause)
{
	return (unsigned)cause < COMAP_CAUSE_COUNT ? causes[cause].text : "unknown cause";
}

static void record(enum comap_cause cause, int code)
{
	last_error.cause = cause;
	last_error.code = code;
	last_error.offset_bytes = UINT64_MAX;
	last_error.seat = -1;
}

int comap__fail(enum comap_cause cause, const char *format, ...)
{
	va_list args;

	record(cause, causes[cause].code ? causes[cause].code : EINVAL);
	va_start(args, format);
	vsnprintf(last_error.text, sizeof last_error.text, format, args);
	va_end(args);
	return -last_error.code;
}

static enum comap_cause cause_of(int code)
{
	switch (code) {
	case ENOSPC: case EDQUOT: case EFBIG: return COMAP_CAUSE_NO_SPACE;
	case ENOMEM: return COMAP_CAUSE_NO_MEMORY;
	case ENOENT: return COMAP_CAUSE_NOT_FOUND;
	case EEXIST: return COMAP_CAUSE_EXISTS;
	case EACCES: case EPERM: case EROFS: return COMAP_CAUSE_PERMISSION;
	case EIO: return COMAP_CAUSE_IO;
	case ENAMETOOLONG: return COMAP_CAUSE_NAME;
	case ELOOP: return COMAP_CAUSE_LINK;
	case EOPNOTSUPP: case ENOSYS: return COMAP_CAUSE_UNSUPPORTED;
	case ETIMEDOUT: return COMAP_CAUSE_TIMEOUT;
	case EBUSY: return COMAP_CAUSE_BUSY;
	case EINVAL: return COMAP_CAUSE_ARGUMENT;
	default: return COMAP_CAUSE_SYSTEM;
	}
}

int comap__fail_errno(int code, const char *format, ...)
{
	va_list args;
	size_t used;

	code = code < 0 ? -code : code;
	record(cause_of(code), code);
	va_start(args, format);
	vsnprintf(last_error.text, sizeof last_error.text, format, args);
	va_end(args);
	used = strlen(last_error.text);
	snprintf(last_error.text + used, sizeof last_error.text - used, ": %s", strerror(code));
	return -code;
}

uint64_t comap_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t comap_deadline_ms(uint64_t duration_ms)
{
	uint64_t now_ns = comap_now_ns();

	/* A duration beyond the end of time is for ever. */
	return duration_ms >= (COMAP_FOREVER - now_ns) / 1000000u ? COMAP_FOREVER
	                                                          : now_ns + duration_ms * 1000000u;
}
