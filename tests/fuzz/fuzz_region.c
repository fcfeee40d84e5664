/* SPDX-License-Identifier: MIT */
/* A region file whose bytes are damaged: opened as a guest and by a process that takes a seat.
 *
 * begin() makes a small region that has some of everything: a typed value, a table with wide, mortal and
 * counting entries, chains, retired blocks, a seat whose process died while it built a version. The file's
 * pages are kept; each input starts from them, changes some words, and looks at all that can be looked at.
 *
 *   region_bytes    bytes anywhere, the identity's checksum not mended; the file may be cut off
 *   region_fields   words, by what they mean: fields of the parts by name, and every word of the image
 *                   that is not zero (refs, sizes, heads of entries); the checksum is mended
 *
 * Held: nothing crashes or hangs, and no look goes beyond what the file has: the guard turns such a look
 * into -ESTALE, so comap_status() is 0 unless the file was cut. */
#include "fuzz.h"

#include "../ipc/damage.h"
#include "identity.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define PAGES_MAX 1024u
#define WORDS (PAGE / 8)

static const char *path;
static int file = -1;
static off_t file_bytes;
static struct kept { off_t offset; uint64_t words[WORDS]; } *kept;   /* pages that are not all zero */
static unsigned kept_count;
static struct { uint32_t page, word; } *places;                      /* words that are not zero */
static uint32_t place_count;
static struct comap_identity_shm identity;

/* --- the region as it was ------------------------------------------------------------------------------ */

static void fill_table(struct comap *region)
{
	struct comap_table *table = comap_table_open(region, "t", NULL);
	static char wide[70000];
	uint64_t key = 0;

	FUZZ_REQUIRE(table);
	for (; key < 1500; key++)
		FUZZ_REQUIRE(comap_table_put(table, &key, sizeof key, wide, key % 90) == 0);
	for (key = 0; key < 40; key++)
		FUZZ_REQUIRE(comap_table_remove(table, &key, sizeof key) == 0);
	FUZZ_REQUIRE(comap_table_put(table, wide, 300, wide, 20) == 0);
	FUZZ_REQUIRE(comap_table_put(table, "wide", 4, wide, sizeof wide) == 0);
	FUZZ_REQUIRE(comap_table_add(table, "counter", 7, 5, NULL) == 0);
	FUZZ_REQUIRE(comap_table_write(table, &(struct comap_table_write){ "mortal", 6, "v", 1, 0, 0,
	                               UINT64_C(1000000000000) }, NULL) == 0);
	comap_table_close(table);
}

/* Dies with a read section open, a version half built, blocks on its ring. */
static void die_attached(void)
{
	struct comap *region = comap_open(path, 0);
	struct comap_value *value = region ? comap_value_open(region, "tick", NULL) : NULL;
	void *data;

	if (!value || comap_value_put(value, "0123456789abcdef", 16) != 0 ||
	    comap_value_put(value, "fedcba9876543210", 16) != 0 ||
	    comap_value_reserve(value, 1000, &data) != 0 || comap_read_begin(region) != 0)
		_exit(1);
	_exit(0);
}

static void keep_page(off_t offset)
{
	struct kept *page = &kept[kept_count];

	FUZZ_REQUIRE(kept_count < PAGES_MAX);
	FUZZ_REQUIRE(pread(file, page->words, PAGE, offset) == PAGE);
	page->offset = offset;
	for (uint32_t i = 0; i < WORDS; i++)
		if (page->words[i]) {
			places[place_count].page = kept_count;
			places[place_count++].word = i;
		}
	kept_count += place_count && places[place_count - 1].page == kept_count;
}

static void keep_image(void)
{
	struct stat st;
	off_t at = 0, end;

	file = open(path, O_RDWR | O_CLOEXEC);
	FUZZ_REQUIRE(file >= 0 && fstat(file, &st) == 0);
	file_bytes = st.st_size;
	kept = calloc(PAGES_MAX, sizeof *kept);
	places = calloc((size_t)PAGES_MAX * WORDS, sizeof *places);
	FUZZ_REQUIRE(kept && places);
	while ((at = lseek(file, at, SEEK_DATA)) >= 0) {
		end = lseek(file, at, SEEK_HOLE);
		for (; at < end; at += PAGE)
			keep_page(at);
	}
	FUZZ_REQUIRE(kept_count > 10 && place_count > 1000);
	identity = damage_identity_read(path);
}

static void begin(void)
{
	struct comap *region;
	int status;
	pid_t pid;

	path = fuzz_path("region");
	damage_region(path);
	region = comap_open(path, COMAP_CREATE);
	FUZZ_REQUIRE(region);
	fill_table(region);
	FUZZ_REQUIRE(comap_close(region) == 0);
	pid = fork();
	if (pid == 0)
		die_attached();
	FUZZ_REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
	keep_image();
}

