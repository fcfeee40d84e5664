/* SPDX-License-Identifier: MIT */
/* Dumping a table into a file. See comap/table_dump.h.
 *
 * At once: inside a read section all stripes are locked, the refs of all entries are copied, stripe by
 * stripe, each unlocked when its own are; the entries, which do not change, are written at leisure.
 *
 * Where it lives: process memory, and a file without a name until it is whole
 * Readers:    a read section of its own, or a walk.  Writers: none here
 * Progress:   the locks: as table_side.c; some nanoseconds for each entry under them
 * If a process dies here: what it had written has no name and goes with it; where the file system has no
 *             such files, one beside the dump that ends in .tmp stays. Its locks are taken over as any */
#include "table_dump.h"

#include "error.h"
#include "fault.h"
#include "name.h"
#include "rcu.h"
#include "table_side.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define AHEAD 16u /* entries that are fetched before they are copied */

uint64_t comap__dump_section_checksum(const struct comap_dump_section *section, const void *payload)
{
	uint64_t seed = XXH3_64bits(section, offsetof(struct comap_dump_section, checksum));

	return XXH3_64bits_withSeed(payload, section->payload_bytes, seed);
}

/* --- the file --------------------------------------------------------------------------------- */

struct sink {
	const char *path;
	char temporary[PATH_MAX];
	int fd;
	char *buffer;                /* the payload of the section that is being filled */
	size_t used_bytes, capacity_bytes;
	uint64_t sections;
	struct comap_dump_report report;
};

static int write_all(struct sink *sink, const void *data, size_t size_bytes)
{
	const char *at = data;
	ssize_t written;

	sink->report.file_bytes += size_bytes;
	for (; size_bytes > 0; at += written, size_bytes -= (size_t)written) {
		written = write(sink->fd, at, size_bytes);
		if (written < 0 && errno == EINTR)
			written = 0;
		if (written < 0)
			return comap__fail_errno(errno, "%s: the dump cannot be written", sink->path);
	}
	return 0;
}

static int write_section(struct sink *sink, enum comap_dump_kind kind, const void *payload,
                         size_t payload_bytes)
{
	struct comap_dump_section section = {
		.kind = kind, .flags = COMAP_DUMP_MUST_KNOW, .payload_bytes = payload_bytes,
		.number = sink->sections++,
	};
	int code;

	section.checksum = comap__dump_section_checksum(&section, payload);
	code = write_all(sink, &section, sizeof section);
	return code ? code : write_all(sink, payload, payload_bytes);
}

static int write_entries(struct sink *sink)
{
	int code = sink->used_bytes ? write_section(sink, COMAP_DUMP_ENTRIES, sink->buffer, sink->used_bytes)
	                            : 0;

	sink->used_bytes = 0;
	return code;
}

static size_t padded(size_t size_bytes) { return (size_bytes + 7) / 8 * 8; }

static int reserve(struct sink *sink, size_t more_bytes)
{
	size_t capacity = sink->capacity_bytes ? sink->capacity_bytes : 4096;
	char *larger;
	int code = 0;

	if (sink->used_bytes && sink->used_bytes + more_bytes > COMAP_DUMP_BLOCK_BYTES)
		code = write_entries(sink);
	while (capacity < sink->used_bytes + more_bytes)
		capacity *= 2;
	if (code || capacity == sink->capacity_bytes)
		return code;
	larger = realloc(sink->buffer, capacity);
	if (!larger)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a block of %zu bytes", more_bytes);
	sink->buffer = larger;
	sink->capacity_bytes = capacity;
	return 0;
}

static void append(struct sink *sink, const void *data, size_t size_bytes)
{
	size_t whole = size_bytes / 8 * 8;

	memset(sink->buffer + sink->used_bytes + whole, 0, padded(size_bytes) - whole);
	if (size_bytes)
		memcpy(sink->buffer + sink->used_bytes, data, size_bytes);
	sink->used_bytes += padded(size_bytes);
}

static int add_entry(struct sink *sink, const struct comap_table_entry *entry)
{
	struct comap_dump_entry head = {
		.version = entry->version, .expires_ns = entry->expires_ns,
		.key_bytes = (uint32_t)entry->key_bytes, .value_bytes = (uint32_t)entry->value_bytes,
		.flags = entry->counter ? COMAP_DUMP_COUNTER : 0,
	};
	int code = reserve(sink, sizeof head + padded(entry->key_bytes) + padded(entry->value_bytes));

	if (code)
		return code;
	append(sink, &head, sizeof head);
	append(sink, entry->key, entry->key_bytes);
	append(sink, entry->value, entry->value_bytes);
	sink->report.entries++;
	sink->report.stored_bytes += entry->key_bytes + entry->value_bytes;
	return 0;
}

/* --- head and type ---------------------------------------------------------------------------- */

