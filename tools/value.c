/* SPDX-License-Identifier: MIT */
/* comap value get, put, watch.
 *
 * get and watch are guests: they copy and validate. put takes a seat for the time of one version;
 * it becomes the value's publisher, so a producer that is at work answers "busy". */
#include "value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROW_TRIES 100 /* a value that grows between two looks, again and again */

/* What get and watch are told. */
struct reading {
	struct tool_call call;
	enum value_form form;
	const char *field;
	bool wait;              /* for the region and the value to be made */
	bool timed;
	uint64_t timeout_ms;    /* of each wait */
	uint64_t count;         /* versions; 0: no end */
	uint64_t seen;          /* the version after which to begin */
	struct comap *region;
	struct comap_value *value;
	struct value_copy copy;
};

#define READING_OPTIONS \
	{ "hex", no_argument, NULL, 256 }, \
	{ "raw", no_argument, NULL, 257 }, \
	{ "wait", no_argument, NULL, 259 }, \
	{ "timeout", required_argument, NULL, 260 }

#define READING_HELP \
	"      --hex             a dump of the bytes\n" \
	"      --raw             the bytes as they are, though there is a field list\n" \
	"      --wait            wait for the region and the value to be made\n"

static uint64_t deadline_ns(const struct reading *reading)
{
	return reading->timed ? comap_deadline_ms(reading->timeout_ms) : COMAP_FOREVER;
}

static bool reading_option(struct reading *reading, int option)
{
	switch (option) {
	case 256: reading->form = VALUE_HEX; return true;
	case 257: reading->form = VALUE_RAW; return true;
	case 258: reading->field = optarg; return true;
	case 259: reading->wait = true; return true;
	case 260: reading->timed = true; return tool_parse_seconds(optarg, &reading->timeout_ms);
	case 261: return tool_parse_number(optarg, UINT64_MAX, &reading->count);
	case 262: return tool_parse_number(optarg, UINT64_MAX - 1, &reading->seen);
	default: return false;
	}
}

static int reading_options(struct reading *reading, int argc, char **argv,
                           const struct option *options)
{
	int option;

	while ((option = tool_next(&reading->call, argc, argv, options)) != -1) {
		if (option == '?')
			return TOOL_USAGE;
		if (!reading_option(reading, option))
			return tool_usage(&reading->call, "'%s' is no number for this", optarg);
	}
	if (reading->call.out.json && reading->form != VALUE_PLAIN)
		return tool_usage(&reading->call, "--json goes with neither --raw nor --hex");
	return tool_operands(&reading->call, 2, 2);
}

/* An exit code; what was opened until then is closed by reading_end(). */
static int reading_begin(struct reading *reading)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	const char *region_name = reading->call.operands[0];
	const char *name = reading->call.operands[1];
	struct comap_object object;

	options.flags = COMAP_GUEST | (reading->wait ? COMAP_WAIT : 0u);
	options.deadline_ns = deadline_ns(reading);
	reading->copy.name = name;
	reading->region = comap_open_with(region_name, &options);
	if (!reading->region)
		return tool_fail(region_name);
	reading->value = comap_value_open(reading->region, name, NULL);
	if (!reading->value)
		return tool_fail(name);
	for (uint32_t i = 0; comap_object_at(reading->region, i, &object) == 0; i++) {
		if (strcmp(object.name, name) != 0 || object.field_count == 0)
			continue;
		reading->copy.type = comap_object_type(reading->region, name);
		if (!reading->copy.type || comap_type_check(reading->copy.type) != 0)
			return tool_fail(name);
	}
	return TOOL_OK;
}

static void reading_end(struct reading *reading)
{
	comap_value_close(reading->value);
	comap_close(reading->region);
	free(reading->copy.type);
	free(reading->copy.data);
}

/* Copies the current version. An exit code. */
static int fetch(struct reading *reading)
{
	struct value_copy *copy = &reading->copy;
	struct comap_view view = { 0 };
	int code = -ENOBUFS;

	for (int i = 0; i < GROW_TRIES && code == -ENOBUFS; i++) {
		code = comap_value_get(reading->value, copy->data, copy->capacity_bytes, &view);
		if (code != -ENOBUFS)
			break;
		free(copy->data);
		copy->capacity_bytes = view.size_bytes + view.size_bytes / 8;
		copy->data = out_alloc(copy->capacity_bytes);
	}
	if (code)
		return tool_fail(copy->name);
	copy->size_bytes = view.size_bytes;
	copy->version = view.version;
	/* The time is that of our version if there is no newer one after it was read. */
	copy->published_ns = comap_value_published_ns(reading->value);
	if (comap_value_version(reading->value) != copy->version)
		copy->published_ns = 0;
	if (copy->type && copy->size_bytes < copy->type->size_bytes)
		return tool_say(TOOL_UNUSABLE, copy->name,
		                "its %zu bytes are less than its type's %u",
		                copy->size_bytes, copy->type->size_bytes);
	return TOOL_OK;
}

