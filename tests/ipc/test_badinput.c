/* SPDX-License-Identifier: MIT */
/* What is no region, or not one to trust: every row is refused with its own cause and words, to
 * guests, to those who attach and to those who would create; nothing is written to the file. */
#include <comap.h>

#include "../kit/proc.h"
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sched.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define STRANGER 54321

struct tick {
	uint64_t at_ns;
	double price;
};
COMAP_FIELDS(struct tick, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f64, price));


static const uint32_t all_flags[] = { COMAP_GUEST, 0, COMAP_CREATE };

/* --- files ---------------------------------------------------------------------------------- */

static void make_region(const char *path)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;
	struct comap_value *value;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 16u << 20;
	options.seat_count = 4;
	options.thread_count = 16;
	options.object_count = 8;
	region = comap_open_with(path, &options);
	if (!region)
		fail_msg("create %s: %s", path, comap_error_text());
	value = comap_value_open(region, "tick", COMAP_TYPE(struct tick));
	assert_non_null(value);
	assert_int_equal(comap_value_put(value, &(struct tick){ 7, 1.5 }, sizeof(struct tick)), 0);
	comap_value_close(value);
	assert_int_equal(comap_close(region), 0);
}

static struct comap_identity_shm read_identity(const char *path)
{
	struct comap_identity_shm identity;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &identity, sizeof identity, 0), sizeof identity);
	close(fd);
	return identity;
}

static void write_identity(const char *path, const struct comap_identity_shm *identity)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, identity, sizeof *identity, 0), sizeof *identity);
	close(fd);
}

/* A lie told properly. */
static void write_summed(const char *path, struct comap_identity_shm *identity)
{
	identity->checksum = XXH64(identity, offsetof(struct comap_identity_shm, checksum), 0);
	write_identity(path, identity);
}

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
	make_region(path);
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

	make_region(path);
	assert_int_equal(stat(path, &stat_buffer), 0);
	assert_int_equal(truncate(path, stat_buffer.st_size - 1), 0);
}

static void make_other_magic(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.magic[0] ^= 0x20;
	write_summed(path, &identity);
}

static void make_newer(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.format_version = COMAP_FORMAT_VERSION + 1;
	write_summed(path, &identity);
}

static void make_unknown_feature(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.incompat |= 1ull << 63;
	write_summed(path, &identity);
}

/* As a big-endian machine would have it: every number swapped, the sum too. */
static void make_swapped(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.byte_order = __builtin_bswap32(identity.byte_order);
	identity.format_version = __builtin_bswap32(identity.format_version);
	write_summed(path, &identity);
	identity.checksum = __builtin_bswap64(identity.checksum);
	write_identity(path, &identity);
}

static void make_other_layout(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.fingerprint ^= 1;
	write_summed(path, &identity);
}

static void make_flipped(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.heap_max_bytes ^= 1u << 21;
	write_identity(path, &identity);
}

static void make_contradiction(const char *path)
{
	struct comap_identity_shm identity;

	make_region(path);
	identity = read_identity(path);
	identity.seats_offset_bytes = identity.heap_offset_bytes + identity.heap_max_bytes;
	write_summed(path, &identity);
}

static void make_copy(const char *path)
{
	char command[600];
	struct comap *region;

	make_region(proc_path(PROC_SHM, "original"));
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

static struct comap *open_as(const char *path, uint32_t flags, int64_t owner_uid)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.owner_uid = owner_uid;
	return comap_open_with(path, &options);
}

