#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# advise: the choice by the file and by what is to be done; all ways of reading count the same.
. "$(dirname "$0")/lib.sh"

folder=$COMAP_DIR
seq 300000 >"$folder/numbers"
head -c 1000 "$folder/numbers" >"$folder/small"

run 0 advise "$folder/small"
says '^method +whole$'
says '^reason +small'
run 0 advise "$folder/numbers" --writes --json
json '.method == "map-write" and .size_bytes == 1988895'
run 0 advise "$folder/numbers" --passes 5 --json
json '.method == "map" and (.reason | length > 10)'
run 0 advise "$folder/numbers" --jumps=5 --json
json '.method == "pread" and .resident_percent == null'
run 0 advise "$folder/numbers" --jumps=5 --measure --runs 1
says '^method +pread$'
run 2 advise "$folder/numbers" --jumps=0
run 0 advise /proc/self/status --json
json '.method == "stream" and .size_bytes == 0'

run 0 advise "$folder/numbers" --measure --runs 1 --json
json '.ways | length >= 9'
json '.ways | map(.count == 300000) | all'
json '.ways | map(.wall_ns > 0 and .peak_rss_bytes > 0) | all'
run 0 advise "$folder/numbers" --measure --runs 1 --literal 77 --processes 2 --json
hits=$(grep -c 77 "$folder/numbers")
json ".ways | map(.count == $hits) | all"
run 0 advise "$folder/numbers" --measure --runs 1 --jumps --json
json '.ways | map(.way) | index("jumps pread") != null'
json '.ways | map(.count) | unique | length == 1'
run 0 advise "$folder/numbers" --measure --runs 1
says '^WAY +MS +CPU MS'

run 3 advise "$folder/missing"
complains 'cannot open'
run 1 advise "$folder"
complains 'is a folder'
run 2 advise
run 2 advise "$folder/numbers" --passes many
complains 'no sense'
run 2 advise "$folder/numbers" --measure --passes 3
complains 'times one pass'
run 1 advise "$folder/small" --measure
complains 'too small'
finish
