#!/bin/sh
# SPDX-License-Identifier: MIT
# The small examples of core do what they say.
#
#     core.sh BUILD
set -eu
bin=$1/examples/core
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
file=$folder/file

is() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || { echo "$1: got '$2', wanted '$3'" >&2; exit 1; }
}
fails() { # WORDS COMMAND...
	words=$1
	shift
	if out=$("$@" 2>&1); then echo "succeeded: $*" >&2; exit 1; fi
	case "$out" in *"$words"*) ;; *) echo "$*: said '$out', not '$words'" >&2; exit 1 ;; esac
}

printf '#!/bin/sh\n' >"$file"
is first-byte "$("$bin/first-byte" "$file")" "$file: 10 bytes, the first is 0x23 '#'"
: >"$folder/empty"
fails 'not inside' "$bin/first-byte" "$folder/empty"
fails 'No such file' "$bin/first-byte" "$folder/none"
fails 'no regular file' "$bin/first-byte" "$folder"

is patch-flush "$("$bin/patch-flush" "$file" 7 ba)" "2 bytes at offset 7 of $file are on disk"
is 'patched file' "$(cat "$file")" '#!/bin/ba'
fails 'not inside' "$bin/patch-flush" "$file" 9 too-long

seq 300000 >"$folder/numbers"
is growing-file "$("$bin/growing-file" "$folder/grown" <"$folder/numbers")" \
	"$folder/grown: 1988895 bytes appended, 1988895 in all; the mapping has not moved"
cmp "$folder/numbers" "$folder/grown"
echo more >>"$folder/numbers"
echo more | "$bin/growing-file" "$folder/grown" >/dev/null
cmp "$folder/numbers" "$folder/grown"

fails 'No such file' "$bin/lazy" "$folder/none"
mkfifo "$folder/pipe"
fails 'no regular file' timeout 20 "$bin/lazy" "$folder/pipe"
"$bin/lazy" "$folder/numbers" | grep -c . | { read -r lines; is 'lines of lazy' "$lines" 7; }

"$bin/binary-records" write "$folder/records" 1000
is binary-records "$("$bin/binary-records" sum "$folder/records")" "1000 measurements, sum 124875.00"
fails 'does not begin with a header' "$bin/binary-records" sum "$file"
printf x >>"$folder/records"
fails '1 bytes are left over' "$bin/binary-records" sum "$folder/records"

elf=$bin/elf-symbols # of itself
want=$(nm -S --defined-only "$elf" | awk '$4 == "main" { print $1, $2 }')
is elf-symbols "$("$elf" "$elf" main | awk '{ printf "%s %016x\n", $1, $2 }')" "$want"
if "$elf" "$elf" no_such_symbol >"$folder/out" 2>&1 || [ -s "$folder/out" ]; then
	echo "a symbol that is not there was found" >&2; exit 1
fi
fails 'No such file' "$elf" "$folder/none" main
fails 'no little-endian ELF' "$elf" "$folder/numbers" main
head -c 5000 "$elf" >"$folder/cut"
fails 'not inside' "$elf" "$folder/cut" main

head -c 4194304 /dev/zero >"$folder/zeros"
"$bin/page-sharing" "$folder/zeros" 4 >"$folder/sharing"
is 'rows of page-sharing' "$(grep -cE 'PSS 4 MiB' "$folder/sharing")" 3
is 'RSS of four' "$(grep -oE 'RSS 16 MiB' "$folder/sharing")" 'RSS 16 MiB'
if [ "$(id -u)" = 0 ]; then
	is 'frames' "$(grep -c '1024 of 1024 page frames are the same' "$folder/sharing")" 2
fi
if command -v gnuplot >/dev/null; then
	"$bin/page-sharing" "$folder/zeros" 2 "$folder/plot.svg" >/dev/null
	grep -q '<svg' "$folder/plot.svg"
fi
