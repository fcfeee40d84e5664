/* SPDX-License-Identifier: MIT */
/* What this process has open: regions and objects, by name, found without a lock.
 *
 * Where it lives: process memory: a lock-free hash table of liburcu (cds_lfht) under its urcu-bp
 *             flavour, which registers threads by itself: a library cannot ask its host's threads to.
 * Invariants: I1 an entry in the table has a reference or is being taken out
 *             I2 a reference count that has come to 0 never rises again
 *             I3 memory of an entry outlives every lookup that can have found it
 * Writers:    under `changes`; readers: urcu_bp read sections
 * Progress:   a hit is wait-free but for the counter; misses and last closes block each other
 * fork:       urcu-bp is told by pthread_atfork handlers */
#include "registry.h"

#include "error.h"
#include "region.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urcu-bp.h>
#include <urcu/rculfhash.h>
#include <xxhash.h>

#define BUCKETS 256 /* fixed: resizing would take a worker thread, which does not survive fork */

struct comap__entry {
	struct cds_lfht_node node;
	comap__registry_unmake *unmake;
	void *handle;
	long references;  /* __atomic; see I2 */
	bool listed;      /* under `changes` */
	char key[];
};

static struct cds_lfht *table;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t changes = PTHREAD_MUTEX_INITIALIZER;

/* --- a filter against membarrier() that comes after the start ----------------------------------- */

static bool liburcu_barrier;    /* liburcu-bp has learnt, as this program began, that the call works */

static bool can_private_barrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* When liburcu-bp looks for itself, in a constructor of its own. */
static __attribute__((constructor)) void learn_barrier(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	liburcu_barrier = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

/* Waits for the lookups that may have found an entry (I3). False where that cannot be waited for: liburcu
 * would end the program. */
static bool wait_for_lookups(void)
{
	if (liburcu_barrier && !can_private_barrier())
		return false;
	urcu_bp_synchronize_rcu();
	return true;
}

/* --- the table ----------------------------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&changes);
	comap__regions_before_fork();
	urcu_bp_before_fork();
}
static void after_fork_parent(void)
{
	urcu_bp_after_fork_parent();
	comap__regions_after_fork();
	pthread_mutex_unlock(&changes);
}
static void after_fork_child(void)
{
	urcu_bp_after_fork_child();
	comap__regions_after_fork();
	pthread_mutex_unlock(&changes);
}

static void make_table(void)
{
	table = cds_lfht_new_flavor(BUCKETS, BUCKETS, BUCKETS, 0, &urcu_bp_flavor, NULL);
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* liburcu's own macro for it raises alignment, which clang minds. */
static struct comap__entry *entry_of(struct cds_lfht_node *node)
{
	return (void *)((char *)node - offsetof(struct comap__entry, node));
}

static unsigned long hash(const char *key)
{
	return (unsigned long)XXH64(key, strlen(key), 0);
}

static int matches(struct cds_lfht_node *node, const void *key)
{
	return strcmp(entry_of(node)->key, key) == 0;
}

/* A reference, unless the last one is gone (I2). */
static bool ref_unless_zero(struct comap__entry *entry)
{
	/* Acquire: seen a count, so the entry is whole (see make_entry). The CAS decides. */
	long count = __atomic_load_n(&entry->references, __ATOMIC_ACQUIRE);

	while (count > 0)
		if (__atomic_compare_exchange_n(&entry->references, &count, count + 1, true,
		                                __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static struct comap__entry *find(const char *key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	struct comap__entry *entry = NULL;

	urcu_bp_read_lock();
	cds_lfht_lookup(table, hash(key), matches, key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node) {
		entry = entry_of(node);
		if (!ref_unless_zero(entry))
			entry = NULL;
	}
	urcu_bp_read_unlock();
	return entry;
}

/* Under `changes`: later lookups miss it; those that hold it go on. */
static void unlist(struct comap__entry *entry)
{
	if (!entry->listed)
		return;
	urcu_bp_read_lock();
	cds_lfht_del(table, &entry->node);
	urcu_bp_read_unlock();
	entry->listed = false;
}

static int make_entry(const char *key, comap__registry_make *make, comap__registry_unmake *unmake,
                      void *context, struct comap__entry **ret_entry)
{
	size_t key_bytes = strlen(key) + 1;
	struct comap__entry *entry = calloc(1, sizeof *entry + key_bytes);
	int code;

	if (!entry)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for a handle");
	code = make(context, entry, &entry->handle);
	if (code) {
		free(entry);
		return code;
	}
	memcpy(entry->key, key, key_bytes);
	entry->unmake = unmake;
	entry->listed = true;
	cds_lfht_node_init(&entry->node);
	/* Releases the entry to whoever takes a reference (acquire), without help from the table. */
	__atomic_store_n(&entry->references, 1, __ATOMIC_RELEASE);
	urcu_bp_read_lock();
	cds_lfht_add(table, hash(key), &entry->node);
	urcu_bp_read_unlock();
	*ret_entry = entry;
	return 0;
}

int comap__registry_get(const char *key, comap__registry_current *current, comap__registry_make *make,
                        comap__registry_unmake *unmake, void *context, bool *ret_made,
                        void **ret_handle, struct comap__entry **ret_entry)
{
	struct comap__entry *entry;
	int code = 0;

	pthread_once(&table_once, make_table);
	if (!table)
		return comap__fail(COMAP_CAUSE_NO_MEMORY, "no memory for the table of handles");
	*ret_made = false;
	entry = find(key);
	if (entry && (!current || current(entry->handle)))
		goto found;
	pthread_mutex_lock(&changes);
	if (entry) { /* its name means another one by now */
		unlist(entry);
		pthread_mutex_unlock(&changes);
		comap__registry_put(entry);
		pthread_mutex_lock(&changes);
	}
	entry = find(key);
	if (!entry) {
		code = make_entry(key, make, unmake, context, &entry);
		*ret_made = code == 0;
	}
	pthread_mutex_unlock(&changes);
	if (code)
		return code;
found:
	*ret_handle = entry->handle;
	*ret_entry = entry;
	return 0;
}

void comap__registry_ref(struct comap__entry *entry)
{
	__atomic_fetch_add(&entry->references, 1, __ATOMIC_RELAXED); /* the caller's own keeps it */
}

bool comap__registry_is_last(const struct comap__entry *entry)
{
	return __atomic_load_n(&entry->references, __ATOMIC_RELAXED) == 1; /* a moment's answer */
}

/* A function of its own, by which a tool that does not see liburcu's grace periods can be told. */
static void free_entry(struct comap__entry *entry)
{
	free(entry);
}

void comap__registry_put(struct comap__entry *entry)
{
	bool unseen;

	/* Each put releases what its holder did; the last acquires it all. */
	if (__atomic_fetch_sub(&entry->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	pthread_mutex_lock(&changes);
	unlist(entry);
	pthread_mutex_unlock(&changes);
	unseen = wait_for_lookups();
	/* What a lookup without a reference looks at is the entry, not its handle (I2). */
	entry->unmake(entry->handle);
	if (unseen)
		free_entry(entry); /* else it stays: some hundred bytes for each last close */
}
