#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every verb on a region whose owner lives, is stopped, and is dead.
. "$(dirname "$0")/lib.sh"

# The looking verbs; they say the same whatever has become of the owner.
look() { # STATE
	run 0 info fx
	says '^heap max +64G'
	run 0 info fx --json
	json '.format_version == 1 and .heap_max_bytes == 68719476736 and .objects == 1'
	run 0 ls
	says '^NAME +STATE'
	says "^fx +$1 "
	run 0 ls --json
	json '.regions | map(select(.name == "fx")) | length == 1'
	run 0 ls --names
	same fx "$(cat "$out")" "ls --names has the one region"
	run 0 ls fx
	says '^rates +value +[0-9]+ +40 20.*Z struct fx$'
	run 0 ls fx --types
	says 'rates +value .*f64 eurusd @0;.* i32\[3\] ticks'
	run 0 ls fx --json
	json '.objects[0] | .name == "rates" and .kind == "value" and .version > 0 and
		.size_bytes == 40 and .published_ns >= .created_ns'
	json '.objects[0].fields[2] ==
		{name: "ticks", kind: "i32", offset_bytes: 16, size_bytes: 12}'
	run 0 value get fx rates
	says '^# .*fx, version [0-9]+, [0-9]+ bytes, 20'
	says '^eurusd +1.25$'
	says '^ticks +\[1, -2, 3\]$'
	says '^venue +"X\\"\\u001b\\u00ff"$'
	says '^key +"cafe0001"$'
	run 0 value get fx rates --field count
	says '^[0-9]+$'
	run 0 value get fx rates --json
	json '.type | test("fx")'
	json '.fields == {eurusd: 1.25, count: .fields.count, ticks: [1, -2, 3],
		venue: "X\"\u001b\u00ff", key: "cafe0001"}'
	run 0 value get fx rates --hex
	says '^00000000  00 00 00 00 00 00 f4 3f '
	run 0 value get fx rates --raw
	same 40 "$(stat -c %s "$out")" "--raw gives all bytes"
	run 0 value watch fx rates --count 1
	says '^[0-9]+ 20.*Z eurusd=1.25 count='
	run 0 value watch fx rates --count 1 --json
	json '.version >= 1 and .missed == 0 and .fields.eurusd == 1.25'
	run 0 pages fx --json
	json '.processes | type == "array"'
	run 0 verify fx --tries 200 --json
	json '.flaws == 0 and .objects == 1 and .blocks >= 1 and .published_bytes >= 40'
}

life() { # PID: what ps says of it
	run 0 ps fx --json
	jq -r ".seats[] | select(.pid == $1) | .life" "$out"
}

run 3 info fx
complains 'fx'
run 0 create fx
same "$COMAP_DIR/fx" "$(cat "$out")" "create prints the path"
run 7 create fx
complains 'exist'
run 0 create fx --if-missing --json
json ".path == \"$COMAP_DIR/fx\""
run 0 path fx
same "$COMAP_DIR/fx" "$(cat "$out")" "path prints the path"
run 0 path other --json
json '.path | endswith("/other")'
run 3 value get fx rates
complains 'rates'
run 0 unlink fx
run 3 unlink fx
run 0 unlink fx --if-there

start fx publish 20
owner=$role_pid
look 'in use'
same alive "$(life "$owner")" "the owner is alive"
run 0 ps fx
says "^ +0 +$owner +role +alive"
run 0 ps fx --json
json ".seats[0] | .pid == $owner and .same_namespace and .threads >= 1 and .attached_ns > 0"
run 0 pages fx
says "^ *$owner +role .*"
run 0 pages fx --json
json ".processes[0].pid == $owner and .pss_bytes > 0 and .rss_bytes >= .pss_bytes"
mkdir "$COMAP_DIR/elsewhere"
echo text >"$COMAP_DIR/elsewhere/text"
cd "$COMAP_DIR/elsewhere"
run 3 pages text
complains 'put \./ before it'
run 0 pages ./text
cd "$OLDPWD"
rm -r "$COMAP_DIR/elsewhere"
run 0 value watch fx rates --count 5
same 5 "$(wc -l <"$out")" "watch --count 5 prints five versions"
same "$(cut -d' ' -f1 "$out" | sort -nu)" "$(cut -d' ' -f1 "$out")" "versions only grow"
run 7 value put fx rates --hex "$(printf '%080d' 0)"
complains 'seat|pid'

kill -STOP "$owner"
await_state "$owner" T
look 'in use'
same stopped "$(life "$owner")" "the owner is stopped"
run 0 value get fx rates --field count
count=$(cat "$out")
run 0 value get fx rates --json
version=$(jq .version "$out")
run 4 value watch fx rates --after "$version" --timeout 0.2
complains 'deadline|time'
run 7 value put fx rates --hex "$(printf '%080d' 0)"

kill -KILL "$owner"
await_state "$owner" Z
look unclean
same dead "$(life "$owner")" "the owner is dead"
run 0 value get fx rates --field count
same "$count" "$(cat "$out")" "what the dead owner published stands"
run 0 info fx --json
json '.alive == 0 and .dead == 1 and .clean == false and .attached == 1'

