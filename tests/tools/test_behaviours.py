# SPDX-License-Identifier: MIT
"""tools/behaviours.py finds each row that names no test, or one that is not there."""
import pytest

PAGE = "docs/behaviours.md"
TEXT = """\
# Behaviours

## Bells

| # | behaviour | where |
| --- | --- | --- |
| 1 | it rings | `base/ring:it_rings` `base/ring:it_rings_on_two_workers` |
| 2 | it is heard | `sim/hall:it_is_heard`; **Differs**: not everywhere |
| 4 | it is seen | **Open**: light |

## Clappers

| # | behaviour | where |
| --- | --- | --- |
| 1 | it swings | `integration/tower:test_it_swings` |
"""


@pytest.fixture
def rows(tree):
    tree.write(PAGE, TEXT)
    tree.write("tests/unit/base/test_ring.c", "START_TEST(it_rings)\nEND_TEST\n"
               "FIBER_TEST_ON(2, it_rings_on_two_workers)\n"
               "    tcase_add_test(tcase, it_is_only_added);\n")
    tree.write("tests/sim/sim_hall.c", "START_TEST(it_is_heard)\nEND_TEST\n")
    tree.write("tests/integration/test_tower.py", "def test_it_swings(start):\n    pass\n")
    return tree


def test_clean_page_passes(rows):
    rows.passes("behaviours.py", rows.root)


def test_open_rows_are_listed(rows):
    assert rows.run("behaviours.py", "--open", rows.root) == (0, "Bells: 4: it is seen\n")


@pytest.mark.parametrize("old, new, complaint", [
    ("ring:it_rings`", "ring:it_sings`", "there is no base/ring:it_sings"),
    ("ring:it_rings`", "ring:it_is_only_added`", "there is no base/ring:it_is_only_added"),
    ("base/ring:it_rings`", "base/wing:it_rings`", "there is no base/wing:it_rings"),
    ("sim/hall:", "unit/hall:", "there is no unit/hall:it_is_heard"),
    ("tower:test_it_swings", "tower:it_swings", "there is no integration/tower:it_swings"),
    ("**Open**: light", "later", "neither a test nor a reason"),
    ("**Open**: light", "**Open**", "neither a test nor a reason"),
    ("| 4 |", "| 2 |", "2 is out of order"),
    ("| 4 | it is seen |", "| 4 |", "is no row"),
])
def test_violation_is_found(rows, old, new, complaint):
    rows.change(PAGE, old, new)
    out = rows.fails("behaviours.py", rows.root)
    assert complaint in out and PAGE in out
