/* SPDX-License-Identifier: MIT */
/* What the demo says while it runs: events as they happen, and a line of progress; on a terminal it
 * is written again ten times a second, elsewhere once a second on a line of its own. */
#include "demo.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FRAME_MS 100

uint64_t live_ms(const struct demo *demo)
{
	return (comap_now_ns() - demo->start_ns) / 1000000;
}

static void wipe(const struct demo *demo)
{
	if (demo->terminal)
		printf("\r\033[K");
}

void live_event(struct demo *demo, const char *format, ...)
{
	uint64_t now_ms = live_ms(demo);
	va_list args;

	wipe(demo);
	printf("%3llu.%llu s  ", (unsigned long long)now_ms / 1000,
	       (unsigned long long)now_ms / 100 % 10);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void live_read(struct demo *demo)
{
	for (uint64_t i = 0; i < demo->options.consumer_count; i++) {
		struct demo_consumer *consumer = &demo->consumers[i];
		static struct consumer_stats stats;

		/* What the last one left under this name is not this one's. */
		if (consumer->value && comap_value_get(consumer->value, &stats, sizeof stats, NULL) == 0 &&
		    stats.pid != consumer->before.pid)
			consumer->stats = stats;
	}
	for (uint64_t i = 0; i < demo->producer_count; i++)
		if (demo->producers[i].value)
			(void)comap_value_get(demo->producers[i].value, &demo->producers[i].stats,
			                      sizeof demo->producers[i].stats, NULL);
}

uint64_t live_lookups(const struct demo *demo)
{
	uint64_t lookups = 0;

	for (uint64_t i = 0; i < demo->options.consumer_count; i++)
		lookups += demo->consumers[i].stats.counts.lookups +
		           demo->consumers[i].before.counts.lookups;
	return lookups;
}

static void show(struct demo *demo, double lookups_per_second)
{
	uint64_t now_ms = live_ms(demo), whole_ms = demo->options.seconds * 1000;
	uint64_t torn = 0, wrong = 0, running = 0, stopped = 0;
	int done = (int)(now_ms >= whole_ms ? 20 : now_ms * 20 / whole_ms);

	for (uint64_t i = 0; i < demo->options.consumer_count; i++) {
		const struct demo_consumer *consumer = &demo->consumers[i];

		torn += consumer->stats.counts.torn + consumer->before.counts.torn;
		wrong += consumer->stats.counts.wrong + consumer->before.counts.wrong;
		running += consumer->member.pid != 0 && !consumer->member.stopped;
		stopped += consumer->member.stopped;
	}
	wipe(demo);
	printf("[%.*s%.*s] %2llu/%llu s  version %llu  %llu consumers%s  %.1f M lookups/s  torn %llu  wrong %llu",
	       done, "####################", 20 - done, "....................",
	       (unsigned long long)now_ms / 1000, (unsigned long long)demo->options.seconds,
	       (unsigned long long)comap_value_version(demo->registry), (unsigned long long)running,
	       stopped ? " (1 stopped)" : "", lookups_per_second / 1e6, (unsigned long long)torn,
	       (unsigned long long)wrong);
	if (!demo->terminal)
		putchar('\n');
	fflush(stdout);
}

/* Lookups a second, of all consumers since the line before. */
static double pace_of(const struct demo *demo)
{
	static uint64_t lookups_before, at_before;
	uint64_t lookups = live_lookups(demo), now_ns = comap_now_ns();
	double pace = 0;

	if (at_before != 0 && lookups > lookups_before)
		pace = (double)(lookups - lookups_before) * 1e9 / (double)(now_ns - at_before);
	lookups_before = lookups;
	at_before = now_ns;
	return pace;
}

void live_sleep(struct demo *demo, uint64_t duration_ms)
{
	static uint64_t shown_ms;
	static double pace;
	static uint64_t paced_ms;
	uint64_t end_ms = live_ms(demo) + duration_ms;

	for (;;) {
		uint64_t now_ms = live_ms(demo);

		live_read(demo);
		if (now_ms >= paced_ms + 1000 || paced_ms == 0) {
			pace = pace_of(demo);
			paced_ms = now_ms;
		}
		if (demo->terminal || now_ms >= shown_ms + 1000) {
			show(demo, pace);
			shown_ms = now_ms;
		}
		if (now_ms >= end_ms)
			break;
		nanosleep(&(struct timespec){ 0, (end_ms - now_ms < FRAME_MS ? end_ms - now_ms : FRAME_MS) *
		                                 1000000 }, NULL);
	}
	wipe(demo);
}
