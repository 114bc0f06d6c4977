# SPDX-License-Identifier: MIT
"""Files come out as they are: bytes, names, types, whichever client asks."""
import http.client
import os
import re
import subprocess
import urllib.parse

import pytest

from files import SIZES, content, fields_of, serve, site, www  # noqa: F401 (fixtures)
from wire import request

NAMES = ("plain.txt", "with space", "ü.txt", "日本語.html", "a#b", "a?b=c", "a%b", "%41.txt", "100%",
         "a&b", "a+b", "a;b", "a=b", "a:b", "'single'", '"double"', "<tag>", "~tilde", "(b)[r]{a}",
         "a,b", "$!*@", "`^|", "a..b", "x.", "-", "x" * 255)
TYPES = {"a.html": "text/html; charset=utf-8", "a.CSS": "text/css; charset=utf-8",
         "a.mjs": "text/javascript; charset=utf-8", "a.json": "application/json",
         "a.wasm": "application/wasm", "a.svg": "image/svg+xml", "a.avif": "image/avif",
         "a.webp": "image/webp", "a.woff2": "font/woff2", "a.mp4": "video/mp4",
         "a.map": "application/json", "README": "application/octet-stream",
         "a.tar.gz": "application/gzip", "a.b/c": "application/octet-stream"}


def quoted(name):
    return urllib.parse.quote(name, safe="")


@pytest.mark.parametrize("size", SIZES)
def test_every_byte_arrives(any_site, www, size):
    (www / "f").write_bytes(content(size))
    with any_site().connect() as client:
        for _ in range(3 if size < 1 << 20 else 1):
            answer = client.ask(target="/f")
            assert (answer.status, answer.get("Content-Length")) == (200, str(size))
            assert answer.body == content(size)


@pytest.fixture
def any_site(site, setup):
    """The server of files on each back end, with one worker and with two."""
    backend, workers = setup
    return lambda *options: site(*options, backend=backend, workers=workers)


def test_head_is_get_without_the_body(site, www):
    with site("listing").connect() as client:
        for size in SIZES:
            (www / str(size)).write_bytes(content(size))
        for target in [f"/{size}" for size in SIZES] + ["/", "/none", "/files", "/files/"]:
            get, head = client.ask(target=target), client.ask("HEAD", target)
            assert get.status == head.status and fields_of(get) == fields_of(head), target
            assert head.body == b""


@pytest.mark.parametrize("name", NAMES)
def test_names(serve, www, name):
    (www / name).write_bytes(name.encode())
    (www / "dir").mkdir()
    (www / "dir" / name).write_bytes(b"dir " + name.encode())
    with serve().connect() as client:
        assert client.ask(target="/" + quoted(name)).body == name.encode()
        assert client.ask(target="/dir/" + quoted(name)).body == b"dir " + name.encode()
        everything = "".join(f"%{byte:02x}" for byte in name.encode())
        assert client.ask(target="/" + everything).body == name.encode()


def test_a_name_that_is_no_text(serve, www):
    name = b"\xff\xfe \xc3.txt"
    with open(os.path.join(os.fsencode(www), name), "wb") as file:
        file.write(b"bytes")
    assert serve().ask(target="/" + urllib.parse.quote(name)).body == b"bytes"


def test_names_differ_in_case(serve, www):
    (www / "Name").write_text("upper")
    with serve().connect() as client:
        assert client.ask(target="/Name").body == b"upper"
        assert client.ask(target="/name").status == 404


def test_types(serve, www):
    (www / "a.b").mkdir()
    with serve().connect() as client:
        for name, kind in TYPES.items():
            (www / name).write_text("x")
            answer = client.ask(target="/" + name)
            assert answer.get("Content-Type") == kind
            assert answer.get("X-Content-Type-Options") == "nosniff"


def test_validators(serve, www):
    path = www / "f"
    path.write_text("x")
    os.utime(path, (784111777, 784111777))
    with serve().connect() as client:
        answer = client.ask(target="/f")
        assert re.fullmatch('"[0-9a-f]{16}"', answer.get("ETag"))
        assert answer.get("Last-Modified") == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert answer.get("Accept-Ranges") == "bytes"
        os.utime(path, (2**32, 2**32))
        assert client.ask(target="/f").get("Last-Modified") is None  # it is still to come


