/* SPDX-License-Identifier: MIT */
/* The step kit: the child that is stepped, the survivors, the table. See step.h; the file is looked
 * at by watch.c. */
#include "step.h"

#include "watch.h"

#include <comap/error.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the shared page: how far the stepped child is. */
enum { PHASE_COUNTER = PROC_COUNTERS - 1 };
enum { PHASE_PREPARE, PHASE_OPERATE, PHASE_DONE };

/* What survivors return besides an outcome's number. */
enum { CANNOT_TRACE = 98 };

static const struct step_operation *current; /* before the fork: the child reads it */

static void set_phase(uint64_t phase)
{
	/* release: the operation's own stores are on their side of it */
	comap_u64_store_release(proc_counter(PHASE_COUNTER), phase);
}

static uint64_t phase(void)
{
	return comap_u64_load_acquire(proc_counter(PHASE_COUNTER));
}

static int stepped(void *arg)
{
	int code;

	(void)arg;
	if (current->prepare)
		PROC_REQUIRE_OK(current->prepare(current->path));
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return CANNOT_TRACE;
	raise(SIGSTOP);
	set_phase(PHASE_OPERATE);
	code = current->operate(current->path);
	set_phase(PHASE_DONE);
	if (code != 0)
		proc_require_ok(__FILE__, __LINE__, current->name, code);
	_exit(0);
}

/* Both on one processor: a step is then a switch and no call across. */
static void share_processor(cpu_set_t *ret_before)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_getaffinity(0, sizeof *ret_before, ret_before);
	sched_setaffinity(0, sizeof one, &one);
}

struct run {
	const struct step_operation *operation;
	struct step_report *report;
	struct watch *watch;
	struct proc *child;
	const char *image_path;
	cpu_set_t processors;
	uint64_t changes;
	unsigned unseen;                        /* instructions since the last look */
	struct {
		uint64_t begin, end;
	} maps[8];                              /* where the child has the file mapped */
	unsigned map_count;
};

struct survivor {
	int (*survive)(const char *path);
	const char *path;
};

static int survivor(void *arg)
{
	struct survivor *s = arg;

	return s->survive(s->path);
}

static void give_up(struct run *run)
{
	if (run->child->pid > 0)
		kill(run->child->pid, SIGKILL);
	(void)proc_wait(run->child);
	watch_close(run->watch);
	sched_setaffinity(0, sizeof run->processors, &run->processors);
}

static unsigned outcome_count(const struct step_operation *operation)
{
	unsigned count = 0;

	while (count < STEP_OUTCOMES && operation->outcomes[count])
		count++;
	return count;
}

/* As if the child had died here: somebody else finds the file so. */
static void try_image(struct run *run)
{
	struct survivor s = { run->operation->survive, run->image_path };
	struct step_report *report = run->report;
	char verdict[512];
	struct proc *p;
	int outcome;

	if (watch_copy(run->watch, run->image_path) != 0) {
		give_up(run);
		fail_msg("%s: no copy: %s", run->image_path, strerror(errno));
	}
	p = proc_spawn("survivor", survivor, &s);
	outcome = proc_wait(p);
	snprintf(verdict, sizeof verdict, "%s", proc_verdict(p));
	if (outcome == PROC_TIMEOUT)
		proc_signal(p, SIGKILL), (void)proc_wait(p);
	proc_release(p);
	if (outcome < 0 || (unsigned)outcome >= outcome_count(run->operation)) {
		step_copy(run->image_path, step_kept_path(run->operation, 0));
		give_up(run);
		fail_msg("%s, dead after instruction %llu: %d %s (%s)", run->operation->name,
		         (unsigned long long)report->instructions, outcome, verdict,
		         step_kept_path(run->operation, 0));
	}
	report->outcomes[outcome]++;
}

static void keep_image(struct run *run)
{
	const struct step_operation *operation = run->operation;
	struct step_report *report = run->report;

	if (!operation->keep_every || report->kept >= operation->keep_max ||
	    report->images % operation->keep_every != 0)
		return;
	if (watch_copy(run->watch, step_kept_path(operation, report->kept)) == 0)
		report->kept++;
}

