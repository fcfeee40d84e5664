/* SPDX-License-Identifier: MIT */
/* The kernel's map calls, in one place. See vm.h; a test refuses them anywhere else. */
#include "vm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

size_t comap__vm_page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int map_result(void *address, void **ret_address)
{
	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address;
	return 0;
}

int comap__vm_reserve(size_t size_bytes, size_t align_bytes, void **ret_base)
{
	size_t whole_bytes, head_bytes, tail_bytes;
	char *raw;

	if (__builtin_add_overflow(size_bytes, align_bytes, &whole_bytes))
		return -ENOMEM;
	raw = mmap(NULL, whole_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return -errno;
	head_bytes = -(uintptr_t)raw & (align_bytes - 1);
	tail_bytes = align_bytes - head_bytes;
	if (head_bytes)
		munmap(raw, head_bytes);
	if (tail_bytes)
		munmap(raw + head_bytes + size_bytes, tail_bytes);
	*ret_base = raw + head_bytes;
	return 0;
}

int comap__vm_place(void *address, size_t size_bytes, int fd, uint64_t offset_bytes, int protection)
{
	void *at = mmap(address, size_bytes, protection, MAP_SHARED | MAP_FIXED, fd,
	                (off_t)offset_bytes);

	return at == MAP_FAILED ? -errno : 0;
}

int comap__vm_lay(void *address, size_t size_bytes, int protection, int flags, int fd,
                  uint64_t offset_bytes)
{
	void *at = mmap(address, size_bytes, protection, flags | MAP_FIXED, fd, (off_t)offset_bytes);

	return at == MAP_FAILED ? -errno : 0;
}

int comap__vm_map(size_t size_bytes, int protection, int flags, int fd, uint64_t offset_bytes,
                  void **ret_address)
{
	return map_result(mmap(NULL, size_bytes, protection, flags, fd, (off_t)offset_bytes),
	                  ret_address);
}

int comap__vm_patch(void *address, size_t size_bytes, int protection)
{
	/* The bare system call: libc's wrapper is not on the list of async-signal-safe functions. */
	long at = syscall(SYS_mmap, address, size_bytes, protection,
	                  MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);

	return at == -1 ? -errno : 0;
}

int comap__vm_wiped_on_fork(size_t size_bytes, void **ret_address)
{
	void *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int code;

	if (at == MAP_FAILED)
		return -errno;
	if (madvise(at, size_bytes, MADV_WIPEONFORK) != 0) {
		code = errno;
		munmap(at, size_bytes);
		return -code;
	}
	*ret_address = at;
	return 0;
}

int comap__vm_unmap(void *address, size_t size_bytes)
{
	return munmap(address, size_bytes) == 0 ? 0 : -errno;
}

int comap__vm_remap(void *address, size_t old_bytes, size_t new_bytes, bool may_move,
                    void **ret_address)
{
	return map_result(mremap(address, old_bytes, new_bytes, may_move ? MREMAP_MAYMOVE : 0),
	                  ret_address);
}

int comap__vm_protect(void *address, size_t size_bytes, int protection)
{
	return mprotect(address, size_bytes, protection) == 0 ? 0 : -errno;
}

int comap__vm_advise(void *address, size_t size_bytes, int advice)
{
	return madvise(address, size_bytes, advice) == 0 ? 0 : -errno;
}

int comap__vm_sync(void *address, size_t size_bytes, int flags)
{
	return msync(address, size_bytes, flags) == 0 ? 0 : -errno;
}

int comap__vm_lock(void *address, size_t size_bytes, bool on_fault)
{
	return mlock2(address, size_bytes, on_fault ? MLOCK_ONFAULT : 0) == 0 ? 0 : -errno;
}

int comap__vm_unlock(void *address, size_t size_bytes)
{
	return munlock(address, size_bytes) == 0 ? 0 : -errno;
}