def test_only_get_and_head(serve, site, www):
    (www / "f").write_text("x")
    with serve().connect() as client:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            answer = client.ask(method, "/f")
            assert (answer.status, answer.get("Allow")) == (405, "GET, HEAD")
        for method in ("BREW", "get"):  # nobody knows them
            answer = client.ask(method, "/f")
            assert (answer.status, answer.get("Allow")) == (501, "GET, HEAD")
        assert client.ask(target="/f").body == b"x"
    with site().connect() as client:
        assert client.ask("POST", "/files/f").get("Allow") == "GET, HEAD"
        assert client.ask("POST", "/f").get("Allow") == "GET, HEAD, OPTIONS"  # the router's


def test_what_is_not_there(serve, www):
    (www / "f").write_text("x")
    with serve().connect() as client:
        for target in ("/none", "/none/", "/f/", "/f/x", "/f/index.html", "/none/x",
                       "/" + "x" * 255, "/" + "x" * 256, "/" + "x/" * 2500):
            answer = client.ask(target=target)
            assert (answer.status, answer.body) == (404, b"404 Not Found\n"), target


# ---- folders

def test_a_folder_without_a_slash_is_redirected(serve, www):
    (www / "dir").mkdir()
    (www / "ä b?#%").mkdir()
    (www / "evil.example").mkdir()
    with serve().connect() as client:
        for target, location in (("/dir", "/dir/"), ("/dir?a=b&c", "/dir/?a=b&c"),
                                 ("/dir?", "/dir/?"), ("/./x/../dir", "/dir/"),
                                 ("/%64ir?%64", "/dir/?%64"), ("/dir?//h/?", "/dir/?//h/?"),
                                 ("/%C3%A4%20b%3F%23%25", "/%C3%A4%20b%3F%23%25/"),
                                 ("//evil.example", "/evil.example/"),
                                 ("///evil.example/.", None),
                                 ("http://localhost/dir?x", "/dir/?x")):
            answer = client.ask(target=target)
            assert answer.get("Location") == location, target
            assert answer.status == (301 if location else 403)


def test_a_site_below_a_route(site, www):
    (www / "dir").mkdir()
    (www / "dir" / "f").write_text("x")
    (www / "index.html").write_text("home")
    with site().connect() as client:
        assert client.ask(target="/files/dir/f").body == b"x"
        assert client.ask(target="/files/").body == b"home"
        assert client.ask(target="/files").get("Location") == "/files/"
        assert client.ask(target="/files/dir?q").get("Location") == "/files/dir/?q"
        assert client.ask(target="/files/files/dir/f").status == 404


def test_index_files(site, www):
    for name in ("one", "two", "three", "none"):
        (www / name).mkdir()
    (www / "one" / "a.html").write_text("one a")
    (www / "one" / "b.htm").write_text("one b")
    (www / "two" / "b.htm").write_text("two b")
    (www / "three" / "a.html").mkdir()
    (www / "three" / "b.htm").write_text("three b")
    with site("index=a.html b.htm").connect() as client:
        for target, body in (("/one/", b"one a"), ("/two/", b"two b"), ("/three/", b"three b")):
            answer = client.ask(target=target)
            assert (answer.status, answer.body) == (200, body)
            assert answer.get("Content-Type").startswith("text/html")
        assert client.ask(target="/none/").status == 403
        assert client.ask(target="/").status == 403


def test_names_with_a_dot_are_hidden(site, www):
    for name in (".hidden", ".git/config", "dir/.env", ".well-known/acme/token", "a/.well-known/x",
                 ".well-known/.x", ".well-known/a/.x/y", "dir/..x"):
        (www / name).parent.mkdir(parents=True, exist_ok=True)
        (www / name).write_text("x")
    with site().connect() as client:
        for name in (".hidden", ".git", ".git/", ".git/config", "dir/.env", "dir/%2eenv", "%2Egit/config",
                     "a/.well-known/x", ".well-known/.x", ".well-known/a/.x/y", "dir/..x"):
            assert client.ask(target="/" + name).status == 404, name
        assert client.ask(target="/.well-known/acme/token").status == 200
    with site("dot_files").connect() as client:
        for name in (".hidden", ".git/config", "dir/.env", "a/.well-known/x", ".well-known/.x"):
            assert client.ask(target="/" + name).status == 200, name


