# SPDX-License-Identifier: MIT
"""Nothing outside of the folder is ever served: whatever the path, whatever links there are."""
import os
import subprocess
import threading

import pytest

from files import site, www  # noqa: F401 (fixtures)
from wire import Closed

SECRET = b"the secret beside the folder"

# Most of these name a file that exists, seen from the folder, by the name that would be wrong.
ATTEMPTS = """
/../secret
/../../../../../../../../etc/passwd
/..
/../
/../www/../secret
/./../secret
/dir/../../secret
/dir/../../../../../../../../etc/passwd
/dir/./.././../secret
//../secret
///..///..//secret
/%2e%2e/secret
/%2E%2E/secret
/.%2e/secret
/%2e./secret
/%2e%2e%2fsecret
/..%2fsecret
/..%2Fsecret
/%2e%2e%2Fsecret
/dir/..%2f..%2fsecret
/dir%2f..%2f..%2fsecret
/..%5csecret
/..\\secret
/\\..\\secret
/%5c..%5csecret
/dir/..%5c..%5csecret
/..%255csecret
/%252e%252e/secret
/..%252fsecret
/%252e%252e%252fsecret
/%25%32%65%25%32%65/secret
/..%c0%afsecret
/%c0%ae%c0%ae/secret
/%c0%ae%c0%ae%c0%afsecret
/..%e0%80%afsecret
/%e0%80%ae%e0%80%ae/secret
/..%ef%bc%8fsecret
/%ef%bc%8e%ef%bc%8e/secret
/%uff0e%uff0e/secret
/%u002e%u002e/secret
/..;/secret
/..%3b/secret
/..%00/secret
/..%00.txt
/%00../secret
/dir/%00/../../secret
/../secret%00.html
/..%0d/secret
/..%0a/secret
/..%20/secret
/..%09/secret
/...//secret
/..../secret
/....//....//secret
/.../.../secret
/dir/....//secret
/%2e%2e
/%2e%2e/
/dir/%2e%2e/%2e%2e/secret
/dir/x/../../../secret
/none/../../secret
/dir/f/../../../secret
/%2fetc%2fpasswd
//etc/passwd
///etc/passwd
/%2f/etc/passwd
/%2f%2fetc/passwd
/file:///etc/passwd
/file:%2f%2f%2fetc/passwd
/C:/../../secret
/~root/../../secret
/~/secret
/proc/self/root/etc/passwd
/dev/fd/3
/../../proc/self/cwd/secret
../secret
..
secret
/dir/../..
/dir/../../
/..?/secret
/?/../secret
/../secret?x
/../secret#x
/..#/secret
http://localhost/../secret
http://localhost/%2e%2e/secret
http://localhost/..%2fsecret
http://localhost../secret
http://../secret
/http://localhost/../secret
*
""".split()


@pytest.fixture
def outside(www):
    (www / ".." / "secret").write_bytes(SECRET)
    (www / "dir").mkdir()
    (www / "dir" / "f").write_text("inside")
    (www / "index.html").write_text("home")


def check_nothing_leaks(server, target):
    for method in ("GET", "HEAD"):
        with server.connect() as client:
            try:
                answer = client.ask(method, target)
            except Closed:
                continue
            assert SECRET not in answer.body and b"root:" not in answer.body, target
            assert answer.status in (200, 301, 400, 403, 404), target
            if answer.status == 200 and b"<h1>/dir/</h1>" not in answer.body:
                assert answer.body in (b"home", b"inside", b""), target
            if answer.status == 301:
                assert answer.get("Location").startswith("/dir/"), target


@pytest.mark.parametrize("options", [(), ("follow_symlinks", "dot_files", "listing"), ("ENOSYS",),
                                     ("EPERM", "dot_files")], ids=" ".join)
def test_no_path_leads_out(site, outside, options):
    assert len(ATTEMPTS) >= 60
    server = site(*options)
    for target in ATTEMPTS:
        check_nothing_leaks(server, target)
        if target.startswith("/"):
            check_nothing_leaks(server, "/files" + target)
            check_nothing_leaks(server, "/dir" + target.replace("/../", "/../../"))
    assert server.ask(target="/dir/f").body == b"inside"


def links(www):
    """Links out of the folder, and links that stay inside: {name: where it leads}."""
    return {"out": "../secret", "dir/out": "../../secret", "up": "..", "dir/up": "../..",
            "absolute": str(www.parent / "secret"), "inside-absolute": str(www / "dir/f"),
            "around": "../www/dir/f", "root": "/", "proc": "/proc/self/root", "self": "self",
            "fd": "/proc/self/fd", "chain": "out", "stdin": "/dev/stdin"}


@pytest.mark.parametrize("options", [(), ("ENOSYS",), ("EPERM",), ("follow_symlinks",)], ids=" ".join)
def test_no_link_leads_out(site, outside, www, options):
    (www / "index.html").unlink()
    for name, target in links(www).items():
        os.symlink(target, www / name)
    with site("listing", "dot_files", *options).connect() as client:
        for name in links(www):
            for end in ("", "/", "/secret", "/etc/passwd", "/www/dir/f", "/0"):
                answer = client.ask(target=f"/{name}{end}")
                assert (answer.status, answer.body) == (404, b"404 Not Found\n"), name + end
        listing = client.ask(target="/").body.decode()
        assert "dir/" in listing and not any(f'"./{name}' in listing for name in links(www)
                                             if "/" not in name)


def test_links_inside(site, outside, www):
    os.symlink("dir/f", www / "link")
    os.symlink("../index.html", www / "dir" / "index.html")
    os.symlink("dir", www / "folder")
    with site("follow_symlinks", "listing").connect() as client:
        assert client.ask(target="/link").body == b"inside"
        assert client.ask(target="/folder").get("Location") == "/folder/"
        assert client.ask(target="/folder/f").body == b"inside"
        assert client.ask(target="/folder/").body == b"home"
        (www / "index.html").unlink()
        listing = client.ask(target="/").body
        assert b'"./link"' in listing and b'"./folder/"' in listing
        assert client.ask(target="/folder/").status == 200  # the link leads nowhere: it is listed
        assert b"index.html" not in client.ask(target="/folder/").body
    with site().connect() as client:
        for target in ("/link", "/folder", "/folder/", "/folder/f", "/dir/index.html"):
            assert client.ask(target=target).status == 404, target
        assert client.ask(target="/dir/").status == 403  # its index file is a link


def test_following_needs_openat2(servers, www):
    done = subprocess.run([servers / "files_probe", www, "ENOSYS", "follow_symlinks"], text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == 1
    assert "openat2" in done.stderr and str(www) in done.stderr


@pytest.mark.parametrize("options", [(), ("follow_symlinks",), ("ENOSYS",)], ids=" ".join)
def test_a_folder_that_becomes_a_link_while_serving(site, outside, www, options):
    """A writer swaps a folder and a link out of the root; no request gets through the gap."""
    (www.parent / "f").write_bytes(SECRET)
    os.symlink("..", www / "link")
    ended = threading.Event()
    def swap():
        while not ended.is_set():
            os.rename(www / "dir", www / "aside")
            os.rename(www / "link", www / "dir")
            os.rename(www / "dir", www / "link")
            os.rename(www / "aside", www / "dir")
    server = site(*options)
    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        with server.connect() as client:
            for _ in range(3000):
                answer = client.ask(target="/dir/f")
                assert answer.body in (b"inside", b"404 Not Found\n")
                seen.add(answer.status)
    finally:
        ended.set()
        swapper.join()
    assert seen == {200, 404}
