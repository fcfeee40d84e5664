/* SPDX-License-Identifier: MIT */
/* What the tests of bad input share: a region to damage, and what must hold of a refusal. */
#include "damage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct tick {
	uint64_t at_ns;
	double price;
};
COMAP_FIELDS(struct tick, COMAP_FIELD(u64, at_ns), COMAP_FIELD(f64, price));

const uint32_t damage_flags[3] = { COMAP_GUEST, 0, COMAP_CREATE };

void damage_region(const char *path)
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

struct comap_identity_shm damage_identity_read(const char *path)
{
	struct comap_identity_shm identity;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &identity, sizeof identity, 0), sizeof identity);
	close(fd);
	return identity;
}

void damage_identity_write(const char *path, const struct comap_identity_shm *identity)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, identity, sizeof *identity, 0), sizeof *identity);
	close(fd);
}

void damage_identity_seal(const char *path, struct comap_identity_shm *identity)
{
	identity->checksum = XXH64(identity, offsetof(struct comap_identity_shm, checksum), 0);
	damage_identity_write(path, identity);
}

uint64_t damage_digest(const char *path)
{
	static char bytes[8 << 20];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t length = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;

	if (fd >= 0)
		close(fd);
	return length >= 0 ? XXH64(bytes, (size_t)length, 0) + (uint64_t)length : 0;
}

struct comap *damage_open(const char *path, uint32_t flags, int64_t owner_uid)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.owner_uid = owner_uid;
	return comap_open_with(path, &options);
}

void damage_assert_refused(const char *path, uint32_t flags, int code, enum comap_cause cause)
{
	struct comap *region = damage_open(path, flags, 0);

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

void damage_look(struct comap *region)
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
