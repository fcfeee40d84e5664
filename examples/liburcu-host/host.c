/* SPDX-License-Identifier: MIT */
/* A program that is built on liburcu reads a region inside its own read sections.
 *
 *     liburcu-host REGION VALUE [SECONDS]
 *
 * Its threads know rcu_read_lock() and nothing of comap's sections; the flavour that is named at open
 * makes each of theirs protect region memory too. One line a second: versions seen, looks taken. */
#include <comap/easy.h>
#include <urcu/urcu-memb.h>

#include <pthread.h>
#include <unistd.h>

enum { READERS = 4 };

static struct comap_value *value;
static struct comap_u64 looks, newest;
static struct comap_u32 stop;

static void *read_it(void *argument)
{
	urcu_memb_register_thread();
	while (!comap_u32_load_relaxed(&stop)) { /* relaxed: a flag, looked at again soon */
		urcu_memb_read_lock();
		struct comap_view view = comap_value_view(value);
		if (view.data) {
			comap_u64_add_relaxed(&looks, 1); /* relaxed: counters */
			comap_u64_max_acq_rel(&newest, view.version);
		}
		urcu_memb_read_unlock();
	}
	urcu_memb_unregister_thread();
	return argument;
}

int main(int argc, char **argv)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	unsigned seconds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 3;
	pthread_t readers[READERS];
	struct comap *region;

	if (argc < 3) {
		fprintf(stderr, "Usage: liburcu-host REGION VALUE [SECONDS]\n");
		return 2;
	}
	options.flags = COMAP_WAIT;
	options.host_flavor = &urcu_memb_flavor;
	region = comap_open_with(argv[1], &options);
	if (!region)
		comap_die(argv[1]);
	value = comap_value_open_or_die(region, argv[2], NULL);
	for (int i = 0; i < READERS; i++)
		if (pthread_create(&readers[i], NULL, read_it, NULL) != 0)
			comap_die("thread");
	for (; seconds > 0; seconds--) {
		sleep(1);
		/* relaxed: numbers to show */
		printf("version %ju, %ju looks by %d threads\n",
		       (uintmax_t)comap_u64_load_relaxed(&newest),
		       (uintmax_t)comap_u64_load_relaxed(&looks), READERS);
	}
	comap_u32_store_relaxed(&stop, 1); /* relaxed: the join orders */
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	comap_value_close(value);
	return comap_close(region) == 0 ? 0 : 1;
}
