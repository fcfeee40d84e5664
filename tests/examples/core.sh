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

"$bin/lazy" "$folder/numbers" | grep -c . | { read -r lines; is 'lines of lazy' "$lines" 7; }
