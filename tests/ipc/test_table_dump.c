/* SPDX-License-Identifier: MIT */
/* Dumps: what goes in comes out; one moment under writers; every flipped byte and every shorter file is
 * refused, with the table as it was; files that lie under right checksums; sections of later versions;
 * a dumper that dies. */
#include "check.h"

#include "table_dump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct comap *region;
static struct comap_table *table;
static char path[256];

static int open_table(void **state)
{
	int code = proc_setup(state);

	if (code)
		return code;
	region = comap_open(proc_path(PROC_SHM, "region"), COMAP_CREATE);
	table = region ? comap_table_open(region, "t", NULL) : NULL;
	snprintf(path, sizeof path, "%s", proc_path(PROC_SHM, "dump"));
	return table ? 0 : -1;
}

static int close_table(void **state)
{
	struct comap_check report;
	int code = comap_check(region, &report);

	if (code)
		print_error("the checker: %s\n", code == 1 ? report.first_flaw : comap_error_text());
	comap_table_close(table);
	if (comap_close(region) != 0)
		code = -1;
	return proc_teardown(state) || code ? -1 : 0;
}

#define DUMP_TEST(function) cmocka_unit_test_setup_teardown(function, open_table, close_table)

static int put(const char *key, const char *value)
{
	return comap_table_put(table, key, strlen(key), value, strlen(value));
}

static bool holds(const char *key, const char *value)
{
	char buffer[100];
	struct comap_view view;

	return comap_table_get(table, key, strlen(key), buffer, sizeof buffer, &view) == 0 &&
	       view.size_bytes == strlen(value) && memcmp(buffer, value, view.size_bytes) == 0;
}

/* --- the file, by hand ------------------------------------------------------------------------ */

static unsigned char *bytes;
static size_t byte_count;

static void read_file(void)
{
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	free(bytes);
	bytes = malloc(1 << 20);
	byte_count = fread(bytes, 1, 1 << 20, file);
	fclose(file);
}

static void write_file(const void *data, size_t size_bytes)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size_bytes, file), size_bytes);
	assert_int_equal(fclose(file), 0);
}

/* --- in and out ------------------------------------------------------------------------------- */

static void in_and_out(uint32_t mode)
{
	struct comap_dump_report report;
	static char large[300000];
	struct comap_view view;
	uint64_t version;
	int64_t sum;

	memset(large, 'x', sizeof large);
	assert_int_equal(put("a", "one"), 0);
	assert_int_equal(put("empty", ""), 0);
	assert_int_equal(comap_table_put(table, large, 1000, large, sizeof large), 0);
	assert_int_equal(comap_table_add(table, "counter", 7, 41, NULL), 0);
	assert_int_equal(put("brief", "x"), 0);
	assert_int_equal(comap_table_touch(table, "brief", 5, 150000000), 0);
	assert_int_equal(put("mortal", "x"), 0);
	assert_int_equal(comap_table_touch(table, "mortal", 6, 3600000000000), 0);
	assert_int_equal(comap_table_get(table, "a", 1, large, 10, &view), 0);
	version = view.version;
	large[0] = 'x', large[1] = 'x', large[2] = 'x';
	assert_int_equal(comap_table_dump(table, path, mode, &report), 0);
	assert_int_equal(report.entries, 6);
	assert_int_equal(comap_dump_check(path, &report), 0);
	assert_int_equal(report.entries, 6);
	usleep(170000);
	assert_int_equal(put("later", "x"), 0);
	assert_int_equal(put("a", "two"), 0);
	assert_int_equal(comap_table_restore(table, path, &report), 0);
	assert_int_equal(report.entries, 5);
	assert_int_equal(report.expired, 1);
	assert_int_equal(comap_table_count(table), 5);
	assert_true(holds("a", "one") && holds("empty", ""));
	assert_int_equal(comap_table_contains(table, "later", 5), 0);
	assert_int_equal(comap_table_contains(table, "brief", 5), 0);
	assert_int_equal(comap_table_get(table, large, 1000, NULL, 0, &view), -ENOBUFS);
	assert_int_equal(view.size_bytes, sizeof large);
	assert_int_equal(comap_table_add(table, "counter", 7, 1, &sum), 0);
	assert_int_equal(sum, 42);
	COMAP_READ(region)
		assert_true(comap_table_view(table, "a", 1).version > version);
	assert_int_equal(comap_table_touch(table, "mortal", 6, COMAP_TTL_NONE), 0);
}

