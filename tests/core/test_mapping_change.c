/* SPDX-License-Identifier: MIT */
/* What is done to an open mapping: advice, protection, locks, discarding, resizing. memmap2's tests of
 * the same are in here: mprotect, advise, lock, remap, is_supported. */
#include <comap/mapping.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define WRITE(...) COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE, __VA_ARGS__)

static struct comap_map *open_map(const char *path, const struct comap_map_options *options)
{
	struct comap_map *map = NULL;

	MUST(comap_map_open(path, options, &map) == 0);
	return map;
}

/* ---- advice --------------------------------------------------------------------------------- */

static void each_advice_is_taken_or_named(void **state)
{
	static const struct { const char *name; enum comap_advice advice; } all[] = {
#define X(name, number, text) { #name, COMAP_ADVICE_##name },
		COMAP_ADVICE_MAP(X)
#undef X
	};
	struct comap_map *anonymous = NULL;

	assert_int_equal(comap_map_open_anonymous(1 << 21, NULL, &anonymous), 0);
	for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
		int code = comap_map_advise(anonymous, 0, COMAP_MAP_REST, all[i].advice);

		/* COLLAPSE may find no large page, MERGEABLE no ksm; nothing fails without saying so. */
		if (comap_advice_is_supported(all[i].advice) && all[i].advice != COMAP_ADVICE_COLLAPSE)
			assert_int_equal(code, 0);
		else if (code)
			assert_non_null(strstr(comap_error_text(), all[i].name));
	}
	assert_true(comap_advice_is_supported(COMAP_ADVICE_NORMAL));
	assert_true(comap_advice_is_supported(COMAP_ADVICE_RANDOM));
	assert_false(comap_advice_is_supported((enum comap_advice)4));  /* DONTNEED is no advice */
	assert_int_equal(comap_map_advise(anonymous, 0, 1, (enum comap_advice)9), -EINVAL); /* REMOVE nor */
	comap_map_close(anonymous);
}

/* The kernel's answer, asked without comap. */
static void support_is_what_the_kernel_says(void **state)
{
#define X(name, number, text) assert_int_equal(comap_advice_is_supported(COMAP_ADVICE_##name), \
                                               madvise(NULL, 0, number) == 0);
	COMAP_ADVICE_MAP(X)
#undef X
	for (int number = 100; number < 110; number++) /* HWPOISON and guard pages are no advice */
		assert_false(comap_advice_is_supported((enum comap_advice)number));
}

/* " rd wr mr ...", what /proc says of the kernel's area in which the mapping lies: it may have been
 * merged with a neighbour of the same kind. */
static void read_vm_flags(const struct comap_map *map, char *flags, size_t size_bytes)
{
	uintptr_t at = (uintptr_t)comap_map_data(map), begin, end;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[400];
	bool here = false;

	MUST(smaps);
	flags[0] = 0;
	while (fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
			here = at >= begin && at < end;
		if (here && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(flags, size_bytes, "%s", line);
			break;
		}
	}
	fclose(smaps);
	MUST(flags[0]);
}

static void advice_reaches_the_kernel(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "flags", 16 * 4096), NULL);
	char flags[400];

	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_RANDOM), 0);
	assert_int_equal(comap_map_advise(map, 0, COMAP_MAP_REST, COMAP_ADVICE_DONTDUMP), 0);
	read_vm_flags(map, flags, sizeof flags);
	assert_non_null(strstr(flags, " rr "));
	assert_non_null(strstr(flags, " dd "));
	comap_map_close(map);
}

/* A plain mapping beside it: a flag that every mapping has here would prove nothing. */
static void swap_is_not_reserved(void **state)
{
	struct comap_map *plain = NULL, *map = NULL;
	char flags[400], mode = '?';
	FILE *overcommit = fopen("/proc/sys/vm/overcommit_memory", "re");

	MUST(overcommit && fread(&mode, 1, 1, overcommit) == 1);
	fclose(overcommit);
	assert_int_equal(comap_map_open_anonymous(1 << 20, NULL, &plain), 0);
	assert_int_equal(comap_map_open_anonymous(
		1 << 20, COMAP_MAP_OPTIONS(.flags = COMAP_MAP_NORESERVE), &map), 0);
	read_vm_flags(plain, flags, sizeof flags);
	assert_null(strstr(flags, " nr "));
	read_vm_flags(map, flags, sizeof flags);
	assert_int_equal(strstr(flags, " nr ") != NULL, mode != '2'); /* where everything is reserved */
	((char *)comap_map_data_mutable(map))[0] = 1;
	comap_map_close(map);
	comap_map_close(plain);
}

