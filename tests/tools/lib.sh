# SPDX-License-Identifier: MIT
# What the shell tests of the command share. A test is called with the command, the role program and
# the folder of the sources; it ends with `finish`. Needs jq (77 = skipped, where there is none).
set -uo pipefail

comap=$(realpath "$1") role=$(realpath "$2") source_dir=$3
failures=0 checks=0
command -v jq >/dev/null || { echo "jq is missing"; exit 77; }
if [ -d /dev/shm ]; then
	COMAP_DIR=$(mktemp -d /dev/shm/comap-test.XXXXXX)
else
	COMAP_DIR=$(mktemp -d)
fi
export COMAP_DIR
out=$COMAP_DIR/.out err=$COMAP_DIR/.err
roles=()

clean_up() {
	local pid
	for pid in "${roles[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	rm -rf "$COMAP_DIR"
}
trap clean_up EXIT

wrong() { # SENTENCE
	failures=$((failures + 1))
	echo "not so: $1"
	sed 's/^/  out: /' "$out" | head -n 20
	sed 's/^/  err: /' "$err" | head -n 20
}

# Runs the command: `run CODE ARGUMENT ...` expects that exit code; output lies in $out and $err.
run() {
	local expected=$1 code=0
	shift
	checks=$((checks + 1))
	timeout 30 "$comap" "$@" >"$out" 2>"$err" </dev/null || code=$?
	[ "$code" -eq "$expected" ] || wrong "comap $* ended with $code, not $expected"
}

says() { # WHAT (extended regular expression, anywhere in the standard output)
	checks=$((checks + 1))
	grep -Eq -- "$1" "$out" || wrong "standard output has '$1'"
}

complains() { # WHAT, in one line of the form "comap: NAME: sentence"
	checks=$((checks + 1))
	grep -E '^comap: [^:]+: .' "$err" | grep -Eqi -- "$1" || wrong "standard error has '$1'"
}

json() { # FILTER: jq finds it true of the output
	checks=$((checks + 1))
	jq -e "$1" "$out" >/dev/null 2>>"$err" || wrong "of the JSON: $1"
}

same() { # EXPECTED ACTUAL WHAT
	checks=$((checks + 1))
	[ "$1" = "$2" ] || { wrong "$3"; diff <(echo "$1") <(echo "$2") | head -n 20; }
}

# Starts a role and waits until it stands; its process is $role_pid.
start() {
	local ready
	exec {ready}< <(exec "$role" "$@" 2>&1)
	role_pid=$!
	roles+=("$role_pid")
	IFS= read -r -t 20 -u "$ready" line || line="(nothing)"
	[ "$line" = ready ] || wrong "role $* says ready, not '$line'"
	exec {ready}<&-
}

# Can another user run the command? (Needs root; and the build's folder may be private.)
has_stranger() {
	[ "$(id -u)" -eq 0 ] && as_stranger version >/dev/null 2>&1 && return
	echo "not tried: the command as another user"
	return 1
}

as_stranger() { # ARGUMENT ...
	setpriv --reuid 54321 --regid 54321 --clear-groups "$comap" "$@"
}

# Until the process is in one of the states (of /proc/PID/stat), or gone.
await_state() { # PID STATES
	local state=
	for _ in $(seq 200); do
		state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1) || true
		[[ -z $state || $2 == *$state* ]] && return
		sleep 0.02
	done
	wrong "process $1 gets into one of the states $2 (it is in $state)"
}

finish() {
	echo "$checks checks, $failures wrong"
	[ "$failures" -eq 0 ]
	exit
}
