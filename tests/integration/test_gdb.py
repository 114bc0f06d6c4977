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


def test_waits_tell_since_when(look):
    out = look("thrum waits sleep", "thrum waits mutex")
    assert len(re.findall(r"^ +\d+ ms +\d+  sleep, 3\d{3}\.\d s left$", out, re.M)) == 1, out
    assert out.count("waits for") == 2


def test_tree_indents_children(look):
    out = look("thrum tree")
    assert re.search(r"^\d+ +0  parked  main ", out, re.M), out
    assert re.search(r"^   \d+ +0  parked  sleeper ", out, re.M), out


def test_why_explains_children(look):
    out = look("thrum why 1")
    assert re.search(r"^1 +0  parked  main +scope on 0x[0-9a-f]+, children: 2\n  \d+ +0  parked  sleeper",
                     out, re.M), out


def test_commands_are_applied_to_the_stack_of_a_fiber(look):
    out = look("thrum apply all bt", "bt", "thrum apply 1 frame function app", "thrum apply 1 nonsense")
    own, after = out.split("running looker")[0], out.split("running looker")[-1]
    names = re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+)", own, re.M)
    start = names.index("inner")
    assert names[start:start + 3] == ["inner", "outer", "sleeper"], out
    assert re.search(r"^#0 +look_here ", after, re.M) and "looker" in after, out  # as before
    assert re.search(r"^#\d+ .* in app .*parked\.c", after, re.M), out
    assert "Undefined command" in after


def test_unknown_fiber_is_refused(look):
    for command in ("thrum fiber 999999", "thrum why 999999", "thrum apply 999999 bt"):
        assert "no such fiber" in look(command)
    assert "usage: thrum apply" in look("thrum apply all")
