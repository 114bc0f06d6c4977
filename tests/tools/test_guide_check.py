# SPDX-License-Identifier: MIT
"""tools/guide.py holds the user's guide."""
import pytest

PAGE = """\
# Bells

See [how](#how-it-rings).

## How it rings

```c bell.c
#include <thrum.h>

int main(void)
{
    return 0;
}
```

```text
ding
```

```c twice.inc
(void)th_ring(2, hear);
```
"""

FILES = {
    "docs/guide/README.md": "# The guide\n\n- [Bells](bells.md)\n",
    "docs/guide/bells.md": PAGE,
    "tests/integration/guide/bells.c": '#include "twice.inc"\n',
}


@pytest.fixture
def guide(tree):
    for name, text in FILES.items():
        tree.write(name, text)
    return tree


def test_clean_guide_passes(guide):
    guide.passes("guide.py", guide.root)


@pytest.mark.parametrize("old, new, complaint", [
    ("```c bell.c", "```c", "bells.md:8: a whole program is marked"),
    ("```c bell.c", "```c bell.inc", "bells.md:8: a whole program is marked"),
    ("```c twice.inc", "```c twice.c", "bells.md:21: a whole program is marked"),
    ("```c twice.inc", "```c", "bells.md:21: a C block needs a name"),
    ("```c twice.inc", "```c thrice.inc", "bells.c does not include thrice.inc"),
    ("(#how-it-rings)", "(#why-it-rings)", "bells.md:3: bells.md has no heading #why-it-rings"),
    ("(#how-it-rings)", "(bell.md#how-it-rings)", "the link to bell.md leads nowhere"),
    ("(#how-it-rings)", "(README.md#bells)", "README.md has no heading #bells"),
    ("th_ring(2, hear)", "th_rung(2, hear)", "there is no th_rung"),
    ("(void)th_ring(2, hear);", "ring();", "no page mentions th_ring"),
    ("See ", "See " + "x" * 100, "the line has"),
    ("    return 0;", "    return 0; /* " + "x" * 100 + " */", "the line has"),
])
def test_violation_is_found(guide, old, new, complaint):
    guide.change("docs/guide/bells.md", old, new)
    assert complaint in guide.fails("guide.py", guide.root)


def test_what_programs_print_may_be_wide(guide):
    guide.change("docs/guide/bells.md", "```text\nding", "```text\n" + "ding " * 30)
    guide.passes("guide.py", guide.root)


def test_index_names_every_page(guide):
    guide.write("docs/guide/gongs.md", "# Gongs\n")
    assert "README.md: no link to gongs.md" in guide.fails("guide.py", guide.root)
