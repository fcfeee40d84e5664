#!/bin/sh
# SPDX-License-Identifier: MIT
# The registry as a table: rows by key, a change of the source all at once, seen by who waits for it.
#
#     registry_table.sh PRODUCER COMAP
set -eu
producer=$1 comap=$2
folder=$(mktemp -d)
pid='' watcher=''
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT
export COMAP_DIR="$folder/regions"
mkdir -m 700 "$COMAP_DIR"

is() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || { echo "$1: got '$2', wanted '$3'" >&2; cat "$folder/log" >&2; exit 1; }
}

printf 'code,name\nA,first\nB,second\nA,third\n' >"$folder/source.csv"
"$producer" --region r --table t "$folder/source.csv" 2>"$folder/log" &
pid=$!
tries=200
until "$comap" table get r t B >/dev/null 2>&1; do
	[ $((tries -= 1)) -gt 0 ] || { echo "no row in ten seconds" >&2; cat "$folder/log" >&2; exit 1; }
	sleep 0.05
done
is 'a row' "$("$comap" table get r t B)" "$(printf 'B\tsecond')"
is 'two rows of a key' "$("$comap" table get r t A)" "$(printf 'A\tfirst\nA\tthird')"
is 'how many keys' "$("$comap" table scan r t | wc -l)" 2

"$comap" table watch r t B --count 2 --timeout 10 >"$folder/seen" &
watcher=$!
tries=200
until [ -s "$folder/seen" ]; do [ $((tries -= 1)) -gt 0 ] || exit 1; sleep 0.05; done
printf 'code,name\nB,new\nC,fourth\n' >"$folder/next.csv"
mv "$folder/next.csv" "$folder/source.csv"
wait "$watcher"
watcher=''
is 'what the watcher saw' "$(tail -n 1 "$folder/seen")" "$(printf 'B\tB\\tnew')"
is 'the rows then' "$("$comap" table scan r t --keys | sort | tr '\n' ' ')" 'B C '
"$comap" table get r t A >/dev/null 2>&1 && { echo "a row that is gone was found" >&2; exit 1; }
"$comap" verify r >/dev/null
kill "$pid"
wait "$pid" || { echo "the producer ended with $?" >&2; cat "$folder/log" >&2; exit 1; }
pid=''
