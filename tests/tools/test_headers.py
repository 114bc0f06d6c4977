# SPDX-License-Identifier: MIT
"""tools/headers.py finds headers that need another, or another language."""

RING = "include/thrum/ring.h"


def test_clean_tree_passes(tree):
    tree.passes("headers.py", tree.root)


def test_header_that_needs_another_is_found(tree):
    tree.change(RING, "int times", "size_t times")
    out = tree.fails("headers.py", tree.root)
    for compiler in ("gcc", "clang", "g++", "clang++"):
        assert f"<thrum/ring.h> with {compiler} " in out


def test_c11_is_found(tree):
    tree.change(RING, "#endif\n", "_Static_assert(1, \"new\");\n#endif\n")
    assert "-std=c99" in tree.fails("headers.py", tree.root)


def test_what_cxx_refuses_is_found(tree):
    tree.change(RING, "#endif\n", "int th_try(int class);\n#endif\n")
    out = tree.fails("headers.py", tree.root)
    assert "-std=c++11" in out and "-std=c99" not in out


def test_missing_guard_is_found(tree):
    tree.change(RING, "#ifndef THRUM_RING_H", "#if 1")
    tree.fails("headers.py", tree.root)


def test_clash_with_tcp_header_is_found(tree):
    tree.change(RING, "TH_SOFT", "TH_FIN")
    tree.fails("headers.py", tree.root)


def test_header_outside_the_umbrella_is_found(tree):
    tree.write("include/thrum.h", "#include <thrum/defs.h>\n")
    assert "<thrum/ring.h> is not in <thrum.h>" in tree.fails("headers.py", tree.root)
