/* SPDX-License-Identifier: MIT */
/* Pages: what is in memory, and whose page tables say so.
 *
 * Lives in:   /proc; no state of its own
 * Progress:   bounded by the number of mappings, processes and pages asked about
 * Limits:     a snapshot. A mapping that appears or goes while the list is read may be missed or
 *             counted; a page may move between two looks (compaction, migration) */
#include <comap/pages.h>

#include "error.h"
#include "vm.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* Bits of an entry of pagemap, and of kpageflags. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define PAGEMAP_FRAME ((UINT64_C(1) << 55) - 1)
#define KPAGE_COMPOUND_HEAD (UINT64_C(1) << 15)
#define KPAGE_COMPOUND_TAIL (UINT64_C(1) << 16)

#define BATCH_ENTRIES 512u              /* words of pagemap and friends per read: one page of them */
#define FOLIO_PAGES_MAX (UINT64_C(1) << 18) /* 1 GiB in 4 KiB pages: the largest that hardware maps */

/* One line of /proc/PID/maps, or a head line of smaps. */
struct mapping_line {
	uint64_t start, end, offset_bytes;
	struct comap_pages_key key;
};

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_STREAM __attribute__((cleanup(close_stream))) FILE *
#define AUTO_FD __attribute__((cleanup(close_fd))) int

static void proc_path(char path[static 48], pid_t pid, const char *file)
{
	if (pid == 0)
		snprintf(path, 48, "/proc/self/%s", file);
	else
		snprintf(path, 48, "/proc/%d/%s", (int)pid, file);
}

static int fail_process(int code, pid_t pid, const char *file)
{
	if (code == ENOENT || code == ESRCH)
		return comap__fail_errno(ESRCH, "process %d is not there", (int)pid);
	return comap__fail_errno(code, "cannot read %s of process %d", file, (int)pid);
}

static int open_process(pid_t pid, const char *file, FILE **ret_stream)
{
	char path[48];
	FILE *stream;

	if (pid < 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%d is no process", (int)pid);
	proc_path(path, pid, file);
	stream = fopen(path, "re");
	if (!stream)
		return fail_process(errno, pid, file);
	*ret_stream = stream;
	return 0;
}

/* A file under /proc ends, or the process does: reads of a process that went away fail. */
static int check_stream(FILE *stream, pid_t pid, const char *file)
{
	return ferror(stream) ? fail_process(errno, pid, file) : 0;
}

static bool parse_mapping(const char *text, struct mapping_line *ret_line)
{
	struct mapping_line line;
	unsigned major_number, minor_number;

	if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %x:%x %" SCNu64, &line.start,
	           &line.end, &line.offset_bytes, &major_number, &minor_number,
	           &line.key.inode) != 6)
		return false;
	line.key.device = makedev(major_number, minor_number);
	*ret_line = line;
	return true;
}

static bool key_same(struct comap_pages_key a, struct comap_pages_key b)
{
	return a.device == b.device && a.inode == b.inode;
}

/* What the mapping at `address` of this process is called. */
static int find_own_mapping(uint64_t address, struct comap_pages_key *ret_key)
{
	AUTO_STREAM stream = NULL;
	char text[PATH_MAX + 256];
	struct mapping_line line;
	int code = open_process(0, "maps", &stream);

	if (code)
		return code;
	while (fgets(text, sizeof text, stream))
		if (parse_mapping(text, &line) && line.start <= address && address < line.end) {
			*ret_key = line.key;
			return 0;
		}
	return comap__fail(COMAP_CAUSE_UNSUPPORTED, "a new mapping is not listed in /proc/self/maps");
}

int comap_pages_key(int fd, struct comap_pages_key *ret_key)
{
	size_t page_bytes = comap__vm_page_bytes();
	void *page;
	int code;

	if (!ret_key)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the key was given");
	/* Never touched, so an empty file will do. */
	code = comap__vm_map(page_bytes, PROT_READ, MAP_SHARED, fd, 0, &page);
	if (code)
		return comap__fail_errno(code, "cannot map descriptor %d to identify its file", fd);
	code = find_own_mapping((uintptr_t)page, ret_key);
	comap__vm_unmap(page, page_bytes);
	return code;
}

