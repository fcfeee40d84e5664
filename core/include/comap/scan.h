/* SPDX-License-Identifier: MIT */
/* Scan: one iterator over files that are mapped, streamed or read whole; and which of them to take.
 *
 *     struct comap_scan *scan;
 *     struct comap_span line;
 *     int code;
 *
 *     if (comap_scan_open("access.log", NULL, &scan) < 0)
 *             return puts(comap_error_text()), 1;
 *     while ((code = comap_scan_line(scan, &line)) == 0)
 *             use(line.data, line.size_bytes);
 *     comap_scan_close(scan);
 *     if (code != COMAP_SCAN_END)
 *             return puts(comap_error_text()), 1;
 *
 * The same loop reads regular files, pipes, files of which the size is reported as 0 (/proc), files
 * that grow (COMAP_SCAN_FOLLOW), and any of them but pipes from the end (COMAP_SCAN_BACKWARD).
 *
 * A span is valid until the next call on the scan. Nothing is lost in silence: a file that became
 * shorter ends the scan with -ESTALE (TRUNCATED), a device that fails with -EIO. A mapped file can
 * do so while a span is in use; the span reads as zeros then, and the next call says so. So a
 * result counts only after COMAP_SCAN_END.
 *
 * Memory: one buffer (streams) or one window (maps): what has been passed leaves the page table, so
 * the process's RSS stays below two windows whatever the file's size. Whole: the file.
 *
 * Ownership:  the scan belongs to its opener.  Threads: one at a time.  Fork: the child must not use
 *             it.  Signals: not async-signal-safe.  Blocking: on I/O; on pipes, until there is data. */
#ifndef COMAP_SCAN_H
#define COMAP_SCAN_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

/* --- the choice --------------------------------------------------------------------------- */

/* name, in words */
#define COMAP_METHOD_MAP(X) \
	X(AUTO, "choose by looking at the file") \
	X(WHOLE, "read the whole file into memory") \
	X(STREAM, "read it through a buffer") \
	X(MAP, "map it for reading") \
	X(MAP_WRITE, "map it for reading and writing") \
	X(PREAD, "read each place by itself, with pread()")

enum comap_method {
#define X(name, text) COMAP_METHOD_##name,
	COMAP_METHOD_MAP(X)
#undef X
	COMAP_METHOD_COUNT
};

/* "map", "stream" ...; "?" outside the range. Static strings. */
COMAP_API const char *comap_method_name(enum comap_method method);

/* What the caller is going to do. Zero means the default: one pass from one end to the other, by
 * one process, reading only. */
struct comap_use {
	uint64_t struct_bytes;  /* sizeof(struct comap_use) */
	uint32_t random;        /* jumps about instead of passing through */
	uint32_t writes;        /* stores into it */
	uint32_t pass_count;    /* how often the bytes are visited; 0: once */
	uint32_t process_count; /* how many processes do so at the same time; 0: one */
	uint32_t follows;       /* reads on as the file grows */
	uint32_t reserved;      /* 0 */
	uint64_t access_count;  /* random: how many jumps each process makes; 0: not known, so many */
	uint64_t access_bytes;  /* random: what each jump looks at; 0: at most a page */
};

/* SMALL: a map's faults cost more than copying; LARGE: less (160 KiB or more come with each). */
enum comap_folios { COMAP_FOLIOS_UNKNOWN, COMAP_FOLIOS_SMALL, COMAP_FOLIOS_LARGE };

struct comap_choice {
	enum comap_method method;
	int advice;             /* enum comap_advice for the mapping, 0: none needed */
	uint64_t buffer_bytes;  /* for STREAM */
	uint64_t size_bytes;    /* as reported */
	int resident_percent;   /* of the sampled pages; -1: not told, or not asked */
	enum comap_folios folios;
	uint64_t fault_bytes;   /* what one fault brings of it, by samples; 0: not told, or not asked */
	char reason[200];       /* one sentence */
};

/* Says how to read the file behind `fd`, and why. Looks at type, file system and size, at 32
 * sampled pages with mincore, and at 5 to 32 populated ones for the folio size; reads no data.
 * PREAD comes only where `access_count` is given; no scan takes it.
 * `use` NULL: the defaults. 0; -EBADF; -EINVAL. Cost: some 200 us, 1 ms where
 * there are GiB; below 8 MiB and one pass, or for few jumps, a few us. */
COMAP_API COMAP_MUST_CHECK int comap_choose(int fd, const struct comap_use *use,
                                            struct comap_choice *ret_choice);

/* --- the iterator ------------------------------------------------------------------------- */

struct comap_scan;

struct comap_span {
	const unsigned char *data; /* not terminated by NUL */
	uint64_t size_bytes;
	uint64_t offset_bytes;     /* of data[0] in the file; counted from 0 in a pipe */
};

