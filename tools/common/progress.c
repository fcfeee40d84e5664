/* SPDX-License-Identifier: MIT */
/* A bar on standard error. */
#include "progress.h"

#include <comap/error.h>
#include <stdio.h>
#include <unistd.h>

#define FIFTH_NS 200000000u
#define BAR_CHARACTERS 30

bool progress_wanted(void)
{
	return isatty(STDERR_FILENO) == 1;
}

void progress_begin(struct progress *progress, bool shown, uint64_t total_bytes)
{
	*progress = (struct progress){ .shown = shown, .total_bytes = total_bytes,
	                               .start_ns = comap_now_ns() };
}

static void draw_part(const struct progress *progress, uint64_t done_bytes, double rate)
{
	double part = (double)done_bytes / (double)progress->total_bytes;
	char bar[BAR_CHARACTERS + 1] = "";

	for (unsigned i = 0; i < BAR_CHARACTERS; i++)
		bar[i] = i < part * BAR_CHARACTERS ? '#' : '.';
	fprintf(stderr, "\r[%s] %3.0f %%  %.1f MB/s  %.1f s left", bar, part * 100, rate / 1e6,
	        rate > 0 ? (double)(progress->total_bytes - done_bytes) / rate : 0);
}

void progress_draw(struct progress *progress, uint64_t done_bytes, const char *note)
{
	uint64_t now_ns = progress->shown ? comap_now_ns() : 0;
	double seconds = (double)(now_ns - progress->start_ns) / 1e9;
	double rate = seconds > 0 ? (double)done_bytes / seconds : 0;

	if (!progress->shown || now_ns - progress->drawn_ns < FIFTH_NS)
		return;
	progress->drawn_ns = now_ns;
	if (done_bytes > progress->total_bytes) /* no total, or a file that has grown */
		fprintf(stderr, "\r%.1f MB  %.1f MB/s", (double)done_bytes / 1e6, rate / 1e6);
	else if (progress->total_bytes > 0)
		draw_part(progress, done_bytes, rate);
	fprintf(stderr, "%s%s \033[K", note ? "  " : "", note ? note : "");
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->drawn_ns > 0)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
