# SPDX-License-Identifier: MIT
"""tools/results.py counts what was reported, once, and takes silence for a failure."""
import json

import pytest

CHECK = """<?xml version="1.0"?>
<testsuites xmlns="http://check.sourceforge.net/ns"><suite><title>a</title>{}</suite></testsuites>
"""


@pytest.fixture
def build(tree):
    """Writes a build folder's reports: runs are (name, result, [results of its cases] or None)."""
    def write(runs, junit=None):
        lines = []
        for name, result, cases in runs:
            report = tree.root / "results" / f"{name}.xml"
            if cases is not None:
                tests = "".join(f'<test result="{case}"><id>x</id></test>' for case in cases)
                tree.write(f"results/{name}.xml", CHECK.format(tests))
            lines.append(json.dumps({"name": name, "result": result,
                                     "env": {"CK_XML_LOG_FILE_NAME": str(report)}}))
        tree.write("meson-logs/testlog.json", "\n".join(lines))
        if junit:
            tree.write("results/pytest.xml", f"<testsuites><testsuite>{junit}</testsuite></testsuites>")
        return tree.root
    return write


def last_line(out):
    return out.rstrip().split("\n")[-1]


def test_cases_programs_and_junit_are_summed(tree, build):
    root = build([("list", "OK", ["success"] * 3), ("fuzz", "OK", None)],
                 "<testcase name='a'/><testcase name='b'><skipped/></testcase>")
    status, out = tree.run("results.py", root)
    assert status == 0 and last_line(out) == "5 passed, 0 failed" and "1 skipped" in out


def test_a_test_that_skips_itself_has_not_passed(tree, build):
    root = build([("list", "OK", ["success"] * 3), ("map", "FAIL", ["success", "failure"])])
    tree.write("results/list.xml.skipped", "has_moons: no moons here\nhas_moons: no moons here\n")
    tree.write("results/map.xml.skipped", "has_rings: no rings here\n")
    status, out = tree.run("results.py", root)
    assert status == 1 and last_line(out) == "1 passed, 1 failed" and "3 skipped" in out
    assert "skipped: list: has_moons: no moons here (2)" in out
    assert "skipped: map: has_rings: no rings here (1)" in out


def test_failed_case_is_counted_once(tree, build):
    root = build([("list", "FAIL", ["success", "failure", "error"])],
                 "<testcase name='a'><failure/></testcase>")
    status, out = tree.run("results.py", root)
    assert status == 1 and last_line(out) == "1 passed, 3 failed"


def test_crash_without_a_report_is_one_failure(tree, build):
    status, out = tree.run("results.py", build([("list", "TIMEOUT", None), ("map", "OK", None)]))
    assert status == 1 and last_line(out) == "1 passed, 1 failed" and "failed: list" in out


def test_failure_after_the_last_case_is_counted(tree, build):
    status, out = tree.run("results.py", build([("list", "FAIL", ["success"])]))
    assert status == 1 and last_line(out) == "1 passed, 1 failed"


def test_half_a_report_is_a_failure(tree, build):
    root = build([("list", "OK", None)])
    tree.write("results/half.xml", "<testsuites><test")
    status, out = tree.run("results.py", root)
    assert status == 1 and last_line(out) == "1 passed, 1 failed"


def test_nothing_reported_is_a_failure(tree):
    status, out = tree.run("results.py", tree.root)
    assert status == 1 and last_line(out) == "0 passed, 1 failed"


def test_failed_step_without_a_report_is_a_failure(tree, build):
    status, out = tree.run("results.py", "--status", "2", build([("list", "OK", ["success"])]))
    assert status == 1 and last_line(out) == "1 passed, 1 failed"