const char tool_value_get_help[] =
	"A value with a field list is printed field by field, one without as its bytes (in a\n"
	"terminal: as a dump, if they are not text).\n"
	"\n"
	"Options:\n"
	"      --field NAME      only this field\n"
	READING_HELP
	"      --timeout SECONDS how long --wait waits; then exit code 4\n"
	TOOL_HELP_JSON
	"  -H, --no-headings     leave out the line with type, version and time\n"
	"\n"
	"Examples:\n"
	"  comap value get fx rates\n"
	"  comap value get fx rates --field eurusd\n"
	"  comap value get fx rates --json | jq .fields.eurusd\n";

int tool_value_get(int argc, char **argv)
{
	static const struct option options[] = {
		READING_OPTIONS,
		{ "field", required_argument, NULL, 258 },
		TOOL_OPTIONS
	};
	struct reading reading = { .call = TOOL_CALL(argv[0]) };
	int code = reading_options(&reading, argc, argv, options);

	if (code)
		return code;
	if (reading.timed && !reading.wait)
		return tool_usage(&reading.call, "--timeout goes with --wait: otherwise nothing waits");
	code = reading_begin(&reading);
	if (code == TOOL_OK && reading.wait && comap_value_version(reading.value) == 0 &&
	    comap_value_wait(reading.value, 0, deadline_ns(&reading)) != 0)
		code = tool_fail(reading.copy.name);
	if (code == TOOL_OK)
		code = fetch(&reading);
	if (code == TOOL_OK)
		code = value_print(&reading.call.out, &reading.copy, reading.form, reading.field);
	reading_end(&reading);
	return code;
}

const char tool_value_watch_help[] =
	"One line for each version: number, time, fields or bytes. Versions that were replaced\n"
	"before they could be read are counted as missed.\n"
	"\n"
	"Options:\n"
	"      --count N         end after N versions\n"
	"      --after N         begin with the first version after number N (0)\n"
	"      --timeout SECONDS end with exit code 4 when nothing new comes for so long\n"
	READING_HELP
	TOOL_HELP_JSON
	"\n"
	"Examples:\n"
	"  comap value watch fx rates\n"
	"  comap value watch fx rates --wait --count 10 --timeout 5 --json\n";

/* An exit code: that of the wait that ended it, or 0 after the last version asked for. */
static int watch(struct reading *reading)
{
	uint64_t seen = reading->seen;
	int code = TOOL_OK;

	for (uint64_t i = 0; code == TOOL_OK && (reading->count == 0 || i < reading->count); i++) {
		if (comap_value_wait(reading->value, seen, deadline_ns(reading)) != 0)
			return tool_fail(reading->copy.name);
		code = fetch(reading);
		if (code)
			return code;
		reading->copy.missed_count = reading->copy.watched
		                           ? reading->copy.version - seen - 1 : 0;
		reading->copy.watched = true;
		seen = reading->copy.version;
		code = value_print_line(&reading->call.out, &reading->copy, reading->form);
		if (fflush(stdout) != 0)
			return TOOL_FAILED; /* main() says so */
	}
	return code;
}

int tool_value_watch(int argc, char **argv)
{
	static const struct option options[] = {
		READING_OPTIONS,
		{ "count", required_argument, NULL, 261 },
		{ "after", required_argument, NULL, 262 },
		TOOL_OPTIONS
	};
	struct reading reading = { .call = TOOL_CALL(argv[0]) };
	int code = reading_options(&reading, argc, argv, options);

	if (code)
		return code;
	code = reading_begin(&reading);
	if (code == TOOL_OK)
		code = watch(&reading);
	reading_end(&reading);
	return code;
}

const char tool_value_put_help[] =
	"The bytes are TEXT, or those of --file, or else of standard input. A value that the\n"
	"region does not have is made, without a field list. Ends with exit code 7 when another\n"
	"process is the publisher, and names it. A TEXT that begins with - goes after --.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	"      --file FILE       publish the file's bytes; - is standard input\n"
	"      --hex             TEXT is hexadecimal: 00ff10\n"
	"      --owner USER      write to a region of this user, too; 'any': of whomever.\n"
	"                        Otherwise it must be your own, or root's\n"
	"  -j, --json            print the new version's number and size as JSON\n"
	"\n"
	"Examples:\n"
	"  comap value put fx motd 'closed at noon'\n"
	"  gzip -c rates.csv | comap value put fx snapshot\n"
	"  comap value put fx flags --hex 0100000000000000\n";

struct putting {
	struct tool_call call;
	bool create;
	bool hex;
	int64_t owner_uid;
	const char *file;
	unsigned char *data;
	size_t size_bytes;
};

