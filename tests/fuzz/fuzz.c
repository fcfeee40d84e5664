/* SPDX-License-Identifier: MIT */
/* The fuzz targets without a fuzzer: the seeds, then mutations of them, each made from the run's seed
 * and its own number alone, so that any of them can be had again.
 *
 *   fuzz                          lists the targets
 *   fuzz TARGET                   runs the target's inputs in a child; its death is a finding
 *   fuzz TARGET --input N         one of them, in this process (for a debugger)
 *   fuzz TARGET --file FILE       an input from a file, as libFuzzer leaves it
 *   fuzz TARGET --seeds FOLDER    writes the seeds, for libFuzzer's corpus
 *
 * $COMAP_SEED is the run's seed (1); $COMAP_FUZZ_INPUTS how many inputs (the target's own number).
 * A run stops after $COMAP_FUZZ_SECONDS (3), and says how far it came. */
#include "fuzz.h"

#include <comap/error.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_DEFAULT 3u      /* per target */
#define INPUT_SECONDS_MAX 30u   /* of one input: longer is a hang */

static const struct fuzz_target *const targets[] = {
	&fuzz_region_bytes, &fuzz_region_fields, &fuzz_type, &fuzz_records, &fuzz_name, &fuzz_csv, &fuzz_log,
	&fuzz_out, &fuzz_scan, &fuzz_search, &fuzz_guard,
};
#define TARGET_COUNT (sizeof targets / sizeof targets[0])

static uint64_t run_seed;
static uint64_t random_state;

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* splitmix64: any state will do, and the next one is far away. */
static uint64_t next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(size_t bound)
{
	return bound ? (size_t)(next_random() % bound) : 0;
}

/* --- mutations ------------------------------------------------------------------------------- */

struct input {
	uint8_t *data;
	size_t size_bytes, max_bytes;
};

static void put_interesting(struct input *input)
{
	static const uint64_t numbers[] = { 0, 1, 7, 8, 63, 64, 127, 128, 255, 256, 4095, 4096, 32767, 65535,
		INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 63, 1ull << 40 };
	uint64_t number = numbers[below(sizeof numbers / sizeof numbers[0])];
	size_t width = (size_t)1 << below(4);

	if (input->size_bytes >= width)
		memcpy(input->data + below(input->size_bytes - width + 1), &number, width);
}

static void insert(struct input *input, const uint8_t *data, size_t size_bytes)
{
	size_t at = below(input->size_bytes + 1);

	if (size_bytes > input->max_bytes - input->size_bytes)
		size_bytes = input->max_bytes - input->size_bytes;
	memmove(input->data + at + size_bytes, input->data + at, input->size_bytes - at);
	for (size_t i = 0; i < size_bytes; i++)
		input->data[at + i] = data ? data[i] : (uint8_t)next_random();
	input->size_bytes += size_bytes;
}

static void take_out(struct input *input)
{
	size_t at = below(input->size_bytes), size_bytes = 1 + below(input->size_bytes - at);

	memmove(input->data + at, input->data + at + size_bytes, input->size_bytes - at - size_bytes);
	input->size_bytes -= size_bytes;
}

static void mutate(const struct fuzz_target *target, struct input *input)
{
	const struct fuzz_seed *other = &target->seeds[below(target->seed_count)];
	uint8_t piece[32];
	size_t length = below(sizeof piece) + 1, at;

	switch (input->size_bytes ? below(8) : 6) {
	case 0: input->data[below(input->size_bytes)] ^= (uint8_t)(1u << below(8)); break;
	case 1: input->data[below(input->size_bytes)] = (uint8_t)next_random(); break;
	case 2: input->data[below(input->size_bytes)] += (uint8_t)(below(9) - 4); break;
	case 3: put_interesting(input); break;
	case 4: take_out(input); break;
	case 5: /* a piece of itself once more */
		at = below(input->size_bytes);
		length = length < input->size_bytes - at ? length : input->size_bytes - at;
		memcpy(piece, input->data + at, length);
		insert(input, piece, length);
		break;
	case 6: insert(input, NULL, length); break;
	default: /* the rest of another seed */
		at = below(other->size_bytes + 1);
		insert(input, (const uint8_t *)other->data + at, other->size_bytes - at);
		break;
	}
}

/* The `number`th input of the run: a seed, or a seed mutated 1 to 16 times. */
static void make_input(const struct fuzz_target *target, uint64_t number, struct input *input)
{
	const struct fuzz_seed *seed;
	size_t count;

	random_state = run_seed * UINT64_C(0xd6e8feb86659fd93) + number;
	seed = &target->seeds[number < target->seed_count ? number : below(target->seed_count)];
	input->size_bytes = seed->size_bytes;
	memcpy(input->data, seed->data, seed->size_bytes);
	count = number < target->seed_count ? 0 : (size_t)1 << below(5);
	while (count--)
		mutate(target, input);
}

