/* SPDX-License-Identifier: MIT */
/* Records: bytes as an array of structs, after they have been looked at.
 *
 *     struct trade { uint64_t id; double price; };
 *     COMAP_FIELDS(struct trade, COMAP_FIELD(u64, id), COMAP_FIELD(f64, price));
 *
 *     struct comap_records trades;
 *     if (comap_records_open(map, 0, COMAP_MAP_REST, COMAP_TYPE(struct trade), 0, &trades) < 0)
 *             return puts(comap_error_text()), 1;
 *     for (uint64_t i = 0; i < comap_records_count(&trades); i++)
 *             sum += COMAP_RECORD(struct trade, &trades, i)->price;
 *
 * A view is *direct* where the bytes can be used as they lie: whole records, aligned, in the byte
 * order of the machine. Otherwise it is refused with the reason, unless the caller asked for the
 * *slow* way: then records are fetched one by one, copied and turned round, and there are no
 * pointers.
 *
 * Files that describe themselves begin with a header (comap_records_header()): field list and byte
 * order are then compared with the reader's. Bytes without a header are what the caller says they
 * are.
 *
 * Ownership:  a view owns nothing and is not closed; it ends with the mapping under it, and does not
 *             follow a mapping that grows: make a new one. The type must outlive it.
 * Threads:    views are values; any number of readers. Writers of one record are the caller's business.
 * Signals:    comap_records_at() inside the bounds, count and raw are async-signal-safe.
 * Faults:     touching a record touches the mapping: see guard.h. */
#ifndef COMAP_RECORDS_H
#define COMAP_RECORDS_H

#include <comap/base.h>
#include <comap/type.h>

COMAP_BEGIN_DECLS

struct comap_map;

enum comap_records_flags {
	COMAP_RECORDS_SLOW = 1u << 0,        /* misaligned or foreign bytes: fetch instead of refuse */
	COMAP_RECORDS_BIG_ENDIAN = 1u << 1,  /* without a header: the bytes are big-endian */
	COMAP_RECORDS_IGNORE_TAIL = 1u << 2, /* a partial record at the end is left out, not refused */
	COMAP_RECORDS_WRITE = 1u << 3,       /* the view may be written through (the mapping must be) */
};

/* A view. The members are private, and here only so that the check of an index is inline. */
struct comap_records {
	unsigned char *first;
	uint64_t count;
	uint64_t direct_count; /* count, or 0 where there are no pointers */
	uint64_t write_count;  /* the same for writing */
	uint32_t stride_bytes; /* from record to record: the writer's size */
	uint32_t size_bytes;   /* the reader's */
	uint32_t swapped;      /* big-endian */
	uint32_t writable;
	const struct comap_type *type;
};

/* A view over bytes that carry no header. `flags`: enum comap_records_flags, or-ed. 0; -EINVAL
 * (ARGUMENT): a field list that comap_type_check() refuses, NULL; -EBADMSG (SHORT): the size is no
 * multiple of the record's; -EPROTONOSUPPORT (LAYOUT: misaligned; BYTE_ORDER: big-endian) without
 * COMAP_RECORDS_SLOW. Cost: does not look at the records. */
COMAP_API COMAP_MUST_CHECK int comap_records_over(const void *bytes, uint64_t size_bytes,
                                                  const struct comap_type *type, unsigned flags,
                                                  struct comap_records *ret_records);

/* The same over a part of a mapping; COMAP_MAP_REST: to its end. Besides: -ERANGE (BOUNDS): the
 * part is not inside; -EACCES (READ_ONLY): COMAP_RECORDS_WRITE on a mapping that may not be
 * written. */
COMAP_API COMAP_MUST_CHECK int comap_records_open(struct comap_map *map, uint64_t offset_bytes,
                                                  uint64_t size_bytes, const struct comap_type *type,
                                                  unsigned flags, struct comap_records *ret_records);

