/* SPDX-License-Identifier: MIT */
/* A region file of each format version, kept in the tree, opened by the build of today.
 *
 *   golden check FILE    today's build reads what that build wrote, and goes on with it
 *   golden refuse FILE   the same file, as though of another layout: it is refused
 *   golden write FILE    makes the file anew (./run golden); refuses where it says "released yes"
 *
 * The file is text: some lines of "name value", then the bytes that are not zero, 32 to a line:
 *
 *     format 1
 *     fingerprint 0123456789abcdef    of the layout, as the writer's identity page has it
 *     released no                     by hand, "yes" with the release of that format
 *     bytes 6291456                   how long the region file is
 *     00010000 0100...                offset, bytes up to the last that is not zero
 *
 * In the region: a typed value at version 3, a table of all kinds of entries, a retired block, and the seat
 * of a process that died with a section open and a version half built.
 *
 * A layout that is not the file's must be refused in words that name both fingerprints. Of a format that has
 * been released that is a failure: raise COMAP_FORMAT_VERSION, or leave the layout as it was. Before, it is a
 * visible skip (77) that asks to renew the file. */
#include <comap.h>

#include "identity.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROW 32u
#define KEYS 20u

struct tick {
	uint64_t at_ns;
	double price;
	char venue[8];
};
COMAP_FIELDS(struct tick, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f64, price), COMAP_FIELD(str, venue));

static const struct tick last_tick = { 3, 1.25, "XETR" };
static char path[80];
static char wide[9000];

#define REQUIRE(condition) ((condition) ? (void)0 : give_up(__LINE__, #condition))
static void give_up(int line, const char *what)
{
	printf("golden: line %d: not so: %s (%s)\n", line, what, comap_error_text());
	unlink(path);
	exit(1);
}

/* --- the region --------------------------------------------------------------------------------- */

static struct comap *make_region(void)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = COMAP_CREATE;
	options.heap_max_bytes = 4u << 20;
	options.seat_count = options.thread_count = options.object_count = 4;
	options.seat_name = "golden";
	return comap_open_with(path, &options);
}

static void fill_table(struct comap *region)
{
	struct comap_table *table = comap_table_open(region, "prices", NULL);

	REQUIRE(table);
	for (uint64_t key = 0; key < KEYS; key++)
		REQUIRE(comap_table_put(table, &key, sizeof key, &(uint64_t){ key * key }, sizeof key) == 0);
	REQUIRE(comap_table_put(table, "wide", 4, wide, sizeof wide) == 0);
	REQUIRE(comap_table_add(table, "counter", 7, 42, NULL) == 0);
	REQUIRE(comap_table_write(table, &(struct comap_table_write){ "mortal", 6, "v", 1, 0, 0,
	                          UINT64_C(1) << 61 }, NULL) == 0); /* 73 years */
	REQUIRE(comap_table_put(table, "gone", 4, "v", 1) == 0 && comap_table_remove(table, "gone", 4) == 0);
	comap_table_close(table);
}

static void fill(void)
{
	struct comap *region = make_region();
	struct comap_value *value = region ? comap_value_open(region, "tick", COMAP_TYPE(struct tick)) : NULL;
	struct tick tick = { 1, 0.5, "XETR" };

	REQUIRE(value);
	for (; tick.at_ns < last_tick.at_ns; tick.at_ns++)
		REQUIRE(comap_value_put(value, &tick, sizeof tick) == 0);
	REQUIRE(comap_value_put(value, &last_tick, sizeof last_tick) == 0);
	fill_table(region);
	comap_value_close(value);
	REQUIRE(comap_close(region) == 0);
}

