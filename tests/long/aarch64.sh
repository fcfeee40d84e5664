#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# the other processor: a process of aarch64, emulated, and one of this machine, in one region
#
# The library's own sources are built by a cross compiler; liburcu and xxHash are Debian's archives for arm64
# (tools/setup.sh aarch64 installs all of it). It shows that the layout, the atomics and the repairs are the
# same for both. It shows nothing of aarch64's weak memory: the emulator runs on this machine's.
set -euo pipefail
build=$1
seconds=$2
cd "$(dirname "$0")/../.."
gcc=aarch64-linux-gnu-gcc
archives=/usr/lib/aarch64-linux-gnu
if ! command -v "$gcc" >/dev/null || ! command -v qemu-aarch64 >/dev/null || [ ! -e "$archives/liburcu-bp.a" ]; then
	echo "SKIPPED: no compiler, emulator or libraries of aarch64; tools/setup.sh aarch64 installs them"
	exit 77
fi
. tests/peer/both.bash

build_for_aarch64() {
	local source
	for source in core/*.c ipc/*.c tests/peer/peer.c; do
		"$gcc" -std=gnu11 -O2 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCOMAP_FAULTS -Wall -Wextra -Werror \
			-Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing -fno-common \
			-Icore -Icore/include -Iipc -Iipc/include -c "$source" -o "$work/$(basename "$source" .c).o"
	done
	"$gcc" -static -o "$work/peer.aarch64" "$work"/*.o -L"$archives" -lurcu-bp -lurcu-cds -lurcu-common -lxxhash
	# One program, so that a signal finds the peer and not a shell.
	printf '#!/bin/sh\nexec qemu-aarch64 "%s" "$@"\n' "$work/peer.aarch64" >"$work/peer"
	chmod +x "$work/peer"
}

build_for_aarch64
echo "built with $("$gcc" -dumpversion), static: $(stat -c %s "$work/peer.aarch64") bytes"
both "$build/tests/peer/peer" "$(uname -m)" "$work/peer" aarch64 "$seconds"
