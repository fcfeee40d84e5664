/* SPDX-License-Identifier: MIT */
/* One of two processes over a region, built for one libc or processor or another: see both.bash.
 *
 *     peer PATH make                  a value "v" at 1, a table "t" of 1,000 keys and a counter
 *     peer PATH write NUMBER          publishes NUMBER, which must be one more than what stands there
 *     peer PATH check NUMBER          value, keys and blocks are as they should be
 *     peer PATH guest NUMBER          the same without a seat
 *     peer PATH hold                  says "holding" inside a read section, until it is killed
 *     peer PATH wait MS               a grace period: exit status 0; 2: not over in time
 *     peer PATH count TIMES           raises the counter, publishes now and then; prints TIMES
 *     peer PATH sum NUMBER            the counter is NUMBER; 0: at least 1
 *
 * Exit status 0 or a sentence. It uses nothing but the public interface. */
#include <comap.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS 1000u

static struct comap *region;
static struct comap_value *value;
static struct comap_table *table;

static void need(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "peer: not so: %s (%s)\n", what, comap_error_text());
	exit(1);
}
#define NEED(condition) need(condition, #condition)

static void open_all(const char *path, uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.heap_max_bytes = 64 << 20;
	region = comap_open_with(path, &options);
	NEED(region);
	value = comap_value_open(region, "v", NULL);
	table = comap_table_open(region, "t", NULL);
	NEED(value && table);
}

static int close_all(void)
{
	comap_table_close(table);
	comap_value_close(value);
	NEED(comap_close(region) == 0);
	return 0;
}

static uint64_t current(void)
{
	uint64_t number = 0;

	NEED(comap_value_get(value, &number, sizeof number, NULL) == 0);
	return number;
}

static void publish(uint64_t number)
{
	NEED(comap_value_put(value, &number, sizeof number) == 0);
}

static int make(uint64_t unused)
{
	(void)unused;
	publish(1);
	NEED(comap_value_release(value) == 0);
	for (uint64_t key = 0; key < KEYS; key++)
		NEED(comap_table_put(table, &key, sizeof key, &key, sizeof key) == 0);
	return 0;
}

static int write_next(uint64_t number)
{
	NEED(current() == number - 1);
	publish(number);
	for (uint64_t key = 0; key < KEYS; key += 7)
		NEED(comap_table_put(table, &key, sizeof key, &key, sizeof key) == 0);
	return 0;
}

static int check_keys(uint64_t number)
{
	uint64_t found;

	NEED(current() == number);
	for (uint64_t key = 0; key < KEYS; key++) {
		NEED(comap_table_get(table, &key, sizeof key, &found, sizeof found, NULL) == 0);
		NEED(found == key);
	}
	return 0;
}

static int check(uint64_t number)
{
	struct comap_check report;

	check_keys(number);
	NEED(comap_table_add(table, "settled", 7, 1, NULL) == 0);
	NEED(comap_check(region, &report) == 0);
	return 0;
}

static int hold(uint64_t unused)
{
	(void)unused;
	NEED(comap_read_begin(region) == 0);
	puts("holding");
	fflush(stdout);
	return pause();
}

static int wait_for_readers(uint64_t ms)
{
	int code = comap_synchronize_until(region, comap_deadline_ms(ms));

	NEED(code == 0 || code == -ETIMEDOUT);
	return code ? 2 : 0;
}

static int count(uint64_t times)
{
	for (uint64_t i = 0; i < times; i++) {
		uint64_t key = i % KEYS;
		int code;

		NEED(comap_table_add(table, "sum", 3, 1, NULL) == 0);
		NEED(comap_table_put(table, &key, sizeof key, &key, sizeof key) == 0);
		code = comap_value_put(value, &times, sizeof times);
		NEED(code == 0 || code == -EBUSY); /* the other one has the role */
	}
	return 0;
}

static int sum(uint64_t number)
{
	int64_t found = 0;

	NEED(comap_table_get(table, "sum", 3, &found, sizeof found, NULL) == 0);
	if (number ? found != (int64_t)number : found < 1)
		fprintf(stderr, "peer: %lld, not %llu\n", (long long)found, (unsigned long long)number);
	return number ? found != (int64_t)number : found < 1;
}

static const struct {
	const char *name;
	uint32_t flags;
	int (*act)(uint64_t number);
} acts[] = {
	{ "make", COMAP_CREATE, make },
	{ "write", 0, write_next },
	{ "check", 0, check },
	{ "guest", COMAP_GUEST, check_keys },
	{ "hold", 0, hold },
	{ "wait", 0, wait_for_readers },
	{ "count", 0, count },
	{ "sum", 0, sum },
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 2 && i < sizeof acts / sizeof acts[0]; i++) {
		int code;

		if (strcmp(argv[2], acts[i].name) != 0)
			continue;
		open_all(argv[1], acts[i].flags);
		code = acts[i].act(argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
		return close_all() ? 1 : code;
	}
	fputs("peer: PATH make|write|check|guest|hold|wait|count|sum [NUMBER]\n", stderr);
	return 1;
}