static void assert_refused(const char *path, uint32_t flags, int code, enum comap_cause cause)
{
	struct comap *region = open_as(path, flags, 0);

	if (region)
		fail_msg("%s was opened with flags %u", path, flags);
	if (comap_last_error()->code != -code || comap_last_error()->cause != cause)
		fail_msg("%s, flags %u: %s (errno %d), not %s: %s", path, flags,
		         comap_cause_name(comap_last_error()->cause), comap_last_error()->code,
		         comap_cause_name(cause), comap_error_text());
	/* A sentence, not a word, and it names the file. */
	assert_true(strlen(comap_error_text()) > strlen(path) + 10);
	assert_non_null(strstr(comap_error_text(), strrchr(path, '/') + 1));
}

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

		rows[i].make(path);
		for (size_t j = 0; j < 3; j++) {
			if (all_flags[j] == COMAP_CREATE && rows[i].creates)
				continue;
			assert_refused(path, all_flags[j], rows[i].code, rows[i].cause);
		}
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
	make_region(path);
	whole = read_identity(path);
	for (size_t i = 0; i < sizeof whole; i++) {
		damaged = whole;
		((uint8_t *)&damaged)[i] ^= (uint8_t)(1u << (i % 8));
		write_identity(path, &damaged);
		region = open_as(path, COMAP_GUEST, 0);
		if (region)
			fail_msg("the change of byte %zu was not noticed", i);
	}
	write_identity(path, &whole);
	region = open_as(path, 0, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

/* A hostile creator sums its lies: whatever a number of the identity says, it is refused, or what
 * can be looked at is looked at without harm. */
static void look_at_everything(struct comap *region)
{
	struct comap_info info;
	struct comap_object object;
	struct comap_seat seat;
	struct comap_value *value;
	char bytes[64];

	if (comap_info(region, &info) != 0)
		return;
	for (uint32_t i = 0; i < 100 && comap_object_at(region, i, &object) == 0; i++)
		free(comap_object_type(region, object.name));
	for (uint32_t i = 0; i < 100; i++)
		(void)comap_seat_at(region, i, &seat);
	value = comap_value_open(region, "tick", NULL);
	if (value)
		(void)comap_value_get(value, bytes, sizeof bytes, NULL);
	comap_value_close(value);
}

static void test_lies_that_are_summed_do_no_harm(void **state)
{
	static const uint64_t lies[] = { 0, 1, 4096, 65536, 1ull << 32, 1ull << 46, 1ull << 63,
	                                 UINT64_MAX };
	const char *path = proc_path(PROC_SHM, "lie");
	struct comap_identity_shm whole, lie;

	(void)state;
	make_region(path);
	whole = read_identity(path);
	for (size_t at = offsetof(struct comap_identity_shm, barrier_mode);
	     at < offsetof(struct comap_identity_shm, checksum); at += 4) {
		for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
			struct comap *region;

			lie = whole;
			memcpy((uint8_t *)&lie + at, &lies[i],
			       at % 8 ? 4 : 8);
			write_summed(path, &lie);
			region = open_as(path, COMAP_GUEST, 0);
			if (region)
				look_at_everything(region);
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
	make_region(path);
	identity = read_identity(path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t word = proc_random() >> proc_random_below(64), before = 0;
		uint64_t at = some_word(&identity);

		assert_true(pread(fd, &before, sizeof before, (off_t)at) >= 0);
		assert_int_equal(pwrite(fd, &word, sizeof word, (off_t)at), sizeof word);
		region = open_as(path, COMAP_GUEST, 0);
		if (region)
			look_at_everything(region);
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
	make_region(path);
	identity = read_identity(path);
	identity.compat |= 1ull << 62;
	write_summed(path, &identity);
	region = open_as(path, 0, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);

	identity.read_only_compat |= 1ull << 62;
	write_summed(path, &identity);
	assert_refused(path, 0, -EPROTONOSUPPORT, COMAP_CAUSE_FEATURE);
	region = open_as(path, COMAP_GUEST, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

/* --- whose file ------------------------------------------------------------------------------- */

static void test_other_owner(void **state)
{
	const char *path = proc_path(PROC_SHM, "foreign");
	struct comap *region;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can give a file away\n");
		skip();
	}
	make_region(path);
	assert_int_equal(chown(path, STRANGER, (gid_t)-1), 0);
	assert_refused(path, 0, -EPERM, COMAP_CAUSE_OWNER);
	assert_refused(path, COMAP_CREATE, -EPERM, COMAP_CAUSE_OWNER);
	assert_null(open_as(path, 0, COMAP_OWNER_ROOT));
	/* Guests look at whatever they can read, unless they are particular. */
	assert_null(open_as(path, COMAP_GUEST, COMAP_OWNER_DEFAULT));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_OWNER);
	region = open_as(path, COMAP_GUEST, 0);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
	region = open_as(path, 0, STRANGER);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
	region = open_as(path, COMAP_GUEST, COMAP_OWNER_ANY);
	assert_non_null(region);
	assert_int_equal(comap_close(region), 0);
}

static void test_link_in_world_writable_folder(void **state)
{
	const char *path = proc_path(PROC_SHM, "target");
	const char *folder = proc_path(PROC_SHM, "open-to-all");
	char link_path[600];
	struct comap *region;

	(void)state;
	make_region(path);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(link_path, sizeof link_path, "%s/link", folder);
	assert_int_equal(symlink(path, link_path), 0);
	region = open_as(link_path, 0, 0);
	assert_non_null(region); /* one's own folder: one's own link */
	assert_int_equal(comap_close(region), 0);

	assert_int_equal(chmod(folder, 01777), 0);
	for (size_t i = 0; i < 3; i++)
		assert_refused(link_path, all_flags[i], -ELOOP, COMAP_CAUSE_LINK);
	unlink(link_path);
	rmdir(folder);
}

static int stranger_role(void *arg)
{
	const char *path = arg;
	struct comap *region;

	PROC_REQUIRE(setgid(STRANGER) == 0 && setuid(STRANGER) == 0);
	for (size_t i = 0; i < 3; i++) {
		PROC_REQUIRE(!open_as(path, all_flags[i], COMAP_OWNER_ANY));
		PROC_REQUIRE(comap_last_error()->code == EACCES);
		PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_PERMISSION);
	}
	proc_post(0);
	proc_await(1, 1);
	/* Now the mode is 0644: looking is allowed, attaching is not. */
	PROC_REQUIRE(!open_as(path, 0, COMAP_OWNER_ANY));
	PROC_REQUIRE(comap_last_error()->code == EACCES);
	region = open_as(path, COMAP_GUEST, COMAP_OWNER_ANY);
	PROC_REQUIRE(region);
	look_at_everything(region);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_no_permission(void **state)
{
	const char *path = proc_path(PROC_SHM, "private");
	struct proc *stranger;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can become a stranger\n");
		skip();
	}
	make_region(path);
	assert_int_equal(chmod(proc_folder(PROC_SHM), 0755), 0);
	stranger = proc_spawn("stranger", stranger_role, (void *)(uintptr_t)path);
	proc_await(0, 1);
	assert_int_equal(chmod(path, 0644), 0);
	proc_post(1);
	proc_assert_ok(stranger);
}

/* --- names and types -------------------------------------------------------------------------- */

static void test_names(void **state)
{
	char name[402], path[300];
	struct comap *region;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		assert_null(comap_open(name, all_flags[i]));
		assert_int_equal(comap_last_error()->code, ENAMETOOLONG);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_NAME);
		assert_null(comap_open(NULL, all_flags[i]));
		assert_int_equal(comap_last_error()->code, EINVAL);
		assert_null(comap_open("", all_flags[i]));
		assert_true(comap_last_error()->code == EINVAL ||
		            comap_last_error()->code == ENAMETOOLONG);
	}
	assert_int_equal(comap_path(name, path, sizeof path), -ENAMETOOLONG);
	assert_int_equal(comap_unlink(name), -ENAMETOOLONG);

	make_region(proc_path(PROC_SHM, "names"));
	region = comap_open(proc_path(PROC_SHM, "names"), COMAP_CREATE);
	assert_non_null(region);
	name[48] = '\0'; /* one more than fits */
	assert_null(comap_value_open(region, name, NULL));
	assert_int_equal(comap_last_error()->code, ENAMETOOLONG);
	assert_null(comap_value_open(region, "", NULL));
	assert_int_equal(comap_close(region), 0);
}

