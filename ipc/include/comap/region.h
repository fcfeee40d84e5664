/* SPDX-License-Identifier: MIT */
/* Regions: open, close, look.
 *
 * A region is one file that several processes map. To attach is to take a seat in it, which needs
 * write permission; a guest needs read permission only, and leaves no trace.
 *
 * Names: without a slash, a file in $COMAP_DIR, or else in the user's own folder under /dev/shm
 * (comap-UID, made with mode 0700); with a slash, a path. At most 200 characters.
 *
 * Defaults, once for all functions: a pointer is NULL and an int is negative when a call fails, and
 * comap_error_text() says why; NULL handles are -EINVAL; strings and types are copied; handles may
 * be used by all threads of the process at once. After fork() the child holds the handles but is not
 * attached: calls return -ECHILD until comap_attach(). exec() and death detach. Nothing here is
 * async-signal-safe but comap_read_begin() and comap_read_end() (rcu.h) on an attached thread. */
#ifndef COMAP_REGION_H
#define COMAP_REGION_H

#include <comap/base.h>
#include <comap/error.h>

COMAP_BEGIN_DECLS

struct comap;

enum comap_flags {
	COMAP_CREATE = 1 << 0,    /* attach, or create the region where there is none */
	COMAP_EXCLUSIVE = 1 << 1, /* with CREATE: -EEXIST where there is one */
	COMAP_WAIT = 1 << 2,      /* wait until the region, and later its objects, exist */
	COMAP_GUEST = 1 << 3,     /* read permission only: no seat, no mark, nothing held back */
	COMAP_FENCED = 1 << 4,    /* with CREATE: readers fence themselves, no membarrier() needed */
};

/* What a writer does when readers pin more than the budget. */
enum comap_pin_policy {
	COMAP_PIN_FAIL = 0, /* -EBUSY, and the last error names the seat that stays */
	COMAP_PIN_WAIT = 1, /* wait until it goes or dies */
};

struct rcu_flavor_struct; /* <urcu/flavor.h> */

#define COMAP_OWNER_DEFAULT (-1) /* the caller's effective user, or root */
#define COMAP_OWNER_ANY (-2)     /* whoever: you trust everybody who could have made the file */

/* Zero means the default for every field. */
struct comap_options {
	size_t size_bytes;       /* sizeof(struct comap_options): COMAP_OPTIONS_INIT sets it */
	uint32_t flags;          /* enum comap_flags */
	uint32_t mode;           /* at creation; default 0600. The umask does not apply */
	uint64_t heap_max_bytes; /* at creation; default 64 GiB, at most 64 TiB. Address space and a
	                            hole in the file, not memory */
	uint32_t seat_count;     /* at creation; processes at once; default 1024, at most 65000 */
	uint32_t thread_count;   /* at creation; threads of all of them; default 4096, at most 65000 */
	uint32_t object_count;   /* at creation; default 1024 */
	const char *seat_name;   /* shown by `comap ps`; default: the program's name; 31 characters */
	uint64_t deadline_ns;    /* for COMAP_WAIT; default COMAP_FOREVER */
	int64_t owner_uid;       /* a user, or COMAP_OWNER_...; 0 is the default too: say
	                            COMAP_OWNER_ROOT to insist on root */
	uint64_t pin_budget_bytes; /* at creation: so many retired bytes may wait for readers; default: a
	                            quarter of heap_max_bytes */
	uint32_t pin_policy;     /* at creation: enum comap_pin_policy */
	/* The process is built on liburcu: every rcu_read_lock() section of this flavour (of memb or
	 * bp) protects region memory too, by one mark for the whole process. host.c tells how. */
	const struct rcu_flavor_struct *host_flavor;
};
#define COMAP_OWNER_ROOT (-3)
#define COMAP_OPTIONS_INIT { sizeof(struct comap_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Opens the region `name`, attaching to it or creating it as the flags (enum comap_flags) say. One
 * process opens one path once: further opens give the same handle and count it; an open of what the
 * process has open is a lookup without a lock. Every handle is to be closed. (Two paths to one file,
 * by a link or a bind mount, are two handles with a seat each, and mean the same region.)
 * Errors: -ENOENT there is none (without CREATE and WAIT); -EACCES no permission; -EINVAL not a
 * regular file, or flags that exclude each other; -EBADMSG empty, short, foreign or damaged;
 * -EPROTONOSUPPORT a newer format, unknown features, another byte order or layout; -EPERM another
 * owner; -ELOOP a link in a world-writable folder; -ENAMETOOLONG; -EOPNOTSUPP a network file system;
 * -ESTALE a copy of a live region, or left unclean by a machine that went down; -EUSERS all seats
 * taken; -ENOSPC; -ETIMEDOUT.
 * Cost of the first open: some 20 system calls. */
