/* SPDX-License-Identifier: MIT */
/* Workers before a slow source, with and without a cache that they share.
 *
 *   round        asks the source
 *   without      every worker, for every request
 *   together     of those who miss an article, one; the others wait for it
 *   stale        the same; who finds an article whose time is over takes it all the same, while one asks
 *   killed       as together; one worker is killed while it asks, with others waiting for it
 *
 * Each answer is compared with what the source must say. At the end a table, and whether its claims hold:
 * exit code 1 where one does not. */
#include "source.h"
#include "worker.h"

#include <comap.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUDGET_BYTES (4u << 20)

struct result {
	const char *name;
	uint64_t answers, questions, stale, negative, wrong, failed, doubled;
	uint64_t p50_ns, p99_ns, longest_ns;
	unsigned ended_badly;
	bool killed;               /* somebody was, in the middle of a question */
};

static const char help[] =
	"Usage: cache [--workers N] [--articles N] [--delay MS] [--time MS] [--ttl MS]\n"
	"Eight workers ask a slow source (SQLite) for articles: without a cache, with one that they share,\n"
	"with stale answers, and with a worker killed while it asks.\n";

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* --- a round ---------------------------------------------------------------------------------- */

static bool make_table(const char *region_name)
{
	struct comap_options how = COMAP_OPTIONS_INIT;
	struct comap_table_options options = { .budget_bytes = BUDGET_BYTES };
	struct comap *region;
	struct comap_table *table = NULL;

	how.flags = COMAP_CREATE;
	how.heap_max_bytes = 4 * BUDGET_BYTES;
	region = comap_open_with(region_name, &how);
	if (region)
		table = comap_table_open_with(region, "articles", NULL, &options);
	if (!table)
		fprintf(stderr, "cache: %s\n", comap_error_text());
	comap_table_close(table);
	comap_close(region);
	return table != NULL;
}

/* Tells one worker to hang as it asks, and kills it there. */
static bool kill_one(struct notes *notes, const pid_t *pids, unsigned workers)
{
	comap_u64_store_relaxed(&notes->hang, 1); /* relaxed: taken by an exchange */
	for (unsigned tries = 0; tries < 2000; tries++) {
		for (unsigned i = 0; i < workers; i++)
			if (comap_u64_load_relaxed(&notes->may_hang[i])) { /* relaxed: it hangs there */
				sleep_ms(30); /* for others to wait behind it */
				return kill(pids[i], SIGKILL) == 0;
			}
		sleep_ms(1);
	}
	return false;
}

static void sum_up(struct result *result, const struct notes *notes, unsigned workers)
{
	struct histogram all = { 0 };

	for (unsigned i = 0; i < workers; i++) {
		histogram_add(&all, &notes->latency[i]);
		if (notes->longest_ns[i].v > result->longest_ns)
			result->longest_ns = notes->longest_ns[i].v;
	}
	result->p50_ns = histogram_quantile(&all, 5000);
	result->p99_ns = histogram_quantile(&all, 9900);
	result->answers = notes->answers.v;
	result->questions = notes->questions.v;
	result->stale = notes->stale.v;
	result->negative = notes->negative.v;
	result->wrong = notes->wrong.v;
	result->failed = notes->failed.v;
	result->doubled = notes->doubled.v;
}

static unsigned await_all(const pid_t *pids, unsigned workers, bool one_is_killed)
{
	unsigned killed = 0, badly = 0;
	int status;

	for (unsigned i = 0; i < workers; i++) {
		if (waitpid(pids[i], &status, 0) != pids[i])
			badly++;
		else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			killed++;
		else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			badly++;
	}
	return badly + (killed != one_is_killed);
}

static struct result run_round(const char *name, const struct plan *plan)
{
	struct result result = { .name = name };
	pid_t pids[WORKERS_MAX];
	struct notes *notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                           -1, 0);

	if (notes == MAP_FAILED || (plan->region && !make_table(plan->region))) {
		result.ended_badly = 1;
		return result;
	}
	for (unsigned i = 0; i < plan->workers; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(worker_run(plan, notes, i));
	}
	sleep_ms(plan->seconds_ms / 2);
	if (plan->kill_one)
		result.killed = kill_one(notes, pids, plan->workers);
	sleep_ms(plan->seconds_ms / 2);
	comap_u64_store_relaxed(&notes->stop, 1); /* relaxed: a request more does no harm */
	result.ended_badly = await_all(pids, plan->workers, result.killed);
	sum_up(&result, notes, plan->workers);
	munmap(notes, sizeof *notes);
	if (plan->region && comap_unlink(plan->region) != 0)
		result.ended_badly++;
	return result;
}

