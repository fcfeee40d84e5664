#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# the other compiler: builds with clang, warnings as errors, and runs the suite
set -euo pipefail
build=$1-clang
cd "$(dirname "$0")/../.."
[ -f "$build/build.ninja" ] || CC=clang CXX=clang++ meson setup "$build" -Dwerror=true >/dev/null
ninja -C "$build" --quiet
exec meson test -C "$build" --no-rebuild --print-errorlogs --suite fast
