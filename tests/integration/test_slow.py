# SPDX-License-Identifier: MIT
"""Clients that are slow, on purpose or not: the former are cut in time, the latter are served.

The pace of a body is judged over five seconds at a time, so these scenarios run all at once.
"""
import concurrent.futures
import time

import pytest

from serving import open_gate
from wire import Closed, request

STRETCH = 5  # seconds that a peer may always be silent
PATIENCE = 4 * STRETCH


def trickle(client, data, pause):
    """Sends byte by byte until all is sent or the server has answered."""
    client.socket.settimeout(pause)
    for i in range(len(data)):
        try:
            client.send(data[i:i + 1])
            if not client.more() or client.buffer:
                break
        except (BrokenPipeError, ConnectionResetError):
            break
        except TimeoutError:
            pass
    client.socket.settimeout(PATIENCE)


def refused_in_time(client, limit, began=None):
    began = began or time.monotonic()
    assert client.response("POST").status == 408
    assert client.at_end()
    assert time.monotonic() - began < limit


def head_stalls(server):
    with server.connect() as client:
        client.send(b"GET / HT")
        refused_in_time(client, STRETCH)


def head_trickles(server):
    began = time.monotonic()
    with server.connect() as client:
        trickle(client, request("GET", "/", *["X: y"] * 1000), 0.2)
        refused_in_time(client, STRETCH, began)


def head_of_the_second_request_stalls(server):
    with server.connect() as client:
        client.send(request(), b"GET /")
        assert client.response().status == 200
        refused_in_time(client, STRETCH)


def body_stalls(server):
    with server.connect() as client:
        client.send(request("POST", "/", "Content-Length: 100"), b"x" * 50)
        refused_in_time(client, PATIENCE)


def chunks_stall(server):
    with server.connect() as client:
        client.send(request("POST", "/", "Transfer-Encoding: chunked"), b"5\r\nhel")
        refused_in_time(client, PATIENCE)


def body_stalls_after_a_piece_that_fills_the_buffer(server):
    with server.connect() as client:
        client.send(request("POST", "/x/sum", "Content-Length: 100000", "Expect: 100-continue"))
        assert client.head().status == 100
        client.send(b"x" * 32768)
        refused_in_time(client, PATIENCE)


def body_trickles(server):
    """One byte now and then never makes the server wait for long at a time."""
    began = time.monotonic()
    with server.connect() as client:
        client.send(request("POST", "/x/sum", "Content-Length: 100"))
        trickle(client, b"x" * 99, 0.5)
        refused_in_time(client, PATIENCE, began)


def ignored_body_stalls(server):
    """The answer comes at once; the connection ends, since nobody knows where the body does."""
    with server.connect() as client:
        began = time.monotonic()
        client.send(request("POST", "/x/ignore", "Content-Length: 100"))
        assert client.response("POST").body == b"ignored"
        assert time.monotonic() - began < STRETCH - 1
        assert client.at_end()


def body_in_good_time(server):
    """400 bytes a second are above the minimum of 240."""
    with server.connect() as client:
        client.send(request("POST", "/", "Content-Length: 4000"))
        for _ in range(40):
            client.send(b"x" * 100)
            time.sleep(0.25)
        assert client.response("POST").body == b"x" * 4000


def reader_never_reads(server, target):
    """The server gives up, although the kernel has taken part of the answer."""
    with server.connect(receive_buffer=4096) as client:
        client.socket.settimeout(PATIENCE)
        client.send(request("GET", target))
        began = time.monotonic()
        while in_flight(server, target):
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.05)
        with pytest.raises(Closed):
            client.skip(1 << 30)
        assert client.reset  # nothing is left in the kernel for it


def in_flight(server, target):
    """Whether a request is being served besides the one that asks, by the access log."""
    return not any(target in line for line in server.out.lines)


def never_reads_bytes(server):
    reader_never_reads(server, "/x/bytes?size=6000000")


def never_reads_a_stream(server):
    reader_never_reads(server, "/x/stream?pieces=60000&size=100&flush=1")


def never_reads_a_file(server):
    reader_never_reads(server, "/x/file?size=16000000")


def slow_reader(server, target, size):
    """Takes 100 KB a second: a server that counts only what its kernel takes sees long silences."""
    with server.connect(receive_buffer=16384) as client:
        client.socket.settimeout(PATIENCE)
        client.send(request("GET", target))
        assert client.head().get("Content-Length") == str(size)
        end = time.monotonic() + 3 * STRETCH
        while time.monotonic() < end:
            client.skip(20000)
            size -= 20000
            time.sleep(0.2)
        client.skip(size)


def slow_reader_of_bytes(server):
    slow_reader(server, "/x/bytes?size=6000000&slow", 6000000)


def slow_reader_of_a_file(server):
    slow_reader(server, "/x/file?size=16000000&slow", 16000000)


def handler_takes_its_time(server):
    """The server's own slowness is not held against the client, and says nothing of its pace."""
    with server.connect() as client:
        client.send(request("POST", "/x/gate", body=b"x"))
        time.sleep(1.5 * STRETCH)
        open_gate(server)
        assert client.response("POST").body == b"through"


SCENARIOS = [head_stalls, head_trickles, head_of_the_second_request_stalls, body_stalls,
             chunks_stall, body_stalls_after_a_piece_that_fills_the_buffer, body_trickles,
             ignored_body_stalls, body_in_good_time, never_reads_bytes, never_reads_a_stream,
             never_reads_a_file, slow_reader_of_bytes, slow_reader_of_a_file,
             handler_takes_its_time]


@pytest.fixture
def sparse_file(tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    return path


def test_slow_clients(probe, sparse_file):
    settings = {"head_time": 1000, "file": sparse_file, "log": "common"}
    servers = {backend: probe(backend=backend, **settings) for backend in ("epoll", "uring")}
    failures = {}
    took = {}

    def run(scenario, backend):
        began = time.monotonic()
        try:
            scenario(servers[backend])
        finally:
            took[scenario.__name__, backend] = time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(2 * len(SCENARIOS)) as pool:
        runs = {(scenario.__name__, backend): pool.submit(run, scenario, backend)
                for scenario in SCENARIOS for backend in servers}
        for name, future in runs.items():
            if (err := future.exception()) is not None:
                failures[name] = f"{err!r} after {took[name]:.1f} s"
    assert not failures, "\n".join(f"{name}: {text}" for name, text in failures.items())
    for server in servers.values():
        assert server.ask().status == 200
