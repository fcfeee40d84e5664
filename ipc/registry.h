/* SPDX-License-Identifier: MIT */
/* What this process has open: regions and objects, by name, found without a lock. */
#ifndef COMAP_IPC_REGISTRY_H
#define COMAP_IPC_REGISTRY_H

#include <comap/base.h>

/* One open thing. Embedded at the start of its handle's memory is not needed: `handle` points to it. */
struct comap__entry;

/* Makes the handle when nobody has it: 0 and *ret_handle, or an error. The handle keeps `entry`, if it
 * wants to be given back by it: others may find the handle before comap__registry_get() returns. */
typedef int comap__registry_make(void *context, struct comap__entry *entry, void **ret_handle);
/* Unmakes it, when the last reference is gone and no lookup can find it. */
typedef void comap__registry_unmake(void *handle);
/* Is the handle still the one that its name means? NULL: always. */
typedef bool comap__registry_current(const void *handle);

/* Finds `key` and counts a reference, or makes it. `*ret_entry` is what comap__registry_put() takes.
 * A hit: a lookup in a lock-free hash table under urcu-bp, no lock, no system call. */
int comap__registry_get(const char *key, comap__registry_current *current, comap__registry_make *make,
                        comap__registry_unmake *unmake, void *context, bool *ret_made,
                        void **ret_handle, struct comap__entry **ret_entry);

/* One more reference to something that the caller holds one of. */
void comap__registry_ref(struct comap__entry *entry);

/* One reference less; the last one waits for lookups under way and unmakes the handle. */
void comap__registry_put(struct comap__entry *entry);

/* Would the next put be the last one? */
bool comap__registry_is_last(const struct comap__entry *entry);

#endif
