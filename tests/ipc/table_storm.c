/* SPDX-License-Identifier: MIT */
/* The storm over a table: writers, a reader and a guest, killed and stopped at random moments, against an
 * oracle.
 *
 *     test_table-storm [SECONDS]      10 by default; `./run long table-storm SECONDS`
 *
 * Each writer has keys of its own. Before an operation it notes what it is about to do, after it that it
 * is done, in a page that outlives it. What is claimed: whoever reads a key finds the last thing done or
 * what was begun after it, whole, and nothing else; a walk meets each of the writer's own keys once; an
 * add that was acknowledged is in the sum; who waits for a change learns of one; at the end every block is
 * accounted for. */
#include "check.h"

#include "blob.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRITERS = 6, PLAYERS = WRITERS + 2, READER = WRITERS, GUEST, KEYS = 2000, SHARED = 40 };
enum { STOP };
enum {
	WRITES, READS, COPIES, GIVEN_UP, WALKS, WAITS, REFUSED, PAUSE_NS, STOPS, COUNTED = STOPS + PLAYERS
};
enum { WORDS_MAX = 40 };

/* What a key holds: operation number << 1 | is it there. Words of a page of the test's own. */
struct cell { struct comap_u64 done, begun; };
struct oracle {
	struct cell cells[WRITERS][KEYS];
	struct comap_u64 added[WRITERS], attempted[WRITERS];
};

static double seconds = 10;
static const char *path;
static struct oracle *oracle;
static struct comap *region;
static struct comap_table *table;

static bool over(void) { return proc_point(STOP) > 0; }
static void count(unsigned counter)
{
	comap_u64_add_relaxed(proc_counter(counter), 1); /* relaxed: a statistic */
}

static void storm_open(uint32_t flags)
{
	struct comap_options options = COMAP_OPTIONS_INIT;

	options.flags = flags;
	options.heap_max_bytes = 256u << 20;
	options.seat_count = 64;
	options.thread_count = 64;
	options.pin_policy = COMAP_PIN_WAIT;
	region = comap_open_with(path, &options);
	if (!region)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
	table = comap_table_open(region, "t", NULL);
	if (!table)
		proc_fail(__FILE__, __LINE__, "%s", comap_error_text());
}

static void storm_close(void)
{
	comap_table_close(table);
	PROC_REQUIRE_OK(comap_close(region));
}

/* --- keys and values -------------------------------------------------------------------------- */

struct key { uint64_t writer, key; };

static uint64_t number_of(uint64_t writer, uint64_t key, uint64_t state)
{
	return writer << 56 | key << 40 | state;
}

static size_t size_of(uint64_t number)
{
	return 8 * (1 + number * 0x9e3779b97f4a7c15ull % WORDS_MAX);
}

/* The state of an own key as the table has it; 0: not there. A value that is not whole ends the role. */
static uint64_t state_of(const void *data, size_t size_bytes, uint64_t writer, uint64_t key)
{
	uint64_t number;

	PROC_REQUIRE(size_bytes >= 8 && size_bytes % 8 == 0);
	PROC_REQUIRE(blob_whole(data, size_bytes));
	number = blob_number(data);
	PROC_REQUIRE(number >> 56 == writer && (number >> 40 & 0xffff) == key);
	PROC_REQUIRE(size_bytes == size_of(number));
	return number & 0xffffffffffull;
}

static uint64_t found_state(uint64_t writer, uint64_t key)
{
	uint64_t buffer[WORDS_MAX];
	struct key name = { writer, key };
	struct comap_view view;
	int code = comap_table_get(table, &name, sizeof name, buffer, sizeof buffer, &view);

	if (code == -ENOENT)
		return 0;
	PROC_REQUIRE_OK(code);
	return state_of(buffer, view.size_bytes, writer, key);
}

/* --- writers ---------------------------------------------------------------------------------- */

/* A refusal (a lock held by a stopped one, memory pinned) must have changed nothing. */
static bool refused(int code)
{
	if (code != -ETIMEDOUT && code != -EBUSY)
		return false;
	count(REFUSED);
	return true;
}

