/* SPDX-License-Identifier: MIT */
/* comap table add, touch, del, clear: what changes a table without a new value. They take a seat for as
 * long as they run. */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* DONE, MISSING or an error of the library's, as an exit code. */
static int outcome(const char *key, int code)
{
	if (code < 0)
		return tool_fail(key);
	return code == COMAP_TABLE_MISSING ? tool_say(TOOL_NOT_FOUND, key, "the table does not hold it") : TOOL_OK;
}

/* --- add -------------------------------------------------------------------------------------- */

const char tool_table_add_help[] =
	"Adds N (1) to the counter and prints the sum. A counter that is not there begins at 0; a table\n"
	"that the region does not have is made. A value that put has written is no counter. A negative N\n"
	"stands behind --.\n"
	"\n"
	"Options:\n"
	"      --create          make the region, too, if there is none\n"
	WORK_HELP_KEY
	WORK_HELP_OWNER
	"  -j, --json            print the sum as JSON\n"
	"\n"
	"Examples:\n"
	"  comap table add fx hits /index.html\n"
	"  comap table add fx stock bolts -- -12\n";

static bool parse_integer(const char *text, int64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return (*text == '-' || (*text >= '0' && *text <= '9')) && end != text && !*end && errno == 0;
}

static int add(struct work *work, int64_t delta)
{
	int64_t sum;

	if (comap_table_add(work->table, work->key, work->key_bytes, delta, &sum) != 0)
		return tool_fail(work->call.operands[2]);
	printf(work->call.out.json ? "{\"value\": %" PRId64 "}\n" : "%" PRId64 "\n", sum);
	return TOOL_OK;
}

int tool_table_add(int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, WORK_CREATE }, { "owner", required_argument, NULL, WORK_OWNER },
		{ "key-hex", no_argument, NULL, WORK_KEY_HEX }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int64_t delta = 1;
	int code = work_options(&work, argc, argv, options, 3, 4);

	if (code)
		return code;
	if (work.call.operand_count == 4 && !parse_integer(work.call.operands[3], &delta))
		return tool_usage(&work.call, "'%s' is no whole number of 64 bits", work.call.operands[3]);
	code = work_key(&work);
	if (!code)
		code = work_begin(&work, WORK_MAKE);
	if (!code)
		code = add(&work, delta);
	work_end(&work);
	return code;
}

/* --- touch ------------------------------------------------------------------------------------ */

const char tool_table_touch_help[] =
	"The entry's time begins anew; its value and version stay. Exit code 3 when the key, or the table,\n"
	"is not there.\n"
	"\n"
	"Options:\n"
	"      --ttl SECONDS     it expires after so long; none: never; default: as the table has it\n"
	WORK_HELP_KEY
	WORK_HELP_OWNER
	"\n"
	"Examples:\n"
	"  comap table touch fx sessions u-17 --ttl 600\n";

int tool_table_touch(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ttl", required_argument, NULL, WORK_TTL }, { "owner", required_argument, NULL, WORK_OWNER },
		{ "key-hex", no_argument, NULL, WORK_KEY_HEX }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 3, 3);

	if (code)
		return code;
	code = work_key(&work);
	if (!code)
		code = work_begin(&work, WORK_CHANGE);
	if (!code)
		code = outcome(work.call.operands[2],
		               comap_table_touch(work.table, work.key, work.key_bytes, work.ttl_ns));
	work_end(&work);
	return code;
}

/* --- del, clear ------------------------------------------------------------------------------- */

const char tool_table_del_help[] =
	"Exit code 3 when the key, or the table, is not there.\n"
	"\n"
	"Options:\n"
	WORK_HELP_KEY
	WORK_HELP_OWNER
	"\n"
	"Examples:\n"
	"  comap table del fx sessions u-17\n";

int tool_table_del(int argc, char **argv)
{
	static const struct option options[] = {
		{ "owner", required_argument, NULL, WORK_OWNER }, { "key-hex", no_argument, NULL, WORK_KEY_HEX },
		TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 3, 3);

	if (code)
		return code;
	code = work_key(&work);
	if (!code)
		code = work_begin(&work, WORK_CHANGE);
	if (!code)
		code = outcome(work.call.operands[2], comap_table_remove(work.table, work.key, work.key_bytes));
	work_end(&work);
	return code;
}

const char tool_table_clear_help[] =
	"Removes every entry that is there and is not written meanwhile; the table stays. Exit code 3 when\n"
	"the table is not there.\n"
	"\n"
	"Options:\n"
	WORK_HELP_OWNER
	"\n"
	"Examples:\n"
	"  comap table clear fx sessions\n";

int tool_table_clear(int argc, char **argv)
{
	static const struct option options[] = {
		{ "owner", required_argument, NULL, WORK_OWNER }, TOOL_OPTIONS
	};
	struct work work = WORK(argv[0]);
	int code = work_options(&work, argc, argv, options, 2, 2);

	if (code)
		return code;
	code = work_begin(&work, WORK_CHANGE);
	if (!code)
		code = outcome(work.call.operands[1], comap_table_clear(work.table));
	work_end(&work);
	return code;
}
