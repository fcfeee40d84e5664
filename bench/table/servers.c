/* SPDX-License-Identifier: MIT */
/* See servers.h. */
#include "servers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_TRIES 200
#define BUFFER_BYTES 65536u

struct server {
	enum server_kind kind;
	pid_t pid;
	int fd;
	const char *value;
};

static struct server servers[2];

static void run_server(enum server_kind kind, const char *path)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(null, 1);
	if (kind == SERVER_MEMCACHED)
		execlp("memcached", "memcached", "-u", "root", "-m", "1024", "-t", "1", "-s", path, (char *)NULL);
	else
		execlp("redis-server", "redis-server", "--port", "0", "--save", "", "--unixsocket", path,
		       (char *)NULL);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Connected, or -1 where the server has ended. */
static int reach(pid_t pid, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;

	bench_need(fd >= 0);
	strcpy(address.sun_path, path);
	for (int i = 0; i < CONNECT_TRIES; i++) {
		if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return fd;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			bench_need(WIFEXITED(status) && WEXITSTATUS(status) == 127);
			close(fd);
			return -1;
		}
		usleep(20000);
	}
	bench_need(!"the server answers");
	return -1;
}

static void send_all(int fd, const char *data, size_t size)
{
	for (ssize_t sent; size; data += sent, size -= (size_t)sent)
		bench_need((sent = write(fd, data, size)) > 0);
}

/* Reads until so many bytes have come, or, with 0, until END and a newline. */
static size_t receive(int fd, char *buffer, size_t expected)
{
	size_t got = 0;
	ssize_t more;

	while (expected ? got < expected : got < 5 || memcmp(buffer + got - 5, "END\r\n", 5) != 0) {
		bench_need(got < BUFFER_BYTES && (more = read(fd, buffer + got, BUFFER_BYTES - got)) > 0);
		got += (size_t)more;
	}
	return got;
}

static size_t hex(char *at, const struct key *key)
{
	return (size_t)sprintf(at, "%016" PRIx64 "%016" PRIx64, key->words[0], key->words[1]);
}

static size_t bulk(char *at, const void *data, size_t size)
{
	size_t length = (size_t)sprintf(at, "$%zu\r\n", size);

	memcpy(at + length, data, size);
	memcpy(at + length + size, "\r\n", 2);
	return length + size + 2;
}

static size_t compose_set(const struct server *server, char *at, const struct key *key)
{
	char *begin = at;

	if (server->kind == SERVER_REDIS) {
		at += sprintf(at, "*3\r\n$3\r\nSET\r\n");
		at += bulk(at, key, KEY_BYTES);
		return (size_t)(at - begin) + bulk(at, server->value, VALUE_BYTES);
	}
	at += sprintf(at, "set ");
	at += hex(at, key);
	at += sprintf(at, " 0 0 %u noreply\r\n", VALUE_BYTES);
	memcpy(at, server->value, VALUE_BYTES);
	memcpy(at + VALUE_BYTES, "\r\n", 2);
	return (size_t)(at - begin) + VALUE_BYTES + 2;
}

static void fill(const struct server *server, uint64_t key_count)
{
	static char request[BUFFER_BYTES], answer[BUFFER_BYTES];

	for (uint64_t i = 0; i < key_count; i += SERVER_BATCH) {
		size_t size = 0;

		for (unsigned k = 0; k < SERVER_BATCH; k++) {
			struct key key = key_of(i + k);

			size += compose_set(server, request + size, &key);
		}
		send_all(server->fd, request, size);
		if (server->kind == SERVER_REDIS)
			receive(server->fd, answer, SERVER_BATCH * 5); /* +OK and a newline each */
	}
}

struct server *server_start(enum server_kind kind, uint64_t key_count, const char *value)
{
	const char *path = bench_path(kind == SERVER_MEMCACHED ? "memcached" : "redis");
	struct server *server = &servers[kind];

	server->pid = fork();
	bench_need(server->pid >= 0);
	if (server->pid == 0) {
		bench_pin(1);
		run_server(kind, path);
	}
	server->kind = kind;
	server->value = value;
	server->fd = reach(server->pid, path);
	if (server->fd < 0) {
		server->pid = 0;
		return NULL;
	}
	fill(server, key_count);
	return server;
}

void server_get(struct server_gets *gets)
{
	static char request[BUFFER_BYTES], answer[BUFFER_BYTES];
	const struct server *server = gets->server;
	char *at = request;
	size_t got, each = VALUE_BYTES + 8; /* $100, the value, newlines */

	if (server->kind == SERVER_REDIS) {
		at += sprintf(at, "*%u\r\n", gets->at_once + 1);
		at += gets->at_once == 1 ? bulk(at, "GET", 3) : bulk(at, "MGET", 4);
		for (unsigned i = 0; i < gets->at_once; i++)
			at += bulk(at, &gets->keys[i], KEY_BYTES);
		send_all(server->fd, request, (size_t)(at - request));
		got = gets->at_once * each + (gets->at_once == 1 ? 0 : 6);
		bench_need(receive(server->fd, answer, got) == got);
		bench_use(sum(answer + got - VALUE_BYTES - 2));
		return;
	}
	at += sprintf(at, "get");
	for (unsigned i = 0; i < gets->at_once; i++) {
		*at++ = ' ';
		at += hex(at, &gets->keys[i]);
	}
	at += sprintf(at, "\r\n");
	send_all(server->fd, request, (size_t)(at - request));
	got = receive(server->fd, answer, 0);
	bench_need(got > gets->at_once * (size_t)VALUE_BYTES);
	bench_use(sum(answer + got - VALUE_BYTES - 7));
}

void servers_stop(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (servers[i].pid > 0) {
			close(servers[i].fd);
			bench_kill(servers[i].pid);
		}
}
