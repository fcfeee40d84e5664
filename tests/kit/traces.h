/* SPDX-License-Identifier: MIT */
/* What a test leaves behind: descriptors, threads, maps of its files, files that nobody asked for. */
#ifndef COMAP_TESTS_KIT_TRACES_H
#define COMAP_TESTS_KIT_TRACES_H

/* Notes how things stand. 0, or -1 where /proc cannot be read. */
int traces_begin(void);
/* Says what is left over, removes the test's files; how many kinds of things it found. */
int traces_end(void);

#endif
