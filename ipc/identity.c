/* SPDX-License-Identifier: MIT */
/* The identity page: what a file is, and the checks that a stranger's bytes pass before use.
 *
 * Lives in:   region, struct comap_identity_shm at offset 0
 * Invariants: I1 the checksum fits all bytes before it
 *             I2 parts lie in the order of layout.h, aligned, without overlap
 *             I3 counts and sizes are within the limits of this version
 * Writers:    the creator, before the file has a name.  Readers: everybody, then it never changes
 * If the creator dies: the file has no name and goes with its descriptor */
#include "identity.h"

#include "error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define LAYOUT_TEXT_SIZE(type, size) #type "=" #size ";"
#define LAYOUT_TEXT_OFFSET(type, field, offset) #type "." #field "@" #offset ";"

static const char layout_text[] = COMAP_LAYOUT_MAP(LAYOUT_TEXT_SIZE, LAYOUT_TEXT_OFFSET);

static uint64_t fingerprint(void)
{
	return XXH64(layout_text, sizeof layout_text - 1, 0);
}

static uint64_t checksum(const struct comap_identity_shm *identity)
{
	return XXH64(identity, offsetof(struct comap_identity_shm, checksum), 0);
}

void comap__identity_seal(struct comap_identity_shm *identity)
{
	identity->checksum = checksum(identity);
}

uint64_t comap__identity_file_bytes_min(const struct comap_identity_shm *identity)
{
	return identity->heap_offset_bytes;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) / align * align;
}

/* Lays the parts one after the other; I2 holds by construction. */
static void place_parts(struct comap_identity_shm *identity)
{
	uint64_t at = COMAP_IDENTITY_BYTES + align_up(sizeof(struct comap_control_shm),
	                                              COMAP_PART_ALIGN_BYTES);
	const struct {
		uint64_t *offset;
		uint64_t size;
	} parts[] = {
		{ &identity->objects_offset_bytes,
		  (uint64_t)identity->object_count * sizeof(struct comap_object_shm) },
		{ &identity->seats_offset_bytes,
		  (uint64_t)identity->seat_count * sizeof(struct comap_seat_shm) },
		{ &identity->threads_offset_bytes,
		  (uint64_t)identity->thread_count * sizeof(struct comap_thread_shm) },
		{ &identity->rings_offset_bytes,
		  (uint64_t)identity->thread_count * sizeof(struct comap_ring_shm) },
		{ &identity->cells_offset_bytes, identity->cells_max_bytes },
		{ &identity->pages_offset_bytes, identity->heap_max_bytes / COMAP_HEAP_PAGE_BYTES *
		  sizeof(struct comap_page_shm) },
	};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		*parts[i].offset = at;
		at = align_up(at + parts[i].size, COMAP_PART_ALIGN_BYTES);
	}
	identity->heap_offset_bytes = align_up(at, COMAP_HEAP_ALIGN_BYTES);
}

static int take_counts(struct comap_identity_shm *identity, const struct comap_options *options)
{
	uint64_t heap_max = options->heap_max_bytes ? options->heap_max_bytes : COMAP_HEAP_MAX_DEFAULT;

	identity->seat_count = options->seat_count ? options->seat_count : 1024;
	identity->thread_count = (options->thread_count ? options->thread_count : 4096) + COMAP_FIRST_RECORD;
	identity->object_count = options->object_count ? options->object_count : 1024;
	if (identity->seat_count > COMAP_COUNT_LIMIT || options->thread_count > COMAP_COUNT_LIMIT ||
	    identity->object_count > COMAP_COUNT_LIMIT)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "at most %u seats, threads and objects are possible",
		                   COMAP_COUNT_LIMIT);
	if (heap_max < COMAP_HEAP_PAGE_BYTES || heap_max > COMAP_HEAP_MAX_LIMIT)
		return comap__fail(COMAP_CAUSE_ARGUMENT,
		                   "a maximum of %llu bytes is out of range: 64 KiB to 64 TiB are possible",
		                   (unsigned long long)heap_max);
	if (options->pin_policy > COMAP_PIN_WAIT)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "%u is no pin policy", options->pin_policy);
	identity->heap_max_bytes = align_up(heap_max, COMAP_HEAP_PAGE_BYTES);
	identity->pin_policy = options->pin_policy;
	identity->pin_budget_bytes = options->pin_budget_bytes ? options->pin_budget_bytes
	                                                       : identity->heap_max_bytes / 4;
	/* For each object as many as the largest kind needs, a table; and what caches have beside: marks and
	 * ghosts are up to a thirty-second of what they hold. Address space, until they are there. */
	identity->cells_max_bytes = align_up(
		(uint64_t)identity->object_count * 520 * COMAP_CELL_BYTES + identity->heap_max_bytes / 24,
		COMAP_PART_ALIGN_BYTES);
	return 0;
}

