#!/bin/sh
# SPDX-License-Identifier: MIT
# The liburcu host sees what the first producer publishes, from threads that know only liburcu.
#
#     host.sh PRODUCER HOST
set -eu
folder=$(mktemp -d)
producer=''
trap '[ -z "$producer" ] || kill "$producer"; rm -rf "$folder"' EXIT
export COMAP_DIR="$folder"
"$1" &
producer=$!
"$2" fx rates 2 >"$folder/seen"
cat "$folder/seen"
# two lines; the second one has seen a version and taken looks
[ "$(wc -l <"$folder/seen")" -eq 2 ]
tail -n 1 "$folder/seen" | grep -q '^version [1-9][0-9]*, [1-9][0-9]* looks by 4 threads$'