/* Over the version that is there, which nobody else changes. */
static int swap(const struct key *name, const void *blob, size_t size_bytes)
{
	uint64_t version = 0;

	COMAP_READ(region)
		version = comap_table_view(table, name, sizeof *name).version;
	PROC_REQUIRE(version);
	return comap_table_cas(table, name, sizeof *name, version, blob, size_bytes);
}

/* As one who computes it: the turn of the one before, who died with it, is taken over. */
static int compute(const struct key *name, const void *blob, size_t size_bytes)
{
	struct comap_fetch_options options = { .deadline_ns = comap_deadline_ms(2000) };
	uint64_t buffer[WORDS_MAX];
	struct comap_turn turn;
	int code = comap_table_fetch(table, name, sizeof *name, &options, buffer, sizeof buffer, NULL, &turn);

	if (code < 0)
		return code;
	PROC_REQUIRE(code == COMAP_FETCH_YOURS);
	return comap_table_turn_put(&turn, blob, size_bytes);
}

static int put_mortal(const struct key *name, const void *blob, size_t size_bytes)
{
	return comap_table_write(table, &(struct comap_table_write){ name, sizeof *name, blob, size_bytes,
	                         COMAP_TABLE_PUT, 0, UINT64_C(3600000000000) }, NULL);
}

static int touch(const struct key *name)
{
	return comap_table_touch(table, name, sizeof *name, UINT64_C(3600000000000));
}

static int perform(uint64_t writer, uint64_t key, uint64_t old, uint64_t state)
{
	static uint64_t blob[WORDS_MAX];
	struct key name = { writer, key };
	uint64_t number = number_of(writer, key, state);
	bool there = old & 1;

	if (!(state & 1))
		return comap_table_remove(table, &name, sizeof name);
	blob_fill(blob, size_of(number), number);
	switch (proc_random_below(8)) {
	case 0:
		return there ? comap_table_replace(table, &name, sizeof name, blob, size_of(number))
		             : comap_table_insert(table, &name, sizeof name, blob, size_of(number));
	case 1:
		return there ? swap(&name, blob, size_of(number)) : compute(&name, blob, size_of(number));
	case 2:
		return put_mortal(&name, blob, size_of(number));
	default:
		return comap_table_put(table, &name, sizeof name, blob, size_of(number));
	}
}

static void write_one(uint64_t writer)
{
	uint64_t key = proc_random_below(KEYS);
	struct cell *cell = &oracle->cells[writer][key];
	uint64_t old = comap_u64_load_relaxed(&cell->done); /* relaxed: its own */
	uint64_t state = ((old >> 1) + 1) << 1 | (proc_random_below(4) != 0);
	uint64_t stops = comap_u64_load_relaxed(proc_counter(STOPS + (unsigned)writer));
	uint64_t begun_ns = comap_now_ns(), took_ns;
	int code;

	if (old & 1 && proc_random_below(8) == 0) {
		code = touch(&(struct key){ writer, key });
		PROC_REQUIRE(code == COMAP_TABLE_DONE || refused(code));
	}
	comap_u64_store_release(&cell->begun, state);
	code = perform(writer, key, old, state);
	took_ns = comap_now_ns() - begun_ns;
	if (stops == comap_u64_load_relaxed(proc_counter(STOPS + (unsigned)writer)))
		comap_u64_max_acq_rel(proc_counter(PAUSE_NS), took_ns);
	if (refused(code)) {
		comap_u64_store_release(&cell->begun, old);
		return;
	}
	if (code != (!(state & 1) && !(old & 1) ? COMAP_TABLE_MISSING : 0))
		proc_fail(__FILE__, __LINE__, "state %llx -> %llx: %d %s", (unsigned long long)old,
		          (unsigned long long)state, code, comap_error_text());
	comap_u64_store_release(&cell->done, state);
	count(WRITES);
}

/* Keys that all of them write to. */
static void write_shared(void)
{
	static uint64_t blob[WORDS_MAX];
	uint64_t key = proc_random_below(SHARED);
	struct key name = { 255, key };
	uint64_t number = number_of(255, key, proc_random() & 0xffffffffffull);
	int code;

	blob_fill(blob, size_of(number), number);
	code = proc_random_below(3) ? comap_table_put(table, &name, sizeof name, blob, size_of(number))
	                            : comap_table_remove(table, &name, sizeof name);
	PROC_REQUIRE(code == 0 || code == COMAP_TABLE_MISSING || refused(code));
	(void)found_state(255, proc_random_below(SHARED));
}

