/* SPDX-License-Identifier: MIT */
/* The command line of the producer. */
#ifndef EXAMPLES_PRODUCER_OPTIONS_H
#define EXAMPLES_PRODUCER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct producer_options {
	const char *region;       /* name or path */
	const char *value;
	const char *table;        /* publish the rows in a table of this name; NULL: in the value */
	const char *source;       /* the CSV file */
	const char *key;          /* column, NULL: the default of registry_plan() */
	const char *keep;         /* folder for a copy of each version's source, or NULL */
	const char *stats;        /* region for struct producer_stats, or NULL */
	const char *name;         /* of the seat, and of the value in `stats` */
	uint64_t heap_max_bytes;  /* 0: the library's default */
	uint64_t takeover_ms;     /* how long to wait for the role */
	char separator;
	bool standby;             /* wait for the role without limit */
	bool once;                /* publish and end */
};

/* Fills `options`; ends the program after --help (status 0) and on nonsense (EXIT_USAGE). */
void producer_options_parse(struct producer_options *options, int argc, char **argv);

#endif
