/* SPDX-License-Identifier: MIT */
/* What the two halves of the bench kit, report.c and kit.c, know of each other. */
#ifndef COMAP_BENCH_KIT_INSIDE_H
#define COMAP_BENCH_KIT_INSIDE_H

#include <stddef.h>

void bench__set_cpus(unsigned first, unsigned second);
/* Calibrates the time stamps and what two in a row cost. */
void bench__time_init(void);
/* As /proc/cpuinfo has it, or "unknown"; returns the buffer. */
const char *bench__cpu_model(char *buffer, size_t size_bytes);

#endif
