#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Files that are no region: each has its own clear sentence and the exit code that goes with it.
# The library's own table, with more rows, is tests/ipc/test_badinput.c.
. "$(dirname "$0")/lib.sh"

declare -A sentences

# Every looking verb gives the code; the sentence says WHAT and is nobody else's.
refused() { # CODE NAME WHAT
	local verb sentence
	for verb in info ls ps; do
		run "$1" "$verb" "$2"
		complains "$3"
		same '' "$(cat "$out")" "$verb prints nothing of $2"
	done
	run "$1" value get "$2" v
	run "$1" value put "$2" v text
	sentence=$(sed "s|$COMAP_DIR||g; s|$2||g" "$err")
	checks=$((checks + 1))
	[ -z "${sentences[$sentence]:-}" ] ||
		wrong "$2 and ${sentences[$sentence]} have their own words"
	sentences[$sentence]=$2
}

byte() { # FILE OFFSET VALUE (octal)
	printf "\\$3" | dd of="$COMAP_DIR/$1" bs=1 seek="$2" conv=notrunc status=none
}

cd "$COMAP_DIR" || exit 1
run 0 create whole
run 0 create used
start used publish
cp --sparse=always used copied # of a region in use: its bytes may be torn

refused 3 missing 'no such|not there|does not exist|there is no'
: >empty
refused 5 empty 'empty'
mkdir folder
refused 5 folder 'directory|folder|regular'
mkfifo fifo
refused 5 fifo 'fifo|pipe|regular'
head -c 300000 /dev/zero | tr '\0' 'x' >text
refused 5 text 'not a comap region'
head -c 4096 whole >short
refused 5 short 'short'
refused 5 copied 'copy'

for damage in version:8:002 order:12:001 checksum:50:377; do
	IFS=: read -r what offset value <<<"$damage"
	run 0 create "$what"
	byte "$what" "$offset" "$value"
done
run 5 info checksum
complains 'checksum'
run 5 info order
complains 'byte order|checksum'
run 5 info version
complains 'version|checksum'

long=$(printf 'n%.0s' $(seq 300))
run 1 info "$long"
complains 'name'

run 5 unlink text
complains 'not a comap region'
run 5 unlink folder
run 0 unlink checksum # damaged, but ours
checks=$((checks + 1))
[ -e text ] && [ ! -e checksum ] || wrong "unlink removes regions, and nothing else"

# A link into nowhere: the first value's, in the part for cells, whose offset the identity has.
run 0 create damaged
run 0 value put damaged v text
run 0 verify damaged
cells=$(od -An -t u8 -j 160 -N 8 damaged | tr -d ' ')
byte damaged "$((cells + 3))" 177
run 5 verify damaged --json
json '.flaws > 0 and (.first_flaw | length > 10)'
complains 'flaw'
run 0 info damaged

# ls goes on where one file is none, and says why.
run 0 ls
says '^whole '
says '^empty +unusable .*empty'
says '^fifo +unusable '
run 0 ls --json
json '.regions[] | select(.name == "text") | .state == "unusable" and (.problem | length > 10)'

if [ "$(id -u)" -eq 0 ]; then
	run 0 create foreign
	chown 12345 foreign
	run 0 info foreign # looking does no harm
	run 6 value put foreign v text
	complains 'belongs'
	run 0 value put foreign v text --owner any
	run 0 value put foreign v text --owner 12345
	mkdir -m 1777 open
	ln -s ../whole open/link
	run 6 info "$COMAP_DIR/open/link"
	complains 'link'
	if has_stranger; then
		chmod 755 "$COMAP_DIR"
		as_stranger info whole >"$out" 2>"$err"
		same 6 $? "a stranger may not look"
		complains 'permission'
		chmod 644 whole
		as_stranger info whole >"$out" 2>"$err"
		same 0 $? "... unless the mode says so"
		as_stranger value put whole v x >"$out" 2>"$err"
		same 6 $? "... and then may not write"
	fi
fi
finish