static void end(void)
{
	close(file);
	free(kept);
	free(places);
	kept_count = place_count = 0;
}

/* Nobody has the file open now. */
static void restore(void)
{
	FUZZ_REQUIRE(ftruncate(file, 0) == 0 && ftruncate(file, file_bytes) == 0);
	for (unsigned i = 0; i < kept_count; i++)
		FUZZ_REQUIRE(pwrite(file, kept[i].words, PAGE, kept[i].offset) == PAGE);
}

/* --- looking --------------------------------------------------------------------------------- */

static void touch(const void *data, size_t size_bytes)
{
	const volatile unsigned char *bytes = data;

	for (size_t i = 0; i < size_bytes; i += 512)
		(void)bytes[i];
	if (size_bytes)
		(void)bytes[size_bytes - 1];
}

static void look_at_table(struct comap *region)
{
	static char buffer[100000];
	struct comap_table *table = comap_table_open(region, "t", NULL);
	struct comap_table_walk *walk;
	struct comap_table_entry entry;
	struct comap_table_stats stats;

	if (!table)
		return;
	for (uint64_t key = 0; key < 1500; key += 97)
		(void)comap_table_get(table, &key, sizeof key, buffer, sizeof buffer, NULL);
	(void)comap_table_get(table, "wide", 4, buffer, sizeof buffer, NULL);
	(void)comap_table_get(table, "mortal", 6, buffer, sizeof buffer, NULL);
	(void)comap_table_contains(table, "counter", 7);
	(void)comap_table_stats(table, &stats);
	walk = comap_table_walk_begin(table);
	for (unsigned i = 0; walk && i < 5000 && comap_table_walk_next(walk, &entry) == 1; i++) {
		touch(entry.key, entry.key_bytes);
		touch(entry.value, entry.value_bytes);
	}
	comap_table_walk_end(walk);
	comap_table_close(table);
}

static void read_in_place(struct comap *region)
{
	struct comap_value *value = comap_value_open(region, "tick", NULL);
	struct comap_table *table = comap_table_open(region, "t", NULL);

	COMAP_READ(region) {
		struct comap_view view = value ? comap_value_view(value) : (struct comap_view){ 0 };

		touch(view.data, view.data ? view.size_bytes : 0);
		for (uint64_t key = 0; table && key < 1500; key += 111) {
			view = comap_table_view(table, &key, sizeof key);
			touch(view.data, view.data ? view.size_bytes : 0);
		}
	}
	comap_value_close(value);
	comap_table_close(table);
}

static void work(struct comap *region)
{
	struct comap_value *value = comap_value_open(region, "tick", NULL);
	struct comap_table *table = comap_table_open(region, "t", NULL);
	uint64_t key = 7;

	if (value && comap_value_put(value, &(struct { uint64_t a, b; }){ 1, 2 }, 16) == 0)
		(void)comap_value_put(value, &(struct { uint64_t a, b; }){ 3, 4 }, 16);
	for (unsigned i = 0; table && i < 8; i++, key += 191)
		if (comap_table_put(table, &key, sizeof key, &key, 8) < 0 ||
		    comap_table_remove(table, &key, sizeof key) < 0)
			break; /* it may have waited two seconds: not eight times */
	comap_value_close(value);
	comap_table_close(table);
}

static void look(bool attach, bool cut)
{
	struct comap *region = damage_open(path, attach ? 0 : COMAP_GUEST, 0);
	struct comap_check report;

	if (!region)
		return;
	damage_look(region);
	look_at_table(region);
	(void)comap_check(region, &report);
	if (attach) {
		read_in_place(region);
		work(region);
		(void)comap_check(region, &report);
	}
	if (!cut)
		FUZZ_REQUIRE(comap_status(region) == 0);
	FUZZ_REQUIRE(comap_close(region) == 0);
}

/* --- region_bytes ---------------------------------------------------------------------------- */

enum { BYTES_SEAL = 1, BYTES_ATTACH = 2, BYTES_CUT = 4 };

static void damage_bytes(struct fuzz_in *in)
{
	while (fuzz_left(in) > 0) {
		const struct kept *page = &kept[fuzz_take(in, 2) % kept_count];
		off_t at = page->offset + (off_t)(fuzz_take(in, 2) % PAGE);
		size_t length = 1 + fuzz_take(in, 1) % 32;
		uint8_t *bytes = fuzz_take_copy(in, length);

		FUZZ_REQUIRE(pwrite(file, bytes, length, at) == (ssize_t)length);
		free(bytes);
	}
}