static void test_in_and_out_at_once(void **state) { in_and_out(COMAP_DUMP_AT_ONCE); }
static void test_in_and_out_by_and_by(void **state) { in_and_out(COMAP_DUMP_BY_AND_BY); }

static void test_into_another_region(void **state)
{
	struct comap *other = comap_open(proc_path(PROC_SHM, "other"), COMAP_CREATE);
	struct comap_table *there = comap_table_open(other, "u", NULL);
	struct comap_dump_report report;

	for (uint64_t i = 0; i < 50000; i++)
		assert_int_equal(comap_table_put(table, &i, sizeof i, &i, sizeof i), 0);
	assert_int_equal(comap_table_dump(table, path, 0, &report), 0);
	assert_int_equal(report.entries, 50000);
	assert_int_equal(comap_table_restore(there, path, NULL), 0);
	for (uint64_t i = 0, value; i < 50000; i++) {
		assert_int_equal(comap_table_get(there, &i, sizeof i, &value, sizeof value, NULL), 0);
		assert_int_equal(value, i);
	}
	comap_table_close(there);
	assert_int_equal(comap_close(other), 0);
}

static void test_into_a_cache(void **state)
{
	const struct comap_table_options options = { .budget_bytes = 8u << 20 };
	struct comap_table *cache = comap_table_open_with(region, "cache", NULL, &options);
	uint64_t value, there = 0;

	assert_non_null(cache);
	for (uint64_t i = 0; i < 200000; i++)
		assert_int_equal(comap_table_put(table, &i, sizeof i, &i, sizeof i), 0);
	assert_int_equal(comap_table_dump(table, path, 0, NULL), 0);
	assert_int_equal(comap_table_restore(cache, path, NULL), 0);
	for (uint64_t i = 0; i < 200000; i++)
		there += comap_table_get(cache, &i, sizeof i, &value, sizeof value, NULL) == 0 && value == i;
	assert_true(there > 20000 && there < 200000);
	assert_int_equal(comap_table_dump(cache, path, 0, NULL), 0);
	assert_int_equal(comap_dump_check(path, NULL), 0);
	comap_table_close(cache);
}

struct price { uint64_t at_ns; double bid; };
COMAP_FIELDS(struct price, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f64, bid));
struct other { uint64_t at_ns; uint64_t ask; };
COMAP_FIELDS(struct other, COMAP_FIELD(u64, at_ns), COMAP_FIELD(u64, ask));

static void test_field_lists(void **state)
{
	struct comap_table *prices = comap_table_open(region, "prices", COMAP_TYPE(struct price));
	struct comap_table *same = comap_table_open(region, "same", COMAP_TYPE(struct price));
	struct comap_table *others = comap_table_open(region, "others", COMAP_TYPE(struct other));
	struct price price = { 1, 2.5 };

	assert_int_equal(comap_table_put(prices, "k", 1, &price, sizeof price), 0);
	assert_int_equal(comap_table_dump(prices, path, 0, NULL), 0);
	assert_int_equal(comap_table_restore(same, path, NULL), 0);
	assert_int_equal(comap_table_count(same), 1);
	assert_int_equal(comap_table_restore(others, path, NULL), -EPROTOTYPE);
	assert_int_equal(comap_table_count(others), 0);
	assert_int_equal(comap_table_restore(table, path, NULL), 0); /* untyped: takes any */
	assert_int_equal(comap_table_put(table, "long enough", 11, &price, sizeof price), 0);
	assert_int_equal(comap_table_dump(table, path, 0, NULL), 0);
	assert_int_equal(comap_table_restore(same, path, NULL), -EPROTOTYPE);
	comap_table_close(prices);
	comap_table_close(same);
	comap_table_close(others);
}