static bool linux_is_at_least(int major, int minor)
{
	struct utsname kernel;
	int found[2] = { 0 };

	MUST(uname(&kernel) == 0 && sscanf(kernel.release, "%d.%d", &found[0], &found[1]) == 2);
	return found[0] > major || (found[0] == major && found[1] >= minor);
}

/* Since Linux 6.7 MAP_STACK keeps large pages out; before, it does nothing. */
static void stack_is_for_private_memory(void **state)
{
	const struct comap_map_options *stack = COMAP_MAP_OPTIONS(.flags = COMAP_MAP_STACK);
	struct comap_map *map = NULL;
	char flags[400];

	assert_int_equal(comap_map_open_anonymous(8 << 20, stack, &map), 0);
	((char *)comap_map_data_mutable(map))[(8 << 20) - 1] = 1; /* a stack starts at its end */
	read_vm_flags(map, flags, sizeof flags);
	if (linux_is_at_least(6, 7))
		assert_non_null(strstr(flags, " nh "));
	comap_map_close(map);
	map = NULL;
	assert_int_equal(comap_map_open_anonymous(
		4096, WRITE(.flags = COMAP_MAP_STACK), &map), -EINVAL);
	assert_int_equal(comap_map_open_memory("stack", 4096, stack, &map), -EINVAL);
	assert_int_equal(comap_map_open(files_make(PROC_DISK, "stack", 4096), stack, &map), -EINVAL);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_ARGUMENT);
	assert_null(map);
}

/* Memory that is poisoned is lost to the machine until it restarts: asked for only where it is sure
 * to be refused. */
static void poison_is_refused_in_words(void **state)
{
	bool known = madvise(NULL, 0, MADV_HWPOISON) == 0 || errno != EINVAL;
	struct comap_map *map = NULL;

	assert_int_equal(comap_map_open_anonymous(8192, NULL, &map), 0);
	assert_int_equal(comap_map_poison(map, 8192), -ERANGE);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BOUNDS);
	assert_int_equal(comap_map_poison(map, UINT64_MAX), -ERANGE);
	if (!known || geteuid() != 0) {
		assert_int_equal(comap_map_poison(map, 4096), known ? -EPERM : -EINVAL);
		assert_non_null(strstr(comap_error_text(), "poisoning"));
	}
	memset(comap_map_data_mutable(map), 1, 8192); /* whole as before */
	comap_map_close(map);
	if (known && geteuid() == 0)
		skip();
}

static void advice_beyond_the_mapping_is_refused(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "bounds", 3 * 4096), NULL);

	/* What memmap2 0.9 lets through: offset and length each inside, their sum not. */
	assert_int_equal(comap_map_advise(map, 8192, 8192, COMAP_ADVICE_RANDOM), -ERANGE);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BOUNDS);
	assert_int_equal(comap_map_advise(map, 3 * 4096, 1, COMAP_ADVICE_RANDOM), -ERANGE);
	assert_int_equal(comap_map_advise(map, 4096, UINT64_MAX - 1, COMAP_ADVICE_RANDOM), -ERANGE);
	assert_int_equal(comap_map_advise(map, UINT64_MAX, COMAP_MAP_REST, COMAP_ADVICE_RANDOM), -ERANGE);
	assert_int_equal(comap_map_advise(map, 3 * 4096, 0, COMAP_ADVICE_RANDOM), 0);
	assert_int_equal(comap_map_advise(map, 100, 5000, COMAP_ADVICE_RANDOM), 0); /* rounded out */
	comap_map_close(map);
}

/* ---- protection ------------------------------------------------------------------------------ */

static int write_first_byte(void *map)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)(uintptr_t)comap_map_data(map) = 'x';
	return 0;
}

