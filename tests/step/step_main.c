/* SPDX-License-Identifier: MIT */
/* Death after every machine instruction of every operation; one table at the end.
 *
 *     test_step                     all operations; of repairs, those after some deaths
 *     test_step SECONDS             the long run: all images of some operations, each repaired by a
 *                                   process that dies after each of its own instructions, until the
 *                                   time is over; 77 where it is over too early
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
static bool cut_short;

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
	for (unsigned i = 0; c->outcomes[i] && !c->some_outcomes && !report->passed_over; i++)
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
#ifdef __SANITIZE_ADDRESS__
	operation->stride = 5; /* a survivor costs ten times as much there */
#endif
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

/* A sanitizer's build has several times the instructions, and they say nothing about ours: there,
 * only the shorter half is stepped. */
static void not_with_sanitizers(void)
{
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
}

static void test_region(void **state)
{
	not_with_sanitizers();
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

static void test_table(void **state)
{
	not_with_sanitizers();
	run_cases(table_cases, table_case_count);
	run_cases(bulk_cases, bulk_case_count);
	run_cases(turn_cases, turn_case_count);
}

static void test_cache(void **state)
{
	not_with_sanitizers();
	run_cases(cache_cases, cache_case_count);
}

static void test_death(void **state)
{
	not_with_sanitizers();
	run_cases(death_cases, death_case_count);
}

/* --- the repair, killed in its turn ------------------------------------------------------------------ */

/* What is left by a death in the middle of these is repaired by a process that dies as well. The short
 * run takes the first two. */
static const char *const repaired[] = { "put", "free a run", "make a value", "publish a run",
                                        "make a value after a death", "take a dead one's role",
                                        "put, ring full: spill", "table: put over",
                                        "table: split" };

static const struct step_case *find_case(const char *name)
{
	const struct step_case *const tables[] = { region_cases, value_cases, place_cases, death_cases,
	                                           table_cases };
	const unsigned counts[] = { region_case_count, value_case_count, place_case_count,
	                            death_case_count, table_case_count };

	for (unsigned t = 0; t < sizeof counts / sizeof counts[0]; t++)
		for (unsigned i = 0; i < counts[t]; i++)
			if (strcmp(tables[t][i].name, name) == 0)
				return &tables[t][i];
	fail_msg("no case is called %s", name);
	return NULL;
}

static int attach_to_repair(const char *path)
{
	return open_region(path);
}

static void add_up(struct step_report *sum, const struct step_report *one)
{
	sum->instructions += one->instructions;
	sum->images += one->images;
	sum->seconds += one->seconds;
	for (unsigned i = 0; i < STEP_OUTCOMES; i++)
		sum->outcomes[i] += one->outcomes[i];
}

/* One image: a death of the operation. The process that attaches to it is stepped. */
static void repair_image(const struct step_case *c, const char *image, struct step_report *sum)
{
	struct step_operation repair = {
		"repair", proc_path(PROC_SHM, "broken"), c->before_repair ? c->before_repair : warm_up,
		c->repair ? c->repair : attach_to_repair, c->survive, c->outcomes,
	};
	struct step_report report;

	step_copy(image, repair.path);
	step_run(&repair, &report);
	add_up(sum, &report);
}

/* `most` of its images, from all over it. */
static void repair_case(const struct step_case *c, unsigned most, uint64_t deadline_ns)
{
	struct step_operation operation;
	struct step_report *sum;
	unsigned kept, tried = 0;

	run_case(c, 900, &operation);
	kept = reports[report_count - 1].kept;
	sum = next_report();
	sum->outcome_names = c->outcomes;
	if (most > kept)
		most = kept;
	for (; tried < most && comap_now_ns() < deadline_ns; tried++)
		repair_image(c, step_kept_path(&operation, most == kept
		                               ? tried : (tried + 1) * kept / (most + 1)), sum);
	snprintf(sum->name, sizeof sum->name, "repair of %s, %u of %u", c->name, tried, kept);
	cut_short |= tried < most;
}

static void test_repairs(void **state)
{
	unsigned count = long_seconds > 0 ? sizeof repaired / sizeof repaired[0] : 2;
	uint64_t deadline_ns = long_seconds > 0
		? comap_now_ns() + (uint64_t)(long_seconds * 1e9) : COMAP_FOREVER;

	not_with_sanitizers();
	for (unsigned i = 0; i < count; i++) {
		const struct step_case *c = find_case(repaired[i]);

		if (is_chosen(c->name) && (!c->is_long || long_seconds > 0))
			repair_case(c, long_seconds > 0 ? 900 : 2, deadline_ns);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_region),
		PROC_TEST(test_value),
		PROC_TEST(test_places),
		PROC_TEST(test_table),
		PROC_TEST(test_cache),
		PROC_TEST(test_death),
		PROC_TEST(test_repairs),
	};
	int failed;

	if (argc > 1)
		long_seconds = atof(argv[1]);
	proc_limit_ms = 600000;
	failed = cmocka_run_group_tests_name("step", tests, NULL, NULL);
	step_print(reports, report_count);
	if (cut_short)
		printf("SKIPPED: the time was over before all repairs were tried: give it more\n");
	return failed ? failed : cut_short ? 77 : 0;
}
