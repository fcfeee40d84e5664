/* SPDX-License-Identifier: MIT */
/* The step kit: death after every machine instruction of an operation.
 *
 * A child prepares, then runs one operation under ptrace, one instruction at a time (a system call
 * is one). After each instruction the file is looked at, as if the child had died there. Where its
 * bytes were not seen before, they are copied to a new file: no process has a lock in it, so whoever
 * was attached is dead in it. A fresh child, the survivor, attaches to the copy, repairs, checks,
 * and says which of the allowed outcomes it found.
 *
 *     static const char *const outcomes[] = { "before", "after", NULL };
 *     struct step_report report;
 *     step_run(&(struct step_operation){ "put", path, open_it, put_it, look_at_it, outcomes },
 *              &report);
 *     step_print(&report, 1);
 *
 * The copy gets its own device and inode number as the region's home, or it would be refused as the
 * copy that it is: that is the one thing that differs from the dead one's file.
 *
 * The operation has to be the work of one thread. What a second thread does while it is stepped is
 * in the images, at whatever speed it runs. */
#ifndef COMAP_TESTS_KIT_STEP_H
#define COMAP_TESTS_KIT_STEP_H

#include "proc.h"

#define STEP_OUTCOMES 8u

struct step_operation {
	const char *name;
	const char *path;                           /* the file that is watched; may not exist yet */
	int (*prepare)(const char *path);           /* in the child, at full speed; NULL: nothing */
	int (*operate)(const char *path);           /* in the child, stepped; 0 or the test fails */
	int (*survive)(const char *path);           /* in a fresh child: the outcome's number */
	const char *const *outcomes;                /* their names, NULL at the end */
	/* Every `keep_every`th image is kept as a file beside, for a test that goes on from there. */
	unsigned keep_every;                        /* 0: none */
	unsigned keep_max;
	/* Only images of every `stride`th change are tried; 0 and 1: all. For operations too long for
	 * a short test; what was passed over is counted and printed. */
	unsigned stride;
};

struct step_report {
	char name[64];
	uint64_t instructions;
	uint64_t images;                            /* distinct ones, all tried unless `stride` */
	uint64_t passed_over;
	uint64_t outcomes[STEP_OUTCOMES];
	const char *const *outcome_names;
	unsigned kept;
	double seconds;
};

/* Runs the operation as above. Fails the test when a survivor finds anything but an allowed outcome
 * (with the number of the instruction), or when the operation itself fails. Skips the test where
 * ptrace is not allowed. */
void step_run(const struct step_operation *operation, struct step_report *ret_report);

/* The path of the `index`th image that was kept. The step kit's next run overwrites it. */
const char *step_kept_path(const struct step_operation *operation, unsigned index);

/* A copy of a region file that attaches as its original would, all of its owners dead. */
void step_copy(const char *from, const char *to);

/* A table of reports on standard output. */
void step_print(const struct step_report *reports, unsigned count);

#endif
