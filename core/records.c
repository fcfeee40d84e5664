/* SPDX-License-Identifier: MIT */
/* Records: bytes as an array of structs, after they have been looked at.
 *
 * Lives in:   views are values of the caller; the header lies at the start of a record file
 * Invariants: I1  direct_count is count or 0; write_count is direct_count or 0
 *             I2  direct_count != 0: `first` is aligned to type->align_bytes, and stride_bytes is a
 *                 multiple of it
 *             I3  count * stride_bytes lies inside the bytes that were given
 * Progress:   wait-free
 * Limits:     in-place records of a file that another process writes are as consistent as the writer
 *             makes them: this file adds checks, not locks
 *
 * The header, in the byte order of the records (offsets in bytes):
 *      0 magic "CMRECORD"        8 order mark 0x01020304       12 version
 *     16 header size             20 record size                24 record alignment
 *     28 field count             32 checksum (FNV-1a of the header, this word as 0)
 *     40 zeros                   64 type name, 32 bytes
 *     96 fields, 48 bytes each: name (32), kind, offset, size (4 each), zeros (4) */
#include <comap/mapping.h>
#include <comap/records.h>

#include "error.h"

#include <string.h>

#define HEADER_MAGIC "CMRECORD"
#define ORDER_MARK UINT32_C(0x01020304)
#define HEADER_VERSION 1u
#define HEADER_ALIGN 64u

struct header_field {
	char name[32];
	uint32_t kind;
	uint32_t offset_bytes;
	uint32_t size_bytes;
	uint32_t zero;
};

struct header {
	char magic[8];
	uint32_t order_mark;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t record_bytes;
	uint32_t align_bytes;
	uint32_t field_count;
	uint64_t checksum;
	uint64_t zeros[3];
	char name[32];
	struct header_field fields[COMAP_TYPE_FIELDS_MAX];
};

#define HEADER_FIXED_BYTES offsetof(struct header, fields)

_Static_assert(sizeof(struct header_field) == 48, "as in the picture above");
_Static_assert(offsetof(struct header, checksum) == 32, "as in the picture above");
_Static_assert(offsetof(struct header, name) == 64, "as in the picture above");
_Static_assert(offsetof(struct header, fields) == 96, "as in the picture above");
_Static_assert(sizeof(struct header) <= COMAP_RECORDS_HEADER_MAX, "the public figure is enough");
_Static_assert(COMAP_RECORDS_HEADER_MAX % HEADER_ALIGN == 0, "rounding up stays below it");

/* --- byte order --------------------------------------------------------------------------- */

/* Copies a field from one record to the same field of another, turned round where asked: each
 * element goes over a place of our own, so that the target never holds it the wrong way. */
static void copy_field(const struct comap_field *field, const void *from_record, void *to_record,
                       bool swapped)
{
	const unsigned char *from = (const unsigned char *)from_record + field->offset_bytes;
	unsigned char *to = (unsigned char *)to_record + field->offset_bytes;
	size_t element_bytes = comap_kind_bytes(field->kind);

	if (!swapped || element_bytes == 1) {
		memcpy(to, from, field->size_bytes);
		return;
	}
	for (size_t at = 0; at < field->size_bytes; at += element_bytes) {
		unsigned char element[8];

		for (size_t i = 0; i < element_bytes; i++)
			element[i] = from[at + element_bytes - 1 - i];
		memcpy(to + at, element, element_bytes);
	}
}

int comap_order_detect(const void *bytes, uint64_t size_bytes, uint32_t magic)
{
	uint32_t found;

	if (!bytes || magic == __builtin_bswap32(magic))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no bytes, or a number that tells no byte order");
	if (size_bytes < sizeof found)
		return comap__fail(COMAP_CAUSE_MAGIC, "%u bytes are too few to tell a byte order",
		                   (unsigned)size_bytes);
	memcpy(&found, bytes, sizeof found);
	if (found == magic)
		return 0;
	if (found == __builtin_bswap32(magic))
		return COMAP_ORDER_SWAPPED;
	return comap__fail(COMAP_CAUSE_MAGIC, "the bytes begin with %#x, not with %#x in either byte order",
	                   found, magic);
}

/* --- views -------------------------------------------------------------------------------- */

