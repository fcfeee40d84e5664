/* SPDX-License-Identifier: MIT */
/* Small files read and written whole. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end: the file may be longer or shorter by now than its size said. */
static int read_all(int fd, size_t expected_bytes, struct file_text *text)
{
	size_t capacity = expected_bytes + 2;

	text->data = malloc(capacity);
	while (text->data) {
		ssize_t got = read(fd, text->data + text->size_bytes,
		                   capacity - 1 - text->size_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			text->data[text->size_bytes] = '\0';
			return 0;
		}
		text->size_bytes += (size_t)got;
		if (text->size_bytes < capacity - 1)
			continue;
		char *grown = realloc(text->data, capacity *= 2);

		if (!grown)
			break;
		text->data = grown;
	}
	return -ENOMEM;
}

int file_read(const char *path, struct file_text *ret_text)
{
	struct file_text text = { 0 };
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0)
		result = -errno;
	else if (S_ISDIR(status.st_mode))
		result = -EISDIR;
	else
		result = read_all(fd, (size_t)status.st_size, &text);
	close(fd);
	if (result != 0) {
		free(text.data);
		errno = -result;
		return result;
	}
	text.time_ns = (uint64_t)status.st_mtim.tv_sec * 1000000000u +
	               (uint64_t)status.st_mtim.tv_nsec;
	*ret_text = text;
	return 0;
}

static int write_all(int fd, const char *data, size_t size_bytes)
{
	while (size_bytes > 0) {
		ssize_t put = write(fd, data, size_bytes);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		size_bytes -= (size_t)put;
	}
	return 0;
}

int file_replace(const char *path, const void *data, size_t size_bytes)
{
	char temporary[PATH_MAX];
	int fd, result;

	if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	result = write_all(fd, data, size_bytes);
	if (close(fd) != 0 && result == 0)
		result = -errno;
	if (result == 0 && rename(temporary, path) != 0)
		result = -errno;
	if (result != 0)
		unlink(temporary);
	return result;
}
