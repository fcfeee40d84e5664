/* SPDX-License-Identifier: MIT */
/* The command line of the producer. */
#include "options.h"

#include "../common/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
"Usage: producer [OPTION]... [FILE.csv]\n"
"Publishes a table of text to every process that maps the region, and each change of it.\n"
"\n"
"FILE.csv       the source; its first line names the columns\n"
"               (default: /usr/share/ieee-data/oui.csv, the IEEE's registry of vendors)\n"
"\n"
"  -r, --region NAME     the region: a name, or a path (default: registry)\n"
"  -V, --value NAME      the value in it (default: registry)\n"
"  -T, --table NAME      the rows as entries of a table; the value then holds the header alone\n"
"  -k, --key COLUMN      the column to search by (default: Assignment, else the first one)\n"
"  -s, --separator CHAR  between the cells (default: a comma; \"tab\" for a tabulator)\n"
"  -b, --standby         wait as long as another process publishes, then take over\n"
"  -t, --takeover MS     without --standby: wait so long for the role (default: 2000)\n"
"  -o, --once            publish once and end\n"
"  -n, --name NAME       shown by `comap ps` (default: producer)\n"
"  -m, --heap-max MIB    the largest size of a region that is created here\n"
"      --keep DIR        keep the source of each version as DIR/VERSION.csv\n"
"      --stats REGION    publish statistics there, as a value called like --name\n"
"  -h, --help            this text\n"
"\n"
"Signals: TERM, INT end it (the region stays, and its readers go on); HUP reads the source again\n"
"and publishes it; USR1 logs a line.\n"
"Exit status: 0 ended in order, 1 refused by the system, 2 usage, 3 region cannot be opened,\n"
"4 another process publishes, 7 source cannot be used.\n"
"\n"
"Example: producer --region fleet --key code --separator ';' airports.csv\n";

enum { OPTION_KEEP = 256, OPTION_STATS };

static const struct option longs[] = {
	{ "region", required_argument, NULL, 'r' },
	{ "value", required_argument, NULL, 'V' },
	{ "table", required_argument, NULL, 'T' },
	{ "key", required_argument, NULL, 'k' },
	{ "separator", required_argument, NULL, 's' },
	{ "standby", no_argument, NULL, 'b' },
	{ "takeover", required_argument, NULL, 't' },
	{ "once", no_argument, NULL, 'o' },
	{ "name", required_argument, NULL, 'n' },
	{ "heap-max", required_argument, NULL, 'm' },
	{ "keep", required_argument, NULL, OPTION_KEEP },
	{ "stats", required_argument, NULL, OPTION_STATS },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void take(struct producer_options *options, int letter)
{
	uint64_t number = 0;

	switch (letter) {
	case 'r': options->region = optarg; break;
	case 'V': options->value = optarg; break;
	case 'T': options->table = optarg; break;
	case 'k': options->key = optarg; break;
	case 's':
		if (!separator_from(optarg, &options->separator))
			usage_exit("producer", "not a separator", optarg);
		break;
	case 'b': options->standby = true; break;
	case 'o': options->once = true; break;
	case 'n': options->name = optarg; break;
	case OPTION_KEEP: options->keep = optarg; break;
	case OPTION_STATS: options->stats = optarg; break;
	case 't':
		if (!number_from(optarg, 0, 86400000, &options->takeover_ms))
			usage_exit("producer", "not a number of milliseconds", optarg);
		break;
	case 'm':
		if (!number_from(optarg, 1, 1 << 20, &number))
			usage_exit("producer", "not a number of MiB", optarg);
		options->heap_max_bytes = number << 20;
		break;
	case 'h':
		fputs(help, stdout);
		exit(EXIT_OK);
	default:
		exit(EXIT_USAGE); /* getopt has said why */
	}
}

void producer_options_parse(struct producer_options *options, int argc, char **argv)
{
	int letter;

	*options = (struct producer_options){
		.region = "registry",
		.value = "registry",
		.source = "/usr/share/ieee-data/oui.csv",
		.name = "producer",
		.takeover_ms = 2000,
		.separator = ',',
	};
	while ((letter = getopt_long(argc, argv, "r:V:T:k:s:bt:on:m:h", longs, NULL)) != -1)
		take(options, letter);
	if (optind < argc)
		options->source = argv[optind++];
	if (optind < argc)
		usage_exit("producer", "one source at a time", argv[optind]);
}
