/* SPDX-License-Identifier: MIT */
/* The slow source. See source.h. */
#include "source.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct source {
	sqlite3 *database;
	sqlite3_stmt *question;
	struct timespec delay;
};

static int complain(sqlite3 *database, const char *what)
{
	fprintf(stderr, "cache: %s: %s\n", what, sqlite3_errmsg(database));
	return -1;
}

int source_expected(unsigned number, char *text, size_t capacity_bytes)
{
	return snprintf(text, capacity_bytes, "article %u costs %u.%02u", number, number * 7 % 90 + 1,
	                number * 31 % 100);
}

static int fill(sqlite3 *database, unsigned article_count)
{
	char text[ARTICLE_BYTES_MAX];
	sqlite3_stmt *insert;
	int code = sqlite3_prepare_v2(database, "insert into articles values (?, ?)", -1, &insert, NULL);

	for (unsigned i = 0; i < article_count && code == SQLITE_OK; i++) {
		source_expected(i, text, sizeof text);
		sqlite3_bind_int(insert, 1, (int)i);
		sqlite3_bind_text(insert, 2, text, -1, SQLITE_TRANSIENT);
		code = sqlite3_step(insert) == SQLITE_DONE ? sqlite3_reset(insert) : SQLITE_ERROR;
	}
	sqlite3_finalize(insert);
	return code;
}

int source_create(const char *path, unsigned article_count)
{
	sqlite3 *database;
	int code;

	unlink(path);
	code = sqlite3_open(path, &database);
	if (code == SQLITE_OK)
		code = sqlite3_exec(database, "create table articles (number integer primary key, text text);"
		                    "begin", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = fill(database, article_count);
	if (code == SQLITE_OK)
		code = sqlite3_exec(database, "commit", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		complain(database, path);
	sqlite3_close(database);
	return code == SQLITE_OK ? 0 : -1;
}

struct source *source_open(const char *path, unsigned delay_ms)
{
	struct source *source = calloc(1, sizeof *source);

	if (!source)
		return NULL;
	source->delay = (struct timespec){ delay_ms / 1000, delay_ms % 1000 * 1000000L };
	if (sqlite3_open_v2(path, &source->database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(source->database, "select text from articles where number = ?", -1,
	                       &source->question, NULL) == SQLITE_OK)
		return source;
	complain(source->database, path);
	source_close(source);
	return NULL;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	sqlite3_finalize(source->question);
	sqlite3_close(source->database);
	free(source);
}

int source_ask(struct source *source, unsigned number, char *text, size_t capacity_bytes)
{
	int length = -1;

	nanosleep(&source->delay, NULL);
	sqlite3_bind_int(source->question, 1, (int)number);
	switch (sqlite3_step(source->question)) {
	case SQLITE_ROW:
		length = sqlite3_column_bytes(source->question, 0);
		if ((size_t)length <= capacity_bytes)
			memcpy(text, sqlite3_column_text(source->question, 0), (size_t)length);
		else
			length = -1;
		break;
	case SQLITE_DONE:
		length = 0;
		break;
	default:
		complain(source->database, "select");
	}
	sqlite3_reset(source->question);
	return length;
}
