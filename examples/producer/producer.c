/* SPDX-License-Identifier: MIT */
/* The producer: loads a table of text, publishes it as one value, and each change of its source.
 *
 * Writers and readers:  one process at a time publishes. A second one is told who does, or stands
 *             by until that process ends or dies; consumers notice nothing but a newer version.
 * What is left if it dies here:  a version that was being built is never seen; its memory is given
 *             back by whoever needs it. The copy in --keep is written before the version is
 *             published, under the number that it will have: a version that a reader can see has
 *             its copy, and a successor overwrites the copy of one that nobody saw.
 * Progress:   sleeps in poll() until a signal, a change of the source, or the watchdog's turn. */
#include "options.h"
#include "rows.h"
#include "source.h"

#include "../common/daemon.h"
#include "../common/file.h"
#include "../common/log.h"
#include "../common/notify.h"
#include "../common/stats.h"
#include "../registry/build.h"

#include <comap.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct producer {
	struct producer_options options;
	int signals_fd;
	struct source_watch watch;
	struct comap *region;
	struct comap_value *value;
	struct comap_table *table; /* NULL: the rows lie in the value */
	struct comap *stats_region;
	struct comap_value *stats_value;
	struct producer_stats stats;
	uint64_t source_hash;      /* of the version published last by this process */
};

static void tell(struct producer *producer, enum producer_phase phase)
{
	producer->stats.phase = phase;
	producer->stats.at_ns = realtime_ns();
	if (producer->stats_value &&
	    comap_value_put(producer->stats_value, &producer->stats, sizeof producer->stats) != 0)
		log_warning("statistics: %s", comap_error_text());
}

static int open_stats(struct producer *producer)
{
	const char *name = producer->options.stats;

	producer->stats.pid = (uint64_t)getpid();
	if (!name)
		return EXIT_OK;
	producer->stats_region = comap_open(name, COMAP_CREATE);
	if (producer->stats_region)
		producer->stats_value = comap_value_open(producer->stats_region,
		                                         producer->options.name,
		                                         COMAP_TYPE(struct producer_stats));
	if (producer->stats_value)
		return EXIT_OK;
	log_error("%s: %s", name, comap_error_text());
	return EXIT_REGION;
}

static int open_region(struct producer *producer)
{
	struct comap_options how = COMAP_OPTIONS_INIT;

	how.flags = COMAP_CREATE;
	how.heap_max_bytes = producer->options.heap_max_bytes;
	how.seat_name = producer->options.name;
	producer->region = comap_open_with(producer->options.region, &how);
	if (producer->region)
		producer->value = comap_value_open(producer->region, producer->options.value,
		                                   COMAP_TYPE(struct registry_header));
	if (producer->value && producer->options.table)
		producer->table = comap_table_open(producer->region, producer->options.table, NULL);
	if (producer->value && (producer->table || !producer->options.table))
		return EXIT_OK;
	log_error("%s: %s", producer->options.region, comap_error_text());
	return EXIT_REGION;
}

/* A descriptor that becomes readable when the present publisher ends; -1 where there is none, or
 * where its pid means nothing here. */
static int publisher_pidfd(struct producer *producer)
{
	int seat_index = comap_value_publisher(producer->value);
	struct comap_seat seat;

	if (seat_index < 0 || comap_seat_at(producer->region, (uint32_t)seat_index, &seat) != 0 ||
	    seat.life != COMAP_LIFE_ALIVE || !seat.same_namespace)
		return -1;
	return (int)syscall(SYS_pidfd_open, (pid_t)seat.pid, 0);
}

/* Sleeps until the publisher ends, a signal comes, or the time is over. Returns the signal. */
static int await_publisher_end(struct producer *producer, uint64_t limit_ms)
{
	int pidfd = publisher_pidfd(producer);
	/* A publisher may give the role back and live: look from time to time. */
	uint64_t longest_ms = pidfd >= 0 ? 1000 : 20;
	int signal_number = signals_wait(producer->signals_fd, pidfd,
	                                 (int)(limit_ms < longest_ms ? limit_ms : longest_ms));

	if (pidfd >= 0)
		close(pidfd);
	return signal_number;
}

