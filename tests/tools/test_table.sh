#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The table verbs: what one writes another reads, bytes of any kind, exit codes.
. "$(dirname "$0")/lib.sh"

run 3 table get fx sessions u-17
complains 'fx'
run 3 table put fx sessions u-17 'signed in'
run 0 table put fx sessions u-17 'signed in' --create --ttl 600 --json
json '.version == 1'
run 0 table get fx sessions u-17
same 'signed in' "$(cat "$out")" "get gives what was put"
run 0 table get fx sessions u-17 --json
json '.text == "signed in" and .version == 1'
run 7 table put fx sessions u-17 other --absent
complains 'there already'
run 3 table get fx sessions nobody
complains 'nobody'
run 3 table del fx sessions nobody
run 0 table put fx sessions $'tab\there' $'line\nwith \\ and \xff'
run 0 table scan fx sessions
says '^tab\\there	line\\nwith \\\\ and \\xff$'
says '^u-17	signed in$'
run 0 table scan fx sessions --keys
says '^u-17$'
run 0 table scan fx sessions --json
json 'if .key == "u-17" then .value == "signed in" and .expires_ns > 0 else .key_hex != null end'

"$comap" table scan fx sessions | sort >"$COMAP_DIR/.dump"
run 0 table load copy sessions "$COMAP_DIR/.dump" --create --json
json '.loaded == 2'
same "$(cat "$COMAP_DIR/.dump")" "$("$comap" table scan copy sessions | sort)" "load reads what scan prints"
run 0 table del copy sessions u-17
run 3 table get copy sessions u-17
run 0 table stat copy sessions --json
json '.entries == 1 and .writes == 2 and .repairs == 0'
printf 'no tab\n' >"$COMAP_DIR/.bad"
run 1 table load copy sessions "$COMAP_DIR/.bad"
complains 'line 1: no tab'
run 3 table load copy sessions "$COMAP_DIR/.missing"
run 2 table put fx sessions u-17 text --ttl soon
run 2 table get fx sessions
run 0 verify fx
run 0 verify copy
finish
