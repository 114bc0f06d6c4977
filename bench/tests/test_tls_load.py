# SPDX-License-Identifier: MIT

"""The load client of TLS against servers that behave, misbehave and stall on purpose."""

import asyncio
import contextlib
import json
import pathlib
import ssl
import subprocess
import threading

import pytest

from harness import tls_servers

HEAD_END = b"\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello, world\n"


@pytest.fixture(name="context", scope="module")
def fixture_context(tmp_path_factory):
    place = tls_servers.Place(pathlib.Path(tmp_path_factory.mktemp("tls")), 0, 0)
    tls_servers.make_certificate(place, "p256")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.cert, place.key)
    return context


@contextlib.contextmanager
def serving(context, answer, stall=0.0):
    """Answers every request with the same bytes; the hundredth one of all only after `stall`."""
    ready = threading.Event()
    state = {"asked": 0}

    async def connection(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(HEAD_END):
                state["asked"] += 1
                if state["asked"] == 100 and stall:
                    threading.Event().wait(stall)  # the whole server stands still
                writer.write(answer)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def main():
        server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=context, backlog=1024)
        state.update(port=server.sockets[0].getsockname()[1], stop=asyncio.Event(),
                     loop=asyncio.get_running_loop())
        ready.set()
        await state["stop"].wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(5)
    try:
        yield state["port"]
    finally:
        state["loop"].call_soon_threadsafe(state["stop"].set)
        thread.join(5)


@pytest.fixture(name="load")
def fixture_load(tls_load_program):
    def run(mode, port, *options, seconds="0.5"):
        command = [tls_load_program, mode, "--port", str(port), "--connections", "4", "--warmup",
                   "0.2", "--seconds", seconds, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr
    return run


@pytest.mark.parametrize("mode", ["full", "resumed", "http"])
def test_counts_what_goes_well(load, context, mode):
    with serving(context, GOOD) as port:
        status, report = load(mode, port, "--expect", "13")
    assert status == 0
    assert report["answers"] > 0
    assert not any(report["errors"].values())


def test_says_when_there_is_no_ticket(load, context):
    context.num_tickets = 0
    try:
        with serving(context, GOOD) as port:
            status, said = load("resumed", port)
    finally:
        context.num_tickets = 2
    assert status == 2
    assert "no ticket" in said


@pytest.mark.parametrize("answer, error", [
    (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status"),
    (GOOD.replace(b"13", b"12"), "length"),
    (b"nonsense" + HEAD_END, "protocol"),
])
def test_counts_what_is_wrong(load, context, answer, error):
    with serving(context, answer) as port:
        status, report = load("http", port, "--expect", "13")
    assert status == 1
    assert report["errors"][error] > 0


def test_a_stall_is_seen_by_all_that_was_due_in_it(load, context):
    with serving(context, GOOD, stall=0.4) as port:
        status, report = load("http", port, "--rate", "200", seconds="2")
    assert status == 0
    # 80 of the 400 requests that are due in the time are due while the server stands still.
    assert report["latency_us"]["p99"] > 200_000
    assert report["answers"] + report["unanswered"] > 390