/* One input, in memory of its own size. */
static void call(const struct fuzz_target *target, const struct input *input)
{
	uint8_t *exact = malloc(input->size_bytes ? input->size_bytes : 1);

	FUZZ_REQUIRE(exact);
	memcpy(exact, input->data, input->size_bytes);
	target->one(exact, input->size_bytes);
	free(exact);
}

/* --- running --------------------------------------------------------------------------------- */

static struct input new_input(const struct fuzz_target *target)
{
	struct input input = { malloc(target->size_max_bytes), 0, target->size_max_bytes };

	FUZZ_REQUIRE(input.data);
	for (unsigned i = 0; i < target->seed_count; i++)
		FUZZ_REQUIRE(target->seeds[i].size_bytes <= target->size_max_bytes);
	return input;
}

static void begin(const struct fuzz_target *target)
{
	if (target->begin)
		target->begin();
}

static void end(const struct fuzz_target *target)
{
	if (target->end)
		target->end();
}

static int run_inputs(const struct fuzz_target *target, uint64_t count, volatile uint64_t *ret_at)
{
	uint64_t deadline_ns = comap_deadline_ms(number_of("COMAP_FUZZ_SECONDS", SECONDS_DEFAULT) * 1000);
	struct input input = new_input(target);

	begin(target);
	for (*ret_at = 0; *ret_at < count && comap_now_ns() < deadline_ns; ++*ret_at) {
		alarm(INPUT_SECONDS_MAX);
		make_input(target, *ret_at, &input);
		call(target, &input);
	}
	alarm(0);
	end(target);
	free(input.data);
	return 0;
}

static int judge(const struct fuzz_target *target, int status, uint64_t at, uint64_t count)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("fuzz: %s: %llu of %llu inputs from seed %llu: %s\n", target->name,
		       (unsigned long long)at, (unsigned long long)count, (unsigned long long)run_seed,
		       target->text);
		return at < target->seed_count; /* not even those */
	}
	if (WIFSIGNALED(status))
		printf("fuzz: %s: %s\n", target->name, WTERMSIG(status) == SIGALRM
		       ? "an input does not end" : strsignal(WTERMSIG(status)));
	printf("fuzz: found by input %llu; again: COMAP_SEED=%llu fuzz %s --input %llu\n",
	       (unsigned long long)at, (unsigned long long)run_seed, target->name, (unsigned long long)at);
	return 1;
}

static int run_in_child(const struct fuzz_target *target)
{
	uint64_t count = number_of("COMAP_FUZZ_INPUTS", target->input_count);
	volatile uint64_t *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	FUZZ_REQUIRE(at != MAP_FAILED);
	fuzz_folder_make(); /* here, so that it goes with this process, however the child ends */
	pid = fork();
	FUZZ_REQUIRE(pid >= 0);
	if (pid == 0)
		exit(run_inputs(target, count, at)); /* with the leak checker of ASan */
	FUZZ_REQUIRE(waitpid(pid, &status, 0) == pid);
	fuzz_folder_remove();
	return judge(target, status, *at, count);
}

static int run_one(const struct fuzz_target *target, struct input *input)
{
	begin(target);
	call(target, input);
	end(target);
	fuzz_folder_remove();
	free(input->data);
	return 0;
}

static int run_file(const struct fuzz_target *target, const char *path)
{
	struct input input = new_input(target);
	FILE *file = fopen(path, "re");

	if (!file) {
		perror(path);
		return 2;
	}
	input.size_bytes = fread(input.data, 1, input.max_bytes, file);
	fclose(file);
	return run_one(target, &input);
}

static int write_seeds(const struct fuzz_target *target, const char *folder)
{
	char path[4096];
	FILE *file;

	for (unsigned i = 0; i < target->seed_count; i++) {
		snprintf(path, sizeof path, "%s/seed-%u", folder, i);
		file = fopen(path, "we");
		if (!file) {
			perror(path);
			return 2;
		}
		fwrite(target->seeds[i].data, 1, target->seeds[i].size_bytes, file);
		fclose(file);
	}
	return 0;
}

static const struct fuzz_target *find_target(const char *name)
{
	for (size_t i = 0; i < TARGET_COUNT; i++)
		if (strcmp(targets[i]->name, name) == 0)
			return targets[i];
	fprintf(stderr, "fuzz: no target is called '%s'; without a name, they are listed\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	const struct fuzz_target *target;
	struct input input;

	run_seed = number_of("COMAP_SEED", 1);
	for (size_t i = 0; argc < 2 && i < TARGET_COUNT; i++)
		printf("%-14s %s\n", targets[i]->name, targets[i]->text);
	if (argc < 2)
		return 0;
	target = find_target(argv[1]);
	if (argc == 2)
		return run_in_child(target);
	if (argc == 4 && strcmp(argv[2], "--file") == 0)
		return run_file(target, argv[3]);
	if (argc == 4 && strcmp(argv[2], "--seeds") == 0)
		return write_seeds(target, argv[3]);
	if (argc != 4 || strcmp(argv[2], "--input") != 0)
		return 2;
	input = new_input(target);
	make_input(target, strtoull(argv[3], NULL, 0), &input);
	return run_one(target, &input);
}
