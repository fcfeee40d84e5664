#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The figures of core: every way of reading, warm in large and in small folios, and cold.
#
#     run.sh BUILD [SIZE [DIR [ROUNDS [PART ...]]]]     SIZE as 256M or 4G; DIR: the current folder
#     run.sh BUILD small [ROUNDS [DIR]]                 from which size on a way of reading pays
#     ./run bench core ...                              the same, built as a release
#
# Without a SIZE the short form: 64 MiB. 5 rounds without ROUNDS. Parts, all of them without PART:
# large, small (newlines and lines with a literal, by one and two processes, cached in such folios),
# cold, ruinous (cold, one round of the ways that take minutes there), jumps, tiny, memory. 4G needs a
# disk with 9 GB free and as much memory. Prints the tables of scan-bench and memory-bench;
# docs/choose.md quotes them.
set -euo pipefail
build=$(realpath "$1")
shift
bench=$build/bench/core

if [ "${1:-}" = small ]; then
	work=$(mktemp -d "${3:-.}/comap-bench.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo "$(uname -sr), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)," \
		"$(stat -f -c %T "$work"), ${2:-15} rounds"
	"$bench/small-bench" "$work" "${2:-15}"
	exit
fi

size=$(numfmt --from=iec "${1:-64M}") folder=${2:-.} rounds=${3:-5}
parts=("${@:4}")
[ ${#parts[@]} -gt 0 ] || parts=(large small cold ruinous jumps tiny memory)
work=$(mktemp -d "$folder/comap-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "$(uname -sr), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)," \
	"$(stat -f -c %T "$work"), $((size / 1048576)) MiB, $rounds rounds: ${parts[*]}"

# large: written 8 MiB at a time, small: by pages. That decides the folios of the page cache.
log() { # large|small
	[ -f "$work/$1" ] && return
	"$bench/make-log" "$size" "$work/$1" $([ "$1" = large ] || echo 4096) >/dev/null
	sync "$work/$1"
}

cell() { # TITLE FILE [OPTION ...]
	echo
	echo "== $1"
	"$bench/scan-bench" "$work/$2" --rounds "$rounds" "${@:3}"
}

cached() { # large|small
	log "$1"
	cell "newlines, cached in $1 folios" "$1"
	cell "newlines, cached in $1 folios, two processes" "$1" --processes 2
	cell "lines with a literal, cached in $1 folios" "$1" --literal /svc07/
	cell "lines with a literal, cached in $1 folios, two processes" "$1" \
		--literal /svc07/ --processes 2
}

cold() {
	log large
	cell "newlines, not cached" large --cold
	cell "newlines, not cached, two processes" large --cold --processes 2
	cell "lines with a literal, not cached" large --cold --literal /svc07/
}

# Each a round of its own: a map that is read with RANDOM waits for the disk once per page.
ruinous() {
	log large
	rounds=1 cell "newlines, not cached: the ways that are ruinous there, one round" large --cold \
		--ruinous 1 --only 'chosen,willneed,map random,mmap() random'
}

jumps() {
	for folios in large small; do
		log $folios
		for count in 1000 10000 100000 1000000; do
			cell "$count jumps, cached in $folios folios" $folios --jumps $count
		done
	done
	cell "2000 jumps, not cached" large --jumps 2000 --cold
}

tiny() {
	echo
	echo "== one file of 64 KiB, one of 16 KiB: the whole process counts, so compare ways only"
	log large
	head -c 65536 "$work/large" >"$work/64k"
	head -c 16384 "$work/large" >"$work/16k"
	rounds=50 cell "64 KiB" 64k
	rounds=50 cell "16 KiB" 16k
}

memory() {
	echo
	echo "== memory of 1 to 32 processes that look at all of it (64 MiB)"
	log large
	head -c 67108864 "$work/large" >"$work/64m"
	"$bench/memory-bench" "$work/64m"
}

for part in "${parts[@]}"; do
	case $part in
	large | small) cached "$part" ;;
	cold | ruinous | jumps | tiny | memory) "$part" ;;
	*) echo "run.sh: no part is called '$part'" >&2; exit 2 ;;
	esac
done
