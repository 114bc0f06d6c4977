# SPDX-License-Identifier: MIT
"""Files that change while they are served, and many downloads at once."""
import asyncio
import os
import resource
import threading

import pytest

from files import content, serve, site, www  # noqa: F401 (fixtures)
from serving import eventually
from wire import Closed, request

KINDS = (100, 100000)  # kept in memory, and not


@pytest.fixture(params=KINDS)
def size(request):
    return request.param


def test_changes_are_seen_at_once(serve, www, size):
    """Every answer is what the file was when the request was sent: no cache holds it back."""
    path = www / "f"
    with serve().connect() as client:
        for i in range(50):
            path.write_bytes(content(size, i))
            assert client.ask(target="/f").body == content(size, i)
            (www / "new").write_bytes(content(size, i + 0.5))
            os.rename(www / "new", path)
            assert client.ask(target="/f").body == content(size, i + 0.5)
            os.truncate(path, size // 2)
            assert client.ask(target="/f").body == content(size, i + 0.5)[:size // 2]
            with path.open("ab") as file:
                file.write(b"more")
            assert client.ask(target="/f").body[size // 2:] == b"more"
            path.unlink()
            assert client.ask(target="/f").status == 404


def test_a_hidden_change_is_seen(serve, www, size):
    """The size and the date of the file are set back after the change."""
    path = www / "f"
    path.write_bytes(content(size, 1))
    os.utime(path, (784111777, 784111777))
    with serve().connect() as client:
        assert client.ask(target="/f").body == content(size, 1)
        with path.open("r+b") as file:
            file.write(content(size, 2))
        os.utime(path, (784111777, 784111777))
        assert client.ask(target="/f").body == content(size, 2)


def test_folders_that_come_and_go(site, www, size):
    folder = www / "d"
    with site().connect() as client:
        for i in range(20):
            folder.mkdir()
            (folder / "f").write_bytes(content(size))
            assert client.ask(target="/d/f").body == content(size)
            os.rename(folder, www / "e")
            assert client.ask(target="/d/f").status == 404
            os.symlink("e", folder)
            assert client.ask(target="/d/f").status == 404
            folder.unlink()
            os.rename(www / "e", folder)
            assert client.ask(target="/d/f").body == content(size)
            (folder / "f").unlink()
            (folder / "f").mkdir()
            assert client.ask(target="/d/f").get("Location") == "/d/f/"
            (folder / "f").rmdir()
            folder.rmdir()


LARGE = 64 << 20


@pytest.fixture
def download(serve, www):
    """A client in the middle of a download: (client, path, first bytes)."""
    path = www / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
        file.write(b"start")
    server = serve("--workers", "1")
    with server.connect(receive_buffer=65536) as client:
        client.send(request("GET", "/large"))
        answer = client.head()
        assert answer.get("Content-Length") == str(LARGE)
        assert client.take(5) == b"start"
        yield client, path, server


def test_a_file_that_shrinks_cuts_the_download(download):
    client, path, server = download
    os.truncate(path, 1 << 20)
    assert len(client.rest()) < LARGE - 5
    assert server.ask(target="/large").get("Content-Length") == str(1 << 20)


def test_a_file_that_is_replaced_is_sent_to_its_end(download):
    client, path, server = download
    path.with_name("new").write_bytes(b"new")
    os.rename(path.with_name("new"), path)
    assert server.ask(target="/large").body == b"new"
    client.skip(LARGE - 5)
    assert client.quiet()
    assert client.ask(target="/large").body == b"new"


def test_a_file_that_is_deleted_is_sent_to_its_end_and_gives_its_space_back(download):
    client, path, server = download
    path.unlink()
    assert server.ask(target="/large").status == 404
    def is_held():
        return f"{path} (deleted)" in server.open_files()
    assert is_held()
    client.skip(LARGE - 5)
    eventually(lambda: not is_held())


def test_a_client_that_leaves_lets_the_file_go(download):
    client, path, server = download
    client.close()
    eventually(lambda: str(path) not in server.open_files())


# ---- many at once

async def fetch(address, target, data, again=1):
    reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
    for _ in range(again):
        writer.write(request("GET", target))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"Content-Length: %d\r\n" % len(data) in head
        assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_downloads_at_once(site, www, workers):
    sizes = (0, 1000, 8192, 8193, 65536, 200000)
    for size in sizes:
        (www / str(size)).write_bytes(content(size))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    server = site(workers=workers)
    before = server.descriptors()
    async def all_of_them():
        await asyncio.gather(*(fetch(server.address, f"/{size}", content(size), 2)
                               for size in (sizes[i % len(sizes)] for i in range(1000))))
    asyncio.run(asyncio.wait_for(all_of_them(), 120))
    eventually(lambda: server.descriptors() <= before)


def test_readers_and_a_writer(site, www):
    """A file is replaced all the time; every answer is one of its versions, whole."""
    versions = [content(size, "v") for size in (10, 5000, 8192, 8193, 100000)]
    (www / "f").write_bytes(versions[0])
    server = site()
    ended = threading.Event()
    def write():
        i = 0
        while not ended.is_set():
            (www / "new").write_bytes(versions[i % len(versions)])
            os.rename(www / "new", www / "f")
            i += 1
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with server.connect() as client:
            for _ in range(2000):
                answer = client.ask(target="/f")
                assert (answer.status, answer.body in versions) == (200, True)
    finally:
        ended.set()
        writer.join()


def test_memory_stays_bounded(site, www, sanitized):
    """More small files than the cache may hold: 30 MB of them, twice."""
    bound = (24 if not sanitized else 192) << 20  # a sanitizer keeps what was freed for a while
    for i in range(4000):
        (www / str(i)).write_bytes(content(8000))
    server = site(workers=1)
    before = server.memory()
    with server.connect() as client:
        for _ in range(2):
            for i in range(4000):
                assert len(client.ask(target=f"/{i}").body) == 8000
    assert server.memory() - before < bound
