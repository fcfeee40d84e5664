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

# checkpoints follow the table
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

# The warm start of docs/table-dump.md, word for word.
sed -n '/^## After a reboot/,/^## /p' "$source_dir/docs/table-dump.md" | sed -n '/^```sh/,/^```$/{//!p}' \
	>"$COMAP_DIR/.warm"
same 4 "$(wc -l <"$COMAP_DIR/.warm")" "the page has its four lines"
mkdir "$COMAP_DIR/.bin"
ln -s "$comap" "$COMAP_DIR/.bin/comap"
warm_start() {
	checks=$((checks + 1))
	(cd "$COMAP_DIR" && PATH=$COMAP_DIR/.bin:$PATH bash .warm) >"$out" 2>"$err" || wrong "the warm start works"
}
# Another boot id in the file, as if the machine had been started anew (docs/layout.md: control, 416).
restart_the_machine() {
	printf 'other boot' | dd of="$("$comap" path cache)" bs=1 seek=$((65536 + 416)) conv=notrunc status=none
}
"$comap" table put cache users key one --create
"$comap" table dump cache users "$COMAP_DIR/users.dump"
"$comap" table put cache users key two
restart_the_machine
warm_start
same two "$("$comap" table get cache users key)" "what was left in order is kept over a restart"
start cache read # attached when the machine goes down
kill -KILL "$role_pid"
wait "$role_pid" 2>/dev/null
restart_the_machine
run 5 info cache
run 5 table get cache users key
warm_start
same one "$("$comap" table get cache users key)" "what was in use is replaced by the checkpoint"
"$comap" table put cache users key three
warm_start
same three "$("$comap" table get cache users key)" "a second warm start changes nothing"
rm "$("$comap" path cache)"
warm_start
same one "$("$comap" table get cache users key)" "what is gone comes back from the checkpoint"
run 0 verify cache
finish
