/* SPDX-License-Identifier: MIT */
/* Bytes read through field lists, scans, searches and the guard, each against a simple way of saying the
 * same.
 *
 *   type      a list is refused, or everything that prints and compares by it stays inside its record
 *   records   counts, bounds, byte order; a header is read back as it was written, or refused
 *   scan      lines, records and pieces in both directions, by every method, are those of the bytes
 *   search    counting and finding are what a loop says
 *   guard     a file cut under its mapping: bytes before the cut are right, others are an error */
#include "fuzz.h"

#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/records.h>
#include <comap/scan.h>
#include <comap/search.h>
#include <comap/type.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- type ------------------------------------------------------------------------------------ */

#define FIELDS_MAX 34u /* more than a list may have */

struct list {
	struct comap_type type;
	struct comap_field fields[FIELDS_MAX];
	char *names[FIELDS_MAX + 1];
};

static void take_list(struct fuzz_in *in, struct list *list)
{
	uint32_t count = (uint32_t)fuzz_take(in, 1) % FIELDS_MAX;

	memset(list, 0, sizeof *list);
	list->type.size_bytes = (uint32_t)fuzz_take(in, 2);
	list->type.align_bytes = 1u << fuzz_take(in, 1) % 8;
	list->type.name = list->names[FIELDS_MAX] = fuzz_take_string(in, 40);
	list->type.field_count = count;
	list->type.fields = list->fields;
	for (uint32_t i = 0; i < count; i++) {
		list->fields[i].kind = (uint16_t)fuzz_take(in, 1);
		list->fields[i].offset_bytes = (uint32_t)fuzz_take(in, 2);
		list->fields[i].size_bytes = (uint32_t)fuzz_take(in, 2);
		list->fields[i].name = list->names[i] = fuzz_take_string(in, 40);
	}
}

static void drop_list(struct list *list)
{
	for (unsigned i = 0; i <= FIELDS_MAX; i++)
		free(list->names[i]);
}

/* As snprintf(): the length is the same whatever the room, and nothing is written beyond it. */
static void check_print(const struct comap_type *type, const void *record, size_t room)
{
	char *text = malloc(room + 1);
	size_t length = comap_type_print(type, text, room);

	FUZZ_REQUIRE(text && comap_type_print(type, NULL, 0) == length);
	FUZZ_REQUIRE(room == 0 || strlen(text) == (length < room ? length : room - 1));
	for (uint32_t i = 0; i < type->field_count; i++) {
		length = comap_field_print(&type->fields[i], record, text, room);
		FUZZ_REQUIRE(comap_field_print(&type->fields[i], record, NULL, 0) == length);
		FUZZ_REQUIRE(room == 0 || strlen(text) == (length < room ? length : room - 1));
	}
	free(text);
}

/* A file of one record with its header is read as what was written. */
static void check_described(const struct comap_type *type, const void *record)
{
	uint8_t header[COMAP_RECORDS_HEADER_MAX];
	int64_t header_bytes = comap_records_header(type, header, sizeof header);
	struct comap_records records;
	struct comap_map *map;
	uint8_t *bytes, *back = malloc(type->size_bytes);

	FUZZ_REQUIRE(back && header_bytes > 0 && header_bytes <= (int64_t)sizeof header);
	FUZZ_REQUIRE(comap_records_header(type, header, (size_t)header_bytes - 1) == -ENOSPC);
	FUZZ_REQUIRE(comap_map_open_anonymous((uint64_t)header_bytes + type->size_bytes,
	                                      COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY), &map) == 0);
	bytes = comap_map_data_mutable(map);
	memcpy(bytes, header, (size_t)header_bytes);
	memcpy(bytes + header_bytes, record, type->size_bytes);
	FUZZ_REQUIRE(comap_records_open_described(map, type, COMAP_RECORDS_SLOW, &records) == 0);
	FUZZ_REQUIRE(comap_records_count(&records) == 1 && comap_records_get(&records, 0, back) == 0);
	FUZZ_REQUIRE(memcmp(back, record, type->size_bytes) == 0);
	comap_map_close(map);
	free(back);
}

