# SPDX-License-Identifier: MIT
"""The listing of a folder: a page whose links all work, whatever the files are called."""
import html.parser
import os
import re
import urllib.parse

from files import fields_of, serve, site, www  # noqa: F401 (fixtures)
from wire import request

NASTY = (b"<script>alert(1)<_script>", b"javascript:alert(1)", b'"><b>', b"'", b"&amp;",
         b"a&lt;b", b"a b", b"%41", b"?x", b"#y", b"http:", b"mailto:x", b"caf\xc3\xa9", b"\xff\xfe",
         b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98\x80",
         "日本".encode(), b"x" * 255, b"&" * 255, b"\xff" * 255, b"<" * 255, b"-", b"~", b"data:text,x")


class Page(html.parser.HTMLParser):
    """A listing taken apart: rows of [href, text, size, date]."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.title = [], [], ""
        self.inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag == "a":
            self.rows[-1].insert(0, dict(attributes)["href"])

    def handle_data(self, data):
        if self.inside in ("td", "a") and self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data
        if self.inside == "title":
            self.title += data

    def handle_endtag(self, tag):
        self.inside = None


def page_of(answer):
    assert answer.status == 200
    assert answer.get("Content-Type") == "text/html; charset=utf-8"
    page = Page(answer.body.decode("utf-8"))  # it is UTF-8, whatever the names are
    page.rows = [row for row in page.rows if row]
    return page


def hrefs_of(answer):
    return [row[0] for row in page_of(answer).rows]


def test_names_sizes_and_dates(serve, www):
    (www / "sub").mkdir()
    (www / "b.txt").write_bytes(b"x" * 1536)
    (www / "A").write_bytes(b"")
    (www / "a").write_bytes(b"x" * (5 << 20))
    for name in ("sub", "b.txt", "A", "a"):
        os.utime(www / name, (784111777, 784111777))
    with serve("--listing").connect() as client:
        page = page_of(client.ask())
        assert page.title == "/"
        date = "1994-11-06 08:49"
        assert page.rows == [["./sub/", "sub/", "", date], ["./A", "A", "0 B", date],
                             ["./a", "a", "5.0 MiB", date], ["./b.txt", "b.txt", "1.5 KiB", date]]
        page = page_of(client.ask(target="/sub/"))
        assert page.title == "/sub/" and [row[0] for row in page.rows] == ["../"]


def test_every_link_leads_to_its_file(serve, www):
    folder = os.path.join(os.fsencode(www), "d ü?#%&\"'<".encode())
    os.mkdir(folder)
    for i, name in enumerate(NASTY):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"%d" % i)
    with serve("--listing").connect() as client:
        folder_target = "/" + hrefs_of(client.ask())[0][2:]
        page = page_of(client.ask(target=folder_target))
        assert page.title == "/d ü?#%&\"'</"
        found = {}
        for row in page.rows[1:]:
            assert row[0].startswith("./")  # or a colon would make a scheme of what is before it
            answer = client.ask(target=folder_target + row[0][2:])
            found[urllib.parse.unquote_to_bytes(row[0][2:])] = answer.body
        assert found == {name: b"%d" % i for i, name in enumerate(NASTY)}
        assert set(page.tags) <= {"html", "head", "meta", "title", "style", "body", "h1", "table",
                                  "thead", "tbody", "tr", "th", "td", "a"}


def test_bytes_that_are_no_text_are_shown_as_such(serve, www):
    with open(os.path.join(os.fsencode(www), b"a\xffb\xe2\x82c"), "wb"):
        pass
    assert page_of(serve("--listing").ask()).rows[0][:2] == ["./a%FFb%E2%82c", "a�b��c"]


def test_a_page_that_can_do_nothing(serve, www):
    answer = serve("--listing").ask()
    assert answer.get("Content-Security-Policy") == "default-src 'none'; style-src 'unsafe-inline'"
    assert answer.get("X-Content-Type-Options") == "nosniff"
    assert not re.search(rb"<script|<link|<img|src=|url\(|@import|onload", answer.body, re.I)
    assert b"color-scheme: light dark" in answer.body


def test_only_what_would_be_served_is_shown(site, www):
    (www / "file").write_text("x")
    (www / ".hidden").write_text("x")
    (www / "new\nline").write_text("x")
    (www / "back\\slash").write_text("x")
    os.mkfifo(www / "fifo")
    os.symlink("file", www / "link")
    os.symlink("/etc/passwd", www / "out")
    os.symlink("none", www / "dangling")
    assert hrefs_of(site("listing").ask()) == ["./file"]
    assert hrefs_of(site("listing", "dot_files").ask()) == ["./.hidden", "./file"]
    assert hrefs_of(site("listing", "follow_symlinks").ask()) == ["./file", "./link"]
    (www / "sub").mkdir()
    os.symlink("../file", www / "sub" / "link")
    assert hrefs_of(site("listing", "follow_symlinks").ask(target="/sub/")) == ["../", "./link"]


def test_an_index_file_goes_before_and_no_listing_is_403(serve, www):
    (www / "sub").mkdir()
    (www / "sub" / "index.html").write_text("index")
    with serve("--listing").connect() as client:
        assert client.ask(target="/sub/").body == b"index"
    answer = serve().ask()
    assert (answer.status, answer.body) == (403, b"403 Forbidden\n")


def test_head_and_http_1_0(serve, www):
    (www / "f").write_text("x")
    server = serve("--listing")
    get, head = server.ask(), server.ask("HEAD")
    assert fields_of(get) == fields_of(head) and head.body == b""
    old = server.ask(version="1.0")
    assert old.body == get.body and old.closing


def test_4096_entries_are_shown_and_no_more(serve, www):
    names = [f"{i:05d}" for i in range(4096)]
    for name in names:
        (www / name).write_text("x")
    note = b"<p>This folder has more entries than are shown here.</p>"
    server = serve("--listing")
    body = server.ask().body
    assert re.findall('>([^<]*)</a>', body.decode()) == names and note not in body
    (www / "one-more").write_text("x")
    body = server.ask().body
    assert body.count(b"</a>") == 4096 and note in body


def test_others_are_served_meanwhile(serve, www):
    """One worker reads a large folder, and answers others in between."""
    (www / "large").mkdir()
    for i in range(4096):
        (www / "large" / str(i)).write_text("x")
    (www / "f").write_text("small")
    server = serve("--listing", "--workers", "1")
    with server.connect() as lister, server.connect() as other:
        lister.send(request("GET", "/large/"))
        answers = 0
        while lister.quiet():
            assert other.ask(target="/f").body == b"small"
            answers += 1
        assert answers > 1
        assert lister.response().body.count(b"</a>") == 4097
