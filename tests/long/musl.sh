#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# the other libc: a process built with musl and one built with glibc, in one region, killed in turns
#
# The library's own sources are built with musl-gcc; liburcu and xxHash are Debian's archives
# (tests/peer/musl_checked.c says why that holds). The whole of core and ipc, host.c too.
set -euo pipefail
build=$1
seconds=$2
cd "$(dirname "$0")/../.."
if ! command -v musl-gcc >/dev/null; then
	echo "SKIPPED: musl-gcc is not installed"
	exit 77
fi
. tests/peer/both.bash

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
	for source in core/*.c ipc/*.c tests/peer/*.c; do
		musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCOMAP_FAULTS -Wall -Wextra -Werror \
			-Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing -fno-common \
			-Icore -Icore/include -Iipc -Iipc/include -isystem "$work/include" \
			-c "$source" -o "$work/$(basename "$source" .c).o"
	done
	musl-gcc -static -o "$work/peer" "$work"/*.o \
		"$(archive urcu-bp)" "$(archive urcu-cds)" "$(archive urcu-common)" "$(archive xxhash)"
}

headers
build_with_musl
echo "built with $(musl-gcc -dumpversion), static: $(stat -c %s "$work/peer") bytes"
both "$build/tests/peer/peer" glibc "$work/peer" musl "$seconds"
