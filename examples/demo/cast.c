/* SPDX-License-Identifier: MIT */
/* Who plays in the demo: producers and consumers are started, killed and ended here. */
#include "demo.h"

#include "../common/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define PUBLISH_LIMIT_MS 10000

static int failed(struct demo *demo, const char *who, const char *why)
{
	live_event(demo, "%s: %s", who, why);
	return -EIO;
}

/* The daemon's statistics: a value of its name. This process makes it, the daemon publishes it. */
static struct comap_value *stats_of(struct demo *demo, const char *name,
                                    const struct comap_type *type)
{
	return comap_value_open(demo->stats_region, name, type);
}

int cast_consumer_start(struct demo *demo, uint64_t number)
{
	struct demo_consumer *consumer = &demo->consumers[number];
	char program[PATH_MAX + 16], name[32], log[PATH_MAX + 32], seed[24];
	/* Most run flat out; one has a rate and lingers in its read sections, one has two threads
	 * and a private index. */
	bool lingers = number + 1 == demo->options.consumer_count;
	bool indexes = number + 2 == demo->options.consumer_count;
	char *argv[] = { program, (char *)"--region", demo->region_path, (char *)"--stats",
	                 demo->stats_path, (char *)"--verify", demo->keep, (char *)"--name", name,
	                 (char *)"--seed", seed, (char *)"--check", (char *)"250",
	                 (char *)"--report", (char *)"0",
	                 (char *)"--rate", (char *)(lingers ? "20000" : "0"),
	                 (char *)(lingers ? "--linger" : indexes ? "--threads" : NULL),
	                 (char *)(lingers ? "40" : "2"), NULL };

	snprintf(program, sizeof program, "%s/consumer", demo->options.programs);
	snprintf(name, sizeof name, "consumer-%llu", (unsigned long long)number + 1);
	snprintf(log, sizeof log, "%s/%s.log", demo->options.out, name);
	snprintf(seed, sizeof seed, "%llu",
	         (unsigned long long)(++consumer->starts * 1000 + number));
	if (!consumer->value)
		consumer->value = stats_of(demo, name, COMAP_TYPE(struct consumer_stats));
	if (!consumer->value)
		return failed(demo, name, comap_error_text());
	if (member_start(&consumer->member, name, argv, log, -1) != 0)
		return failed(demo, name, strerror(errno));
	return 0;
}

int cast_producer_start(struct demo *demo, bool standby)
{
	struct demo_producer *producer = &demo->producers[demo->producer_count];
	char program[PATH_MAX + 16], name[32], log[PATH_MAX + 32];
	char *argv[] = { program, (char *)"--region", demo->region_path, (char *)"--stats",
	                 demo->stats_path, (char *)"--keep", demo->keep, (char *)"--name", name,
	                 demo->source_path, (char *)(standby ? "--standby" : NULL), NULL };

	if (demo->producer_count == PRODUCERS_MAX)
		return failed(demo, "producer", "too many");
	snprintf(program, sizeof program, "%s/producer", demo->options.programs);
	snprintf(name, sizeof name, "producer-%llu", (unsigned long long)demo->producer_count + 1);
	snprintf(log, sizeof log, "%s/%s.log", demo->options.out, name);
	producer->value = stats_of(demo, name, COMAP_TYPE(struct producer_stats));
	if (!producer->value)
		return failed(demo, name, comap_error_text());
	if (member_start(&producer->member, name, argv, log, -1) != 0)
		return failed(demo, name, strerror(errno));
	demo->producer_count++;
	return 0;
}

int cast_change(struct demo *demo)
{
	int result = change_write(&demo->original, ++demo->change_count, demo->source_path);

	return result == 0 ? 0 : failed(demo, demo->source_path, strerror(-result));
}

/* Sleeps until the producer says that it is in the phase. False at the deadline. */
static bool await_phase(struct demo_producer *producer, enum producer_phase phase)
{
	uint64_t deadline_ns = comap_deadline_ms(PUBLISH_LIMIT_MS);
	uint64_t seen = 0;
	struct comap_view view = { 0 };

	while (comap_value_wait(producer->value, seen, deadline_ns) == 0) {
		if (comap_value_get(producer->value, &producer->stats, sizeof producer->stats,
		                    &view) != 0)
			return false;
		seen = view.version;
		if (producer->stats.phase == (uint64_t)phase)
			return true;
	}
	return false;
}

/* Sleeps until the producer builds the version after `version`, or has published it already: on a busy
 * machine it can be faster than we look. False when it does neither. */