# The role passes on; then the value is what the command put.
run 0 value put fx rates --hex "$(printf '%080d' 0)" --json
json ".version == $version + 1 and .size_bytes == 40"
run 0 value get fx rates --field eurusd
same 0 "$(cat "$out")" "the put replaced what the dead owner left"
run 1 value put fx rates short
complains 'short|40|type'

# Untyped bytes come back as they went in; the region is made only on request.
head -c 100000 /dev/urandom >"$COMAP_DIR/.bytes"
run 3 value put notes blob --file "$COMAP_DIR/.bytes"
run 0 value put notes blob --file "$COMAP_DIR/.bytes" --create
run 0 value get notes blob
checks=$((checks + 1))
cmp -s "$COMAP_DIR/.bytes" "$out" || wrong "what value get prints is what value put was given"
run 0 value put notes motd 'closed at noon'
run 0 value get notes motd --json
json '.text == "closed at noon" and .type == null and .hex == "636c6f736564206174206e6f6f6e"'
run 0 value put notes motd -- --text
run 0 value get notes motd
same --text "$(cat "$out")" "text after -- may begin with a dash"
checks=$((checks + 1))
printf 'from a pipe' | "$comap" value put notes motd
same 'from a pipe' "$("$comap" value get notes motd)" "value put reads standard input"
run 3 value get notes nothing
run 3 value get notes motd --field x

# A watcher that waits for all of it, and is told when the region goes.
"$comap" value watch later v --wait --timeout 20 >"$COMAP_DIR/.watch" 2>&1 &
watcher=$!
roles+=("$watcher")
sleep 0.3
run 0 value put later v one --create
for _ in $(seq 100); do
	grep -q one "$COMAP_DIR/.watch" && break
	sleep 0.05
done
run 0 unlink later
wait "$watcher"
same 3 $? "a watcher ends with 3 when the region is unlinked"
same 1 "$(grep -c '"one"' "$COMAP_DIR/.watch")" "the watcher saw the one version"
run 4 value watch never v --wait --timeout 0.2

# What a watcher does not see it counts: seen + missed is what was published in between.
start fast publish 1
run 0 value watch fast rates --count 8 --json
checks=$((checks + 1))
jq -se '(.[-1].version - .[0].version) == (map(.missed) | add) + length - 1' "$out" >/dev/null ||
	wrong "versions seen and missed add up"
kill -KILL "$role_pid"

# Who holds memory back.
run 0 create held
start held read
reader=$role_pid
start held retire
run 0 ps held --json
json ".seats[] | select(.pid == $reader) | .reading == 1 and .behind > 0"
json ".stalled_by_epochs > 0 and (.stalled_by_seat as \$seat |
	.seats[] | select(.seat == \$seat) | .pid == $reader)"
run 0 ps held
says "^Seat [0-9]+ \(role, pid $reader, alive\) holds the grace period back: [0-9]+ began"
kill -STOP "$reader"
await_state "$reader" T
run 0 ps held
says "^Seat [0-9]+ \(role, pid $reader, stopped\) holds the grace period back"
kill -CONT "$reader"
run 0 pages held --json
json '.processes | length == 2'
if [ "$(id -u)" -eq 0 ]; then
	json '.frames_in_both == .frames_same'
fi
kill -KILL "$reader"
await_state "$reader" Z
run 0 ps held --json
json '.stalled_by_seat == null' # the dead hold nothing back

# Looking leaves no trace: no seat, no lock, not a byte.
run 0 create quiet
before=$(sha256sum "$COMAP_DIR/quiet")
for verb in info ls ps pages verify; do
	run 0 "$verb" quiet
done
run 3 value get quiet nothing
same "$before" "$(sha256sum "$COMAP_DIR/quiet")" "looking changes no byte of the file"

# Others who may read the file see the same; what the kernel hides from them is said.
if has_stranger; then
	start shared publish
	chmod 755 "$COMAP_DIR"
	chmod 644 "$COMAP_DIR/shared"
	as_stranger ps shared --json >"$out" 2>"$err"
	json ".seats[0] | .pid == $role_pid and .life == \"alive\""
	as_stranger value get shared rates --field eurusd >"$out" 2>"$err"
	says '^1.25$'
	as_stranger pages shared --json >"$out" 2>"$err"
	json '.hidden_count > 0'
fi

# A process of another PID namespace: its number there means nothing here, and it says so.
if unshare --pid --fork --mount-proc true 2>/dev/null; then
	exec {ready}< <(exec unshare --pid --fork --kill-child --mount-proc "$role" inside publish)
	roles+=("$!")
	IFS= read -r -t 20 -u "$ready" line
	run 0 ps inside
	says '^ +0 +1@[0-9]+ +role +alive'
	run 0 ps inside --json
	json '.seats[0] | .pid == 1 and .same_namespace == false'
fi
finish
