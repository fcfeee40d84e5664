/* SPDX-License-Identifier: MIT */
/* Mapped bytes: a file, or anonymous memory, as a pointer and a length.
 *
 *     struct comap_map *map;
 *     if (comap_map_open("data.bin", NULL, &map) < 0)
 *             return puts(comap_error_text()), 1;
 *     const unsigned char *bytes = comap_map_data(map);
 *     ... bytes[0] to bytes[comap_map_size_bytes(map) - 1] ...
 *     comap_map_close(map);
 *
 * Defaults, stated once: read only, shared, the whole file, guarded (a page that the file cannot
 * deliver reads as zeros and is reported by comap_map_status(), see guard.h, instead of killing
 * the process). Offsets into a mapping count from its first byte, not from the start of the file.
 *
 * Ownership:  a handle belongs to its opener and is closed once. Pointers into the mapping live until
 *             the close, or until a comap_map_resize() that was allowed to move.
 * Threads:    different handles are independent. On one handle, reading calls (data, at, size, flush,
 *             advise, status) may run in parallel; open, close, resize, protect and repair need the
 *             handle alone.
 * Processes:  each opens its own handle. After fork() the child has the parent's mappings and may use
 *             and close its copy of the handle; a flush belongs to the process that opened.
 * Signals:    only comap_map_data(), comap_map_at() and the size are async-signal-safe, and those
 *             that return NULL with an error only after the thread's first failure.
 * Faults:     touching the bytes may fault in pages, so it may block on I/O. */
#ifndef COMAP_MAPPING_H
#define COMAP_MAPPING_H

#include <comap/base.h>
#include <comap/error.h>

COMAP_BEGIN_DECLS

struct comap_map;

enum comap_map_mode {
	COMAP_MAP_READ = 0,  /* shared, read only. The handle's own descriptor is O_RDONLY: nothing
	                      * that is done through the handle can change the file */
	COMAP_MAP_WRITE,     /* shared, read and write: stores reach the file and everybody else */
	COMAP_MAP_COPY,      /* private: stores stay in this process. The file must not shrink all the
	                      * same: the kernel drops private copies beyond its end */
	COMAP_MAP_COPY_READ, /* private, read only; may be made writable later */
};

enum comap_map_flags {
	COMAP_MAP_CREATE = 1u << 0,    /* with MAP_WRITE: create the file where it is missing */
	COMAP_MAP_EXCLUSIVE = 1u << 1, /* with CREATE: -EEXIST where it is there */
	COMAP_MAP_EXTEND = 1u << 2,    /* with MAP_WRITE: a shorter file grows to hold the mapping, its
	                                * space allocated */
	COMAP_MAP_ALLOCATE = 1u << 3,  /* with MAP_WRITE: allocate holes, and unshare reflinked blocks,
	                                * before the first store, so that a full disk is an error here */
	COMAP_MAP_NOFOLLOW = 1u << 4,  /* refuse a symbolic link as the last part of the path */
	COMAP_MAP_EXECUTE = 1u << 5,   /* executable as well */
	COMAP_MAP_NORESERVE = 1u << 6, /* no swap space set aside (private and anonymous memory) */
	COMAP_MAP_UNGUARDED = 1u << 7, /* a fault is a SIGBUS, as without comap */
	COMAP_MAP_STACK = 1u << 8,     /* private anonymous memory for a thread's stack: MAP_STACK, which
	                                * keeps Linux from making large pages of it unasked */
};

enum comap_huge {
	COMAP_HUGE_NONE = 0,
	COMAP_HUGE_TRANSPARENT, /* 2 MiB alignment and MADV_HUGEPAGE: large pages where there are any */
	COMAP_HUGE_2M,          /* hugetlb pages, reserved by the administrator; anonymous memory only */
	COMAP_HUGE_1G,
};

enum comap_populate {
	COMAP_POPULATE_NONE = 0,
	COMAP_POPULATE_READ,  /* every page is present, and was readable, when the open returns */
	COMAP_POPULATE_WRITE, /* ... and writable: the file has the space */
};

