/* SPDX-License-Identifier: MIT */
/* The command line of the consumer. */
#include "options.h"

#include "../common/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
"Usage: consumer [OPTION]...\n"
"Looks keys up in the table that a producer publishes, in place, and measures it. May be started\n"
"before the producer.\n"
"\n"
"  -r, --region NAME     the region: a name, or a path (default: registry)\n"
"  -V, --value NAME      the value in it (default: registry)\n"
"  -R, --rate N          lookups a second (default: 1000; 0: flat out)\n"
"  -T, --threads N       so many threads look up, and a private index of each version is kept\n"
"                        beside it (how many rows have the same --index)\n"
"  -x, --index COLUMN    the column of that index (default: Organization Name, else the second)\n"
"  -d, --duration MS     end after so long\n"
"  -p, --report MS       a log line as often (default: 5000; 0: only the last)\n"
"  -n, --name NAME       shown by `comap ps` (default: consumer)\n"
"      --verify DIR      compare one lookup in 1000 with a parse of DIR/VERSION.csv, which a\n"
"                        producer with --keep DIR leaves there\n"
"      --verify-every N  compare one lookup in N instead\n"
"      --separator CHAR  of these files (default: a comma; \"tab\")\n"
"      --check MS        verify the checksum of the whole version as often, besides at its first\n"
"                        sight (default: 1000; 0: never again)\n"
"      --linger MS       stay in the read section for so long between two such checks of one\n"
"                        version: it must not change meanwhile\n"
"      --seed N          of the choice of keys (default: 1)\n"
"      --stats REGION    publish statistics there, as a value called like --name\n"
"  -h, --help            this text\n"
"\n"
"Signals: TERM, INT end it with a summary; HUP forgets what was derived from the version and\n"
"derives it again; USR1 logs a summary.\n"
"Exit status: 0 ended in order, 1 refused by the system, 2 usage, 3 region cannot be opened,\n"
"5 the region was unlinked or replaced, 6 a torn read or a wrong answer was found.\n"
"\n"
"Example: consumer --rate 0 --duration 3000\n";

enum { OPTION_VERIFY = 256, OPTION_VERIFY_EVERY, OPTION_SEPARATOR, OPTION_CHECK, OPTION_LINGER,
       OPTION_SEED, OPTION_STATS };

static const struct option longs[] = {
	{ "region", required_argument, NULL, 'r' },
	{ "value", required_argument, NULL, 'V' },
	{ "rate", required_argument, NULL, 'R' },
	{ "threads", required_argument, NULL, 'T' },
	{ "index", required_argument, NULL, 'x' },
	{ "duration", required_argument, NULL, 'd' },
	{ "report", required_argument, NULL, 'p' },
	{ "name", required_argument, NULL, 'n' },
	{ "verify", required_argument, NULL, OPTION_VERIFY },
	{ "verify-every", required_argument, NULL, OPTION_VERIFY_EVERY },
	{ "separator", required_argument, NULL, OPTION_SEPARATOR },
	{ "check", required_argument, NULL, OPTION_CHECK },
	{ "linger", required_argument, NULL, OPTION_LINGER },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "stats", required_argument, NULL, OPTION_STATS },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Where the number of an option goes, and its range. */
static uint64_t *number_of(struct consumer_options *options, int letter, uint64_t *low,
                           uint64_t *high)
{
	*low = 0;
	*high = 1u << 30;
	switch (letter) {
	case 'R': return &options->rate;
	case 'd': return &options->duration_ms;
	case 'p': return &options->report_ms;
	case OPTION_CHECK: return &options->check_ms;
	case OPTION_LINGER: return &options->linger_ms;
	case OPTION_SEED: return &options->seed;
	case OPTION_VERIFY_EVERY: *low = 1; return &options->verify_every;
	case 'T': *low = 1; *high = 256; return &options->threads;
	default: return NULL;
	}
}

static bool take_text(struct consumer_options *options, int letter)
{
	switch (letter) {
	case 'r': options->region = optarg; return true;
	case 'V': options->value = optarg; return true;
	case 'x': options->index = optarg; return true;
	case 'n': options->name = optarg; return true;
	case OPTION_VERIFY: options->verify = optarg; return true;
	case OPTION_STATS: options->stats = optarg; return true;
	case OPTION_SEPARATOR:
		if (!separator_from(optarg, &options->separator))
			usage_exit("consumer", "not a separator", optarg);
		return true;
	default: return false;
	}
}

static void take(struct consumer_options *options, int letter)
{
	uint64_t low, high;
	uint64_t *number = number_of(options, letter, &low, &high);

	if (letter == 'h') {
		fputs(help, stdout);
		exit(EXIT_OK);
	}
	if (letter == 'T' && !options->index)
		options->index = ""; /* the default column */
	if (number && !number_from(optarg, low, high, number))
		usage_exit("consumer", "not a number in its range", optarg);
	if (!number && !take_text(options, letter))
		exit(EXIT_USAGE); /* getopt has said why */
}

void consumer_options_parse(struct consumer_options *options, int argc, char **argv)
{
	int letter;

	*options = (struct consumer_options){
		.region = "registry",
		.value = "registry",
		.name = "consumer",
		.rate = 1000,
		.threads = 1,
		.report_ms = 5000,
		.check_ms = 1000,
		.verify_every = 1000,
		.seed = 1,
		.separator = ',',
	};
	while ((letter = getopt_long(argc, argv, "r:V:R:T:x:d:p:n:h", longs, NULL)) != -1)
		take(options, letter);
	if (optind < argc)
		usage_exit("consumer", "unexpected", argv[optind]);
}