static void look(struct run *run)
{
	enum watch_found found = watch_look(run->watch);

	run->unseen = 0;
	if (found == WATCH_FAILED) {
		give_up(run);
		fail_msg("%s cannot be watched: %s", run->operation->path, strerror(errno));
	}
	if (found != WATCH_NEW)
		return;
	keep_image(run);
	run->report->images++;
	run->changes++;
	if (run->operation->stride > 1 && run->changes % run->operation->stride != 0) {
		run->report->passed_over++;
		return;
	}
	try_image(run);
}

/* --- which instructions can have written into the file -------------------------------------------- */

/* A store into the file goes through a register that points into a mapping of it, or is a system
 * call's. Where no register does, the look is saved; every so often it is made all the same, and
 * finds nothing, or the test fails: a store was overlooked. */
#define AUDIT_EVERY 512u

#ifdef __x86_64__
static void find_maps(struct run *run)
{
	char name[64], line[1024];
	FILE *maps;

	snprintf(name, sizeof name, "/proc/%d/maps", run->child->pid);
	run->map_count = 0;
	maps = fopen(name, "re");
	while (maps && fgets(line, sizeof line, maps)) {
		unsigned long long begin, end;

		/* a file without a name yet is "(deleted)" in the same folder */
		if (!strstr(line, "/comap-test-") || sscanf(line, "%llx-%llx", &begin, &end) != 2)
			continue;
		if (run->map_count == sizeof run->maps / sizeof run->maps[0])
			break;
		run->maps[run->map_count].begin = begin;
		run->maps[run->map_count++].end = end;
	}
	if (maps)
		fclose(maps);
}

/* A displacement reaches a little beyond the register. */
static bool points_into_file(const struct run *run, uint64_t address)
{
	for (unsigned i = 0; i < run->map_count; i++)
		if (address + 65536 >= run->maps[i].begin && address < run->maps[i].end + 65536)
			return true;
	return false;
}

static bool can_have_written(struct run *run, struct user_regs_struct *registers)
{
	const struct user_regs_struct before = *registers;
	const uint64_t general[] = {
		before.rax, before.rbx, before.rcx, before.rdx, before.rsi, before.rdi, before.rbp,
		before.r8, before.r9, before.r10, before.r11, before.r12, before.r13, before.r14, before.r15,
	};

	if (ptrace(PTRACE_GETREGS, run->child->pid, NULL, registers) != 0)
		return true;
	if (registers->rcx == registers->rip) { /* as a system call leaves them */
		find_maps(run);
		return true;
	}
	for (unsigned i = 0; i < sizeof general / sizeof general[0]; i++)
		if (points_into_file(run, general[i]))
			return true;
	return false;
}
#else
#define user_regs_struct step_no_registers
struct step_no_registers { int none; };
static void find_maps(struct run *run) {}
static bool can_have_written(struct run *run, struct user_regs_struct *registers) { return true; }
#endif

static void audit(struct run *run)
{
	run->unseen = 0;
	if (watch_look(run->watch) == WATCH_SAME)
		return;
	give_up(run);
	fail_msg("%s: a store before instruction %llu was overlooked", run->operation->name,
	         (unsigned long long)run->report->instructions);
}

/* One instruction on; false when the child has ended. Signals other than the trap are passed on. */
static bool step(struct run *run, int *signal_number)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, run->child->pid, NULL, (void *)(intptr_t)*signal_number) != 0)
		return false;
	*signal_number = 0;
	if (waitpid(run->child->pid, &status, __WALL) < 0)
		return false;
	if (!WIFSTOPPED(status)) {
		run->child->result = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
		run->child->pid = 0;
		return false;
	}
	if (WSTOPSIG(status) != SIGTRAP)
		*signal_number = WSTOPSIG(status);
	return true;
}

