#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The figures of core: every way of reading, warm in large and in small folios, and cold.
#
#     run.sh BUILD [SIZE [DIR [RUNS]]]     SIZE as 256M or 4G; DIR: the current folder
#     ./run bench core [SIZE [DIR [RUNS]]] the same, built as a release
#
# Without a SIZE the short form: 64 MiB, 3 runs. With one, 5 runs. 4G needs a disk with 9 GB free and
# as much memory. Prints the tables of scan-bench and memory-bench; docs/choose.md quotes them.
set -euo pipefail
build=$(realpath "$1") size=$(numfmt --from=iec "${2:-64M}") folder=${3:-.}
runs=${4:-$([ $# -gt 1 ] && echo 5 || echo 3)}
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
	cell "lines with a literal, cached in $folios folios, two processes" "$folios" \
		--literal /svc07/ --processes 2
	cell "100,000 jumps, cached in $folios folios" "$folios" --jumps 100000
done
cell "newlines, not cached" small --cold
cell "newlines, not cached, two processes" small --cold --processes 2
cell "lines with a literal, not cached" small --cold --literal /svc07/
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
