# SPDX-License-Identifier: MIT
# Two builds of peer.c in one region, in turns: what the one writes the other reads, waits for and repairs.
# Sourced by tests/long/musl.sh and aarch64.sh. Gives $work, a folder, and $region, a path; both go at the end.

work=$(mktemp -d "${TMPDIR:-/tmp}/comap-peer.XXXXXX")
region=$(mktemp -u /dev/shm/comap-peer.XXXXXX)
clean_up() {
	kill $(jobs -p) 2>/dev/null || true
	wait 2>/dev/null
	rm -rf "$work" "$region"
}
trap clean_up EXIT

must() { # DESCRIPTION EXPECTED-STATUS COMMAND ...
	local status=0
	"${@:3}" >"$work/out" 2>&1 || status=$?
	if [ "$status" -ne "$2" ]; then
		echo "$1: status $status, not $2"
		cat "$work/out"
		exit 1
	fi
}

holds() { # PEER: prints the process id of one that is in a section
	"$1" "$region" hold >"$work/held" &
	holder=$!
	until grep -qs holding "$work/held"; do sleep 0.01; done
}

both_ways() { # ONE OTHER NAME
	rm -f "$region"
	must "$3: make" 0 "$1" "$region" make
	must "$3: the other writes" 0 "$2" "$region" write 2
	must "$3: the one writes" 0 "$1" "$region" write 3
	must "$3: the other checks" 0 "$2" "$region" check 3
	must "$3: the other is a guest" 0 "$2" "$region" guest 3
	holds "$1"
	must "$3: the one's section is waited for" 2 "$2" "$region" wait 100
	kill -9 "$holder"
	wait "$holder" 2>/dev/null || true # or bash says that it was killed
	must "$3: the one's death is seen" 0 "$2" "$region" wait 10000
	"$1" "$region" count 20000 &
	must "$3: both count" 0 "$2" "$region" count 20000
	wait $!
	must "$3: the sum" 0 "$1" "$region" sum 40000
	must "$3: the sum, seen by the other" 0 "$2" "$region" sum 40000
	echo "$3: values, tables, grace periods, deaths, 2 x 20,000 additions under one lock: exact"
}

kills() { # VICTIM SURVIVOR NAME SECONDS
	local end=$((SECONDS + $4)) count=0
	while [ $count -lt 10 ] || [ $SECONDS -lt $end ]; do
		"$1" "$region" count 1000000 >/dev/null 2>&1 &
		sleep "0.0$((RANDOM % 9 + 1))"
		kill -9 $! && wait $! 2>/dev/null || true
		must "$3: the survivor adds" 0 "$2" "$region" count 10
		must "$3: the survivor checks" 0 "$2" "$region" check 10
		count=$((count + 1))
	done
	echo "$3: $count kills, region and keys sound after each"
}

both() { # ONE ITS-NAME OTHER ITS-NAME SECONDS
	both_ways "$1" "$3" "$2, then $4"
	both_ways "$3" "$1" "$4, then $2"
	kills "$1" "$3" "$2 dies, $4 repairs" $(($5 / 4))
	kills "$3" "$1" "$4 dies, $2 repairs" $(($5 / 4))
}
