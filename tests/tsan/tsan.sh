#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
#   tsan.sh PROGRAM SECONDS     the storm without a report, and its negative control with one
set -euo pipefail
export TSAN_OPTIONS="halt_on_error=0 exitcode=66 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
"$1" "$2"
status=0
output=$("$1" 1 broken 2>&1) || status=$?
if [ "$status" -ne 66 ] || ! grep -q 'data race.*\|WARNING: ThreadSanitizer' <<<"$output"; then
	echo "the grace period was left out, and no race was reported (status $status): the test is blind"
	exit 1
fi
echo "without grace periods: $(grep -c 'WARNING: ThreadSanitizer: data race' <<<"$output") data races reported"
