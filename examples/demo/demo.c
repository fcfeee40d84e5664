/* SPDX-License-Identifier: MIT */
/* The demo: one producer, eight consumers, and what may happen to them. It ends with a table, and
 * with status 0 only if everything that the table claims is true.
 *
 *     time   what
 *     0      half of the consumers, the producer, the other half: any order will do
 *     ...    the source changes
 *     1/6    a consumer is killed, and started again
 *     1/4    a consumer is stopped; meanwhile the source changes three times
 *     1/2    it goes on
 *     5/8    the producer is killed while it publishes, twice; a new one is started
 *     3/4    the same with a successor that stands by
 *     7/8    memory is measured
 *     1      all end in order; then the picture is made */
#include "demo.h"

#include "../common/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
"Usage: demo [OPTION]...\n"
"  --source FILE.csv   what is published (default: /usr/share/ieee-data/oui.csv)\n"
"  --out DIR           where logs and the picture go (default: demo-out)\n"
"  --seconds N         how long (default: 15; at least 4)\n"
"  --consumers N       how many (default: 8; 4 to 32)\n"
"  --processes N       up to how many the picture shows (default: 16; at most 32)\n"
"  --spoil             falsify one copy that answers are compared with: the demo must notice\n"
"  --help              this text\n"
"Exit status: 0 when everything that the last table claims is true, 1 when not, 2 usage.\n";

static void parse(struct demo_options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "source", required_argument, NULL, 's' }, { "out", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "consumers", required_argument, NULL, 'c' },
		{ "processes", required_argument, NULL, 'p' }, { "spoil", no_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		bool good = true;

		switch (letter) {
		case 's': options->source = optarg; break;
		case 'o': options->out = optarg; break;
		case 't': good = number_from(optarg, 4, 3600, &options->seconds); break;
		case 'c':
			good = number_from(optarg, 4, CONSUMERS_MAX, &options->consumer_count);
			break;
		case 'p':
			good = number_from(optarg, 1, MEMORY_POINTS_MAX, &options->process_count);
			break;
		case 'x': options->spoil = true; break;
		case 'h': fputs(help, stdout); exit(0);
		default: good = false;
		}
		if (!good) {
			fputs(help, stderr);
			exit(EXIT_USAGE);
		}
	}
}

/* Where this program lies, and the two others beside its folder. */
static void find_programs(struct demo_options *options)
{
	static char self[PATH_MAX], folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	self[length > 0 ? length : 0] = '\0';
	memcpy(folder, self, sizeof folder);
	options->self = self;
	options->programs = dirname(folder);
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "demo: %s: %s\n", what, why);
	return -1;
}

/* Ctrl-C: the children die with this process, the files in memory are removed here. */
static char *files_in_memory[4];

static void on_interrupt(int signal_number)
{
	for (int i = 0; i < 3; i++)
		unlink(files_in_memory[i]);
	rmdir(files_in_memory[3]);
	_exit(128 + signal_number);
}

static void clean_up_when_interrupted(struct demo *demo)
{
	struct sigaction action = { .sa_handler = on_interrupt };

	files_in_memory[0] = demo->region_path;
	files_in_memory[1] = demo->stats_path;
	files_in_memory[2] = demo->source_path;
	files_in_memory[3] = demo->work;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a gnuplot that is not there */
}

/* Folders, the copy of the source that will change, and the region of the statistics. */
static int set_up(struct demo *demo)
{
	const struct demo_options *options = &demo->options;
	char path[PATH_MAX + 16];

	if (mkdir(options->out, 0755) != 0 && errno != EEXIST)
		return fail(options->out, strerror(errno));
	snprintf(demo->keep, sizeof demo->keep, "%s/versions", options->out);
	if (mkdir(demo->keep, 0755) != 0 && errno != EEXIST)
		return fail(demo->keep, strerror(errno));
	snprintf(path, sizeof path, "%s/memory.svg", options->out);
	unlink(path); /* of an earlier run */
	snprintf(demo->work, sizeof demo->work, "/dev/shm/comap-demo-XXXXXX");
	if (!mkdtemp(demo->work))
		return fail(demo->work, strerror(errno));
	snprintf(demo->region_path, sizeof demo->region_path, "%.64s/registry", demo->work);
	snprintf(demo->stats_path, sizeof demo->stats_path, "%.64s/stats", demo->work);
	snprintf(demo->source_path, sizeof demo->source_path, "%.64s/source.csv", demo->work);
	clean_up_when_interrupted(demo);
	if (file_read(options->source, &demo->original) != 0)
		return fail(options->source, strerror(errno));
	if (file_replace(demo->source_path, demo->original.data, demo->original.size_bytes) != 0)
		return fail(demo->source_path, strerror(errno));
	demo->stats_region = comap_open(demo->stats_path, COMAP_CREATE);
	return demo->stats_region ? 0 : fail(demo->stats_path, comap_error_text());
}