static void one_of_bytes(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	unsigned how = (unsigned)fuzz_take(&in, 1);
	off_t cut = (off_t)(fuzz_take(&in, 3) * 64 % (uint64_t)file_bytes);

	restore();
	damage_bytes(&in);
	if (how & BYTES_CUT)
		FUZZ_REQUIRE(ftruncate(file, cut) == 0);
	look(how & BYTES_ATTACH, how & BYTES_CUT);
}

static const struct fuzz_seed bytes_seeds[] = {
	FUZZ_SEED("\0\0\0\0"),
	FUZZ_SEED("\2\0\0\0"),
	FUZZ_SEED("\4\0\0\2"),
	FUZZ_SEED("\6\0\300\0"),
	FUZZ_SEED("\0\0\0\0" "\0\0\10\0\7" "\377\377\377\377\377\377\377\377" "\1\0\0\0\7" "\1\2\3\4\5\6\7\10"),
	FUZZ_SEED("\2\0\0\0" "\1\0\0\1\7" "\377\377\377\377\377\377\377\377" "\5\0\20\0\7" "\1\2\3\4\5\6\7\10"),
};

const struct fuzz_target fuzz_region_bytes = {
	"region_bytes", "a damaged region file harms nobody who opens it",
	begin, one_of_bytes, end, bytes_seeds, sizeof bytes_seeds / sizeof bytes_seeds[0], 1500, 512,
};

/* --- region_fields --------------------------------------------------------------------------- */

enum part { IDENTITY, CONTROL, OBJECTS, SEATS, THREADS, RINGS, PAGES };