static bool await_next_version(struct demo *demo, struct demo_producer *producer, uint64_t version)
{
	uint64_t deadline_ns = comap_deadline_ms(PUBLISH_LIMIT_MS);
	uint64_t seen = 0;
	struct comap_view view = { 0 };

	while (comap_value_version(demo->registry) == version) {
		if (comap_now_ns() >= deadline_ns)
			return false;
		if (comap_value_wait(producer->value, seen, comap_deadline_ms(20)) != 0 ||
		    comap_value_get(producer->value, &producer->stats, sizeof producer->stats, &view) != 0)
			continue;
		seen = view.version;
		if (producer->stats.phase == PRODUCER_BUILDING)
			return true;
	}
	return true;
}

/* Kills the publishing producer between its reserve and its publish, if it can be hit. */
static int hit(struct demo *demo, struct demo_producer *producer, struct demo_kill *kill,
               uint64_t *ret_kill_ns)
{
	kill->version = comap_value_version(demo->registry);
	if (cast_change(demo) != 0 || !await_next_version(demo, producer, kill->version))
		return failed(demo, producer->member.name, "does not notice the change");
	*ret_kill_ns = realtime_ns();
	member_signal(&producer->member, SIGKILL);
	if (member_wait(&producer->member, 5000) != -SIGKILL)
		return failed(demo, producer->member.name, "does not die");
	(void)comap_value_get(producer->value, &producer->stats, sizeof producer->stats, NULL);
	kill->in_publish = producer->stats.phase == PRODUCER_BUILDING;
	return 0;
}

/* With a successor standing by, a version may be out by the time we look: then its number tells. */
static void record_gap(struct demo *demo, struct demo_kill *kill, uint64_t kill_ns)
{
	kill->next_version = comap_value_version(demo->registry);
	kill->gap_ns = comap_value_published_ns(demo->registry) - kill_ns;
}

int cast_producer_kill(struct demo *demo, bool standby)
{
	struct demo_producer *producer = &demo->producers[demo->producer_count - 1];
	struct demo_kill *kill = &demo->kills[demo->kill_count];
	uint64_t kill_ns, stood;

	*kill = (struct demo_kill){ .standby = standby };
	if (demo->kill_count == KILLS_MAX)
		return failed(demo, "kill", "too many");
	if (standby && (cast_producer_start(demo, true) != 0 ||
	                !await_phase(&demo->producers[demo->producer_count - 1], PRODUCER_STANDBY)))
		return failed(demo, "standby", "does not stand by");
	if (hit(demo, producer, kill, &kill_ns) != 0)
		return -EIO;
	if (!standby && cast_producer_start(demo, false) != 0)
		return -EIO;
	/* A kill that came too late has let one version out. */
	stood = kill->version + (kill->in_publish ? 0 : 1);
	if (comap_value_wait(demo->registry, stood, comap_deadline_ms(PUBLISH_LIMIT_MS)) != 0)
		return failed(demo, "successor", "does not publish");
	record_gap(demo, kill, kill_ns);
	demo->kill_count++;
	live_event(demo, "SIGKILL to %s %s version %llu; %s published version %llu %.1f ms later",
	           producer->member.name, kill->in_publish ? "in the middle of" : "just after",
	           (unsigned long long)kill->version + 1, standby ? "the standby" : "a new one",
	           (unsigned long long)kill->next_version, (double)kill->gap_ns / 1e6);
	/* Its copy of the source may be of the moment before the last change: wait for the calm. */
	await_phase(&demo->producers[demo->producer_count - 1], PRODUCER_IDLE);
	return 0;
}

static int end_one(struct demo *demo, struct member *member)
{
	int status = member_wait(member, 10000);

	if (status == 0)
		return 0;
	live_event(demo, "%s ended with status %d; %s/%s.log tells more", member->name, status,
	           demo->options.out, member->name);
	return 1;
}

int cast_end(struct demo *demo)
{
	int unclean = 0;

	for (uint64_t i = 0; i < demo->options.consumer_count; i++)
		member_signal(&demo->consumers[i].member, SIGTERM);
	for (uint64_t i = 0; i < demo->options.consumer_count; i++)
		unclean += end_one(demo, &demo->consumers[i].member);
	if (demo->producer_count > 0) {
		struct member *last = &demo->producers[demo->producer_count - 1].member;

		member_signal(last, SIGTERM);
		unclean += end_one(demo, last);
	}
	live_read(demo);
	return unclean;
}
