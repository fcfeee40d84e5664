/* SPDX-License-Identifier: MIT */
/* The process kit: children, verdicts, points, fault points. See proc.h; what a test leaves behind
 * is found by traces.c. */
#include "proc.h"

#include "fault.h"
#include "traces.h"
#include "vm.h"

#include <comap/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
unsigned proc_limit_ms = 120000;
#else
unsigned proc_limit_ms = 30000;
#endif

/* What parent and children share. */
struct shared {
	struct comap_u32 points[PROC_POINTS];
	struct comap_u64 counters[PROC_COUNTERS];
	char verdicts[PROC_MAX][512];
	struct comap_u32 fault_count;
	char fault_names[PROC_FAULT_NAMES][48];
};

static struct shared *shared;
static struct proc procs[PROC_MAX];
static unsigned proc_count;
static int own_number = -1;             /* in a child: which */
static uint64_t random_state;

static uint64_t seed(void)
{
	const char *text = getenv("COMAP_SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

uint64_t proc_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

uint64_t proc_random_below(uint64_t bound)
{
	return bound ? proc_random() % bound : 0;
}

static void seed_random(uint64_t number)
{
	random_state = (seed() + number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	random_state |= 1; /* zero would stay zero */
}

static int shared_fd = -1;              /* a memfd, so that it outlives exec */

static int map_shared(void)
{
	void *at;

	if (comap__vm_map(sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0, &at) != 0)
		return -1;
	shared = at;
	return 0;
}

static int share(void)
{
	if (shared)
		return 0;
	shared_fd = memfd_create("comap test", MFD_CLOEXEC);
	if (shared_fd < 0 || ftruncate(shared_fd, sizeof *shared) != 0)
		return -1;
	return map_shared();
}

int proc_exec(const char *argument, const char *second)
{
	char number[64];

	snprintf(number, sizeof number, "%d %d", shared_fd, own_number);
	if (setenv("COMAP_TEST_ROLE", number, 1) != 0 || fcntl(shared_fd, F_SETFD, 0) != 0)
		return PROC_FAILED;
	execl("/proc/self/exe", program_invocation_short_name, argument, second, (char *)NULL);
	return PROC_FAILED;
}

bool proc_executed(void)
{
	const char *number = getenv("COMAP_TEST_ROLE");

	if (!number || sscanf(number, "%d %d", &shared_fd, &own_number) != 2 || map_shared() != 0)
		return false;
	seed_random((uint64_t)own_number + 1);
	return true;
}

int proc_setup(void **state)
{
	(void)state;
	if (share() != 0)
		return -1;
	memset(shared, 0, sizeof *shared);
	proc_count = 0;
	proc_fault(PROC_FAULT_NONE, NULL, 0);
	seed_random(0);
	if (seed() != 1)
		print_message("seed %llu ($COMAP_SEED)\n", (unsigned long long)seed());
	return traces_begin();
}

static int reap_all(void)
{
	int left = 0;

	for (unsigned i = 0; i < proc_count; i++) {
		if (procs[i].pid == 0)
			continue;
		print_error("left behind: child %s, pid %d\n", procs[i].name, procs[i].pid);
		kill(procs[i].pid, SIGKILL);
		waitpid(procs[i].pid, NULL, 0);
		procs[i].pid = 0;
		left++;
	}
	return left;
}

int proc_teardown(void **state)
{
	int left;

	(void)state;
	left = reap_all();
	left += traces_end();
	return left ? -1 : 0;
}

/* --- children ----------------------------------------------------------------------------- */

/* cmocka catches these to go on with its next test: a child is to die of them. */
static void die_of_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS };

	for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
		signal(faults[i], SIG_DFL);
}

static void run_role(unsigned number, int (*role)(void *arg), void *arg) __attribute__((noreturn));
static void run_role(unsigned number, int (*role)(void *arg), void *arg)
{
	own_number = (int)number;
	die_of_faults();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		_exit(PROC_FAILED); /* the test was faster */
	alarm(proc_limit_ms / 1000 * 2);
	seed_random(number + 1);
	_exit(role(arg));
}

static struct proc *take_place(void)
{
	unsigned number = 0;

	while (number < proc_count && !procs[number].released)
		number++;
	if (number == PROC_MAX)
		fail_msg("more than %u children at once in one test", PROC_MAX);
	if (number == proc_count)
		proc_count++;
	procs[number] = (struct proc){ .number = number };
	shared->verdicts[number][0] = 0;
	return &procs[number];
}

void proc_release(struct proc *proc)
{
	proc->released = proc->pid == 0;
}

struct proc *proc_spawn(const char *name, int (*role)(void *arg), void *arg)
{
	struct proc *proc = take_place();

	snprintf(proc->name, sizeof proc->name, "%s", name);
	fflush(NULL); /* or the child would print it again */
	proc->pid = fork();
	if (proc->pid == 0)
		run_role(proc->number, role, arg);
	if (proc->pid < 0) {
		proc->pid = 0;
		fail_msg("fork: %s", strerror(errno));
	}
	return proc;
}

void proc_signal(struct proc *proc, int signal_number)
{
	if (proc->pid == 0 || kill(proc->pid, signal_number) != 0)
		fail_msg("%s: no signal can be sent", proc->name);
}

static int result_of(int status)
{
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

/* Until it has ended, or (with WUNTRACED) stopped. */
static int wait_for(struct proc *proc, int options, unsigned limit_ms)
{
	uint64_t deadline_ns = comap_deadline_ms(limit_ms);
	int status;
	pid_t got;

	if (proc->pid == 0)
		return proc->result;
	while ((got = waitpid(proc->pid, &status, options | WNOHANG)) == 0) {
		if (comap_now_ns() > deadline_ns)
			return PROC_TIMEOUT;
		nap();
	}
	if (got < 0)
		return PROC_TIMEOUT;
	if (WIFSTOPPED(status))
		return 0;
	proc->pid = 0;
	proc->result = result_of(status);
	return proc->result;
}

int proc_wait_ms(struct proc *proc, unsigned limit_ms)
{
	return wait_for(proc, 0, limit_ms);
}

int proc_wait(struct proc *proc)
{
	return wait_for(proc, 0, proc_limit_ms);
}

int proc_wait_stopped(struct proc *proc)
{
	return wait_for(proc, WUNTRACED, proc_limit_ms);
}

void proc_stop(struct proc *proc)
{
	proc_signal(proc, SIGSTOP);
	if (proc_wait_stopped(proc) != 0 || proc->pid == 0)
		fail_msg("%s did not stop: %d %s", proc->name, proc->result, proc_verdict(proc));
}

void proc_continue(struct proc *proc)
{
	proc_signal(proc, SIGCONT);
}

const char *proc_verdict(const struct proc *proc)
{
	return shared->verdicts[proc->number];
}

void proc_assert_ok(struct proc *proc)
{
	int result = proc_wait(proc);

	if (result == 0)
		return;
	if (result == PROC_TIMEOUT) {
		kill(proc->pid, SIGKILL);
		(void)proc_wait(proc);
		fail_msg("%s did not end in %u ms", proc->name, proc_limit_ms);
	}
	fail_msg("%s ended with %d: %s", proc->name, result, proc_verdict(proc));
}

void proc_kill(struct proc *proc)
{
	int result;

	proc_signal(proc, SIGKILL);
	result = proc_wait(proc);
	if (result != -SIGKILL)
		fail_msg("%s ended with %d before it was killed: %s", proc->name, result,
		         proc_verdict(proc));
}

void proc_fail(const char *file, int line, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (own_number < 0) {
		fail_msg("%s:%d: %s", file, line, text);
		abort(); /* not reached: fail_msg jumps */
	}
	snprintf(shared->verdicts[own_number], sizeof shared->verdicts[0], "%s:%d: %s", file, line,
	         text);
	_exit(PROC_FAILED);
}

void proc_require_ok(const char *file, int line, const char *what, int code)
{
	if (code != 0)
		proc_fail(file, line, "%s: %d (%s)", what, code, comap_error_text());
}

/* --- meeting ------------------------------------------------------------------------------ */

static long futex(struct comap_u32 *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, &word->v, op, value, timeout, NULL, 0);
}

void proc_post(unsigned point)
{
	comap_u32_add_seq_cst(&shared->points[point], 1);
	futex(&shared->points[point], FUTEX_WAKE, INT32_MAX, NULL);
}

uint32_t proc_point(unsigned point)
{
	return comap_u32_load_seq_cst(&shared->points[point]);
}

bool proc_await_ms(unsigned point, uint32_t count, unsigned limit_ms)
{
	uint64_t deadline_ns = comap_deadline_ms(limit_ms);
	struct timespec slice = { .tv_nsec = 10000000 };
	uint32_t now;

	while ((now = proc_point(point)) < count) {
		if (comap_now_ns() > deadline_ns)
			return false;
		futex(&shared->points[point], FUTEX_WAIT, now, &slice);
	}
	return true;
}

void proc_await(unsigned point, uint32_t count)
{
	if (proc_await_ms(point, count, proc_limit_ms))
		return;
	for (unsigned i = 0; own_number < 0 && i < proc_count; i++)
		if (procs[i].pid && wait_for(&procs[i], 0, 0) != PROC_TIMEOUT)
			print_error("%s had ended with %d: %s\n", procs[i].name, procs[i].result,
			            shared->verdicts[i]);
	proc_fail(__FILE__, __LINE__, "point %u came to %u, not to %u", point, proc_point(point),
	          count);
}

void proc_meet(unsigned point, uint32_t count)
{
	proc_post(point);
	proc_await(point, count);
}

uint64_t proc_delay_ns(void)
{
	unsigned long long on_ns, delay_ns = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");

	if (file && fscanf(file, "%llu %llu", &on_ns, &delay_ns) != 2)
		delay_ns = 0;
	if (file)
		fclose(file);
	return delay_ns;
}

struct comap_u64 *proc_counter(unsigned index)
{
	return &shared->counters[index];
}

/* --- fault points -------------------------------------------------------------------------- */

static struct {
	enum proc_fault what;
	unsigned left;
	char name[48];
} fault;

bool proc_has_faults(void)
{
#ifdef COMAP_FAULTS
	return true;
#else
	return false;
#endif
}

#ifdef COMAP_FAULTS
/* Several children may collect at once; each place is taken by its number. A name may come twice. */
static void collect(const char *name)
{
	uint32_t count = comap_u32_load_acquire(&shared->fault_count);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(shared->fault_names[i], name) == 0)
			return;
	if (count >= PROC_FAULT_NAMES)
		return;
	snprintf(shared->fault_names[count], sizeof shared->fault_names[0], "%s", name);
	(void)comap_u32_cas_release(&shared->fault_count, count, count + 1);
}

static void at_fault_point(const char *name)
{
	if (fault.what == PROC_FAULT_COLLECT) {
		collect(name);
		return;
	}
	if (strcmp(name, fault.name) != 0 || fault.left == 0 || --fault.left > 0)
		return;
	kill(getpid(), fault.what == PROC_FAULT_KILL ? SIGKILL : SIGSTOP);
}
#endif

void proc_fault(enum proc_fault what, const char *name, unsigned nth)
{
	fault.what = what;
	fault.left = nth;
	snprintf(fault.name, sizeof fault.name, "%s", name ? name : "");
#ifdef COMAP_FAULTS
	comap__fault_hook = what == PROC_FAULT_NONE ? NULL : at_fault_point;
#endif
}

const char *proc_fault_name(unsigned index)
{
	if (index >= comap_u32_load_acquire(&shared->fault_count))
		return NULL;
	return shared->fault_names[index];
}

/* --- mounts --- */

bool proc_own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool proc_can_own_mounts(void)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(proc_own_mounts() ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
