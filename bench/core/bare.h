/* SPDX-License-Identifier: MIT */
/* The same readings without comap: the system calls and nothing around them. */
#ifndef COMAP_BENCH_BARE_H
#define COMAP_BENCH_BARE_H

#include "measure.h"

extern const struct measure_way bare_ways[];
extern const size_t bare_way_count;

#endif
