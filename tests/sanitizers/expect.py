#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs a program that commits a mistake; passes if it ends with a report that says so.

Usage: expect.py REPORT PROGRAM MISTAKE     with REPORT empty, no report may come

Meson says in MESON_EXE_WRAPPER what programs of another processor need in front.
"""
import os
import shlex
import subprocess
import sys


def main():
    report, *command = sys.argv[1:]
    command = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + command
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    if not report:
        return 0 if done.returncode == 0 and done.stdout == "went on\n" else 1
    return 0 if done.returncode != 0 and report in done.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
