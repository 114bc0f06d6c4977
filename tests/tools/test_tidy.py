# SPDX-License-Identifier: MIT
"""tools/tidy.py finds a planted mistake, and looks again only at what changed."""
import json
import shutil

import pytest

from conftest import TOOLS

GOOD = '#include "sum.h"\n\nint first(const int *a)\n{\n    return FIRST(a);\n}\n'
BAD = GOOD.replace("FIRST(a)", "a[0] ? FIRST(a) : FIRST(a)")


@pytest.fixture
def build(tree):
    """A build folder that knows of one file, src/base/sum.c."""
    shutil.copy(TOOLS.parent / ".clang-tidy", tree.root)
    tree.write("src/base/sum.h", "#define FIRST(a) (a)[0]\nint first(const int *a);\n")
    tree.write("src/base/sum.c", GOOD)
    unit = {"directory": str(tree.root), "file": "src/base/sum.c",
            "command": "cc -Isrc/base -c src/base/sum.c -o sum.o"}
    tree.write("build/compile_commands.json", json.dumps([unit]))
    return tree.root / "build"


def test_good_file_passes(tree, build):
    tree.passes("tidy.py", "--root", tree.root, build)


def test_mistake_is_found_each_time(tree, build):
    tree.write("src/base/sum.c", BAD)
    for _ in range(2):
        assert "bugprone-branch-clone" in tree.fails("tidy.py", "--root", tree.root, build)


def test_file_that_passed_is_not_looked_at_again(tree, build):
    tree.passes("tidy.py", "--root", tree.root, build)
    before = list((build / "tidy").iterdir())
    tree.passes("tidy.py", "--root", tree.root, build)
    assert list((build / "tidy").iterdir()) == before and len(before) == 1


def test_change_of_a_header_is_seen(tree, build):
    tree.passes("tidy.py", "--root", tree.root, build)
    tree.write("src/base/sum.h", "#define FIRST(a) (*(a) ? (a)[0] : (a)[0])\nint first(const int *a);\n")
    tree.fails("tidy.py", "--root", tree.root, build)


def test_warning_of_clang_in_a_test_is_found(tree, build):
    unit = {"directory": str(tree.root), "file": "tests/t.c",
            "command": "cc -Wall -c tests/t.c -o t.o"}
    tree.write("build/compile_commands.json", json.dumps([unit]))
    tree.write("tests/t.c", "int first(int a)\n{\n    return a;\n}\n")
    tree.passes("tidy.py", "--root", tree.root, build)
    tree.change("tests/t.c", "return a;", "return a == a;")
    assert "-Wtautological-compare" in tree.fails("tidy.py", "--root", tree.root, build)
