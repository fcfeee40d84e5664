/* SPDX-License-Identifier: MIT */
/* The front door: open and close by name, once per region and process. */
#include "region.h"

#include "error.h"
#include "name.h"
#include "rcu.h"
#include "registry.h"
#include "seat.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

struct making {
	const char *path;
	const struct comap_options *options;
};

static int make_region(void *context, struct comap__entry *entry, void **ret_handle)
{
	struct making *making = context;
	struct comap *region;
	int code = comap__region_open(making->path, making->options, &region);

	if (code)
		return code;
	region->entry = entry;
	*ret_handle = region;
	return 0;
}

/* Waits for threads of this process that are inside a section, then lets go of the file. */
static void unmake_region(void *handle)
{
	struct comap *region = handle;

	comap__seats_settle(region);
	comap_u32_store_relaxed(&region->closing, 1); /* relaxed: for late callers, a courtesy */
	comap__rows_wait_quiescent(region);
	comap__region_close(region);
}

/* A region whose name was taken away is still somebody's; the name means another one. */
static bool region_is_current(const void *handle)
{
	const struct comap *region = handle;

	/* relaxed: a flag of its own */
	return comap_u64_load_relaxed(&region->control->superseded) == 0;
}

static int check_options(const struct comap_options *options, struct comap_options *ret)
{
	struct comap_options defaults = COMAP_OPTIONS_INIT;
	uint32_t flags;

	*ret = defaults;
	if (options) {
		if (options->size_bytes < offsetof(struct comap_options, deadline_ns) ||
		    options->size_bytes > sizeof *ret)
			return comap__fail(COMAP_CAUSE_ARGUMENT, "the options have no size: start with "
			                   "COMAP_OPTIONS_INIT");
		memcpy(ret, options, options->size_bytes);
	}
	flags = ret->flags;
	if (flags & ~(uint32_t)(COMAP_CREATE | COMAP_EXCLUSIVE | COMAP_WAIT | COMAP_GUEST | COMAP_FENCED))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "unknown flags 0x%x", flags);
	if ((flags & COMAP_EXCLUSIVE) && !(flags & COMAP_CREATE))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "COMAP_EXCLUSIVE goes with COMAP_CREATE");
	if ((flags & COMAP_GUEST) && (flags & COMAP_CREATE))
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a guest cannot create");
	return 0;
}

/* A forked child has the handle and no seat; an opener may name a host where none was named. */
static bool needs_joining(const struct comap *region, const struct comap_options *options)
{
	/* relaxed: this process's word; comap__region_join() looks again under its lock */
	return !comap__is_guest(region) &&
	       (!comap_u32_load_relaxed(&region->attachment->attached) ||
	        (options->host_flavor && !region->host));
}

static int open_region(const char *name, const struct comap_options *given, struct comap **ret)
{
	struct comap_options options;
	char key[COMAP_PATH_BYTES + 2];
	struct making making = { key + 1, &options };
	struct comap__entry *entry;
	struct comap *region;
	void *handle;
	bool made;
	int code = check_options(given, &options);

	if (!code)
		code = comap__name_resolve(name, options.flags & (COMAP_CREATE | COMAP_WAIT), key + 1);
	if (code)
		return code;
	key[0] = options.flags & COMAP_GUEST ? 'g' : 's'; /* a guest's handle is no seat's */
	do
		code = comap__registry_get(key, region_is_current, make_region, unmake_region, &making, &made,
		                           &handle, &entry);
	/* Waited for out here: whoever makes a handle holds up the process's other opens. */
	while (code == -ENOENT && (options.flags & COMAP_WAIT) &&
	       (code = comap__name_await(key + 1, options.deadline_ns)) == 0);
	if (code)
		return code;
	region = handle;
	if (!made && (options.flags & COMAP_EXCLUSIVE)) {
		comap__registry_put(entry);
		return comap__fail(COMAP_CAUSE_EXISTS, "%s exists already: this process has it open", name);
	}
	if (!made && needs_joining(region, &options)) {
		code = comap__region_join(region, options.host_flavor);
		if (code) {
			comap__registry_put(entry);
			return code;
		}
	}
	/* What one opener may do, the process may. Relaxed: flags only appear. */
	__atomic_fetch_or(&region->flags, options.flags & (COMAP_CREATE | COMAP_WAIT), __ATOMIC_RELAXED);
	*ret = region;
	return 0;
}

struct comap *comap_open_with(const char *name, const struct comap_options *options)
{
	struct comap *region;

	return open_region(name, options, &region) == 0 ? region : NULL;
}

struct comap *comap_open(const char *name, uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	return comap_open_with(name, &options);
}

int comap_close(struct comap *region)
{
	if (!region)
		return 0;
	if (comap__in_section(region) && comap__registry_is_last(region->entry))
		return comap__fail(COMAP_CAUSE_DEADLOCK, "the thread is inside a read section of %s",
		                   region->path);
	comap__registry_put(region->entry);
	return 0;
}