static int check_shape(const struct comap_records *view, uint64_t tail_bytes, unsigned flags)
{
	uint32_t align_bytes = view->type->align_bytes;

	if (tail_bytes && !(flags & COMAP_RECORDS_IGNORE_TAIL))
		return comap__fail(COMAP_CAUSE_SHORT, "no whole number of %s: after %llu records of %u bytes "
		                   "%llu bytes are left over", view->type->name,
		                   (unsigned long long)view->count, view->stride_bytes,
		                   (unsigned long long)tail_bytes);
	if (flags & COMAP_RECORDS_SLOW)
		return 0;
	if (view->swapped)
		return comap__fail(COMAP_CAUSE_BYTE_ORDER, "the records of %s are big-endian, this machine is "
		                   "not: COMAP_RECORDS_SLOW fetches them turned round", view->type->name);
	if ((uintptr_t)view->first % align_bytes || view->stride_bytes % align_bytes)
		return comap__fail(COMAP_CAUSE_LAYOUT, "%s needs an alignment of %u bytes; the records begin "
		                   "%u bytes behind one and are %u bytes apart: COMAP_RECORDS_SLOW fetches them",
		                   view->type->name, align_bytes,
		                   (unsigned)((uintptr_t)view->first % align_bytes), view->stride_bytes);
	return 0;
}

/* Completes a view of which first, stride, type and order are set. */
static int lay(struct comap_records view, uint64_t size_bytes, unsigned flags,
               struct comap_records *ret_records)
{
	bool direct;
	int code;

	view.size_bytes = view.type->size_bytes;
	view.count = size_bytes / view.stride_bytes;
	view.writable = (flags & COMAP_RECORDS_WRITE) != 0;
	code = check_shape(&view, size_bytes % view.stride_bytes, flags);
	if (code)
		return code;
	direct = !view.swapped && (uintptr_t)view.first % view.type->align_bytes == 0 &&
	         view.stride_bytes % view.type->align_bytes == 0;
	view.direct_count = direct ? view.count : 0;
	view.write_count = view.writable ? view.direct_count : 0;
	*ret_records = view;
	return 0;
}

static int check_arguments(const void *bytes, const struct comap_type *type,
                           const struct comap_records *ret_records)
{
	if (!bytes || !ret_records)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no bytes, or no place for the view");
	return comap_type_check(type);
}

int comap_records_over(const void *bytes, uint64_t size_bytes, const struct comap_type *type,
                       unsigned flags, struct comap_records *ret_records)
{
	int code = check_arguments(bytes, type, ret_records);

	if (code)
		return code;
	return lay((struct comap_records){ .first = (unsigned char *)(uintptr_t)bytes,
	                                   .stride_bytes = type->size_bytes,
	                                   .swapped = (flags & COMAP_RECORDS_BIG_ENDIAN) != 0,
	                                   .type = type },
	           size_bytes, flags, ret_records);
}

/* The part of the mapping, checked for its bounds and for the right to write. */
static int part_of(struct comap_map *map, uint64_t offset_bytes, uint64_t *size_bytes,
                   unsigned flags, const void **ret_bytes)
{
	uint64_t whole_bytes = map ? comap_map_size_bytes(map) : 0;
	const void *bytes;

	if (!map)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no mapping was given");
	if (*size_bytes == COMAP_MAP_REST && offset_bytes <= whole_bytes)
		*size_bytes = whole_bytes - offset_bytes;
	bytes = flags & COMAP_RECORDS_WRITE ? comap_map_at_mutable(map, offset_bytes, *size_bytes, 1)
	                                    : comap_map_at(map, offset_bytes, *size_bytes, 1);
	if (!bytes)
		return -comap_last_error()->code;
	*ret_bytes = bytes;
	return 0;
}

int comap_records_open(struct comap_map *map, uint64_t offset_bytes, uint64_t size_bytes,
                       const struct comap_type *type, unsigned flags,
                       struct comap_records *ret_records)
{
	const void *bytes = NULL;
	int code = part_of(map, offset_bytes, &size_bytes, flags, &bytes);

	return code ? code : comap_records_over(bytes, size_bytes, type, flags, ret_records);
}

/* --- the header --------------------------------------------------------------------------- */

static uint64_t checksum_of(const void *bytes, size_t size_bytes)
{
	const unsigned char *at = bytes;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size_bytes; i++) {
		bool is_checksum = i - offsetof(struct header, checksum) < sizeof(uint64_t);

		sum = (sum ^ (is_checksum ? 0 : at[i])) * UINT64_C(0x100000001b3);
	}
	return sum;
}