static void one_type(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	size_t room = fuzz_take(&in, 1) * 3;
	struct list list;
	uint8_t *record, header[64];

	take_list(&in, &list);
	if (comap_type_check(&list.type) == 0) {
		record = fuzz_take_copy(&in, list.type.size_bytes);
		FUZZ_REQUIRE(comap_type_fits(&list.type, &list.type) == 0);
		check_print(&list.type, record, room);
		check_described(&list.type, record);
		free(record);
	} else {
		FUZZ_REQUIRE(comap_records_header(&list.type, header, sizeof header) == -EINVAL);
	}
	drop_list(&list);
}

static const struct fuzz_seed type_seeds[] = {
	FUZZ_SEED("\50" "\2\20\0\3tick\0" "\4\0\0\10\0at_ns\0" "\12\10\0\10\0price\0" "0123456789abcdef"),
	FUZZ_SEED("\5" "\3\30\0\0s\0" "\13\0\0\10\0str\0" "\14\10\0\10\0b\0" "\2\20\0\10\0u16\0"
	          "a\"\\\1\177\377zzzzzzzz"),
	FUZZ_SEED("\377" "\12\50\0\2all\0" "\1\0\0\1\0a\0\5\1\0\1\0b\0\6\2\0\2\0c\0\3\4\0\4\0d\0\7\10\0\4\0e\0"
	          "\11\14\0\4\0f\0\10\20\0\10\0g\0\4\30\0\10\0h\0\12\40\0\10\0i\0"),
};

const struct fuzz_target fuzz_type = {
	"type", "a field list is refused, or what prints by it stays inside", NULL, one_type, NULL,
	type_seeds, sizeof type_seeds / sizeof type_seeds[0], 100000, 1024,
};

/* --- records --------------------------------------------------------------------------------- */

struct tick {
	uint64_t at_ns;
	float price;
	uint16_t size, flags;
};
COMAP_FIELDS(struct tick, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f32, price), COMAP_FIELD(u16, size),
             COMAP_FIELD(u16, flags));

static void turn(uint8_t *at, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes / 2; i++) {
		uint8_t byte = at[i];

		at[i] = at[size_bytes - 1 - i];
		at[size_bytes - 1 - i] = byte;
	}
}

/* The record as it must come out. */
static struct tick expected(const uint8_t *at, bool big_endian)
{
	uint8_t bytes[sizeof(struct tick)];
	struct tick tick;

	memcpy(bytes, at, sizeof bytes);
	if (big_endian) {
		turn(bytes, 8);
		turn(bytes + 8, 4);
		turn(bytes + 12, 2);
		turn(bytes + 14, 2);
	}
	memcpy(&tick, bytes, sizeof tick);
	return tick;
}

static void check_view(const struct comap_records *records, const uint8_t *bytes, size_t size_bytes,
                       unsigned flags)
{
	uint64_t count = comap_records_count(records);
	struct tick tick, right;

	FUZZ_REQUIRE(count == size_bytes / sizeof tick);
	for (uint64_t i = 0; i < count; i++) {
		right = expected(bytes + i * sizeof tick, flags & COMAP_RECORDS_BIG_ENDIAN);
		FUZZ_REQUIRE(comap_records_get(records, i, &tick) == 0);
		FUZZ_REQUIRE(memcmp(&tick, &right, sizeof tick) == 0);
		FUZZ_REQUIRE(comap_records_is_direct(records) == (comap_records_at(records, i) != NULL));
		FUZZ_REQUIRE(comap_records_put(records, i, &tick) == (records->writable ? 0 : -EACCES));
		FUZZ_REQUIRE(comap_records_get(records, i, &tick) == 0);
		FUZZ_REQUIRE(memcmp(&tick, &right, sizeof tick) == 0);
	}
	FUZZ_REQUIRE(comap_records_get(records, count, &tick) == -ERANGE);
	FUZZ_REQUIRE(!comap_records_at(records, count) && !comap_records_at(records, UINT64_MAX));
}