/* 0: the role is ours; EXIT_ROLE; -1: asked to end meanwhile. */
static int take_role(struct producer *producer)
{
	const struct producer_options *options = &producer->options;
	uint64_t deadline_ns = comap_deadline_ms(options->takeover_ms);
	bool told = false;
	int result;

	while ((result = comap_value_claim(producer->value)) == -EBUSY) {
		uint64_t now_ns = comap_now_ns();
		int signal_number;

		if (now_ns >= deadline_ns && !options->standby)
			break;
		if (!told && options->standby) {
			log_info("standing by: %s", comap_error_text());
			tell(producer, PRODUCER_STANDBY);
			notify("READY=1\nSTATUS=standing by");
		}
		told = true;
		signal_number = await_publisher_end(producer, options->standby
			? 1000 : (deadline_ns - now_ns) / 1000000 + 1);
		if (signal_number == SIGTERM || signal_number == SIGINT)
			return -1;
		if (notify_watchdog_ms())
			notify("WATCHDOG=1");
	}
	if (result != 0)
		log_error("%s", comap_error_text());
	return result == 0 ? EXIT_OK : result == -EBUSY ? EXIT_ROLE : EXIT_FAILED;
}

static int keep_source(const struct producer *producer, const struct registry_plan *plan,
                       uint64_t version)
{
	char path[4096];
	int result;

	if (!producer->options.keep)
		return 0;
	snprintf(path, sizeof path, "%s/%llu.csv", producer->options.keep,
	         (unsigned long long)version);
	result = file_replace(path, plan->text, plan->text_bytes);
	if (result != 0)
		log_error("%s: %s", path, strerror(-result));
	return result;
}

/* The rows into the table, all at once; then the header alone into the value, whose version tells who waits
 * for it. A death in between leaves rows that are newer than the header: the successor publishes both. */
static int publish_rows(struct producer *producer, struct registry_plan *plan)
{
	uint64_t start_ns = comap_now_ns();
	struct registry registry;
	void *block = malloc(plan->header.total_bytes);
	int result = block ? 0 : -ENOMEM;

	plan->header.version = comap_value_version(producer->value) + 1;
	if (!result)
		result = keep_source(producer, plan, plan->header.version);
	if (!result) {
		registry_build(plan, block);
		result = registry_open(&registry, block, plan->header.total_bytes);
	}
	if (!result)
		result = rows_publish(producer->table, &registry);
	if (!result)
		result = comap_value_put(producer->value, block, sizeof plan->header);
	free(block);
	if (result) {
		log_error("publish: %s", comap_error_text());
		return EXIT_FAILED;
	}
	producer->stats.version = plan->header.version;
	producer->stats.rows = plan->header.row_count;
	producer->stats.build_ns = comap_now_ns() - start_ns;
	producer->stats.publish_ns = 0; /* not told apart here */
	producer->stats.published++;
	producer->source_hash = plan->header.source_hash;
	tell(producer, PRODUCER_IDLE);
	return EXIT_OK;
}

/* Builds the version in place and publishes it. The version before stands when it fails. */
static int publish(struct producer *producer, struct registry_plan *plan)
{
	uint64_t start_ns = comap_now_ns(), built_ns;
	void *block;

	/* Nobody else publishes while the role is ours, so this is the number it will get. */
	plan->header.version = comap_value_version(producer->value) + 1;
	if (comap_value_reserve(producer->value, plan->header.total_bytes, &block) != 0) {
		log_error("reserve: %s", comap_error_text());
		return EXIT_FAILED;
	}
	producer->stats.version = plan->header.version;
	producer->stats.rows = plan->header.row_count;
	tell(producer, PRODUCER_BUILDING);
	if (keep_source(producer, plan, plan->header.version) != 0) {
		comap_value_abort(producer->value);
		return EXIT_FAILED;
	}
	registry_build(plan, block);
	built_ns = comap_now_ns();
	if (comap_value_publish(producer->value) != 0) {
		log_error("publish: %s", comap_error_text());
		return EXIT_FAILED;
	}
	producer->stats.publish_ns = comap_now_ns() - built_ns;
	producer->stats.build_ns = built_ns - start_ns;
	producer->stats.published++;
	producer->source_hash = plan->header.source_hash;
	tell(producer, PRODUCER_IDLE);
	return EXIT_OK;
}

static void report(const struct producer *producer, const struct registry_plan *plan)
{
	const struct producer_stats *stats = &producer->stats;

	log_info("version %llu: %llu rows, %.1f MiB, built in %.1f ms, published in %.1f us",
	         (unsigned long long)stats->version, (unsigned long long)stats->rows,
	         (double)plan->header.total_bytes / (1 << 20), (double)stats->build_ns / 1e6,
	         (double)stats->publish_ns / 1e3);
	if (plan->header.ragged_count)
		log_warning("%u rows have more or fewer cells than the first line names",
		            plan->header.ragged_count);
	notifyf("READY=1\nSTATUS=version %llu, %llu rows", (unsigned long long)stats->version,
	        (unsigned long long)stats->rows);
}