def test_only_files_are_served(site, www):
    os.mkfifo(www / "fifo")
    if os.geteuid() == 0:
        os.mknod(www / "null", 0o666 | 0o020000, os.makedev(1, 3))
        os.mknod(www / "tty", 0o666 | 0o020000, os.makedev(5, 0))
    import socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(www / "socket"))
        with site("listing", workers=1).connect() as client:
            for name in ("fifo", "null", "tty", "socket"):
                assert client.ask(target="/" + name).status == 404  # and does not wait for anyone
            assert b"fifo" not in client.ask(target="/").body


# ---- clients

@pytest.fixture
def tree(www):
    """A folder with files of every size and some awkward names; {target: bytes}."""
    files = {f"/{size}.bin": content(size) for size in SIZES}
    for name in NAMES[:12]:
        files["/dir/" + quoted(name)] = content(1000, name)
    for target, data in files.items():
        path = www / urllib.parse.unquote(target)[1:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return files


def test_curl(serve, tree, tmp_path):
    url = serve().url
    arguments = [word for i, target in enumerate(tree)
                 for word in ("-o", str(tmp_path / str(i)), url + target)]
    subprocess.run(["curl", "--fail", "--silent", "--show-error", "--path-as-is", *arguments],
                   check=True, timeout=60)
    for i, data in enumerate(tree.values()):
        assert (tmp_path / str(i)).read_bytes() == data


def test_curl_resumes_and_asks_only_for_news(serve, www, tmp_path):
    data = content(300000)
    (www / "f").write_bytes(data)
    out = tmp_path / "out"
    out.write_bytes(data[:100000])
    curl = ["curl", "--fail", "--silent", "-w", "%{http_code} %{size_download}", "-o", str(out)]
    url = serve().url + "/f"
    def run(*more):
        return subprocess.run([*curl, *more, url], check=True, timeout=60, text=True,
                              stdout=subprocess.PIPE).stdout
    assert run("-C", "-") == "206 200000"
    assert out.read_bytes() == data
    assert run("-z", str(www / "f")) == "304 0"
    assert run("--etag-save", str(tmp_path / "tag")) == "200 300000"
    assert run("--etag-compare", str(tmp_path / "tag")) == "304 0"


def test_wget_mirrors_a_site(serve, tree, www, tmp_path):
    out = tmp_path / "mirror"
    subprocess.run(["wget", "--quiet", "--mirror", "--no-host-directories", "--execute",
                    "robots=off", "--restrict-file-names=nocontrol", "--directory-prefix", str(out),
                    serve("--listing").url + "/"], check=True, timeout=60)
    tree.pop("/dir/%2541.txt")  # asked for as it should be, but decoded again to name the file
    for target, data in tree.items():
        assert (out / urllib.parse.unquote(target)[1:]).read_bytes() == data, target


def test_http_client(serve, tree):
    client = http.client.HTTPConnection(*serve().address, timeout=20)
    for target, data in tree.items():
        client.request("GET", target)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, data)
    client.close()


def test_http_1_0(serve, tree):
    server = serve()
    for target, data in tree.items():
        with server.connect() as client:
            client.send(request("GET", target, version="1.0"))
            answer = client.response()
            assert (answer.status, answer.body) == (200, data)
            assert client.at_end()


def test_pipelined_requests_are_answered_in_order(site, www):
    sizes = (0, 5, 8192, 8193, 100000)
    for size in sizes:
        (www / str(size)).write_bytes(content(size))
    with site(workers=1).connect() as client:
        wanted = [sizes[i * 7 % 5] for i in range(100)]
        client.send(*(request("GET", f"/{size}") + request("GET", "/none") for size in wanted))
        for size in wanted:
            assert client.response().body == content(size)
            assert client.response().status == 404