static const struct {
	const char *name;
	size_t member;
} counters[] = {
	{ "Size", offsetof(struct comap_pages, mapped_bytes) },
	{ "Rss", offsetof(struct comap_pages, rss_bytes) },
	{ "Pss", offsetof(struct comap_pages, pss_bytes) },
	{ "Shared_Clean", offsetof(struct comap_pages, shared_clean_bytes) },
	{ "Shared_Dirty", offsetof(struct comap_pages, shared_dirty_bytes) },
	{ "Private_Clean", offsetof(struct comap_pages, private_clean_bytes) },
	{ "Private_Dirty", offsetof(struct comap_pages, private_dirty_bytes) },
	{ "AnonHugePages", offsetof(struct comap_pages, huge_bytes) },
	{ "ShmemPmdMapped", offsetof(struct comap_pages, huge_bytes) },
	{ "FilePmdMapped", offsetof(struct comap_pages, huge_bytes) },
	{ "Locked", offsetof(struct comap_pages, locked_bytes) },
	{ "Swap", offsetof(struct comap_pages, swap_bytes) },
	{ "VmSize", offsetof(struct comap_pages, mapped_bytes) },    /* from status, for the whole */
	{ "VmPTE", offsetof(struct comap_pages, page_table_bytes) }, /* process */
};

/* "Pss:        512 kB" is added to the counter of that name; other lines are passed over. */
static void add_counter(const char *text, struct comap_pages *pages)
{
	const char *colon = strchr(text, ':');
	uint64_t kib;

	if (!colon || sscanf(colon + 1, " %" SCNu64 " kB", &kib) != 1)
		return;
	for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
		if (strlen(counters[i].name) == (size_t)(colon - text) &&
		    strncmp(counters[i].name, text, (size_t)(colon - text)) == 0)
			*(uint64_t *)(void *)((char *)pages + counters[i].member) += kib * 1024;
}

static int add_all_counters(pid_t pid, const char *file, struct comap_pages *pages)
{
	AUTO_STREAM stream = NULL;
	char text[PATH_MAX + 256];
	int code = open_process(pid, file, &stream);

	if (code)
		return code;
	while (fgets(text, sizeof text, stream))
		add_counter(text, pages);
	return check_stream(stream, pid, file);
}

int comap_pages_process(pid_t pid, struct comap_pages *ret_pages)
{
	struct comap_pages pages = { 0 };
	int code;

	if (!ret_pages)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the counts was given");
	code = add_all_counters(pid, "smaps_rollup", &pages);
	if (code)
		return code;
	code = add_all_counters(pid, "status", &pages);
	if (code)
		return code;
	*ret_pages = pages;
	return 0;
}

int comap_pages_file(pid_t pid, struct comap_pages_key key, struct comap_pages *ret_pages)
{
	AUTO_STREAM stream = NULL;
	struct comap_pages pages = { 0 };
	struct mapping_line line;
	char text[PATH_MAX + 256];
	bool inside = false;
	int code;

	if (!ret_pages)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the counts was given");
	code = open_process(pid, "smaps", &stream);
	if (code)
		return code;
	while (fgets(text, sizeof text, stream)) {
		if (parse_mapping(text, &line)) {
			inside = key_same(line.key, key);
			pages.mapping_count += inside;
		} else if (inside) {
			add_counter(text, &pages);
		}
	}
	code = check_stream(stream, pid, "smaps");
	if (code)
		return code;
	*ret_pages = pages;
	return 0;
}

/* 1: maps the file, 0: does not, or has ended meanwhile; negative: not to be read. */
static int process_maps(pid_t pid, struct comap_pages_key key)
{
	AUTO_STREAM stream = NULL;
	struct mapping_line line;
	char text[PATH_MAX + 256];
	int code = open_process(pid, "maps", &stream);

	if (code)
		return code == -ESRCH ? 0 : code;
	while (fgets(text, sizeof text, stream))
		if (parse_mapping(text, &line) && key_same(line.key, key))
			return 1;
	code = check_stream(stream, pid, "maps");
	return code == -ESRCH ? 0 : code;
}

