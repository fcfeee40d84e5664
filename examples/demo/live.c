/* SPDX-License-Identifier: MIT */
/* What the demo says while it runs: events as they happen, and a line of progress; on a terminal it
 * is written again ten times a second, elsewhere once a second on a line of its own. */
#include "demo.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

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

static void read_consumer(struct demo_consumer *consumer)
{
	static struct consumer_stats stats; /* too large for a stack */

	if (!consumer->value || comap_value_get(consumer->value, &stats, sizeof stats, NULL) != 0)
		return;
	/* What one that was killed left under this name is not its successor's. */
	if (stats.pid != consumer->before.pid)
		consumer->stats = stats;
}

void live_read(struct demo *demo)
{
	for (uint64_t i = 0; i < demo->options.consumer_count; i++)
		read_consumer(&demo->consumers[i]);
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

/* What the progress line tells of all consumers. */
struct glance {
	uint64_t torn, wrong, running, stopped;
};

static struct glance glance_at(const struct demo *demo)
{
	struct glance glance = { 0 };

	for (uint64_t i = 0; i < demo->options.consumer_count; i++) {
		const struct demo_consumer *consumer = &demo->consumers[i];

		glance.torn += consumer->stats.counts.torn + consumer->before.counts.torn;
		glance.wrong += consumer->stats.counts.wrong + consumer->before.counts.wrong;
		glance.running += consumer->member.pid != 0 && !consumer->member.stopped;
		glance.stopped += consumer->member.stopped;
	}
	return glance;
}

/* Columns that a line may take without wrapping. */
static int columns(const struct demo *demo)
{
	struct winsize size;

	if (!demo->terminal)
		return 200;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
		return 79;
	return size.ws_col - 1;
}

static void show(struct demo *demo, double lookups_per_second)
{
	uint64_t now_ms = live_ms(demo), whole_ms = demo->options.seconds * 1000;
	int done = (int)(now_ms >= whole_ms ? 20 : now_ms * 20 / whole_ms);
	struct glance glance = glance_at(demo);
	char line[256];

	snprintf(line, sizeof line, "[%.*s%.*s] %2llu/%llu s  v%llu  %llu readers%s  "
	         "%.1f M lookups/s  torn %llu  wrong %llu",
	         done, "####################", 20 - done, "....................",
	         (unsigned long long)now_ms / 1000, (unsigned long long)demo->options.seconds,
	         (unsigned long long)comap_value_version(demo->registry),
	         (unsigned long long)glance.running, glance.stopped ? " (1 stopped)" : "",
	         lookups_per_second / 1e6, (unsigned long long)glance.torn,
	         (unsigned long long)glance.wrong);
	wipe(demo);
	printf("%.*s%s", columns(demo), line, demo->terminal ? "" : "\n");
	fflush(stdout);
}

/* Lookups a second, of all consumers, over the last second or so. */
static double pace_of(const struct demo *demo)
{
	static uint64_t lookups_before, at_ns;
	static double pace;
	uint64_t lookups = live_lookups(demo), now_ns = comap_now_ns();

	if (now_ns < at_ns + 1000000000)
		return pace;
	if (at_ns != 0 && lookups > lookups_before)
		pace = (double)(lookups - lookups_before) * 1e9 / (double)(now_ns - at_ns);
	lookups_before = lookups;
	at_ns = now_ns;
	return pace;
}

void live_sleep(struct demo *demo, uint64_t duration_ms)
{
	static uint64_t shown_ms;
	uint64_t end_ms = live_ms(demo) + duration_ms;

	for (;;) {
		uint64_t now_ms = live_ms(demo), wait_ms;

		live_read(demo);
		if (demo->terminal || now_ms >= shown_ms + 1000) {
			show(demo, pace_of(demo));
			shown_ms = now_ms;
		}
		if (now_ms >= end_ms)
			break;
		wait_ms = end_ms - now_ms < FRAME_MS ? end_ms - now_ms : FRAME_MS;
		nanosleep(&(struct timespec){ 0, (long)wait_ms * 1000000 }, NULL);
	}
	wipe(demo);
}
