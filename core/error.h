/* SPDX-License-Identifier: MIT */
/* How the library reports a failure: fill the thread's last error, return the negative errno. */
#ifndef COMAP_CORE_ERROR_H
#define COMAP_CORE_ERROR_H

#include <comap/error.h>

/* Fails with the cause's own errno. */
int comap__fail(enum comap_cause cause, const char *format, ...) COMAP_PRINTF(2, 3);

/* Fails with an errno that the operating system gave; ": <strerror>" is appended. `code` may be
 * of either sign. ENOSPC, ENOMEM, EACCES, ENOENT ... get the cause that goes with them. */
int comap__fail_errno(int code, const char *format, ...) COMAP_PRINTF(2, 3);

/* The same, for details that the caller adds: comap__fail_at(...)->seat = 3. */
struct comap_error *comap__error(void);

#endif