/* Fields of the parts, those too that are zero in the image. */
static const struct field {
	uint8_t part, size_bytes;
	uint16_t offset_bytes, element_bytes;
} fields[] = {
#define F(part, type, field) \
	{ part, sizeof(((struct type *)0)->field), offsetof(struct type, field), sizeof(struct type) }
	F(IDENTITY, comap_identity_shm, format_version), F(IDENTITY, comap_identity_shm, compat),
	F(IDENTITY, comap_identity_shm, read_only_compat), F(IDENTITY, comap_identity_shm, incompat),
	F(IDENTITY, comap_identity_shm, barrier_mode), F(IDENTITY, comap_identity_shm, page_bytes),
	F(IDENTITY, comap_identity_shm, seat_count), F(IDENTITY, comap_identity_shm, thread_count),
	F(IDENTITY, comap_identity_shm, object_count), F(IDENTITY, comap_identity_shm, pin_policy),
	F(IDENTITY, comap_identity_shm, birth_device), F(IDENTITY, comap_identity_shm, birth_inode),
	F(IDENTITY, comap_identity_shm, objects_offset_bytes), F(IDENTITY, comap_identity_shm, rings_offset_bytes),
	F(IDENTITY, comap_identity_shm, cells_max_bytes), F(IDENTITY, comap_identity_shm, heap_offset_bytes),
	F(IDENTITY, comap_identity_shm, heap_max_bytes), F(IDENTITY, comap_identity_shm, pin_budget_bytes),
	F(CONTROL, comap_control_shm, epoch), F(CONTROL, comap_control_shm, completed),
	F(CONTROL, comap_control_shm, horizon), F(CONTROL, comap_control_shm, heap_committed_bytes),
	F(CONTROL, comap_control_shm, seat_high_water), F(CONTROL, comap_control_shm, thread_high_water),
	F(CONTROL, comap_control_shm, object_high_water), F(CONTROL, comap_control_shm, cell_high_water),
	F(CONTROL, comap_control_shm, heap_used_hint_pages), F(CONTROL, comap_control_shm, retired_bytes),
	F(CONTROL, comap_control_shm, attach), F(CONTROL, comap_control_shm, superseded),
	F(CONTROL, comap_control_shm, home_device), F(CONTROL, comap_control_shm, home_inode),
	F(CONTROL, comap_control_shm, directory_mutex), F(CONTROL, comap_control_shm, directory_waiting),
	F(OBJECTS, comap_object_shm, state), F(OBJECTS, comap_object_shm, cell_ref),
	F(OBJECTS, comap_object_shm, cell_count), F(OBJECTS, comap_object_shm, kind),
	F(OBJECTS, comap_object_shm, type_size_bytes), F(OBJECTS, comap_object_shm, type_align_bytes),
	F(OBJECTS, comap_object_shm, field_count),
	F(OBJECTS, comap_object_shm, fields[0].kind), F(OBJECTS, comap_object_shm, fields[1].offset_bytes),
	F(OBJECTS, comap_object_shm, fields[1].size_bytes),
	F(SEATS, comap_seat_shm, state), F(SEATS, comap_seat_shm, sweeper),
	F(SEATS, comap_seat_shm, start_time), F(SEATS, comap_seat_shm, pid),
	F(THREADS, comap_thread_shm, mark), F(THREADS, comap_thread_shm, owner),
	F(THREADS, comap_thread_shm, tenure), F(THREADS, comap_thread_shm, ring_head),
	F(THREADS, comap_thread_shm, ring_tail), F(THREADS, comap_thread_shm, request),
	F(THREADS, comap_thread_shm, park), F(THREADS, comap_thread_shm, proxy),
	F(THREADS, comap_thread_shm, intent.op), F(THREADS, comap_thread_shm, intent.old_ref),
	F(THREADS, comap_thread_shm, intent.new_ref), F(THREADS, comap_thread_shm, intent.link),
	F(RINGS, comap_ring_shm, entries[0].ref), F(RINGS, comap_ring_shm, entries[0].stamp),
	F(RINGS, comap_ring_shm, entries[255].ref), F(PAGES, comap_page_shm, word),
	F(PAGES, comap_page_shm, state), F(PAGES, comap_page_shm, block_bytes),
	F(PAGES, comap_page_shm, block_count), F(PAGES, comap_page_shm, free_hint),
#undef F
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static off_t part_offset(enum part part)
{
	switch (part) {
	case CONTROL: return COMAP_IDENTITY_BYTES;
	case OBJECTS: return (off_t)identity.objects_offset_bytes;
	case SEATS: return (off_t)identity.seats_offset_bytes;
	case THREADS: return (off_t)identity.threads_offset_bytes;
	case RINGS: return (off_t)identity.rings_offset_bytes;
	case PAGES: return (off_t)identity.pages_offset_bytes;
	default: return 0;
	}
}

/* A word of the image: refs, sizes and tokens that are there look most like what does harm. */
static uint64_t word_of_image(uint64_t number)
{
	uint64_t place = number % place_count;

	return kept[places[place].page].words[places[place].word];
}

static uint64_t changed(uint64_t word, struct fuzz_in *in)
{
	unsigned how = (unsigned)fuzz_take(in, 1);
	uint64_t number = fuzz_take(in, 8);

	switch (how % 8) {
	case 0: return number;
	case 1: return word ^ 1ull << (number % 64);
	case 2: return word + (number % 513) - 256;
	case 3: return word_of_image(number);
	case 4: return identity.heap_offset_bytes + (number % (file_bytes - identity.heap_offset_bytes)) / 8 * 8;
	case 5: return word_of_image(number) ^ 1ull << (number >> 32) % 64;
	case 6: return UINT64_MAX >> number % 64;
	default: return (uint64_t)file_bytes - number % 256;
	}
}

static void damage_word(struct fuzz_in *in)
{
	unsigned which = (unsigned)fuzz_take(in, 1), size_bytes = 8;
	uint64_t number = fuzz_take(in, 2), word = 0;
	off_t at;

	if (which < FIELD_COUNT) {
		const struct field *field = &fields[which];

		at = part_offset(field->part) + field->offset_bytes + (off_t)(number % 5) * field->element_bytes;
		at -= field->part <= CONTROL ? (off_t)(number % 5) * field->element_bytes : 0;
		size_bytes = field->size_bytes;
	} else {
		number = (number * 251 + which) % place_count;
		at = kept[places[number].page].offset + (off_t)places[number].word * 8;
	}
	FUZZ_REQUIRE(pread(file, &word, size_bytes, at) == size_bytes);
	word = changed(word, in);
	FUZZ_REQUIRE(pwrite(file, &word, size_bytes, at) == size_bytes);
}

static void one_of_fields(const uint8_t *data, size_t size_bytes)
{
	struct fuzz_in in = { data, data + size_bytes };
	bool attach = fuzz_take(&in, 1) & 1;
	struct comap_identity_shm damaged;

	restore();
	while (fuzz_left(&in) > 0)
		damage_word(&in);
	damaged = damage_identity_read(path);
	damage_identity_seal(path, &damaged);
	look(attach, false);
}

static const struct fuzz_seed fields_seeds[] = {
	FUZZ_SEED("\0"),
	FUZZ_SEED("\1"),
	FUZZ_SEED("\0" "\25\0\0\6\0\0\0\0\0\0\0\0" "\377\3\4\3\7\5\3\1\0\0\0\0"),
	FUZZ_SEED("\1" "\63\1\0\3\7\5\3\1\0\0\0\0" "\100\3\0\4\7\5\0\1\0\0\0\0" "\76\0\0\1\0\0\0\0\0\0\0\0"),
	FUZZ_SEED("\1" "\364\3\4\4\7\5\3\1\0\0\0\0" "\300\3\14\3\7\5\3\1\0\0\0\0" "\250\13\1\5\7\5\3\1\7\0\0\0"),
};

const struct fuzz_target fuzz_region_fields = {
	"region_fields", "fields of a region that contradict each other harm nobody who opens it",
	begin, one_of_fields, end, fields_seeds, sizeof fields_seeds / sizeof fields_seeds[0], 2000, 512,
};
