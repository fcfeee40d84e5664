/* SPDX-License-Identifier: MIT */
/* Records: what fits is used in place, what does not is refused with the reason, or fetched. */
#include <comap/error.h>
#include <comap/mapping.h>
#include <comap/records.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct pair { uint64_t id; double value; };
COMAP_FIELDS(struct pair, COMAP_FIELD(u64, id), COMAP_FIELD(f64, value));

struct quote {
	uint32_t id;
	uint16_t flags;
	char venue[6];
	float depth[3];
	uint64_t at_ns;
};
COMAP_FIELDS(struct quote, COMAP_FIELD(u32, id), COMAP_FIELD(u16, flags), COMAP_FIELD(str, venue),
             COMAP_FIELD(f32, depth), COMAP_FIELD(u64, at_ns));

/* The same name, one field of another kind. */
static const struct comap_field changed_fields[] = {
	{ "id", COMAP_KIND_u64, 0, 8 }, { "value", COMAP_KIND_u64, 8, 8 },
};
static const struct comap_type changed_type = { "struct pair", 16, 8, 2, changed_fields };

/* A reader of yesterday: the first field only. */
static const struct comap_type prefix_type = { "struct pair", 8, 8, 1, changed_fields };

#define COUNT 1000u

static void fill(struct pair *pairs)
{
	for (unsigned i = 0; i < COUNT; i++)
		pairs[i] = (struct pair){ i + 1, i * 0.5 };
}

static void write_file(const char *path, const void *head, size_t head_bytes, const void *body,
                       size_t body_bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (head_bytes)
		assert_int_equal(write(fd, head, head_bytes), head_bytes);
	assert_int_equal(write(fd, body, body_bytes), body_bytes);
	close(fd);
}

static struct comap_map *map_file(const char *path, uint32_t mode)
{
	struct comap_map *map;

	assert_int_equal(comap_map_open(path, COMAP_MAP_OPTIONS(.mode = mode), &map), 0);
	return map;
}

static void in_place(void **state)
{
	static struct pair pairs[COUNT];
	const char *path = proc_path(PROC_SHM, "pairs");
	struct comap_records view;
	struct comap_map *map;
	double sum = 0;

	fill(pairs);
	write_file(path, NULL, 0, pairs, sizeof pairs);
	map = map_file(path, COMAP_MAP_READ);
	assert_int_equal(comap_records_open(map, 0, COMAP_MAP_REST, COMAP_TYPE(struct pair), 0, &view), 0);
	assert_int_equal(comap_records_count(&view), COUNT);
	assert_true(comap_records_is_direct(&view));
	for (uint64_t i = 0; i < COUNT; i++) {
		const struct pair *pair = COMAP_RECORD(struct pair, &view, i);

		assert_ptr_equal(pair, (const struct pair *)comap_map_data(map) + i);
		assert_int_equal(pair->id, i + 1);
		sum += pair->value;
	}
	assert_true(sum == COUNT * (COUNT - 1) * 0.25);
	assert_ptr_equal(comap_records_raw_unchecked(&view), comap_map_data(map));
	assert_null(COMAP_RECORD(struct quote, &view, 0)); /* another size */
	comap_map_close(map);
}

static void bounds(void **state)
{
	struct pair pairs[4] = { { 1, 1 } };
	struct comap_records view;

	assert_int_equal(comap_records_over(pairs, sizeof pairs, COMAP_TYPE(struct pair), 0, &view), 0);
	assert_non_null(comap_records_at(&view, 3));
	assert_null(comap_records_at(&view, 4));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BOUNDS);
	assert_null(comap_records_at(&view, UINT64_MAX));
	assert_int_equal(comap_records_get(&view, 4, &pairs[0]), -ERANGE);
	assert_int_equal(comap_records_over(pairs, 0, COMAP_TYPE(struct pair), 0, &view), 0);
	assert_null(comap_records_at(&view, 0));
}