#define COMAP_MAP_TO_END 0u         /* size_bytes: from the offset to the end of the file */
#define COMAP_MAP_EMPTY UINT64_MAX  /* size_bytes: nothing at all */

/* Zero means the default everywhere. New fields are added at the end; `struct_bytes` says which of
 * them the caller's compiler knew. */
struct comap_map_options {
	uint64_t struct_bytes;  /* sizeof(struct comap_map_options) */
	uint32_t mode;          /* enum comap_map_mode */
	uint32_t flags;         /* enum comap_map_flags, or-ed */
	uint64_t offset_bytes;  /* first byte, of any alignment; at most the size of the file */
	uint64_t size_bytes;    /* COMAP_MAP_TO_END; beyond the end of the file: -ERANGE, or EXTEND */
	uint64_t maximum_bytes; /* address space to hold for comap_map_resize(); 0: none. Costs no memory */
	uint32_t huge;          /* enum comap_huge */
	uint32_t populate;      /* enum comap_populate */
	uint32_t create_mode;   /* permissions of a created file; 0: 0600 */
	uint32_t seals;         /* comap_map_open_memory(): enum comap_seal, or-ed */
};

/* COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, .flags = COMAP_MAP_CREATE) */
#define COMAP_MAP_OPTIONS(...) \
	(&(struct comap_map_options){ .struct_bytes = sizeof(struct comap_map_options), __VA_ARGS__ })

/* Seals of a memory file, for ever. With SHRINK the mapping cannot fault: comap_map_may_fault() is
 * false in every process that opens it, and nothing is guarded. */
enum comap_seal {
	COMAP_SEAL_SHRINK = 1u << 0,
	COMAP_SEAL_GROW = 1u << 1,
	COMAP_SEAL_WRITE_LATER = 1u << 2, /* this mapping writes on; nobody else gets to write */
	COMAP_SEAL_SEALS = 1u << 3,       /* no further seals */
};

/* Maps a file by its path. `options` NULL: the defaults. An empty file, or an offset at its end,
 * gives a mapping of 0 bytes.
 *
 * Fails with the system's own errno (cause NOT_FOUND, PERMISSION, NO_MEMORY ...), -EINVAL (ARGUMENT:
 * options that contradict each other; NOT_REGULAR: folder, FIFO, device), -ERANGE (BOUNDS: offset or
 * size beyond the file), -ENOSPC or -EFBIG (NO_SPACE: EXTEND or ALLOCATE found none; SIGXFSZ is not
 * raised), -EEXIST.
 * Costs a few system calls, and no I/O unless populated. The path may be renamed or unlinked
 * afterwards: the mapping stays with the file. */
COMAP_API COMAP_MUST_CHECK int comap_map_open(const char *path, const struct comap_map_options *options,
                                              struct comap_map **ret_map);

/* The same for an open file. The descriptor stays the caller's and may be closed at once: the handle
 * opens the file anew (through /proc), so that it shares neither access mode nor locks nor write-back
 * errors with it. Where that is not permitted, a descriptor that has exactly the access needed is
 * duplicated; -EACCES (PERMISSION) otherwise. -EINVAL (ARGUMENT) with CREATE. */
COMAP_API COMAP_MUST_CHECK int comap_map_open_fd(int fd, const struct comap_map_options *options,
                                                 struct comap_map **ret_map);

/* Zeroed memory without a file. MAP_COPY (and the default, MAP_READ, taken as MAP_COPY): private,
 * a forked child gets a copy. MAP_WRITE: shared with children that are forked later. 0 bytes are
 * possible. -EINVAL for offset, CREATE, EXTEND; -ENOMEM. */
COMAP_API COMAP_MUST_CHECK int comap_map_open_anonymous(uint64_t size_bytes,
                                                        const struct comap_map_options *options,
                                                        struct comap_map **ret_map);

/* Zeroed memory that has a descriptor (comap_map_descriptor()) to hand to other processes, mapped for
 * writing, its memory allocated, then sealed with options->seals. `name` is for /proc; at most 249
 * characters, may be NULL. -ENOSPC or -ENOMEM where there is no memory. */
