/* SPDX-License-Identifier: MIT */
/* Ways in which one process gives others the latest 64 KiB of something. */
#ifndef COMAP_BENCH_WAYS_H
#define COMAP_BENCH_WAYS_H

#include <stddef.h>
#include <stdint.h>

#define WAY_BYTES 65536u
#define WAYS_MAX 8u

struct way {
	const char *name;
	void (*publish)(uint64_t number); /* every word of the 64 KiB becomes anew */
	void (*full)(void);               /* looks at all of it: way_use() */
	void (*look)(void);               /* at the first word */
};

extern const struct way *const ways[]; /* comap first; NULL last */
extern struct comap_value *way_value;

void ways_open(const char *region_path); /* in the parent, before it forks */
void ways_attach(void);                  /* in a forked process */
void ways_close(void);
void way_small(uint64_t number);         /* publishes 64 bytes in way_value */
void way_use(const void *data);

#endif
