#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the user's guide, docs/guide/*.md, as far as that works without running it.

The guide's code is compiled and run by tests/integration/test_guide.py. It knows what to do by how a
fenced block is marked:

    ```c NAME.c      a whole program. It must end well, and print what a ```text block right behind it
                     says; if a ```console block of the page runs ./NAME, that is done instead
    ```c NAME.inc    a fragment, which tests/integration/guide/PAGE.c includes, and runs
    ```console       a session: commands behind `$ `, and what they print
    ```console plain the same; it would go differently under a sanitizer

Here is checked that each C block is of one of these kinds, that every public call is mentioned and
no other, that links lead somewhere, that the index names every page, and that lines are not too long.

Usage: guide.py [ROOT]
"""
import dataclasses
import pathlib
import re
import sys

from csource import ROOT, prototypes, public_headers

FENCE = re.compile(r"^```(.*)$")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
LINE_MAX = 100


@dataclasses.dataclass
class Block:
    page: pathlib.Path
    line: int  # of its first line of text
    kind: str  # "c", "text", "console", ...; "" for a bare fence
    name: str  # "NAME.c", "NAME.inc", or ""
    text: str

    @property
    def is_program(self):
        return self.kind == "c" and self.name.endswith(".c")

    @property
    def is_fragment(self):
        return self.kind == "c" and self.name.endswith(".inc")


def pages(root=ROOT):
    return sorted((root / "docs" / "guide").glob("*.md"))


def frame_of(page, root=ROOT):
    """The program that runs the fragments of a page."""
    return root / "tests" / "integration" / "guide" / f"{page.stem}.c"


def blocks(page):
    """Yields the fenced blocks of a page in order."""
    start = None
    lines = page.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if not fence:
            continue
        if start is None:
            start, (kind, _, name) = number, fence.group(1).partition(" ")
        else:
            text = "\n".join(lines[start:number - 1]) + "\n"
            yield Block(page, start + 1, kind, name.strip(), text)
            start = None


def prose(text):
    """Blanks the fenced blocks of a page; line numbers stay."""
    return re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), text, flags=re.S | re.M)


def anchors(page):
    """The names by which the headings of a page can be linked to, as GitHub makes them."""
    for heading in re.findall(r"^#+ +(.*)$", prose(page.read_text()), re.M):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        yield words.replace(" ", "-")


def check_blocks(page, root):
    frame = frame_of(page, root)
    run = frame.read_text() if frame.exists() else ""
    for block in blocks(page):
        if block.kind != "c":
            continue
        if block.is_program != bool(re.search(r"^int main\b", block.text, re.M)):
            yield block.line, "a whole program is marked ```c NAME.c, anything else ```c NAME.inc"
        elif not block.is_program and not block.is_fragment:
            yield block.line, "a C block needs a name: ```c NAME.c or ```c NAME.inc"
        elif block.is_fragment and f'#include "{block.name}"' not in run:
            yield block.line, f"{frame.relative_to(root)} does not include {block.name}"


def check_links(page):
    text = prose(page.read_text())
    for match in LINK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        target = (page.parent / match.group(1)).resolve() if match.group(1) else page
        if not target.exists():
            yield line, f"the link to {match.group(1)} leads nowhere"
        elif match.group(2) and match.group(2) not in anchors(target):
            yield line, f"{target.name} has no heading #{match.group(2)}"


def check_lines(page):
    """Prose and C; tables and what programs print are as wide as they are."""
    lines = list(enumerate(prose(page.read_text()).split("\n"), 1))
    for block in blocks(page):
        if block.kind == "c":
            lines += enumerate(block.text.split("\n"), block.line)
    for number, line in lines:
        if len(line) > LINE_MAX and not line.startswith("|"):
            yield number, f"the line has {len(line)} columns, {LINE_MAX} are possible"


def check_calls(root):
    """Every public call is mentioned somewhere, and none that is not there."""
    calls = {proto.name for path in public_headers(root) for proto in prototypes(path.read_text())
             if not proto.name.endswith("_")}
    known = {word for path in public_headers(root)
             for word in re.findall(r"\bth_\w+", path.read_text())}
    mentioned = set()
    for page in pages(root):
        for number, line in enumerate(page.read_text().split("\n"), 1):
            for word in re.findall(r"\bth_\w+\b(?!\*)", line):
                mentioned.add(word)
                if word not in known:
                    yield f"{page.relative_to(root)}:{number}: there is no {word}"
    for call in sorted(calls - mentioned):
        yield f"docs/guide: no page mentions {call}"


def check_index(root):
    index = root / "docs" / "guide" / "README.md"
    text = index.read_text() if index.exists() else ""
    for page in pages(root):
        if page != index and f"]({page.name})" not in text:
            yield f"docs/guide/README.md: no link to {page.name}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    errors = [f"{page.relative_to(root)}:{line}: {problem}" for page in pages(root)
              for found in (check_blocks(page, root), check_links(page), check_lines(page))
              for line, problem in found]
    errors += [*check_calls(root), *check_index(root)]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
