#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# a file cut and regrown under threads and processes that checksum it, on disk and in memory
set -euo pipefail
exec "$1/tests/core/test_truncation" "$(($2 / 2))"