int comap_pages_sharers(struct comap_pages_key key, pid_t *ret_pids, size_t pid_max,
                        size_t *ret_count, size_t *ret_hidden)
{
	size_t count = 0, hidden = 0;
	struct dirent *entry;
	DIR *processes;

	if (!ret_count || !ret_hidden || (!ret_pids && pid_max))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the result was given");
	processes = opendir("/proc");
	if (!processes)
		return comap__fail_errno(errno, "cannot list /proc");
	while ((entry = readdir(processes))) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
		int maps = pid ? process_maps(pid, key) : 0;

		if (maps > 0 && count < pid_max)
			ret_pids[count] = pid;
		count += maps > 0;
		hidden += maps < 0;
	}
	closedir(processes);
	*ret_count = count;
	*ret_hidden = hidden;
	return 0;
}

/* Reads `count` words of a file that is a table of 64-bit words. */
static int read_words(int fd, uint64_t index, size_t count, uint64_t *ret_words)
{
	size_t done_bytes = 0, size_bytes = count * sizeof *ret_words;

	while (done_bytes < size_bytes) {
		ssize_t got = pread(fd, (char *)ret_words + done_bytes, size_bytes - done_bytes,
		                    (off_t)(index * sizeof *ret_words + done_bytes));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ESRCH; /* the address space is gone */
		done_bytes += (size_t)got;
	}
	return 0;
}

/* Where a mapping and the pages asked about overlap: frames of the overlap go into their places. */
static int frames_of_mapping(int pagemap, const struct mapping_line *line, uint64_t first_page,
                             size_t page_count, uint64_t *frames)
{
	uint64_t page_bytes = comap__vm_page_bytes();
	uint64_t line_first = line->offset_bytes / page_bytes;
	uint64_t line_end = line_first + (line->end - line->start) / page_bytes;
	uint64_t from = first_page > line_first ? first_page : line_first;
	uint64_t to = first_page + page_count < line_end ? first_page + page_count : line_end;

	for (uint64_t page = from; page < to;) {
		uint64_t entries[BATCH_ENTRIES];
		size_t count = to - page < BATCH_ENTRIES ? (size_t)(to - page) : BATCH_ENTRIES;
		int code = read_words(pagemap, line->start / page_bytes + page - line_first, count, entries);

		if (code)
			return code;
		for (size_t i = 0; i < count; i++) {
			uint64_t frame = entries[i] & PAGEMAP_FRAME;

			if (!(entries[i] & PAGEMAP_PRESENT))
				continue;
			if (frame == 0)
				return -EPERM;
			frames[page - first_page + i] = frame;
		}
		page += count;
	}
	return 0;
}

static int frames_fail(int code, pid_t pid)
{
	if (code == -EPERM)
		return comap__fail_errno(EPERM, "the kernel hides the page frames of process %d: "
		                         "CAP_SYS_ADMIN is needed", (int)pid);
	return fail_process(-code, pid, "pagemap");
}

int comap_pages_frames(pid_t pid, struct comap_pages_key key, uint64_t first_page,
                       size_t page_count, uint64_t *ret_frames)
{
	AUTO_STREAM stream = NULL;
	AUTO_FD pagemap = -1;
	struct mapping_line line;
	char path[48], text[PATH_MAX + 256];
	uint64_t end_page;
	int code = open_process(pid, "maps", &stream);

	if (code)
		return code;
	if (!ret_frames || __builtin_add_overflow(first_page, page_count, &end_page))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the frames, or an impossible range");
	proc_path(path, pid, "pagemap");
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return frames_fail(-errno, pid);
	memset(ret_frames, 0, page_count * sizeof *ret_frames);
	while (fgets(text, sizeof text, stream)) {
		if (!parse_mapping(text, &line) || !key_same(line.key, key))
			continue;
		code = frames_of_mapping(pagemap, &line, first_page, page_count, ret_frames);
		if (code)
			return frames_fail(code, pid);
	}
	return check_stream(stream, pid, "maps");
}

