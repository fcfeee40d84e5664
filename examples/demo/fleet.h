/* SPDX-License-Identifier: MIT */
/* The demo's processes: started by exec, known by pid, ended with it; they log to files. */
#ifndef EXAMPLES_DEMO_FLEET_H
#define EXAMPLES_DEMO_FLEET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct member {
	char name[32];
	pid_t pid;            /* 0: not running */
	int status;           /* exit status, or -signal, once it has ended */
	bool stopped;
};

/* Starts argv[0] with its standard error appended to `log_path` and its standard output to
 * `output_fd` (-1: the same file). It is killed when this process ends. 0, or a negative errno. */
int member_start(struct member *member, const char *name, char *const argv[], const char *log_path,
                 int output_fd);

/* Sends the signal; 0, or a negative errno. */
int member_signal(struct member *member, int signal_number);

/* Stops it (SIGSTOP), and returns when it stands still. 0, or a negative errno. */
int member_stop(struct member *member);

/* Waits until it has ended, at most so long; then it is killed and its status is -ETIMEDOUT.
 * Returns the status. */
int member_wait(struct member *member, uint64_t limit_ms);

/* It has ended by itself; its status is set. Does not block. */
bool member_ended(struct member *member);

#endif
