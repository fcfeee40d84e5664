/* SPDX-License-Identifier: MIT */
/* The first ten lines with a table, word for word as docs/table.md shows them: run it several times. */
#include <comap/easy.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct comap *r = comap_open_or_die("sessions", COMAP_CREATE);
	struct comap_table *t = comap_table_open_or_die(r, "users", NULL);
	for (int i = 1; i < argc; i++)
		COMAP_READ(r) {
			struct comap_view v = comap_table_view(t, argv[i], strlen(argv[i])); /* in place */
			printf("%s: %.*s\n", argv[i], (int)v.size_bytes, v.data ? (const char *)v.data : "");
		}
	for (int i = 1; i < argc; i++)
		comap_table_put_or_die(t, argv[i], strlen(argv[i]), "seen before", 11);
}