static void protection_goes_and_comes(void **state)
{
	struct comap_map *map = open_map(files_make(PROC_DISK, "protected", 8192), WRITE());

	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST, COMAP_PROTECT_READ), 0);
	assert_null(comap_map_data_mutable(map));
	assert_int_equal(proc_wait(proc_spawn("writer", write_first_byte, map)), -SIGSEGV);
	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST, COMAP_PROTECT_READ | COMAP_PROTECT_WRITE), 0);
	*(char *)comap_map_data_mutable(map) = 'y';
	assert_true(files_equal(proc_path(PROC_DISK, "protected"), 0, "y", 1));
	assert_int_equal(comap_map_protect(map, 4096, 4096, COMAP_PROTECT_NONE), 0); /* a part */
	assert_int_equal(comap_map_protect(map, 4096, 4097, COMAP_PROTECT_NONE), -ERANGE);
	assert_int_equal(comap_map_protect(map, 0, 1, 8), -EINVAL);
	comap_map_close(map);
}

static void read_only_handles_stay_so(void **state)
{
	const char *path = files_make(PROC_DISK, "read-only", 4096);
	struct comap_map *map = open_map(path, NULL);

	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST, COMAP_PROTECT_WRITE), -EACCES);
	assert_int_equal(mprotect((void *)(uintptr_t)comap_map_data(map), 4096, PROT_READ | PROT_WRITE), -1);
	comap_map_close(map);
	/* A private copy may become writable: the file does not. */
	map = open_map(path, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY_READ));
	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST, COMAP_PROTECT_READ | COMAP_PROTECT_WRITE), 0);
	*(char *)comap_map_data_mutable(map) = 0;
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 1), 0);
	comap_map_close(map);
	map = open_map(path, NULL);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 4096), 4096);
	comap_map_close(map);
}

static void write_then_run(struct comap_map *map)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0xb8, 0xab, 0, 0, 0, 0xc3 }; /* mov $0xab, %eax; ret */
	int (*function)(void);
	const void *entry;

	memcpy(comap_map_data_mutable(map), code, sizeof code);
	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST,
	                                   COMAP_PROTECT_READ | COMAP_PROTECT_EXECUTE), 0);
	assert_null(comap_map_data_mutable(map));
	entry = comap_map_data(map);
	memcpy(&function, &entry, sizeof function);
	assert_int_equal(function(), 0xab);
	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST,
	                                   COMAP_PROTECT_READ | COMAP_PROTECT_WRITE), 0);
	*(char *)comap_map_data_mutable(map) = 0;
	comap_map_close(map);
#else
	comap_map_close(map);
	skip();
#endif
}

static void code_is_written_then_run(void **state)
{
	struct comap_map *map = NULL;

	assert_int_equal(comap_map_open_anonymous(4096, NULL, &map), 0);
	write_then_run(map);
}

static void code_of_a_file_is_written_then_run(void **state)
{
	write_then_run(open_map(files_make(PROC_DISK, "code", 4096), COMAP_MAP_OPTIONS(.mode = COMAP_MAP_WRITE)));
}

/* ---- locks ----------------------------------------------------------------------------------- */

static uint64_t locked_kb(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long kb = 0;
	char line[200];

	MUST(status);
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "VmLck: %lu", &kb) == 1)
			break;
	fclose(status);
	return kb;
}

static void pages_are_locked(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* the sanitizers turn mlock() into nothing */
#endif
	struct comap_map *map = open_map(files_make(PROC_DISK, "locked", 16 * 4096), NULL);
	uint64_t before_kb = locked_kb();
	unsigned char resident[16];

	assert_int_equal(comap_map_lock(map, 0, COMAP_MAP_REST, COMAP_LOCK_NOW), 0);
	assert_int_equal(locked_kb(), before_kb + 64);
	assert_int_equal(mincore((void *)(uintptr_t)comap_map_data(map), 16 * 4096, resident), 0);
	for (int i = 0; i < 16; i++)
		assert_true(resident[i] & 1);
	assert_int_equal(comap_map_lock(map, 0, COMAP_MAP_REST, COMAP_LOCK_NOW), 0); /* again: no more */
	assert_int_equal(locked_kb(), before_kb + 64);
	assert_int_equal(comap_map_unlock(map, 0, COMAP_MAP_REST), 0);
	assert_int_equal(comap_map_unlock(map, 0, COMAP_MAP_REST), 0);
	assert_int_equal(locked_kb(), before_kb);
	assert_int_equal(comap_map_lock(map, 4096, 4096, COMAP_LOCK_ON_FAULT), 0);
	assert_int_equal(locked_kb(), before_kb + 4);
	assert_int_equal(comap_map_lock(map, 4096, 16 * 4096, COMAP_LOCK_NOW), -ERANGE);
	comap_map_close(map);
	assert_int_equal(locked_kb(), before_kb);
}

