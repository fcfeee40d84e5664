/* SPDX-License-Identifier: MIT */
/* Named fault points: where a test may stop or end the process in the middle of an operation.
 *
 *     COMAP_FAULT("create.linked");
 *
 * says that this point has been reached; the name is "operation.what-has-just-happened". While no
 * test has set a hook a point costs one load and a branch that is always taken; release builds
 * (without COMAP_FAULTS) have none of it. Never inside an inline function of a public header: those
 * are compiled into programs that do not know the hook.
 *
 * The hook is set before the operation begins and runs in the thread that reached the point, in the
 * library's own context: it may kill the process, stop it, count, or wait, and must call nothing of
 * comap. */
#ifndef COMAP_IPC_FAULT_H
#define COMAP_IPC_FAULT_H

#ifdef COMAP_FAULTS
extern void (*comap__fault_hook)(const char *name);

#define COMAP_FAULT(name) \
	do { \
		if (__builtin_expect(comap__fault_hook != 0, 0)) \
			comap__fault_hook(name); \
	} while (0)
#else
#define COMAP_FAULT(name) ((void)0)
#endif

#endif