static void count_match(const uint64_t *a, const uint64_t *b, size_t count,
                        struct comap_pages_match *match)
{
	for (size_t i = 0; i < count; i++) {
		bool both = a[i] != COMAP_FRAME_NONE && b[i] != COMAP_FRAME_NONE;

		match->both_count += both;
		match->same_count += both && a[i] == b[i];
	}
	match->page_count += count;
}

int comap_pages_compare(pid_t a, pid_t b, struct comap_pages_key key, uint64_t first_page,
                        size_t page_count, struct comap_pages_match *ret_match)
{
	struct comap_pages_match match = { 0 };
	uint64_t *frames;
	int code;

	if (!ret_match || page_count > SIZE_MAX / (2 * sizeof *frames))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the result, or too many pages");
	frames = malloc(page_count ? page_count * 2 * sizeof *frames : 1);
	if (!frames)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for %zu page frames", page_count);
	code = comap_pages_frames(a, key, first_page, page_count, frames);
	if (code == 0)
		code = comap_pages_frames(b, key, first_page, page_count, frames + page_count);
	if (code == 0) {
		count_match(frames, frames + page_count, page_count, &match);
		*ret_match = match;
	}
	free(frames);
	return code;
}

static int open_root_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return comap__fail_errno(EPERM, "%s is for root", path);
	if (fd < 0)
		return comap__fail_errno(errno, "cannot open %s", path);
	*ret_fd = fd;
	return 0;
}

int comap_pages_mapcount(const uint64_t *frames, size_t frame_count, uint64_t *ret_counts)
{
	AUTO_FD kpagecount = -1;
	size_t run;
	int code;

	if (frame_count && (!frames || !ret_counts))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no frames, or no place for their counts");
	code = open_root_file("/proc/kpagecount", &kpagecount);
	/* Neighbours in the file are mostly neighbours in memory: one read for each run. */
	for (size_t i = 0; i < frame_count && code == 0; i += run) {
		run = 1;
		ret_counts[i] = 0;
		if (frames[i] == COMAP_FRAME_NONE)
			continue;
		while (i + run < frame_count && frames[i + run] == frames[i] + run)
			run++;
		code = read_words(kpagecount, frames[i], run, ret_counts + i);
		if (code)
			return comap__fail_errno(code, "cannot read /proc/kpagecount");
	}
	return code;
}

/* The frames after `frame` that belong to the same folio. */
static int count_tails(int kpageflags, uint64_t frame, uint64_t *ret_count)
{
	uint64_t flags[BATCH_ENTRIES], count = 0;

	while (count < FOLIO_PAGES_MAX) {
		int code = read_words(kpageflags, frame + 1 + count, BATCH_ENTRIES, flags);

		if (code)
			return code;
		for (size_t i = 0; i < BATCH_ENTRIES; i++, count++)
			if (!(flags[i] & KPAGE_COMPOUND_TAIL)) {
				*ret_count = count;
				return 0;
			}
	}
	*ret_count = count;
	return 0;
}

int comap_pages_folio(uint64_t frame, uint64_t *ret_bytes)
{
	AUTO_FD kpageflags = -1;
	uint64_t flags = KPAGE_COMPOUND_TAIL, tails = 0;
	int code;

	if (frame == COMAP_FRAME_NONE || !ret_bytes)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no frame, or no place for its folio's size");
	code = open_root_file("/proc/kpageflags", &kpageflags);
	if (code)
		return code;
	code = read_words(kpageflags, frame, 1, &flags);
	/* A tail's head lies below it, at most a folio away. */
	for (uint64_t steps = 0; code == 0 && (flags & KPAGE_COMPOUND_TAIL) && frame &&
	     steps < FOLIO_PAGES_MAX; steps++)
		code = read_words(kpageflags, --frame, 1, &flags);
	if (code == 0 && (flags & KPAGE_COMPOUND_HEAD))
		code = count_tails(kpageflags, frame, &tails);
	if (code)
		return comap__fail_errno(code, "cannot read /proc/kpageflags");
	*ret_bytes = (tails + 1) * comap__vm_page_bytes();
	return 0;
}