static int lock_too_much(void *path)
{
	struct rlimit none = { 0, 0 };
	struct comap_map *map = open_map(path, NULL);

	setrlimit(RLIMIT_MEMLOCK, &none);
	PROC_REQUIRE(geteuid() != 0 || seteuid(65534) == 0);
	PROC_REQUIRE(comap_map_lock(map, 0, COMAP_MAP_REST, COMAP_LOCK_NOW) < 0);
	PROC_REQUIRE(strstr(comap_error_text(), "RLIMIT_MEMLOCK is 0 bytes"));
	return 0;
}

static void lock_names_the_limit(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	const char *path = files_make(PROC_DISK, "limited", 8192);

	proc_assert_ok(proc_spawn("locker", lock_too_much, (void *)(uintptr_t)path));
}

/* ---- what loses data -------------------------------------------------------------------------- */

static void discarding_loses_private_changes(void **state)
{
	struct comap_map *map = NULL, *copy = open_map(files_make(PROC_DISK, "discard", 3 * 4096),
	                                               COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY));

	memset(comap_map_data_mutable(copy), 0, 3 * 4096);
	assert_int_equal(comap_map_discard(copy, 4096, 4096, COMAP_DISCARD_NOW), 0);
	assert_int_equal(files_first_wrong(comap_map_at(copy, 4096, 4096, 1), 4096, 4096), 4096);
	assert_int_equal(*(const char *)comap_map_at(copy, 4095, 1, 1), 0); /* nothing beside it */
	assert_int_equal(*(const char *)comap_map_at(copy, 8192, 1, 1), 0);
	assert_int_equal(comap_map_discard(copy, 4000, 4096, COMAP_DISCARD_NOW), -EINVAL);
	assert_int_equal(comap_map_discard(copy, 0, 100, COMAP_DISCARD_NOW), -EINVAL);
	assert_int_equal(comap_map_discard(copy, 8192, 8192, COMAP_DISCARD_NOW), -ERANGE);
	comap_map_close(copy);
	assert_int_equal(comap_map_open_anonymous(8192, NULL, &map), 0);
	memset(comap_map_data_mutable(map), 'x', 8192);
	assert_int_equal(comap_map_discard(map, 0, 4096, COMAP_DISCARD_NOW), 0);
	assert_int_equal(*(const char *)comap_map_data(map), 0);
	assert_int_equal(comap_map_discard(map, 4096, 4096, COMAP_DISCARD_LAZY), 0);
	comap_map_close(map);
	/* Protection does not keep what is discarded. */
	assert_int_equal(comap_map_open_anonymous(8192, NULL, &map), 0);
	memset(comap_map_data_mutable(map), 'x', 8192);
	assert_int_equal(comap_map_protect(map, 0, COMAP_MAP_REST, COMAP_PROTECT_READ), 0);
	assert_int_equal(comap_map_discard(map, 4096, 4096, COMAP_DISCARD_NOW), 0);
	assert_int_equal(*(const char *)comap_map_at(map, 4095, 1, 1), 'x');
	assert_int_equal(*(const char *)comap_map_at(map, 4096, 1, 1), 0);
	comap_map_close(map);
}

