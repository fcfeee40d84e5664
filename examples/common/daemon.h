/* SPDX-License-Identifier: MIT */
/* What both daemons share: exit statuses, signals as a descriptor, numbers from arguments. */
#ifndef EXAMPLES_COMMON_DAEMON_H
#define EXAMPLES_COMMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

enum exit_status {
	EXIT_OK = 0,          /* ended by SIGTERM or SIGINT, or had nothing more to do */
	EXIT_FAILED = 1,      /* the operating system refused something */
	EXIT_USAGE = 2,       /* the command line makes no sense */
	EXIT_REGION = 3,      /* the region cannot be opened */
	EXIT_ROLE = 4,        /* another process publishes the value */
	EXIT_SUPERSEDED = 5,  /* the region was unlinked or replaced: start again to follow */
	EXIT_WRONG = 6,       /* a torn read or a wrong answer was found */
	EXIT_SOURCE = 7,      /* the source cannot be read, or is no table, at the start */
};

/* Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 for this thread and those that it starts, and returns
 * a descriptor that tells of them; -errno. */
int signals_open(void);

/* The next signal within `timeout_ms` (-1: however long it takes); 0: none. `other_fd` (-1: none)
 * ends the wait as well. */
int signals_wait(int signals_fd, int other_fd, int timeout_ms);

/* A decimal number within the range, and nothing after it. */
bool number_from(const char *text, uint64_t low, uint64_t high, uint64_t *ret_number);
/* One character between cells, or "tab"; false: it cannot stand there (quotes, line ends). */
bool separator_from(const char *text, char *ret_separator);
/* Says on standard error what is wrong with an argument, and ends the program with EXIT_USAGE. */
void usage_exit(const char *program, const char *what, const char *argument)
	__attribute__((noreturn));

uint64_t realtime_ns(void);

#endif
