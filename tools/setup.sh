#!/usr/bin/env bash
# Installs what a fresh Debian 12 lacks, from Debian's packages. Needs root or sudo only where
# something is missing; prints nothing where nothing is.
set -euo pipefail

packages=(
	gcc libc6-dev meson ninja-build pkg-config    # to build
	g++                                           # the headers are tried as C++
	liburcu-dev libxxhash-dev                     # the library
	libcmocka-dev                                 # the tests
	libsmartcols-dev libjson-c-dev                # tables of the command; JSON that it reads
	jq scdoc                                      # to test its JSON; its manual page
	libsqlite3-dev                                # the slow source of the example `cache`
	libpcre2-dev                                  # regular expressions of the log analyzer
	ieee-data                                     # the registry that the demo serves
	gnuplot-nox                                   # its picture
	spin                                          # models of the protocols
	e2fsprogs xfsprogs                            # small file systems for the tests of full disks
	ripgrep                                       # bench: what ours is measured against
	clang                                         # the other compiler: run long clang
	musl-tools                                    # the other libc: run long musl
	procps systemd                                # ps; systemd-analyze verify
)
# What only some commands need: tools/setup.sh bench
[ "${1:-}" = bench ] && packages+=(liblmdb-dev libsqlite3-dev memcached redis-server)   # peers of the benchmarks

# tools/setup.sh aarch64: to build for it, and to run that here. Debian's packages of another architecture.
if [ "${1:-}" = aarch64 ]; then
	packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user liburcu-dev:arm64 libxxhash-dev:arm64)
fi

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
	[ "${state:0:2}" = ii ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
	as_root=()
elif command -v sudo >/dev/null; then
	as_root=(sudo)
else
	echo "setup: missing: ${missing[*]}" >&2
	echo "setup: run it as root, or install sudo" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"
[ "${1:-}" != aarch64 ] || "${as_root[@]}" dpkg --add-architecture arm64
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
