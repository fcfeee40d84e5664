#!/usr/bin/env bash
# Runs the benchmarks of a build: bench/run.sh BUILD_DIR [FILTER] [OPTION ...]
#
# FILTER is a part of a name: rcu, value, mutex, core (core takes SIZE, DIR, ROUNDS and parts in place of
# options: core/run.sh; without a filter it runs in its short form), table (all of its short parts; or
# one part, see below). Options go to each program: --rounds N, --out DIR, --dir DIR, --cpus A,B. Tables go
# to standard output, the figures of every round to bench-out/*.json.
#
#     table peers     a get, against LMDB, SQLite, memcached, Redis and liburcu's table
#     table mix       gets and puts mixed, uniform and by Zipf's law; quantiles; fairness
#     table memory    of 1 to 64 processes, against LMDB and a copy each; draws a plot
#     table grow      pauses while a table grows from a thousand entries to ten million
#     table large     ten million entries, with 4 KiB pages and (for root) with large ones
#     table huge      a hundred million small ones; 12 GB
#
# The last three run only when they are asked for.
#     table load      bulk loads, dumps, restores; what others notice of a commit
#
# The status is 0 whether goals are met or not: these are figures, not tests.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: bench/run.sh BUILD_DIR [FILTER] [OPTION ...]}
shift
filter=
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
	filter=$1
	shift
fi

# Where it is allowed, ahead of others who use the machine.
nice=()
nice -n -10 true 2>/dev/null && nice=(nice -n -10)

if [ "$filter" = core ]; then
	exec "${nice[@]}" bench/core/run.sh "$build" "$@"
fi

# Ten million entries in small pages, then in a tmpfs with large ones. Figures: OUT/small, OUT/large.
large() {
	local out=bench-out rest=()
	while [ $# -gt 1 ]; do
		if [ "$1" = --out ]; then out=$2; else rest+=("$1" "$2"); fi
		shift 2
	done
	mkdir -p "$out"
	export COMAP_BENCH_KEYS=10000000
	"${nice[@]}" "$build/bench/bench_table" --rounds 5 --out "$out/small" "${rest[@]}"
	folder=$(mktemp -d) # not local: it is needed at the end
	if ! mount -t tmpfs -o huge=within_size,mode=0700 comap-bench "$folder" 2>/dev/null; then
		rmdir "$folder"
		echo "bench: no tmpfs with large pages can be mounted here: not measured"
		return
	fi
	trap 'umount "$folder"; rmdir "$folder"' EXIT
	echo
	echo "== in large pages (tmpfs, huge=within_size)"
	"${nice[@]}" "$build/bench/bench_table" --rounds 5 --out "$out/large" "${rest[@]}" --dir "$folder"
}

part=
if [ "$filter" = table ] && [ "${1:-}" = large ]; then
	large "${@:2}"
	exit
fi
if [ "$filter" = table ] && [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then # a part of the table's bench alone
	part=$1
	shift
	[ -x "$build/bench/table/$part" ] || { echo "bench: the table's bench has no part '$part'" >&2; exit 2; }
	exec "${nice[@]}" "$build/bench/table/$part" "$@"
fi

found=
programs() {
	local program part
	for program in "$build"/bench/bench_*; do
		case ${program##*/} in *"$filter"*) ;; *) continue ;; esac
		[ -f "$program" ] && [ -x "$program" ] || continue
		"${nice[@]}" "$program" "$@"
	done
	case table in *"$filter"*) ;; *) return ;; esac
	for part in peers mix load memory; do
		"${nice[@]}" "$build/bench/table/$part" "$@"
	done
}

for program in "$build"/bench/bench_*"$filter"*; do
	[ -f "$program" ] && [ -x "$program" ] && found=yes
done
said=$(mktemp)
trap 'rm -f "$said"' EXIT
programs "$@" | tee "$said"
if grep -q ' goals met$' "$said"; then
	echo
	echo "== all of it: $(grep -c '| met  *|$' "$said") goals met, $(grep -c '| NOT MET |$' "$said") not"
	grep '| NOT MET |$' "$said" || true
fi
if [ -z "$found" ]; then
	echo "bench: nothing is called '$filter' in $build/bench" >&2
	exit 2
fi
if [ -z "$filter" ]; then
	"${nice[@]}" bench/core/run.sh "$build"
fi