/* --- one moment ------------------------------------------------------------------------------- */

enum { PAIRS = 40 };
static volatile bool over;

static bool put_number(uint64_t key, uint64_t number)
{
	int code = -ETIMEDOUT;

	while (code == -ETIMEDOUT) /* see patiently() */
		code = comap_table_put(table, &key, sizeof key, &number, sizeof number);
	return code == 0;
}

/* The first of each pair is always as far as the second, or one ahead. */
static void *write_pairs(void *arg)
{
	for (uint64_t n = 1; !over; n++)
		for (uint64_t i = 0; i < PAIRS; i++)
			if (!put_number(2 * i, n) || !put_number(2 * i + 1, n))
				return comap_table_put;
	return NULL;
}

/* Where both processors are taken away for seconds, a lock's deadline passes: then nothing has changed. */
static int patiently(int (*step)(struct comap_table *), struct comap_table *of)
{
	int code = -ETIMEDOUT;

	for (int i = 0; i < 10 && (code == -ETIMEDOUT || code == -EBUSY); i++)
		code = step(of);
	if (code)
		print_error("%d: %s\n", code, comap_error_text());
	return code;
}

static int dump_at_once(struct comap_table *from)
{
	return comap_table_dump(from, path, COMAP_DUMP_AT_ONCE, NULL);
}

static int restore(struct comap_table *to) { return comap_table_restore(to, path, NULL); }

