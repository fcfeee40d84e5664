/* SPDX-License-Identifier: MIT */
/* The file that the registry comes from, and when it changes.
 *
 * Watched are the folders, not the file: one that is put in its place is another. Where the
 * path is a symbolic link, the folder that it leads to is watched as well. */
#ifndef EXAMPLES_PRODUCER_SOURCE_H
#define EXAMPLES_PRODUCER_SOURCE_H

#include <limits.h>
#include <stdbool.h>

struct source_watch {
	int fd;                          /* readable when something happened in the folders */
	char names[2][NAME_MAX + 1];     /* of the file in each folder */
	int folders[2];
};

/* 0, or a negative errno. */
int source_watch_open(struct source_watch *watch, const char *path);
void source_watch_close(struct source_watch *watch);

/* Takes all events; true when the file was written, or another took its name. Does not block. */
bool source_watch_changed(struct source_watch *watch);

#endif