/* No version that the table has given so far is larger. */
static uint64_t version_max(struct comap_table *table)
{
	const struct comap_stripe_shm *side = comap__table_side(table, comap__table_swaps(table));
	uint64_t max = 0;

	for (uint32_t i = 0; i < COMAP_STRIPES; i++)
		/* relaxed: all that is in the dump was given before the refs were copied */
		if (comap_u64_load_relaxed(&side[i].sequence) > max)
			max = comap_u64_load_relaxed(&side[i].sequence);
	return max;
}

static int write_head(struct sink *sink, struct comap_table *table, uint64_t max)
{
	const struct comap_identity_shm *identity = table->object.region->identity;
	struct comap_dump_head head = { .version = COMAP_DUMP_VERSION, .byte_order = COMAP_BYTE_ORDER_MARK };

	memcpy(head.magic, COMAP_DUMP_MAGIC, sizeof head.magic);
	memcpy(head.region_uuid, identity->uuid, sizeof head.region_uuid);
	head.created_ns = sink->report.created_ns = comap__table_now_ns();
	head.version_max = max;
	head.checksum = XXH3_64bits(&head, offsetof(struct comap_dump_head, checksum));
	return write_all(sink, &head, sizeof head);
}

static int write_type(struct sink *sink, struct comap_table *table)
{
	struct { struct comap_dump_type type; struct comap_field_shm fields[32]; } payload = { 0 };
	const struct comap_object_shm *object = comap__object_entry(&table->object);

	if (!object || object->field_count == 0 || object->field_count > 32)
		return 0;
	memcpy(payload.type.name, object->type_name, sizeof payload.type.name);
	payload.type.size_bytes = object->type_size_bytes;
	payload.type.align_bytes = object->type_align_bytes;
	payload.type.field_count = object->field_count;
	memcpy(payload.fields, object->fields, object->field_count * sizeof payload.fields[0]);
	return write_section(sink, COMAP_DUMP_TYPE, &payload, sizeof payload.type +
	                     object->field_count * sizeof payload.fields[0]);
}

/* --- at once ---------------------------------------------------------------------------------- */

struct refs {
	uint64_t *words;
	size_t count, capacity;
};

static int refs_reserve(struct refs *refs, struct comap_table *table)
{
	struct comap_table_stats stats;
	int code = comap_table_stats(table, &stats);

	if (code)
		return code;
	free(refs->words);
	refs->count = 0;
	refs->capacity = stats.entries + stats.entries / 8 + 4096;
	refs->words = malloc(refs->capacity * sizeof refs->words[0]);
	if (!refs->words)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for %zu refs", refs->capacity);
	memset(refs->words, 0xff, refs->capacity * sizeof refs->words[0]); /* no faults under the locks */
	return 0;
}

static void copy_bucket(struct refs *refs, const struct comap_bucket_shm *bucket)
{
	for (unsigned i = 0; i < COMAP_BUCKET_SLOTS; i++) {
		uint64_t word = comap_u64_load_relaxed(&bucket->slots[i]); /* relaxed: under the mutex */

		refs->words[refs->count] = word;
		refs->count += word != 0 && !(word & COMAP_REF_LINK);
	}
}

/* False where there is no room for all. Under the stripe's lock. */
static bool copy_stripe(struct refs *refs, struct comap__writer *writer)
{
	uint64_t shape = comap_u64_load_relaxed(&writer->stripe->shape); /* relaxed, both: under the mutex */

	if (refs->capacity - refs->count < comap_u64_load_relaxed(&writer->stripe->entries) +
	                                   COMAP_BUCKET_SLOTS)
		return false;
	for (uint64_t index = 0; index < shape; index++) {
		const struct comap_bucket_shm *bucket = comap__bucket_at(writer->table, writer->stripe, index);

		for (unsigned n = 0; bucket && n < COMAP_TABLE_CHAIN_MAX; n++) {
			if (refs->capacity - refs->count < COMAP_BUCKET_SLOTS)
				return false;
			copy_bucket(refs, bucket);
			bucket = comap__bucket_next(writer, bucket);
		}
	}
	return true;
}

/* The refs of one moment; the locks are back. 1: the table has grown, there was no room. */
static int copy_refs(struct comap_table *table, struct refs *refs, struct sink *sink, uint64_t *ret_max)
{
	struct comap__writer writers[COMAP_STRIPES];
	uint64_t begin_ns;
	bool room = true;
	int code = refs_reserve(refs, table);

	begin_ns = comap_now_ns();
	if (!code)
		code = comap__stripes_lock_all(table, writers);
	if (code)
		return code;
	*ret_max = version_max(table);
	COMAP_FAULT("dump.locked");
	for (uint32_t i = 0; i < COMAP_STRIPES; i++) {
		room = room && copy_stripe(refs, &writers[i]);
		comap__stripe_unlock(&writers[i]);
	}
	sink->report.pause_ns = comap_now_ns() - begin_ns;
	return !room;
}

