/* SPDX-License-Identifier: MIT */
/* Field lists: what the bytes mean, so that two programs can compare and a tool can print.
 *
 *     struct fx { double eurusd; uint64_t at_ns; char venue[8]; };
 *     COMAP_FIELDS(struct fx,
 *             COMAP_FIELD(f64, eurusd),
 *             COMAP_FIELD(u64, at_ns),
 *             COMAP_FIELD(str, venue));
 *
 * declares the list once, beside the struct; COMAP_TYPE(struct fx) names it from then on. A field
 * of an array type is an array of its kind; `str` and `bytes` take the member whole.
 *
 * Everything here is constant data: any thread, any process, any signal handler may use it. */
#ifndef COMAP_TYPE_H
#define COMAP_TYPE_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

/* Kinds of field: name, size of one element in bytes. The numbers are part of the file format. */
#define COMAP_KIND_MAP(X) \
	X(u8, 1, 1) X(u16, 2, 2) X(u32, 3, 4) X(u64, 4, 8) \
	X(i8, 5, 1) X(i16, 6, 2) X(i32, 7, 4) X(i64, 8, 8) \
	X(f32, 9, 4) X(f64, 10, 8) \
	X(str, 11, 1)   /* characters, up to the first NUL or to the end of the field */ \
	X(bytes, 12, 1) /* anything */

enum comap_kind {
	COMAP_KIND_none = 0,
#define X(name, number, size) COMAP_KIND_##name = number,
	COMAP_KIND_MAP(X)
#undef X
	COMAP_KIND_COUNT
};

#define COMAP_FIELD_NAME_MAX 31 /* characters */
#define COMAP_TYPE_NAME_MAX 31
#define COMAP_TYPE_FIELDS_MAX 32

struct comap_field {
	const char *name;
	uint16_t kind;         /* enum comap_kind */
	uint32_t offset_bytes; /* within the struct */
	uint32_t size_bytes;   /* of the whole field; a multiple of the kind's size */
};

struct comap_type {
	const char *name;
	uint32_t size_bytes;   /* of the struct; bytes after it belong to the user */
	uint32_t align_bytes;
	uint32_t field_count;
	const struct comap_field *fields;
};

/* "struct fx" -> fx: pasting an empty macro in front of the keyword eats it. */
#define COMAP__STRIP_struct
#define COMAP__TYPE_OF(tag) comap__type_of_##tag
#define COMAP__TYPE_OF_EXPANDED(tag) COMAP__TYPE_OF(tag)
#define COMAP__TYPE_FUNCTION(type) COMAP__TYPE_OF_EXPANDED(COMAP__STRIP_##type)

#define COMAP_FIELDS(type, ...) \
	static inline const struct comap_type *COMAP__TYPE_FUNCTION(type)(void) \
	{ \
		typedef type comap__self; \
		struct comap__align { char c; comap__self self; }; \
		static const struct comap_field comap__fields[] = { __VA_ARGS__ }; \
		static const struct comap_type comap__type = { \
			#type, sizeof(comap__self), offsetof(struct comap__align, self), \
			sizeof comap__fields / sizeof comap__fields[0], comap__fields \
		}; \
		return &comap__type; \
	} \
	struct comap__swallow_semicolon

#define COMAP_FIELD(kind, member) \
	{ #member, COMAP_KIND_##kind, (uint32_t)offsetof(comap__self, member), \
	  (uint32_t)sizeof(((comap__self *)0)->member) }

#define COMAP_TYPE(type) (COMAP__TYPE_FUNCTION(type)())

/* 0, or -EINVAL where the list contradicts itself: names missing, too long or doubled, unknown
 * kinds, sizes that are no multiple of the kind's, fields that overlap or reach past the struct,
 * more than COMAP_TYPE_FIELDS_MAX. Every function that takes a type checks it so. */
COMAP_API int comap_type_check(const struct comap_type *type);

/* 0 when `reader` is a prefix of `writer` (same names, kinds, offsets and sizes, in order) and not
 * larger: a reader of yesterday may meet a writer of today. -EPROTOTYPE otherwise, with both lists in
 * the last error as far as they fit. */
COMAP_API int comap_type_fits(const struct comap_type *reader, const struct comap_type *writer);

/* "struct fx { f64 eurusd @0; u64 at_ns @8; str[8] venue @16; } 24 bytes". Writes at most
 * `size_bytes` characters, the NUL among them; returns the length that it would have. NULL: "no type". */
COMAP_API size_t comap_type_print(const struct comap_type *type, char *buffer, size_t size_bytes);

/* One value of the field, from the struct that begins at `record`, in words ("1.0842", "\"XETR\"",
 * "[1, 2, 3]"). As comap_type_print(). */
COMAP_API size_t comap_field_print(const struct comap_field *field, const void *record,
                                   char *buffer, size_t size_bytes);

/* Name ("f64") and size in bytes of a kind; NULL and 0 where there is none. */
COMAP_API const char *comap_kind_name(unsigned kind);
COMAP_API size_t comap_kind_bytes(unsigned kind);

COMAP_END_DECLS
#endif
