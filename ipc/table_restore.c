/* SPDX-License-Identifier: MIT */
/* Reading a dump: into a table, or to see whether it is whole. See comap/table_dump.h.
 *
 * Nothing in the file is trusted: a section's length is held against the file's, its bytes against the
 * checksum before anybody looks at them, an entry's lengths against its section. What is read goes to the
 * other side of the table and is published after the END section.
 *
 * Readers:    this process, of a file that others may be writing to; the bytes are copied first
 * Writers:    the bulk load
 * Progress:   bounded by the file's length; one section is in memory at a time
 * If a process dies here: as in a bulk load */
#include "table_bulk.h"
#include "table_dump.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct source {
	const char *path;
	int fd;
	uint64_t file_bytes, at;     /* where the next section begins */
	uint64_t sections;
	uint64_t met;                /* entries, expired ones too */
	char *payload;
	size_t capacity_bytes;
	struct comap_dump_head head;
	struct comap_dump_report report;
	struct comap_table *table;   /* NULL: only checked */
	struct comap_bulk *bulk;
	bool typed;                  /* it has a field list */
};

static int fail_damaged(const struct source *source, uint64_t offset_bytes, const char *what)
{
	int code = comap__fail(COMAP_CAUSE_CORRUPT, "%s is damaged at byte %llu: %s", source->path,
	                       (unsigned long long)offset_bytes, what);

	comap__error()->offset_bytes = offset_bytes;
	return code;
}

static int read_all(struct source *source, uint64_t offset_bytes, void *data, size_t size_bytes)
{
	char *at = data;
	ssize_t got;

	for (; size_bytes > 0; at += got, offset_bytes += (uint64_t)got, size_bytes -= (size_t)got) {
		got = pread(source->fd, at, size_bytes, (off_t)offset_bytes);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got < 0)
			return comap__fail_errno(errno, "%s cannot be read", source->path);
		else if (got == 0)
			return fail_damaged(source, offset_bytes, "the file ends too early");
	}
	return 0;
}

/* --- head and sections ------------------------------------------------------------------------ */

static int open_source(struct source *source)
{
	struct stat st;

	/* Nonblocking: of a FIFO nobody waits for a writer. */
	source->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (source->fd < 0)
		return comap__fail_errno(errno, "%s", source->path);
	if (fstat(source->fd, &st) != 0)
		return comap__fail_errno(errno, "%s", source->path);
	if (!S_ISREG(st.st_mode))
		return comap__fail(COMAP_CAUSE_NOT_REGULAR, "%s is no regular file", source->path);
	source->file_bytes = source->report.file_bytes = (uint64_t)st.st_size;
	return 0;
}

static int read_head(struct source *source)
{
	struct comap_dump_head *head = &source->head;
	int code = read_all(source, 0, head, sizeof *head);

	if (code)
		return code;
	if (memcmp(head->magic, COMAP_DUMP_MAGIC, sizeof head->magic) != 0)
		return fail_damaged(source, 0, "it does not begin as a dump does");
	if (head->byte_order == __builtin_bswap32(COMAP_BYTE_ORDER_MARK))
		return comap__fail(COMAP_CAUSE_BYTE_ORDER, "%s was written on a machine of the other byte order",
		                   source->path);
	if (XXH3_64bits(head, offsetof(struct comap_dump_head, checksum)) != head->checksum)
		return fail_damaged(source, 0, "the checksum of its head does not fit");
	if (head->version != COMAP_DUMP_VERSION)
		return comap__fail(COMAP_CAUSE_VERSION, "%s is a dump of version %u, and this library knows %u",
		                   source->path, head->version, COMAP_DUMP_VERSION);
	if (head->version_max > COMAP_VERSION_MASK / 2) /* what a table gives in a hundred thousand years */
		return fail_damaged(source, offsetof(struct comap_dump_head, version_max), "no such version");
	source->report.created_ns = head->created_ns;
	source->at = sizeof *head;
	return 0;
}

