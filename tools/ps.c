/* SPDX-License-Identifier: MIT */
/* comap ps: who is attached, who is dead, who holds memory back. */
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char tool_ps_help[] =
	"LIFE is alive, stopped or dead, as the kernel says; a dead seat stays in the list until\n"
	"another process needs it swept. Whoever is BEHIND entered its oldest read section before\n"
	"that many grace periods began, and memory that was retired since waits for it. EVICTED\n"
	"counts its evictable sections that writers ended for want of memory. PIDs of other PID\n"
	"namespaces are shown with the namespace.\n"
	"\n"
	"Options:\n"
	TOOL_HELP_JSON
	TOOL_HELP_TABLE
	"\n"
	"Examples:\n"
	"  comap ps fx\n"
	"  comap ps fx --json | jq '.seats[] | select(.behind > 0) | .pid'\n";

static const struct out_column columns[] = {
	{ "SEAT", true }, { "PID", true }, { "NAME", false }, { "LIFE", false },
	{ "THREADS", true }, { "READING", true }, { "BEHIND", true }, { "EVICTED", true },
	{ "RETIRED", true },
	{ "ATTACHED", false },
};

static const char *life_of(const struct comap_seat *seat)
{
	if (seat->life == COMAP_LIFE_DEAD)
		return "dead";
	return seat->stopped ? "stopped" : "alive";
}

static void print_pid(struct out *out, const struct comap_seat *seat)
{
	char text[48];

	if (out->json || seat->same_namespace) {
		out_u64(out, "pid", seat->pid);
		return;
	}
	snprintf(text, sizeof text, "%u@%" PRIu64, seat->pid, seat->pid_namespace);
	out_text(out, "pid", text);
}

static void print_seat(struct out *out, const struct comap_seat *seat)
{
	out_row(out);
	out_u64(out, "seat", seat->index);
	print_pid(out, seat);
	out_text(out, "name", seat->name);
	out_text(out, "life", life_of(seat));
	out_u64(out, "threads", seat->thread_count);
	out_u64(out, "reading", seat->reading_count);
	out_u64(out, "behind", seat->behind);
	out_u64(out, "evictions", seat->evictions);
	out_u64(out, "retired_blocks", seat->retired_count);
	out_time(out, "attached_ns", seat->attached_ns);
	if (out->json) {
		out_u64(out, "generation", seat->generation);
		out_u64(out, "pid_namespace", seat->pid_namespace);
		out_bool(out, "same_namespace", seat->same_namespace);
		out_u64(out, "oldest_epoch", seat->oldest_epoch);
		out_u64(out, "evictable", seat->evictable_count);
	}
	out_row_end(out);
}

/* The living seat that is furthest behind: the dead hold nothing back. */
static void note_stall(struct comap_seat *worst, const struct comap_seat *seat)
{
	if (seat->life == COMAP_LIFE_ALIVE && seat->behind > worst->behind)
		*worst = *seat;
}

static void print_stall(struct out *out, const struct comap_seat *worst, uint64_t retired_bytes)
{
	char *name;

	if (out->json) {
		if (worst->behind)
			out_u64(out, "stalled_by_seat", worst->index);
		else
			out_none(out, "stalled_by_seat");
		out_u64(out, "stalled_by_epochs", worst->behind);
		out_bytes(out, "retired_bytes", retired_bytes);
		return;
	}
	if (worst->behind == 0)
		return;
	name = out_safe(worst->name);
	printf("\nSeat %u (%s, pid %u, %s) holds the grace period back: %" PRIu64
	       " began since it began to read; %" PRIu64 " bytes wait for reuse.\n",
	       worst->index, name, worst->pid, life_of(worst), worst->behind, retired_bytes);
	free(name);
}

static void print_seats(struct out *out, struct comap *region, const struct comap_info *info)
{
	struct comap_seat seat, worst = { 0 };

	out_begin(out);
	out_list_begin(out, "seats", columns, sizeof columns / sizeof columns[0]);
	for (uint32_t i = 0; i < info->seat_high_water; i++) {
		if (comap_seat_at(region, i, &seat) != 0 || seat.life == COMAP_LIFE_FREE)
			continue;
		print_seat(out, &seat);
		note_stall(&worst, &seat);
	}
	out_list_end(out);
	print_stall(out, &worst, info->retired_bytes);
	out_end(out);
}

int tool_ps(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	struct comap_info info;
	struct comap *region;
	int code = TOOL_OK;

	if (tool_plain(&call, argc, argv) || tool_operands(&call, 1, 1))
		return TOOL_USAGE;
	region = tool_look(call.operands[0]);
	if (!region)
		return tool_fail(call.operands[0]);
	if (comap_info(region, &info) != 0)
		code = tool_fail(call.operands[0]);
	else
		print_seats(&call.out, region, &info);
	comap_close(region);
	return code;
}
