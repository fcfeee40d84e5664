#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The pieces of C in the guide compile as they stand, each in a function of its own.
#
#     guide.sh SOURCE
set -euo pipefail
source_dir=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/guide.c" <<'END'
#include <comap/error.h>
#include <comap/flush.h>
#include <comap/guard.h>
#include <comap/mapping.h>
#include <comap/records.h>
#include <comap/scan.h>
#include <stdio.h>
#include <string.h>

struct pair { uint64_t id; double value; };
COMAP_FIELDS(struct pair, COMAP_FIELD(u64, id), COMAP_FIELD(f64, value));

struct comap_map *map;
struct comap_records records;
struct comap_scan *scan;
struct comap_span line;
const char *path;
const void *at;
void *bytes;
uint64_t word, count, total;
double sum;
int code;
uint64_t sum_of(const void *data, uint64_t size_bytes);
END
awk '/^```c$/ { n++; print "void piece_" n "(void);\nvoid piece_" n "(void)\n{"; inside = 1; next }
	/^```$/ && inside { print "}"; inside = 0; next }
	inside' "$source_dir/docs/guide.md" >>"$work/guide.c"
pieces=$(grep -c '^void piece_[0-9]*(void)$' "$work/guide.c")
[ "$pieces" -ge 10 ] || { echo "only $pieces pieces of C in the guide"; exit 1; }
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only \
	-I "$source_dir/core/include" "$work/guide.c"

# Pages that the guide and its neighbours point to are there.
for page in guide choose pages records log-analyzer; do
	{ grep -oE '\]\([a-z-]+\.md' "$source_dir/docs/$page.md" || true; } | cut -c3- | sort -u |
	while read -r target; do
		[ -f "$source_dir/docs/$target" ] || { echo "docs/$page.md points to $target"; exit 1; }
	done
done
echo "$pieces pieces compile"