static void step_through(struct run *run)
{
	struct user_regs_struct registers;
	int signal_number = 0;

	memset(&registers, 0, sizeof registers);
	find_maps(run);
	while (phase() != PHASE_DONE) {
		bool written;

		if (!step(run, &signal_number)) {
			struct proc *child = run->child;
			int result = proc_wait(child);

			give_up(run);
			fail_msg("%s ended with %d after instruction %llu: %s", run->operation->name,
			         result, (unsigned long long)run->report->instructions,
			         proc_verdict(child));
		}
		written = can_have_written(run, &registers);
		if (phase() != PHASE_OPERATE)
			continue;
		run->report->instructions++;
		if (written)
			look(run);
		else if (++run->unseen >= AUDIT_EVERY)
			audit(run);
	}
	audit(run);
	ptrace(PTRACE_DETACH, run->child->pid, NULL, NULL);
}

static void start(struct run *run)
{
	int result;

	current = run->operation;
	set_phase(PHASE_PREPARE);
	run->child = proc_spawn(run->operation->name, stepped, NULL);
	result = proc_wait_stopped(run->child);
	if (run->child->pid > 0) {
		ptrace(PTRACE_SETOPTIONS, run->child->pid, NULL, (void *)PTRACE_O_EXITKILL);
		return;
	}
	watch_close(run->watch);
	sched_setaffinity(0, sizeof run->processors, &run->processors);
	if (result == CANNOT_TRACE)
		skip();
	fail_msg("%s: prepare: %d %s", run->operation->name, result, proc_verdict(run->child));
}

void step_run(const struct step_operation *operation, struct step_report *ret_report)
{
	struct run run = { .operation = operation, .report = ret_report };
	uint64_t begun_ns = comap_now_ns();

	memset(ret_report, 0, sizeof *ret_report);
	snprintf(ret_report->name, sizeof ret_report->name, "%s", operation->name);
	ret_report->outcome_names = operation->outcomes;
	run.image_path = proc_path(PROC_SHM, "image");
	run.watch = watch_open(operation->path);
	assert_non_null(run.watch);
	share_processor(&run.processors);
	start(&run);
	look(&run);
	step_through(&run);
	sched_setaffinity(0, sizeof run.processors, &run.processors);
	watch_close(run.watch);
	proc_assert_ok(run.child);
	proc_release(run.child);
	ret_report->seconds = (double)(comap_now_ns() - begun_ns) / 1e9;
}

const char *step_kept_path(const struct step_operation *operation, unsigned index)
{
	char name[96];

	snprintf(name, sizeof name, "%.60s-kept-%u", operation->name, index);
	for (char *c = name; *c; c++)
		if (*c == ' ' || *c == '/')
			*c = '-';
	return proc_path(PROC_SHM, name);
}

void step_copy(const char *from, const char *to)
{
	struct watch *watch = watch_open(from);
	bool copied = watch && watch_look(watch) >= 0 && watch_copy(watch, to) == 0;

	watch_close(watch);
	if (!copied)
		proc_fail(__FILE__, __LINE__, "%s: no copy of %s: %s", to, from, strerror(errno));
}

void step_print(const struct step_report *reports, unsigned count)
{
	uint64_t instructions = 0, images = 0;

	printf("%-44s %12s %8s %8s  %s\n", "died in", "instructions", "images", "seconds",
	       "what the next one found");
	for (unsigned i = 0; i < count; i++) {
		const struct step_report *r = &reports[i];

		printf("%-44s %12llu %8llu %8.1f ", r->name, (unsigned long long)r->instructions,
		       (unsigned long long)r->images, r->seconds);
		for (unsigned o = 0; o < STEP_OUTCOMES && r->outcome_names[o]; o++)
			printf(" %s %llu%s", r->outcome_names[o],
			       (unsigned long long)r->outcomes[o],
			       o + 1 < STEP_OUTCOMES && r->outcome_names[o + 1] ? "," : "");
		if (r->passed_over)
			printf(" (%llu images not tried)", (unsigned long long)r->passed_over);
		printf("\n");
		instructions += r->instructions;
		images += r->images;
	}
	printf("%-44s %12llu %8llu\n", "together", (unsigned long long)instructions,
	       (unsigned long long)images);
}
