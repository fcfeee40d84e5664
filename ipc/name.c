/* SPDX-License-Identifier: MIT */
/* From a name to a file: where regions live, and which files are refused before a byte is read.
 *
 * If a creator dies: a file without a name goes with its last descriptor. Where a temporary name was
 * needed it stays, with the creator's lock gone, and the next creator in that folder removes it. */
#include "name.h"

#include "error.h"
#include "fault.h"
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NAME_LENGTH_MAX 200
#define TEMPORARY_PREFIX ".comap-new-"

static int make_own_folder(const char *folder)
{
	struct stat st;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return comap__fail_errno(errno, "cannot make the folder %s", folder);
	if (lstat(folder, &st) != 0)
		return comap__fail_errno(errno, "%s", folder);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return comap__fail(COMAP_CAUSE_OWNER, "%s belongs to somebody else, or is no folder: "
		                   "set COMAP_DIR to a folder of your own", folder);
	return 0;
}

/* Of the folder of now: the process may change it, and what it has open stays what it was. */
static int resolve_relative(const char *name, char path[COMAP_PATH_BYTES])
{
	char folder[COMAP_PATH_BYTES];

	if (!getcwd(folder, sizeof folder))
		return comap__fail_errno(errno, "the current folder has no name");
	if (snprintf(path, COMAP_PATH_BYTES, "%s/%s", folder, name) >= COMAP_PATH_BYTES)
		return comap__fail(COMAP_CAUSE_NAME, "the path of '%s' is too long", name);
	return 0;
}

int comap__name_resolve(const char *name, bool make_folder, char path[COMAP_PATH_BYTES])
{
	char folder[64];
	const char *base;
	int length, code;

	if (!name || !*name)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "a region needs a name");
	base = strrchr(name, '/');
	base = base ? base + 1 : name;
	if (strlen(base) > NAME_LENGTH_MAX || strlen(name) >= COMAP_PATH_BYTES - 64)
		return comap__fail(COMAP_CAUSE_NAME, "the name '%.32s...' is longer than %d characters", base,
		                   NAME_LENGTH_MAX);
	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return comap__fail(COMAP_CAUSE_ARGUMENT, "'%s' names a folder, not a region", name);
	if (*name == '/') {
		strcpy(path, name);
		return 0;
	}
	if (strchr(name, '/'))
		return resolve_relative(name, path);
	if (getenv("COMAP_DIR") && *getenv("COMAP_DIR")) {
		length = snprintf(path, COMAP_PATH_BYTES, "%s/%s", getenv("COMAP_DIR"), name);
	} else {
		snprintf(folder, sizeof folder, "/dev/shm/comap-%u", (unsigned)geteuid());
		code = make_folder ? make_own_folder(folder) : 0;
		if (code)
			return code;
		length = snprintf(path, COMAP_PATH_BYTES, "%s/%s", folder, name);
	}
	if (length < 0 || length >= COMAP_PATH_BYTES)
		return comap__fail(COMAP_CAUSE_NAME, "the path of '%s' is too long", name);
	return 0;
}

int comap_path(const char *name, char *buffer, size_t size_bytes)
{
	char path[COMAP_PATH_BYTES];
	int code = comap__name_resolve(name, false, path);

	if (code)
		return code;
	if (!buffer || strlen(path) >= size_bytes)
		return comap__fail(COMAP_CAUSE_NAME, "the path needs %zu bytes", strlen(path) + 1);
	strcpy(buffer, path);
	return 0;
}

/* The folder of a path, "." where it names none. */
static void folder_of(const char *path, char folder[COMAP_PATH_BYTES])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		strcpy(folder, ".");
	else if (length == 0)
		strcpy(folder, "/");
	else
		snprintf(folder, COMAP_PATH_BYTES, "%.*s", (int)length, path);
}

/* In a folder where everybody may write, a link is somebody's trap. */
static int refuse_planted_link(const char *path)
{
	char folder[COMAP_PATH_BYTES];
	struct stat folder_stat, st;

	folder_of(path, folder);
	if (stat(folder, &folder_stat) != 0 || !(folder_stat.st_mode & S_IWOTH))
		return 0;
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return comap__fail(COMAP_CAUSE_LINK, "%s is a symbolic link in a folder that everybody may "
		                   "write to: name the file itself", path);
	return 0;
}

static int refuse_wrong_file(const char *path, const struct stat *st, int64_t owner_uid)
{
	bool owner_fits = owner_uid == COMAP_OWNER_ANY ||
	                  (owner_uid == COMAP_OWNER_ROOT && st->st_uid == 0) ||
	                  (owner_uid > 0 && st->st_uid == (uid_t)owner_uid) ||
	                  ((owner_uid == 0 || owner_uid == COMAP_OWNER_DEFAULT) &&
	                   (st->st_uid == geteuid() || st->st_uid == 0));

	if (!S_ISREG(st->st_mode))
		return comap__fail(COMAP_CAUSE_NOT_REGULAR, "%s is a %s, not a regular file", path,
		                   S_ISDIR(st->st_mode) ? "folder" : S_ISFIFO(st->st_mode) ? "FIFO" :
		                   S_ISSOCK(st->st_mode) ? "socket" : "device");
	if (!owner_fits)
		return comap__fail(COMAP_CAUSE_OWNER, "%s belongs to user %u: set owner_uid in the options "
		                   "where that is meant", path, (unsigned)st->st_uid);
	if (st->st_size == 0)
		return comap__fail(COMAP_CAUSE_EMPTY, "%s is empty, not a comap region", path);
	return 0;
}

