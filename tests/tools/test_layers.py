# SPDX-License-Identifier: MIT
"""tools/layers.py finds includes that go up, go round, or go where only public headers may."""


def test_clean_tree_passes(tree):
    tree.passes("layers.py", tree.root)


def test_upward_include_is_found(tree):
    tree.write("src/http/bell.h", "")
    tree.change("src/base/ring.c", "#include <stdio.h>", '#include "http/bell.h"')
    assert "src/base/ring.c:2: base includes http/bell.h of the later layer http" in tree.fails(
        "layers.py", tree.root)


def test_upward_include_of_a_public_header_is_found(tree):
    tree.write("include/thrum/bell.h", "")
    tree.change("src/base/ring.c", "#include <stdio.h>", "#include <thrum/bell.h>")
    assert "later layer http" in tree.fails("layers.py", tree.root)


def test_include_in_a_comment_is_none(tree):
    tree.change("src/base/ring.c", "#include <stdio.h>",
                '/*\n#include "http/bell.h"\n*/')
    tree.passes("layers.py", tree.root)


def test_cycle_within_a_layer_is_found(tree):
    tree.write("src/base/a.h", '#include "base/b.h"\n')
    tree.write("src/base/b.h", '#include "base/c.h"\n')
    tree.write("src/base/c.c", '#include "base/a.h"\n')
    assert "cycle: base/a -> base/b -> base/c -> base/a" in tree.fails("layers.py", tree.root)


def test_program_may_not_see_internal_headers(tree):
    tree.write("thrum/main.c", '#include "base/ring.h"\n')
    assert "thrum/main.c:1:" in tree.fails("layers.py", tree.root)


def test_example_may_not_reach_out_of_its_folder(tree):
    tree.write("examples/bell.c", '#include "../src/base/ring.h"\n')
    assert "only public headers" in tree.fails("layers.py", tree.root)


def test_include_without_its_layer_is_found(tree):
    tree.change("src/base/ring.c", '"base/ring.h"', '"ring.h"')
    assert "in no layer" in tree.fails("layers.py", tree.root)


def test_umbrella_is_not_for_the_library(tree):
    tree.change("src/base/ring.c", "<stdio.h>", "<thrum.h>")
    assert "umbrella" in tree.fails("layers.py", tree.root)


def test_unknown_folder_is_found(tree):
    tree.write("src/misc/a.c", "")
    assert "no such layer" in tree.fails("layers.py", tree.root)
