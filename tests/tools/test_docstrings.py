# SPDX-License-Identifier: MIT
"""tools/docstrings.py misses no part of a docstring."""
import pytest

RING = "include/thrum/ring.h"


def test_clean_tree_passes(tree):
    tree.passes("docstrings.py", tree.root)


@pytest.mark.parametrize("old, new, complaint", [
    ("/**\n * Rings", "/*\n * Rings", "no docstring right above"),
    (" */\nTH_API", " */\n\nTH_API", "no docstring right above"),
    ("Rings a bell.", "Rings a bell", "the purpose is not one line"),
    ("Rings a bell.", "Rings a bell,\n * or two.", "the purpose is not one line"),
    (" * @param times  in: how often, 1 to 10\n", "", "no @param times"),
    ("@param times ", "@param count ", "@param count is no parameter"),
    ("@param fn     in: called with each count", "@param fn", "@param fn says nothing"),
    (" * @return 0\n * @return -EINVAL  times is out of range\n", "", "no @return"),
    ("TH_API TH_MUST int", "TH_API void", "@return, but the result is void"),
    ("int times, ", "int, ", "a parameter has no name"),
    (" * Suspends: no\n", "", "no line `Suspends:`"),
    (" * Thread: any\n", "", "no line `Thread:`"),
    (" * On cancel: not applicable\n", "", "no line `On cancel:`"),
    (" * Since: 0.1\n", "", "no line `Since:`"),
    ("Suspends: no", "Suspends: maybe", "does not fit"),
    ("Suspends: no", "Suspends: yes, until it rings", "does not say what is so then"),
    (" * Suspends: no\n * Thread: any\n", " * Thread: any\n * Suspends: no\n", "out of order"),
])
def test_violation_is_found(tree, old, new, complaint):
    tree.change(RING, old, new)
    out = tree.fails("docstrings.py", tree.root)
    assert complaint in out and RING in out and "th_ring" in out


def test_parameters_in_another_order_are_found(tree):
    tree.change(RING, "int times, void (*fn)(int count)", "void (*fn)(int count), int times")
    assert "another order" in tree.fails("docstrings.py", tree.root)


def test_what_suspends_may_say_anything_of_its_cancellation(tree):
    tree.change(RING, "Suspends: no", "Suspends: yes")
    tree.change(RING, "On cancel: not applicable", "On cancel: nothing done")
    tree.passes("docstrings.py", tree.root)


def test_inline_needs_a_purpose(tree):
    tree.change(RING, "#endif\n", "static inline int th_two(void)\n{\n    return 2;\n}\n\n#endif\n")
    assert "th_two: no docstring" in tree.fails("docstrings.py", tree.root)


def test_private_name_needs_none(tree):
    tree.change(RING, "#endif\n", "TH_API int th_ring_more_(int);\n\n#endif\n")
    tree.passes("docstrings.py", tree.root)
