/* SPDX-License-Identifier: MIT */
/* Death after every machine instruction of every operation; one table at the end.
 *
 *     test_step                     all operations; of repairs, those after some deaths
 *     test_step SECONDS             the long run: all images of some operations, each repaired by a
 *                                   process that dies after each of its own instructions, until the
 *                                   time is over
 *     COMAP_STEP_ONLY=put test_step only operations whose name begins so */
#include "cases.h"

#include <comap/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORTS_MAX 256u

static struct step_report reports[REPORTS_MAX];
static unsigned report_count;
static double long_seconds;

static struct step_report *next_report(void)
{
	return &reports[report_count < REPORTS_MAX - 1 ? report_count++ : report_count];
}

static bool is_chosen(const char *name)
{
	const char *only = getenv("COMAP_STEP_ONLY");

	return !only || strncmp(name, only, strlen(only)) == 0;
}

static void require_outcomes(const struct step_case *c, const struct step_report *report)
{
	for (unsigned i = 0; c->outcomes[i] && !c->some_outcomes; i++)
		if (report->outcomes[i] == 0)
			fail_msg("%s: '%s' was never found", c->name, c->outcomes[i]);
}

static void run_case(const struct step_case *c, unsigned keep_max, struct step_operation *operation)
{
	struct step_report *report = next_report();

	*operation = (struct step_operation){
		c->name, proc_path(PROC_SHM, "region"), c->prepare, c->operate, c->survive, c->outcomes,
		.keep_every = keep_max ? 1 : 0, .keep_max = keep_max,
	};
	remove(operation->path);
	check_heap_max_bytes = c->heap_max_bytes ? c->heap_max_bytes : 512u << 10;
	if (c->arrange) {
		struct proc *p = proc_spawn("arrange", c->arrange, (void *)(uintptr_t)operation->path);

		proc_assert_ok(p);
		proc_release(p);
	}
	step_run(operation, report);
	require_outcomes(c, report);
}

static void run_cases(const struct step_case *cases, unsigned count)
{
	struct step_operation operation;

	for (unsigned i = 0; i < count; i++)
		if (is_chosen(cases[i].name) && (!cases[i].is_long || long_seconds > 0))
			run_case(&cases[i], 0, &operation);
}

static void test_region(void **state)
{
	run_cases(region_cases, region_case_count);
}

static void test_value(void **state)
{
	run_cases(value_cases, value_case_count);
}

static void test_places(void **state)
{
	run_cases(place_cases, place_case_count);
}

static void test_death(void **state)
{
	run_cases(death_cases, death_case_count);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_region),
		PROC_TEST(test_value),
		PROC_TEST(test_places),
		PROC_TEST(test_death),
	};
	int failed;

	if (argc > 1)
		long_seconds = atof(argv[1]);
	proc_limit_ms = 600000;
	failed = cmocka_run_group_tests_name("step", tests, NULL, NULL);
	step_print(reports, report_count);
	return failed;
}
