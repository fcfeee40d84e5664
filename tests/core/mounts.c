/* SPDX-License-Identifier: MIT */
#include "mounts.h"

#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHUTDOWN _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN */
#define SHUTDOWN_NO_LOG_FLUSH 2u

struct mount {
	char path[64];
	char device[32];
	char kind[8];
};

static char base[32] = "/tmp"; /* under a tmpfs of our own: see mounts_begin() */
static struct mount mounts[16];
static unsigned mount_count;

const char *mounts_begin(void)
{
	if (geteuid() != 0 || !proc_own_mounts())
		return "mounting file systems needs root, and a root that is a mount point";
	/* Our own /tmp: images and mount points leave nothing behind. */
	if (mount("comap-test", base, "tmpfs", 0, "mode=700") != 0)
		return "mounting a tmpfs is not permitted";
	return NULL;
}

static struct mount *new_mount(const char *name, const char *kind)
{
	struct mount *m = &mounts[mount_count++];

	MUST(mount_count <= 16);
	snprintf(m->path, sizeof m->path, "%s/%s", base, name);
	snprintf(m->kind, sizeof m->kind, "%.*s", (int)strcspn(kind, " "), kind);
	MUST(mkdir(m->path, 0700) == 0);
	return m;
}

static struct mount *find_mount(const char *path)
{
	for (unsigned i = 0; i < mount_count; i++)
		if (strcmp(mounts[i].path, path) == 0)
			return &mounts[i];
	MUST(!"a mount of ours");
	return NULL;
}

const char *mounts_tmpfs(const char *name, uint64_t size_bytes)
{
	struct mount *m = new_mount(name, "tmpfs");
	char options[64];

	snprintf(options, sizeof options, "size=%llu", (unsigned long long)size_bytes);
	MUST(mount("comap-test", m->path, "tmpfs", 0, options) == 0);
	return m->path;
}

/* A loop device over the image, which frees itself when it is unmounted. */
static int open_loop(const char *image, char device[32], const char **ret_reason)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, fd = -1;

	*ret_reason = "no loop device";
	if (control < 0)
		return -1;
	config.fd = (uint32_t)open(image, O_RDWR | O_CLOEXEC);
	MUST((int)config.fd >= 0);
	for (int tries = 0; tries < 20 && fd < 0; tries++) { /* somebody else may take the number first */
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(device, 32, "/dev/loop%d", number);
		fd = open(device, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) != 0) {
			close(fd);
			fd = -1;
		}
	}
	close((int)config.fd);
	close(control);
	return fd;
}

static int mount_image(struct mount *m)
{
	return mount(m->device, m->path, m->kind, 0, strcmp(m->kind, "xfs") == 0 ? "nouuid" : "");
}

const char *mounts_image(const char *kind, const char *folder, const char *name, uint64_t size_bytes,
                         const char **ret_reason)
{
	char image[128], command[256];
	struct mount *m;
	int fd;

	snprintf(image, sizeof image, "%s/%s.img", folder, name);
	fd = open(image, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	MUST(fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0);
	close(fd);
	snprintf(command, sizeof command, "PATH=$PATH:/usr/sbin:/sbin mkfs.%s -q %s >/dev/null 2>&1", kind,
	         image);
	*ret_reason = "no mkfs for it";
	if (system(command) != 0)
		return NULL;
	m = new_mount(name, kind);
	fd = open_loop(image, m->device, ret_reason);
	if (fd < 0)
		return NULL;
	*ret_reason = "this kernel does not mount it";
	if (mount_image(m) != 0) {
		close(fd);
		return NULL;
	}
	close(fd);
	return m->path;
}

void mounts_power_cut(const char *path)
{
	uint32_t how = SHUTDOWN_NO_LOG_FLUSH;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	MUST(fd >= 0 && ioctl(fd, SHUTDOWN, &how) == 0);
	close(fd);
}

void mounts_again(const char *path)
{
	struct mount *m = find_mount(path);
	int fd = open(m->device, O_RDONLY | O_CLOEXEC); /* keeps the device while nothing is mounted */

	MUST(fd >= 0 && umount(path) == 0 && mount_image(m) == 0);
	close(fd);
}

void mounts_end(const char *path)
{
	/* After a power cut, or on a device that lost data, unmounting may complain; it unmounts. */
	MUST(umount(path) == 0 || umount2(path, MNT_DETACH) == 0);
}

void mounts_fill(const char *path)
{
	static const char zeros[65536];
	char filler[128];
	size_t size_bytes = sizeof zeros;
	int fd;

	snprintf(filler, sizeof filler, "%s/filler", path);
	fd = open(filler, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	while (size_bytes) {
		ssize_t count = write(fd, zeros, size_bytes);

		if (count <= 0) {
			MUST(errno == ENOSPC);
			size_bytes /= 2; /* into the last corners */
		}
	}
	fsync(fd); /* what was promised late is taken now */
	close(fd);
}

void mounts_unfill(const char *path)
{
	char filler[128];

	snprintf(filler, sizeof filler, "%s/filler", path);
	MUST(unlink(filler) == 0);
	sync();
}
