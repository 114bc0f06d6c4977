#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs the Debian 12 packages that a make target needs, and only those that are missing.
# Usage: tools/setup.sh [--list] group...      groups: build test debug cross vm bench check
set -euo pipefail

declare -A groups=(
    # The library and the program.
    [build]="gcc libc6-dev libc-ares-dev libdw-dev libssl-dev meson ninja-build pkg-config python3"
    # Unit tests, and real clients for the integration tests.
    [test]="check libhttp-parser-dev python3-cryptography python3-pytest python3-pytest-xdist python3-requests
            python3-jsonschema curl wget
            chromium cmake gdb gnutls-bin golang-go haproxy libcurl4-openssl-dev libevent-dev libglib2.0-dev
            libnss3-tools libpq-dev libuv1-dev nginx-light postgresql sslscan systemd testssl.sh tshark"
    # Fuzzers and memory checkers; gcc brings its own sanitizers.
    [debug]="clang libclang-rt-14-dev valgrind"
    # The other architecture, emulated.
    [cross]="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
    # A machine with another kernel, emulated.
    [vm]="qemu-system-x86"
    # Peers to measure against, and a load generator.
    [bench]="g++ golang-go nginx-light h2o haproxy openssl libuv1-dev libboost-context-dev libboost-dev libst-dev wrk"
    # Format, static analysis, the headers in C and C++ with two compilers, the manual.
    [check]="clang clang-format clang-tidy g++ groff-base python3-pytest"
)
# Packages that bring a daemon: they are installed for their program, and must not start to serve.
daemons="nginx-light:nginx h2o:h2o haproxy:haproxy postgresql:postgresql"

list=no
if [ "${1-}" = --list ]; then
    list=yes
    shift
fi
wanted=()
for group in "$@"; do
    if [ -z "${groups[$group]-}" ]; then
        echo "setup: no group '$group'; there are: ${!groups[*]}" >&2
        exit 2
    fi
    read -ra packages <<<"${groups[$group]//$'\n'/ }" # it reads one line
    wanted+=("${packages[@]}")
done
if [ $list = yes ]; then
    printf '%s\n' "${wanted[@]}" | sort -u
    exit
fi
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not Debian; going on with what there is. Needed: ${wanted[*]}" >&2
    exit 0
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in $(printf '%s\n' "${wanted[@]}" | sort -u); do
    grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

apt="apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"

# Says what is to be done by hand, and ends.
by_hand() {
    cat >&2 <<TEXT
setup: $1: ${missing[*]}
Run this as root, then try again:

    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}

TEXT
    exit 1
}

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    by_hand "these Debian packages are missing"
fi

# While this file exists, Debian's package scripts start no service (invoke-rc.d(8)).
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
new_daemons=()
for pair in $daemons; do
    [[ " ${missing[*]} " == *" ${pair%%:*} "* ]] && new_daemons+=("${pair##*:}")
done
if [ ${#new_daemons[@]} -gt 0 ] && [ ! -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    "${as_root[@]}" tee "$policy" >/dev/null <<'TEXT'
#!/bin/sh
exit 101
TEXT
    "${as_root[@]}" chmod 755 "$policy"
fi

echo "setup: installing ${missing[*]}"
# Some other source of packages that is out of order is no reason to give up.
# shellcheck disable=SC2086  # the options are words
"${as_root[@]}" $apt update -qq || echo "setup: the lists of packages may be old" >&2
# shellcheck disable=SC2086
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $apt install -y --no-install-recommends \
    "${missing[@]}" || by_hand "these Debian packages could not be installed"

for service in "${new_daemons[@]}"; do
    echo "setup: $service is here for its program; it is not started, neither now nor at boot"
    "${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true
done