static void punching_frees_the_blocks(void **state)
{
	for (enum proc_place place = 0; place < PROC_PLACES; place++) {
		const char *path = files_make(place, "punched", 8 * 4096);
		struct comap_map *map = open_map(path, WRITE()), *reader = open_map(path, NULL);
		uint64_t before_bytes;
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		MUST(fsync(fd) == 0); /* blocks are counted once they are there */
		close(fd);
		before_bytes = files_allocated_bytes(path);
		assert_int_equal(comap_map_punch(map, 4096, 3 * 4096), 0);
		assert_int_equal(before_bytes - files_allocated_bytes(path), 3 * 4096);
		assert_int_equal(*(const char *)comap_map_at(reader, 4096, 1, 1), 0);
		assert_int_equal(files_first_wrong(comap_map_data(map), 0, 4096), 4096);
		assert_int_equal(files_size_bytes(path), 8 * 4096);
		assert_int_equal(comap_map_punch(reader, 0, 4096), -EACCES);
		assert_int_equal(comap_map_punch(map, 1, 4096), -EINVAL);
		comap_map_close(map);
		comap_map_close(reader);
	}
}

/* ---- resizing --------------------------------------------------------------------------------- */

static void held_space_keeps_pointers(void **state)
{
	for (enum proc_place place = 0; place < PROC_PLACES; place++) {
		const char *path = proc_path(place, "growing");
		struct comap_map *map = open_map(path, WRITE(.flags = COMAP_MAP_CREATE, .maximum_bytes = 8 << 20));
		void *first;

		assert_int_equal(comap_map_size_bytes(map), 0);
		assert_int_equal(comap_map_resize(map, 10, 0), 0);
		first = comap_map_data_mutable(map);
		memcpy(first, "0123456789", 10);
		for (uint64_t size = 4096; size <= 8 << 20; size *= 2) {
			assert_int_equal(comap_map_resize(map, size, 0), 0);
			assert_ptr_equal(comap_map_data(map), first);
			assert_int_equal(files_size_bytes(path), size);
			assert_true(files_allocated_bytes(path) >= size);
			*(char *)comap_map_at_mutable(map, size - 1, 1, 1) = 'e';
		}
		assert_int_equal(comap_map_resize(map, (8 << 20) + 1, 0), -ENOMEM);
		assert_memory_equal(comap_map_data(map), "0123456789", 10);
		assert_int_equal(comap_map_resize(map, 4097, 0), 0);
		assert_null(comap_map_at(map, 4097, 1, 1));
		assert_int_equal(comap_map_resize(map, 16384, 0), 0);
		assert_int_equal(*(const char *)comap_map_at(map, 16383, 1, 1), 'e');
		comap_map_close(map);
	}
}

static void held_space_with_an_offset(void **state)
{
	const char *path = files_make(PROC_DISK, "held-offset", 5000);
	struct comap_map *map = open_map(path, WRITE(.offset_bytes = 4100, .maximum_bytes = 4 << 20));
	const void *first = comap_map_data(map);

	assert_int_equal(comap_map_size_bytes(map), 900);
	assert_int_equal(comap_map_resize(map, 4 << 20, 0), 0);
	assert_ptr_equal(comap_map_data(map), first);
	assert_int_equal(files_size_bytes(path), 4100 + (4 << 20));
	assert_int_equal(files_first_wrong(first, 4100, 900), 900);
	comap_map_close(map);
}

static void mappings_grow_by_moving(void **state)
{
	const char *path = files_make(PROC_DISK, "moving", 4096 + 50);
	struct comap_map *map = open_map(path, WRITE(.offset_bytes = 50));

	assert_int_equal(comap_map_resize(map, 1 << 20, COMAP_RESIZE_MAY_MOVE), 0);
	assert_int_equal(comap_map_size_bytes(map), 1 << 20);
	assert_int_equal(files_first_wrong(comap_map_data(map), 50, 4096), 4096);
	memset(comap_map_data_mutable(map), 'x', 1 << 20);
	assert_int_equal(comap_map_resize(map, 100, 0), 0); /* shrinking never moves */
	assert_int_equal(comap_map_size_bytes(map), 100);
	assert_int_equal(files_size_bytes(path), (1 << 20) + 50);
	assert_int_equal(comap_map_resize(map, 0, 0), 0);
	assert_int_equal(comap_map_resize(map, 200, COMAP_RESIZE_MAY_MOVE), 0);
	assert_int_equal(*(const char *)comap_map_data(map), 'x');
	assert_int_equal(comap_map_resize(map, UINT64_MAX - 20, COMAP_RESIZE_MAY_MOVE), -ENOMEM);
	assert_int_equal(comap_map_resize(map, UINT64_MAX / 2, COMAP_RESIZE_MAY_MOVE), -ENOMEM);
	assert_int_equal(comap_map_size_bytes(map), 200);
	assert_int_equal(comap_map_resize(map, 300, 4), -EINVAL);
	comap_map_close(map);
}

