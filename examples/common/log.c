/* SPDX-License-Identifier: MIT */
/* Log lines on standard error. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level log_level_max = LOG_INFO;

static size_t put_prefix(char *line, size_t size_bytes, enum log_level level)
{
	static const char *const words[] = { [LOG_ERROR] = "error: ", [LOG_WARNING] = "warning: ",
	                                     [LOG_INFO] = "", [LOG_DEBUG] = "" };
	struct timespec now;
	struct tm utc;
	size_t used;

	if (getenv("JOURNAL_STREAM"))
		return (size_t)snprintf(line, size_bytes, "<%d>", (int)level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	used = strftime(line, size_bytes, "%Y-%m-%dT%H:%M:%S", &utc);
	return used + (size_t)snprintf(line + used, size_bytes - used, ".%03ldZ %s[%d]: %s",
	                               now.tv_nsec / 1000000, program_invocation_short_name,
	                               (int)getpid(), words[level]);
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;
	size_t used;
	int added;

	if (level > log_level_max)
		return;
	used = put_prefix(line, sizeof line - 1, level);
	va_start(args, format);
	added = vsnprintf(line + used, sizeof line - 1 - used, format, args);
	va_end(args);
	used += added < 0 ? 0 : (size_t)added;
	if (used > sizeof line - 2)
		used = sizeof line - 2;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nobody listens */
}
