/* SPDX-License-Identifier: MIT */
/* What both sides of the first example share: a struct, and its field list. */
#include <comap.h>

struct fx { double eurusd; uint64_t at_ns; };
COMAP_FIELDS(struct fx, COMAP_FIELD(f64, eurusd), COMAP_FIELD(u64, at_ns));
