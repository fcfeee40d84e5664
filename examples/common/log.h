/* SPDX-License-Identifier: MIT */
/* Log lines on standard error: time (UTC), program, pid, message. Under systemd, which
 * adds these itself, the level in front instead. One write per line: lines of several processes do
 * not mix. */
#ifndef EXAMPLES_COMMON_LOG_H
#define EXAMPLES_COMMON_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Lines above this level are dropped; LOG_INFO at the start. */
extern enum log_level log_level_max;

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)

#endif