static void readers_grow_as_the_file_does(void **state)
{
	const char *path = files_make(PROC_DISK, "followed", 4096);
	struct comap_map *map = open_map(path, COMAP_MAP_OPTIONS(.maximum_bytes = 1 << 20));

	assert_int_equal(comap_map_resize(map, 8192, 0), -ERANGE);
	files_write(path, 4096, 4096);
	assert_int_equal(comap_map_resize(map, 8192, 0), 0);
	assert_int_equal(files_first_wrong(comap_map_data(map), 0, 8192), 8192);
	comap_map_close(map);
}

static void anonymous_memory_grows(void **state)
{
	for (int shared = 0; shared < 2; shared++) {
		struct comap_map *map = NULL;

		assert_int_equal(comap_map_open_anonymous(100, COMAP_MAP_OPTIONS(
				.mode = shared ? COMAP_MAP_WRITE : COMAP_MAP_COPY), &map), 0);
		strcpy(comap_map_data_mutable(map), "kept");
		assert_int_equal(comap_map_resize(map, 100000, COMAP_RESIZE_MAY_MOVE), 0);
		assert_string_equal(comap_map_data(map), "kept");
		*(char *)comap_map_at_mutable(map, 99999, 1, 1) = 'e'; /* MAP_SHARED|MAP_ANONYMOUS would SIGBUS */
		comap_map_close(map);
	}
}

static void large_pages_are_aligned(void **state)
{
	struct comap_map *map = NULL;

	assert_int_equal(comap_map_open_anonymous(4 << 20, COMAP_MAP_OPTIONS(
			.huge = COMAP_HUGE_TRANSPARENT), &map), 0);
	assert_int_equal((uintptr_t)comap_map_data(map) % (2 << 20), 0);
	memset(comap_map_data_mutable(map), 1, 4 << 20);
	comap_map_close(map);
	/* Reserved ones: there, or an error, but never a signal. */
	if (comap_map_open_anonymous(100, COMAP_MAP_OPTIONS(.huge = COMAP_HUGE_2M), &map) == 0) {
		memset(comap_map_data_mutable(map), 1, 100);
		comap_map_close(map);
	} else {
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NO_MEMORY);
	}
}

static void capabilities_fit_the_kernel(void **state)
{
	unsigned caps = comap_caps();

	assert_int_equal(caps, comap_caps());
	assert_int_equal(!!(caps & COMAP_CAP_POPULATE), comap_advice_is_supported(COMAP_ADVICE_POPULATE_READ));
	assert_true(geteuid() != 0 || access("/proc/kpageflags", R_OK) != 0 || (caps & COMAP_CAP_FRAMES));
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(each_advice_is_taken_or_named),
	PROC_TEST(support_is_what_the_kernel_says),
	PROC_TEST(advice_reaches_the_kernel),
	PROC_TEST(swap_is_not_reserved),
	PROC_TEST(stack_is_for_private_memory),
	PROC_TEST(poison_is_refused_in_words),
	PROC_TEST(advice_beyond_the_mapping_is_refused),
	PROC_TEST(protection_goes_and_comes),
	PROC_TEST(read_only_handles_stay_so),
	PROC_TEST(code_is_written_then_run),
	PROC_TEST(code_of_a_file_is_written_then_run),
	PROC_TEST(pages_are_locked),
	PROC_TEST(lock_names_the_limit),
	PROC_TEST(discarding_loses_private_changes),
	PROC_TEST(punching_frees_the_blocks),
	PROC_TEST(held_space_keeps_pointers),
	PROC_TEST(held_space_with_an_offset),
	PROC_TEST(mappings_grow_by_moving),
	PROC_TEST(readers_grow_as_the_file_does),
	PROC_TEST(anonymous_memory_grows),
	PROC_TEST(large_pages_are_aligned),
	PROC_TEST(capabilities_fit_the_kernel),
};

int main(void)
{
	return cmocka_run_group_tests_name("mapping_change", tests, NULL, NULL);
}