static void add_one(uint64_t writer)
{
	struct key name = { 254, writer % 2 };
	int code;

	comap_u64_add_relaxed(&oracle->attempted[writer], 1); /* relaxed: its own */
	code = comap_table_add(table, &name, sizeof name, 1, NULL);
	if (refused(code))
		return;
	PROC_REQUIRE_OK(code);
	comap_u64_add_relaxed(&oracle->added[writer], 1);
}

static void walk(uint64_t writer)
{
	struct comap_table_walk *walk = comap_table_walk_begin(table);
	struct comap_table_entry entry;
	unsigned char met[KEYS] = { 0 };
	struct key name;
	int code;

	PROC_REQUIRE(walk);
	while ((code = comap_table_walk_next(walk, &entry)) == 1) {
		PROC_REQUIRE(entry.key_bytes == sizeof name);
		memcpy(&name, entry.key, sizeof name);
		if (name.writer == writer) {
			PROC_REQUIRE(name.key < KEYS);
			met[name.key]++;
		}
	}
	PROC_REQUIRE(code == 0);
	comap_table_walk_end(walk);
	for (uint64_t key = 0; key < KEYS; key++)
		PROC_REQUIRE(met[key] == (comap_u64_load_relaxed(&oracle->cells[writer][key].done) & 1));
	count(WALKS);
}

/* What the one before had begun and not ended: done or not, and from now on known. */
static void take_over(uint64_t writer)
{
	for (uint64_t key = 0; key < KEYS; key++) {
		struct cell *cell = &oracle->cells[writer][key];
		/* relaxed: the one before is dead */
		uint64_t done = comap_u64_load_relaxed(&cell->done);
		uint64_t begun = comap_u64_load_relaxed(&cell->begun), found = found_state(writer, key);

		if (found != (done & 1 ? done : 0) && found != (begun & 1 ? begun : 0))
			proc_fail(__FILE__, __LINE__, "writer %llu, key %llu: done %llx, begun %llx, found %llx",
			          (unsigned long long)writer, (unsigned long long)key, (unsigned long long)done,
			          (unsigned long long)begun, (unsigned long long)found);
		if (done != begun) {
			done = found == (begun & 1 ? begun : 0) ? begun : done;
			comap_u64_store_relaxed(&cell->done, done);
			comap_u64_store_relaxed(&cell->begun, done);
		}
	}
}

static int writer(void *arg)
{
	uint64_t self = (uint64_t)(uintptr_t)arg;

	storm_open(COMAP_CREATE);
	take_over(self);
	while (!over()) {
		for (int i = 0; i < 20; i++)
			write_one(self);
		write_shared();
		add_one(self);
		if (proc_random_below(200) == 0)
			walk(self);
	}
	storm_close();
	return 0;
}

/* --- readers ---------------------------------------------------------------------------------- */

/* What is found is what was done last before the look, or something begun since. */
static void judge(struct cell *cell, uint64_t done, uint64_t found)
{
	uint64_t begun = comap_u64_load_acquire(&cell->begun);

	if (found) {
		PROC_REQUIRE(found >= done);
		PROC_REQUIRE(found <= begun || found == done);
	} else {
		PROC_REQUIRE(!(done & 1) || begun != done);
	}
}

enum { MANY = 32 };

static void look_at_many(void)
{
	struct key names[MANY];
	struct comap_key keys[MANY];
	struct comap_view views[MANY];
	uint64_t done[MANY], found[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		names[i] = (struct key){ proc_random_below(WRITERS), proc_random_below(KEYS) };
		keys[i] = (struct comap_key){ &names[i], sizeof names[i] };
		done[i] = comap_u64_load_acquire(&oracle->cells[names[i].writer][names[i].key].done);
	}
	COMAP_READ(region) {
		PROC_REQUIRE(comap_table_view_many(table, MANY, keys, views) >= 0);
		for (unsigned i = 0; i < MANY; i++)
			found[i] = views[i].data ? state_of(views[i].data, views[i].size_bytes, names[i].writer,
			                                    names[i].key) : 0;
	}
	for (unsigned i = 0; i < MANY; i++)
		judge(&oracle->cells[names[i].writer][names[i].key], done[i], found[i]);
	count(READS);
}

