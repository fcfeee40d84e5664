#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's first lines: they are those of examples/hello, they compile as a user would compile
# them, and they run: the consumer first, and it sees what the producer publishes.
#
#     hello.sh SOURCE BUILD [CFLAG...]
set -eu
source=$1 build=$2
shift 2
readme=$source/README.md
[ -f "$readme" ] || { echo "no README.md yet"; exit 77; }

folder=$(mktemp -d)
producer='' consumer=''
finish() {
	[ -z "$producer" ] || kill "$producer" 2>/dev/null || true
	[ -z "$consumer" ] || kill "$consumer" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT

# The block of code after the line "<!-- FILE -->".
block() {
	awk -v mark="<!-- $1 -->" '
		$0 == mark { found = 1; next }
		found && /^```/ { if (inside) exit; inside = 1; next }
		inside { print }' "$readme"
}

for file in fx.h producer.c consumer.c; do
	block "examples/hello/$file" >"$folder/$file"
	[ -s "$folder/$file" ] || { echo "README.md has no block marked examples/hello/$file"; exit 1; }
	# ... which is the file without its first two lines, licence and contract.
	tail -n +3 "$source/examples/hello/$file" | diff - "$folder/$file" ||
		{ echo "README.md and examples/hello/$file differ"; exit 1; }
done

for program in producer consumer; do
	"${CC:-cc}" "$@" -Wall -Werror -I"$source/core/include" -I"$source/ipc/include" \
		-o "$folder/$program" "$folder/$program.c" -L"$build" -lcomap -Wl,-rpath,"$build"
done

export COMAP_DIR="$folder/regions"
mkdir -m 700 "$COMAP_DIR"
# stdbuf preloads a library of its own before the sanitizer's
ASAN_OPTIONS=verify_asan_link_order=0 stdbuf -oL "$folder/consumer" >"$folder/seen" &
consumer=$!
sleep 0.2
"$folder/producer" &
producer=$!
tries=100
while [ $((tries -= 1)) -gt 0 ]; do
	[ "$(wc -l <"$folder/seen")" -ge 2 ] && break
	sleep 0.1
done
cat "$folder/seen"
# "1.0842 (version 1)", or whichever the first one was that it saw
grep -q '^1\.08[0-9]* (version [0-9]*)$' "$folder/seen"
[ "$(wc -l <"$folder/seen")" -ge 2 ] || { echo "no second version in ten seconds"; exit 1; }