/* Reads the source and publishes it, unless it is what is published already and `always` is false.
 * EXIT_SOURCE where it is no table: then the version before stands. */
static int load(struct producer *producer, bool always)
{
	const struct producer_options *options = &producer->options;
	struct registry_plan plan;
	struct file_text text;
	char problem[160];
	int result = file_read(options->source, &text);

	if (result != 0) {
		log_error("%s: %s", options->source, strerror(-result));
		return EXIT_SOURCE;
	}
	if (registry_plan(&plan, text.data, text.size_bytes, options->separator, options->key,
	                  problem, sizeof problem) != 0) {
		log_error("%s: %s", options->source, problem);
		result = EXIT_SOURCE;
	} else if (always || plan.header.source_hash != producer->source_hash) {
		plan.header.source_time_ns = text.time_ns;
		result = producer->table ? publish_rows(producer, &plan) : publish(producer, &plan);
		if (result == EXIT_OK)
			report(producer, &plan);
	}
	free(text.data);
	return result;
}

static void reload(struct producer *producer, bool always)
{
	int result = load(producer, always);

	if (result == EXIT_OK)
		return;
	producer->stats.rejected++;
	log_warning("version %llu stays", (unsigned long long)producer->stats.version);
	tell(producer, PRODUCER_IDLE);
}

static void on_hangup(struct producer *producer)
{
	notifyf("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)comap_now_ns() / 1000);
	log_info("told to read %s again", producer->options.source);
	reload(producer, true);
	notify("READY=1");
}

static bool superseded(struct producer *producer)
{
	struct comap_info info;

	return comap_info(producer->region, &info) == 0 && info.superseded;
}

static int serve(struct producer *producer)
{
	uint64_t watchdog_ms = notify_watchdog_ms();
	/* The region's name may be taken away from us: that is looked at once in five seconds. */
	int timeout_ms = watchdog_ms && watchdog_ms < 5000 ? (int)watchdog_ms : 5000;

	for (;;) {
		int number = signals_wait(producer->signals_fd, producer->watch.fd, timeout_ms);

		if (number == SIGTERM || number == SIGINT)
			return EXIT_OK;
		if (number == SIGHUP)
			on_hangup(producer);
		if (number == SIGUSR1)
			log_info("version %llu, %llu published, %llu rejected",
			         (unsigned long long)producer->stats.version,
			         (unsigned long long)producer->stats.published,
			         (unsigned long long)producer->stats.rejected);
		if (source_watch_changed(&producer->watch))
			reload(producer, false);
		if (superseded(producer)) {
			log_error("%s was unlinked or replaced", producer->options.region);
			return EXIT_SUPERSEDED;
		}
		if (watchdog_ms)
			notify("WATCHDOG=1");
	}
}

static int start(struct producer *producer)
{
	int result;

	/* Watching starts before the first look, so that no change falls between. */
	result = source_watch_open(&producer->watch, producer->options.source);
	if (result != 0) {
		log_error("%s: %s", producer->options.source, strerror(-result));
		return EXIT_SOURCE;
	}
	result = open_region(producer);
	if (result == EXIT_OK)
		result = open_stats(producer);
	if (result == EXIT_OK)
		result = take_role(producer);
	if (result == EXIT_OK)
		result = load(producer, true);
	return result;
}

static void finish(struct producer *producer)
{
	notify("STOPPING=1");
	comap_value_close(producer->stats_value);
	if (producer->stats_region)
		comap_close(producer->stats_region);
	if (producer->value)
		comap_value_release(producer->value);
	comap_value_close(producer->value);
	comap_table_close(producer->table);
	if (producer->region)
		comap_close(producer->region);
	source_watch_close(&producer->watch);
	close(producer->signals_fd);
}

int main(int argc, char **argv)
{
	struct producer producer = { .watch = { .fd = -1 } };
	int result;

	producer_options_parse(&producer.options, argc, argv);
	producer.signals_fd = signals_open();
	if (producer.signals_fd < 0) {
		log_error("signals: %s", strerror(-producer.signals_fd));
		return EXIT_FAILED;
	}
	result = start(&producer);
	if (result == EXIT_OK && !producer.options.once)
		result = serve(&producer);
	if (result <= 0)
		log_info("ended in order");
	finish(&producer);
	return result < 0 ? EXIT_OK : result;
}