static void partial_is_refused(void **state)
{
	struct pair pairs[4] = { { 0, 0 } };
	struct comap_records view = { .count = 77 };

	assert_int_equal(comap_records_over(pairs, 37, COMAP_TYPE(struct pair), 0, &view), -EBADMSG);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_SHORT);
	assert_non_null(strstr(comap_error_text(), "5 bytes are left over"));
	assert_int_equal(view.count, 77);
	assert_int_equal(comap_records_over(pairs, 37, COMAP_TYPE(struct pair),
	                                    COMAP_RECORDS_IGNORE_TAIL, &view), 0);
	assert_int_equal(view.count, 2);
}

static void misaligned_is_refused_or_fetched(void **state)
{
	static _Alignas(8) unsigned char bytes[3 + sizeof(struct pair) * 3];
	struct pair pair = { 7, 2.5 }, back;
	struct comap_records view;

	memcpy(bytes + 3 + sizeof pair, &pair, sizeof pair);
	assert_int_equal(comap_records_over(bytes + 3, 3 * sizeof pair, COMAP_TYPE(struct pair), 0, &view),
	                 -EPROTONOSUPPORT);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_LAYOUT);
	assert_int_equal(comap_records_over(bytes + 3, 3 * sizeof pair, COMAP_TYPE(struct pair),
	                                    COMAP_RECORDS_SLOW, &view), 0);
	assert_int_equal(view.count, 3);
	assert_null(comap_records_at(&view, 1));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_UNSUPPORTED);
	assert_int_equal(comap_records_get(&view, 1, &back), 0);
	assert_int_equal(back.id, 7);
	assert_true(back.value == 2.5);
}

/* A record as a big-endian machine writes it, byte by byte. */
static const unsigned char big_quote[] = {
	0x00, 0x00, 0x30, 0x39,  0x00, 0x05,  'X', 'E', 'T', 'R', 0, 0,
	0x3f, 0x80, 0, 0,  0x40, 0x00, 0, 0,  0x40, 0x40, 0, 0,
	0, 0, 0, 0, 0, 0, 1, 2,
};
_Static_assert(sizeof big_quote == sizeof(struct quote), "laid out by hand");

static void big_endian_is_refused_or_turned(void **state)
{
	static _Alignas(8) unsigned char bytes[sizeof big_quote];
	struct comap_records view;
	struct quote quote;

	memcpy(bytes, big_quote, sizeof bytes);
	assert_int_equal(comap_records_over(bytes, sizeof bytes, COMAP_TYPE(struct quote),
	                                    COMAP_RECORDS_BIG_ENDIAN, &view), -EPROTONOSUPPORT);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BYTE_ORDER);
	assert_int_equal(comap_records_over(bytes, sizeof bytes, COMAP_TYPE(struct quote),
	                                    COMAP_RECORDS_BIG_ENDIAN | COMAP_RECORDS_SLOW |
	                                    COMAP_RECORDS_WRITE, &view), 0);
	assert_null(comap_records_at(&view, 0));
	assert_int_equal(comap_records_get(&view, 0, &quote), 0);
	assert_int_equal(quote.id, 12345);
	assert_int_equal(quote.flags, 5);
	assert_string_equal(quote.venue, "XETR");
	assert_true(quote.depth[0] == 1.0f && quote.depth[1] == 2.0f && quote.depth[2] == 3.0f);
	assert_int_equal(quote.at_ns, 258);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(comap_records_put(&view, 0, &quote), 0);
	assert_memory_equal(bytes, big_quote, sizeof bytes);
}

static void order_is_detected(void **state)
{
	const unsigned char little[] = { 0x04, 0x03, 0x02, 0x01 }, big[] = { 1, 2, 3, 4 };

	assert_int_equal(comap_order_detect(little, 4, 0x01020304), 0);
	assert_int_equal(comap_order_detect(big, 4, 0x01020304), COMAP_ORDER_SWAPPED);
	assert_int_equal(comap_order_detect(big, 4, 0x01020305), -EBADMSG);
	assert_int_equal(comap_order_detect(big, 3, 0x01020304), -EBADMSG);
	assert_int_equal(comap_order_detect(big, 4, 0x01020201), -EINVAL);
}

