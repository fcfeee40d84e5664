/* SPDX-License-Identifier: MIT */
/* An owner for the shell tests of the command to look at.
 *
 *     role REGION publish [MS]   makes region and typed value, publishes once or every MS
 *     role REGION read           attaches, enters a read section and stays in it
 *     role REGION retire         replaces the value, so that the old block waits for readers
 *     role REGION table COUNT    makes region and typed table with so many entries, and ends
 *
 * Each but the last says "ready" when it stands, and then does nothing until a signal ends it. */
#include <comap.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fx {
	double eurusd;
	uint64_t count;
	int32_t ticks[3];
	char venue[8];
	uint8_t key[4];
};
COMAP_FIELDS(struct fx,
	COMAP_FIELD(f64, eurusd),
	COMAP_FIELD(u64, count),
	COMAP_FIELD(i32, ticks),
	COMAP_FIELD(str, venue),
	COMAP_FIELD(bytes, key));

static int die(const char *what)
{
	fprintf(stderr, "role: %s: %s\n", what, comap_error_text());
	return 1;
}

static struct fx sample(uint64_t count)
{
	struct fx fx = { .eurusd = 1.25, .count = count, .ticks = { 1, -2, 3 },
	                 .venue = "X\"\x1b\xff", .key = { 0xca, 0xfe, 0, 1 } };

	return fx;
}

static int put(struct comap_value *rates, uint64_t count)
{
	struct fx fx = sample(count);

	return comap_value_put(rates, &fx, sizeof fx);
}

static void stand(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static int publish(struct comap *region, unsigned interval_ms)
{
	struct comap_value *rates = comap_value_open(region, "rates", COMAP_TYPE(struct fx));

	if (!rates || put(rates, 1) != 0)
		return die("publish");
	for (uint64_t count = 2; interval_ms; count++) {
		if (count == 3) {
			puts("ready");
			fflush(stdout);
		}
		usleep(interval_ms * 1000);
		if (put(rates, count) != 0)
			return die("publish");
	}
	stand();
	return 0;
}

static int hold(struct comap *region)
{
	if (comap_read_begin(region) != 0)
		return die("read");
	stand();
	return 0;
}

static int retire(struct comap *region)
{
	struct comap_value *blob = comap_value_open(region, "blob", NULL);

	for (int i = 0; i < 3; i++) {
		if (!blob || comap_value_put(blob, "abc", 3) != 0)
			return die("retire");
		(void)comap_synchronize_start(region);
	}
	stand();
	return 0;
}

static int fill(struct comap *region, uint64_t count)
{
	struct comap_table *table = comap_table_open(region, "rates", COMAP_TYPE(struct fx));
	int code = table ? 0 : -1;

	for (uint64_t i = 0; i < count && !code; i++) {
		struct fx fx = sample(UINT64_MAX - i);
		char key[24];

		fx.eurusd = i == 0 ? NAN : 1.0 / (double)i;
		if (i % 2)
			memcpy(fx.venue, "a, \\\t\"b", 8);
		snprintf(key, sizeof key, "%" PRIu64, i);
		code = comap_table_put(table, key, strlen(key), &fx, sizeof fx);
	}
	if (code)
		return die("table");
	comap_table_close(table);
	return comap_close(region) ? die("close") : 0;
}

int main(int argc, char **argv)
{
	struct comap *region;

	if (argc < 3) {
		fputs("usage: role REGION publish [MS] | read | retire | table COUNT\n", stderr);
		return 2;
	}
	region = comap_open(argv[1], strcmp(argv[2], "read") == 0 ? 0u : COMAP_CREATE);
	if (!region)
		return die(argv[1]);
	if (strcmp(argv[2], "publish") == 0)
		return publish(region, argc > 3 ? (unsigned)atoi(argv[3]) : 0);
	if (strcmp(argv[2], "table") == 0)
		return fill(region, argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
	return strcmp(argv[2], "read") == 0 ? hold(region) : retire(region);
}
