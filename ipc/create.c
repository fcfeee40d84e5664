/* SPDX-License-Identifier: MIT */
/* A region is born whole: everything is written into a file without a name, and one step names it.
 *
 * Commit point: linkat(). Before it nobody can open the file; after it everybody finds it complete.
 * If the creator dies before: nothing is left (or a temporary name, which the next creator in that
 * folder removes). If two create at once: the second link says EEXIST and its maker attaches. */
#include "create.h"

#include "error.h"
#include "fault.h"
#include "file.h"
#include "identity.h"
#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void comap__boot_id(uint8_t boot_id[16])
{
	char text[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
	size_t nibbles = 0;

	if (fd >= 0)
		close(fd);
	memset(boot_id, 0, 16);
	for (ssize_t i = 0; i < length && nibbles < 32; i++) {
		int digit = text[i] >= '0' && text[i] <= '9' ? text[i] - '0' :
		            text[i] >= 'a' && text[i] <= 'f' ? text[i] - 'a' + 10 : -1;

		if (digit >= 0) {
			boot_id[nibbles / 2] = (uint8_t)(boot_id[nibbles / 2] << 4 | digit);
			nibbles++;
		}
	}
}

static int write_whole(int fd, const void *bytes, size_t size, uint64_t offset)
{
	ssize_t written;

	do
		written = pwrite(fd, bytes, size, (off_t)offset);
	while (written < 0 && errno == EINTR);
	return written == (ssize_t)size ? 0 : written < 0 ? -errno : -ENOSPC;
}

/* Identity, and a control part that says: nobody yet, epoch 1, left in order. The rest of the file
 * is zeros, which every structure reads as empty. */
static int write_start(int fd, const struct comap_identity_shm *identity)
{
	struct comap_control_shm control;
	int code;

	memset(&control, 0, sizeof control);
	control.epoch.v = 1;
	control.attach.v = 1;
	control.home_device.v = identity->birth_device;
	control.home_inode.v = identity->birth_inode;
	comap__boot_id(control.boot_id);
	code = comap__file_allocate(fd, 0, COMAP_IDENTITY_BYTES + COMAP_PART_ALIGN_BYTES);
	if (!code)
		code = write_whole(fd, identity, sizeof *identity, 0);
	if (!code)
		code = write_whole(fd, &control, sizeof control, COMAP_IDENTITY_BYTES);
	/* The parts before the heap exist in length from the start, as holes. */
	if (!code && ftruncate(fd, (off_t)identity->heap_offset_bytes) != 0)
		code = -errno;
	return code;
}

int comap__region_create(const char *path, const struct comap_options *options)
{
	struct comap_identity_shm identity;
	char temporary[COMAP_PATH_BYTES];
	struct stat st;
	int fd, code;

	code = comap__name_create(path, options->mode ? options->mode : 0600, &fd, temporary);
	if (code)
		return code;
	COMAP_FAULT("create.made");
	if (fstat(fd, &st) != 0)
		code = comap__fail_errno(errno, "%s", path);
	if (!code)
		code = comap__identity_init(&identity, options, &st);
	if (!code) {
		code = write_start(fd, &identity);
		COMAP_FAULT("create.written");
		if (code)
			code = comap__fail_errno(code, "cannot make room for the region %s", path);
	}
	if (!code) {
		code = comap__name_link(fd, temporary, path);
		if (code && code != -EEXIST)
			comap__fail_errno(code, "cannot name the region %s", path);
		else if (code)
			comap__fail(COMAP_CAUSE_EXISTS, "%s exists already", path);
	}
	if (code)
		comap__name_discard(fd, temporary);
	else
		close(fd);
	return code;
}