/* The pages that a range touches; one that runs over the end of the address space is cut there. */
static size_t page_range(const void *address, size_t size_bytes, uintptr_t *ret_first)
{
	uintptr_t page_bytes = comap__vm_page_bytes(), end;

	if (__builtin_add_overflow((uintptr_t)address, size_bytes, &end))
		end = -page_bytes;
	*ret_first = (uintptr_t)address & -page_bytes;
	return size_bytes ? (end - *ret_first + page_bytes - 1) / page_bytes : 0;
}

int comap_pages_cached(const void *address, size_t size_bytes, uint64_t *ret_page_count)
{
	uintptr_t page_bytes = comap__vm_page_bytes(), first;
	size_t count = page_range(address, size_bytes, &first), batch;
	unsigned char in_core[4096];
	uint64_t cached = 0;

	if (!ret_page_count)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the count was given");
	for (size_t page = 0; page < count; page += batch) {
		batch = count - page < sizeof in_core ? count - page : sizeof in_core;
		if (mincore((void *)(first + page * page_bytes), batch * page_bytes, in_core) != 0)
			return comap__fail_errno(errno, "mincore cannot tell what is resident");
		for (size_t i = 0; i < batch; i++)
			cached += in_core[i] & 1;
	}
	*ret_page_count = cached;
	return 0;
}

static void count_held(const uint64_t *entries, size_t count, struct comap_pages_held *held)
{
	for (size_t i = 0; i < count; i++) {
		bool present = entries[i] & PAGEMAP_PRESENT;

		held->present_count += present;
		held->exclusive_count += present && (entries[i] & PAGEMAP_EXCLUSIVE);
		held->file_count += present && (entries[i] & PAGEMAP_FILE);
		held->swapped_count += (entries[i] & PAGEMAP_SWAPPED) != 0;
	}
}

int comap_pages_held(const void *address, size_t size_bytes, struct comap_pages_held *ret_held)
{
	AUTO_FD pagemap = -1;
	uintptr_t first;
	struct comap_pages_held held = { .page_count = page_range(address, size_bytes, &first) };
	uint64_t entries[BATCH_ENTRIES];

	if (!ret_held)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the counts was given");
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return comap__fail(COMAP_CAUSE_UNSUPPORTED, "this kernel has no /proc/self/pagemap");
	for (uint64_t page = 0; page < held.page_count; page += BATCH_ENTRIES) {
		uint64_t left = held.page_count - page;
		size_t batch = left < BATCH_ENTRIES ? (size_t)left : BATCH_ENTRIES;
		int code = read_words(pagemap, first / comap__vm_page_bytes() + page, batch, entries);

		if (code)
			return comap__fail_errno(code, "cannot read /proc/self/pagemap");
		count_held(entries, batch, &held);
	}
	*ret_held = held;
	return 0;
}

int comap_pages_cache(int fd, uint64_t offset_bytes, uint64_t size_bytes,
                      struct comap_pages_cache *ret_cache)
{
	/* As the kernel declares them; the headers of Debian 12 are older than the call. */
	struct { uint64_t offset_bytes, size_bytes; } range = { offset_bytes, size_bytes };
	struct { uint64_t cache, dirty, writeback, evicted, recently_evicted; } counts;

	if (!ret_cache)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no place for the counts was given");
	if (syscall(SYS_cachestat, fd, &range, &counts, 0) != 0) {
		if (errno == ENOSYS)
			return comap__fail(COMAP_CAUSE_UNSUPPORTED,
			                   "the kernel does not tell what is cached: it has no cachestat");
		return comap__fail_errno(errno, "cannot tell what of descriptor %d is cached", fd);
	}
	ret_cache->cached_count = counts.cache;
	ret_cache->dirty_count = counts.dirty;
	ret_cache->writeback_count = counts.writeback;
	ret_cache->evicted_count = counts.evicted;
	return 0;
}
