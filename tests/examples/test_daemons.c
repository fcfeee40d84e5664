/* SPDX-License-Identifier: MIT */
/* The producer and the consumer as programs: statuses, signals, takeover, the service manager's
 * datagrams, and that the consumer's checks do find what is wrong.
 *
 *     test_daemons FOLDER      of the two programs */
#include "common/daemon.h"
#include "common/file.h"
#include "common/stats.h"
#include "demo/fleet.h"
#include "registry/build.h"

#include <comap.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LIMIT_MS 20000
#define ARGS_MAX 24

static const char *programs;
static char folder[64];          /* of the test at hand, in memory */
static struct comap *region;     /* the test's own look at it */
static struct comap_value *value;

static char *path_of(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/dev/shm/comap-test-XXXXXX");
	return mkdtemp(folder) && mkdir(path_of("keep"), 0700) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	comap_value_close(value);
	if (region)
		comap_close(region);
	value = NULL;
	region = NULL;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Starts FOLDER/PROGRAM --region ... with further arguments, up to a NULL. */
static void start(struct member *member, const char *program, ...)
{
	char path[PATH_MAX], log[64];
	char *argv[ARGS_MAX + 4] = { path, (char *)"--region", path_of("region") };
	size_t count = 3;
	va_list args;

	va_start(args, program);
	while (count < ARGS_MAX && (argv[count] = va_arg(args, char *)))
		count++;
	va_end(args);
	snprintf(path, sizeof path, "%s/%s", programs, program);
	snprintf(log, sizeof log, "%s.log", program);
	assert_int_equal(member_start(member, program, argv, path_of(log), -1), 0);
}

static void write_source(const char *text)
{
	assert_int_equal(file_replace(path_of("source.csv"), text, strlen(text)), 0);
}

static void look(void)
{
	struct comap_options how = COMAP_OPTIONS_INIT;

	how.flags = COMAP_WAIT;
	how.deadline_ns = comap_deadline_ms(LIMIT_MS);
	region = comap_open_with(path_of("region"), &how);
	assert_non_null(region);
	value = comap_value_open(region, "registry", NULL);
	assert_non_null(value);
}

/* Waits for a version newer than `seen`; returns it. */
static uint64_t await_newer(uint64_t seen)
{
	assert_int_equal(comap_value_wait(value, seen, comap_deadline_ms(LIMIT_MS)), 0);
	return comap_value_version(value);
}

static bool log_says(const char *program, const char *words)
{
	struct file_text text;
	char name[64];
	bool says;

	snprintf(name, sizeof name, "%s.log", program);
	if (file_read(path_of(name), &text) != 0)
		return false;
	says = strstr(text.data, words) != NULL;
	free(text.data);
	return says;
}

static void await_log(const char *program, const char *words)
{
	uint64_t deadline_ns = comap_deadline_ms(LIMIT_MS);

	while (!log_says(program, words)) {
		assert_true(comap_now_ns() < deadline_ns);
		usleep(2000);
	}
}

static int end(struct member *member)
{
	assert_int_equal(member_signal(member, SIGTERM), 0);
	return member_wait(member, LIMIT_MS);
}

static void test_statuses_of_the_command_line(void **state)
{
	static const struct { const char *program, *option, *argument; int status; } cases[] = {
		{ "producer", "--help", NULL, EXIT_OK },
		{ "consumer", "--help", NULL, EXIT_OK },
		{ "producer", "--nonsense", NULL, EXIT_USAGE },
		{ "consumer", "--nonsense", NULL, EXIT_USAGE },
		{ "consumer", "--rate", "fast", EXIT_USAGE },
		{ "consumer", "--threads", "0", EXIT_USAGE },
		{ "consumer", "stray", NULL, EXIT_USAGE },
		{ "producer", "--separator", "::", EXIT_USAGE },
		{ "consumer", "--separator", "::", EXIT_USAGE },
		{ "consumer", "--separator", "\"", EXIT_USAGE },
		{ "producer", "a.csv", "b.csv", EXIT_USAGE },
		{ "producer", "/nowhere/at/all.csv", NULL, EXIT_SOURCE },
		{ "producer", "--once", "/dev/null", EXIT_SOURCE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct member member;

		start(&member, cases[i].program, cases[i].option, cases[i].argument, NULL);
		assert_int_equal(member_wait(&member, LIMIT_MS), cases[i].status);
	}
}

static void test_region_that_cannot_be_opened(void **state)
{
	struct member member;

	(void)state;
	assert_int_equal(mkdir(path_of("region"), 0700), 0);
	write_source("k,v\na,1\n");
	start(&member, "producer", path_of("source.csv"), NULL);
	assert_int_equal(member_wait(&member, LIMIT_MS), EXIT_REGION);
	start(&member, "consumer", NULL);
	assert_int_equal(member_wait(&member, LIMIT_MS), EXIT_REGION);
}

static void test_consumer_may_come_first(void **state)
{
	struct member producer, consumer;

	(void)state;
	write_source("k,v\na,1\nb,2\n");
	start(&consumer, "consumer", "--rate", "0", "--verify", path_of("keep"), NULL);
	await_log("consumer", "waiting");
	start(&producer, "producer", "--keep", path_of("keep"), path_of("source.csv"), NULL);
	await_log("consumer", "looking up");
	usleep(100000);
	assert_int_equal(end(&consumer), EXIT_OK);
	assert_int_equal(end(&producer), EXIT_OK);
	assert_true(log_says("consumer", "0 torn, 0 wrong"));
}

static void test_consumer_that_waits_can_be_ended(void **state)
{
	struct member consumer;

	(void)state;
	start(&consumer, "consumer", NULL);
	await_log("consumer", "waiting");
	assert_int_equal(end(&consumer), EXIT_OK);
}

static void test_changes_are_published_and_nonsense_is_not(void **state)
{
	struct member producer;
	uint64_t version;

	(void)state;
	write_source("k,v\na,1\n");
	start(&producer, "producer", "--key", "k", path_of("source.csv"), NULL);
	look();
	assert_int_equal(version = await_newer(0), 1);
	write_source("k,v\na,2\n");
	assert_int_equal(version = await_newer(version), 2);
	/* the same bytes again are no change; no table is none either */
	write_source("k,v\na,2\n");
	write_source("x,y\na,2\n");
	await_log("producer", "version 2 stays");
	write_source("k,v\na,\"3\n");
	await_log("producer", "a quote is not closed");
	assert_int_equal(comap_value_version(value), 2);
	write_source("k,v\na,4\n");
	assert_int_equal(version = await_newer(version), 3);
	assert_int_equal(member_signal(&producer, SIGHUP), 0);
	assert_int_equal(version = await_newer(version), 4); /* told to: whatever it is */
	assert_int_equal(end(&producer), EXIT_OK);
}

static void test_written_in_place(void **state)
{
	struct member producer;
	int fd;

	(void)state;
	write_source("k,v\na,1\n");
	start(&producer, "producer", path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	fd = open(path_of("source.csv"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "b,2\n", 4), 4);
	close(fd);
	assert_int_equal(await_newer(1), 2);
	assert_int_equal(end(&producer), EXIT_OK);
}

static void test_second_producer_is_told_who_publishes(void **state)
{
	struct member first, second;

	(void)state;
	write_source("k,v\na,1\n");
	start(&first, "producer", "--name", "number-one", path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	start(&second, "producer", "--takeover", "50", path_of("source.csv"), NULL);
	assert_int_equal(member_wait(&second, LIMIT_MS), EXIT_ROLE);
	assert_true(log_says("producer", "number-one"));
	assert_int_equal(comap_value_version(value), 1);
	assert_int_equal(end(&first), EXIT_OK);
}

static void test_restarted_producer_takes_over(void **state)
{
	struct member producer, consumer;

	(void)state;
	write_source("k,v\na,1\n");
	start(&producer, "producer", "--keep", path_of("keep"), path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	start(&consumer, "consumer", "--rate", "0", "--verify", path_of("keep"), NULL);
	for (uint64_t version = 1; version < 6; version++) {
		assert_int_equal(member_signal(&producer, SIGKILL), 0);
		assert_int_equal(member_wait(&producer, LIMIT_MS), -SIGKILL);
		start(&producer, "producer", "--keep", path_of("keep"), path_of("source.csv"), NULL);
		assert_int_equal(await_newer(version), version + 1);
	}
	assert_int_equal(end(&producer), EXIT_OK);
	assert_int_equal(end(&consumer), EXIT_OK);
	assert_true(log_says("consumer", "version 6"));
}

static void test_standby_leads_after_death_and_after_release(void **state)
{
	static const int signals[] = { SIGKILL, SIGTERM };
	struct member producers[3];

	(void)state;
	write_source("k,v\na,1\n");
	start(&producers[0], "producer", path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	for (unsigned i = 0; i < 2; i++) {
		start(&producers[i + 1], "producer", "--standby", path_of("source.csv"), NULL);
		await_log("producer", "standing by");
		assert_int_equal(unlink(path_of("producer.log")), 0);
		assert_int_equal(comap_value_version(value), i + 1);
		assert_int_equal(member_signal(&producers[i], signals[i]), 0);
		assert_int_equal(await_newer(i + 1), i + 2);
		member_wait(&producers[i], LIMIT_MS);
	}
	assert_int_equal(end(&producers[2]), EXIT_OK);
}

static void test_standby_can_be_ended(void **state)
{
	struct member first, second;

	(void)state;
	write_source("k,v\na,1\n");
	start(&first, "producer", path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	start(&second, "producer", "--standby", path_of("source.csv"), NULL);
	await_log("producer", "standing by");
	assert_int_equal(end(&second), EXIT_OK);
	assert_int_equal(end(&first), EXIT_OK);
}

static void test_both_follow_the_end_of_the_region(void **state)
{
	struct member producer, consumer;

	(void)state;
	write_source("k,v\na,1\n");
	start(&producer, "producer", path_of("source.csv"), NULL);
	look();
	assert_int_equal(await_newer(0), 1);
	start(&consumer, "consumer", NULL);
	await_log("consumer", "looking up");
	assert_int_equal(comap_unlink(path_of("region")), 0);
	assert_int_equal(member_wait(&consumer, LIMIT_MS), EXIT_SUPERSEDED);
	write_source("k,v\na,2\n"); /* wakes it up; it would look within five seconds anyway */
	assert_int_equal(member_wait(&producer, LIMIT_MS), EXIT_SUPERSEDED);
}

static void make_table(char *text, size_t rows)
{
	size_t used = (size_t)sprintf(text, "k,Organization Name\n");

	for (size_t i = 0; i < rows; i++)
		used += (size_t)sprintf(text + used, "key%zu,\"name, %zu\"\n", i, i % 7);
}

static void test_threads_keep_a_private_index(void **state)
{
	static char text[64 * 1024];
	static struct consumer_stats stats;
	struct member producer, consumer;
	struct comap *stats_region;
	struct comap_value *stats_value;

	(void)state;
	make_table(text, 1000);
	write_source(text);
	start(&producer, "producer", "--keep", path_of("keep"), path_of("source.csv"), NULL);
	look();
	await_newer(0);
	start(&consumer, "consumer", "--rate", "0", "--threads", "3", "--verify", path_of("keep"),
	      "--stats", path_of("stats"), NULL);
	for (size_t rows = 900; rows > 500; rows -= 100) {
		uint64_t version = comap_value_version(value);

		usleep(150000);
		make_table(text, rows);
		write_source(text);
		await_newer(version);
	}
	usleep(150000);
	assert_int_equal(member_signal(&consumer, SIGHUP), 0); /* derives everything again */
	usleep(150000);
	assert_int_equal(end(&consumer), EXIT_OK);
	assert_int_equal(end(&producer), EXIT_OK);
	stats_region = comap_open(path_of("stats"), 0);
	stats_value = comap_value_open(stats_region, "consumer", COMAP_TYPE(struct consumer_stats));
	assert_int_equal(comap_value_get(stats_value, &stats, sizeof stats, NULL), 0);
	comap_value_close(stats_value);
	comap_close(stats_region);
	assert_int_equal(stats.threads, 3);
	assert_true(stats.counts.lookups > 1000);
	assert_true(stats.counts.found < stats.counts.lookups); /* some keys are nobody's */
	assert_true(stats.counts.verified > 0);
	assert_true(stats.counts.index_verified >= 3); /* of several versions */
	assert_true(stats.counts.versions >= 2);
}

/* Readers that are always busy must not keep the old versions: a grace period needs each of them to
 * leave the section it is in, not all of them to be outside at one moment. */
static void test_busy_readers_do_not_keep_old_versions(void **state)
{
	enum { READERS = 6, VERSIONS = 48, KEPT_MAX = 12 };
	static char text[64 * 1024];
	struct member producer, readers[READERS];
	struct comap_info info;
	struct comap_view view = { 0 };
	uint64_t version, waiting;

	(void)state;
	make_table(text, 2500);
	write_source(text);
	start(&producer, "producer", path_of("source.csv"), NULL);
	look();
	version = await_newer(0);
	assert_int_equal(comap_value_get(value, NULL, 0, &view), -ENOBUFS);
	for (unsigned i = 0; i < READERS; i++)
		start(&readers[i], "consumer", "--rate", "0", "--report", "0", NULL);
	await_log("consumer", "looking up");
	/* On a busy machine a reader may lie still inside a section for a while: few wait at some time
	 * after the first VERSIONS, not at each. */
	do {
		usleep(10000);
		assert_int_equal(member_signal(&producer, SIGHUP), 0);
		version = await_newer(version);
		assert_int_equal(comap_info(region, &info), 0);
		waiting = info.retired_bytes / view.size_bytes;
	} while (version < VERSIONS || (waiting > KEPT_MAX && version < 10 * VERSIONS));
	print_message("%llu versions wait after %llu\n", (unsigned long long)waiting,
	              (unsigned long long)version);
	assert_true(waiting <= KEPT_MAX);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(end(&readers[i]), EXIT_OK);
	assert_int_equal(end(&producer), EXIT_OK);
}

/* The copy of version 1 tells something else: the consumer must say so. */
static void test_wrong_answers_are_found(void **state)
{
	struct member producer, consumer;
	const char *other = "k,v\na,1\nb,3\n";

	(void)state;
	write_source("k,v\na,1\nb,2\n");
	start(&producer, "producer", "--keep", path_of("keep"), path_of("source.csv"), NULL);
	look();
	await_newer(0);
	assert_int_equal(file_replace(path_of("keep/1.csv"), other, strlen(other)), 0);
	start(&consumer, "consumer", "--rate", "0", "--duration", "200", "--verify",
	      path_of("keep"), NULL);
	assert_int_equal(member_wait(&consumer, LIMIT_MS), EXIT_WRONG);
	assert_true(log_says("consumer", "wrong answer"));
	assert_int_equal(end(&producer), EXIT_OK);
}

static void publish_bent(size_t at)
{
	const char *text = "k,v\na,1\nb,2\n";
	struct registry_plan plan;
	char problem[160];
	void *block;

	assert_int_equal(registry_plan(&plan, text, strlen(text), ',', NULL, problem,
	                               sizeof problem), 0);
	plan.header.version = comap_value_version(value) + 1;
	assert_int_equal(comap_value_reserve(value, plan.header.total_bytes, &block), 0);
	registry_build(&plan, block);
	((unsigned char *)block)[at] ^= 1;
	assert_int_equal(comap_value_publish(value), 0);
}

/* A version with a byte that its checksum does not know, in the strings and in the header. */
static void test_torn_versions_are_found(void **state)
{
	static const size_t places[] = { sizeof(struct registry_header) + 1, 0 };

	(void)state;
	region = comap_open(path_of("region"), COMAP_CREATE);
	value = comap_value_open(region, "registry", COMAP_TYPE(struct registry_header));
	assert_non_null(value);
	for (unsigned i = 0; i < 2; i++) {
		struct member consumer;

		publish_bent(places[i]);
		start(&consumer, "consumer", "--rate", "0", "--duration", "200", NULL);
		assert_int_equal(member_wait(&consumer, LIMIT_MS), EXIT_WRONG);
		assert_true(log_says("consumer", "torn"));
		assert_int_equal(unlink(path_of("consumer.log")), 0);
	}
}

/* What the program sends next to the service manager. */
static void await_notice(int fd, const char *words)
{
	char text[512];
	struct pollfd wait = { fd, POLLIN, 0 };

	for (;;) {
		ssize_t got;

		assert_int_equal(poll(&wait, 1, LIMIT_MS), 1);
		got = recv(fd, text, sizeof text - 1, 0);
		assert_true(got > 0);
		text[got] = '\0';
		if (strstr(text, words))
			return;
	}
}

static void test_service_manager_is_told(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct member producer, consumer;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	setenv("WATCHDOG_USEC", "200000", 1);
	write_source("k,v\na,1\n");
	start(&producer, "producer", path_of("source.csv"), NULL);
	await_notice(fd, "READY=1\nSTATUS=version 1, 1 rows");
	await_notice(fd, "WATCHDOG=1");
	assert_int_equal(member_signal(&producer, SIGHUP), 0);
	await_notice(fd, "RELOADING=1\nMONOTONIC_USEC=");
	await_notice(fd, "READY=1");
	start(&consumer, "consumer", NULL);
	await_notice(fd, "READY=1\nSTATUS=looking up");
	assert_int_equal(end(&consumer), EXIT_OK);
	assert_int_equal(end(&producer), EXIT_OK);
	await_notice(fd, "STOPPING=1");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(fd);
}

#define DAEMON_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(test_statuses_of_the_command_line),
		DAEMON_TEST(test_region_that_cannot_be_opened),
		DAEMON_TEST(test_consumer_may_come_first),
		DAEMON_TEST(test_consumer_that_waits_can_be_ended),
		DAEMON_TEST(test_changes_are_published_and_nonsense_is_not),
		DAEMON_TEST(test_written_in_place),
		DAEMON_TEST(test_second_producer_is_told_who_publishes),
		DAEMON_TEST(test_restarted_producer_takes_over),
		DAEMON_TEST(test_standby_leads_after_death_and_after_release),
		DAEMON_TEST(test_standby_can_be_ended),
		DAEMON_TEST(test_both_follow_the_end_of_the_region),
		DAEMON_TEST(test_threads_keep_a_private_index),
		DAEMON_TEST(test_busy_readers_do_not_keep_old_versions),
		DAEMON_TEST(test_wrong_answers_are_found),
		DAEMON_TEST(test_torn_versions_are_found),
		DAEMON_TEST(test_service_manager_is_told),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_daemons FOLDER\n");
		return 2;
	}
	programs = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
