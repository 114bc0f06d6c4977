#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Unpacks the arm64 builds of libcheck, c-ares and OpenSSL into a folder of its own. The
# machine's package database is neither read nor changed, and no root is needed.
# Usage: aarch64_sysroot.sh DIR
set -euo pipefail

sysroot=$1
packages="check libsubunit-dev libc-ares-dev libssl-dev"
# One that was made for other packages is made anew.
! grep -qsxF "# $packages" "$sysroot/where.ini" || exit 0
rm -rf "$sysroot"
mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/archives/partial"
cd "$sysroot"
sysroot=$PWD
: >apt/status
cat >apt/apt.conf <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Dir::State "$sysroot/apt";
Dir::State::status "$sysroot/apt/status";
Dir::Cache "$sysroot/apt";
CONF
export APT_CONFIG=$sysroot/apt/apt.conf
echo "sysroot: fetching libcheck, c-ares and OpenSSL for arm64"
apt-get update -qq
(cd apt && apt-get download -qq $packages)
for package in apt/*.deb; do
    dpkg-deb -x "$package" .
done
# Static: the emulated programs shall not look for libraries in here.
rm -rf apt usr/lib/*/*.so*
printf "# %s\n[constants]\nsysroot = '%s'\n" "$packages" "$sysroot" >where.ini
