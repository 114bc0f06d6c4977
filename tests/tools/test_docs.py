# SPDX-License-Identifier: MIT
"""What the Markdown pages name exists: files they link to or speak of, and make targets."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, text=True, check=True, capture_output=True
).stdout.split()]
FOLDERS = r"(?:src|include|tests|tools|docs|packaging|bench|examples|changelog\.d)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    for name in re.findall(rf"`({FOLDERS}/[\w./-]*)`", prose):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z]\w*)", text):
        assert re.search(rf"^{target}:.*##", makefile, re.M), target


def test_front_page_names_both_commands():
    front = (ROOT / "README.md").read_text()
    assert "make serve" in front and "make test" in front
