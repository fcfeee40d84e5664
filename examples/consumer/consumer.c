/* SPDX-License-Identifier: MIT */
/* The consumer: looks keys up in the published table, in place, and measures.
 *
 * Threads:   the main one waits for signals and reports; lookup threads (worker.c); with --threads,
 *            one more that derives a private index of each new version (index.c).
 * What is left if it dies here:  nothing that anybody waits for longer than 50 ms. */
#include "worker.h"

#include "../common/daemon.h"
#include "../common/log.h"
#include "../common/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 250 /* of one wait: a signal is noticed after it */

/* What the main thread has. */
struct program {
	struct consumer consumer;
	struct worker *workers;
	pthread_t index_thread;
	bool index_started;
	int signals_fd;
	struct comap *stats_region;
	struct comap_value *stats_value;
	uint64_t start_ns;
};

static bool asked_to_end(int signals_fd, int timeout_ms)
{
	int number = signals_wait(signals_fd, -1, timeout_ms);

	return number == SIGTERM || number == SIGINT;
}

/* Opens what may not be there yet. 0; -1: asked to end; an exit status. */
static int open_patiently(struct program *program)
{
	struct consumer *consumer = &program->consumer;
	struct comap_options how = COMAP_OPTIONS_INIT;
	bool told = false;

	how.seat_name = consumer->options.name;
	while (!consumer->value) {
		if (!consumer->region)
			consumer->region = comap_open_with(consumer->options.region, &how);
		if (consumer->region)
			consumer->value = comap_value_open(consumer->region, consumer->options.value,
			                                   COMAP_TYPE(struct registry_header));
		if (!consumer->value && comap_last_error()->code != ENOENT) {
			log_error("%s: %s", consumer->options.region, comap_error_text());
			return EXIT_REGION;
		}
		if (!consumer->value && !told) {
			log_info("waiting: %s", comap_error_text());
			told = true;
		}
		if (!consumer->value && asked_to_end(program->signals_fd, PATIENCE_MS))
			return -1;
	}
	return 0;
}

/* Waits for the first version. As above. */
static int await_version(struct program *program)
{
	int result;

	while ((result = comap_value_wait(program->consumer.value, 0,
	                                  comap_deadline_ms(PATIENCE_MS))) == -ETIMEDOUT)
		if (asked_to_end(program->signals_fd, 0))
			return -1;
	if (result == 0)
		return 0;
	log_error("%s: %s", program->consumer.options.region, comap_error_text());
	return result == -ESTALE ? EXIT_SUPERSEDED : EXIT_REGION;
}

static int open_stats(struct program *program)
{
	const struct consumer_options *options = &program->consumer.options;

	if (!options->stats)
		return 0;
	program->stats_region = comap_open(options->stats, COMAP_CREATE);
	if (program->stats_region)
		program->stats_value = comap_value_open(program->stats_region, options->name,
		                                        COMAP_TYPE(struct consumer_stats));
	if (program->stats_value)
		return 0;
	log_error("%s: %s", options->stats, comap_error_text());
	return EXIT_REGION;
}

static void derive_index(struct consumer *consumer, uint64_t *seen)
{
	struct registry registry;

	COMAP_READ(consumer->region) {
		struct comap_view view = comap_value_view(consumer->value);

		if (view.data && registry_open(&registry, view.data, view.size_bytes) == 0 &&
		    !index_replace(&consumer->index, &registry, view.version,
		                   consumer->options.index))
			log_warning("no index of version %llu: no column \"%s\", or no memory",
			            (unsigned long long)view.version, consumer->options.index);
		*seen = view.version;
	}
}

static void *keep_index(void *context)
{
	struct consumer *consumer = context;
	uint32_t generation = 0;
	uint64_t seen = 0;

	index_thread_register();
	while (!comap_u32_load_relaxed(&consumer->stop)) { /* relaxed: orders nothing */
		uint32_t now = comap_u32_load_relaxed(&consumer->generation); /* relaxed: so here */
		int result = comap_value_wait(consumer->value, now == generation ? seen : 0,
		                              comap_deadline_ms(PATIENCE_MS));

		generation = now;
		if (result == 0)
			derive_index(consumer, &seen);
		else if (result != -ETIMEDOUT)
			break; /* superseded: the main thread says so */
	}
	index_drop(&consumer->index);
	index_thread_unregister();
	return NULL;
}

static void sum_up(struct program *program, struct consumer_stats *sum)
{
	memset(sum, 0, sizeof *sum);
	sum->pid = (uint64_t)getpid();
	sum->at_ns = realtime_ns();
	sum->running_ns = comap_now_ns() - program->start_ns;
	sum->threads = program->consumer.options.threads;
	workers_sum(program->workers, sum->threads, sum);
}

static void publish_stats(struct program *program)
{
	static struct consumer_stats sum; /* the main thread's; too large for a stack */

	if (!program->stats_value)
		return;
	sum_up(program, &sum);
	if (comap_value_put(program->stats_value, &sum, sizeof sum) != 0)
		log_warning("statistics: %s", comap_error_text());
}

