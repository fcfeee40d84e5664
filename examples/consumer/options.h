/* SPDX-License-Identifier: MIT */
/* The command line of the consumer. */
#ifndef EXAMPLES_CONSUMER_OPTIONS_H
#define EXAMPLES_CONSUMER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct consumer_options {
	const char *region;       /* name or path */
	const char *value;
	const char *verify;       /* the producer's --keep folder, or NULL */
	const char *index;        /* column of the private index; NULL: none */
	const char *stats;        /* region for struct consumer_stats, or NULL */
	const char *name;         /* of the seat, and of the value in `stats` */
	uint64_t rate;            /* lookups a second, of all threads; 0: flat out */
	uint64_t threads;
	uint64_t duration_ms;     /* 0: until told to end */
	uint64_t report_ms;       /* between two log lines; 0: none but the last */
	uint64_t check_ms;        /* between two looks at the checksum of the whole version */
	uint64_t linger_ms;       /* how long such a look stays in its read section */
	uint64_t verify_every;    /* one lookup in so many */
	uint64_t seed;
	char separator;
};

/* Fills `options`; ends the program after --help (status 0) and on nonsense (EXIT_USAGE). */
void consumer_options_parse(struct consumer_options *options, int argc, char **argv);

#endif
