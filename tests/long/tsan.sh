#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# ThreadSanitizer: everything by threads over one mapping, with a negative control; tables
set -euo pipefail
build=$1-tsan
seconds=$2
cd "$(dirname "$0")/../.."
[ -f "$build/build.ninja" ] ||
	meson setup "$build" -Dwerror=true -Db_sanitize=thread -Db_lundef=false >/dev/null
ninja -C "$build" --quiet tests/ipc/test_table-threads tests/tsan/one_mapping
end=$((SECONDS + seconds / 2)) runs=0
while [ $runs -eq 0 ] || [ $SECONDS -lt $end ]; do
	"$build/tests/ipc/test_table-threads" >"$build/tsan.log" 2>&1 || { cat "$build/tsan.log"; exit 1; }
	runs=$((runs + 1))
done
echo "$runs runs over tables, no data race found"
exec tests/tsan/tsan.sh "$build/tests/tsan/one_mapping" $((seconds / 2))
