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


def guide(page):
    return (ROOT / "docs" / "guide" / page).read_text()


def test_guide_explains_every_code():
    header = (ROOT / "include" / "thrum" / "error.h").read_text()
    codes = re.findall(r'^    X\((\w+), ', header, re.M)
    assert codes
    for name in codes:
        meaning = re.search(rf"^\| `{name}` \| ([^|]*) \|", guide("errors.md"), re.M)
        assert meaning, name


def test_guide_has_the_limits_of_http_with_their_defaults():
    """The header's comments say `...; DEFAULT; ...` or `...; DEFAULT`, where there is a number."""
    header = (ROOT / "include" / "thrum" / "http.h").read_text()
    struct = re.search(r"^typedef struct th_http_opts \{\n(.*?)^\}", header, re.S | re.M).group(1)
    fields = re.findall(r"^    u?int\d+_t (\w+); +/\* (.*?) \*/", struct, re.S | re.M)
    fields = [field for field in fields if field[0] != "hsts"]  # what is said, and no limit
    assert len(fields) == 9
    for name, comment in fields:
        row = re.search(rf"^\| `{name}` \|(.*)\|$", guide("http.md"), re.M)
        assert row, name
        default = re.findall(r"[;,] (\d+(?: (?:KiB|MiB|s))?)(?=;|$)", " ".join(comment.split()))
        assert default or name in ("max_connections", "max_per_peer"), name
        for value in default[:1]:
            assert f"| {value} |" in row.group(1), (name, value)
        for status in re.findall(r"\b4\d\d\b", comment):
            assert status in row.group(1), (name, status)
