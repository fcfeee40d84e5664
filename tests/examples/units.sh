#!/bin/sh
# SPDX-License-Identifier: MIT
# The unit files pass systemd-analyze verify, with the programs of this build in place of the
# installed ones; and the test would notice: a unit with a mistake does not pass.
#
#     units.sh SOURCE BUILD
set -eu
source=$1 build=$2
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here"; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

verify() { # UNIT...
	# verify tells about units of the machine as well: only what it says of ours counts
	systemd-analyze verify --man=no --recursive-errors=no "$@" >"$folder/said" 2>&1 &&
		! grep -F "$folder" "$folder/said"
}

for unit in "$source"/examples/systemd/*.service; do
	name=$(basename "$unit")
	sed "s,/usr/local/libexec/comap/,$build/examples/," "$unit" >"$folder/$name"
	case $name in
	*@.service) name=${name%@.service}@one.service ;;
	esac
	verify "$folder/$name" || { cat "$folder/said"; echo "$name does not pass"; exit 1; }
	echo "$name passes"
done

sed "s,^ExecStart=,ExecStart=/nowhere," "$source/examples/systemd/comap-registry-producer.service" \
	>"$folder/bent.service"
if verify "$folder/bent.service"; then
	echo "a unit whose program does not exist passes: this test sees nothing"
	exit 1
fi
