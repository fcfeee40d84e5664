/* SPDX-License-Identifier: MIT */
/* The answer as a table, as JSON, as a chart. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAR_MAX 40

static int64_t bucket_of(const struct answer *answer, const struct tally_entry *entry)
{
	int64_t seconds;

	memcpy(&seconds, tally_key(&answer->times, entry), sizeof seconds);
	return seconds;
}

static int by_time(const void *a, const void *b, void *answer)
{
	int64_t left = bucket_of(answer, a), right = bucket_of(answer, b);

	return (left > right) - (left < right);
}

/* Buckets in the order of time. */
static struct tally_entry *times_sorted(const struct answer *answer)
{
	struct tally_entry *sorted = tally_sorted(&answer->times, TALLY_BY_KEY);

	if (sorted)
		qsort_r(sorted, answer->times.used, sizeof *sorted, by_time,
		        (void *)(uintptr_t)answer);
	return sorted;
}

static void time_text(char text[32], int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm parts;

	gmtime_r(&time, &parts);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* --- table -------------------------------------------------------------------------------- */

/* Bytes of a log are shown, not obeyed. */
static void print_safe(const char *text, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes && i < 100; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			printf("\\x%02x", (unsigned char)text[i]);
		else
			putchar(text[i]);
	if (size_bytes > 100)
		fputs("...", stdout);
}

static void table_of_keys(const char *name, const struct tally *tally, uint64_t line_count,
                          unsigned top)
{
	struct tally_entry *sorted = tally_sorted(tally, TALLY_BY_COUNT);

	printf("\n%zu different values of %s\n", tally->used, name);
	for (size_t i = 0; sorted && i < tally->used && i < top; i++) {
		printf("%12" PRIu64 " %5.1f %%  ", sorted[i].count,
		       100.0 * (double)sorted[i].count / (double)line_count);
		print_safe(tally_key(tally, &sorted[i]), sorted[i].key_bytes);
		putchar('\n');
	}
	if (tally->other_count)
		printf("%12" PRIu64 " of values that found no place (--max-keys): counts above may be low\n",
		       tally->other_count);
	free(sorted);
}

static void table_of_times(const struct answer *answer)
{
	struct tally_entry *sorted = times_sorted(answer);
	uint64_t largest = 1;

	for (size_t i = 0; sorted && i < answer->times.used; i++)
		if (sorted[i].count > largest)
			largest = sorted[i].count;
	putchar('\n');
	for (size_t i = 0; sorted && i < answer->times.used; i++) {
		char text[32];

		time_text(text, bucket_of(answer, &sorted[i]));
		printf("%s %12" PRIu64 " ", text, sorted[i].count);
		for (uint64_t bar = 0; bar < sorted[i].count * BAR_MAX / largest; bar++)
			putchar('#');
		putchar('\n');
	}
	free(sorted);
}

void report_table(const struct question *question, const struct answer *answer, unsigned top)
{
	double seconds = (double)answer->wall_ns / 1e9;

	if (question->literal)
		printf("%" PRIu64 " lines with '%s'", answer->hit_count, question->literal);
	else
		printf("%" PRIu64 " lines", answer->line_count);
	printf(", %.1f MB in %.3f s (%.2f GB/s), %s\n", (double)answer->size_bytes / 1e6, seconds,
	       (double)answer->size_bytes / 1e9 / seconds, answer->method);
	if (question->literal)
		return;
	if (answer->unknown_count)
		printf("%" PRIu64 " lines are not of the format '%s'\n", answer->unknown_count,
		       question->format.name);
	if (answer->untimed_count)
		printf("%" PRIu64 " lines have a time that cannot be read\n", answer->untimed_count);
	for (unsigned i = 0; i < question->key_count; i++)
		table_of_keys(question->format.fields[question->keys[i]], &answer->keys[i],
		              answer->line_count, top);
	if (question->time_field >= 0)
		table_of_times(answer);
}

/* --- JSON --------------------------------------------------------------------------------- */

/* Bytes above 0x7f are taken for Latin-1: any log gives valid JSON, and each byte can be told. */
static void json_text(const char *text, size_t size_bytes)
{
	putchar('"');
	for (size_t i = 0; i < size_bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void json_keys(const struct tally *tally, unsigned top)
{
	struct tally_entry *sorted = tally_sorted(tally, TALLY_BY_COUNT);

	printf("{\"different\":%zu,\"other\":%" PRIu64 ",\"top\":[", tally->used, tally->other_count);
	for (size_t i = 0; sorted && i < tally->used && i < top; i++) {
		printf("%s{\"count\":%" PRIu64 ",\"value\":", i ? "," : "", sorted[i].count);
		json_text(tally_key(tally, &sorted[i]), sorted[i].key_bytes);
		putchar('}');
	}
	fputs("]}", stdout);
	free(sorted);
}

static void json_times(const struct answer *answer)
{
	struct tally_entry *sorted = times_sorted(answer);

	for (size_t i = 0; sorted && i < answer->times.used; i++) {
		char text[32];

		time_text(text, bucket_of(answer, &sorted[i]));
		printf("%s{\"time\":\"%s\",\"count\":%" PRIu64 "}", i ? "," : "", text, sorted[i].count);
	}
	free(sorted);
}

void report_json(const struct question *question, const struct answer *answer, unsigned top)
{
	printf("{\"size_bytes\":%" PRIu64 ",\"wall_ns\":%" PRIu64 ",\"method\":\"%s\"",
	       answer->size_bytes, answer->wall_ns, answer->method);
	if (question->literal) {
		printf(",\"hits\":%" PRIu64 "}\n", answer->hit_count);
		return;
	}
	printf(",\"lines\":%" PRIu64, answer->line_count);
	printf(",\"format\":\"%s\",\"unknown\":%" PRIu64 ",\"untimed\":%" PRIu64 ",\"by\":{",
	       question->format.name, answer->unknown_count, answer->untimed_count);
	for (unsigned i = 0; i < question->key_count; i++) {
		printf("%s\"%s\":", i ? "," : "", question->format.fields[question->keys[i]]);
		json_keys(&answer->keys[i], top);
	}
	putchar('}');
	if (question->time_field >= 0) {
		printf(",\"bucket_seconds\":%" PRIu64 ",\"times\":[", question->bucket_seconds);
		json_times(answer);
		putchar(']');
	}
	puts("}");
}

/* --- chart -------------------------------------------------------------------------------- */

int report_chart(const struct question *question, const struct answer *answer, const char *path)
{
	struct tally_entry *sorted = times_sorted(answer);
	FILE *gnuplot;

	if (!sorted || strchr(path, '\'')) {
		free(sorted);
		return -1;
	}
	gnuplot = popen("gnuplot", "w");
	if (!gnuplot) {
		free(sorted);
		return -1;
	}
	fprintf(gnuplot,
	        "set terminal svg size 900,360 background 'white'\nset output '%s'\n"
	        "set xdata time\nset timefmt '%%s'\nset format x '%%d %%b\\n%%H:%%M'\n"
	        "set ylabel 'lines per %" PRIu64 " s'\nset yrange [0:*]\nset style fill solid 0.6\n"
	        "set key off\nset grid y\nplot '-' using 1:2 with boxes\n", path,
	        question->bucket_seconds);
	for (size_t i = 0; i < answer->times.used; i++)
		fprintf(gnuplot, "%" PRId64 " %" PRIu64 "\n", bucket_of(answer, &sorted[i]),
		        sorted[i].count);
	fputs("e\n", gnuplot);
	free(sorted);
	return pclose(gnuplot) == 0 ? 0 : -1;
}
