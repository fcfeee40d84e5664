/* SPDX-License-Identifier: MIT */
/* The word that tests set to be called at fault points. See fault.h. */
#include "fault.h"

#ifdef COMAP_FAULTS
void (*comap__fault_hook)(const char *name);
#else
typedef int comap__no_fault_points_in_this_build; /* C wants a file to hold something */
#endif
