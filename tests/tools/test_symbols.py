# SPDX-License-Identifier: MIT
"""tools/symbols.py compares exports, map and prototypes in all directions, and knows others' names."""
import subprocess

import pytest


@pytest.fixture
def check(tree):
    """Builds the tree's library from C text and runs the tool; returns (status, output)."""
    def run(source="int th_ring(int a) { return a; }"):
        tree.write("lib.c", source)
        library = tree.root / "lib.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tree.root / "lib.c",
                        f"-Wl,--version-script={tree.root / 'src/libthrum.map'}"], check=True)
        return tree.run("symbols.py", "--root", tree.root, library)
    return run


def test_clean_tree_passes(check):
    assert check() == (0, "")


def test_prototype_without_an_entry_is_found(tree, check):
    tree.change("include/thrum/ring.h", "#endif\n", "TH_API int th_tap(void);\n#endif\n")
    status, out = check()
    assert status == 1 and "th_tap: in the headers, not in src/libthrum.map" in out


def test_entry_without_a_prototype_is_found(tree, check):
    tree.change("src/libthrum.map", "th_ring;", "th_ring;\n        th_tap;")
    status, out = check("int th_ring(int a) { return a; } int th_tap(void) { return 1; }")
    assert status == 1 and "th_tap: in src/libthrum.map, not in the headers" in out


def test_entry_that_the_library_lacks_is_found(check):
    status, out = check("int other(void) { return 1; }")
    assert status == 1 and "th_ring: in src/libthrum.map, not in the library" in out


def test_exported_variable_is_a_name_too(tree, check):
    tree.change("include/thrum/ring.h", "#endif\n", "TH_API extern const int th_bells[4];\n#endif\n")
    tree.change("src/libthrum.map", "th_ring;", "th_bells;\n        th_ring;")
    assert check("int th_ring(int a) { return a; } const int th_bells[4] = {1};") == (0, "")


def test_entry_twice_is_found(tree, check):
    tree.change("src/libthrum.map", "th_ring;", "th_ring;\n        th_ring;")
    status, out = check()
    assert status == 1 and "twice" in out


@pytest.mark.parametrize("name, owner", [("th_info_init", "libtheora"), ("TH_EFAULT", "libtheora"),
                                         ("TH_FIN", "<netinet/tcp.h>")])
def test_name_of_another_library_is_found(tree, check, name, owner):
    tree.change("include/thrum/ring.h", "TH_SOFT", name)
    status, out = check()
    assert status == 1 and f"{name}: taken by {owner}" in out