static void test_type_mismatch_shows_both_lists(void **state)
{
	static const struct comap_field fields[] = {
		{ "at_ns", COMAP_KIND_u64, 0, 8 }, { "price", COMAP_KIND_u64, 8, 8 },
	};
	static const struct comap_type other = { "struct tick", 16, 8, 2, fields };
	const char *path = proc_path(PROC_SHM, "types");
	struct comap *region;

	(void)state;
	make_region(path);
	for (size_t i = 0; i < 3; i++) {
		region = open_as(path, all_flags[i], 0);
		assert_non_null(region);
		assert_null(comap_value_open(region, "tick", &other));
		assert_int_equal(comap_last_error()->code, EPROTOTYPE);
		assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_TYPE);
		assert_non_null(strstr(comap_error_text(), "u64 price @8"));
		assert_non_null(strstr(comap_error_text(), "f64 price @8"));
		assert_int_equal(comap_close(region), 0);
	}
}

/* --- full ------------------------------------------------------------------------------------- */

static int seated_role(void *arg)
{
	struct comap *region = comap_open(arg, 0);

	PROC_REQUIRE(region);
	proc_post(0);
	proc_await(1, 1);
	PROC_REQUIRE_OK(comap_close(region));
	return 0;
}

static void test_seats_exhausted(void **state)
{
	const char *path = proc_path(PROC_SHM, "seats");
	struct proc *seated[4];
	struct comap *region;

	(void)state;
	make_region(path); /* four seats */
	for (int i = 0; i < 4; i++)
		seated[i] = proc_spawn("seated", seated_role, (void *)(uintptr_t)path);
	proc_await(0, 4);
	assert_refused(path, 0, -EUSERS, COMAP_CAUSE_SEATS);
	region = open_as(path, COMAP_GUEST, 0); /* looking takes no seat */
	assert_non_null(region);
	look_at_everything(region);
	assert_int_equal(comap_close(region), 0);

	/* A death frees one, with nobody's help. */
	proc_kill(seated[0]);
	region = open_as(path, 0, 0);
	if (!region)
		fail_msg("after a death: %s", comap_error_text());
	assert_int_equal(comap_close(region), 0);
	proc_post(1);
	for (int i = 1; i < 4; i++)
		proc_assert_ok(seated[i]);
}