/* A process that dies while it reads and builds. */
static void leave_a_dead_seat(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct comap *region = make_region();
		struct comap_value *value = region ? comap_value_open(region, "tick", NULL) : NULL;
		void *data;

		_exit(value && comap_value_reserve(value, 500, &data) == 0 && comap_read_begin(region) == 0 ? 0 : 1);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* --- the text ----------------------------------------------------------------------------------- */

static struct comap_identity_shm read_identity(int fd)
{
	struct comap_identity_shm identity;

	REQUIRE(pread(fd, &identity, sizeof identity, 0) == sizeof identity);
	return identity;
}

static void write_rows(FILE *text, int fd, off_t from, off_t to)
{
	unsigned char row[ROW];

	for (; from < to; from += ROW) {
		unsigned length = ROW;

		REQUIRE(pread(fd, row, ROW, from) == ROW);
		while (length > 0 && row[length - 1] == 0)
			length--;
		if (length == 0)
			continue;
		fprintf(text, "%08" PRIx64 " ", (uint64_t)from);
		for (unsigned i = 0; i < length; i++)
			fprintf(text, "%02x", row[i]);
		fputc('\n', text);
	}
}

struct header {
	unsigned format;
	uint64_t fingerprint, size_bytes;
	char released[8];
};

static bool read_header(FILE *text, struct header *ret_header)
{
	return fscanf(text, "format %u\nfingerprint %" SCNx64 "\nreleased %7s\nbytes %" SCNu64 "\n",
	              &ret_header->format, &ret_header->fingerprint, ret_header->released,
	              &ret_header->size_bytes) == 4;
}

static int write_golden(const char *name)
{
	struct header header = { 0 };
	struct comap_identity_shm identity;
	off_t at = 0, hole;
	FILE *text = fopen(name, "re");
	struct stat st;
	int fd;

	if (text && read_header(text, &header) && strcmp(header.released, "yes") == 0) {
		printf("golden: %s is of a released format: it stays as it is\n", name);
		return 1;
	}
	if (text)
		fclose(text);
	fill();
	leave_a_dead_seat();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	text = fopen(name, "we");
	REQUIRE(fd >= 0 && text && fstat(fd, &st) == 0);
	identity = read_identity(fd);
	fprintf(text, "format %u\nfingerprint %016" PRIx64 "\nreleased no\nbytes %lld\n", identity.format_version,
	        identity.fingerprint, (long long)st.st_size);
	for (; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = hole) {
		hole = lseek(fd, at, SEEK_HOLE);
		write_rows(text, fd, at, hole);
	}
	close(fd);
	REQUIRE(fclose(text) == 0);
	return 0;
}

static void read_row(int fd, const char *line)
{
	unsigned char row[ROW];
	unsigned length = 0;
	char *digits;
	uint64_t at = strtoull(line, &digits, 16);

	REQUIRE(*digits == ' ');
	for (digits++; length < ROW && sscanf(digits, "%2hhx", &row[length]) == 1; digits += 2)
		length++;
	REQUIRE(length > 0 && pwrite(fd, row, length, (off_t)at) == (ssize_t)length);
}

/* What is true of this machine and this run is put in, or the file would be a copy from another boot. */
static void settle_here(int fd, const struct comap_control_shm *here, uint64_t fingerprint)
{
	struct comap_identity_shm identity = read_identity(fd);
	struct comap_control_shm control;
	struct stat st;

	REQUIRE(fstat(fd, &st) == 0);
	identity.birth_device = st.st_dev;
	identity.birth_inode = st.st_ino;
	identity.fingerprint = fingerprint;
	comap__identity_seal(&identity);
	REQUIRE(pwrite(fd, &identity, sizeof identity, 0) == sizeof identity);
	REQUIRE(pread(fd, &control, sizeof control, COMAP_IDENTITY_BYTES) == sizeof control);
	control.home_device.v = st.st_dev;
	control.home_inode.v = st.st_ino;
	memcpy(control.boot_id, here->boot_id, sizeof control.boot_id);
	REQUIRE(pwrite(fd, &control, sizeof control, COMAP_IDENTITY_BYTES) == sizeof control);
}

/* Fingerprint and control part of a region that this build makes now. */
static uint64_t look_at_ours(struct comap_control_shm *ret_control)
{
	struct comap *region = make_region();
	uint64_t fingerprint;

	REQUIRE(region);
	fingerprint = region->identity->fingerprint;
	memcpy(ret_control, region->control, sizeof *ret_control);
	REQUIRE(comap_close(region) == 0 && comap_unlink(path) == 0);
	return fingerprint;
}

/* --- the checks --------------------------------------------------------------------------------- */

static void check_table(struct comap *region)
{
	struct comap_table *table = comap_table_open(region, "prices", NULL);
	static char buffer[sizeof wide];
	struct comap_view view;
	uint64_t square;
	int64_t count;

	REQUIRE(table && comap_table_count(table) == KEYS + 3);
	for (uint64_t key = 0; key < KEYS; key++)
		REQUIRE(comap_table_get(table, &key, sizeof key, &square, sizeof square, NULL) == 0 &&
		        square == key * key);
	REQUIRE(comap_table_get(table, "wide", 4, buffer, sizeof buffer, &view) == 0);
	REQUIRE(view.size_bytes == sizeof wide && memcmp(buffer, wide, sizeof wide) == 0);
	REQUIRE(comap_table_get(table, "counter", 7, &count, sizeof count, NULL) == 0 && count == 42);
	REQUIRE(comap_table_contains(table, "mortal", 6) == 1 && comap_table_contains(table, "gone", 4) == 0);
	comap_table_close(table);
}

static void check_content(struct comap *region)
{
	struct comap_value *value = comap_value_open(region, "tick", COMAP_TYPE(struct tick));
	struct comap_view view;
	struct tick tick;

	REQUIRE(value && comap_value_get(value, &tick, sizeof tick, &view) == 0);
	REQUIRE(view.version == 3 && memcmp(&tick, &last_tick, sizeof tick) == 0);
	comap_value_close(value);
	check_table(region);
}

static void check_as_guest(void)
{
	struct comap *guest = comap_open(path, COMAP_GUEST);
	struct comap_check report;
	struct comap_seat seat;
	bool dead = false;

	REQUIRE(guest);
	check_content(guest);
	for (uint32_t i = 0; comap_seat_at(guest, i, &seat) == 0; i++)
		dead |= seat.life == COMAP_LIFE_DEAD && strcmp(seat.name, "golden") == 0;
	REQUIRE(dead);
	if (comap_check(guest, &report) != 0)
		printf("golden: %" PRIu64 " flaws: %s\n", report.flaws, report.first_flaw);
	REQUIRE(comap_check(guest, &report) == 0);
	REQUIRE(comap_close(guest) == 0);
}

/* Who attaches finds the dead one, takes its role and its blocks, and goes on. */
static void check_as_heir(void)
{
	struct comap *region = comap_open(path, 0);
	struct comap_value *value = region ? comap_value_open(region, "tick", COMAP_TYPE(struct tick)) : NULL;
	struct comap_check report;

	REQUIRE(value);
	check_content(region);
	REQUIRE(comap_value_put(value, &last_tick, sizeof last_tick) == 0 && comap_value_version(value) == 4);
	comap_value_close(value);
	REQUIRE(comap_synchronize(region) == 0 && comap_check(region, &report) == 0);
	REQUIRE(comap_close(region) == 0);
}

static int check_refused(const struct header *header, uint64_t ours)
{
	char theirs_text[20], ours_text[20];
	bool released = strcmp(header->released, "yes") == 0;

	snprintf(theirs_text, sizeof theirs_text, "%016" PRIx64, header->fingerprint);
	snprintf(ours_text, sizeof ours_text, "%016" PRIx64, ours);
	for (unsigned i = 0; i < 2; i++) {
		REQUIRE(!comap_open(path, i ? 0 : COMAP_GUEST));
		REQUIRE(comap_last_error()->cause == COMAP_CAUSE_LAYOUT);
		REQUIRE(strstr(comap_error_text(), theirs_text) && strstr(comap_error_text(), ours_text));
	}
	printf("golden: the layout has changed: %s in the file of format %u, %s here (refused, as it should be).\n",
	       theirs_text, header->format, ours_text);
	puts(released ? "golden: that format is released: raise COMAP_FORMAT_VERSION in ipc/layout.h and add a file "
	                "for it, or leave the layout as it was"
	              : "golden: that format is not released yet: renew the file with ./run golden, and commit it");
	return released ? 1 : 77;
}

static int check_golden(const char *name, bool as_another_layout)
{
	FILE *text = fopen(name, "re");
	struct comap_control_shm here;
	struct header header;
	char line[200];
	uint64_t ours = look_at_ours(&here);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), code = 0;

	REQUIRE(text && read_header(text, &header) && fd >= 0 && ftruncate(fd, (off_t)header.size_bytes) == 0);
	while (fgets(line, sizeof line, text))
		read_row(fd, line);
	fclose(text);
	header.fingerprint ^= as_another_layout;
	settle_here(fd, &here, header.fingerprint);
	close(fd);
	if (header.fingerprint != ours) {
		code = check_refused(&header, ours);
	} else {
		check_as_guest();
		check_as_heir();
		printf("golden: format %u, fingerprint %016" PRIx64 ": read, inherited, gone on with\n", header.format,
		       header.fingerprint);
	}
	unlink(path);
	return code;
}

int main(int argc, char **argv)
{
	snprintf(path, sizeof path, "/dev/shm/comap-test-%d-golden", (int)getpid());
	for (size_t i = 0; i < sizeof wide; i++)
		wide[i] = (char)(i / 1000);
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check_golden(argv[2], false);
	if (argc == 3 && strcmp(argv[1], "refuse") == 0)
		return check_golden(argv[2], true) == 0;
	if (argc == 3 && strcmp(argv[1], "write") == 0) {
		int code = write_golden(argv[2]);

		unlink(path);
		return code;
	}
	return 2;
}
