/* SPDX-License-Identifier: MIT */
/* Tree RCU: liburcu's read sections of one process, seen by comap as one reader.
 *
 * A process may have hundreds of threads in rcu_read_lock() sections of a liburcu flavour, which is
 * private to it. For the region it is one thread record, the proxy, whose mark is never 0: it says up
 * to which epoch the whole process is known to be past. A synchronizer that finds it in the way asks
 * (request, futex); a helper thread answers:
 *
 *     g = epoch                        (acquire: all that was unlinked before g is seen from here)
 *     flavour's synchronize_rcu()      (every section of the host that had begun is over; those
 *                                       that begin meanwhile see what this thread has seen)
 *     mark = g                         (release: those sections' loads are over)
 *
 * The epoch must be read before the flavour's synchronize and not after: what is unlinked in between
 * may still be seen by sections that began during it.
 *
 * Ordering:   [edge host.request], [edge rcu.epoch], [edge rcu.quiescent]
 * Progress:   a grace period costs the region one of the flavour's; nothing is paid on the read side
 * If the process dies: its proxy is a dead seat's record like any other. If it is stopped: the grace
 *             period waits, and the error names its seat */
#include "host.h"

#include "error.h"
#include "futex.h"
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <urcu/flavor.h>

#define IDLE_NS 1000000000u /* a request that was lost with its asker costs a second at most */

struct comap__host {
	const struct rcu_flavor_struct *flavor;
	struct comap_thread_shm *thread;  /* the proxy's record */
	struct comap *region;
	struct comap_u32 stop;
	pthread_t helper;
};

static void report(struct comap__host *host)
{
	/* [edge rcu.epoch] acq: before the flavour's synchronize */
	uint64_t epoch = comap_u64_load_acquire(&host->region->control->epoch);

	host->flavor->update_synchronize_rcu();
	/* [edge rcu.quiescent] rel: all sections that could have seen more are over */
	comap_u64_store_release(&host->thread->mark, epoch << COMAP__MARK_EPOCH_SHIFT | 1);
}

static void *help(void *argument)
{
	struct comap__host *host = argument;
	struct comap_u32 *request = &host->thread->request;

	while (!comap_u32_load_acquire(&host->stop)) { /* [edge host.stop] acq */
		/* [edge host.request] both: the asker's ticket is seen by the report that follows */
		if (comap_u32_exchange_seq_cst(request, 0))
			report(host);
		else
			comap__futex_wait(request, 0, comap_now_ns() + IDLE_NS);
	}
	return NULL;
}

/* The library's threads take no signals that are meant for the program. SIGBUS and the like cannot
 * be put off, and the guard needs them. */
static int start_helper(struct comap__host *host)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&host->helper, NULL, help, host);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code ? comap__fail_errno(code, "cannot start the helper of a liburcu host") : 0;
}

int comap__host_start(struct comap *region, const struct rcu_flavor_struct *flavor)
{
	struct comap__host *host = calloc(1, sizeof *host);
	uint32_t record;
	int code;

	if (!host)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for the helper of a liburcu host");
	code = comap__thread_claim(region, region->attachment->seat_token, true, &record);
	if (code) {
		free(host);
		return code;
	}
	host->flavor = flavor;
	host->region = region;
	host->thread = &region->threads[record];
	/* relaxed: seen with the mark, or asked for later */
	comap_u32_store_relaxed(&host->thread->proxy, 1);
	/* [edge rcu.epoch] acq. The host's threads find nothing in the region before this open returns,
	 * so an epoch of now is right. [edge rcu.quiescent] rel. */
	comap_u64_store_release(&host->thread->mark, comap_u64_load_acquire(&region->control->epoch)
	                        << COMAP__MARK_EPOCH_SHIFT | 1);
	/* [edge rcu.mark] full: the mark before whatever the host's threads load */
	comap_fence_full();
	code = start_helper(host);
	if (code) {
		comap__thread_release(region, host->thread);
		free(host);
		return code;
	}
	region->host = host;
	return 0;
}

void comap__host_stop(struct comap *region)
{
	struct comap__host *host = region->host;

	if (!host)
		return;
	/* In a forked child the helper does not exist, and the record is the parent's. */
	if (comap_u32_load_relaxed(&region->attachment->attached)) { /* relaxed: this process's word */
		comap_u32_store_release(&host->stop, 1); /* [edge host.stop] rel */
		comap_u32_exchange_seq_cst(&host->thread->request, 1); /* [edge host.request] wake it */
		comap__futex_wake(&host->thread->request, 1);
		pthread_join(host->helper, NULL);
		host->flavor->update_synchronize_rcu();
		comap__thread_release(region, host->thread);
	}
	region->host = NULL;
	free(host);
}

bool comap__host_in_section(const struct comap *region)
{
	return region->host->flavor->read_ongoing();
}