enum comap_scan_flags {
	COMAP_SCAN_BACKWARD = 1u << 0,  /* from the end of the range to its start */
	COMAP_SCAN_FOLLOW = 1u << 1,    /* the end is not the end: COMAP_SCAN_IDLE, and wait for more */
	COMAP_SCAN_OWN_LINES = 1u << 2, /* the range's lines are those that begin in it: the first
	                                 * partial one is left to the range before, the last one is
	                                 * completed. Ranges side by side see every line once */
};

struct comap_scan_options {
	uint64_t struct_bytes;   /* sizeof(struct comap_scan_options) */
	uint32_t flags;          /* enum comap_scan_flags, or-ed */
	uint32_t method;         /* enum comap_method; AUTO chooses */
	uint64_t offset_bytes;   /* where the range starts */
	uint64_t size_bytes;     /* its length; 0: to the end */
	uint64_t buffer_bytes;   /* STREAM: the buffer; MAP: the window; 0: 256 KiB, 64 MiB */
	uint64_t line_max_bytes; /* a longer line is -EMSGSIZE; 0: 64 MiB */
	uint64_t whole_max_bytes; /* WHOLE: more is -EFBIG; 0: 1 GiB */
	uint32_t pass_count;     /* for AUTO, as in struct comap_use */
	uint32_t process_count;
	uint32_t unguarded;      /* a truncated mapping is a SIGBUS, as without comap */
};

#define COMAP_SCAN_OPTIONS(...) \
	(&(struct comap_scan_options){ .struct_bytes = sizeof(struct comap_scan_options), __VA_ARGS__ })

/* Outcomes of the functions that fetch. */
enum {
	COMAP_SCAN_END = 1,  /* no more */
	COMAP_SCAN_IDLE,     /* FOLLOW: no more now; comap_scan_wait() */
	COMAP_SCAN_RESTART,  /* FOLLOW: the file was cut, or another took its name; from its start now */
};

/* Opens a file for scanning; `options` NULL: forward, everything, chosen. Errors: the system's;
 * -EINVAL (ARGUMENT): options that contradict each other; -ESPIPE (UNSUPPORTED): a range of a pipe,
 * or one BACKWARD; -ERANGE (BOUNDS): the range starts beyond the end. */
COMAP_API COMAP_MUST_CHECK int comap_scan_open(const char *path,
                                               const struct comap_scan_options *options,
                                               struct comap_scan **ret_scan);
/* The same for a descriptor, which stays the caller's and must stay open: pipes and terminals are
 * read from it; its file position is not moved where the file can seek. FOLLOW does not notice that
 * another file took the name. */
COMAP_API COMAP_MUST_CHECK int comap_scan_open_fd(int fd, const struct comap_scan_options *options,
                                                  struct comap_scan **ret_scan);
COMAP_API void comap_scan_close(struct comap_scan *scan);

/* The next piece, of whatever size is quick. Concatenated in order they are the range. 0 or an
 * outcome, or a negative errno (-ESTALE, -EIO, -ENOMEM), which stays: later calls say the same. */
COMAP_API COMAP_MUST_CHECK int comap_scan_chunk(struct comap_scan *scan, struct comap_span *ret_span);

/* The next piece that consists of whole lines: it ends with a newline, except at the end of a file
 * that does not. For loops that do their own splitting. Forward only: -EINVAL. */
COMAP_API COMAP_MUST_CHECK int comap_scan_lines(struct comap_scan *scan, struct comap_span *ret_span);

/* The next line, its newline not included. An unfinished last line is a line; under FOLLOW it waits
 * for its newline. -EMSGSIZE (BOUNDS): longer than line_max_bytes. */
COMAP_API COMAP_MUST_CHECK int comap_scan_line(struct comap_scan *scan, struct comap_span *ret_span);

/* The next `size_bytes` bytes. -EBADMSG (SHORT): the range is no whole number of them. Backward:
 * counted from the range's start all the same. */
COMAP_API COMAP_MUST_CHECK int comap_scan_record(struct comap_scan *scan, uint64_t size_bytes,
                                                 struct comap_span *ret_span);

/* After COMAP_SCAN_IDLE: sleeps until the file changed or `deadline_ns` (absolute, CLOCK_MONOTONIC)
 * passed. 0; -ETIMEDOUT. Sleeps in the kernel (inotify); no polling. */
COMAP_API COMAP_MUST_CHECK int comap_scan_wait(struct comap_scan *scan, uint64_t deadline_ns);

/* The method that is in use, and the reason where it was chosen ("" where it was asked for). */
COMAP_API enum comap_method comap_scan_method(const struct comap_scan *scan);
COMAP_API const char *comap_scan_reason(const struct comap_scan *scan);

COMAP_END_DECLS
#endif
