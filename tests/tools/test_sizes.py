# SPDX-License-Identifier: MIT
"""tools/sizes.py holds its limits at the limit and one above."""


def function(lines):
    """A function of so many lines, braces included."""
    return "static int TH_PRINTF(1, 2) long_one(int a)\n{\n" + "    a++;\n" * (lines - 2) + "}\n"


def test_clean_tree_passes(tree):
    tree.passes("sizes.py", tree.root)


def test_function_at_the_limit_passes(tree):
    tree.write("src/base/ring.c", function(60))
    tree.passes("sizes.py", tree.root)


def test_function_one_above_is_found(tree):
    tree.write("src/base/ring.c", function(61))
    assert "src/base/ring.c:2: long_one has 61 lines" in tree.fails("sizes.py", tree.root)


def test_file_at_the_limit_passes(tree):
    tree.write("thrum/main.c", "\n" * 800)
    tree.passes("sizes.py", tree.root)


def test_file_one_above_is_found(tree):
    tree.write("thrum/main.c", "\n" * 801)
    assert "thrum/main.c has 801 lines" in tree.fails("sizes.py", tree.root)


def test_exception_with_a_reason_passes(tree):
    tree.write("src/base/ring.c", function(90))
    tree.write("tools/sizes.allow", "# why\nsrc/base/ring.c:long_one 90 a table in disguise\n")
    tree.passes("sizes.py", tree.root)


def test_exception_is_bounded(tree):
    tree.write("src/base/ring.c", function(91))
    tree.write("tools/sizes.allow", "src/base/ring.c:long_one 90 a table in disguise\n")
    assert "the limit is 90" in tree.fails("sizes.py", tree.root)


def test_exception_needs_a_reason(tree):
    tree.write("src/base/ring.c", function(61))
    tree.write("tools/sizes.allow", "src/base/ring.c:long_one 61\n")
    assert "say `name limit reason`" in tree.fails("sizes.py", tree.root)


def test_stale_exception_is_found(tree):
    tree.write("tools/sizes.allow", "src/base/ring.c:th_ring 61 was long once\n")
    assert "needs no exception" in tree.fails("sizes.py", tree.root)
