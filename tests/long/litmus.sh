#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# does a grace period miss a reader whose mark is still in a store buffer? Three negative controls
set -euo pipefail
exec "$1/tests/ipc/test_litmus" "$2"
