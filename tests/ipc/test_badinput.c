/* SPDX-License-Identifier: MIT */
/* What is no region, or not one to trust: every row is refused with its own cause and words, to
 * guests, to those who attach and to those who would create; nothing is written to the file. */
#include <comap.h>

#include "damage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- files ---------------------------------------------------------------------------------- */

static void make_file(const char *path, size_t size_bytes, char fill)
{
	char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	memset(block, fill, sizeof block);
	for (size_t left = size_bytes; left > 0;) {
		size_t part = left < sizeof block ? left : sizeof block;

		assert_int_equal(write(fd, block, part), part);
		left -= part;
	}
	close(fd);
}

static void make_empty(const char *path) { make_file(path, 0, 0); }
static void make_text(const char *path) { make_file(path, 300000, 'x'); }
static void make_folder(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }
static void make_fifo(const char *path) { assert_int_equal(mkfifo(path, 0600), 0); }
static void make_nothing(const char *path) { unlink(path); }

static void make_short(const char *path, off_t size)
{
	damage_region(path);
	assert_int_equal(truncate(path, size), 0);
}

static void make_half_header(const char *path) { make_short(path, 100); }
static void make_header_only(const char *path)
{
	make_short(path, sizeof(struct comap_identity_shm));
}

/* One byte is missing of what the control part says is there. */
static void make_clipped(const char *path)
{
	struct stat stat_buffer;

	damage_region(path);
	assert_int_equal(stat(path, &stat_buffer), 0);
	assert_int_equal(truncate(path, stat_buffer.st_size - 1), 0);
}

static void make_other_magic(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.magic[0] ^= 0x20;
	damage_identity_seal(path, &identity);
}

static void make_newer(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.format_version = COMAP_FORMAT_VERSION + 1;
	damage_identity_seal(path, &identity);
}

static void make_unknown_feature(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.incompat |= 1ull << 63;
	damage_identity_seal(path, &identity);
}

/* As a big-endian machine would have it: every number swapped, the sum too. */
static void make_swapped(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.byte_order = __builtin_bswap32(identity.byte_order);
	identity.format_version = __builtin_bswap32(identity.format_version);
	damage_identity_seal(path, &identity);
	identity.checksum = __builtin_bswap64(identity.checksum);
	damage_identity_write(path, &identity);
}

static void make_other_layout(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.fingerprint ^= 1;
	damage_identity_seal(path, &identity);
}

static void make_flipped(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.heap_max_bytes ^= 1u << 21;
	damage_identity_write(path, &identity);
}

static void make_contradiction(const char *path)
{
	struct comap_identity_shm identity;

	damage_region(path);
	identity = damage_identity_read(path);
	identity.seats_offset_bytes = identity.heap_offset_bytes + identity.heap_max_bytes;
	damage_identity_seal(path, &identity);
}

static void make_copy(const char *path)
{
	char command[600];
	struct comap *region;

	damage_region(proc_path(PROC_SHM, "original"));
	region = comap_open(proc_path(PROC_SHM, "original"), 0);
	assert_non_null(region); /* in use, so the copy may be torn */
	snprintf(command, sizeof command, "cp --sparse=always '%s' '%s'",
	         proc_path(PROC_SHM, "original"), path);
	assert_int_equal(system(command), 0);
	assert_int_equal(comap_close(region), 0);
	unlink(proc_path(PROC_SHM, "original"));
}