static void remove_files(struct demo *demo)
{
	char path[PATH_MAX + 32];

	unlink(demo->region_path);
	unlink(demo->stats_path);
	unlink(demo->source_path);
	rmdir(demo->work);
	for (uint64_t version = 1; version < 100 + demo->change_count; version++) {
		snprintf(path, sizeof path, "%s/%llu.csv", demo->keep, (unsigned long long)version);
		unlink(path);
	}
	rmdir(demo->keep);
}

static int open_registry(struct demo *demo)
{
	struct comap_options how = COMAP_OPTIONS_INIT;

	how.flags = COMAP_WAIT;
	how.deadline_ns = comap_deadline_ms(10000);
	demo->region = comap_open_with(demo->region_path, &how);
	if (demo->region)
		demo->registry = comap_value_open(demo->region, "registry", NULL);
	if (demo->registry && comap_value_wait(demo->registry, 0, how.deadline_ns) == 0)
		return 0;
	return fail(demo->region_path, comap_error_text());
}

/* The copy of version 1 loses all its rows: whatever is found in it by the consumers that start after
 * this is wrong, as far as they can know. */
static int spoil(struct demo *demo)
{
	const char *end = memchr(demo->original.data, '\n', demo->original.size_bytes);
	char path[PATH_MAX + 32];
	int result;

	snprintf(path, sizeof path, "%s/1.csv", demo->keep);
	result = file_replace(path, demo->original.data,
	                      end ? (size_t)(end - demo->original.data) + 1 : 0);
	return result == 0 ? 0 : fail(path, strerror(-result));
}

static int start_all(struct demo *demo)
{
	uint64_t count = demo->options.consumer_count, number = 0;

	while (number < count / 2)
		if (cast_consumer_start(demo, number++) != 0)
			return -1;
	if (cast_producer_start(demo, false) != 0 || open_registry(demo) != 0)
		return -1;
	if (demo->options.spoil && spoil(demo) != 0)
		return -1;
	while (number < count)
		if (cast_consumer_start(demo, number++) != 0)
			return -1;
	live_event(demo, "%llu consumers and a producer map one file; version %llu is published",
	           (unsigned long long)count,
	           (unsigned long long)comap_value_version(demo->registry));
	return 0;
}

/* Sleeps until so many thousandths of the whole time have passed. */
static void until(struct demo *demo, uint64_t thousandths)
{
	uint64_t at_ms = demo->options.seconds * thousandths, now_ms = live_ms(demo);

	live_sleep(demo, at_ms > now_ms ? at_ms - now_ms : 0);
}

static int change(struct demo *demo)
{
	uint64_t version = comap_value_version(demo->registry);

	if (cast_change(demo) != 0 ||
	    comap_value_wait(demo->registry, version, comap_deadline_ms(10000)) != 0)
		return fail("change of the source", "no new version came of it");
	live_event(demo, "the source changed: version %llu",
	           (unsigned long long)comap_value_version(demo->registry));
	return 0;
}

static int kill_consumer(struct demo *demo)
{
	struct demo_consumer *consumer = &demo->consumers[1];

	live_read(demo);
	member_signal(&consumer->member, SIGKILL);
	member_wait(&consumer->member, 5000);
	live_read(demo);
	consumer->before = consumer->stats;
	memset(&consumer->stats, 0, sizeof consumer->stats);
	live_event(demo, "SIGKILL to %s, after %.1f M lookups", consumer->member.name,
	           (double)consumer->before.counts.lookups / 1e6);
	return 0;
}

static void stop_consumer(struct demo *demo)
{
	struct demo_consumer *consumer = &demo->consumers[2];

	live_read(demo);
	member_signal(&consumer->member, SIGSTOP);
	demo->stop_ns = comap_now_ns();
	demo->stop_versions = comap_value_version(demo->registry);
	demo->stop_lookups = live_lookups(demo) - consumer->stats.counts.lookups;
	live_event(demo, "SIGSTOP to %s: the others go on", consumer->member.name);
}

static void continue_consumer(struct demo *demo)
{
	struct demo_consumer *consumer = &demo->consumers[2];
	struct comap_info info;

	live_read(demo);
	demo->stop_ns = comap_now_ns() - demo->stop_ns;
	demo->stop_versions = comap_value_version(demo->registry) - demo->stop_versions;
	demo->stop_lookups = live_lookups(demo) - consumer->stats.counts.lookups -
	                     demo->stop_lookups;
	demo->stopped_lookups = consumer->stats.counts.lookups;
	if (comap_info(demo->region, &info) == 0)
		demo->stop_retired_bytes = info.retired_bytes;
	member_signal(&consumer->member, SIGCONT);
	live_event(demo, "SIGCONT to %s after %.1f s: meanwhile %llu versions, %.1f M lookups",
	           consumer->member.name, (double)demo->stop_ns / 1e9,
	           (unsigned long long)demo->stop_versions, (double)demo->stop_lookups / 1e6);
}

