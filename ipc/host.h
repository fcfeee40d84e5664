/* SPDX-License-Identifier: MIT */
/* Tree RCU: a process that is built on liburcu reads regions in its own read sections. */
#ifndef COMAP_IPC_HOST_H
#define COMAP_IPC_HOST_H

#include "region.h"

/* Starts the helper that answers for the host's threads. The process must be attached. */
int comap__host_start(struct comap *region, const struct rcu_flavor_struct *flavor);
void comap__host_stop(struct comap *region);

/* Is the calling thread inside a section of the host's flavour? */
bool comap__host_in_section(const struct comap *region);

#endif