static void test_one_moment(void **state)
{
	struct comap_table *copy = comap_table_open(region, "copy", NULL);
	uint64_t values[2 * PAIRS], largest = 0;
	pthread_t writer;
	void *result;

	for (uint64_t i = 0; i < 20000; i++) { /* so that the refs take a while */
		uint64_t key = 1000 + i;

		assert_int_equal(comap_table_put(table, &key, sizeof key, &i, sizeof i), 0);
	}
	over = false;
	assert_int_equal(pthread_create(&writer, NULL, write_pairs, NULL), 0);
	usleep(20000);
	for (int round = 0; round < 20; round++) {
		assert_int_equal(patiently(dump_at_once, table), 0);
		assert_int_equal(patiently(restore, copy), 0);
		for (uint64_t i = 0; i < 2 * PAIRS; i++)
			assert_int_equal(comap_table_get(copy, &i, sizeof i, &values[i], 8, NULL), 0);
		for (uint64_t i = 0; i < 2 * PAIRS; i++) {
			/* written in this order, round after round: each is at most one behind all before it */
			assert_true(values[i] <= values[0] && values[i] + 1 >= values[0]);
			assert_true(i == 0 || values[i] <= values[i - 1]);
		}
		assert_true(values[0] >= largest);
		largest = values[0];
	}
	over = true;
	pthread_join(writer, &result);
	assert_null(result);
	assert_true(largest > 20);
	comap_table_close(copy);
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Nothing has changed, and the error says where. */
static void require_refused(int code)
{
	assert_true(code == -EBADMSG || code == -EPROTONOSUPPORT);
	assert_int_equal(comap_table_count(table), 3);
	assert_true(holds("a", "one") && holds("b", "two") && holds("c", "three"));
}

static void make_small_dump(void)
{
	assert_int_equal(put("a", "one"), 0);
	assert_int_equal(put("b", "two"), 0);
	assert_int_equal(put("c", "three"), 0);
	assert_int_equal(comap_table_dump(table, path, 0, NULL), 0);
	read_file();
}

static void test_every_flipped_byte(void **state)
{
	unsigned said_where = 0;

	make_small_dump();
	assert_true(byte_count > 200 && byte_count < 500);
	for (size_t i = 0; i < byte_count; i++)
		for (unsigned bit = 1; bit < 256; bit *= 16) {
			bytes[i] ^= (unsigned char)bit;
			write_file(bytes, byte_count);
			require_refused(comap_table_restore(table, path, NULL));
			require_refused(comap_dump_check(path, NULL));
			said_where += strstr(comap_error_text(), " at byte ") != NULL;
			bytes[i] ^= (unsigned char)bit;
		}
	assert_true(said_where > byte_count);
	write_file(bytes, byte_count);
	assert_int_equal(comap_table_restore(table, path, NULL), 0);
}

static void test_every_shorter_and_longer_file(void **state)
{
	make_small_dump();
	for (size_t size = 0; size < byte_count; size++) {
		write_file(bytes, size);
		require_refused(comap_table_restore(table, path, NULL));
	}
	bytes[byte_count] = 0;
	write_file(bytes, byte_count + 1);
	require_refused(comap_table_restore(table, path, NULL));
	assert_non_null(strstr(comap_error_text(), "something follows"));
}

/* --- files made by hand, with checksums that fit ---------------------------------------------- */

static size_t forge(unsigned char *to, uint32_t kind, uint32_t flags, uint64_t number, const void *payload,
                    uint64_t payload_bytes)
{
	struct comap_dump_section section = { kind, flags, payload_bytes, number, 0 };

	section.checksum = comap__dump_section_checksum(&section, payload);
	memcpy(to, &section, sizeof section);
	memcpy(to + sizeof section, payload, payload_bytes);
	return sizeof section + payload_bytes;
}

static int restore_forged(uint32_t kind, uint32_t flags, const void *payload, uint64_t payload_bytes,
                          uint64_t entries, uint64_t stored_bytes)
{
	static unsigned char file[4096];
	struct comap_dump_end end = { entries, stored_bytes, 0 };
	size_t size = sizeof(struct comap_dump_head);

	memcpy(file, bytes, size);
	size += forge(file + size, kind, flags, 0, payload, payload_bytes);
	size += forge(file + size, COMAP_DUMP_END, 1, 1, &end, sizeof end);
	write_file(file, size);
	return comap_table_restore(table, path, NULL);
}

static void test_entries_that_lie(void **state)
{
	struct { struct comap_dump_entry entry; char key[8]; char value[8]; } one = {
		{ .version = 1, .key_bytes = 1, .value_bytes = 3 }, "k", "val"
	}, entry;

	make_small_dump();
	for (unsigned i = 0; i < 10; i++) {
		entry = one;
		switch (i) {
		case 0: entry.entry.key_bytes = 0; break;
		case 1: entry.entry.key_bytes = 9; break;
		case 2: entry.entry.key_bytes = UINT32_MAX; break;
		case 3: entry.entry.value_bytes = 9; break;
		case 4: entry.entry.value_bytes = UINT32_MAX; break;
		case 5: entry.entry.flags = COMAP_DUMP_COUNTER; break; /* of three bytes */
		case 6: entry.entry.value_bytes = 16u << 20; break;
		default: break;
		}
		if (i == 7)
			require_refused(restore_forged(2, 1, &entry, sizeof entry - 8, 1, 4));
		else if (i == 8)
			require_refused(restore_forged(2, 1, &entry, sizeof entry, 2, 4));
		else if (i == 9)
			require_refused(restore_forged(2, 1, &entry, sizeof entry, 1, 5));
		else
			require_refused(restore_forged(2, 1, &entry, sizeof entry, 1, 4));
	}
	assert_int_equal(restore_forged(2, 1, &one, sizeof one, 1, 4), 0);
	assert_true(holds("k", "val") && comap_table_count(table) == 1);
}

static void test_sections_of_later_versions(void **state)
{
	make_small_dump();
	require_refused(restore_forged(77, COMAP_DUMP_MUST_KNOW, "from tomorrow...", 16, 0, 0));
	assert_non_null(strstr(comap_error_text(), "kind 77"));
	assert_int_equal(restore_forged(77, 0, "from tomorrow...", 16, 0, 0), 0);
	assert_int_equal(comap_table_count(table), 0);
}

/* --- death ------------------------------------------------------------------------------------ */

static int dumper(void *point)
{
	PROC_REQUIRE_OK(comap_attach(region));
	proc_fault(PROC_FAULT_KILL, point, 1);
	comap_table_dump(table, path, COMAP_DUMP_AT_ONCE, NULL);
	return 1;
}

/* With all locks held; with the file whole and without a name; between its two names. The dump from before
 * stays as it is, each stripe can be written to at once, and the next dump goes well. */
static void dumper_dies(const char *point, bool leaves_file)
{
	struct comap_dump_report report;
	char beside[300], key[20];
	struct proc *proc;

	assert_int_equal(comap_table_clear(table), 0);
	assert_int_equal(put("a", "old"), 0);
	assert_int_equal(comap_table_dump(table, path, COMAP_DUMP_AT_ONCE, NULL), 0);
	assert_int_equal(put("a", "new"), 0);
	proc = proc_spawn("dumper", dumper, (void *)(uintptr_t)point);
	snprintf(beside, sizeof beside, "%s.%d.tmp", path, (int)proc->pid);
	assert_int_equal(proc_wait(proc), -SIGKILL);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key %u", i);
		assert_int_equal(put(key, "x"), 0);
	}
	assert_int_equal(access(beside, F_OK), leaves_file ? 0 : -1);
	if (leaves_file) {
		assert_int_equal(comap_dump_check(beside, &report), 0);
		assert_int_equal(report.entries, 1);
		assert_int_equal(unlink(beside), 0);
	}
	assert_int_equal(comap_dump_check(path, &report), 0);
	assert_int_equal(report.entries, 1);
	assert_int_equal(comap_table_dump(table, path, COMAP_DUMP_AT_ONCE, &report), 0);
	assert_int_equal(report.entries, 1001);
	assert_true(holds("a", "new"));
}

