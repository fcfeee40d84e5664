#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# those who compute a key, killed and stopped at random moments, against an oracle
set -euo pipefail
exec "$1/tests/ipc/test_turn-storm" "$2"
