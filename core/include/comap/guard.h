/* SPDX-License-Identifier: MIT */
#ifndef COMAP_GUARD_H
#define COMAP_GUARD_H
#include <comap/mapping.h>
COMAP_BEGIN_DECLS
COMAP_API int comap_map_status(struct comap_map *map);
COMAP_END_DECLS
#endif