COMAP_API COMAP_MUST_CHECK int comap_map_open_memory(const char *name, uint64_t size_bytes,
                                                     const struct comap_map_options *options,
                                                     struct comap_map **ret_map);

/* Unmaps and forgets; NULL is allowed. Does not flush: what was stored is in the kernel's hands and
 * survives the process, but not yet a power cut. */
COMAP_API void comap_map_close(struct comap_map *map);

/* The first byte, never NULL (an empty mapping gives a pointer that must not be followed). The
 * writable form is NULL with -EACCES (READ_ONLY) where the mapping may not be written. */
COMAP_API const void *comap_map_data(const struct comap_map *map);
COMAP_API void *comap_map_data_mutable(struct comap_map *map);
COMAP_API uint64_t comap_map_size_bytes(const struct comap_map *map);

/* The address of `size_bytes` bytes at `offset_bytes`, checked: NULL with -ERANGE (BOUNDS) where they
 * are not all inside, -EINVAL (ARGUMENT) where the address is no multiple of `align_bytes` (a power of
 * two; 0 and 1: any). Arithmetic does not wrap. */
COMAP_API const void *comap_map_at(const struct comap_map *map, uint64_t offset_bytes,
                                   uint64_t size_bytes, uint64_t align_bytes);
COMAP_API void *comap_map_at_mutable(struct comap_map *map, uint64_t offset_bytes,
                                     uint64_t size_bytes, uint64_t align_bytes);

/* The handle's descriptor, or -1 for memory without one: to hand on, to poll, to stat. Belongs to the
 * handle; closing it is a bug. */
COMAP_API int comap_map_descriptor(const struct comap_map *map);

/* False where no access inside the mapping can raise SIGBUS: empty, anonymous, or sealed against
 * shrinking. */
COMAP_API bool comap_map_may_fault(const struct comap_map *map);

/* One line about the mapping, as comap_type_print() writes. */
COMAP_API size_t comap_map_describe(const struct comap_map *map, char *buffer, size_t size_bytes);

/* Advice to the kernel: name, number, in words. */
#define COMAP_ADVICE_MAP(X) \
	X(NORMAL, 0, "nothing special") \
	X(RANDOM, 1, "no read-ahead: for jumps; ruinous for scans") \
	X(SEQUENTIAL, 2, "much read-ahead") \
	X(WILLNEED, 3, "start reading now") \
	X(DONTFORK, 10, "a child does not get it") \
	X(DOFORK, 11, "undo DONTFORK") \
	X(MERGEABLE, 12, "equal private pages may be merged") \
	X(UNMERGEABLE, 13, "undo MERGEABLE") \
	X(HUGEPAGE, 14, "large pages wanted") \
	X(NOHUGEPAGE, 15, "large pages unwanted") \
	X(DONTDUMP, 16, "leave it out of core dumps") \
	X(DODUMP, 17, "undo DONTDUMP") \
	X(COLD, 20, "reclaim it early") \
	X(PAGEOUT, 21, "reclaim it now") \
	X(POPULATE_READ, 22, "fault in for reading, report what fails") \
	X(POPULATE_WRITE, 23, "fault in for writing, report what fails") \
	X(COLLAPSE, 25, "make large pages now")

enum comap_advice {
#define X(name, number, text) COMAP_ADVICE_##name = number,
	COMAP_ADVICE_MAP(X)
#undef X
};

#define COMAP_MAP_REST UINT64_MAX /* a size: up to the end of the mapping */

/* Advises about a range, rounded out to whole pages but never beyond the mapping. Advice that could
 * lose data has functions of its own, below. -ERANGE (BOUNDS) where the range is not inside; the
 * kernel's errno otherwise, -EINVAL (UNSUPPORTED where the kernel does not know the advice). */
COMAP_API int comap_map_advise(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                               enum comap_advice advice);
/* What this kernel knows. */
COMAP_API bool comap_advice_is_supported(enum comap_advice advice);

enum comap_protection {
	COMAP_PROTECT_NONE = 0,
	COMAP_PROTECT_READ = 1u << 0,
	COMAP_PROTECT_WRITE = 1u << 1,
	COMAP_PROTECT_EXECUTE = 1u << 2,
};

