#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Fuzzes each target of a build folder for some seconds. The checked-in corpus is read only; what is
# found new gathers in the build folder. Usage: fuzz.sh BUILD SECONDS [TARGET...]
set -euo pipefail

build=$1
seconds=$2
shift 2
seeds=$(dirname "$0")/../tests/fuzz/corpus
if [ $# = 0 ]; then
    for program in "$build"/tests/fuzz/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] && set -- "$@" "${program##*/fuzz_}"
    done
fi
[ $# -gt 0 ] || { echo "fuzz: there are no targets"; exit 1; }

for target in "$@"; do
    echo "fuzz: $target for $seconds s"
    mkdir -p "$build/corpus/$target" "$build/crashes"
    "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$target-" \
        "$build/corpus/$target" "$seeds/$target"
done
