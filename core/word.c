/* SPDX-License-Identifier: MIT */
/* The word that stands for fences where ThreadSanitizer looks on. See word.h. */
#include <comap/word.h>

#ifdef COMAP__TSAN
struct comap_u32 comap__tsan_fence;
#else
typedef int comap__fences_are_fences_in_this_build; /* C wants a file to hold something */
#endif
