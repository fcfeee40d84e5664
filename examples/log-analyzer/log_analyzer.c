/* SPDX-License-Identifier: MIT */
/* log-analyzer: who, what and when, out of logs of any size. */
#include "report.h"

#include <comap/error.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
	"Usage: log-analyzer [FILE] [OPTION ...]\n"
	"\n"
	"Counts the lines of a log by the values of its fields and over time. Without FILE: standard\n"
	"input. Several processes work on a file; each line is counted once, whatever is cut where.\n"
	"\n"
	"  --format NAME     access, syslog or dpkg; without it, what the first lines look like\n"
	"  --regex RE        a regular expression (PCRE2); its named groups are the fields\n"
	"  --by FIELD        count by this field; up to four times. Default: the second of the format\n"
	"  --top N           print the N most frequent values; 10 without it\n"
	"  --bucket TIME     of the histogram: 60, 10m, 1h, 1d; without it, 1h; 0: no histogram\n"
	"  --time FIELD      the field with the time; 'time' without it\n"
	"  --year N          of times that have none; without it, the year of the file\n"
	"  --count TEXT      count the lines with this text, and nothing else\n"
	"  --max-keys N      different values kept by each process; 262144 without it\n"
	"  --workers N       processes; without it, as many as there are processors\n"
	"  --slice BYTES     what a process takes at a time; 16777216 without it\n"
	"  --method NAME     map, stream or whole; without it, chosen by looking at the file\n"
	"  --json            one object\n"
	"  --chart FILE      the histogram as an SVG (needs gnuplot)\n"
	"  --progress        a bar with rate and time left, on standard error; default on a terminal\n";

struct command {
	struct question question;
	const char *format_name, *expression, *time_name, *chart;
	const char *by[KEYS_MAX];
	unsigned by_count, top;
	bool json;
};

static int complain(const char *what, const char *detail)
{
	fprintf(stderr, "log-analyzer: %s%s%s\n", what, *detail ? ": " : "", detail);
	return 2;
}

/* "90", "10m", "1h", "1d". */
static bool parse_seconds(const char *text, uint64_t *ret_seconds)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);
	uint64_t unit = *end == 'd' ? 86400 : *end == 'h' ? 3600 : *end == 'm' ? 60 : 1;

	if (end == text || (*end && (unit == 1 ? *end != 's' : false)) || (*end && end[1]) ||
	    number > 100000000)
		return false;
	*ret_seconds = number * unit;
	return true;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return end != text && !*end && errno == 0 && *ret_number >= least && *ret_number <= most;
}

static bool parse_method(const char *text, enum comap_method *ret_method)
{
	for (int i = COMAP_METHOD_AUTO; i <= COMAP_METHOD_MAP; i++)
		if (strcmp(text, comap_method_name((enum comap_method)i)) == 0) {
			*ret_method = (enum comap_method)i;
			return true;
		}
	return false;
}

static bool take_by(struct command *command, const char *field)
{
	if (command->by_count == KEYS_MAX)
		return false;
	command->by[command->by_count++] = field;
	return true;
}

static bool take_number(struct command *command, int option)
{
	struct question *question = &command->question;
	uint64_t number = 0;
	bool good;

	switch (option) {
	case 't':
		good = parse_number(optarg, 1, 1000000, &number);
		command->top = (unsigned)number;
		return good;
	case 'y':
		good = parse_number(optarg, 1970, 9999, &number);
		question->year = (int)number;
		return good;
	case 'm':
		good = parse_number(optarg, 1, 1u << 28, &number);
		question->key_count_max = (size_t)number;
		return good;
	case 'w':
		good = parse_number(optarg, 1, 64, &number);
		question->worker_count = (unsigned)number;
		return good;
	default: return parse_number(optarg, 1, UINT64_C(1) << 60, &question->slice_bytes);
	}
}

static bool take_option(struct command *command, int option)
{
	struct question *question = &command->question;

	switch (option) {
	case 'f': command->format_name = optarg; return true;
	case 'r': command->expression = optarg; return true;
	case 'b': return take_by(command, optarg);
	case 'u': return parse_seconds(optarg, &question->bucket_seconds);
	case 'T': command->time_name = optarg; return true;
	case 'c': question->literal = optarg; return *optarg != 0;
	case 'M': return parse_method(optarg, &question->method);
	case 'j': command->json = true; return true;
	case 'C': command->chart = optarg; return true;
	case 'p': question->progress = true; return true;
	default: return take_number(command, option);
	}
}

