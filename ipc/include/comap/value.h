/* SPDX-License-Identifier: MIT */
/* Values: the latest version of one blob, published by one process, read by all.
 *
 * The publisher builds a version in place and publishes it with one store. Readers look at whole
 * versions, without a copy and without a lock; a version stays as it is while a read section that
 * saw it lasts. When the publisher dies, at whichever instruction, the version before or the one
 * after stands, and the role passes to the next process that publishes.
 *
 *                 view  get  wait | put reserve..publish | release
 *   readers        any number, any process, any thread
 *   publishers                       one process at a time; its threads take turns
 *
 * A typed value has a field list (type.h); what is put must be at least as long as the type. */
#ifndef COMAP_VALUE_H
#define COMAP_VALUE_H

#include <comap/rcu.h>
#include <comap/region.h>
#include <comap/type.h>
#include <comap/view.h>

COMAP_BEGIN_DECLS

struct comap_value;

/* Opens the value `name` (at most 47 characters). A region opened with COMAP_CREATE creates it, one
 * opened with COMAP_WAIT waits for it; otherwise -ENOENT. `type` may be NULL: untyped at creation;
 * whatever it is, at opening. -EPROTOTYPE where the field list is no prefix of the value's own: the
 * last error shows both. The same name gives the same handle, counted; close each. */
COMAP_API struct comap_value *comap_value_open(struct comap *region, const char *name,
                                               const struct comap_type *type);
COMAP_API void comap_value_close(struct comap_value *value);

/* The current version, inside a read section of the region: valid until the section ends. Never
 * blocks; some nanoseconds. Outside a section, or for guests, .data is NULL and the last error says
 * so: use comap_value_get() there. */
COMAP_API struct comap_view comap_value_view(struct comap_value *value);

/* Copies the current version; for guests too, who validate the copy and try again where a writer
 * was faster (at most 1,000 times: -EAGAIN). Returns 0, or: -ENODATA nothing published; -ENOBUFS it
 * is larger than `capacity_bytes` (then *ret_view.size_bytes says how large; nothing is copied).
 * ret_view may be NULL; its data is `buffer`. */
COMAP_API int comap_value_get(struct comap_value *value, void *buffer, size_t capacity_bytes,
                              struct comap_view *ret_view);

/* Version and time (CLOCK_REALTIME ns) of the current version; 0: nothing published. */
COMAP_API uint64_t comap_value_version(struct comap_value *value);
COMAP_API uint64_t comap_value_published_ns(struct comap_value *value);

/* Waits until a version newer than `seen` is there. 0; -ETIMEDOUT; -ESTALE when the region was
 * unlinked or replaced. Not inside a read section (-EDEADLK). Guests poll, 1 to 50 ms apart. */
COMAP_API int comap_value_wait(struct comap_value *value, uint64_t seen, uint64_t deadline_ns);

/* Publishes a copy of `size_bytes` bytes. 0, or: -EBUSY another process is the publisher (named in
 * the last error); -ENOSPC; -EMSGSIZE shorter than the type, or beyond the region's maximum. On
 * failure the version before stands. No system call while nobody waits and memory is at hand. */
COMAP_API int comap_value_put(struct comap_value *value, const void *data, size_t size_bytes);

/* Builds a version in place: reserve, fill *ret_data (writable, 64-byte aligned, contents
 * undefined), then publish or abort, in the same thread. -EDEADLK: the thread has reserved already.
 * Other threads of the process wait meanwhile. */
COMAP_API int comap_value_reserve(struct comap_value *value, size_t size_bytes, void **ret_data);
COMAP_API int comap_value_publish(struct comap_value *value);
COMAP_API int comap_value_abort(struct comap_value *value);

/* Becomes the publisher without publishing, or stops being it. -EBUSY as above. */
COMAP_API int comap_value_claim(struct comap_value *value);
COMAP_API int comap_value_release(struct comap_value *value);

/* The seat that publishes, or -ENOENT. The seat may be dead: see comap_seat_at(). */
COMAP_API int comap_value_publisher(struct comap_value *value);

COMAP_END_DECLS
#endif
