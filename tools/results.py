#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sums up what tests and checks reported about themselves: `N passed, M failed`.

Usage: results.py [--status CODE] BUILD...

Each build folder may hold meson-logs/testlog.json (one line per program that meson ran) and
results/*.xml (libcheck's result files and JUnit files). A program that left a result file counts
with its test cases, any other as one. A libcheck test that says of itself that it cannot run here
(SKIP_UNLESS) notes so in results/*.xml.skipped, a line each; such a test counts as skipped, and the
reason is shown. A program that failed although its cases passed (a leak at
exit, a crash after the last test) counts as one failure more. --status passes on the exit status of
what ran before: if that failed and no result says why, it counts as one failure.
"""
import argparse
import collections
import json
import pathlib
import sys
import xml.etree.ElementTree as ET

CHECK = "{http://check.sourceforge.net/ns}"


def count_file(path):
    """Returns (passed, failed, skipped) of one XML result file of libcheck or in JUnit form."""
    root = ET.parse(path).getroot()
    if root.tag.startswith(CHECK):
        results = [test.get("result") for test in root.iter(CHECK + "test")]
        return results.count("success"), len(results) - results.count("success"), 0
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def read_skips(path):
    """Returns what tests noted beside a result file, a line "test: reason" for each."""
    notes = path.with_name(path.name + ".skipped")
    return notes.read_text().splitlines() if notes.exists() else []


def count_file_with_skips(path):
    """Counts one result file; what skipped itself had returned as if it had passed."""
    passed, failed, skipped = count_file(path)
    noted = min(len(read_skips(path)), passed)
    return passed - noted, failed, skipped + noted


def count_program(run, results):
    """Counts one program of meson's log; forgets its result file, so that nothing counts twice."""
    path = pathlib.Path(run.get("env", {}).get("CK_XML_LOG_FILE_NAME", ""))
    counts = None
    if path in results:
        results.discard(path)
        try:
            counts = count_file_with_skips(path)
        except ET.ParseError:
            pass
    if run["result"] == "SKIP":
        return 0, 0, 1
    if run["result"] == "OK":
        return counts or (1, 0, 0)
    passed, failed, skipped = counts or (0, 0, 0)
    return passed, max(failed, 1), skipped


def count_build(build):
    """Returns one (name, passed, failed, skipped) per program and result file of a build folder."""
    results = set((build / "results").resolve().glob("*.xml"))
    log = build / "meson-logs" / "testlog.json"
    if log.exists():
        for line in log.read_text().splitlines():
            run = json.loads(line)
            yield run["name"], *count_program(run, results)
    for path in sorted(results):
        try:
            yield path.stem, *count_file_with_skips(path)
        except ET.ParseError:
            yield path.stem, 0, 1, 0


def list_skips(build):
    """Returns a line for each libcheck test that skipped itself, with how often it did."""
    lines = []
    for notes in sorted((build / "results").glob("*.xml.skipped")):
        name = notes.name.removesuffix(".xml.skipped")
        skips = collections.Counter(read_skips(notes.with_name(f"{name}.xml")))
        lines += [f"skipped: {name}: {skip} ({count})" for skip, count in skips.items()]
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("build", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    rows = [row for build in args.build for row in count_build(build)]
    passed, failed, skipped = (sum(row[i] for row in rows) for i in (1, 2, 3))
    for name, _, bad, _ in rows:
        if bad:
            print(f"failed: {name} ({bad})")
    for line in (line for build in args.build for line in list_skips(build)):
        print(line)
    if skipped:
        print(f"{skipped} skipped")
    if failed == 0 and (args.status != 0 or passed == 0):
        print("failed: something ended before it could report")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
