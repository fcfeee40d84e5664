/* SPDX-License-Identifier: MIT */
/* The operations that are stepped through, by what they belong to. Each file holds a table. */
#ifndef COMAP_TESTS_STEP_CASES_H
#define COMAP_TESTS_STEP_CASES_H

#include "check.h"
#include "step.h"

struct step_case {
	const char *name;
	int (*arrange)(void *path);                 /* a role before all: makes the file; NULL: none */
	int (*prepare)(const char *path);
	int (*operate)(const char *path);
	int (*survive)(const char *path);
	const char *const *outcomes;
	/* Not every outcome has to be found: what a repair finds depends on the image it begins with. */
	bool some_outcomes;
	/* Of the region, default 512 KiB: each look at an image costs as much as is allocated. */
	uint64_t heap_max_bytes;
	/* For long runs only: the operation, or each of its survivors, takes many seconds. */
	bool is_long;
	/* Of the process that repairs what a death left, and dies as well; default: warm_up(), and it
	 * attaches. `before_repair` runs at full speed and may not attach. */
	int (*before_repair)(const char *path);
	int (*repair)(const char *path);
};

extern const struct step_case table_cases[];
extern const unsigned table_case_count;
extern const struct step_case cache_cases[];
extern const unsigned cache_case_count;
extern const struct step_case bulk_cases[];
extern const unsigned bulk_case_count;
extern const struct step_case turn_cases[];
extern const unsigned turn_case_count;
extern const struct step_case region_cases[], value_cases[], place_cases[], death_cases[];
extern const unsigned region_case_count, value_case_count, place_case_count, death_case_count;

/* --- what the tables share ------------------------------------------------------------------- */

/* The region and the value "v" of the child that is stepped. */
extern struct comap *the_region;
extern struct comap_value *the_value;

/* Roles and preparations: each does what the one before does, and more. */
int make_region(void *path);                        /* an empty region, left in order */
int make_value_1(void *path);                       /* with "v" at 1, left in order */
int make_other_dead(void *path);                    /* "v" at 1 by one who dies in a section, holding
                                                       a block, retired ones and the role */
int open_region(const char *path);
int open_value(const char *path);
int open_value_1(const char *path);                 /* and puts 1 */
int warm_up(const char *path);                      /* opens another region and closes it: what a
                                                       process does once, the loader's work above
                                                       all, is done */
void require_killed(int (*role)(void *), void *path);

/* Survivors: check_survive(), and the number that was found becomes the outcome. */
int finds_0(const char *path);
int finds_1(const char *path);
int finds_0_or_1(const char *path);
int finds_1_or_2(const char *path);

extern const char *const only_same[], *const old_or_new[];

#endif