/* In a section that gives way: what it has copied counts only if its end says so. */
static void look_evictably(void)
{
	uint64_t buffer[WORDS_MAX], writer = proc_random_below(WRITERS), key = proc_random_below(KEYS);
	struct key name = { writer, key };
	struct cell *cell = &oracle->cells[writer][key];
	uint64_t done = comap_u64_load_acquire(&cell->done);
	struct comap_view view = { 0 };
	int code;

	COMAP_READ_EVICTABLE(region, &code) {
		view = comap_table_view(table, &name, sizeof name);
		if (view.data && view.size_bytes <= sizeof buffer)
			memcpy(buffer, view.data, view.size_bytes);
	}
	PROC_REQUIRE(code == 0 || code == -ESTALE);
	if (code == 0)
		judge(cell, done, view.data ? state_of(buffer, view.size_bytes, writer, key) : 0);
	count(READS);
}

static void look(bool is_guest)
{
	uint64_t buffer[WORDS_MAX], writer = proc_random_below(WRITERS), key = proc_random_below(KEYS);
	struct key name = { writer, key };
	struct cell *cell = &oracle->cells[writer][key];
	uint64_t done = comap_u64_load_acquire(&cell->done), found = 0;
	struct comap_view view;
	int code = 0;

	if (is_guest) {
		code = comap_table_get(table, &name, sizeof name, buffer, sizeof buffer, &view);
		if (code == -EAGAIN) {
			count(GIVEN_UP);
			return;
		}
		PROC_REQUIRE(code == 0 || code == -ENOENT);
		found = code ? 0 : state_of(buffer, view.size_bytes, writer, key);
	} else {
		COMAP_READ(region) {
			view = comap_table_view(table, &name, sizeof name);
			found = view.data ? state_of(view.data, view.size_bytes, writer, key) : 0;
			if (view.data && proc_random_below(64) == 0) {
				usleep(100);
				PROC_REQUIRE(found == state_of(view.data, view.size_bytes, writer, key));
			}
		}
	}
	judge(cell, done, found);
	count(is_guest ? COPIES : READS);
}

/* There is always somebody who writes. */
static void await_change(void)
{
	uint64_t before = comap_table_changes(table), now = before, deadline_ns = comap_deadline_ms(10000);
	int code = -ETIMEDOUT;

	while (code == -ETIMEDOUT && !over() && comap_now_ns() < deadline_ns)
		code = comap_table_wait(table, before, comap_deadline_ms(2000), &now);
	PROC_REQUIRE(code == 0 ? now > before : over());
	count(WAITS);
}

static int reader(void *arg)
{
	storm_open(COMAP_CREATE);
	while (!over()) {
		for (int i = 0; i < 20; i++)
			look(false);
		look_at_many();
		look_evictably();
		if (proc_random_below(100) == 0)
			await_change();
	}
	storm_close();
	return 0;
}

static int guest(void *arg)
{
	storm_open(COMAP_GUEST | COMAP_WAIT);
	while (!over())
		look(true);
	storm_close();
	return 0;
}

/* --- the storm -------------------------------------------------------------------------------- */

static struct proc *players[PLAYERS];
static uint64_t wake_ns[PLAYERS];

static void enter(unsigned number)
{
	players[number] = number == READER ? proc_spawn("reader", reader, NULL)
		: number == GUEST ? proc_spawn("guest", guest, NULL)
		: proc_spawn("writer", writer, (void *)(uintptr_t)number);
	wake_ns[number] = 0;
}

static void require_killed(struct proc *player)
{
	int result = proc_wait(player);

	if (result != -SIGKILL)
		fail_msg("%s ended with %d: %s", player->name, result, proc_verdict(player));
	proc_release(player);
}