/* The next section, whole and as it was written. */
static int read_section(struct source *source, struct comap_dump_section *section)
{
	uint64_t left = source->file_bytes - source->at;
	char *larger;
	int code;

	if (left < sizeof *section)
		return fail_damaged(source, source->file_bytes, "the file ends too early");
	code = read_all(source, source->at, section, sizeof *section);
	if (code)
		return code;
	if (section->number != source->sections++ || section->payload_bytes % 8 != 0)
		return fail_damaged(source, source->at, "no section begins here");
	if (section->payload_bytes > left - sizeof *section ||
	    section->payload_bytes > COMAP_DUMP_PAYLOAD_MAX)
		return fail_damaged(source, source->at, "a section is longer than the rest of the file, or than "
		                    "any can be");
	if (section->payload_bytes > source->capacity_bytes) {
		larger = realloc(source->payload, section->payload_bytes);
		if (!larger)
			return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a section of %llu bytes",
			                   (unsigned long long)section->payload_bytes);
		source->payload = larger;
		source->capacity_bytes = section->payload_bytes;
	}
	code = read_all(source, source->at + sizeof *section, source->payload, section->payload_bytes);
	if (code)
		return code;
	if (comap__dump_section_checksum(section, source->payload) != section->checksum)
		return fail_damaged(source, source->at, "the checksum of a section does not fit");
	return 0;
}

/* --- what they hold --------------------------------------------------------------------------- */

static size_t padded(size_t size_bytes) { return (size_bytes + 7) / 8 * 8; }

static int put_entry(struct source *source, const struct comap_dump_entry *entry,
                     const struct comap_table_write *write)
{
	unsigned flags = entry->flags & COMAP_DUMP_COUNTER ? COMAP_ENTRY_COUNTER | COMAP_ENTRY_MORTAL : 0;
	uint64_t hash = comap__table_hash(source->table, write->key, write->key_bytes), version;
	struct comap__writer writer;
	int code = comap__write_check(source->table, write);

	if (code || source->bulk)
		return code ? code : comap__bulk_write(source->bulk, write, flags, entry->expires_ns);
	code = comap__writer_init(&writer, source->table, hash);
	return code ? code : comap__write_with(&writer, hash, write, flags, entry->expires_ns, &version);
}

static int take_entry(struct source *source, const struct comap_dump_entry *entry)
{
	const char *key = (const char *)(entry + 1);
	struct comap_table_write write = {
		.key = key, .key_bytes = entry->key_bytes,
		.value = key + padded(entry->key_bytes), .value_bytes = entry->value_bytes,
	};

	source->met++;
	source->report.stored_bytes += write.key_bytes + write.value_bytes;
	if (entry->expires_ns && entry->expires_ns <= comap__table_now_ns()) {
		source->report.expired++;
		return 0;
	}
	source->report.entries++;
	return source->table ? put_entry(source, entry, &write) : 0;
}

static int take_entries(struct source *source, size_t payload_bytes)
{
	uint64_t base = source->at + sizeof(struct comap_dump_section);
	size_t at = 0, need;
	int code = 0;

	while (at < payload_bytes && !code) {
		const struct comap_dump_entry *entry = (const void *)(source->payload + at);

		if (payload_bytes - at < sizeof *entry || entry->key_bytes == 0 ||
		    entry->key_bytes > COMAP_TABLE_KEY_MAX_BYTES ||
		    entry->value_bytes > COMAP_TABLE_VALUE_MAX_BYTES)
			return fail_damaged(source, base + at, "an entry makes no sense");
		need = sizeof *entry + padded(entry->key_bytes) + padded(entry->value_bytes);
		if (need > payload_bytes - at || (entry->flags & COMAP_DUMP_COUNTER && entry->value_bytes != 8))
			return fail_damaged(source, base + at, "an entry is longer than its section");
		code = take_entry(source, entry);
		at += need;
	}
	return code;
}

/* The table's field list must be the dump's, or the beginning of it. */
static int take_type(struct source *source, size_t payload_bytes)
{
	const struct comap_dump_type *type = (const void *)source->payload;
	const struct comap_object_shm *object = source->table ? comap__object_entry(&source->table->object)
	                                                      : NULL;

	if (payload_bytes < sizeof *type || type->field_count > 32 ||
	    payload_bytes != sizeof *type + type->field_count * sizeof(struct comap_field_shm))
		return fail_damaged(source, source->at, "a field list makes no sense");
	source->typed = true;
	if (!object || object->field_count == 0)
		return 0;
	if (object->field_count > type->field_count || object->type_size_bytes > type->size_bytes ||
	    memcmp(type + 1, object->fields, object->field_count * sizeof object->fields[0]) != 0)
		return comap__fail(COMAP_CAUSE_TYPE, "%s holds values of type '%.32s', whose fields are not those of "
		                   "the table's '%.32s'", source->path, type->name, object->type_name);
	return 0;
}