static bool report(struct program *program)
{
	static struct consumer_stats sum; /* as above */
	const struct consumer_counts *counts = &sum.counts;

	sum_up(program, &sum);
	log_info("%llu lookups, %.0f/s, p50 %llu ns p99 %llu ns p99.9 %llu ns, "
	         "version %llu (%llu seen), %llu verified, %llu torn, %llu wrong",
	         (unsigned long long)counts->lookups,
	         (double)counts->lookups * 1e9 / (double)sum.running_ns,
	         (unsigned long long)sum.p50_ns, (unsigned long long)sum.p99_ns,
	         (unsigned long long)sum.p999_ns, (unsigned long long)sum.version_last,
	         (unsigned long long)counts->versions,
	         (unsigned long long)(counts->verified + counts->index_verified),
	         (unsigned long long)counts->torn, (unsigned long long)counts->wrong);
	if (counts->unverifiable || counts->backwards || counts->failures)
		log_warning("%llu answers without a copy, %llu steps back, %llu failures",
		            (unsigned long long)counts->unverifiable,
		            (unsigned long long)counts->backwards,
		            (unsigned long long)counts->failures);
	return counts->torn == 0 && counts->wrong == 0 && counts->backwards == 0;
}

static bool superseded(struct program *program)
{
	struct comap_info info;

	return comap_info(program->consumer.region, &info) == 0 && info.superseded;
}

static void on_signal(struct program *program, int number)
{
	if (number == SIGUSR1)
		report(program);
	if (number != SIGHUP)
		return;
	log_info("told to derive everything again");
	/* relaxed: the threads see it when they see it */
	comap_u32_add_relaxed(&program->consumer.generation, 1);
}

static int serve(struct program *program)
{
	const struct consumer_options *options = &program->consumer.options;
	uint64_t tick_ms = program->stats_value ? PATIENCE_MS : 1000;
	uint64_t end_ns = options->duration_ms ? comap_deadline_ms(options->duration_ms)
	                                       : COMAP_FOREVER;
	uint64_t report_ns = options->report_ms ? comap_deadline_ms(options->report_ms)
	                                        : COMAP_FOREVER;

	for (;;) {
		uint64_t now_ns = comap_now_ns();
		uint64_t left_ms = now_ns < end_ns ? (end_ns - now_ns) / 1000000 + 1 : 0;
		int number = signals_wait(program->signals_fd, -1,
		                          (int)(left_ms < tick_ms ? left_ms : tick_ms));

		now_ns = comap_now_ns();
		if (number == SIGTERM || number == SIGINT || now_ns >= end_ns)
			return EXIT_OK;
		on_signal(program, number);
		publish_stats(program);
		if (now_ns >= report_ns) {
			report(program);
			report_ns = comap_deadline_ms(options->report_ms);
		}
		if (superseded(program)) {
			log_error("%s was unlinked or replaced", options->region);
			return EXIT_SUPERSEDED;
		}
		if (notify_watchdog_ms())
			notify("WATCHDOG=1");
	}
}

static int start_threads(struct program *program)
{
	struct consumer *consumer = &program->consumer;

	program->workers = calloc(consumer->options.threads, sizeof *program->workers);
	if (!program->workers)
		return EXIT_FAILED;
	program->start_ns = comap_now_ns();
	if (consumer->options.index)
		program->index_started =
			pthread_create(&program->index_thread, NULL, keep_index, consumer) == 0;
	for (uint64_t i = 0; i < consumer->options.threads; i++) {
		int code = worker_start(&program->workers[i], consumer, i);

		if (code != 0) {
			log_error("thread %llu: %s", (unsigned long long)i, strerror(-code));
			return EXIT_FAILED;
		}
	}
	return EXIT_OK;
}

static void stop_threads(struct program *program)
{
	struct consumer *consumer = &program->consumer;

	comap_u32_store_relaxed(&consumer->stop, 1); /* relaxed: joining orders all the rest */
	for (uint64_t i = 0; program->workers && i < consumer->options.threads; i++)
		worker_join(&program->workers[i]);
	if (program->index_started)
		pthread_join(program->index_thread, NULL);
}

static int run(struct program *program)
{
	const struct consumer_options *options = &program->consumer.options;
	int result = open_patiently(program);

	if (result == 0)
		result = await_version(program);
	if (result == 0)
		result = open_stats(program);
	if (result != 0)
		return result;
	if (options->verify) {
		program->consumer.second = second_open(options->verify, options->separator);
		if (!program->consumer.second)
			return EXIT_FAILED;
	}
	result = start_threads(program);
	if (result == EXIT_OK) {
		log_info("looking up in %s, version %llu", options->region,
		         (unsigned long long)comap_value_version(program->consumer.value));
		notifyf("READY=1\nSTATUS=looking up in %s", options->region);
		result = serve(program);
	}
	notify("STOPPING=1");
	stop_threads(program);
	publish_stats(program);
	return report(program) || result != EXIT_OK ? result : EXIT_WRONG;
}

int main(int argc, char **argv)
{
	static struct program program;
	int result;

	consumer_options_parse(&program.consumer.options, argc, argv);
	program.signals_fd = signals_open();
	if (program.signals_fd < 0) {
		log_error("signals: %s", strerror(-program.signals_fd));
		return EXIT_FAILED;
	}
	result = run(&program);
	if (result <= 0)
		log_info("ended in order");
	free(program.workers);
	second_close(program.consumer.second);
	comap_value_close(program.stats_value);
	if (program.stats_region)
		comap_close(program.stats_region);
	comap_value_close(program.consumer.value);
	if (program.consumer.region)
		comap_close(program.consumer.region);
	close(program.signals_fd);
	return result < 0 ? EXIT_OK : result;
}
