#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# grace periods over processes, in rcutorture's shape, with a negative control
set -euo pipefail
exec "$1/tests/ipc/test_torture" "$2"
