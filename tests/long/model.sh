#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# every configuration of the spin models, the large ones too (about 3 minutes and 4 GiB for all)
set -euo pipefail
cd "$(dirname "$0")/../model"
exec ./run.py --suite all --seconds "$2" ./*.pml
