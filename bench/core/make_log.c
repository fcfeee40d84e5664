/* SPDX-License-Identifier: MIT */
/* make-log SIZE_BYTES FILE [WRITE_BYTES]: a log of web requests, the same for the same size.
 *
 * WRITE_BYTES (default 8 MiB) is the size of the writes, which decides the folios in which the page
 * cache holds the file: 4096 makes it hold single pages. The last line is cut to the exact size minus
 * its newline. Prints what a reader must find: lines, and those with "/svc07/". */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_BYTES (8u << 20)
#define START_SECONDS 1767225600u /* 1 January 2026 */

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t bound)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 20) % bound);
}

/* Two digits without printf: gigabytes are made of these. */
static char *two(char *at, uint32_t number)
{
	*at++ = (char)('0' + number / 10 % 10);
	*at++ = (char)('0' + number % 10);
	return at;
}

static char *number_text(char *at, uint32_t number)
{
	char digits[10];
	int count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*at++ = digits[--count];
	return at;
}

static char *text(char *at, const char *what)
{
	size_t length = strlen(what);

	memcpy(at, what, length);
	return at + length;
}

/* One request, at most 200 bytes. 2,000 of them to the second. */
static char *line(char *at, uint64_t number)
{
	static const char *const codes[] = { "200", "200", "200", "200", "200", "200", "304", "404",
	                                     "301", "500" };
	static const char *const agents[] = { "curl/8.5", "Mozilla/5.0 (X11; Linux x86_64)",
	                                      "python-requests/2.31" };
	uint32_t seconds = (uint32_t)(number / 2000) % (28 * 86400);

	at = number_text(text(at, "10."), below(4));
	at = number_text(text(at, "."), below(16));
	at = number_text(text(at, "."), below(250));
	at = two(text(at, " - - ["), 1 + seconds / 86400);
	at = two(text(at, "/Jan/2026:"), seconds / 3600 % 24);
	at = two(text(at, ":"), seconds / 60 % 60);
	at = two(text(at, ":"), seconds % 60);
	at = two(text(at, " +0000] \"GET /svc"), below(100));
	at = number_text(text(at, "/item/"), below(100000));
	at = text(text(at, " HTTP/1.1\" "), codes[below(10)]);
	at = number_text(text(at, " "), below(60000));
	at = text(text(at, " \"-\" \""), agents[below(3)]);
	return text(at, "\"\n");
}

static int write_all(int fd, const char *data, size_t size_bytes, size_t write_bytes)
{
	while (size_bytes) {
		size_t now = size_bytes < write_bytes ? size_bytes : write_bytes;
		ssize_t done = write(fd, data, now);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		data += done;
		size_bytes -= (size_t)done;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t left_bytes = argc > 2 ? strtoull(argv[1], NULL, 10) : 0, lines = 0, hits = 0;
	size_t write_bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : BATCH_BYTES, used = 0;
	char *batch = malloc(BATCH_BYTES + 256);
	int fd, code = 0;

	if (argc < 3 || left_bytes == 0 || write_bytes == 0 || !batch)
		return fprintf(stderr, "usage: make-log SIZE_BYTES FILE [WRITE_BYTES]\n"), 2;
	fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return perror(argv[2]), 1;
	while (left_bytes && code == 0) {
		char *start = batch + used, *end = line(start, lines);
		size_t length = (size_t)(end - start);

		if (length > left_bytes)
			length = (size_t)left_bytes;
		start[length - 1] = '\n';
		lines++;
		hits += memmem(start, length, "/svc07/", 7) != NULL;
		used += length;
		left_bytes -= length;
		if (used < BATCH_BYTES && left_bytes)
			continue;
		/* Whole batches, so that writes are aligned in the file. */
		length = used < BATCH_BYTES ? used : BATCH_BYTES;
		code = write_all(fd, batch, length, write_bytes);
		used -= length;
		memmove(batch, batch + length, used);
	}
	if (code == 0)
		code = write_all(fd, batch, used, write_bytes);
	if (code || close(fd) != 0)
		return fprintf(stderr, "make-log: %s: %s\n", argv[2], strerror(code ? -code : errno)), 1;
	free(batch);
	printf("%" PRIu64 " lines, %" PRIu64 " with /svc07/\n", lines, hits);
	return 0;
}
