/* SPDX-License-Identifier: MIT */
/* Errors: a negative errno to act on, a cause to branch on, a sentence to show.
 *
 * Every function that can fail returns 0 or a negative errno (or NULL, where it returns a pointer)
 * and leaves the details in the calling thread's last error: what was wrong, where, what to do.
 * Positive results are outcomes that a function names and that its caller must handle.
 *
 * The library never prints, logs or aborts.
 *
 * Threads: each has its own last error.  Signals: comap_last_error() is not async-signal-safe.
 * Fork: the child keeps a copy of the forking thread's last error. */
#ifndef COMAP_ERROR_H
#define COMAP_ERROR_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

/* name, errno that goes with it (0: the operating system's own), one line */
#define COMAP_CAUSE_MAP(X) \
	X(NONE, 0, "no error") \
	X(ARGUMENT, EINVAL, "an argument is out of its range") \
	X(SYSTEM, 0, "the operating system refused") \
	X(NO_MEMORY, ENOMEM, "the process has no memory or address space left") \
	X(NO_SPACE, ENOSPC, "no space left: file system, file-size limit, or the region's maximum") \
	X(NOT_FOUND, ENOENT, "no such file or object") \
	X(EXISTS, EEXIST, "it exists already") \
	X(PERMISSION, EACCES, "no permission") \
	X(READ_ONLY, EACCES, "opened for reading only") \
	X(BOUNDS, ERANGE, "outside the mapping") \
	X(TRUNCATED, ESTALE, "the file became shorter than its mapping") \
	X(REPLACED, ESTALE, "another file has taken the name") \
	X(IO, EIO, "the device failed to deliver or to accept data") \
	X(UNFLUSHED, EIO, "an earlier flush failed: data may be missing on disk") \
	X(UNSUPPORTED, EOPNOTSUPP, "this kernel, file system or mapping cannot do it") \
	X(BUSY, EBUSY, "in use by somebody") \
	X(TIMEOUT, ETIMEDOUT, "the deadline has passed") \
	X(NOT_REGULAR, EINVAL, "not a regular file") \
	X(NAME, ENAMETOOLONG, "not a usable name") \
	X(LINK, ELOOP, "a symbolic link in a folder that others can write to") \
	X(OWNER, EPERM, "the file belongs to somebody else") \
	X(NETWORK, EOPNOTSUPP, "a network file system: its maps are not shared between machines") \
	X(EMPTY, EBADMSG, "the file is empty") \
	X(SHORT, EBADMSG, "the file is shorter than it says") \
	X(MAGIC, EBADMSG, "not a comap region") \
	X(VERSION, EPROTONOSUPPORT, "written by a newer version of the format") \
	X(FEATURE, EPROTONOSUPPORT, "uses a feature that this version does not know") \
	X(BYTE_ORDER, EPROTONOSUPPORT, "written on a machine of the other byte order") \
	X(LAYOUT, EPROTONOSUPPORT, "laid out differently from what this version expects") \
	X(CHECKSUM, EBADMSG, "the checksum does not fit the bytes") \
	X(CORRUPT, EBADMSG, "the bytes contradict each other") \
	X(COPY, ESTALE, "a copy of a region, not the region itself") \
	X(REBOOTED, ESTALE, "left unclean by a machine that went down") \
	X(SUPERSEDED, ESTALE, "unlinked or replaced by a newer region") \
	X(TYPE, EPROTOTYPE, "the field lists differ") \
	X(SEATS, EUSERS, "no seat is free") \
	X(MARKS, EUSERS, "no thread record is free") \
	X(FORKED, ECHILD, "a child of an attached process is not attached itself") \
	X(DETACHED, ENOTCONN, "not attached") \
	X(NESTING, EOVERFLOW, "nested too deeply") \
	X(DEADLOCK, EDEADLK, "it would wait for itself") \
	X(PINNED, EBUSY, "a reader holds back the reuse of memory") \
	X(EVICTED, ESTALE, "the read section was ended by a writer that needed the memory") \
	X(ROLE, EBUSY, "another process holds the role") \
	X(OWNER_DIED, EOWNERDEAD, "its owner died") \
	X(CLOSING, ESHUTDOWN, "the handle is being closed")

enum comap_cause {
#define X(name, code, text) COMAP_CAUSE_##name,
	COMAP_CAUSE_MAP(X)
#undef X
	COMAP_CAUSE_COUNT
};

/* The details of a failure. */
struct comap_error {
	int code;               /* the positive errno; 0: none yet */
	enum comap_cause cause;
	uint64_t offset_bytes;  /* where in the file, or UINT64_MAX */
	int64_t seat;           /* the seat that is in the way, or -1 */
	char text[480];         /* one sentence or two, without a newline */
};

/* The calling thread's last failure. Never NULL. Valid until the thread's next failing call. */
COMAP_API const struct comap_error *comap_last_error(void);

/* The same in words; "no error" when nothing has failed yet. */
COMAP_API const char *comap_error_text(void);

/* Name ("TRUNCATED") and line of a cause; "UNKNOWN" outside the range. Static strings. */
COMAP_API const char *comap_cause_name(enum comap_cause cause);
COMAP_API const char *comap_cause_text(enum comap_cause cause);

/* An absolute deadline, from now: CLOCK_MONOTONIC, in nanoseconds. */
COMAP_API uint64_t comap_deadline_ms(uint64_t duration_ms);
COMAP_API uint64_t comap_now_ns(void);

COMAP_END_DECLS
#endif
