/* SPDX-License-Identifier: MIT */
/* Tells the service manager how we are: the datagram of sd_notify(3), and nothing else of it. */
#ifndef EXAMPLES_COMMON_NOTIFY_H
#define EXAMPLES_COMMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...", "STATUS=...", "WATCHDOG=1". 1: sent;
 * 0: nobody asked for it ($NOTIFY_SOCKET is not set); or a negative errno. */
int notify(const char *state);
int notifyf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants WATCHDOG=1, in ms (half of $WATCHDOG_USEC); 0: not at all. */
uint64_t notify_watchdog_ms(void);

#endif