/* All stand still meanwhile: a page that is touched between two looks would count twice. */
static int measure(struct demo *demo)
{
	struct member *members[CONSUMERS_MAX + 1];
	pid_t pids[CONSUMERS_MAX + 1] = { 0 };
	size_t count = 0;
	int result = 0;

	members[count++] = &demo->producers[demo->producer_count - 1].member;
	for (uint64_t i = 0; i < demo->options.consumer_count; i++)
		members[count++] = &demo->consumers[i].member;
	for (size_t i = 0; i < count && result == 0; i++) {
		result = member_stop(members[i]);
		pids[i] = members[i]->pid;
	}
	if (result == 0)
		result = memory_measure(demo->region_path, pids, count, &demo->memory);
	if (result == 0)
		result = comap_info(demo->region, &demo->info);
	for (size_t i = 0; i < count; i++)
		member_signal(members[i], SIGCONT);
	if (result != 0)
		return fail("memory", strerror(-result));
	live_event(demo, "measured the memory of %zu processes", count);
	return 0;
}

static int first_half(struct demo *demo)
{
	until(demo, 90);
	if (change(demo) != 0)
		return -1;
	until(demo, 160);
	kill_consumer(demo);
	until(demo, 220);
	if (cast_consumer_start(demo, 1) != 0 || change(demo) != 0)
		return -1;
	until(demo, 270);
	stop_consumer(demo);
	for (uint64_t at = 320; at <= 440; at += 60) {
		until(demo, at);
		if (change(demo) != 0)
			return -1;
	}
	until(demo, 500);
	continue_consumer(demo);
	return 0;
}

/* On a busy machine a consumer may not have had its turn since the last version. */
static void await_all_current(struct demo *demo)
{
	uint64_t latest = comap_value_version(demo->registry), behind = 1;
	uint64_t deadline_ns = comap_deadline_ms(20000);

	while (behind > 0 && comap_now_ns() < deadline_ns) {
		live_sleep(demo, 50);
		behind = 0;
		for (uint64_t i = 0; i < demo->options.consumer_count; i++)
			behind += demo->consumers[i].stats.version_last != latest;
	}
}

static int second_half(struct demo *demo)
{
	bool hit = false;

	/* Two rounds with a new producer; more where no kill has come in the middle. */
	for (unsigned round = 0; round < 2 || (!hit && round < 6); round++) {
		until(demo, 560 + 70 * round);
		if (cast_producer_kill(demo, false) != 0)
			return -1;
		hit = hit || demo->kills[demo->kill_count - 1].in_publish;
	}
	for (unsigned round = 0; round < 2; round++) {
		until(demo, 710 + 60 * round);
		if (cast_producer_kill(demo, true) != 0)
			return -1;
	}
	until(demo, 850);
	if (change(demo) != 0)
		return -1;
	until(demo, 900);
	if (measure(demo) != 0)
		return -1;
	until(demo, 1000);
	await_all_current(demo);
	return 0;
}

static int picture(struct demo *demo)
{
	char log[PATH_MAX + 16];
	struct comap_view view = { 0 };
	int result;

	snprintf(log, sizeof log, "%s/memory.log", demo->options.out);
	if (comap_value_get(demo->registry, NULL, 0, &view) != -ENOBUFS)
		return fail("registry", comap_error_text());
	demo->table_bytes = view.size_bytes;
	result = memory_compare(demo->options.self, demo->region_path, log,
	                        demo->options.process_count, demo->points);
	if (result != 0)
		return fail("picture", strerror(-result));
	result = memory_draw(demo->options.out, demo->points, demo->options.process_count,
	                     (double)view.size_bytes / (1 << 20));
	return result == 0 ? 0 : fail("picture (is gnuplot installed?)", strerror(-result));
}

static int play(struct demo *demo)
{
	int result, unclean;

	demo->start_ns = comap_now_ns();
	result = start_all(demo);
	if (result == 0)
		result = first_half(demo);
	if (result == 0)
		result = second_half(demo);
	unclean = cast_end(demo);
	if (result != 0)
		return result;
	/* A picture that cannot be made is a claim that does not hold. */
	(void)picture(demo);
	return report_print(demo, unclean);
}

int main(int argc, char **argv)
{
	static struct demo demo;
	int result;

	demo.options = (struct demo_options){ .source = "/usr/share/ieee-data/oui.csv",
	                                      .out = "demo-out", .seconds = 15,
	                                      .consumer_count = 8, .process_count = 16 };
	if (argc == 4 && strcmp(argv[1], "--member") == 0)
		return memory_member(argv[2], argv[3]);
	parse(&demo.options, argc, argv);
	find_programs(&demo.options);
	demo.terminal = isatty(STDOUT_FILENO);
	result = set_up(&demo);
	if (result == 0)
		result = play(&demo);
	comap_value_close(demo.registry);
	if (demo.region)
		comap_close(demo.region);
	if (demo.stats_region)
		comap_close(demo.stats_region);
	remove_files(&demo);
	free(demo.original.data);
	return result == 0 ? 0 : 1;
}
