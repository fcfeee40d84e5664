#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The long tests: what takes minutes or hours. Each is one script in tests/long/.
#
#   long.sh BUILD                    lists them
#   long.sh BUILD NAME [SECONDS]     runs one, for about so many seconds (default: 60)
#
# A script gets BUILD and SECONDS, prints what it measured, and says by its exit status: 0 held,
# 77 could not run here or could not finish in the time, anything else: something is wrong.
set -euo pipefail
build=$(realpath "$1")
cd "$(dirname "$0")/long"
if [ $# -lt 2 ]; then
	for script in *.sh; do
		printf '%-12s %s\n' "${script%.sh}" "$(sed -n '4s/^# //p' "$script")"
	done
	exit 0
fi
if [ ! -x "$2.sh" ]; then
	echo "long: no test is called '$2'; without a name, they are listed" >&2
	exit 2
fi
exec "./$2.sh" "$build" "${3:-60}"
