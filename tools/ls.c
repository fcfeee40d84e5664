/* SPDX-License-Identifier: MIT */
/* comap ls: the regions of a folder, or the objects of a region. */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tool_ls_help[] =
	"Without REGION: the regions in $COMAP_DIR, or else in your folder under /dev/shm, with\n"
	"what is wrong with the files that are none.\n"
	"\n"
	"Options:\n"
	"      --names           the names only, one a line\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	TOOL_HELP_TABLE
	"\n"
	"Examples:\n"
	"  comap ls\n"
	"  comap ls fx\n"
	"  comap ls fx --json | jq -r '.objects[] | select(.kind == \"value\") | .name'\n";

static const struct option options[] = {
	{ "names", no_argument, NULL, 256 },
	TOOL_OPTIONS
};

static void print_name(const char *name)
{
	char *safe = out_safe(name);

	puts(safe);
	free(safe);
}

static void print_object(struct out *out, struct comap *region, const struct comap_object *object)
{
	struct comap_type *type;
	char text[2048];

	out_row(out);
	out_text(out, "name", object->name);
	out_text(out, "kind", object->kind);
	out_time(out, "created_ns", object->created_ns);
	if (object->field_count == 0) {
		out_text(out, "type", NULL);
		out_row_end(out);
		return;
	}
	type = comap_object_type(region, object->name);
	if (type)
		comap_type_print(type, text, sizeof text);
	else
		snprintf(text, sizeof text, "%s, of %u bytes", object->type_name,
		         object->type_size_bytes);
	out_text(out, "type", text);
	free(type);
	out_row_end(out);
}

static int list_objects(struct tool_call *call, bool names, const char *name)
{
	static const struct out_column columns[] = {
		{ "NAME", false }, { "KIND", false }, { "CREATED", false }, { "TYPE", false },
	};
	struct comap *region = tool_look(name);
	struct comap_object object;

	if (!region)
		return tool_fail(name);
	if (!names) {
		out_begin(&call->out);
		out_list_begin(&call->out, "objects", columns, 4);
	}
	for (uint32_t i = 0; comap_object_at(region, i, &object) == 0; i++) {
		if (names)
			print_name(object.name);
		else
			print_object(&call->out, region, &object);
	}
	if (!names) {
		out_list_end(&call->out);
		out_end(&call->out);
	}
	comap_close(region);
	return TOOL_OK;
}

/* Whether it is in use, and otherwise how it was left. */
static const char *state_of(const struct comap_info *info, uint32_t alive_count)
{
	if (info->superseded)
		return "superseded";
	if (alive_count)
		return "in use";
	return info->clean ? "clean" : "unclean";
}

static void print_region(struct out *out, const char *path, const char *name)
{
	struct comap *region = tool_look(path);
	struct comap_info info;
	uint32_t alive_count, dead_count;

	out_row(out);
	out_text(out, "name", name);
	if (!region || comap_info(region, &info) != 0) {
		out_text(out, "state", "unusable");
		out_none(out, "alive");
		out_none(out, "dead");
		out_none(out, "allocated_bytes");
		out_none(out, "created_ns");
		out_text(out, "problem", comap_error_text());
	} else {
		tool_count_seats(region, &info, &alive_count, &dead_count);
		out_text(out, "state", state_of(&info, alive_count));
		out_u64(out, "alive", alive_count);
		out_u64(out, "dead", dead_count);
		out_bytes(out, "allocated_bytes", info.allocated_bytes);
		out_time(out, "created_ns", info.birth_time_ns);
		if (out->json)
			out_none(out, "problem");
	}
	out_row_end(out);
	comap_close(region);
}

/* Names that begin with a dot are temporaries of creators. */
static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int list_regions(struct tool_call *call, bool names)
{
	static const struct out_column columns[] = {
		{ "NAME", false }, { "STATE", false }, { "ALIVE", true }, { "DEAD", true },
		{ "ALLOCATED", true }, { "CREATED", false }, { "PROBLEM", false },
	};
	struct dirent **entries = NULL;
	char folder[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
	int count;

	/* The folder is where a name would be. */
	if (comap_path("x", folder, sizeof folder) != 0)
		return tool_fail("ls");
	*strrchr(folder, '/') = '\0';
	count = scandir(folder, &entries, visible, alphasort);
	if (count < 0 && errno != ENOENT)
		return tool_say(errno == EACCES ? TOOL_PERMISSION : TOOL_FAILED, folder, "%s",
		                strerror(errno));
	if (!names) {
		out_begin(&call->out);
		if (call->out.json)
			out_text(&call->out, "folder", folder);
		out_list_begin(&call->out, "regions", columns, 7);
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		if (names)
			print_name(entries[i]->d_name);
		else
			print_region(&call->out, path, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (!names) {
		out_list_end(&call->out);
		out_end(&call->out);
	}
	return TOOL_OK;
}

int tool_ls(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	bool names = false;
	int option;

	while ((option = tool_next(&call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		names = true;
	}
	if (tool_operands(&call, 0, 1))
		return TOOL_USAGE;
	return call.operand_count ? list_objects(&call, names, call.operands[0])
	                          : list_regions(&call, names);
}