/* Their pages are copies: two machines would each map their own. */
static int refuse_network(int fd, const char *path)
{
	static const struct { unsigned long magic; const char *name; } kinds[] = {
		{ NFS_SUPER_MAGIC, "NFS" }, { SMB_SUPER_MAGIC, "SMB" }, { 0xff534d42, "CIFS" },
		{ 0xfe534d42, "SMB2" }, { V9FS_MAGIC, "9P" }, { AFS_SUPER_MAGIC, "AFS" },
		{ CODA_SUPER_MAGIC, "Coda" }, { 0x00c36400, "Ceph" },
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return comap__fail_errno(errno, "%s", path);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if ((unsigned long)fs.f_type == kinds[i].magic)
			return comap__fail(COMAP_CAUSE_NETWORK, "%s is on %s: processes of several machines "
			                   "would not see one memory", path, kinds[i].name);
	return 0;
}

int comap__name_open(const char *path, bool read_only, int64_t owner_uid, int *ret_fd,
                     struct stat *ret_stat)
{
	int code = refuse_planted_link(path);
	int fd;

	if (code)
		return code;
	/* O_NONBLOCK: a FIFO must not hold us up; no other effect on regular files. */
	fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == EISDIR || errno == ENXIO))
		return comap__fail(COMAP_CAUSE_NOT_REGULAR, "%s is a %s, not a regular file", path,
		                   errno == EISDIR ? "folder" : "FIFO or socket");
	if (fd < 0 && errno == EACCES && !read_only && access(path, R_OK) == 0)
		return comap__fail(COMAP_CAUSE_PERMISSION, "%s: no write permission, which a seat needs: "
		                   "open it as a guest (COMAP_GUEST)", path);
	if (fd < 0)
		return comap__fail_errno(errno, "cannot open %s", path);
	if (fstat(fd, ret_stat) != 0)
		code = comap__fail_errno(errno, "%s", path);
	if (!code)
		code = refuse_wrong_file(path, ret_stat, owner_uid);
	if (!code)
		code = refuse_network(fd, path);
	if (code)
		close(fd);
	else
		*ret_fd = fd;
	return code;
}

/* A descriptor that becomes readable when something appears in the folder, or -1. */
static int watch_folder(const char *folder)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd >= 0 && inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int comap__name_await(const char *path, uint64_t deadline_ns)
{
	uint64_t now_ns = comap_now_ns(), left_ms = 1000;
	char folder[COMAP_PATH_BYTES];
	struct pollfd change = { .events = POLLIN };

	if (deadline_ns == 0)
		deadline_ns = COMAP_FOREVER;
	if (now_ns >= deadline_ns)
		return comap__fail(COMAP_CAUSE_TIMEOUT, "%s did not appear in time", path);
	if ((deadline_ns - now_ns) / 1000000 < left_ms)
		left_ms = (deadline_ns - now_ns) / 1000000 + 1;
	folder_of(path, folder);
	/* The watch first, then the look: what appears in between is not missed. */
	change.fd = watch_folder(folder);
	if (access(path, F_OK) != 0)
		poll(&change, 1, (int)left_ms);
	if (change.fd >= 0)
		close(change.fd);
	return 0;
}

/* A lock on byte 0 says that the maker of a temporary file lives. */
static int lock_byte_zero(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock);
}

/* Removes what creators that died left behind in the folder. Best effort. */
static void sweep_temporaries(const char *folder)
{
	char path[COMAP_PATH_BYTES + 256];
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int fd;

	while (dir && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0)
			continue;
		if (lock_byte_zero(fd) == 0)
			unlink(path);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

static int create_temporary(const char *folder, uint32_t mode, int *ret_fd,
                            char temporary[COMAP_PATH_BYTES])
{
	int fd;

	sweep_temporaries(folder);
	if (snprintf(temporary, COMAP_PATH_BYTES, "%s/" TEMPORARY_PREFIX "XXXXXX", folder) >=
	    COMAP_PATH_BYTES)
		return comap__fail(COMAP_CAUSE_NAME, "the path of %s is too long", folder);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return comap__fail_errno(errno, "cannot make a file in %s", folder);
	/* Between the two steps a sweeper may take the file away: then linking it fails (ENOENT). */
	lock_byte_zero(fd);
	if (fchmod(fd, mode) != 0) {
		comap__name_discard(fd, temporary);
		return comap__fail_errno(errno, "cannot set the mode of a file in %s", folder);
	}
	*ret_fd = fd;
	return 0;
}

int comap__name_create(const char *path, uint32_t mode, int *ret_fd,
                       char temporary[COMAP_PATH_BYTES])
{
	char folder[COMAP_PATH_BYTES];
	int fd;

	folder_of(path, folder);
	temporary[0] = '\0';
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		return create_temporary(folder, mode, ret_fd, temporary);
	if (fd < 0)
		return comap__fail_errno(errno, "cannot make a file in %s", folder);
	if (fchmod(fd, mode) != 0) {
		close(fd);
		return comap__fail_errno(errno, "cannot set the mode of a file in %s", folder);
	}
	*ret_fd = fd;
	return 0;
}

int comap__name_link(int fd, const char *temporary, const char *path)
{
	char proc[40];
	int code;

	if (*temporary) {
		code = link(temporary, path) == 0 ? 0 : -errno;
		if (code == 0)
			unlink(temporary);
	} else {
		snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
		code = linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
	}
	COMAP_FAULT("create.linked");
	return code;
}

void comap__name_discard(int fd, const char *temporary)
{
	if (*temporary)
		unlink(temporary);
	close(fd);
}
