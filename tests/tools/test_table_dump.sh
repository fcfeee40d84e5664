#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# comap table dump, restore, load --bulk; a warm start beside a region that is not to be had any more.
. "${0%/*}/lib.sh"

for i in 1 2 3 4 5; do echo "key-$i	value $i"; done >"$COMAP_DIR/.lines"
run 0 table load fx t "$COMAP_DIR/.lines" --create --bulk --json
same 5 "$(jq .loaded "$out")" "five lines are loaded at once"
same "value 3" "$("$comap" table get fx t key-3)" "... and found"
run 0 table dump fx t "$COMAP_DIR/.dump" --json
same 5 "$(jq .entries "$out")" "five entries are dumped"
run 0 table put fx t key-6 later
run 0 table restore fx t "$COMAP_DIR/.dump" --json
same 5 "$(jq .entries "$out")" "five entries are restored"
run 3 table get fx t key-6
run 0 table dump fx t "$COMAP_DIR/.second" --by-and-by
run 0 table restore other t "$COMAP_DIR/.second" --create
same "$("$comap" table scan fx t | sort)" "$("$comap" table scan other t | sort)" "both hold the same"

# a line that is wrong: nothing of the file is there
printf 'key-7\tseven\nno tab here\n' >"$COMAP_DIR/.bad"
run 1 table load fx t "$COMAP_DIR/.bad" --bulk
same 1 "$(grep -c 'line 2' "$err")" "the error says which line"
run 3 table get fx t key-7
same "value 1" "$("$comap" table get fx t key-1)" "... and the old contents stay"

# damage: said where, and nothing is changed or made
printf 'X' | dd of="$COMAP_DIR/.dump" bs=1 seek=150 conv=notrunc status=none
run 5 table restore fx t "$COMAP_DIR/.dump"
same 1 "$(grep -c 'damaged at byte' "$err")" "the error says where"
run 5 table restore unmade t "$COMAP_DIR/.dump" --create
run 3 info unmade
run 3 table restore fx t "$COMAP_DIR/.missing"
run 2 table dump fx t "$COMAP_DIR/.dump" --every never
run 2 table dump fx t

# checkpoints, and a warm start from the newest one beside a region that cannot be opened
"$comap" table dump fx t "$COMAP_DIR/.checkpoint" --every 0.05 &
dumper=$!
"$comap" table put fx t key-8 eight
for _ in $(seq 100); do
	sleep 0.05
	"$comap" table restore seen t "$COMAP_DIR/.checkpoint" --create 2>/dev/null &&
		[ "$("$comap" table get seen t key-8 2>/dev/null)" = eight ] && break
done
same eight "$("$comap" table get seen t key-8)" "the checkpoint follows the table"
kill "$dumper"
wait "$dumper" 2>/dev/null
printf 'no region' >"$COMAP_DIR/fx.region-that-was"
cp "$COMAP_DIR/fx.region-that-was" "$("$comap" path fx)" # what a crash may leave
run 5 info fx
rm -f "$("$comap" path fx)"
run 0 table restore fx t "$COMAP_DIR/.checkpoint" --create
same eight "$("$comap" table get fx t key-8)" "warm again"
finish
