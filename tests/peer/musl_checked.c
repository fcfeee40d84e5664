/* SPDX-License-Identifier: MIT */
/* Debian's archives of liburcu and xxHash are compiled for glibc with _FORTIFY_SOURCE: two of its checked
 * calls are in them, which musl does not have. All else that they use, it has; the types whose size
 * they compiled in are looked at here. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
_Static_assert(sizeof(pthread_mutex_t) == 40 && sizeof(pthread_cond_t) == 48 &&
               sizeof(pthread_attr_t) == 56 && sizeof(sigset_t) == 128, "as in glibc");
#endif

int __fprintf_chk(FILE *file, int flag, const char *format, ...);
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);

int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
	va_list arguments;
	int printed;

	(void)flag;
	va_start(arguments, format);
	printed = vfprintf(file, format, arguments);
	va_end(arguments);
	return printed;
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
	if (size > room)
		abort();
	return memcpy(to, from, size);
}
