#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# every fuzz target under clang's libFuzzer, with ASan and UBSan, each its share of the time
#
# Inputs that find new paths are kept beside the build, in BUILD-fuzz/corpus; an input that finds a fault
# in BUILD-fuzz/found. $COMAP_FUZZ_TARGETS names the targets, where not all are wanted.
set -euo pipefail
build=$1-fuzz
cd "$(dirname "$0")/../.."
[ -f "$build/build.ninja" ] ||
	CC=clang CXX=clang++ meson setup "$build" -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
ninja -C "$build" --quiet tests/fuzz/fuzz
all=$("$build/tests/fuzz/fuzz" | cut -d' ' -f1 | tr '\n' ' ')
read -ra targets <<<"${COMAP_FUZZ_TARGETS:-$all}"
ninja -C "$build" --quiet "${targets[@]/#/tests/fuzz/fuzz_}"
share=$(($2 / ${#targets[@]}))
[ $share -gt 0 ] || share=1
mkdir -p "$build/found"
COMAP_FUZZ_FOLDER=$(mktemp -d /dev/shm/comap-fuzz.XXXXXX)
export COMAP_FUZZ_FOLDER
trap 'rm -rf "$COMAP_FUZZ_FOLDER"' EXIT
failed=0
for target in "${targets[@]}"; do
	corpus=$build/corpus/$target
	mkdir -p "$corpus"
	"$build/tests/fuzz/fuzz" "$target" --seeds "$corpus"
	log=$build/found/$target.log
	if "$build/tests/fuzz/fuzz_$target" -max_total_time=$share -timeout=30 -rss_limit_mb=4096 \
		-print_final_stats=1 -artifact_prefix="$build/found/$target-" "$corpus" >"$log" 2>&1; then
		echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
	else
		failed=1
		echo "$target: found something; its log:"
		tail -n 60 "$log"
	fi
done
exit $failed
