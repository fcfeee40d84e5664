/* SPDX-License-Identifier: MIT */
/* See crowd.h. */
#include "crowd.h"

#include <comap/pages.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(crowd_part *part, void *context, int ready)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!part(context) || write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int add(pid_t pid, struct crowd_sums *sums)
{
	struct comap_pages pages;

	if (comap_pages_process(pid, &pages) != 0)
		return -1;
	sums->rss_bytes += pages.rss_bytes;
	sums->pss_bytes += pages.pss_bytes;
	sums->page_table_bytes += pages.page_table_bytes;
	sums->private_dirty_bytes += pages.private_dirty_bytes;
	return 0;
}

int crowd_measure(unsigned count, crowd_part *part, void *context, struct crowd_sums *ret_sums)
{
	pid_t children[CROWD_MAX];
	struct crowd_sums sums = { 0 };
	int ready[2], code = 0;
	char byte;

	if (count > CROWD_MAX || pipe(ready) != 0)
		return -1;
	for (unsigned i = 0; i < count; i++)
		children[i] = start(part, context, ready[1]);
	close(ready[1]);
	for (unsigned i = 0; i < count && code == 0; i++)
		code = children[i] > 0 && read(ready[0], &byte, 1) == 1 ? 0 : -1;
	for (unsigned i = 0; i < count && code == 0; i++)
		code = add(children[i], &sums);
	for (unsigned i = 0; i < count; i++)
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	close(ready[0]);
	if (code == 0)
		*ret_sums = sums;
	return code;
}
