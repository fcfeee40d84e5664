/* SPDX-License-Identifier: MIT */
/* The table at the end of the demo. Each line that claims something is checked as it is printed. */
#include "demo.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1024.0 * 1024.0)

static int false_claims;

static void claim(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void claim(bool holds, const char *format, ...)
{
	va_list args;

	printf("  %-5s ", holds ? "ok" : "FALSE");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	false_claims += !holds;
}

static void print_consumer(const char *name, const struct consumer_stats *stats)
{
	const struct consumer_counts *counts = &stats->counts;
	double seconds = (double)stats->running_ns / 1e9;

	printf("  %-20s %9.2f %8.2f %6llu %6llu %6llu   %3llu (%llu-%llu) %9llu %5llu %5llu\n",
	       name, (double)counts->lookups / 1e6,
	       seconds > 0 ? (double)counts->lookups / seconds / 1e6 : 0.0,
	       (unsigned long long)stats->p50_ns, (unsigned long long)stats->p99_ns,
	       (unsigned long long)stats->p999_ns, (unsigned long long)counts->versions,
	       (unsigned long long)stats->version_first, (unsigned long long)stats->version_last,
	       (unsigned long long)(counts->verified + counts->index_verified),
	       (unsigned long long)counts->torn, (unsigned long long)counts->wrong);
}

static void add(struct consumer_stats *total, const struct consumer_stats *stats)
{
	const struct consumer_counts *from = &stats->counts;
	struct consumer_counts *to = &total->counts;

	if (stats->pid == 0)
		return;
	to->lookups += from->lookups;
	to->verified += from->verified + from->index_verified;
	to->wrong += from->wrong;
	to->unverifiable += from->unverifiable;
	to->checks += from->checks;
	to->torn += from->torn;
	to->backwards += from->backwards;
	to->failures += from->failures;
	if (stats->running_ns > total->running_ns)
		total->running_ns = stats->running_ns;
	histogram_add(&total->latency, &stats->latency);
}

static void print_consumers(const struct demo *demo, struct consumer_stats *total)
{
	printf("\n  %-20s %9s %8s %6s %6s %6s   %-11s %9s %5s %5s\n", "consumer", "lookups M",
	       "M/s", "p50 ns", "p99", "p99.9", "versions", "verified", "torn", "wrong");
	for (uint64_t i = 0; i < demo->options.consumer_count; i++) {
		const struct demo_consumer *consumer = &demo->consumers[i];
		char name[48];

		snprintf(name, sizeof name, "%s (killed)", consumer->member.name);
		if (consumer->before.pid)
			print_consumer(name, &consumer->before);
		print_consumer(consumer->member.name, &consumer->stats);
		add(total, &consumer->before);
		add(total, &consumer->stats);
	}
	printf("  %-20s %9.2f %8.2f %6llu %6llu %6llu   %-11s %9llu %5llu %5llu\n\n", "all",
	       (double)total->counts.lookups / 1e6,
	       (double)total->counts.lookups * 1e3 / (double)total->running_ns,
	       (unsigned long long)histogram_quantile(&total->latency, 5000),
	       (unsigned long long)histogram_quantile(&total->latency, 9900),
	       (unsigned long long)histogram_quantile(&total->latency, 9990), "",
	       (unsigned long long)total->counts.verified, (unsigned long long)total->counts.torn,
	       (unsigned long long)total->counts.wrong);
}

static void claim_answers(const struct demo *demo, const struct consumer_stats *total)
{
	const struct consumer_counts *counts = &total->counts;
	uint64_t latest = comap_value_version(demo->registry), behind = 0, unverified = 0;

	for (uint64_t i = 0; i < demo->options.consumer_count; i++) {
		behind += demo->consumers[i].stats.version_last != latest;
		unverified += demo->consumers[i].stats.counts.verified == 0;
	}
	claim(counts->torn == 0 && counts->checks > 0,
	      "torn reads: %llu, in %llu checksums of whole versions",
	      (unsigned long long)counts->torn, (unsigned long long)counts->checks);
	claim(counts->wrong == 0 && counts->verified > 0 && unverified == 0 &&
	      counts->unverifiable == 0,
	      "wrong answers: %llu, of %llu compared with an independent parse of that version "
	      "(%llu without a copy to compare with)", (unsigned long long)counts->wrong,
	      (unsigned long long)counts->verified, (unsigned long long)counts->unverifiable);
	claim(counts->backwards == 0 && counts->failures == 0 && behind == 0,
	      "versions: %llu, published by %llu producers; nobody went back, all saw the last",
	      (unsigned long long)latest, (unsigned long long)demo->producer_count);
}

static void claim_kills(const struct demo *demo)
{
	uint64_t in_publish = 0;

	for (uint64_t i = 0; i < demo->kill_count; i++) {
		const struct demo_kill *kill = &demo->kills[i];

		in_publish += kill->in_publish;
		claim(kill->next_version == kill->version + (kill->in_publish ? 1 : 2) &&
		      kill->gap_ns < 5000000000u,
		      "kill %llu, %s version %llu: version %llu, published %.1f ms later by %s",
		      (unsigned long long)i + 1,
		      kill->in_publish ? "in the middle of" : "just after",
		      (unsigned long long)kill->version + 1, (unsigned long long)kill->next_version,
		      (double)kill->gap_ns / 1e6,
		      kill->standby ? "the one that stood by" : "one that was started then");
	}
	claim(in_publish > 0, "%llu of %llu kills came between reserve and publish",
	      (unsigned long long)in_publish, (unsigned long long)demo->kill_count);
}

static void claim_stop(const struct demo *demo)
{
	const struct demo_consumer *consumer = &demo->consumers[2];

	claim(demo->stop_versions >= 3 && demo->stop_lookups > 0,
	      "%s stopped for %.1f s: the others saw %llu new versions and made %.1f M lookups; "
	      "%.1f MiB waited for it", consumer->member.name, (double)demo->stop_ns / 1e9,
	      (unsigned long long)demo->stop_versions, (double)demo->stop_lookups / 1e6,
	      (double)demo->stop_retired_bytes / MIB);
	claim(consumer->stats.counts.lookups > demo->stopped_lookups,
	      "then it went on, and made %.1f M lookups more",
	      (double)(consumer->stats.counts.lookups - demo->stopped_lookups) / 1e6);
}

static void claim_memory(const struct demo *demo)
{
	const struct memory_sum *sum = &demo->memory;

	claim(sum->pss_bytes <= demo->info.allocated_bytes && sum->rss_bytes > sum->pss_bytes,
	      "region mapped by %llu processes: sum of RSS %.1f MiB, sum of PSS %.1f MiB, "
	      "file %.1f MiB (one version: %.1f, waiting for reuse: %.1f)",
	      (unsigned long long)sum->process_count,
	      (double)sum->rss_bytes / MIB, (double)sum->pss_bytes / MIB,
	      (double)demo->info.allocated_bytes / MIB, (double)demo->table_bytes / MIB,
	      (double)demo->info.retired_bytes / MIB);
	printf("        whole processes: sum of RSS %.1f MiB, sum of PSS %.1f MiB\n",
	       (double)sum->all_rss_bytes / MIB, (double)sum->all_pss_bytes / MIB);
	if (sum->frames_result == -EPERM || sum->frames_result == -EACCES) {
		printf("  --    page frames not compared: that needs CAP_SYS_ADMIN\n");
		return;
	}
	claim(sum->frames_result == 0 && sum->pages_both > 0 && sum->pages_same == sum->pages_both,
	      "page frames compared in %llu pairs: %llu of %llu pages are the same frame",
	      (unsigned long long)sum->pairs, (unsigned long long)sum->pages_same,
	      (unsigned long long)sum->pages_both);
}

static void claim_picture(const struct demo *demo)
{
	const struct memory_point *last = &demo->points[demo->options.process_count - 1];
	char path[PATH_MAX + 16];
	struct stat status = { 0 };
	bool drawn;

	snprintf(path, sizeof path, "%s/memory.svg", demo->options.out);
	drawn = stat(path, &status) == 0 && status.st_size > 0;
	claim(drawn && (demo->options.process_count < 2 || last->shared_mib < last->private_mib),
	      "%s: %llu processes take %.1f MiB with one map, %.1f MiB with a copy each", path,
	      (unsigned long long)demo->options.process_count, last->shared_mib, last->private_mib);
}

int report_print(struct demo *demo, int unclean_ends)
{
	static struct consumer_stats total;

	print_consumers(demo, &total);
	claim_answers(demo, &total);
	claim_kills(demo);
	claim_stop(demo);
	claim_memory(demo);
	claim_picture(demo);
	claim(unclean_ends == 0, "all ended in order, with status 0");
	if (false_claims)
		printf("\n%d of these claims are false; the logs are in %s\n", false_claims,
		       demo->options.out);
	return false_claims;
}
