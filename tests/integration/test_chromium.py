# SPDX-License-Identifier: MIT
"""A browser as the client: Chromium loads pages, and scripts in them fetch what is beside them.

`--dump-dom` prints a page once it is loaded. A page that has scripts to wait for holds that off by
a frame in it that it opens and does not close before it is done.
"""
import contextlib
import hashlib
import html
import json
import os
import re
import signal
import subprocess

import pytest

import serving
from files import content, www  # noqa: F401 (fixtures)

LIMIT = 60  # seconds
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--disable-breakpad"]

PAGE = """\
<!doctype html>
<html><head><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,"></head>
<body><iframe id="hold"></iframe><pre id="result"></pre>
<script>document.getElementById("hold").contentDocument.open()</script>
<script type="module" src="app.js"></script>
</body></html>
"""

SCRIPT = """\
const seen = {};

async function digest(response) {
    const hash = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
    return [...new Uint8Array(hash)].map(b => b.toString(16).padStart(2, "0")).join("");
}

async function look(name, options) {
    const response = await fetch(name, options);
    const field = name => response.headers.get(name);
    return { status: response.status, type: field("Content-Type"), length: field("Content-Length"),
             range: field("Content-Range"), digest: await digest(response) };
}

try {
    seen.small = await look("small.bin");
    seen.big = await look("big.bin");
    seen.again = await look("big.bin", { cache: "no-cache" });
    seen.range = await look("big.bin", { headers: { Range: "bytes=1000-65999" }, cache: "no-store" });
    seen.none = await look("none.bin");
    seen.refused = await look("small.bin", { method: "POST", body: "x".repeat(100000) });
    seen.head = await look("big.bin", { method: "HEAD", cache: "no-store" });
    seen.name = await look("gr\\u00fc\\u00dfe & <more>.txt");
    const many = [...Array(50).keys()];
    seen.many = await Promise.all(many.map(i => look(`small.bin?${i}`, { cache: "no-store" })));
} catch (error) {
    seen.error = String(error);
}
document.getElementById("result").textContent = JSON.stringify(seen);
document.getElementById("hold").contentDocument.close();
"""


def page_at(url, home, *flags):
    """What a page looks like in Chromium after its scripts have run."""
    command = ["/usr/bin/chromium", *FLAGS, *flags, f"--user-data-dir={home / 'profile'}",
               "--dump-dom", url]
    with subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "HOME": str(home)},
                          start_new_session=True) as browser:
        try:
            page, errors = browser.communicate(timeout=LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
    assert browser.returncode == 0, errors
    return page


@pytest.fixture
def browse(tmp_path):
    """Loads a page in Chromium; returns what it looks like after its scripts have run."""
    return lambda url: page_at(url, tmp_path)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_built_in_site(start, thrum_bin, browse):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--workers", "2")
    page = browse(server.url)
    assert "<title>Thrum</title>" in page
    rows = dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page))
    assert (rows["workers"], rows["back end"]) == ("2", "epoll (default)")
    assert rows["your address"].startswith("127.0.0.1:")
    assert '<a href="/metrics">' in page


def test_a_page_that_fetches(start, thrum_bin, www, browse):
    small, big, named = content(4000), content(3000000), "weft".encode()
    (www / "index.html").write_text(PAGE)
    (www / "app.js").write_text(SCRIPT)
    (www / "small.bin").write_bytes(small)
    (www / "big.bin").write_bytes(big)
    (www / "gr\u00fc\u00dfe & <more>.txt").write_bytes(named)
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--workers", "2", "--access-log",
                   "json", www)
    page = browse(server.url)
    seen = json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', page)[1]))
    assert "error" not in seen, seen["error"]

    binary = "application/octet-stream"
    def got(status, data, kind=binary, content_range=None):
        return {"status": status, "type": kind, "length": str(len(data)), "range": content_range,
                "digest": sha256(data)}
    assert seen["small"] == got(200, small)
    assert seen["big"] == seen["again"] == got(200, big)
    assert seen["range"] == got(206, big[1000:66000], content_range=f"bytes 1000-65999/{len(big)}")
    text = "text/plain; charset=utf-8"
    assert seen["none"] == got(404, b"404 Not Found\n", text)
    assert seen["refused"] == got(405, b"405 Method Not Allowed\n", text)
    assert seen["head"] == {**got(200, big), "digest": sha256(b"")}
    assert seen["name"] == got(200, named, text)
    assert seen["many"] == 50 * [got(200, small)]

    # What the page does not see: its second look at the file was answered by "not modified".
    def answers():
        lines = map(json.loads, server.out.lines[4:])
        return [one["status"] for one in lines if one["target"] == "/big.bin"]
    serving.eventually(lambda: len(answers()) == 4)
    assert sorted(answers()) == [200, 200, 206, 304]
