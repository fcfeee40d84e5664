#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# publishers, readers and guests of one value, killed and stopped at random moments
set -euo pipefail
exec "$1/tests/ipc/test_storm" "$2"
