/* SPDX-License-Identifier: MIT */
/* The word that stands for fences where ThreadSanitizer looks on. See word.h. */
#include <comap/word.h>

/* In every build: a library of one and a program of the other kind link. */
struct comap_u32 comap__tsan_fence;
