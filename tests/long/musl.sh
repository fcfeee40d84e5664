#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# the other libc: a process built with musl and one built with glibc, in one region, killed in turns
#
# The library's own sources are built with musl-gcc; liburcu and xxHash are Debian's archives
# (tests/musl/checked.c says why that holds). The whole of core and ipc, host.c too.
set -euo pipefail
build=$1
seconds=$2
cd "$(dirname "$0")/../.."
if ! command -v musl-gcc >/dev/null; then
	echo "SKIPPED: musl-gcc is not installed"
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/comap-musl.XXXXXX")
region=$(mktemp -u /dev/shm/comap-musl.XXXXXX)
clean_up() {
	kill $(jobs -p) 2>/dev/null || true
	wait 2>/dev/null
	rm -rf "$work" "$region"
}
trap clean_up EXIT

# The kernel's headers and those of the two libraries, but none of glibc's.
headers() {
	local system
	system=/usr/include/$(gcc -print-multiarch)
	mkdir "$work/include"
	ln -s /usr/include/linux /usr/include/asm-generic "$system/asm" "$work/include"
	ln -s "$system"/urcu* /usr/include/xx*.h "$work/include" 2>/dev/null ||
		ln -sf /usr/include/urcu* "$work/include"
}

archive() { # NAME: of a library that pkg-config knows
	gcc -print-file-name="lib$1.a"
}

build_with_musl() {
	local source
	for source in core/*.c ipc/*.c tests/musl/*.c; do
		musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCOMAP_FAULTS -Wall -Wextra -Werror \
			-Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing -fno-common \
			-Icore -Icore/include -Iipc -Iipc/include -isystem "$work/include" \
			-c "$source" -o "$work/$(basename "$source" .c).o"
	done
	musl-gcc -static -o "$work/peer" "$work"/*.o \
		"$(archive urcu-bp)" "$(archive urcu-cds)" "$(archive urcu-common)" "$(archive xxhash)"
}

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

headers
build_with_musl
echo "built with $(musl-gcc -dumpversion), static: $(stat -c %s "$work/peer") bytes"
both_ways "$build/tests/musl/musl_peer" "$work/peer" "glibc, then musl"
both_ways "$work/peer" "$build/tests/musl/musl_peer" "musl, then glibc"
kills "$work/peer" "$build/tests/musl/musl_peer" "musl dies, glibc repairs" $((seconds / 4))
kills "$build/tests/musl/musl_peer" "$work/peer" "glibc dies, musl repairs" $((seconds / 4))