static void one_records(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	unsigned flags = (unsigned)fuzz_take(&in, 1) & 15, shift = (unsigned)fuzz_take(&in, 1) & 7;
	size_t left = fuzz_left(&in);
	uint8_t *bytes = malloc(left + shift + 1);
	struct comap_records records;
	struct comap_map *map;
	bool tail = left % sizeof(struct tick) != 0 && !(flags & COMAP_RECORDS_IGNORE_TAIL), fits;

	FUZZ_REQUIRE(bytes);
	memcpy(bytes + shift, in.at, left);
	fits = !tail && ((flags & COMAP_RECORDS_SLOW) || (shift == 0 && !(flags & COMAP_RECORDS_BIG_ENDIAN)));
	if (comap_records_over(bytes + shift, left, COMAP_TYPE(struct tick), flags, &records) == 0) {
		FUZZ_REQUIRE(fits);
		check_view(&records, in.at, left, flags);
	} else {
		FUZZ_REQUIRE(!fits);
	}
	/* The same bytes as a file that describes itself: a mutated seed may even be one. */
	if (left && comap_map_open_anonymous(left, COMAP_MAP_OPTIONS(.mode = COMAP_MAP_COPY), &map) == 0) {
		memcpy(comap_map_data_mutable(map), in.at, left);
		if (comap_records_open_described(map, COMAP_TYPE(struct tick), flags, &records) == 0)
			for (uint64_t i = 0; i < comap_records_count(&records); i++) {
				struct tick tick;

				FUZZ_REQUIRE(comap_records_get(&records, i, &tick) == 0);
			}
		comap_map_close(map);
	}
	free(bytes);
}

static uint8_t described[2 + 512 + 64];

static struct fuzz_seed records_seeds[] = {
	FUZZ_SEED("\0\0" "0123456789abcdef0123456789ABCDEF"), FUZZ_SEED("\3\1" "0123456789abcdef"),
	FUZZ_SEED("\4\0" "0123456789abcdef0123"), FUZZ_SEED("\11\0" "0123456789abcdef"),
	{ described, sizeof described },
};

static void begin_records(void)
{
	described[0] = COMAP_RECORDS_IGNORE_TAIL | COMAP_RECORDS_SLOW;
	FUZZ_REQUIRE(comap_records_header(COMAP_TYPE(struct tick), described + 2, 512) > 0);
}

const struct fuzz_target fuzz_records = {
	"records", "records are those of the bytes, inside their bounds", begin_records, one_records, NULL,
	records_seeds, sizeof records_seeds / sizeof records_seeds[0], 60000, 1024,
};

/* --- scan ------------------------------------------------------------------------------------ */

static const char *scan_path;
static int scan_file = -1;