static uint32_t header_size(uint32_t field_count)
{
	uint32_t used = HEADER_FIXED_BYTES + field_count * (uint32_t)sizeof(struct header_field);

	return (used + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
}

int64_t comap_records_header(const struct comap_type *type, void *buffer, size_t size_bytes)
{
	struct header header = { .magic = HEADER_MAGIC, .order_mark = ORDER_MARK,
	                         .version = HEADER_VERSION };
	unsigned char whole[COMAP_RECORDS_HEADER_MAX] = { 0 };
	int code = check_arguments(buffer, type, &(struct comap_records){ 0 });

	if (code)
		return code;
	header.header_bytes = header_size(type->field_count);
	header.record_bytes = type->size_bytes;
	header.align_bytes = type->align_bytes;
	header.field_count = type->field_count;
	if (size_bytes < header.header_bytes)
		return comap__fail(COMAP_CAUSE_NO_SPACE, "the header of %s takes %u bytes, there are %zu",
		                   type->name, header.header_bytes, size_bytes);
	strncpy(header.name, type->name, sizeof header.name - 1);
	for (uint32_t i = 0; i < type->field_count; i++) {
		strncpy(header.fields[i].name, type->fields[i].name, sizeof header.fields[i].name - 1);
		header.fields[i].kind = type->fields[i].kind;
		header.fields[i].offset_bytes = type->fields[i].offset_bytes;
		header.fields[i].size_bytes = type->fields[i].size_bytes;
	}
	memcpy(whole, &header, sizeof header);
	header.checksum = checksum_of(whole, header.header_bytes);
	memcpy(whole + offsetof(struct header, checksum), &header.checksum, sizeof header.checksum);
	memcpy(buffer, whole, header.header_bytes);
	return header.header_bytes;
}

static void swap_header(struct header *header)
{
	uint32_t *words[] = { &header->order_mark, &header->version, &header->header_bytes,
	                      &header->record_bytes, &header->align_bytes, &header->field_count };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		*words[i] = __builtin_bswap32(*words[i]);
	header->checksum = __builtin_bswap64(header->checksum);
	for (size_t i = 0; i < COMAP_TYPE_FIELDS_MAX; i++) {
		struct header_field *field = &header->fields[i];

		field->kind = __builtin_bswap32(field->kind);
		field->offset_bytes = __builtin_bswap32(field->offset_bytes);
		field->size_bytes = __builtin_bswap32(field->size_bytes);
	}
}

/* Takes the header out of the file, once: what is checked is what is used. */
static int fetch_header(const struct comap_map *map, unsigned char whole[COMAP_RECORDS_HEADER_MAX],
                        struct header *ret_header, bool *ret_swapped)
{
	uint64_t size_bytes = comap_map_size_bytes(map);
	size_t taken = size_bytes < COMAP_RECORDS_HEADER_MAX ? (size_t)size_bytes
	                                                     : COMAP_RECORDS_HEADER_MAX;
	int order;

	memset(whole, 0, COMAP_RECORDS_HEADER_MAX);
	memcpy(whole, comap_map_data(map), taken);
	memcpy(ret_header, whole, sizeof *ret_header);
	if (taken < sizeof ret_header->magic ||
	    memcmp(ret_header->magic, HEADER_MAGIC, sizeof ret_header->magic) != 0)
		return comap__fail(COMAP_CAUSE_MAGIC, "the file does not begin with a header of records");
	if (taken < HEADER_FIXED_BYTES)
		return comap__fail(COMAP_CAUSE_SHORT, "the header of the records is cut off");
	order = comap_order_detect(&ret_header->order_mark, sizeof ret_header->order_mark, ORDER_MARK);
	if (order < 0)
		return order;
	if (order == COMAP_ORDER_SWAPPED)
		swap_header(ret_header);
	*ret_swapped = order == COMAP_ORDER_SWAPPED;
	return 0;
}

static int check_header(const struct header *header, const unsigned char *whole, uint64_t size_bytes)
{
	if (header->version != HEADER_VERSION)
		return comap__fail(COMAP_CAUSE_VERSION, "records of format %u; this library reads %u",
		                   header->version, HEADER_VERSION);
	if (header->field_count == 0 || header->field_count > COMAP_TYPE_FIELDS_MAX ||
	    header->header_bytes != header_size(header->field_count) || header->record_bytes == 0)
		return comap__fail(COMAP_CAUSE_CORRUPT, "the header of the records contradicts itself");
	if (header->header_bytes > size_bytes)
		return comap__fail(COMAP_CAUSE_SHORT, "the header of the records is cut off");
	if (checksum_of(whole, header->header_bytes) != header->checksum)
		return comap__fail(COMAP_CAUSE_CHECKSUM, "the header of the records has been changed");
	return 0;
}

/* The writer's field list, rebuilt, against the reader's. */
static int check_fit(struct header *header, const struct comap_type *reader)
{
	struct comap_field fields[COMAP_TYPE_FIELDS_MAX];
	struct comap_type writer = { header->name, header->record_bytes, header->align_bytes,
	                             header->field_count, fields };
	int code;

	header->name[sizeof header->name - 1] = 0;
	for (uint32_t i = 0; i < header->field_count; i++) {
		struct header_field *from = &header->fields[i];

		from->name[sizeof from->name - 1] = 0;
		fields[i] = (struct comap_field){ from->name,
		                                  from->kind < COMAP_KIND_COUNT ? (uint16_t)from->kind : 0,
		                                  from->offset_bytes, from->size_bytes };
	}
	code = comap_type_check(&writer);
	if (code)
		return comap__fail(COMAP_CAUSE_CORRUPT, "the field list in the header contradicts itself");
	return comap_type_fits(reader, &writer);
}

int comap_records_open_described(struct comap_map *map, const struct comap_type *type,
                                 unsigned flags, struct comap_records *ret_records)
{
	unsigned char whole[COMAP_RECORDS_HEADER_MAX];
	uint64_t size_bytes = COMAP_MAP_REST;
	struct header header;
	const void *bytes = NULL;
	bool swapped = false;
	int code = check_arguments(map, type, ret_records);

	if (code)
		return code;
	code = fetch_header(map, whole, &header, &swapped);
	if (code == 0)
		code = check_header(&header, whole, comap_map_size_bytes(map));
	if (code == 0)
		code = check_fit(&header, type);
	if (code == 0)
		code = part_of(map, header.header_bytes, &size_bytes, flags, &bytes);
	if (code)
		return code;
	return lay((struct comap_records){ .first = (unsigned char *)(uintptr_t)bytes,
	                                   .stride_bytes = header.record_bytes,
	                                   .swapped = swapped,
	                                   .type = type },
	           size_bytes, flags, ret_records);
}

/* --- single records ----------------------------------------------------------------------- */

const void *comap__records_refuse(const struct comap_records *records, uint64_t index,
                                  bool for_writing)
{
	if (index >= records->count)
		comap__fail(COMAP_CAUSE_BOUNDS, "record %llu of %llu", (unsigned long long)index,
		            (unsigned long long)records->count);
	else if (for_writing && !records->writable)
		comap__fail(COMAP_CAUSE_READ_ONLY, "the view of %s was not opened for writing",
		            records->type->name);
	else
		comap__fail(COMAP_CAUSE_UNSUPPORTED, "%s records of %s cannot be used in place: fetch them "
		            "with comap_records_get()", records->swapped ? "big-endian" : "misaligned",
		            records->type->name);
	return NULL;
}

static int check_index(const struct comap_records *records, uint64_t index, const void *record)
{
	if (!records || !record)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "no view, or no record");
	if (index >= records->count) {
		comap__records_refuse(records, index, false);
		return -comap_last_error()->code;
	}
	return 0;
}

int comap_records_get(const struct comap_records *records, uint64_t index, void *ret_record)
{
	int code = check_index(records, index, ret_record);
	const unsigned char *from;

	if (code)
		return code;
	from = records->first + index * records->stride_bytes;
	memcpy(ret_record, from, records->size_bytes);
	for (uint32_t i = 0; records->swapped && i < records->type->field_count; i++)
		copy_field(&records->type->fields[i], from, ret_record, true);
	return 0;
}

int comap_records_put(const struct comap_records *records, uint64_t index, const void *record)
{
	int code = check_index(records, index, record);
	unsigned char *to;

	if (code)
		return code;
	if (!records->writable)
		return comap__fail(COMAP_CAUSE_READ_ONLY, "the view of %s was not opened for writing",
		                   records->type->name);
	to = records->first + index * records->stride_bytes;
	for (uint32_t i = 0; i < records->type->field_count; i++)
		copy_field(&records->type->fields[i], record, to, records->swapped);
	return 0;
}
