# SPDX-License-Identifier: MIT
"""A file of a gibibyte is served whole, to two clients at a time, and takes no memory for it."""
import concurrent.futures
import os
import re

import pytest

from files import content, www  # noqa: F401 (fixtures)
from wire import request

SIZE = 1 << 30
STEP = 1 << 20
MARKS = [0, 4095, 65535, (1 << 29) - 3, SIZE - (1 << 16)]  # where it is not zero
GROWTH = 8 << 20


@pytest.fixture
def big(www):
    """A sparse file with some bytes in it."""
    with open(www / "big", "wb") as file:
        for mark in MARKS:
            file.seek(mark)
            file.write(content(1 << 16, seed=mark))
        file.truncate(SIZE)
    assert os.stat(www / "big").st_blocks * 512 < SIZE // 100
    return www / "big"


def peak(server):
    """The most memory that it has ever had resident, bytes."""
    with open(f"/proc/{server.pid}/status") as status:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status.read(), re.M)[1]) * 1024


def receive(client, path, first, count):
    """Reads so many bytes and compares each with the file's."""
    got, expected = bytearray(STEP), bytearray(STEP)
    with open(path, "rb", buffering=0) as file:
        file.seek(first)
        start = min(count, len(client.buffer))  # what came with the head
        assert client.take(start) == file.read(start)
        while start < count:
            size = min(STEP, count - start)
            if size < STEP:
                del got[size:], expected[size:]
            view = memoryview(got)
            done = 0
            while done < size:
                n = client.socket.recv_into(view[done:])
                assert n > 0, f"{count - start - done} bytes are missing"
                done += n
            view.release()
            assert file.readinto(expected) == size
            assert got == expected, f"other bytes near {first + start}"
            start += size


def download(server, path):
    """All of it, and then pieces from here and there, on one connection."""
    with server.connect() as client:
        client.send(request("GET", "/big"))
        head = client.head()
        assert (head.status, head.get("Content-Length")) == (200, str(SIZE))
        receive(client, path, 0, SIZE)
        for first, last in ((0, 0), (4094, 70000), (1 << 29, (1 << 29) + (3 << 20)),
                            (SIZE - 70000, SIZE - 1)):
            client.send(request("GET", "/big", f"Range: bytes={first}-{last}"))
            head = client.head()
            assert head.status == 206
            assert head.get("Content-Range") == f"bytes {first}-{last}/{SIZE}"
            assert head.get("Content-Length") == str(last - first + 1)
            receive(client, path, first, last - first + 1)
        assert client.quiet()


def test_a_big_file_is_served_whole_in_constant_memory(start, thrum_bin, big):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--workers", "2", "--access-log",
                   "off", big.parent)
    assert server.ask(target="/none").status == 404
    before = peak(server)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(download, server, big) for _ in range(2)]:
            one.result()
    assert peak(server) - before < GROWTH
