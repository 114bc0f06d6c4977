# SPDX-License-Identifier: MIT
"""tools/gdb/thrum.py shows what every fiber does, and where it is."""
import os
import pathlib
import re
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "gdb" / "thrum.py"


@pytest.fixture(scope="module")
def look(build):
    """Stops tests/gdb/parked.c in its third fiber and runs commands there; returns what gdb says."""
    def run(*commands):
        words = ["gdb", "-nx", "-batch", "-ex", f"source {SCRIPT}", "-ex", "break look_here",
                 "-ex", "run"]
        for command in commands:
            words += ["-ex", command]
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        done = subprocess.run([*words, build / "tests" / "gdb" / "parked"], text=True, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        return done.stdout
    return run


def test_every_fiber_is_listed_with_what_it_waits_for(look):
    out = look("thrum fibers")
    assert re.search(r"^ +\d+ +0  parked  sleeper +sleep", out, re.M), out
    assert re.search(r"^ +\d+ +0  running looker at parked\.c:\d+", out, re.M), out
    assert len(re.findall(r"^ +\d+ +0  (?:parked|running|ready) ", out, re.M)) == 3, out


def test_stack_of_a_parked_fiber_leads_to_its_function(look):
    out = look("thrum fiber all")
    stack = re.search(r"  sleeper .*\n((?:  #.*\n)+)", out).group(1)
    names = re.findall(r"#\d+ +(\w+)", stack)
    start = names.index("inner")
    assert names[start - 1].startswith("th_sleep"), out
    assert names[start:start + 3] == ["inner", "outer", "sleeper"], out
    assert re.search(r"inner at .*parked\.c:\d+", stack)


def test_unknown_fiber_is_refused(look):
    assert "no such fiber" in look("thrum fiber 999999")