static int read_all(struct putting *putting, int fd, const char *name)
{
	size_t capacity = 65536;
	unsigned char *larger;
	ssize_t got;

	putting->data = out_alloc(capacity);
	while ((got = read(fd, putting->data + putting->size_bytes,
	                   capacity - putting->size_bytes)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tool_say(TOOL_FAILED, name, "%s", strerror(errno));
		putting->size_bytes += (size_t)got;
		if (putting->size_bytes < capacity)
			continue;
		capacity *= 2;
		larger = realloc(putting->data, capacity);
		if (!larger)
			return tool_say(TOOL_FAILED, name, "%s", strerror(ENOMEM));
		putting->data = larger;
	}
	return TOOL_OK;
}

static int read_file(struct putting *putting)
{
	int fd, code;

	if (!putting->file || strcmp(putting->file, "-") == 0)
		return read_all(putting, STDIN_FILENO, "standard input");
	fd = open(putting->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tool_say(errno == ENOENT ? TOOL_NOT_FOUND : TOOL_FAILED, putting->file, "%s",
		                strerror(errno));
	code = read_all(putting, fd, putting->file);
	close(fd);
	return code;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
	     : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int read_hex(struct putting *putting, const char *text)
{
	size_t length = strlen(text);

	putting->data = out_alloc(length / 2);
	for (size_t i = 0; i + 1 < length; i += 2) {
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return tool_usage(&putting->call, "'%.2s' is not hexadecimal", text + i);
		putting->data[putting->size_bytes++] = (unsigned char)(high << 4 | low);
	}
	if (length % 2)
		return tool_usage(&putting->call, "a hexadecimal digit is missing at the end");
	return TOOL_OK;
}

/* The bytes to publish. An exit code. */
static int read_data(struct putting *putting)
{
	const char *text = putting->call.operand_count > 2 ? putting->call.operands[2] : NULL;

	if (text && putting->file)
		return tool_usage(&putting->call, "either TEXT or --file");
	if (!text && putting->hex)
		return tool_usage(&putting->call, "--hex needs TEXT");
	if (!text)
		return read_file(putting);
	if (putting->hex)
		return read_hex(putting, text);
	putting->size_bytes = strlen(text);
	putting->data = out_alloc(putting->size_bytes);
	memcpy(putting->data, text, putting->size_bytes);
	return TOOL_OK;
}

/* Attached. CREATE is what makes a missing value; a missing region is made only on request. */
static struct comap *open_seat(const struct putting *putting)
{
	struct comap_options options = COMAP_OPTIONS_INIT;
	const char *name = putting->call.operands[0];

	if (!putting->create) {
		struct comap *there = tool_look(name);

		if (!there)
			return NULL;
		comap_close(there);
	}
	options.flags = COMAP_CREATE;
	options.owner_uid = putting->owner_uid;
	options.seat_name = "comap value put";
	return comap_open_with(name, &options);
}

static int put(struct putting *putting, struct comap *region)
{
	const char *name = putting->call.operands[1];
	struct comap_value *value = comap_value_open(region, name, NULL);
	int code = TOOL_OK;

	if (!value)
		return tool_fail(name);
	if (comap_value_put(value, putting->data, putting->size_bytes) != 0) {
		code = tool_fail(name);
	} else if (putting->call.out.json) {
		out_begin(&putting->call.out);
		out_text(&putting->call.out, "name", name);
		out_u64(&putting->call.out, "version", comap_value_version(value));
		out_u64(&putting->call.out, "size_bytes", putting->size_bytes);
		out_end(&putting->call.out);
	}
	comap_value_close(value);
	return code;
}

static int put_options(struct putting *putting, int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, 256 },
		{ "file", required_argument, NULL, 257 },
		{ "hex", no_argument, NULL, 258 },
		{ "owner", required_argument, NULL, 259 },
		TOOL_OPTIONS
	};
	int option;

	while ((option = tool_next(&putting->call, argc, argv, options)) != -1) {
		switch (option) {
		case 256: putting->create = true; break;
		case 257: putting->file = optarg; break;
		case 258: putting->hex = true; break;
		case 259:
			if (!tool_parse_owner(optarg, &putting->owner_uid))
				return tool_usage(&putting->call, "there is no user '%s'", optarg);
			break;
		default: return TOOL_USAGE;
		}
	}
	return tool_operands(&putting->call, 2, 3);
}

int tool_value_put(int argc, char **argv)
{
	struct putting putting = { .call = TOOL_CALL(argv[0]) };
	struct comap *region;
	int code = put_options(&putting, argc, argv);

	if (code)
		return code;
	code = read_data(&putting);
	if (code == TOOL_OK) {
		region = open_seat(&putting);
		code = region ? put(&putting, region)
			: putting.create ? tool_fail(putting.call.operands[0]) : tool_fail_missing(putting.call.operands[0]);
		comap_close(region);
	}
	free(putting.data);
	return code;
}
