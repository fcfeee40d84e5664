/* SPDX-License-Identifier: MIT */
/* What the table verbs share: their options, region and table, and how an entry is printed. */
#ifndef COMAP_TOOLS_TABLE_H
#define COMAP_TOOLS_TABLE_H

#include "rows.h"
#include "tool.h"
#include "value.h"

/* What all of them are told. */
struct work {
	struct tool_call call;
	enum value_form form;
	enum row_format format;      /* scan, load */
	const char *key_column, *value_column;
	bool keys;                   /* scan: without values */
	bool create, absent, present, in_bulk, progress;
	uint64_t version;            /* put: only over this one; 0: whatever there is */
	bool key_is_hex;
	char *key;                   /* of work_key() */
	size_t key_bytes;
	uint64_t ttl_ns;             /* as struct comap_table_write has it */
	uint64_t budget_bytes;
	int64_t owner_uid;
	struct comap *region;
	struct comap_table *table;
	struct comap_type *type;     /* NULL: values are bytes */
};

#define WORK(name) { .call = TOOL_CALL(name) }
enum {
	WORK_HEX = 256, WORK_RAW, WORK_KEYS, WORK_CREATE, WORK_ABSENT, WORK_TTL, WORK_OWNER, WORK_BUDGET,
	WORK_BULK, WORK_FORMAT, WORK_KEY, WORK_VALUE, WORK_PROGRESS, WORK_PRESENT, WORK_VERSION, WORK_KEY_HEX,
};

/* Reads the options and counts the operands. An exit code. */
int work_options(struct work *work, int argc, char **argv, const struct option *options, int least,
                 int most);
/* The key that the third operand means. An exit code. */
int work_key(struct work *work);
#define WORK_HELP_KEY \
	"      --key-hex         KEY is in hexadecimal digits, two for each byte, as scan's key_hex\n"
#define WORK_HELP_OWNER \
	"      --owner USER      write to a region of this user, too; 'any': of whomever\n"

enum work_access {
	WORK_LOOK,   /* as a guest */
	WORK_CHANGE, /* attached; the table is there, or it is an error */
	WORK_MAKE,   /* attached; a missing table is made, a missing region only on request */
};
/* Opens region and table. An exit code. */
int work_begin(struct work *work, enum work_access access);
void work_end(struct work *work);
/* What was done, where JSON is wanted. */
void work_note(struct work *work, const char *what, uint64_t count);

/* Key, tab, value, as one line or as one JSON object; `type` may be NULL: bytes. */
void table_print_entry(struct out *out, const struct comap_type *type, bool keys_only,
                       const struct comap_table_entry *entry);

#endif