static void begin_file(void)
{
	scan_path = fuzz_path("bytes");
	scan_file = open(scan_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	FUZZ_REQUIRE(scan_file >= 0);
}

static void end_file(void)
{
	close(scan_file);
}

static void set_file(const void *data, size_t size_bytes)
{
	FUZZ_REQUIRE(ftruncate(scan_file, 0) == 0);
	FUZZ_REQUIRE(pwrite(scan_file, data, size_bytes, 0) == (ssize_t)size_bytes);
}

struct range { size_t from, to; };

/* What the next line is, from the front or from the back of what is left; false: no more. */
static bool next_line(const uint8_t *data, struct range *rest, bool backward, struct range *ret_line)
{
	if (rest->from == rest->to)
		return false;
	*ret_line = *rest;
	if (backward) {
		ret_line->to -= data[ret_line->to - 1] == '\n';
		for (ret_line->from = ret_line->to; ret_line->from > rest->from; ret_line->from--)
			if (data[ret_line->from - 1] == '\n')
				break;
		rest->to = ret_line->from;
		return true;
	}
	for (ret_line->to = rest->from; ret_line->to < rest->to && data[ret_line->to] != '\n'; ret_line->to++)
		;
	rest->from = ret_line->to + (ret_line->to < rest->to);
	return true;
}

static void check_span(const uint8_t *data, const struct comap_span *span, struct range right)
{
	FUZZ_REQUIRE(span->offset_bytes == right.from && span->size_bytes == right.to - right.from);
	FUZZ_REQUIRE(memcmp(span->data, data + right.from, right.to - right.from) == 0);
}

static void scan_lines(struct comap_scan *scan, const uint8_t *data, struct range rest, bool backward,
                       size_t line_max)
{
	struct comap_span span;
	struct range line;
	int code;

	while (next_line(data, &rest, backward, &line)) {
		code = comap_scan_line(scan, &span);
		if (code == -EMSGSIZE) {
			FUZZ_REQUIRE(line.to - line.from >= line_max);
			return;
		}
		FUZZ_REQUIRE(code == 0);
		check_span(data, &span, line);
	}
	FUZZ_REQUIRE(comap_scan_line(scan, &span) == COMAP_SCAN_END);
}

static void scan_records(struct comap_scan *scan, const uint8_t *data, struct range rest, bool backward,
                         size_t record)
{
	struct comap_span span;
	struct range right;

	if ((rest.to - rest.from) % record != 0)
		return;
	while (rest.from < rest.to) {
		right = backward ? (struct range){ rest.to - record, rest.to }
		                 : (struct range){ rest.from, rest.from + record };
		FUZZ_REQUIRE(comap_scan_record(scan, record, &span) == 0);
		check_span(data, &span, right);
		rest = backward ? (struct range){ rest.from, right.from } : (struct range){ right.to, rest.to };
	}
	FUZZ_REQUIRE(comap_scan_record(scan, record, &span) == COMAP_SCAN_END);
}

static void scan_pieces(struct comap_scan *scan, const uint8_t *data, struct range rest, bool backward,
                        bool lines)
{
	struct comap_span span;
	int code;

	while ((code = lines ? comap_scan_lines(scan, &span) : comap_scan_chunk(scan, &span)) == 0) {
		FUZZ_REQUIRE(span.size_bytes > 0 && span.size_bytes <= rest.to - rest.from);
		if (backward)
			check_span(data, &span, (struct range){ rest.to - span.size_bytes, rest.to });
		else
			check_span(data, &span, (struct range){ rest.from, rest.from + span.size_bytes });
		FUZZ_REQUIRE(!lines || rest.from + span.size_bytes == rest.to ||
		             span.data[span.size_bytes - 1] == '\n');
		rest.to -= backward ? span.size_bytes : 0;
		rest.from += backward ? 0 : span.size_bytes;
	}
	if (code == COMAP_SCAN_END)
		FUZZ_REQUIRE(rest.from == rest.to);
	else
		FUZZ_REQUIRE(lines && code == -EMSGSIZE);
}

/* Two ranges side by side: every line once. */
static void scan_own_lines(const uint8_t *data, size_t size_bytes, size_t middle, unsigned method,
                           size_t buffer)
{
	struct range rest = { 0, size_bytes }, line;
	struct comap_scan *scan;
	struct comap_span span;
	int code;

	if (middle == 0 || middle >= size_bytes)
		return;
	for (unsigned part = 0; part < 2; part++) {
		FUZZ_REQUIRE(comap_scan_open(scan_path, COMAP_SCAN_OPTIONS(.flags = COMAP_SCAN_OWN_LINES,
			.method = method, .buffer_bytes = buffer, .offset_bytes = part ? middle : 0,
			.size_bytes = part ? 0 : middle), &scan) == 0);
		while ((code = comap_scan_line(scan, &span)) == 0) {
			FUZZ_REQUIRE(next_line(data, &rest, false, &line));
			check_span(data, &span, line);
		}
		FUZZ_REQUIRE(code == COMAP_SCAN_END);
		comap_scan_close(scan);
	}
	FUZZ_REQUIRE(!next_line(data, &rest, false, &line));
}

enum { SCAN_BACKWARD = 1, SCAN_RANGE = 2, SCAN_OWN = 4 };

static void one_scan(const uint8_t *data, size_t size_bytes)
{
	static const unsigned methods[] = { COMAP_METHOD_AUTO, COMAP_METHOD_WHOLE, COMAP_METHOD_STREAM,
		COMAP_METHOD_MAP };
	struct fuzz_in in = { data, data + size_bytes };
	unsigned how = (unsigned)fuzz_take(&in, 1), method = methods[fuzz_take(&in, 1) % 4];
	unsigned what = (unsigned)fuzz_take(&in, 1) % 4;
	size_t buffer = fuzz_take(&in, 1), line_max = fuzz_take(&in, 1), at = fuzz_take(&in, 1);
	size_t left = fuzz_left(&in), record = 1 + line_max % 16;
	struct range rest = { how & SCAN_RANGE && at <= left ? at : 0, left };
	bool backward = how & SCAN_BACKWARD;
	struct comap_scan *scan;

	set_file(in.at, left);
	if (how & SCAN_OWN) {
		scan_own_lines(in.at, left, at, method, buffer);
		return;
	}
	FUZZ_REQUIRE(comap_scan_open(scan_path, COMAP_SCAN_OPTIONS(.flags = backward ? COMAP_SCAN_BACKWARD : 0,
		.method = method, .offset_bytes = rest.from, .buffer_bytes = buffer,
		.line_max_bytes = line_max), &scan) == 0);
	if (what == 0)
		scan_lines(scan, in.at, rest, backward, line_max ? line_max : 64u << 20);
	else if (what == 1)
		scan_records(scan, in.at, rest, backward, record);
	else if (what == 2 || backward)
		scan_pieces(scan, in.at, rest, backward, false);
	else
		scan_pieces(scan, in.at, rest, false, true);
	comap_scan_close(scan);
}

#define LINES "one\ntwo\n\n\nthree and a longer one that fills the buffer several times over\nx\nlast"
static const struct fuzz_seed scan_seeds[] = {
	FUZZ_SEED("\0\2\0\10\0\0" LINES), FUZZ_SEED("\1\2\0\10\0\0" LINES), FUZZ_SEED("\1\3\0\0\0\0" LINES "\n"),
	FUZZ_SEED("\0\1\1\0\7\0" "abcdefghijklmnop"), FUZZ_SEED("\3\2\1\5\2\3" "abcdefghijklmnopqr"),
	FUZZ_SEED("\0\2\3\20\0\0" LINES), FUZZ_SEED("\4\2\0\7\0\11" LINES), FUZZ_SEED("\4\3\0\0\0\4" LINES),
	FUZZ_SEED("\0\2\0\10\10\0" LINES), FUZZ_SEED("\1\2\2\3\0\0" LINES), FUZZ_SEED("\0\0\0\0\0\0"),
};

const struct fuzz_target fuzz_scan = {
	"scan", "lines, records and pieces are those of the bytes, in both directions", begin_file, one_scan,
	end_file, scan_seeds, sizeof scan_seeds / sizeof scan_seeds[0], 60000, 9000,
};

/* --- search ---------------------------------------------------------------------------------- */

static void one_search(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	size_t literal_bytes = fuzz_take(&in, 1) % 40, left, count = 0;
	uint8_t byte = (uint8_t)fuzz_take(&in, 1), *literal = fuzz_take_copy(&in, literal_bytes), *text;
	struct comap_finder finder;
	const void *right;

	left = fuzz_left(&in);
	text = fuzz_take_copy(&in, left);
	for (size_t i = 0; i < left; i++)
		count += text[i] == byte;
	FUZZ_REQUIRE(comap_bytes_count(text, left, byte) == count);
	right = literal_bytes ? memmem(text, left, literal, literal_bytes) : text;
	FUZZ_REQUIRE(comap_bytes_find(text, left, literal, literal_bytes) == right);
	comap_finder_init(&finder, literal, literal_bytes, text, left);
	FUZZ_REQUIRE(comap_finder_next(&finder, text, left) == right);
	comap_finder_init(&finder, literal, literal_bytes, NULL, 0);
	FUZZ_REQUIRE(comap_finder_next(&finder, text, left) == right);
	free(text);
	free(literal);
}

static const struct fuzz_seed search_seeds[] = {
	FUZZ_SEED("\3\nabc" "ababababababababababababababababababababcabc\n\n"),
	FUZZ_SEED("\1aa" "xxxxxxxxxxxxxxxxxxxxxxxxxa"),
	FUZZ_SEED("\0\0" ""), FUZZ_SEED("\10\0" "aaaaaaab" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
};

const struct fuzz_target fuzz_search = {
	"search", "counting and finding are what a loop says", NULL, one_search, NULL,
	search_seeds, sizeof search_seeds / sizeof search_seeds[0], 300000, 2048,
};

/* --- guard ----------------------------------------------------------------------------------- */

#define GUARD_PAGE 4096u
#define GUARD_BYTES (8u * GUARD_PAGE)

static uint8_t guard_data[GUARD_BYTES];

static void begin_guard(void)
{
	begin_file();
	for (size_t i = 0; i < sizeof guard_data; i++)
		guard_data[i] = (uint8_t)(i * 7 + i / 251 + 1) | 1; /* never 0 */
}

/* A copy of [at, at + size): right, or the error that the cut makes of it. */
static void check_copy(struct comap_map *map, uint64_t at, uint64_t size_bytes, uint64_t file_bytes)
{
	uint8_t *bytes = malloc(GUARD_BYTES);
	int code = comap_map_copy_out(map, at, bytes, size_bytes);
	uint64_t map_bytes = comap_map_size_bytes(map);

	FUZZ_REQUIRE(bytes);
	if (at > map_bytes || size_bytes > map_bytes - at)
		FUZZ_REQUIRE(code == -ERANGE);
	else if (at + size_bytes > file_bytes && size_bytes > 0)
		FUZZ_REQUIRE(code == -ESTALE);
	else
		FUZZ_REQUIRE(code == 0 && memcmp(bytes, guard_data + at, size_bytes) == 0);
	free(bytes);
}

/* A byte in place: right before the cut, 0 behind it, and behind its page the section ends. */
static void check_byte(struct comap_map *map, uint64_t at, uint64_t file_bytes)
{
	const volatile uint8_t *bytes = comap_map_data(map);
	uint64_t last_page = (file_bytes + GUARD_PAGE - 1) / GUARD_PAGE * GUARD_PAGE;
	volatile int byte = -1;

	COMAP_TRY(map) {
		byte = bytes[at];
	} COMAP_CATCH(code) {
		FUZZ_REQUIRE(code == -ESTALE && at >= last_page);
	}
	FUZZ_REQUIRE((byte < 0) == (at >= last_page));
	if (byte >= 0)
		FUZZ_REQUIRE(byte == (at < file_bytes ? guard_data[at] : 0));
}

static void one_guard(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	uint64_t cut = fuzz_take(&in, 2) % (GUARD_BYTES + 1), at, length;
	struct comap_map *map;

	set_file(guard_data, sizeof guard_data);
	FUZZ_REQUIRE(comap_map_open(scan_path, NULL, &map) == 0);
	FUZZ_REQUIRE(ftruncate(scan_file, (off_t)cut) == 0);
	for (unsigned i = 0; i < 8 && fuzz_left(&in) > 0; i++) {
		at = fuzz_take(&in, 2);
		length = fuzz_take(&in, 2);
		check_copy(map, at, length, cut);
		FUZZ_REQUIRE(comap_map_status(map) == 0);
		check_byte(map, at % GUARD_BYTES, cut);
	}
	/* Cut and grown again: what is behind the cut are zeros of the file, and not ours. */
	FUZZ_REQUIRE(ftruncate(scan_file, GUARD_BYTES) == 0);
	FUZZ_REQUIRE(comap_map_repair(map) == 0 && comap_map_status(map) == 0);
	comap_map_close(map);
}

static const struct fuzz_seed guard_seeds[] = {
	FUZZ_SEED("\0\20" "\377\17\1\0" "\377\17\2\0" "\0\20\1\0"), FUZZ_SEED("\1\20" "\0\20\2\0" "\0\20\1\0"),
	FUZZ_SEED("\0\0" "\0\0\1\0"), FUZZ_SEED("\0\200" "\377\177\1\0" "\0\200\0\0" "\0\0\0\200"),
};

const struct fuzz_target fuzz_guard = {
	"guard", "bytes before the cut are right, those behind it are an error", begin_guard, one_guard, end_file,
	guard_seeds, sizeof guard_seeds / sizeof guard_seeds[0], 12000, 64,
};
