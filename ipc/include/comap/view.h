/* SPDX-License-Identifier: MIT */
/* What a reader holds inside a read section: some bytes in place, as of one version.
 *
 * A view is good until the section ends in which it was taken; nothing is freed with it. */
#ifndef COMAP_VIEW_H
#define COMAP_VIEW_H

#include <comap/base.h>

COMAP_BEGIN_DECLS

struct comap_view {
	const void *data;     /* a value's: aligned to 64 bytes, a table's to 8; NULL: nothing there, or an
	                         error */
	size_t size_bytes;
	uint64_t version;     /* 1, 2, 3 ...; 0: nothing there */
};

COMAP_END_DECLS
#endif