static void test_a_dumper_dies(void **state)
{
	if (!proc_has_faults())
		skip();
	dumper_dies("dump.locked", false);
	dumper_dies("dump.written", false);
	dumper_dies("dump.linked", true);
}

/* --- refusals ------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
	assert_int_equal(comap_table_dump(NULL, path, 0, NULL), -EINVAL);
	assert_int_equal(comap_table_dump(table, NULL, 0, NULL), -EINVAL);
	assert_int_equal(comap_table_dump(table, path, 2, NULL), -EINVAL);
	assert_int_equal(comap_table_restore(table, NULL, NULL), -EINVAL);
	assert_int_equal(comap_table_restore(NULL, path, NULL), -EINVAL);
	assert_int_equal(comap_table_restore(table, path, NULL), -ENOENT);
	assert_int_equal(comap_dump_check("/dev/null", NULL), -EINVAL);
	assert_int_equal(comap_table_dump(table, "/no/such/folder/file", 0, NULL), -ENOENT);
	COMAP_READ(region)
		assert_int_equal(comap_table_dump(table, path, 0, NULL), -EDEADLK);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DUMP_TEST(test_in_and_out_at_once),
		DUMP_TEST(test_in_and_out_by_and_by),
		DUMP_TEST(test_into_another_region),
		DUMP_TEST(test_into_a_cache),
		DUMP_TEST(test_field_lists),
		DUMP_TEST(test_one_moment),
		DUMP_TEST(test_every_flipped_byte),
		DUMP_TEST(test_every_shorter_and_longer_file),
		DUMP_TEST(test_entries_that_lie),
		DUMP_TEST(test_sections_of_later_versions),
		DUMP_TEST(test_a_dumper_dies),
		DUMP_TEST(test_refusals),
	};
	int code = cmocka_run_group_tests_name("dumps", tests, NULL, NULL);

	free(bytes);
	return code;
}
