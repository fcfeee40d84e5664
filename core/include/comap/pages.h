/* SPDX-License-Identifier: MIT */
/* Pages: what of a file is in memory, in whose page tables, and whether it is the same memory.
 *
 * Four questions, from cheap to privileged:
 *
 *     is it in the page cache?           comap_pages_cached()    mincore, of a mapped range
 *                                        comap_pages_cache()     cachestat, of a descriptor
 *     what do my own page tables hold?   comap_pages_held()      /proc/self/pagemap
 *     what does a process pay for it?    comap_pages_file()      /proc/PID/smaps: RSS, PSS, shared ...
 *     is it one physical copy?           comap_pages_frames()    /proc/PID/pagemap, CAP_SYS_ADMIN
 *                                        comap_pages_compare()
 *                                        comap_pages_mapcount()  /proc/kpagecount, root
 *
 * What the kernel does not tell is an error here (-EPERM, -EACCES, -EOPNOTSUPP) with the reason in
 * the last error, never a zero that looks like an answer. Every number is a snapshot: processes run
 * on while it is taken.
 *
 * Threads: any.  Signals: not async-signal-safe (they read files under /proc).  Fork: no state.
 * None of these functions touches the pages it asks about: nothing is faulted in, nothing can
 * fault. Cost: comap_pages_file() makes the kernel walk every page table of the process: about a
 * millisecond per GiB mapped in small pages, with that process's map lock held. Not for a hot
 * path. */
#ifndef COMAP_PAGES_H
#define COMAP_PAGES_H

#include <comap/base.h>

#include <sys/types.h>

COMAP_BEGIN_DECLS

/* A file as the lists of mappings name it. On most file systems st_dev and st_ino; on those where
 * stat() answers with numbers of its own (overlay, btrfs) comap_pages_key() still gets it right. */
struct comap_pages_key {
	uint64_t device; /* as makedev() packs it */
	uint64_t inode;
};

/* The key of the file that `fd` has open, for reading at least. 0; -EBADF, -EACCES, -ENODEV (a file
 * that cannot be mapped). Maps one page of it for a moment and looks itself up in
 * /proc/self/maps. */
COMAP_API COMAP_MUST_CHECK int comap_pages_key(int fd, struct comap_pages_key *ret_key);

/* What mappings cost a process, in bytes. */
struct comap_pages {
	uint64_t mapped_bytes;        /* address space */
	uint64_t rss_bytes;           /* in its page tables; counts shared pages in full */
	uint64_t pss_bytes;           /* the same, each page divided by the number of its sharers */
	uint64_t shared_clean_bytes;  /* in at least one other page table as well */
	uint64_t shared_dirty_bytes;
	uint64_t private_clean_bytes; /* in this page table only (a shared file may well be) */
	uint64_t private_dirty_bytes;
	uint64_t huge_bytes;          /* mapped by entries of the size of a huge page */
	uint64_t locked_bytes;        /* share of locked pages, as PSS counts */
	uint64_t swap_bytes;
	uint64_t page_table_bytes;    /* of the whole process; 0 from comap_pages_file() */
	uint32_t mapping_count;       /* 0 from comap_pages_process(), which sums before it counts */
};

/* All mappings of a process: smaps_rollup and VmPTE. `pid` 0 is the caller.
 * 0; -ESRCH: no such process, or it has ended; -EACCES: it belongs to another user. */
COMAP_API COMAP_MUST_CHECK int comap_pages_process(pid_t pid, struct comap_pages *ret_pages);

/* The mappings of one file in one process, summed. A process that does not map the file is no
 * error: all counts are 0. Errors as comap_pages_process(). */
COMAP_API COMAP_MUST_CHECK int comap_pages_file(pid_t pid, struct comap_pages_key key,
                                                struct comap_pages *ret_pages);

/* The processes that map the file, in the order of /proc: at most `pid_max` are written to
 * `ret_pids`, all are counted in *ret_count. *ret_hidden counts processes whose mappings this user
 * may not read: where it is not 0 the list may be short. Processes of other PID namespaces are not
 * seen. */
