#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# ThreadSanitizer over one mapping: builds beside the given build and runs what has threads
set -euo pipefail
build=$1-tsan
[ -f "$build/build.ninja" ] ||
	meson setup "$build" "$1/../" -Db_sanitize=thread -Db_lundef=false \
		-Dc_args=-Wno-tsan >/dev/null # it knows no fences: those are the models' part
ninja -C "$build" --quiet tests/ipc/test_table-threads
end=$((SECONDS + $2)) runs=0
while [ $runs -eq 0 ] || [ $SECONDS -lt $end ]; do
	"$build/tests/ipc/test_table-threads" >"$build/tsan.log" 2>&1 || { cat "$build/tsan.log"; exit 1; }
	runs=$((runs + 1))
done
echo "$runs runs, no data race found"
