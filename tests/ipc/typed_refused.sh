#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What table_typed.h must make of wrong programs: nothing that compiles. In C and in C++; the right program
# compiles in both, or the refusals say nothing.
#
#     typed_refused.sh SOURCE
set -euo pipefail
source=$1
failed=0

compiles() { # LANGUAGE STATEMENT
	"$([ "$1" = c ] && echo "${CC:-cc}" || echo "${CXX:-c++}")" -x "$1" -Werror -fsyntax-only \
		-I"$source/core/include" -I"$source/ipc/include" - 2>/dev/null <<-PROGRAM
		#include <comap.h>
		#include <comap/table_typed.h>
		struct price { double bid, ask; };
		COMAP_FIELDS(struct price, COMAP_FIELD(f64, bid), COMAP_FIELD(f64, ask));
		struct wrong { double bid, ask; };
		struct __attribute__((aligned(64))) wide { char bytes[64]; };
		int main(void)
		{
			struct comap_table *t = COMAP_TABLE_OPEN_AS(struct price, NULL, "t");
			struct price now = { 1, 2 };
			const struct price kept = { 1, 2 };
			struct wrong wrong = { 1, 2 };
			struct wide wide = { { 0 } };
			uint64_t key = 1;
			const char *name = "XETR";
			char letters[4] = { 'X', 'E', 'T', 'R' };
			(void)kept; (void)wrong; (void)wide; (void)name; (void)letters; (void)now; (void)key; (void)t;
			$2;
			return 0;
		}
	PROGRAM
}

expect() { # yes|no STATEMENT
	for language in c c++; do
		if [ "$1" = yes ] && ! compiles "$language" "$2"; then
			echo "does not compile as $language: $2"
			failed=1
		elif [ "$1" = no ] && compiles "$language" "$2"; then
			echo "compiles as $language: $2"
			failed=1
		fi
	done
}

command -v "${CC:-cc}" >/dev/null && command -v "${CXX:-c++}" >/dev/null || exit 77
expect yes 'COMAP_TABLE_PUT_AS(struct price, t, &key, &now)'
expect yes 'COMAP_TABLE_PUT_AS(struct price, t, &letters, &kept)'
expect yes 'COMAP_TABLE_GET_AS(struct price, t, &key, &now)'
expect yes 'COMAP_TABLE_BULK_PUT_AS(struct price, NULL, &key, &kept)'
expect no 'COMAP_TABLE_BULK_PUT_AS(struct price, NULL, &key, &wrong)'
expect yes 'const struct price *p = COMAP_TABLE_VIEW_AS(struct price, t, &key); (void)p'
expect no 'COMAP_TABLE_PUT_AS(struct price, t, &key, &wrong)'
expect no 'COMAP_TABLE_GET_AS(struct price, t, &key, &wrong)'
expect no 'COMAP_TABLE_GET_AS(struct price, t, &key, &kept)'
expect no 'COMAP_TABLE_PUT_AS(struct price, t, name, &now)'
expect no 'COMAP_TABLE_PUT_AS(struct wide, t, &key, &wide)'
expect no 'const struct wrong *p = COMAP_TABLE_VIEW_AS(struct price, t, &key)'
expect no 'COMAP_TABLE_OPEN_AS(struct wrong, NULL, "t")'
exit $failed