static int read_options(struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "regex", required_argument, NULL, 'r' },
		{ "by", required_argument, NULL, 'b' }, { "top", required_argument, NULL, 't' },
		{ "bucket", required_argument, NULL, 'u' }, { "time", required_argument, NULL, 'T' },
		{ "year", required_argument, NULL, 'y' }, { "count", required_argument, NULL, 'c' },
		{ "max-keys", required_argument, NULL, 'm' }, { "workers", required_argument, NULL, 'w' },
		{ "slice", required_argument, NULL, 's' }, { "method", required_argument, NULL, 'M' },
		{ "json", no_argument, NULL, 'j' }, { "chart", required_argument, NULL, 'C' },
		{ "progress", no_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (option == '?')
			return 2;
		if (!take_option(command, option))
			return complain("that value makes no sense", optarg);
	}
	if (argc - optind > 1)
		return complain("one file at a time", argv[optind + 1]);
	command->question.path = argc > optind ? argv[optind] : NULL;
	return 0;
}

static int guess_format(struct question *question)
{
	char text[16384];
	int fd = question->path ? open(question->path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : 0;
	int failure = errno;

	if (fd >= 0)
		close(fd);
	if (question->path && (fd < 0 || got < 0))
		return complain(question->path, strerror(failure));
	if (got <= 0 || !format_guess(text, (size_t)got, &question->format))
		return complain("no known format; say --format or --regex", "");
	return 0;
}

static int find_format(struct command *command)
{
	char problem[240];

	if (command->expression) {
		if (format_compile(command->expression, &command->question.format, problem,
		                   sizeof problem) != 0)
			return complain("the expression cannot be used", problem);
		return 0;
	}
	if (!command->format_name)
		return guess_format(&command->question);
	if (!format_find(command->format_name, &command->question.format))
		return complain("no such format", command->format_name);
	return 0;
}

static int find_fields(struct command *command)
{
	struct question *question = &command->question;
	const struct format *format = &question->format;

	for (unsigned i = 0; i < command->by_count; i++) {
		question->keys[i] = format_field(format, command->by[i]);
		if (question->keys[i] < 0)
			return complain("the format has no such field", command->by[i]);
	}
	question->key_count = command->by_count;
	if (command->by_count == 0)
		question->keys[question->key_count++] = format->field_count > 1 ? 1 : 0;
	question->time_field = question->bucket_seconds
	                               ? format_field(format, command->time_name) : -1;
	return 0;
}

static int year_of(const char *path)
{
	struct stat status;
	time_t time_of = path && stat(path, &status) == 0 ? status.st_mtime : time(NULL);
	struct tm parts;

	gmtime_r(&time_of, &parts);
	return parts.tm_year + 1900;
}

static int prepare(struct command *command)
{
	struct question *question = &command->question;
	int code = 0;

	if (!question->worker_count) {
		long processors = sysconf(_SC_NPROCESSORS_ONLN);

		question->worker_count = processors < 1 ? 1 : processors > 64 ? 64 : (unsigned)processors;
	}
	if (!question->year)
		question->year = year_of(question->path);
	question->progress = question->progress || (isatty(STDERR_FILENO) && !command->json);
	question->time_field = -1;
	if (question->literal)
		return 0;
	code = find_format(command);
	return code ? code : find_fields(command);
}

int main(int argc, char **argv)
{
	struct command command = { .top = 10, .time_name = "time",
	                           .question = { .bucket_seconds = 3600, .key_count_max = 262144,
	                                         .slice_bytes = 16u << 20 } };
	struct answer answer;
	char problem[500];
	int code = read_options(&command, argc, argv);

	if (code == 0)
		code = prepare(&command);
	if (code)
		return code;
	answer_init(&answer, &command.question);
	if (analyze(&command.question, &answer, problem, sizeof problem) != 0) {
		complain(command.question.path ? command.question.path : "standard input", problem);
		code = 1;
	} else if (command.json) {
		report_json(&command.question, &answer, command.top);
	} else {
		report_table(&command.question, &answer, command.top);
	}
	if (code == 0 && command.chart && report_chart(&command.question, &answer, command.chart) != 0)
		code = complain("no chart was drawn: it needs gnuplot and a histogram", command.chart);
	answer_fini(&answer);
	format_fini(&command.question.format);
	return code ? code : fflush(stdout) != 0;
}
