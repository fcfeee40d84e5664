#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo, from a folder that is built:   examples/demo/demo.sh BUILD [OPTION of the demo ...]
set -eu
build=${1:?usage: demo.sh BUILD [OPTION...]}
shift
exec "$build/examples/demo" "$@"
