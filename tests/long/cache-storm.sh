#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# writers and readers of a cache that evicts and expires, killed and stopped; then its account and budget
set -euo pipefail
exec "$1/tests/ipc/test_table-cache" "$2"