COMAP_API COMAP_MUST_CHECK int comap_pages_sharers(struct comap_pages_key key, pid_t *ret_pids,
                                                   size_t pid_max, size_t *ret_count,
                                                   size_t *ret_hidden);

/* No page of the process's page table stands for this page of the file. */
#define COMAP_FRAME_NONE 0

/* Page frame numbers of the file's pages first_page .. first_page + page_count - 1 (pages of the
 * machine, sysconf(_SC_PAGESIZE)) in one process; COMAP_FRAME_NONE where it has not mapped or not
 * touched the page. Private copies of a page have frames of their own. `pid` 0 is the caller.
 * 0; -EPERM: the kernel hides frame numbers from a process without CAP_SYS_ADMIN (the entries of
 * pages that are present are 0); -ESRCH, -EACCES as above. */
COMAP_API COMAP_MUST_CHECK int comap_pages_frames(pid_t pid, struct comap_pages_key key,
                                                  uint64_t first_page, size_t page_count,
                                                  uint64_t *ret_frames);

/* How the page tables of two processes agree over a range of a file. */
struct comap_pages_match {
	uint64_t page_count; /* asked about */
	uint64_t both_count; /* present in both */
	uint64_t same_count; /* in both, and the same frame: one physical copy */
};

/* Compares the frames of two processes. Errors as comap_pages_frames(). The pages are compared one
 * moment after the other: a page that is migrated in between counts as different. */
COMAP_API COMAP_MUST_CHECK int comap_pages_compare(pid_t a, pid_t b, struct comap_pages_key key,
                                                   uint64_t first_page, size_t page_count,
                                                   struct comap_pages_match *ret_match);

/* For each frame, in how many page tables it stands (0 for COMAP_FRAME_NONE). For frames of large
 * folios newer kernels may answer with the folio's average. 0; -EPERM, -ENOENT: /proc/kpagecount is
 * for root, and for kernels built with it. */
COMAP_API COMAP_MUST_CHECK int comap_pages_mapcount(const uint64_t *frames, size_t frame_count,
                                                    uint64_t *ret_counts);

/* The size in bytes of the folio (the unit in which the page cache holds the file) around a frame:
 * one page, up to 2 MiB and more. 0; -EPERM, -ENOENT: as above; -EINVAL: COMAP_FRAME_NONE. */
COMAP_API COMAP_MUST_CHECK int comap_pages_folio(uint64_t frame, uint64_t *ret_bytes);

/* How many pages of a mapped range are in the page cache. `address` need not be aligned: the pages
 * that the range touches are counted. 0; -ENOMEM: not mapped.
 * The kernel answers "all of them" where the caller neither owns the file nor may write to it. */
COMAP_API COMAP_MUST_CHECK int comap_pages_cached(const void *address, size_t size_bytes,
                                                  uint64_t *ret_page_count);

/* What the caller's own page table holds of a range. */
struct comap_pages_held {
	uint64_t page_count;      /* in the range */
	uint64_t present_count;   /* in the page table: a touch does not fault */
	uint64_t exclusive_count; /* in no other page table */
	uint64_t file_count;      /* of a file, or of shared anonymous memory */
	uint64_t swapped_count;
};

/* 0; -EOPNOTSUPP: no pagemap in this kernel. Needs no privilege. */
COMAP_API COMAP_MUST_CHECK int comap_pages_held(const void *address, size_t size_bytes,
                                                struct comap_pages_held *ret_held);

/* What the page cache holds of a file, in pages, mapped by somebody or not. */
struct comap_pages_cache {
	uint64_t cached_count;
	uint64_t dirty_count;     /* not yet on its way to the disk */
	uint64_t writeback_count; /* on its way */
	uint64_t evicted_count;   /* was there once */
};

/* `size_bytes` 0 means: to the end. 0; -EOPNOTSUPP: kernel older than 6.5, or a file system that
 * has no page cache; -EPERM: newer kernels answer only who owns the file or may write to it. Cost:
 * walks the cache: about 20 us per MiB in small pages. */
COMAP_API COMAP_MUST_CHECK int comap_pages_cache(int fd, uint64_t offset_bytes, uint64_t size_bytes,
                                                 struct comap_pages_cache *ret_cache);

COMAP_END_DECLS
#endif
