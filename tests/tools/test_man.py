# SPDX-License-Identifier: MIT
"""tools/man.py turns a header's docstrings into a page, and each call into an alias of it."""
import subprocess

import pytest


@pytest.fixture
def man(tree):
    tree.passes("man.py", "--root", tree.root, tree.root / "man3")
    return tree.root / "man3"


def shown(path):
    """The page as man shows it, with folded blanks."""
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou", path], text=True,
                          capture_output=True, check=True)
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def test_page_shows_the_whole_docstring(man):
    page = shown(man / "thrum_ring.3")
    for part in ("thrum_ring, th_ring - Rings: a header with one call",
                 "#include <thrum/ring.h>",
                 "int th_ring(int times, void (*fn)(int count));",
                 "typedef enum th_volume { TH_SOFT, TH_LOUD } th_volume;",
                 "How loud.",
                 "Rings a bell.",
                 "It rings `times` times, and each time o once softly, o once loudly.",
                 "times in: how often, 1 to 10",
                 "fn in: called with each count",
                 "Returns 0 o -EINVAL times is out of range",
                 "Suspends: no. Thread: any. On cancel: not applicable. Since: 0.1."):
        assert part in page
    assert "TH_API" not in page and "TH_MUST" not in page


def test_call_is_an_alias(man):
    assert (man / "th_ring.3").read_text() == ".so man3/thrum_ring.3\n"


def test_page_carries_the_version(man):
    assert '"Thrum 1.2"' in (man / "thrum_ring.3").read_text()


def test_text_that_troff_would_obey_is_shown(tree):
    tree.change("include/thrum/ring.h", "once loudly.", "once loudly.\n *\n * .sp and \\n and 'c")
    tree.passes("man.py", "--root", tree.root, tree.root / "man3")
    assert ".sp and \\n and 'c" in shown(tree.root / "man3" / "thrum_ring.3")


def test_old_pages_disappear(tree, man):
    (man / "th_gone.3").write_text("")
    tree.passes("man.py", "--root", tree.root, man)
    assert not (man / "th_gone.3").exists()


def test_header_that_does_not_say_what_it_is_for_is_found(tree):
    tree.write("include/thrum/bell.h", "/* SPDX-License-Identifier: MIT */\n\nextern int bell;\n")
    out = tree.fails("man.py", "--root", tree.root, tree.root / "man3")
    assert "include/thrum/bell.h: no comment" in out
