#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# every configuration of the spin models, the large ones too (several minutes, up to 8 GiB)
set -euo pipefail
cd "$(dirname "$0")/../model"
exec ./run.py --suite all --seconds "$2" ./*.pml
