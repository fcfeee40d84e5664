/* SPDX-License-Identifier: MIT */
/* What a test leaves behind, and the folders that its files lie in. See traces.h and proc.h. */
#include "traces.h"

#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATHS_MAX 1024u

static char folders[PROC_PLACES][PATH_MAX];  /* "" until asked for */
static char *paths[PATHS_MAX];
static unsigned path_count;
static unsigned test_number;
static int descriptor_count, thread_count;

static int count_entries(const char *folder)
{
	struct dirent *entry;
	int count = 0;
	DIR *dir = opendir(folder);

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

int traces_begin(void)
{
	test_number++;
	descriptor_count = count_entries("/proc/self/fd");
	thread_count = count_entries("/proc/self/task");
	return descriptor_count < 0 || thread_count < 0 ? -1 : 0;
}

static void make_folder(enum proc_place place)
{
	char cwd[PATH_MAX / 2] = "/dev/shm";

	if (folders[place][0])
		return;
	if (place == PROC_DISK && !getcwd(cwd, sizeof cwd))
		fail_msg("getcwd: %s", strerror(errno));
	snprintf(folders[place], sizeof folders[place], "%s/comap-test-%d-%u", cwd, (int)getpid(),
	         test_number);
	if (mkdir(folders[place], 0700) != 0)
		fail_msg("%s: %s", folders[place], strerror(errno));
}

const char *proc_folder(enum proc_place place)
{
	make_folder(place);
	return folders[place];
}

static const char *find_path(const char *path)
{
	for (unsigned i = 0; i < path_count; i++)
		if (strcmp(paths[i], path) == 0)
			return paths[i];
	return NULL;
}

const char *proc_path(enum proc_place place, const char *name)
{
	char path[PATH_MAX];
	const char *known;

	make_folder(place);
	if (snprintf(path, sizeof path, "%s/%s", folders[place], name) >= PATH_MAX)
		fail_msg("%s: too long a name", name);
	known = find_path(path);
	if (known)
		return known;
	if (path_count == PATHS_MAX || !(paths[path_count] = strdup(path)))
		fail_msg("more than %u paths in one test", PATHS_MAX);
	return paths[path_count++];
}

const char *proc_place_name(enum proc_place place)
{
	return place == PROC_SHM ? "/dev/shm" : "disk";
}

static int empty_folder(const char *folder, bool keep)
{
	struct dirent *entry;
	char path[PATH_MAX];
	int left = 0;
	DIR *dir = opendir(folder);

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= PATH_MAX)
			continue;
		if (!find_path(path)) {
			print_error("left behind: file %s\n", path);
			left++;
		}
		if (!keep && unlink(path) != 0)
			(void)rmdir(path);
	}
	if (dir)
		closedir(dir);
	return left;
}

static int files_left(void)
{
	bool keep = getenv("COMAP_KEEP") != NULL;
	int left = 0;

	for (unsigned place = 0; place < PROC_PLACES; place++) {
		if (!folders[place][0])
			continue;
		left += empty_folder(folders[place], keep);
		if (!keep && rmdir(folders[place]) != 0 && errno != ENOENT) {
			print_error("left behind: folder %s\n", folders[place]);
			left++;
		}
	}
	for (unsigned i = 0; i < path_count; i++)
		free(paths[i]);
	path_count = 0;
	return left;
}

/* Maps of files in the test's folders, deleted or not. */
static int maps_left(void)
{
	char line[PATH_MAX + 200];
	int left = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	while (maps && fgets(line, sizeof line, maps)) {
		if (!strstr(line, "/comap-test-"))
			continue;
		print_error("left behind: map %s", line);
		left++;
	}
	if (maps)
		fclose(maps);
	return left;
}

static void print_descriptors(void)
{
	char link[64], target[PATH_MAX];
	ssize_t length;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		length = readlink(link, target, sizeof target - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		print_error("  descriptor %d: %s\n", fd, target);
	}
}

static int descriptors_left(void)
{
	int now = count_entries("/proc/self/fd");

	if (now == descriptor_count)
		return 0;
	print_error("left behind: %d descriptors, %d before the test\n", now, descriptor_count);
	print_descriptors();
	return 1;
}

/* A thread that has been joined may still be on its way out of the kernel's list. */
static int threads_left(void)
{
	int now = 0;

	for (int i = 0; i < 500; i++) {
		now = count_entries("/proc/self/task");
		if (now <= thread_count)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	print_error("left behind: %d threads, %d before the test\n", now, thread_count);
	return 1;
}

int traces_end(void)
{
	int left = maps_left() + descriptors_left() + threads_left() + files_left();

	memset(folders, 0, sizeof folders);
	return left;
}
