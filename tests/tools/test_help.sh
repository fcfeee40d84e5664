#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Help, completion and manual know the same verbs and options; mistakes are usage errors.
. "$(dirname "$0")/lib.sh"

run 0 --help
says '^Usage: comap'
mapfile -t verbs < <("$comap" --help | sed -n '/^Verbs:/,/^$/p' |
	sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p')
checks=$((checks + 1))
[ ${#verbs[@]} -ge 12 ] || wrong "--help lists twelve verbs: ${verbs[*]}"

. "$source_dir/tools/completion/comap.bash"
manual=$(tr -d '*_\\' <"$source_dir/docs/man/comap.1.scd")
for verb in "${verbs[@]}"; do
	# shellcheck disable=SC2086
	run 0 $verb --help
	says "^Usage: comap $verb"
	says '^Examples:'
	options=$(grep -oE '^  (-[a-zA-Z], |    )--[a-z-]+' "$out" | grep -oE -- '--[a-z-]+' | sort)
	same "$options" "$(tr ' ' '\n' <<<"${_comap_options[$verb]}" | sed '/^$/d' | sort)" \
		"the completion has the options of '$verb' (first: help; second: completion)"
	for option in $options; do
		checks=$((checks + 1))
		grep -q -- "$option" <<<"$manual" || wrong "the manual explains $option of $verb"
	done
	checks=$((checks + 1))
	grep -q "^comap $verb" <<<"$manual" || wrong "the manual has the verb $verb"
	[ "$verb" = help ] && continue # takes no option
	# shellcheck disable=SC2086
	run 2 $verb --no-such-option
	complains "unknown.*--no-such-option"
done
same "$(printf '%s\n' "${verbs[@]%% *}" | sort -u)" \
	"$(tr ' ' '\n' <<<"$_comap_verbs" | sort -u)" "the completion has the verbs"
same "$(printf '%s\n' "${verbs[@]}" | sed -n 's/^value //p' | sort)" \
	"$(tr ' ' '\n' <<<"$_comap_value_verbs" | sort)" "the completion has the verbs of value"

# The completion itself: what it offers for the last of the words.
offers() { # EXPECTED WORD ...
	COMP_WORDS=("${@:2}")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_comap 2>/dev/null
	same "$1" "${COMPREPLY[*]}" "the completion of '${*:2}'"
}
run 0 create first
run 0 value put first motd x
run 0 value put first more x
offers 'value verify version' "$comap" v
offers 'get put watch' "$comap" value ''
offers 'first' "$comap" info f
offers 'motd more' "$comap" value get first mo
offers '--max --mode' "$comap" create --m
offers '--count' "$comap" value watch first motd --c
offers '' "$comap" info nothing-of-the-kind

run 0 help value get
says '^Usage: comap value get'
run 0 value --help
says 'watch'
run 2
run 2 value
complains 'which of these'
run 2 table frobnicate fx t
complains "there is no 'frobnicate'"
run 2 no-such-verb
complains 'no such verb'
run 2 info
complains 'needed'
run 2 info a b
complains "'b' is one argument too many"
run 2 value get fx
complains 'one more'
run 2 create fx --mode 9
complains "'9'"
run 2 create fx --max 12Q
run 2 value watch fx rates --timeout soon
run 2 value watch fx rates --count
complains 'needs an argument'
run 2 value put fx motd --hex 0g
complains 'not hexadecimal'
run 2 value put fx motd text --file x
run 2 value get fx v --timeout 3
complains 'goes with --wait'
run 2 value put fx v text --owner no-such-user-here
complains 'no user'
run 0 version
says '^comap [0-9]+\.[0-9]+\.[0-9]+$'
run 0 version --json
json '.version | test("^[0-9.]+$")'
run 0 --version

# What cannot be written is no success.
checks=$((checks + 1))
if [ -c /dev/full ] && "$comap" --help >/dev/full 2>"$err"; then
	wrong "a full standard output is a failure"
fi
finish
