/* SPDX-License-Identifier: MIT */
/* What the demo's processes cost, as the kernel counts it. */
#include "memory.h"
#include "fleet.h"

#include "../registry/registry.h"

#include <comap/easy.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBERS_MAX 64

static int measure_one(struct comap_pages_key key, pid_t pid, struct memory_sum *sum)
{
	struct comap_pages region, all;
	int result = comap_pages_file(pid, key, &region);

	if (result == 0)
		result = comap_pages_process(pid, &all);
	if (result != 0)
		return result;
	sum->process_count++;
	sum->rss_bytes += region.rss_bytes;
	sum->pss_bytes += region.pss_bytes;
	sum->all_rss_bytes += all.rss_bytes;
	sum->all_pss_bytes += all.pss_bytes;
	return 0;
}

/* The first process with each of the others, over the whole file. */
static int compare_frames(struct comap_pages_key key, const pid_t *pids, size_t pid_count,
                          size_t page_count, struct memory_sum *sum)
{
	for (size_t i = 1; i < pid_count; i++) {
		struct comap_pages_match match;
		int result = comap_pages_compare(pids[0], pids[i], key, 0, page_count, &match);

		if (result != 0)
			return result;
		sum->pairs++;
		sum->pages_both += match.both_count;
		sum->pages_same += match.same_count;
	}
	return 0;
}

int memory_measure(const char *path, const pid_t *pids, size_t pid_count,
                   struct memory_sum *ret_sum)
{
	struct memory_sum sum = { 0 };
	struct comap_pages_key key;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -errno;
	result = fstat(fd, &status) == 0 ? comap_pages_key(fd, &key) : -errno;
	close(fd);
	for (size_t i = 0; i < pid_count && result == 0; i++)
		result = measure_one(key, pids[i], &sum);
	if (result != 0)
		return result;
	sum.frames_result = compare_frames(key, pids, pid_count, (size_t)status.st_size /
	                                   (size_t)sysconf(_SC_PAGESIZE), &sum);
	*ret_sum = sum;
	return 0;
}

static int read_shared(struct comap *region, struct comap_value *value)
{
	struct registry registry;
	int result = -ENODATA;

	COMAP_READ(region) {
		struct comap_view view = comap_value_view(value);

		if (registry_open(&registry, view.data, view.size_bytes) == 0)
			result = registry_verify(&registry);
	}
	return result;
}

static int read_private(struct comap_value *value)
{
	struct registry registry;
	struct comap_view view = { 0 };
	void *copy;
	int result = comap_value_get(value, NULL, 0, &view);

	if (result != -ENOBUFS)
		return result == 0 ? -ENODATA : result;
	copy = malloc(view.size_bytes); /* kept as long as the process lives */
	result = copy ? comap_value_get(value, copy, view.size_bytes, &view) : -ENOMEM;
	if (result == 0 && registry_open(&registry, copy, view.size_bytes) == 0)
		return registry_verify(&registry);
	return result == 0 ? -EBADMSG : result;
}

int memory_member(const char *kind, const char *name)
{
	bool shared = strcmp(kind, "shared") == 0;
	struct comap *region = comap_open_or_die(name, 0);
	struct comap_value *value = comap_value_open_or_die(region, "registry", NULL);
	int result = shared ? read_shared(region, value) : read_private(value);

	if (result != 0)
		return 1;
	if (!shared) {
		comap_value_close(value);
		comap_close(region);
	}
	if (write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	for (;;)
		pause(); /* until it is killed: it is there to be measured */
}

/* Starts one more, and waits until it has read everything. */
static int start_one(struct member *member, const char *program, const char *kind,
                     const char *region, const char *log_path)
{
	char *argv[] = { (char *)program, (char *)"--member", (char *)kind, (char *)region, NULL };
	int pipe_fds[2];
	struct pollfd wait;
	char ready;
	int result;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return -errno;
	result = member_start(member, kind, argv, log_path, pipe_fds[1]);
	close(pipe_fds[1]);
	wait = (struct pollfd){ pipe_fds[0], POLLIN, 0 };
	if (result == 0 && (poll(&wait, 1, 20000) != 1 || read(pipe_fds[0], &ready, 1) != 1))
		result = -EIO;
	close(pipe_fds[0]);
	return result;
}

static int sum_pss(const struct member *members, size_t count, double *ret_mib)
{
	uint64_t pss_bytes = 0;

	for (size_t i = 0; i < count; i++) {
		struct comap_pages pages;
		int result = comap_pages_process(members[i].pid, &pages);

		if (result != 0)
			return result;
		pss_bytes += pages.pss_bytes;
	}
	*ret_mib = (double)pss_bytes / (1 << 20);
	return 0;
}

static int compare_kind(const char *program, const char *kind, const char *region,
                        const char *log_path, size_t count, struct memory_point *points)
{
	static struct member members[MEMBERS_MAX];
	bool shared = strcmp(kind, "shared") == 0;
	size_t started = 0;
	int result = 0;

	while (started < count && result == 0) {
		result = start_one(&members[started], program, kind, region, log_path);
		if (members[started].pid != 0)
			started++;
		if (result == 0)
			result = sum_pss(members, started,
			                 shared ? &points[started - 1].shared_mib
			                        : &points[started - 1].private_mib);
	}
	for (size_t i = 0; i < started; i++) {
		member_signal(&members[i], SIGKILL);
		member_wait(&members[i], 5000);
	}
	return result;
}

int memory_compare(const char *program, const char *region, const char *log_path,
                   size_t process_count, struct memory_point *ret_points)
{
	int result;

	if (process_count > MEMBERS_MAX)
		return -EINVAL;
	result = compare_kind(program, "shared", region, log_path, process_count, ret_points);
	if (result == 0)
		result = compare_kind(program, "private", region, log_path, process_count,
		                      ret_points);
	return result;
}

static int write_points(const char *path, const struct memory_point *points, size_t point_count)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fprintf(file, "# processes\tshared_mib\tprivate_mib\n");
	for (size_t i = 0; i < point_count; i++)
		fprintf(file, "%zu\t%.3f\t%.3f\n", i + 1, points[i].shared_mib,
		        points[i].private_mib);
	return fclose(file) == 0 ? 0 : -errno;
}

int memory_draw(const char *folder, const struct memory_point *points, size_t point_count,
                double region_mib)
{
	char path[4096];
	FILE *gnuplot;
	int result, status;

	snprintf(path, sizeof path, "%s/memory.tsv", folder);
	result = write_points(path, points, point_count);
	if (result != 0)
		return result;
	gnuplot = popen("gnuplot 2>&1", "we");
	if (!gnuplot)
		return -errno;
	fprintf(gnuplot,
	        "set terminal svg size 760,440 font 'sans,13' background 'white'\n"
	        "set output '%s/memory.svg'\n"
	        "set title 'Memory of N processes that use one table of %.1f MiB'\n"
	        "set xlabel 'processes'\n"
	        "set ylabel 'sum of PSS, MiB'\n"
	        "set yrange [0:*]\nset xrange [0.5:%zu.5]\nset grid ytics\nset key left top\n"
	        "plot '%s' using 1:3 with linespoints lw 2 pt 5 title 'a private copy each', \\\n"
	        "     '%s' using 1:2 with linespoints lw 2 pt 7 title 'one shared map'\n",
	        folder, region_mib, point_count, path, path);
	status = pclose(gnuplot);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
