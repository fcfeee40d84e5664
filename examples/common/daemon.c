/* SPDX-License-Identifier: MIT */
/* What both daemons share. */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int signals_wait(int signals_fd, int other_fd, int timeout_ms)
{
	struct pollfd fds[2] = { { signals_fd, POLLIN, 0 }, { other_fd, POLLIN, 0 } };
	struct signalfd_siginfo info;

	if (poll(fds, 2, timeout_ms) <= 0 || !(fds[0].revents & POLLIN))
		return 0;
	return read(signals_fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

bool number_from(const char *text, uint64_t low, uint64_t high, uint64_t *ret_number)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || number < low || number > high)
		return false;
	*ret_number = number;
	return true;
}

bool separator_from(const char *text, char *ret_separator)
{
	bool tab = strcmp(text, "tab") == 0;

	if (!tab && (strlen(text) != 1 || strchr("\"\n\r", *text)))
		return false;
	*ret_separator = tab ? '\t' : *text;
	return true;
}

void usage_exit(const char *program, const char *what, const char *argument)
{
	fprintf(stderr, "%s: %s: %s; `%s --help` tells more\n", program, what, argument, program);
	exit(EXIT_USAGE);
}

uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