static const struct {
	const char *name;
	void (*make)(const char *path);
	int code;
	enum comap_cause cause;
	bool creates;              /* COMAP_CREATE is no error */
} rows[] = {
	{ "missing", make_nothing, -ENOENT, COMAP_CAUSE_NOT_FOUND, true },
	{ "empty", make_empty, -EBADMSG, COMAP_CAUSE_EMPTY, false },
	{ "folder", make_folder, -EINVAL, COMAP_CAUSE_NOT_REGULAR, false },
	{ "fifo", make_fifo, -EINVAL, COMAP_CAUSE_NOT_REGULAR, false },
	{ "text", make_text, -EBADMSG, COMAP_CAUSE_MAGIC, false },
	{ "half-header", make_half_header, -EBADMSG, COMAP_CAUSE_SHORT, false },
	{ "header-only", make_header_only, -EBADMSG, COMAP_CAUSE_SHORT, false },
	{ "clipped", make_clipped, -EBADMSG, COMAP_CAUSE_SHORT, false },
	{ "magic", make_other_magic, -EBADMSG, COMAP_CAUSE_MAGIC, false },
	{ "newer", make_newer, -EPROTONOSUPPORT, COMAP_CAUSE_VERSION, false },
	{ "feature", make_unknown_feature, -EPROTONOSUPPORT, COMAP_CAUSE_FEATURE, false },
	{ "swapped", make_swapped, -EPROTONOSUPPORT, COMAP_CAUSE_BYTE_ORDER, false },
	{ "layout", make_other_layout, -EPROTONOSUPPORT, COMAP_CAUSE_LAYOUT, false },
	{ "flipped", make_flipped, -EBADMSG, COMAP_CAUSE_CHECKSUM, false },
	{ "contradiction", make_contradiction, -EBADMSG, COMAP_CAUSE_CORRUPT, false },
	{ "copy", make_copy, -ESTALE, COMAP_CAUSE_COPY, false },
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* --- the table ------------------------------------------------------------------------------ */

/* The file's path out of the sentence: what is left must be the row's own. */
static void keep_words(const char *path, char *words, size_t size_bytes)
{
	const char *text = comap_error_text(), *at = strstr(text, path);

	snprintf(words, size_bytes, "%.*s%s", at ? (int)(at - text) : 0, text,
	         at ? at + strlen(path) : text);
}

static void test_each_is_refused_in_its_own_words(void **state)
{
	static char words[ROW_COUNT][sizeof(((struct comap_error *)0)->text)];

	(void)state;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const char *path = proc_path(PROC_SHM, rows[i].name);
		uint64_t digest;

		rows[i].make(path);
		digest = damage_digest(path);
		for (size_t j = 0; j < 3; j++) {
			if (damage_flags[j] == COMAP_CREATE && rows[i].creates)
				continue;
			damage_assert_refused(path, damage_flags[j], rows[i].code, rows[i].cause);
		}
		assert_int_equal(damage_digest(path), digest); /* nothing was written to it */
		keep_words(path, words[i], sizeof words[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(words[i], words[j]) == 0 && rows[i].make != make_fifo &&
			    rows[i].cause != COMAP_CAUSE_MAGIC && rows[i].cause != COMAP_CAUSE_SHORT)
				fail_msg("%s and %s: the same words", rows[i].name, rows[j].name);
		remove(path);
	}
}

/* Every bit of the identity counts. */
static void test_every_flipped_byte_is_noticed(void **state)
{
	const char *path = proc_path(PROC_SHM, "flip");
	struct comap_identity_shm whole, damaged;
	struct comap *region;

	(void)state;
	damage_region(path);
	whole = damage_identity_read(path);
	for (size_t i = 0; i < sizeof whole; i++) {
		damaged = whole;
		((uint8_t *)&damaged)[i] ^= (uint8_t)(1u << (i % 8));
		damage_identity_write(path, &damaged);
		region = damage_open(path, COMAP_GUEST, 0);
		if (region)
			fail_msg("the change of byte %zu was not noticed", i);
	}
	damage_identity_write(path, &whole);
	region = damage_open(path, 0, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

/* A hostile creator sums its lies: whatever a number of the identity says, it is refused, or what
 * can be looked at is looked at without harm. */
static void test_lies_that_are_summed_do_no_harm(void **state)
{
	static const uint64_t lies[] = { 0, 1, 4096, 65536, 1ull << 32, 1ull << 46, 1ull << 63,
	                                 UINT64_MAX };
	const char *path = proc_path(PROC_SHM, "lie");
	struct comap_identity_shm whole, lie;

	(void)state;
	damage_region(path);
	whole = damage_identity_read(path);
	for (size_t at = offsetof(struct comap_identity_shm, barrier_mode);
	     at < offsetof(struct comap_identity_shm, checksum); at += 4) {
		for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
			struct comap *region;

			lie = whole;
			memcpy((uint8_t *)&lie + at, &lies[i],
			       at % 8 ? 4 : 8);
			damage_identity_seal(path, &lie);
			region = damage_open(path, COMAP_GUEST, 0);
			if (region)
				damage_look(region);
			assert_int_equal(comap_close(region), 0);
		}
	}
}

/* A word of a part, mostly of what is in use there. */
static uint64_t some_word(const struct comap_identity_shm *identity)
{
	const struct {
		uint64_t offset, used_bytes;
	} parts[] = {
		{ COMAP_IDENTITY_BYTES, sizeof(struct comap_control_shm) },
		{ identity->objects_offset_bytes, 2 * sizeof(struct comap_object_shm) },
		{ identity->seats_offset_bytes, 4 * sizeof(struct comap_seat_shm) },
		{ identity->threads_offset_bytes, 4 * sizeof(struct comap_thread_shm) },
		{ identity->rings_offset_bytes, 4096 },
		{ identity->cells_offset_bytes, 4 * COMAP_CELL_BYTES },
		{ identity->pages_offset_bytes, 4 * sizeof(struct comap_page_shm) },
		{ identity->heap_offset_bytes, 4096 },
	};
	uint64_t part = proc_random_below(sizeof parts / sizeof parts[0]);

	return parts[part].offset + 8 * proc_random_below(parts[part].used_bytes / 8);
}

/* Bytes behind the identity are writers' bytes: whatever they are, looking ends, and harms nobody. */
static void test_scribbled_parts_do_no_harm(void **state)
{
	const char *path = proc_path(PROC_SHM, "scribble");
	struct comap_identity_shm identity;
	struct comap *region;
	int fd;

	(void)state;
	damage_region(path);
	identity = damage_identity_read(path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t word = proc_random() >> proc_random_below(64), before = 0;
		uint64_t at = some_word(&identity);

		assert_true(pread(fd, &before, sizeof before, (off_t)at) >= 0);
		assert_int_equal(pwrite(fd, &word, sizeof word, (off_t)at), sizeof word);
		region = damage_open(path, COMAP_GUEST, 0);
		if (region)
			damage_look(region);
		assert_int_equal(comap_close(region), 0);
		if (i % 16 == 0)
			continue; /* this one stays, for the next ones to meet */
		assert_int_equal(pwrite(fd, &before, sizeof before, (off_t)at), sizeof before);
	}
	close(fd);
}

/* --- bits that are no obstacle to everybody --------------------------------------------------- */

static void test_compatible_bits(void **state)
{
	const char *path = proc_path(PROC_SHM, "bits");
	struct comap_identity_shm identity;
	struct comap *region;

	(void)state;
	damage_region(path);
	identity = damage_identity_read(path);
	identity.compat |= 1ull << 62;
	damage_identity_seal(path, &identity);
	region = damage_open(path, 0, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);

	identity.read_only_compat |= 1ull << 62;
	damage_identity_seal(path, &identity);
	damage_assert_refused(path, 0, -EPROTONOSUPPORT, COMAP_CAUSE_FEATURE);
	region = damage_open(path, COMAP_GUEST, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

/* --- two who are the first at once -------------------------------------------------------------- */

static int attach_late(void *path)
{
	struct comap *region;

	proc_fault(PROC_FAULT_STOP, "home.looked", 1);
	region = comap_open(path, 0);
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	PROC_REQUIRE_OK(comap_status(region));
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

/* A clean file that was moved or is from before a restart becomes the first attacher's, and is in use from
 * then on: whoever is looking at it meanwhile must not take it for a copy of one in use. */
static void test_two_who_come_first_are_both_let_in(void **state)
{
	const char *original = proc_path(PROC_SHM, "original"), *path = proc_path(PROC_SHM, "moved");
	struct comap *region;
	struct proc *late;
	char command[600];

	if (!proc_has_faults())
		skip();
	damage_region(original);
	snprintf(command, sizeof command, "cp --sparse=always '%s' '%s'", original, path);
	assert_int_equal(system(command), 0);
	late = proc_spawn("late", attach_late, (void *)(uintptr_t)path);
	assert_int_equal(proc_wait_stopped(late), 0);
	region = comap_open(path, 0);
	assert_non_null(region);
	proc_continue(late);
	proc_assert_ok(late);
	assert_int_equal(comap_close(region), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_each_is_refused_in_its_own_words),
		PROC_TEST(test_every_flipped_byte_is_noticed),
		PROC_TEST(test_lies_that_are_summed_do_no_harm),
		PROC_TEST(test_scribbled_parts_do_no_harm),
		PROC_TEST(test_compatible_bits),
		PROC_TEST(test_two_who_come_first_are_both_let_in),
	};

	return cmocka_run_group_tests_name("badinput", tests, NULL, NULL);
}