static void writing_needs_the_right(void **state)
{
	static struct pair pairs[COUNT];
	const char *path = proc_path(PROC_SHM, "writable");
	const struct pair pair = { 4711, 1.25 };
	struct comap_records view;
	struct comap_map *map;

	fill(pairs);
	write_file(path, NULL, 0, pairs, sizeof pairs);
	map = map_file(path, COMAP_MAP_READ);
	assert_int_equal(comap_records_open(map, 0, COMAP_MAP_REST, COMAP_TYPE(struct pair),
	                                    COMAP_RECORDS_WRITE, &view), -EACCES);
	assert_int_equal(comap_records_open(map, 0, COMAP_MAP_REST, COMAP_TYPE(struct pair), 0, &view), 0);
	assert_null(comap_records_at_mutable(&view, 0));
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_READ_ONLY);
	assert_int_equal(comap_records_put(&view, 0, &pair), -EACCES);
	comap_map_close(map);

	map = map_file(path, COMAP_MAP_WRITE);
	assert_int_equal(comap_records_open(map, 32, COMAP_MAP_REST, COMAP_TYPE(struct pair),
	                                    COMAP_RECORDS_WRITE, &view), 0);
	assert_int_equal(comap_records_put(&view, 0, &pair), 0);
	((struct pair *)comap_records_at_mutable(&view, 1))->id = 4712;
	comap_map_close(map);
	assert_true(files_equal(path, 32, &pair, sizeof pair));
	assert_true(files_equal(path, 48, &(uint64_t){ 4712 }, 8));
}

static void parts_of_mappings(void **state)
{
	static struct pair pairs[COUNT];
	const char *path = proc_path(PROC_SHM, "part");
	struct comap_records view;
	struct comap_map *map;

	fill(pairs);
	write_file(path, NULL, 0, pairs, sizeof pairs);
	map = map_file(path, COMAP_MAP_READ);
	assert_int_equal(comap_records_open(map, 16, 32, COMAP_TYPE(struct pair), 0, &view), 0);
	assert_int_equal(view.count, 2);
	assert_int_equal(COMAP_RECORD(struct pair, &view, 0)->id, 2);
	assert_int_equal(comap_records_open(map, 16, sizeof pairs, COMAP_TYPE(struct pair), 0, &view),
	                 -ERANGE);
	assert_int_equal(comap_records_open(map, sizeof pairs + 1, COMAP_MAP_REST,
	                                    COMAP_TYPE(struct pair), 0, &view), -ERANGE);
	assert_int_equal(comap_records_open(NULL, 0, 0, COMAP_TYPE(struct pair), 0, &view), -EINVAL);
	assert_int_equal(comap_records_open(map, 0, 16, NULL, 0, &view), -EINVAL);
	comap_map_close(map);
}

/* --- files that describe themselves ------------------------------------------------------- */

static const char *described(const char *name, unsigned char *header, int64_t *ret_bytes)
{
	static struct pair pairs[COUNT];
	const char *path = proc_path(PROC_SHM, name);

	fill(pairs);
	*ret_bytes = comap_records_header(COMAP_TYPE(struct pair), header, COMAP_RECORDS_HEADER_MAX);
	assert_true(*ret_bytes > 0 && *ret_bytes % 64 == 0);
	write_file(path, header, (size_t)*ret_bytes, pairs, sizeof pairs);
	return path;
}

static int open_described(const char *path, const struct comap_type *type, unsigned flags,
                          struct comap_records *view, struct comap_map **ret_map)
{
	*ret_map = map_file(path, COMAP_MAP_READ);
	return comap_records_open_described(*ret_map, type, flags, view);
}

static void described_fits(void **state)
{
	unsigned char header[COMAP_RECORDS_HEADER_MAX];
	struct comap_records view;
	struct comap_map *map;
	int64_t header_bytes;
	const char *path = described("described", header, &header_bytes);

	assert_int_equal(open_described(path, COMAP_TYPE(struct pair), 0, &view, &map), 0);
	assert_int_equal(view.count, COUNT);
	assert_int_equal(COMAP_RECORD(struct pair, &view, 9)->id, 10);
	/* A prefix of the fields, at the writer's stride. */
	assert_int_equal(comap_records_open_described(map, &prefix_type, 0, &view), 0);
	assert_int_equal(view.count, COUNT);
	assert_int_equal(*(const uint64_t *)comap_records_at(&view, 9), 10);
	assert_int_equal(comap_records_open_described(map, &changed_type, 0, &view), -EPROTOTYPE);
	assert_int_equal(comap_records_open_described(map, COMAP_TYPE(struct quote), 0, &view),
	                 -EPROTOTYPE);
	comap_map_close(map);
	assert_int_equal(comap_records_header(COMAP_TYPE(struct pair), header, 64), -ENOSPC);
}

