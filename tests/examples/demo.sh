#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo in four seconds: it ends with status 0 and claims nothing false; and it notices what is
# false: a copy that was falsified, a picture that cannot be drawn.
#
#     demo.sh DEMO FOLDER
set -eu
demo=$1 out=$2

run() { # STATUS OPTION...
	wanted=$1
	shift
	got=0
	"$demo" --seconds 4 --consumers 5 --processes 4 --out "$out" "$@" >"$out.log" 2>&1 || got=$?
	[ "$got" = "$wanted" ] || { /bin/cat "$out.log"; echo "status $got, not $wanted"; exit 1; }
}

run 0
grep 'FALSE' "$out.log" && exit 1
for claim in 'torn reads: 0,' 'wrong answers: 0,' 'came between reserve and publish' \
	'sum of PSS' 'memory.svg'; do
	grep -q "ok .*$claim" "$out.log" || { cat "$out.log"; echo "no claim: $claim"; exit 1; }
done
grep -A99 '^ *consumer  ' "$out.log"
grep -q '<svg' "$out/memory.svg"

PATH=/nowhere run 1 --spoil
/bin/grep 'FALSE wrong answers' "$out.log"
/bin/grep 'is gnuplot installed' "$out.log"
/bin/grep 'FALSE .*memory.svg' "$out.log"
