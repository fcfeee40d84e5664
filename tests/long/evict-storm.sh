#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# readers in evictable sections, stopped for long, before writers at the pin budget
set -euo pipefail
exec "$1/tests/ipc/test_evict-storm" "$2"
