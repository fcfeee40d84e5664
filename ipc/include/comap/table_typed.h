/* SPDX-License-Identifier: MIT */
/* Tables of records: the functions of table.h by the record's type and its field list (type.h).
 *
 *     struct price { double bid, ask; uint64_t at_ns; };
 *     COMAP_FIELDS(struct price, COMAP_FIELD(f64, bid), COMAP_FIELD(f64, ask), COMAP_FIELD(u64, at_ns));
 *
 *     struct comap_table *prices = COMAP_TABLE_OPEN_AS(struct price, region, "prices");
 *     COMAP_TABLE_PUT_AS(struct price, prices, &instrument, &now);
 *     COMAP_READ(region) {
 *             const struct price *p = COMAP_TABLE_VIEW_AS(struct price, prices, &instrument);
 *             if (p) use(p->bid);
 *     }
 *
 * The compiler checks that a record is one (C: a pointer to exactly this type; C++: what converts to
 * it) and that the type needs no more alignment than a table gives; the open checks the field list
 * against that of the table, of which it may be a prefix: readers of yesterday get the first fields of
 * records of today. That the handle is the one that was opened for the type is up to the program.
 *
 * `key` points to the key, whose bytes are those of what it points to: a number, a struct without
 * padding, a whole array. A pointer to single characters is refused by the compiler: use table.h.
 * Arguments are evaluated once, keys only once more in sizeof. Errors, lifetimes, cost as in table.h. */
#ifndef COMAP_TABLE_TYPED_H
#define COMAP_TABLE_TYPED_H

#include <comap/table.h>
#include <comap/table_bulk.h>

COMAP_BEGIN_DECLS

/* Private: the pointer, if it is one to the type; the bytes of a key. */
#ifdef __cplusplus
#define COMAP__POINTER_TO(type, pointer) (static_cast<type *>(pointer))
#define COMAP__POINTER_TO_CONST(type, pointer) (static_cast<const type *>(pointer))
#else
#define COMAP__POINTER_TO(type, pointer) _Generic((pointer), type *: (pointer))
#define COMAP__POINTER_TO_CONST(type, pointer) \
	_Generic((pointer), type *: (pointer), const type *: (pointer))
#endif
#define COMAP__KEY_BYTES(key) \
	(sizeof *(key) + 0 * sizeof(char[sizeof *(key) > 1 ? 1 : -1])) /* else: a pointer to characters? */
#define COMAP__RECORD_BYTES(type) \
	(sizeof(type) + 0 * sizeof(char[__alignof__(type) <= 8 ? 1 : -1])) /* else: aligned to more than 8 */

/* Copies the first `size_bytes` bytes of the key's value. As comap_table_get(), but a longer value is no
 * error, and for a shorter one -EPROTOTYPE. For guests too. */
COMAP_API int comap_table_get_first(struct comap_table *table, const void *key, size_t key_bytes,
                                    void *buffer, size_t size_bytes);

/* Private: the value, if it is not shorter than the type. */
static inline const void *comap__table_view_as(struct comap_table *table, const void *key,
                                               size_t key_bytes, size_t size_bytes)
{
	struct comap_view view = comap_table_view(table, key, key_bytes);

	return view.size_bytes >= size_bytes ? view.data : NULL;
}

#define COMAP_TABLE_OPEN_AS(type, region, name) comap_table_open((region), (name), COMAP_TYPE(type))

/* const type *, as comap_table_view(); NULL also where the value is shorter than the type. */
#define COMAP_TABLE_VIEW_AS(type, table, key) \
	((const type *)comap__table_view_as((table), (key), COMAP__KEY_BYTES(key), COMAP__RECORD_BYTES(type)))

#define COMAP_TABLE_GET_AS(type, table, key, ret_record) \
	comap_table_get_first((table), (key), COMAP__KEY_BYTES(key), COMAP__POINTER_TO(type, ret_record), \
	                      COMAP__RECORD_BYTES(type))

#define COMAP_TABLE_PUT_AS(type, table, key, record) \
	comap_table_put((table), (key), COMAP__KEY_BYTES(key), COMAP__POINTER_TO_CONST(type, record), \
	                COMAP__RECORD_BYTES(type))
#define COMAP_TABLE_INSERT_AS(type, table, key, record) \
	comap_table_insert((table), (key), COMAP__KEY_BYTES(key), COMAP__POINTER_TO_CONST(type, record), \
	                   COMAP__RECORD_BYTES(type))
#define COMAP_TABLE_REPLACE_AS(type, table, key, record) \
	comap_table_replace((table), (key), COMAP__KEY_BYTES(key), COMAP__POINTER_TO_CONST(type, record), \
	                    COMAP__RECORD_BYTES(type))
#define COMAP_TABLE_CAS_AS(type, table, key, version, record) \
	comap_table_cas((table), (key), COMAP__KEY_BYTES(key), (version), \
	                COMAP__POINTER_TO_CONST(type, record), COMAP__RECORD_BYTES(type))
#define COMAP_TABLE_REMOVE_AS(type, table, key) \
	comap_table_remove((table), (key), COMAP__KEY_BYTES(key))

/* Into a bulk load (table_bulk.h) of a table of the type. */
#define COMAP_TABLE_BULK_PUT_AS(type, bulk, key, record) \
	comap_table_bulk_put((bulk), (key), COMAP__KEY_BYTES(key), COMAP__POINTER_TO_CONST(type, record), \
	                     COMAP__RECORD_BYTES(type))

COMAP_END_DECLS
#endif
