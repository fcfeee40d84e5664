#!/bin/sh
# SPDX-License-Identifier: MIT
# The table of records, run twice: the second finds what the first has put.
#
#     prices.sh PROGRAM
set -eu
COMAP_DIR=$(mktemp -d)
export COMAP_DIR
trap 'rm -rf "$COMAP_DIR"' EXIT
[ "$("$1")" = "840: 1.0842 to 1.0844, put 1 times" ]
[ "$("$1")" = "840: 1.0842 to 1.0844, put 2 times" ]
