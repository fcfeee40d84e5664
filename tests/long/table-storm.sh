#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# writers, a reader and a guest of one table, killed and stopped at random moments, against an oracle
set -euo pipefail
exec "$1/tests/ipc/test_table-storm" "$2"
