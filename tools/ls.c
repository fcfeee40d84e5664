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
	"      --types           of the objects of REGION: whole field lists\n"
	TOOL_HELP_JSON
	TOOL_HELP_BYTES
	TOOL_HELP_TABLE
	"\n"
	"Examples:\n"
	"  comap ls\n"
	"  comap ls fx\n"
	"  comap ls fx --types\n"
	"  comap ls fx --json | jq -r '.objects[] | select(.version > 0) | .name'\n";

static const struct option options[] = {
	{ "names", no_argument, NULL, 256 },
	{ "types", no_argument, NULL, 257 },
	TOOL_OPTIONS
};

struct listing {
	bool names; /* only */
	bool types; /* whole field lists */
};

static void print_name(const char *name)
{
	char *safe = out_safe(name);

	puts(safe);
	free(safe);
}

/* What is published in a value now; nothing where it is no value, or none was. */
struct latest {
	uint64_t version;
	uint64_t size_bytes;
	uint64_t published_ns;
};

static void look_at_value(struct comap *region, const struct comap_object *object,
                          struct latest *ret_latest)
{
	struct comap_value *value = strcmp(object->kind, "value") == 0
	                          ? comap_value_open(region, object->name, NULL) : NULL;
	struct comap_view view = { 0 };
	int code;

	*ret_latest = (struct latest){ 0 };
	if (!value)
		return;
	/* No room for a copy: it says how large it is. */
	code = comap_value_get(value, NULL, 0, &view);
	if (code == 0 || code == -ENOBUFS) {
		ret_latest->version = comap_value_version(value);
		ret_latest->size_bytes = view.size_bytes;
		ret_latest->published_ns = comap_value_published_ns(value);
	}
	comap_value_close(value);
}

static void print_fields_json(struct out *out, const struct comap_type *type)
{
	out_list_begin(out, "fields", NULL, 0);
	for (uint32_t i = 0; type && i < type->field_count; i++) {
		out_row(out);
		out_text(out, "name", type->fields[i].name);
		out_text(out, "kind", comap_kind_name(type->fields[i].kind));
		out_u64(out, "offset_bytes", type->fields[i].offset_bytes);
		out_u64(out, "size_bytes", type->fields[i].size_bytes);
		out_row_end(out);
	}
	out_list_end(out);
}

static void print_type(struct out *out, struct comap *region, const struct comap_object *object,
                       bool whole)
{
	struct comap_type *type = NULL;
	char text[2048];

	if (object->field_count == 0) {
		out_none(out, "type");
		return;
	}
	if (whole || out->json)
		type = comap_object_type(region, object->name);
	if (type && whole && !out->json) {
		comap_type_print(type, text, sizeof text);
		out_text(out, "type", text);
	} else {
		out_text(out, "type", object->type_name);
	}
	if (out->json) {
		out_u64(out, "type_size_bytes", object->type_size_bytes);
		print_fields_json(out, type);
	}
	free(type);
}

static void print_object(struct out *out, struct comap *region, const struct comap_object *object,
                         bool types)
{
	struct latest latest;

	look_at_value(region, object, &latest);
	out_row(out);
	out_text(out, "name", object->name);
	out_text(out, "kind", object->kind);
	if (latest.version)
		out_u64(out, "version", latest.version);
	else
		out_none(out, "version");
	if (latest.version)
		out_bytes(out, "size_bytes", latest.size_bytes);
	else
		out_none(out, "size_bytes");
	out_time(out, "published_ns", latest.published_ns);
	if (out->json)
		out_time(out, "created_ns", object->created_ns);
	print_type(out, region, object, types);
	out_row_end(out);
}

static int list_objects(struct tool_call *call, const struct listing *listing, const char *name)
{
	static const struct out_column columns[] = {
		{ "NAME", false }, { "KIND", false }, { "VERSION", true }, { "SIZE", true },
		{ "PUBLISHED", false }, { "TYPE", false },
	};
	struct comap *region = tool_look(name);
	struct comap_object object;

	if (!region)
		return tool_fail(name);
	if (!listing->names) {
		out_begin(&call->out);
		out_list_begin(&call->out, "objects", columns, sizeof columns / sizeof columns[0]);
	}
	for (uint32_t i = 0; comap_object_at(region, i, &object) == 0; i++) {
		if (listing->names)
			print_name(object.name);
		else
			print_object(&call->out, region, &object, listing->types);
	}
	if (!listing->names) {
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

static int list_regions(struct tool_call *call, const struct listing *listing)
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
	if (!listing->names) {
		out_begin(&call->out);
		if (call->out.json)
			out_text(&call->out, "folder", folder);
		out_list_begin(&call->out, "regions", columns, 7);
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		if (listing->names)
			print_name(entries[i]->d_name);
		else
			print_region(&call->out, path, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (!listing->names) {
		out_list_end(&call->out);
		out_end(&call->out);
	}
	return TOOL_OK;
}

int tool_ls(int argc, char **argv)
{
	struct tool_call call = TOOL_CALL(argv[0]);
	struct listing listing = { 0 };
	int option;

	while ((option = tool_next(&call, argc, argv, options)) != -1) {
		switch (option) {
		case 256: listing.names = true; break;
		case 257: listing.types = true; break;
		default: return TOOL_USAGE;
		}
	}
	if (tool_operands(&call, 0, 1))
		return TOOL_USAGE;
	return call.operand_count ? list_objects(&call, &listing, call.operands[0])
	                          : list_regions(&call, &listing);
}