static int take_end(struct source *source, size_t payload_bytes)
{
	const struct comap_dump_end *end = (const void *)source->payload;

	if (payload_bytes != sizeof *end || end->entries != source->met ||
	    end->stored_bytes != source->report.stored_bytes)
		return fail_damaged(source, source->at, "there are not as many entries as it says");
	if (source->table && !source->typed && source->table->object.type_bytes && source->met)
		return comap__fail(COMAP_CAUSE_TYPE, "%s holds values without a field list, and the table has one",
		                   source->path);
	if (source->at + sizeof(struct comap_dump_section) + payload_bytes != source->file_bytes)
		return fail_damaged(source, source->at + sizeof(struct comap_dump_section) + payload_bytes,
		                    "something follows the end");
	return 0;
}

static int take_section(struct source *source, const struct comap_dump_section *section)
{
	switch (section->kind) {
	case COMAP_DUMP_TYPE: return take_type(source, section->payload_bytes);
	case COMAP_DUMP_ENTRIES: return take_entries(source, section->payload_bytes);
	case COMAP_DUMP_END: return take_end(source, section->payload_bytes);
	default: break;
	}
	if (section->flags & COMAP_DUMP_MUST_KNOW)
		return comap__fail(COMAP_CAUSE_FEATURE, "%s has a section of kind %u, which this version does not "
		                   "know and must not pass over", source->path, section->kind);
	return 0;
}

/* How many entries the end says there are; only to find room for them. */
static uint64_t guess_entries(struct source *source)
{
	struct comap_dump_end end = { 0 };
	uint64_t most = source->file_bytes / (sizeof(struct comap_dump_entry) + 8);

	if (source->file_bytes > sizeof end)
		read_all(source, source->file_bytes - sizeof end, &end, sizeof end);
	return end.entries < most ? end.entries : most;
}

static int take_all(struct source *source)
{
	struct comap_dump_section section = { 0 };
	int code = 0;

	while (!code && section.kind != COMAP_DUMP_END) {
		code = read_section(source, &section);
		if (!code)
			code = take_section(source, &section);
		source->at += sizeof section + section.payload_bytes;
	}
	return code;
}

static int begin(struct source *source)
{
	int code = open_source(source);

	if (!code)
		code = read_head(source);
	if (code || !source->table || source->table->cache)
		return code;
	source->bulk = comap__bulk_begin(source->table, guess_entries(source), source->head.version_max);
	return source->bulk ? 0 : -comap_last_error()->code;
}

static int run(struct source *source, struct comap_dump_report *ret_report)
{
	int code = begin(source);

	if (!code)
		code = take_all(source);
	if (!code && source->bulk) {
		code = comap_table_bulk_commit(source->bulk);
		if (!code)
			source->bulk = NULL;
	}
	if (source->bulk) {
		/* what is said of the failure outlives the clearing up */
		struct comap_error error = *comap_last_error();

		comap_table_bulk_abort(source->bulk);
		*comap__error() = error;
	}
	if (source->fd >= 0)
		close(source->fd);
	free(source->payload);
	if (!code && ret_report)
		*ret_report = source->report;
	return code;
}

int comap_table_restore(struct comap_table *table, const char *path,
                        struct comap_dump_report *ret_report)
{
	struct source source = { .path = path, .table = table, .fd = -1 };
	int code = comap__table_check(table);

	if (!code && !path)
		code = comap__fail(COMAP_CAUSE_ARGUMENT, "the path is NULL");
	if (!code && table->cache) /* no bulk load: nothing is put before the file has been found whole */
		code = comap_dump_check(path, NULL);
	return code ? code : run(&source, ret_report);
}

int comap_dump_check(const char *path, struct comap_dump_report *ret_report)
{
	struct source source = { .path = path, .fd = -1 };

	return path ? run(&source, ret_report) : comap__fail(COMAP_CAUSE_ARGUMENT, "the path is NULL");
}