static int full_role(void *arg)
{
	static char blob[1 << 20];
	struct comap_options options = COMAP_OPTIONS_INIT;
	struct comap *region;
	struct comap_value *value;
	struct comap_view view;
	char path[600];
	int code = 0, published = 0;

	PROC_REQUIRE(unshare(CLONE_NEWNS) == 0);
	PROC_REQUIRE(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	PROC_REQUIRE(mount("none", arg, "tmpfs", 0, "size=6m,mode=700") == 0);
	snprintf(path, sizeof path, "%s/region", (const char *)arg);
	options.flags = COMAP_CREATE;
	region = comap_open_with(path, &options);
	PROC_REQUIRE(region);
	value = comap_value_open(region, "blob", NULL);
	PROC_REQUIRE(value);
	/* Nothing is given back while this section lasts: the file system fills. */
	PROC_REQUIRE_OK(comap_read_begin(region));
	for (int i = 0; i < 20 && code == 0; i++) {
		memset(blob, i + 1, sizeof blob);
		code = comap_value_put(value, blob, sizeof blob);
		published += code == 0;
	}
	PROC_REQUIRE_OK(comap_read_end(region));
	PROC_REQUIRE(code == -ENOSPC);
	PROC_REQUIRE(comap_last_error()->cause == COMAP_CAUSE_NO_SPACE);
	PROC_REQUIRE(published >= 1);
	PROC_REQUIRE_OK(comap_value_get(value, blob, sizeof blob, &view));
	PROC_REQUIRE(view.version == (uint64_t)published && blob[0] == published &&
	             blob[sizeof blob - 1] == published);
	comap_value_close(value);
	PROC_REQUIRE_OK(comap_close(region));

	/* A second region finds no room at all, and leaves no name behind. */
	snprintf(path, sizeof path, "dd if=/dev/zero of=%s/rest bs=4k 2>/dev/null",
	         (const char *)arg);
	(void)!system(path);
	snprintf(path, sizeof path, "%s/second", (const char *)arg);
	PROC_REQUIRE(!comap_open_with(path, &options));
	PROC_REQUIRE(comap_last_error()->code == ENOSPC);
	PROC_REQUIRE(access(path, F_OK) != 0);
	return 0;
}

static void test_full_tmpfs(void **state)
{
	const char *folder = proc_path(PROC_SHM, "small");

	(void)state;
	if (geteuid() != 0) {
		print_message("only root can mount a small file system\n");
		skip();
	}
	assert_int_equal(mkdir(folder, 0700), 0);
	proc_assert_ok(proc_spawn("full", full_role, (void *)(uintptr_t)folder));
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_each_is_refused_in_its_own_words),
		PROC_TEST(test_every_flipped_byte_is_noticed),
		PROC_TEST(test_lies_that_are_summed_do_no_harm),
		PROC_TEST(test_scribbled_parts_do_no_harm),
		PROC_TEST(test_compatible_bits),
		PROC_TEST(test_other_owner),
		PROC_TEST(test_link_in_world_writable_folder),
		PROC_TEST(test_no_permission),
		PROC_TEST(test_names),
		PROC_TEST(test_type_mismatch_shows_both_lists),
		PROC_TEST(test_seats_exhausted),
		PROC_TEST(test_full_tmpfs),
	};

	return cmocka_run_group_tests_name("badinput", tests, NULL, NULL);
}