/* --- the report ------------------------------------------------------------------------------- */

static void print_result(const struct result *result)
{
	printf("%-9s %9llu %9llu %7llu %8llu %8.1f us %7.1f ms %7.1f ms\n", result->name,
	       (unsigned long long)result->answers, (unsigned long long)result->questions,
	       (unsigned long long)result->stale, (unsigned long long)result->negative,
	       (double)result->p50_ns / 1e3, (double)result->p99_ns / 1e6, (double)result->longest_ns / 1e6);
}

static int claim(bool holds, const char *what)
{
	printf("%-5s %s\n", holds ? "ok" : "FALSE", what);
	return !holds;
}

static int print_claims(const struct plan *plan, const struct result *results)
{
	const struct result *without = &results[0], *together = &results[1], *stale = &results[2],
	                    *killed = &results[3];
	int wrong = 0;
	uint64_t bad = 0, doubled = 0;

	for (unsigned i = 0; i < 4; i++)
		bad += results[i].wrong + results[i].failed + results[i].ended_badly;
	for (unsigned i = 1; i < 4; i++)
		doubled += results[i].doubled;
	printf("\n");
	wrong += claim(bad == 0, "every request was answered, and every answer is what the source says");
	wrong += claim(without->questions == without->answers, "without a cache every request asks the source");
	wrong += claim(doubled == 0, "with it, no two living workers ever asked for one article at once");
	wrong += claim(together->answers > 10 * together->questions,
	               "with it, the source was asked less than once for ten answers");
	wrong += claim(stale->stale > 0 && stale->p99_ns < plan->delay_ms * 500000ull,
	               "with stale answers, 99 of 100 came in less than half the source's delay");
	wrong += claim(killed->killed && killed->longest_ns < (plan->delay_ms + 500) * 1000000ull,
	               "a worker was killed while it asked; nobody who waited for it waited half a second more");
	return wrong;
}

/* --- the command line ------------------------------------------------------------------------- */

static bool read_number(const char *text, unsigned least, unsigned most, unsigned *ret_number)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	*ret_number = (unsigned)number;
	return *text && !*end && number >= least && number <= most;
}

static bool read_options(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{ "workers", required_argument, NULL, 'w' }, { "articles", required_argument, NULL, 'a' },
		{ "delay", required_argument, NULL, 'd' }, { "time", required_argument, NULL, 't' },
		{ "ttl", required_argument, NULL, 'l' }, { NULL, 0, NULL, 0 }
	};
	bool good = true;
	int option;

	while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'w': good = read_number(optarg, 2, WORKERS_MAX, &plan->workers); break;
		case 'a': good = read_number(optarg, 9, ARTICLES_MAX * 9 / 10, &plan->articles); break;
		case 'd': good = read_number(optarg, 1, 1000, &plan->delay_ms); break;
		case 't': good = read_number(optarg, 100, 600000, &plan->seconds_ms); break;
		case 'l': good = read_number(optarg, 1, 600000, &plan->ttl_ms); break;
		default: good = false;
		}
	return good && optind == argc;
}

int main(int argc, char **argv)
{
	struct plan plan = {
		.workers = 8, .articles = 90, .delay_ms = 20, .seconds_ms = 2000, .ttl_ms = 500,
		.negative_ttl_ms = 500,
	};
	char folder[] = "/dev/shm/comap-cache-XXXXXX", database[64], region[64];
	struct result results[4];
	int wrong;

	if (!read_options(&plan, argc, argv)) {
		fputs(help, stderr);
		return 2;
	}
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	snprintf(database, sizeof database, "%s/articles.db", folder);
	snprintf(region, sizeof region, "%s/region", folder);
	if (source_create(database, plan.articles) != 0)
		return 1;
	printf("%u workers, %u articles, %u ms for each question to the source\n\n"
	       "          %9s %9s %7s %8s %11s %10s %10s\n", plan.workers, plan.articles, plan.delay_ms,
	       "answers", "questions", "stale", "negative", "p50", "p99", "longest");
	fflush(stdout);
	plan.database = database;
	results[0] = run_round("without", &plan);
	plan.region = region;
	results[1] = run_round("together", &plan);
	plan.stale_ms = 60000;
	results[2] = run_round("stale", &plan);
	plan.stale_ms = 0;
	plan.kill_one = true;
	results[3] = run_round("killed", &plan);
	for (unsigned i = 0; i < 4; i++)
		print_result(&results[i]);
	wrong = print_claims(&plan, results);
	unlink(database);
	rmdir(folder);
	return wrong != 0;
}