static int write_refs(struct sink *sink, struct comap_table *table, const struct refs *refs)
{
	int code = 0;

	for (size_t i = 0; i < refs->count && !code; i++) {
		struct comap__entry_parts parts;
		uint64_t number;

		if (i + AHEAD < refs->count)
			comap__table_prefetch(table->object.region, refs->words[i + AHEAD]);
		if (!comap__entry_parts(table, refs->words[i], &parts) || comap__entry_is_gone(&parts))
			continue;
		if (parts.flags & COMAP_ENTRY_COUNTER && parts.value_bytes == sizeof number) {
			/* relaxed: a number of its own */
			number = comap_u64_load_relaxed((const struct comap_u64 *)(const void *)parts.value);
			parts.value = (const char *)&number;
		}
		code = add_entry(sink, &(struct comap_table_entry){
			.key = parts.key, .key_bytes = parts.key_bytes,
			.value = parts.value, .value_bytes = parts.value_bytes,
			.version = parts.version, .counter = parts.flags & COMAP_ENTRY_COUNTER,
			/* relaxed: a word of its own */
			.expires_ns = parts.expires ? comap_u64_load_relaxed(parts.expires) : 0,
		});
	}
	return code;
}

static int dump_in_section(struct sink *sink, struct comap_table *table, struct refs *refs)
{
	uint64_t max = 0;
	int code;

	do
		code = copy_refs(table, refs, sink, &max);
	while (code == 1);
	if (!code)
		code = write_head(sink, table, max);
	if (!code)
		code = write_type(sink, table);
	return code ? code : write_refs(sink, table, refs);
}

static int dump_at_once(struct sink *sink, struct comap_table *table)
{
	struct refs refs = { 0 };
	int code = comap__table_check(table);

	if (!code && comap__in_section(table->object.region))
		code = comap__fail(COMAP_CAUSE_DEADLOCK, "a dump inside a read section would hold back memory");
	if (!code)
		code = comap_read_begin(table->object.region);
	if (code)
		return code;
	code = dump_in_section(sink, table, &refs);
	comap_read_end(table->object.region);
	free(refs.words);
	return code;
}

/* --- by and by -------------------------------------------------------------------------------- */

static int dump_by_and_by(struct sink *sink, struct comap_table *table)
{
	struct comap_table_walk *walk = comap_table_walk_begin(table);
	struct comap_table_entry entry;
	/* Versions that are given meanwhile are in the dump too: room for as many as can be. */
	int code = walk ? write_head(sink, table, (version_max(table) + (1u << 30)) & COMAP_VERSION_MASK)
	                : -comap_last_error()->code;

	if (!code)
		code = write_type(sink, table);
	if (!code)
		code = 1;
	while (code == 1) {
		code = comap_table_walk_next(walk, &entry);
		if (code == 1 && add_entry(sink, &entry) != 0)
			code = -comap_last_error()->code;
	}
	comap_table_walk_end(walk);
	return code;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int write_end(struct sink *sink)
{
	struct comap_dump_end end = {
		.entries = sink->report.entries, .stored_bytes = sink->report.stored_bytes,
	};
	int code = write_entries(sink);

	if (!code)
		code = write_section(sink, COMAP_DUMP_END, &end, sizeof end);
	COMAP_FAULT("dump.written");
	if (!code && fsync(sink->fd) != 0)
		code = comap__fail_errno(errno, "%s: the dump is not on the disk", sink->path);
	return code;
}

static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, code = 0;

	snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
		code = comap__fail_errno(errno, "%s: its entry is not on the disk", path);
	if (fd >= 0)
		close(fd);
	return code;
}

/* The file gets a name of its own beside `path`, and from that one `path`. */
static int put_name(struct sink *sink)
{
	char beside[PATH_MAX];
	int code;

	if (snprintf(beside, sizeof beside, "%s.%d.tmp", sink->path, (int)getpid()) >= (int)sizeof beside)
		return comap__fail_errno(ENAMETOOLONG, "%s", sink->path);
	unlink(beside); /* of a process of the same number, long dead */
	code = comap__name_link(sink->fd, sink->temporary, beside);
	COMAP_FAULT("dump.linked");
	if (!code && rename(beside, sink->path) != 0)
		code = -errno;
	if (code) {
		unlink(beside);
		return comap__fail_errno(-code, "%s: the dump cannot get its name", sink->path);
	}
	return sync_folder(sink->path);
}

int comap_table_dump(struct comap_table *table, const char *path, uint32_t mode,
                     struct comap_dump_report *ret_report)
{
	struct sink sink = { .path = path };
	int code;

	if (!table || !path || mode > COMAP_DUMP_BY_AND_BY)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "an argument is NULL, or %u is no mode", mode);
	if (mode == COMAP_DUMP_AT_ONCE && (code = comap__table_check(table)) != 0)
		return code;
	code = comap__name_create(path, 0600, &sink.fd, sink.temporary);
	if (code)
		return code;
	code = mode == COMAP_DUMP_AT_ONCE ? dump_at_once(&sink, table) : dump_by_and_by(&sink, table);
	if (!code)
		code = write_end(&sink);
	if (!code)
		code = put_name(&sink);
	if (code)
		comap__name_discard(sink.fd, sink.temporary);
	else
		close(sink.fd);
	free(sink.buffer);
	if (!code && ret_report)
		*ret_report = sink.report;
	return code;
}
