/* SPDX-License-Identifier: MIT */
/* When the source changes. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)

static int watch_folder_of(struct source_watch *watch, int number, const char *path)
{
	char folder[PATH_MAX];
	const char *name = strrchr(path, '/');
	int length;

	name = name ? name + 1 : path;
	length = name == path ? snprintf(folder, sizeof folder, ".")
	                      : snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
	if (length >= (int)sizeof folder || strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(watch->names[number], name, strlen(name) + 1);
	watch->folders[number] = inotify_add_watch(watch->fd, folder, EVENTS);
	return watch->folders[number] < 0 ? -errno : 0;
}

int source_watch_open(struct source_watch *watch, const char *path)
{
	char *real = realpath(path, NULL);
	int result;

	*watch = (struct source_watch){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
	                                .folders = { -1, -1 } };
	if (watch->fd < 0) {
		free(real);
		return -errno;
	}
	result = watch_folder_of(watch, 0, path);
	if (result == 0 && real)
		result = watch_folder_of(watch, 1, real);
	free(real);
	if (result != 0)
		source_watch_close(watch);
	return result;
}

void source_watch_close(struct source_watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
}

static bool event_is_ours(const struct source_watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true; /* something was lost: look */
	if (event->len == 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (event->wd == watch->folders[i] && strcmp(event->name, watch->names[i]) == 0)
			return true;
	return false;
}

bool source_watch_changed(struct source_watch *watch)
{
	_Alignas(struct inotify_event) char buffer[16 * 1024];
	bool changed = false;
	ssize_t got;

	while ((got = read(watch->fd, buffer, sizeof buffer)) > 0) {
		for (char *at = buffer; at < buffer + got;) {
			const struct inotify_event *event = (const void *)at;

			changed = event_is_ours(watch, event) || changed;
			at += sizeof *event + event->len;
		}
	}
	return changed;
}
