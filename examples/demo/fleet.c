/* SPDX-License-Identifier: MIT */
/* The demo's processes. */
#include "fleet.h"

#include <comap/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void become(char *const argv[], int log_fd, int output_fd) __attribute__((noreturn));
static void become(char *const argv[], int log_fd, int output_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(output_fd >= 0 ? output_fd : log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int member_start(struct member *member, const char *name, char *const argv[], const char *log_path,
                 int output_fd)
{
	int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid_t pid;

	if (log_fd < 0)
		return -errno;
	*member = (struct member){ 0 };
	snprintf(member->name, sizeof member->name, "%s", name);
	pid = fork();
	if (pid == 0)
		become(argv, log_fd, output_fd);
	close(log_fd);
	if (pid < 0)
		return -errno;
	member->pid = pid;
	return 0;
}

int member_signal(struct member *member, int signal_number)
{
	if (member->pid == 0)
		return -ESRCH;
	if (kill(member->pid, signal_number) != 0)
		return -errno;
	if (signal_number == SIGSTOP || signal_number == SIGCONT)
		member->stopped = signal_number == SIGSTOP;
	return 0;
}

int member_stop(struct member *member)
{
	int result = member_signal(member, SIGSTOP), status;

	if (result != 0)
		return result;
	while (waitpid(member->pid, &status, WUNTRACED) != member->pid)
		if (errno != EINTR)
			return -errno;
	if (WIFSTOPPED(status))
		return 0;
	member->pid = 0; /* it has ended instead */
	member->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return -ESRCH;
}

bool member_ended(struct member *member)
{
	int status;

	if (member->pid == 0)
		return true;
	if (waitpid(member->pid, &status, WNOHANG) != member->pid)
		return false;
	member->pid = 0;
	member->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return true;
}

int member_wait(struct member *member, uint64_t limit_ms)
{
	uint64_t deadline_ns = comap_deadline_ms(limit_ms);

	while (!member_ended(member)) {
		if (comap_now_ns() >= deadline_ns) {
			kill(member->pid, SIGKILL);
			waitpid(member->pid, NULL, 0);
			member->pid = 0;
			member->status = -ETIMEDOUT;
			break;
		}
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return member->status;
}
