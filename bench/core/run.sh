#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The figures of core: every way of reading, warm in large and in small folios, and cold.
#
#     run.sh BUILD [SIZE_BYTES [DIR [RUNS]]]     256 MiB in the current folder, 5 runs without them
#
# The figures of the issue: run.sh BUILD 4294967296 DIR 7, on a disk with 9 GB free and as much
# memory. Prints the tables of scan-bench and memory-bench; docs/choose.md quotes them.
set -euo pipefail
build=$(realpath "$1") size=${2:-268435456} folder=${3:-.} runs=${4:-5}
bench=$build/bench/core
work=$(mktemp -d "$folder/comap-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "$(uname -sr), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)," \
	"$(stat -f -c %T "$work"), $((size / 1048576)) MiB"
"$bench/make-log" "$size" "$work/large" >/dev/null
"$bench/make-log" "$size" "$work/small" 4096 >/dev/null
sync

cell() { # TITLE FILE [OPTION ...]
	echo
	echo "== $1"
	"$bench/scan-bench" "$work/$2" --runs "$runs" "${@:3}"
}

for folios in large small; do
	cell "newlines, cached in $folios folios" "$folios"
	cell "newlines, cached in $folios folios, two processes" "$folios" --processes 2
	cell "lines with a literal, cached in $folios folios" "$folios" --literal /svc07/
	cell "100,000 jumps, cached in $folios folios" "$folios" --jumps 100000
done
cell "newlines, not cached" small --cold
cell "2,000 jumps, not cached" small --jumps 2000 --cold

echo
echo "== one file of 64 KiB, one of 16 KiB: the whole process counts, so compare ways only"
head -c 65536 "$work/large" >"$work/64k"
head -c 16384 "$work/large" >"$work/16k"
cell "64 KiB" 64k --runs 50
cell "16 KiB" 16k --runs 50

echo
echo "== memory of 1 to 32 processes that look at all of it (64 MiB)"
head -c 67108864 "$work/large" >"$work/64m"
"$bench/memory-bench" "$work/64m"