/* A mapping that begins with a header. The reader's field list must fit the writer's (as
 * comap_type_fits(): it may be a prefix). Besides: -EBADMSG (MAGIC, SHORT, CORRUPT, CHECKSUM): no
 * header, or a broken one; -EPROTONOSUPPORT (VERSION); -EPROTOTYPE (TYPE): the field lists
 * differ. */
COMAP_API COMAP_MUST_CHECK int comap_records_open_described(struct comap_map *map,
                                                            const struct comap_type *type,
                                                            unsigned flags,
                                                            struct comap_records *ret_records);

#define COMAP_RECORDS_HEADER_MAX 1728u /* bytes */

/* Writes the header of a file of such records into `buffer` and returns its length, a multiple of
 * 64: the records follow at once. -EINVAL: a bad field list; -ENOSPC: `size_bytes` is too small
 * (COMAP_RECORDS_HEADER_MAX is always enough). */
COMAP_API COMAP_MUST_CHECK int64_t comap_records_header(const struct comap_type *type, void *buffer,
                                                        size_t size_bytes);

/* The byte order of bytes that begin with a known 32-bit number (another format's magic, or a byte
 * order mark). 0: the machine's own; COMAP_ORDER_SWAPPED: the other; -EBADMSG (MAGIC): neither, or
 * fewer than four bytes. A number that reads the same both ways is refused with -EINVAL. */
enum { COMAP_ORDER_SWAPPED = 1 };
COMAP_API COMAP_MUST_CHECK int comap_order_detect(const void *bytes, uint64_t size_bytes,
                                                  uint32_t magic);

static inline uint64_t comap_records_count(const struct comap_records *records)
{
	return records->count;
}

/* Says why there is no pointer; NULL. For the inline functions. */
COMAP_API const void *comap__records_refuse(const struct comap_records *records, uint64_t index,
                                            bool for_writing);

/* The record in place, or NULL: -ERANGE (BOUNDS) outside the view, -EOPNOTSUPP (UNSUPPORTED) where
 * the view is slow. Cost: one comparison. */
static inline const void *comap_records_at(const struct comap_records *records, uint64_t index)
{
	if (COMAP_LIKELY(index < records->direct_count))
		return records->first + index * records->stride_bytes;
	return comap__records_refuse(records, index, false);
}

/* The same for writing; besides -EACCES (READ_ONLY). */
static inline void *comap_records_at_mutable(const struct comap_records *records, uint64_t index)
{
	if (COMAP_LIKELY(index < records->write_count))
		return records->first + index * records->stride_bytes;
	return (void *)(uintptr_t)comap__records_refuse(records, index, true);
}

/* With the type; NULL besides where the view is of a struct of another size. */
#define COMAP_RECORD(type, records, index) \
	((const type *)comap__records_typed(records, index, sizeof(type)))

static inline const void *comap__records_typed(const struct comap_records *records, uint64_t index,
                                               size_t size_bytes)
{
	return COMAP_LIKELY(size_bytes == records->size_bytes) ? comap_records_at(records, index) : NULL;
}

/* Fetches a record, from direct and from slow views: in the machine's byte order, aligned, yours.
 * Bytes between the fields come as they are. 0; -ERANGE (BOUNDS). */
COMAP_API COMAP_MUST_CHECK int comap_records_get(const struct comap_records *records, uint64_t index,
                                                 void *ret_record);

/* Stores a record in the byte order of the view: its fields, and nothing between them or after
 * them. 0; -ERANGE (BOUNDS); -EACCES (READ_ONLY). Not atomic: a reader may see half of it. */
COMAP_API COMAP_MUST_CHECK int comap_records_put(const struct comap_records *records, uint64_t index,
                                                 const void *record);

/* Where the records lie, unchecked: for loops that have checked count and stride themselves. Valid
 * as a pointer to structs only where comap_records_is_direct(). */
static inline const void *comap_records_raw_unchecked(const struct comap_records *records)
{
	return records->first;
}

static inline bool comap_records_is_direct(const struct comap_records *records)
{
	return records->direct_count == records->count;
}

COMAP_END_DECLS
#endif
