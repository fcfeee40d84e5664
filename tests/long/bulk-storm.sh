#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# loaders, writers, readers and a guest of one table that is replaced again and again; kills and stops
set -euo pipefail
exec "$1/tests/ipc/test_bulk-storm" "$2"