int comap__identity_init(struct comap_identity_shm *identity, const struct comap_options *options,
                         const struct stat *stat)
{
	struct timespec now;
	int code;

	memset(identity, 0, sizeof *identity);
	code = take_counts(identity, options);
	if (code)
		return code;
	memcpy(identity->magic, COMAP_MAGIC, sizeof identity->magic);
	identity->format_version = COMAP_FORMAT_VERSION;
	identity->byte_order = COMAP_BYTE_ORDER_MARK;
	identity->fingerprint = fingerprint();
	if (getrandom(identity->uuid, sizeof identity->uuid, 0) != sizeof identity->uuid ||
	    getrandom(identity->hash_seed, sizeof identity->hash_seed, 0) != sizeof identity->hash_seed)
		return comap__fail_errno(errno, "the kernel gives no random bytes");
	identity->uuid[6] = (uint8_t)((identity->uuid[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
	identity->uuid[8] = (uint8_t)((identity->uuid[8] & 0x3f) | 0x80);
	identity->barrier_mode = options->flags & COMAP_FENCED ? COMAP_BARRIER_FENCED
	                                                       : COMAP_BARRIER_ASYMMETRIC;
	identity->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	clock_gettime(CLOCK_REALTIME, &now);
	identity->birth_time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	identity->birth_device = stat->st_dev;
	identity->birth_inode = stat->st_ino;
	place_parts(identity);
	comap__identity_seal(identity);
	return 0;
}

/* What another machine, or another version, would have written differently. Comes before the
 * checksum, which they may compute in another way. */
static int check_kind(const struct comap_identity_shm *identity, bool guest, const char *what)
{
	if (memcmp(identity->magic, COMAP_MAGIC, sizeof identity->magic) != 0)
		return comap__fail(COMAP_CAUSE_MAGIC,
		                   "%s: not a comap region: it does not begin with comap's magic", what);
	if (identity->byte_order == __builtin_bswap32(COMAP_BYTE_ORDER_MARK))
		return comap__fail(COMAP_CAUSE_BYTE_ORDER,
		                   "%s: written on a machine of the other byte order", what);
	if (identity->format_version > COMAP_FORMAT_VERSION)
		return comap__fail(COMAP_CAUSE_VERSION, "%s: format version %u, this build knows up to %u: "
		                   "use a newer comap", what, identity->format_version, COMAP_FORMAT_VERSION);
	if (identity->incompat != 0)
		return comap__fail(COMAP_CAUSE_FEATURE, "%s: needs features that this build does not know "
		                   "(incompatible bits 0x%llx): use a newer comap", what,
		                   (unsigned long long)identity->incompat);
	if (identity->read_only_compat != 0 && !guest)
		return comap__fail(COMAP_CAUSE_FEATURE, "%s: features that this build does not know "
		                   "(bits 0x%llx) allow it to look only: open as a guest", what,
		                   (unsigned long long)identity->read_only_compat);
	return 0;
}

/* I2 and I3. The checksum holds already, so this catches writers' bugs and forgers. */
static bool parts_hold(const struct comap_identity_shm *identity)
{
	struct comap_identity_shm expected = *identity;

	if (identity->seat_count == 0 || identity->seat_count > COMAP_COUNT_LIMIT ||
	    identity->thread_count <= COMAP_FIRST_RECORD ||
	    identity->thread_count > COMAP_COUNT_LIMIT + COMAP_FIRST_RECORD ||
	    identity->object_count == 0 || identity->object_count > COMAP_COUNT_LIMIT ||
	    identity->heap_max_bytes < COMAP_HEAP_PAGE_BYTES ||
	    identity->heap_max_bytes > COMAP_HEAP_MAX_LIMIT ||
	    identity->heap_max_bytes % COMAP_HEAP_PAGE_BYTES != 0 ||
	    identity->cells_max_bytes > COMAP_HEAP_MAX_LIMIT ||
	    identity->cells_max_bytes % COMAP_PART_ALIGN_BYTES != 0)
		return false;
	place_parts(&expected);
	return memcmp(&expected, identity, sizeof expected) == 0;
}

int comap__identity_check(const struct comap_identity_shm *identity, const struct stat *stat,
                          bool guest, const char *what)
{
	int code = check_kind(identity, guest, what);

	if (code)
		return code;
	if (identity->checksum != checksum(identity))
		return comap__fail(COMAP_CAUSE_CHECKSUM, "%s: the identity page is damaged: checksum "
		                   "%016llx, its bytes give %016llx", what,
		                   (unsigned long long)identity->checksum,
		                   (unsigned long long)checksum(identity));
	if (identity->fingerprint != fingerprint())
		return comap__fail(COMAP_CAUSE_LAYOUT, "%s: laid out by a build with other structures "
		                   "(fingerprint %016llx, here %016llx)", what,
		                   (unsigned long long)identity->fingerprint,
		                   (unsigned long long)fingerprint());
	if (identity->barrier_mode != COMAP_BARRIER_ASYMMETRIC &&
	    identity->barrier_mode != COMAP_BARRIER_FENCED)
		return comap__fail(COMAP_CAUSE_FEATURE, "%s: unknown barrier mode %u", what,
		                   identity->barrier_mode);
	if (!parts_hold(identity))
		return comap__fail(COMAP_CAUSE_CORRUPT, "%s: the parts named in the identity page do not "
		                   "fit together", what);
	if ((uint64_t)stat->st_size < comap__identity_file_bytes_min(identity))
		return comap__fail(COMAP_CAUSE_SHORT, "%s: %lld bytes, at least %llu are expected: the file "
		                   "was cut off", what, (long long)stat->st_size,
		                   (unsigned long long)comap__identity_file_bytes_min(identity));
	return 0;
}
