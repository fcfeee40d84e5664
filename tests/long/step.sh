#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# death after every machine instruction of every operation, and of the repair of every such death
set -euo pipefail
exec "$1/tests/step/test_step" "$2"
