/* SPDX-License-Identifier: MIT */
/* What the guard costs while all is well: instructions, counted one by one under ptrace (virtual
 * machines often have no counters), of a scan with it and without. Scanning nothing and scanning one
 * chunk give the cost of opening and of a chunk; from these the scan of 4 GiB is computed. At most 1 %
 * more. */
#include <comap/guard.h>

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u
#define SCAN_BYTES ((uint64_t)4 << 30)

static const char *path;

/* The scan: as cheap as one gets in C without vectors, so that what is added shows. Never inlined: a
 * compiler is careful with a loop in a function that calls setjmp(), as a section's does (clang 14 takes
 * twice the instructions for this one), and the comparison is of the guard, not of the loop. */
static __attribute__((noinline)) uint64_t sum_chunk(const uint64_t *words)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CHUNK_BYTES / 8; i++) {
		sum += words[i];
		__asm__ volatile("" : "+r"(sum)); /* each word on its own */
	}
	return sum;
}

static uint64_t scan_raw(unsigned chunk_count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *at = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t sum = 0;

	for (unsigned i = 0; i < chunk_count; i++)
		sum += sum_chunk((const void *)at);
	munmap(at, CHUNK_BYTES);
	close(fd);
	return sum;
}

static struct comap_map *open_map(void)
{
	struct comap_map *map = NULL;

	MUST(comap_map_open(path, NULL, &map) == 0);
	return map;
}

static uint64_t scan_status(unsigned chunk_count)
{
	struct comap_map *map = open_map();
	uint64_t sum = 0;

	for (unsigned i = 0; i < chunk_count; i++) {
		sum += sum_chunk(comap_map_at(map, 0, CHUNK_BYTES, 8));
		MUST(comap_map_status(map) == 0);
	}
	comap_map_close(map);
	return sum;
}

static uint64_t scan_section(unsigned chunk_count)
{
	struct comap_map *map = open_map();
	volatile uint64_t sum = 0;

	for (volatile unsigned i = 0; i < chunk_count; i++) {
		COMAP_TRY(map) {
			sum += sum_chunk(comap_map_at(map, 0, CHUNK_BYTES, 8));
		} COMAP_CATCH(code) {
			MUST(!"a fault");
		}
	}
	comap_map_close(map);
	return sum;
}

/* Between its two stops the child is stepped. Nothing of cmocka runs in it. */
static void stepped_child(uint64_t (*scan)(unsigned), unsigned chunk_count)
{
	volatile uint64_t sum;

	MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	sum = scan(chunk_count); /* lazy binding, and the handler, are not the scan's */
	raise(SIGSTOP);
	sum = scan(chunk_count);
	raise(SIGSTOP);
	_exit(chunk_count && sum == 0);
}

static uint64_t count_instructions(uint64_t (*scan)(unsigned), unsigned chunk_count)
{
	uint64_t count = 0;
	int status;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0)
		stepped_child(scan, chunk_count);
	MUST(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		files_skip("ptrace is not permitted here");
	MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	do {
		MUST(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid);
		count++;
	} while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	MUST(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	MUST(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return count;
}

static double instructions_of_scan(const char *name, uint64_t (*scan)(unsigned))
{
	double once = (double)count_instructions(scan, 0);
	double chunk = (double)count_instructions(scan, 1) - once;

	printf("%-24s %8.0f per 64 KiB, %6.0f once\n", name, chunk, once);
	return once + chunk * (double)(SCAN_BYTES / CHUNK_BYTES);
}

static void guard_is_within_a_percent(void **state)
{
	double raw, status, section;

	path = files_make(PROC_SHM, "scanned", CHUNK_BYTES);
	raw = instructions_of_scan("mmap", scan_raw);
	status = instructions_of_scan("guard, status per chunk", scan_status);
	section = instructions_of_scan("guard, section per chunk", scan_section);
	printf("4 GiB: status %+.3f %%, section %+.3f %%\n", 100 * (status / raw - 1), 100 * (section / raw - 1));
	assert_true(status <= 1.01 * raw);
	assert_true(section <= 1.01 * raw);
}

static const struct CMUnitTest tests[] = {
	PROC_TEST(guard_is_within_a_percent),
};

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	files_skip("a sanitizer's instructions are not the guard's");
#endif
	return cmocka_run_group_tests_name("guard_cost", tests, NULL, NULL);
}