/* Changes what may be done to the pages of a range, rounded out. -EACCES (READ_ONLY) for WRITE on a
 * MAP_READ handle; -ERANGE; the kernel's errno. */
COMAP_API COMAP_MUST_CHECK int comap_map_protect(struct comap_map *map, uint64_t offset_bytes,
                                                 uint64_t size_bytes, unsigned protection);

/* Keeps the pages of a range in memory; ON_FAULT: from when they are first touched. -ENOMEM or -EAGAIN
 * (NO_MEMORY) with the limit in the error's text where RLIMIT_MEMLOCK is too small. */
enum comap_lock_when { COMAP_LOCK_NOW, COMAP_LOCK_ON_FAULT };
COMAP_API COMAP_MUST_CHECK int comap_map_lock(struct comap_map *map, uint64_t offset_bytes,
                                              uint64_t size_bytes, enum comap_lock_when when);
COMAP_API int comap_map_unlock(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes);

/* LOSES DATA. Forgets the process's own pages of a range: private pages read as the file again,
 * anonymous ones as zeros; a shared file mapping loses nothing. LAZY: when memory is short (private
 * anonymous only). The range must be whole pages (or end with the mapping): -EINVAL otherwise. */
enum comap_discard { COMAP_DISCARD_NOW, COMAP_DISCARD_LAZY };
COMAP_API COMAP_MUST_CHECK int comap_map_discard(struct comap_map *map, uint64_t offset_bytes,
                                                 uint64_t size_bytes, enum comap_discard how);
/* LOSES DATA, FOR EVERYBODY. Frees the file's blocks of a range: it reads as zeros in every process
 * and on disk. MAP_WRITE only: -EACCES (READ_ONLY). Whole pages. The next store needs space again. */
COMAP_API COMAP_MUST_CHECK int comap_map_punch(struct comap_map *map, uint64_t offset_bytes,
                                               uint64_t size_bytes);
/* LOSES DATA. Marks the memory behind one page as broken, as failing hardware would; for tests, with
 * CAP_SYS_ADMIN and a kernel built for it. */
COMAP_API COMAP_MUST_CHECK int comap_map_poison(struct comap_map *map, uint64_t offset_bytes);

enum comap_resize_flags {
	COMAP_RESIZE_MAY_MOVE = 1u << 0, /* all pointers into the mapping may become invalid */
};

/* Makes the mapping longer or shorter. Within options.maximum_bytes no pointer moves. Growing a
 * MAP_WRITE mapping grows the file as needed, space first: -ENOSPC and -EFBIG leave everything as it
 * was. A MAP_READ mapping grows as far as the file does: -ERANGE. Shrinking unmaps; the file keeps
 * its size. -ENOMEM (NO_MEMORY) where the neighbours are in the way and moving was not allowed, or the
 * maximum is reached. -EFAULT (SYSTEM) where the guard replaced pages: repair first. */
COMAP_API COMAP_MUST_CHECK int comap_map_resize(struct comap_map *map, uint64_t size_bytes,
                                                unsigned flags);

/* What the kernel can do, found out once per process. */
enum comap_cap {
	COMAP_CAP_POPULATE = 1u << 0,     /* MADV_POPULATE_*, Linux 5.14 */
	COMAP_CAP_COLLAPSE = 1u << 1,     /* MADV_COLLAPSE, 6.1 */
	COMAP_CAP_CACHESTAT = 1u << 2,    /* cachestat(), 6.5 */
	COMAP_CAP_PAGEMAP_SCAN = 1u << 3, /* PAGEMAP_SCAN, 6.7 */
	COMAP_CAP_SEAL_WRITE_LATER = 1u << 4, /* F_SEAL_FUTURE_WRITE, 5.1 */
	COMAP_CAP_WIPE_ON_FORK = 1u << 5, /* MADV_WIPEONFORK, 4.14 */
	COMAP_CAP_MSEAL = 1u << 6,        /* mseal(), 6.10 */
	COMAP_CAP_FRAMES = 1u << 7,       /* page frame numbers are shown to this process */
};
COMAP_API unsigned comap_caps(void);

COMAP_END_DECLS
#endif