static void strike(unsigned *kills, unsigned *stops)
{
	unsigned number = (unsigned)proc_random_below(PLAYERS);
	struct proc *player = players[number];

	if (proc_wait_ms(player, 0) != PROC_TIMEOUT)
		fail_msg("%s ended with %d: %s", player->name, player->result, proc_verdict(player));
	if (proc_random_below(3) > 0) {
		proc_signal(player, SIGKILL);
		require_killed(player);
		enter(number);
		++*kills;
	} else if (!wake_ns[number]) {
		count(STOPS + number);
		proc_signal(player, SIGSTOP);
		wake_ns[number] = comap_now_ns() + 1000000 * proc_random_below(40);
		++*stops;
	}
}

static void wake_the_stopped(bool all)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!wake_ns[i] || (!all && comap_now_ns() < wake_ns[i]))
			continue;
		proc_continue(players[i]);
		wake_ns[i] = 0;
	}
}

static int successor(void *arg)
{
	struct comap_table_stats stats;
	struct key name = { 254, 0 };
	uint64_t added = 0, attempted = 0, key;
	int64_t sum = 0, part;

	storm_open(0);
	for (uint64_t i = 0; i < WRITERS; i++) {
		take_over(i);
		added += comap_u64_load_relaxed(&oracle->added[i]); /* relaxed, both: they have ended */
		attempted += comap_u64_load_relaxed(&oracle->attempted[i]);
	}
	for (name.key = 0; name.key < 2; name.key++) {
		PROC_REQUIRE_OK(comap_table_add(table, &name, sizeof name, 0, &part));
		sum += part;
	}
	PROC_REQUIRE((uint64_t)sum >= added && (uint64_t)sum <= attempted);
	for (key = 0; key < 2000; key++) /* every stripe has a writer once more */
		PROC_REQUIRE_OK(comap_table_put(table, &key, sizeof key, "x", 1));
	PROC_REQUIRE_OK(comap_synchronize(region));
	check_alone(region);
	PROC_REQUIRE_OK(comap_table_stats(table, &stats));
	printf("%llu entries in %llu buckets and %llu overflow buckets; %llu stripes repaired\n",
	       (unsigned long long)stats.entries, (unsigned long long)stats.buckets,
	       (unsigned long long)stats.overflow_buckets, (unsigned long long)stats.repairs);
	fflush(stdout);
	storm_close();
	return 0;
}

static unsigned long long counted(unsigned counter)
{
	return comap_u64_load_relaxed(proc_counter(counter)); /* relaxed: everybody has ended */
}

static void test_storm(void **state)
{
	uint64_t deadline_ns = comap_now_ns() + (uint64_t)(seconds * 1e9);
	unsigned kills = 0, stops = 0;

	path = proc_path(PROC_SHM, "region");
	oracle = mmap(NULL, sizeof *oracle, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(oracle != MAP_FAILED);
	for (unsigned i = 0; i < PLAYERS; i++)
		enter(i);
	while (comap_now_ns() < deadline_ns) {
		usleep((useconds_t)(1000 + proc_random_below(9000)));
		strike(&kills, &stops);
		wake_the_stopped(false);
	}
	proc_post(STOP);
	wake_the_stopped(true);
	for (unsigned i = 0; i < PLAYERS; i++) {
		proc_assert_ok(players[i]);
		proc_release(players[i]);
	}
	proc_assert_ok(proc_spawn("successor", successor, NULL));
	print_message("%u kills, %u stops; %llu writes, %llu refused, %llu walks, %llu waits, %llu views, %llu "
	              "copies by guests (%llu given up), 0 lost, 0 invented; longest write of one not stopped "
	              "itself: %.1f ms\n", kills, stops, counted(WRITES), counted(REFUSED), counted(WALKS),
	              counted(WAITS), counted(READS), counted(COPIES), counted(GIVEN_UP),
	              (double)counted(PAUSE_NS) / 1e6);
	munmap(oracle, sizeof *oracle);
	assert_true(kills > 5 && stops > 0);
	assert_true(counted(WRITES) > 1000 && counted(READS) > 100 && counted(COPIES) > 10);
	assert_true(counted(WAITS) > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROC_TEST(test_storm),
	};

	if (argc > 1)
		seconds = atof(argv[1]);
	if (seconds * 1000 > proc_limit_ms)
		proc_limit_ms = (unsigned)(seconds * 1000) + 60000;
	return cmocka_run_group_tests_name("table storm", tests, NULL, NULL);
}
