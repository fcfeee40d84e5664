#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# a log of 4 GiB, analyzed within a cgroup of 256 MiB (5 GB of disk in $COMAP_LONG_DIR)
#
# $COMAP_LOG_BYTES makes it another size. Where no cgroup can be made: anonymous memory of all
# processes together stays below 64 MiB, looked at ten times a second. The answer is compared with what
# the writer of the log counted.
set -euo pipefail
build=$1
size=${COMAP_LOG_BYTES:-4294967296}
work=$(mktemp -d "${COMAP_LONG_DIR:-.}/comap-log.XXXXXX")
group=
clean_up() {
	rm -rf "$work"
	[ -z "$group" ] || rmdir "$group" 2>/dev/null || true
}
trap clean_up EXIT

make_group() { # prints the folder of a group with the limit, or fails
	local folder name=comap-log-$$
	for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		mkdir "$folder/$name" 2>/dev/null || continue
		if { echo $((256 << 20)) >"$folder/$name/memory.limit_in_bytes"; } 2>/dev/null ||
		   { echo $((256 << 20)) >"$folder/$name/memory.max"; } 2>/dev/null; then
			echo "$folder/$name"
			return
		fi
		rmdir "$folder/$name"
	done
	return 1
}

anonymous_kib() { # PID: of it and of its children
	local pid sum=0 kib
	for pid in "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		kib=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
		sum=$((sum + ${kib:-0}))
	done
	echo $sum
}

counted=$("$build/bench/core/make-log" "$size" "$work/log")
sync
lines=${counted%% *}
hits=$(sed 's/.*, \([0-9]*\) with.*/\1/' <<<"$counted")
group=$(make_group) || echo "no cgroup can be made here: anonymous memory is watched"

run() { # ARGUMENT ...: into $work/out
	local peak=0 now start
	# Out of the page cache, so that what is read again is charged to the group.
	dd if="$work/log" iflag=nocache count=0 status=none
	start=$SECONDS
	(
		[ -z "$group" ] || echo "$BASHPID" >"$group/cgroup.procs"
		exec "$build/examples/log-analyzer" "$work/log" --json "$@"
	) >"$work/out" &
	local pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		now=$(anonymous_kib "$pid")
		[ "$now" -le "$peak" ] || peak=$now
		sleep 0.1
	done
	wait "$pid"
	echo "$*: $((SECONDS - start)) s, method $(jq -r .method "$work/out")," \
		"anonymous memory at most $((peak / 1024)) MiB"
	[ "$peak" -lt 65536 ] || { echo "more than 64 MiB of anonymous memory"; exit 1; }
}

equal() { # EXPECTED ACTUAL WHAT
	[ "$1" = "$2" ] || { echo "$3: $2, not $1"; exit 1; }
}

for method in stream map; do
	run --by status --by client --method "$method"
	equal "$lines" "$(jq .lines "$work/out")" "lines"
	equal "$lines" "$(jq '[.by.status.top[].count] | add + '"$(jq .unknown "$work/out")" \
		"$work/out")" "lines by status"
	run --count /svc07/ --method "$method"
	equal "$hits" "$(jq .hits "$work/out")" "lines with a text"
done
if [ -n "$group" ]; then
	for file in memory.max_usage_in_bytes memory.peak; do
		[ ! -f "$group/$file" ] || echo "the group held at most $(($(cat "$group/$file") >> 20)) MiB"
	done
fi
echo "$size bytes, $lines lines: exact"
