/* SPDX-License-Identifier: MIT */
/* The kernel's map calls, in one place: vm.c is the only caller of mmap, munmap, mremap, mprotect,
 * madvise, msync and mlock. Everything returns 0 or a negative errno and says nothing more; the
 * callers know what they were doing and put it into words. */
#ifndef COMAP_CORE_VM_H
#define COMAP_CORE_VM_H

#include <comap/base.h>

#include <sys/types.h>

size_t comap__vm_page_bytes(void);

/* Address space without memory: PROT_NONE, not reserved against swap, aligned to `align_bytes`
 * (a power of two). Later pieces are laid into it with comap__vm_place(). */
int comap__vm_reserve(size_t size_bytes, size_t align_bytes, void **ret_base);

/* Lays a part of a file over reserved address space, MAP_SHARED | MAP_FIXED. The part may reach
 * past the end of the file: the file grows beneath. */
int comap__vm_place(void *address, size_t size_bytes, int fd, uint64_t offset_bytes, int protection);

/* The same with the caller's own flags (MAP_FIXED is added): private, anonymous, PROT_NONE. */
int comap__vm_lay(void *address, size_t size_bytes, int protection, int flags, int fd,
                  uint64_t offset_bytes);

/* Anywhere, with the caller's own flags. */
int comap__vm_map(size_t size_bytes, int protection, int flags, int fd, uint64_t offset_bytes,
                  void **ret_address);

/* Replaces pages of a broken mapping by private zeros. Async-signal-safe: for the guard's handler. */
int comap__vm_patch(void *address, size_t size_bytes, int protection);

/* Zeroed private memory of which a forked child gets zeros and not a copy: what is true of this
 * process only. -ENOTSUP where the kernel is older than 4.14. */
int comap__vm_wiped_on_fork(size_t size_bytes, void **ret_address);

int comap__vm_unmap(void *address, size_t size_bytes);
int comap__vm_remap(void *address, size_t old_bytes, size_t new_bytes, bool may_move,
                    void **ret_address);
int comap__vm_protect(void *address, size_t size_bytes, int protection);
int comap__vm_advise(void *address, size_t size_bytes, int advice);
int comap__vm_sync(void *address, size_t size_bytes, int flags);
int comap__vm_lock(void *address, size_t size_bytes, bool on_fault);
int comap__vm_unlock(void *address, size_t size_bytes);

#endif