/* Every byte of the header is looked at: whichever is changed, the file is refused. */
static void described_is_checked(void **state)
{
	unsigned char header[COMAP_RECORDS_HEADER_MAX];
	struct comap_records view;
	struct comap_map *map;
	int64_t header_bytes;
	const char *path = described("checked", header, &header_bytes);
	unsigned char *bytes;

	map = map_file(path, COMAP_MAP_WRITE);
	bytes = comap_map_data_mutable(map);
	for (int64_t i = 0; i < header_bytes; i++) {
		bytes[i] ^= 0x10;
		assert_true(comap_records_open_described(map, COMAP_TYPE(struct pair), 0, &view) < 0);
		bytes[i] ^= 0x10;
	}
	assert_int_equal(comap_records_open_described(map, COMAP_TYPE(struct pair), 0, &view), 0);
	comap_map_close(map);
	for (int64_t size = 0; size < header_bytes; size += 8) {
		write_file(path, NULL, 0, header, (size_t)size);
		assert_int_equal(open_described(path, COMAP_TYPE(struct pair), 0, &view, &map), -EBADMSG);
		comap_map_close(map);
	}
}

static void put_big(unsigned char *at, uint64_t value, unsigned size_bytes)
{
	for (unsigned i = 0; i < size_bytes; i++)
		at[i] = (unsigned char)(value >> 8 * (size_bytes - 1 - i));
}

static uint64_t fnv1a(const unsigned char *bytes, int64_t size_bytes)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (int64_t i = 0; i < size_bytes; i++)
		sum = (sum ^ (i >= 32 && i < 40 ? 0 : bytes[i])) * UINT64_C(0x100000001b3);
	return sum;
}

/* The file as a big-endian machine would have written it, built from the documented picture. */
static void described_big_endian(void **state)
{
	unsigned char header[COMAP_RECORDS_HEADER_MAX], big[COMAP_RECORDS_HEADER_MAX], body[32];
	const char *path = proc_path(PROC_SHM, "big");
	struct comap_records view;
	struct comap_map *map;
	struct pair pair;
	int64_t bytes = comap_records_header(COMAP_TYPE(struct pair), header, sizeof header);
	static const unsigned words[] = { 8, 12, 16, 20, 24, 28, 128, 132, 136, 176, 180, 184 };

	assert_true(bytes > 0);
	memcpy(big, header, sizeof big);
	for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
		uint32_t word;

		memcpy(&word, header + words[i], 4);
		put_big(big + words[i], word, 4);
	}
	put_big(big + 32, fnv1a(big, bytes), 8);
	put_big(body, 1, 8);
	put_big(body + 8, UINT64_C(0x3ff0000000000000), 8); /* 1.0 */
	put_big(body + 16, 2, 8);
	put_big(body + 24, UINT64_C(0x4004000000000000), 8); /* 2.5 */
	write_file(path, big, (size_t)bytes, body, sizeof body);
	assert_int_equal(open_described(path, COMAP_TYPE(struct pair), 0, &view, &map), -EPROTONOSUPPORT);
	assert_int_equal(comap_last_error()->cause, COMAP_CAUSE_BYTE_ORDER);
	assert_int_equal(comap_records_open_described(map, COMAP_TYPE(struct pair), COMAP_RECORDS_SLOW,
	                                              &view), 0);
	assert_int_equal(comap_records_get(&view, 1, &pair), 0);
	assert_int_equal(pair.id, 2);
	assert_true(pair.value == 2.5);
	comap_map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(in_place),
		PROC_TEST(bounds),
		PROC_TEST(partial_is_refused),
		PROC_TEST(misaligned_is_refused_or_fetched),
		PROC_TEST(big_endian_is_refused_or_turned),
		PROC_TEST(order_is_detected),
		PROC_TEST(writing_needs_the_right),
		PROC_TEST(parts_of_mappings),
		PROC_TEST(described_fits),
		PROC_TEST(described_is_checked),
		PROC_TEST(described_big_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