COMAP_API struct comap *comap_open(const char *name, uint32_t flags);
COMAP_API struct comap *comap_open_with(const char *name, const struct comap_options *options);

/* Gives one open back. Open objects of the region count as opens of it: the last close of all waits
 * for the process's threads that are inside read sections or lookups, detaches and unmaps. NULL is
 * fine. -EDEADLK, and nothing closed, when the calling thread is inside a read section of it. */
COMAP_API int comap_close(struct comap *region);

/* In a forked child: takes a seat of its own, as comap_open() does there too. 0 where the process is
 * attached already. */
COMAP_API int comap_attach(struct comap *region);

/* 0 while all is well; -ESTALE (TRUNCATED) after somebody has cut the file off under those who have it
 * open, -ENOSPC or -EIO where a page could not be had: what was read from the region since the last 0
 * may have been zeros, what was stored is lost, and every other call says so too. It stays so: unlink the
 * region and create it anew. Guests too. Costs a few loads. (The first open installs the guard's handler
 * of SIGBUS, see guard.h; with COMAP_GUARD_OFF this is always 0 and such a page ends the process.) */
COMAP_API int comap_status(struct comap *region);

/* Takes the name away and marks the region superseded: those who have it go on, and their waits
 * end with -ESTALE. -ENOENT. */
COMAP_API int comap_unlink(const char *name);

/* The path behind a name. Makes no folder. -ENAMETOOLONG where it does not fit. */
COMAP_API int comap_path(const char *name, char *buffer, size_t size_bytes);

/* What a region is and holds, at a moment. Works for guests. Sizes in bytes, times CLOCK_REALTIME. */
struct comap_info {
	char uuid[37];
	uint32_t format_version;
	bool fenced;
	bool clean;                 /* the last one left in order; false while somebody is attached */
	bool superseded;
	uint32_t attached;          /* as counted; `comap ps` asks the kernel */
	uint32_t seat_count, thread_count, object_count;
	uint32_t seat_high_water, thread_high_water;
	uint64_t birth_time_ns;
	uint64_t epoch, completed, horizon;
	uint64_t file_bytes;        /* length of the file, holes included */
	uint64_t allocated_bytes;   /* what it takes on its file system */
	uint64_t heap_max_bytes;
	uint64_t heap_committed_bytes;
	uint64_t retired_bytes;     /* waiting for a grace period */
	uint64_t grace_periods, deaths, sweeps, adopted_blocks;
	uint64_t evictions;         /* evictable read sections that a writer has ended */
};
COMAP_API int comap_info(struct comap *region, struct comap_info *ret_info);

/* What the checker found: every block of the heap, from the roots, exactly once. */
struct comap_check {
	uint64_t flaws;
	char first_flaw[160];       /* "" without flaws */
	uint64_t objects, blocks, intents;
	uint64_t committed_bytes, published_bytes, retired_bytes, private_bytes, free_bytes;
};
/* Checks the structures of the whole region. 0: in order; 1: flaws; negative: could not be done.
 * Works for guests; takes no lock and writes nothing. Where others are at work, what is between two
 * states may be counted as a flaw: check again, or when nobody is attached. Time: the heap's size. */
COMAP_API int comap_check(struct comap *region, struct comap_check *ret_report);

/* One object of the directory. */
struct comap_object {
	char name[48];
	const char *kind;           /* "value", ...; static */
	uint64_t created_ns;
	char type_name[32];         /* "" when untyped */
	uint32_t type_size_bytes;
	uint32_t field_count;
};
/* The `index`th object, from 0. -ENOENT past the last one. Works for guests. */
COMAP_API int comap_object_at(struct comap *region, uint32_t index, struct comap_object *ret_object);

/* The field list of an object as the region keeps it; NULL when it is untyped or unknown (then
 * comap_error_text() tells which). Owned by the caller: free(). */
struct comap_type;
COMAP_API struct comap_type *comap_object_type(struct comap *region, const char *name);

COMAP_END_DECLS
#endif
