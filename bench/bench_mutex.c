/* SPDX-License-Identifier: MIT */
/* The lock between processes, which survives its owner, against pthread's robust one that does too. */
#include "kit.h"

#include "mutex.h"
#include "thread.h"

#include <comap.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define KILLS 4u /* per round and kind */

static struct comap *region;
static struct comap_u64 *lock;   /* in shared memory: the lock works on any shared word */
static pthread_mutex_t *robust;
static uint64_t token;

static void pair_comap(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		bench_need(comap__mutex_lock(region, lock, token, COMAP_FOREVER) == 0);
		comap__mutex_unlock(lock, token);
	}
}

static void pair_robust(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		bench_need(pthread_mutex_lock(robust) == 0);
		pthread_mutex_unlock(robust);
	}
}

static void hold_comap(void *context)
{
	bench_need(comap_attach(region) == 0);
	bench_need(comap__mutex_lock(region, lock, comap__thread_row(region)->token, COMAP_FOREVER) == 0);
	comap_u64_add_acq_rel(bench_shared(0), 1); /* release: it is held */
	for (;;)
		pause();
}

static void hold_robust(void *context)
{
	bench_need(pthread_mutex_lock(robust) == 0);
	comap_u64_add_acq_rel(bench_shared(0), 1); /* release: it is held */
	for (;;)
		pause();
}

/* From the kill to the lock in our hands, in ms, the worst of some. */
static double worst_recovery(void (*hold)(void *context))
{
	double worst = 0, ms;

	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t held = comap_u64_load_relaxed(bench_shared(0)), begin; /* relaxed: only compared */
		pid_t pid = bench_fork(hold, NULL);

		bench_await(bench_shared(0), held + 1);
		begin = bench_ticks();
		bench_need(kill(pid, SIGKILL) == 0);
		if (hold == hold_comap) {
			bench_need(comap__mutex_lock(region, lock, token, COMAP_FOREVER) == 1);
			comap__mutex_unlock(lock, token);
		} else {
			bench_need(pthread_mutex_lock(robust) == EOWNERDEAD);
			bench_need(pthread_mutex_consistent(robust) == 0 && pthread_mutex_unlock(robust) == 0);
		}
		ms = bench_ticks_ns(bench_ticks() - begin) / 1e6;
		bench_wait(pid);
		worst = ms > worst ? ms : worst;
	}
	return worst;
}

static void set_up(void)
{
	pthread_mutexattr_t attributes;

	region = comap_open(bench_path("region"), COMAP_CREATE);
	bench_need(region && comap_thread_register(region) == 0);
	token = comap__thread_row(region)->token;
	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bench_need(lock != MAP_FAILED);
	robust = (pthread_mutex_t *)(void *)((char *)lock + 1024);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	bench_need(pthread_mutex_init(robust, &attributes) == 0);
	pthread_mutexattr_destroy(&attributes);
}

int main(int argc, char **argv)
{
	struct bench_metric *comap, *peer, *recovery, *peer_recovery;

	bench_begin(argc, argv, "mutex", "a lock between processes that survives its owner");
	set_up();
	comap = bench_metric("lock and unlock, alone, comap", "ns");
	peer = bench_metric("lock and unlock, alone, robust pthread", "ns");
	recovery = bench_metric("owner's SIGKILL to lock, worst of 4, comap", "ms");
	peer_recovery = bench_metric("owner's SIGKILL to lock, worst of 4, pthread", "ms");
	struct bench_case cases[] = { { comap, pair_comap }, { peer, pair_robust } };

	while (bench_round()) {
		bench_interleave(cases, 2);
		bench_put(recovery, worst_recovery(hold_comap));
		bench_put(peer_recovery, worst_recovery(hold_robust));
	}
	bench_against(comap, peer, 1);
	bench_against(recovery, peer_recovery, 0);
	bench_need(comap_close(region) == 0);
	bench_note("a sleeper asks after 1 ms, then less and less often, whether the owner lives; the kernel "
	           "wakes pthread's at once");
	return bench_end();
}
