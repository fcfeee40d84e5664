#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The table verbs: what one writes another reads, bytes of any kind, exit codes.
. "$(dirname "$0")/lib.sh"

run 3 table get fx sessions u-17
complains 'fx'
run 3 table put fx sessions u-17 'signed in'
complains '--create makes it'
run 3 table load fx sessions
complains '--create makes it'
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
# what only changes or looks makes nothing
run 3 table del fx sesions u-17
complains "holds no 'sesions'"
run 3 table dump fx sesions "$COMAP_DIR/.checkpoint"
run 0 ls fx --names
same sessions "$(cat "$out")" "a mistyped table is not made"
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
json '.entries == 1 and .writes == 3 and .repairs == 0'

# A cache, which evicts.
seq 1 20000 | sed 's/.*/&\tvalue &/' >"$COMAP_DIR/.many"
run 0 table load cached t "$COMAP_DIR/.many" --create --budget 512K
run 0 table stat cached t --json
json '.budget_bytes == 524288 and .used_bytes <= 532480 and .evicted_budget > 10000'
json '.inserted == 20000 and .entries + .evicted_budget == 20000'
run 7 table put cached t a b --budget 1M
complains 'has a budget of 524288'
run 2 table put cached t a b --budget much
run 0 verify cached

# What is written while one watches; the writer begins when the watcher has printed what was there.
"$comap" table put watched t a 1 --create
"$comap" table watch watched t --all --count 3 --timeout 10 >"$COMAP_DIR/.watch" &
watcher=$!
"$comap" table watch watched t a --count 3 --timeout 10 --json >"$COMAP_DIR/.key" &
key_watcher=$!
for _ in $(seq 200); do [ -s "$COMAP_DIR/.watch" ] && [ -s "$COMAP_DIR/.key" ] && break; sleep 0.02; done
"$comap" table put watched t b 2
sleep 0.2 # a look lasts 50 ms at most
"$comap" table put watched t a 3
sleep 0.2
"$comap" table del watched t a
checks=$((checks + 2))
wait $watcher || wrong "watch ends with 0 after three lines"
wait $key_watcher || wrong "watch of a key ends with 0 after three lines"
same $'a\t1\nb\t2\na\t3' "$(cat "$COMAP_DIR/.watch")" "watch prints what was there and what is written"
same '1 3 null' "$(jq -r '.value' "$COMAP_DIR/.key" | tr '\n' ' ' | sed 's/ $//')" "watch of a key, with its end"
run 4 table watch watched t --timeout 0.1
run 4 table watch watched t a --timeout 0.1
run 2 table watch watched t --count none
printf 'no tab\n' >"$COMAP_DIR/.bad"
run 1 table load copy sessions "$COMAP_DIR/.bad"
complains 'line 1: no tab'
run 3 table load copy sessions "$COMAP_DIR/.missing"
run 2 table put fx sessions u-17 text --ttl soon
run 2 table get fx sessions

# Conditions, counters, times, keys that are no text.
run 3 table put fx sessions cas a --present
complains 'does not hold it'
run 0 table put fx sessions cas a --absent
run 0 table get fx sessions cas --json
version=$(jq .version "$out")
run 7 table put fx sessions cas b --version $((version + 1))
complains "it has version $version, not $((version + 1))"
run 0 table put fx sessions cas b --version "$version"
run 0 table get fx sessions cas --raw
same b "$(cat "$out")" "the value that was put over its version"
run 3 table put fx sessions none b --version 1
run 3 table put fx no-such-table a b --present
run 2 table put fx sessions cas c --present --absent
run 2 table put fx sessions cas c --version 0
run 0 table put fx sessions cas c --present --ttl 600
run 0 table scan fx sessions --format json
says '"key": "cas", "value": "c", "version": [0-9]+, "expires_ns": [0-9]+'
run 0 table touch fx sessions cas --ttl none
run 0 table scan fx sessions --format json
says '"key": "cas", "value": "c", "version": [0-9]+}'
run 3 table touch fx sessions nobody
run 0 table put fx sessions 00ff80 bytes --key-hex
run 0 table get fx sessions 00FF80 --key-hex --raw
same bytes "$(cat "$out")" "the value of a key that is no text"
run 0 table scan fx sessions --format json
says '"key_hex": "00ff80", "value": "bytes"'
run 0 table del fx sessions 00ff80 --key-hex
run 2 table get fx sessions 00f --key-hex
run 2 table get fx sessions xy --key-hex
run 0 table add fx hits page
same 1 "$(cat "$out")" "a new counter"
run 0 table add fx hits page 41 --json
json '.value == 42'
run 0 table add fx hits page -- -50
same -8 "$(cat "$out")" "a counter below zero"
run 0 table scan fx hits --format json
json '.counter == -8'
run 2 table add fx hits page many
run 2 table add fx hits page 99999999999999999999
run 1 table add fx sessions cas
complains 'is no counter'
run 0 table clear fx sessions
run 0 table stat fx sessions --json
json '.entries == 0'
run 3 table clear fx no-such-table
run 3 table touch fx no-such-table a
run 0 verify fx
run 0 verify copy
finish
