# SPDX-License-Identifier: MIT

"""The load client against servers that behave, misbehave and stall on purpose."""

import asyncio
import contextlib
import json
import socket
import subprocess
import threading

import pytest

HEAD_END = b"\r\n\r\n"


def answer(body=b"hello, world\n", status=b"200 OK", extra=b""):
    return (b"HTTP/1.1 " + status + b"\r\n" + extra + b"Content-Length: "
            + str(len(body)).encode() + HEAD_END + body)


@contextlib.contextmanager
def serving(handler):
    """Runs `handler(reader, writer)` for every connection on a free port, on a thread."""
    ready = threading.Event()
    state = {}

    async def connection(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    async def main():
        server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
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


def answering(*answers):
    """A handler that answers requests in turn with the given bytes, over and over."""
    async def handler(reader, writer):
        number = 0
        while await reader.readuntil(HEAD_END):
            writer.write(answers[number % len(answers)])
            await writer.drain()
            number += 1
    return handler


@pytest.fixture(name="load")
def fixture_load(load_program):
    def run(mode, port, *options, seconds="0.3"):
        command = [load_program, mode, "--port", str(port), "--connections", "4", "--warmup", "0.1",
                   "--seconds", seconds, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else None
    return run


def errors(report):
    return {name: count for name, count in report["errors"].items() if count}


def test_counts_correct_answers_and_reports_latencies(load):
    with serving(answering(answer())) as port:
        status, report = load("http", port, "--expect", "13")
    assert status == 0 and not errors(report)
    assert report["answers"] > 100
    assert report["rate"] == pytest.approx(report["answers"] / report["seconds"], rel=0.01)
    latency = report["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]


@pytest.mark.parametrize("bad, kind", [
    (answer(status=b"500 Internal Server Error"), "status"),
    (answer(b"hello, world"), "length"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
    (answer() + answer(), "protocol"),  # one more than was asked for
])
def test_a_wrong_answer_after_right_ones_is_found_and_named(load, bad, kind):
    with serving(answering(answer(), answer(), bad)) as port:
        status, report = load("http", port, "--expect", "13")
    assert status == 1
    # The error limit may have ended the run before there was a report.
    assert report is None or set(errors(report)) == {kind}


def test_a_server_that_closes_early_is_an_error(load):
    async def once(reader, writer):
        await reader.readuntil(HEAD_END)
        writer.write(answer()[:-1])

    with serving(once) as port:
        status, report = load("http", port)
    assert status == 1
    assert report is None or set(errors(report)) == {"closed"}


def test_answers_in_pieces_are_put_together(load):
    async def dribble(reader, writer):
        while await reader.readuntil(HEAD_END):
            for byte in answer():
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

    with serving(dribble) as port:
        status, report = load("http", port, "--expect", "13")
    assert status == 0 and report["answers"] > 10


def test_heads_may_change_from_answer_to_answer(load):
    heads = [answer(extra=b"X: " + b"x" * n + b"\r\n") for n in (1, 2, 200, 3000)]
    with serving(answering(*heads)) as port:
        status, report = load("http", port, "--expect", "13")
    assert status == 0 and report["answers"] > 10


@pytest.mark.parametrize("options", [(), ("--discard",)])
@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
def test_bodies_of_any_size_are_counted_to_the_byte(load, size, options):
    whole = answer(b"b" * size)
    with serving(answering(whole)) as port:
        status, report = load("http", port, "--expect", str(size), *options)
    assert status == 0
    received = report["bytes_rate"] * report["seconds"]
    # Each of the four connections may be in the middle of an answer at both ends.
    assert abs(received - report["answers"] * len(whole)) <= 4 * len(whole)


def test_pipelining_keeps_that_many_requests_in_flight(load):
    most = 0

    async def in_batches(reader, writer):
        nonlocal most
        while chunk := await reader.read(65536):
            most = max(most, chunk.count(HEAD_END))
            writer.write(answer() * chunk.count(HEAD_END))

    with serving(in_batches) as port:
        status, report = load("http", port, "--pipeline", "8")
    assert status == 0 and report["answers"] > 100
    assert most == 8


def stalling(stalls):
    """Answers at once, but the 20th request of all and what follows waits for a while."""
    seen = 0
    gate = asyncio.Lock()

    async def handler(reader, writer):
        nonlocal seen
        while await reader.readuntil(HEAD_END):
            async with gate:
                seen += 1
                if seen == 20:
                    await asyncio.sleep(stalls)
            writer.write(answer())
    return handler


def test_a_stall_counts_in_all_requests_that_were_due_in_it(load):
    with serving(stalling(0.5)) as port:
        status, report = load("http", port, "--rate", "200", seconds="1")
    assert status == 0 and report["answers"] + report["unanswered"] == pytest.approx(200, abs=2)
    # Half of the second was stalled: about half of the requests waited, on average 250 ms.
    assert report["latency_us"]["p90"] > 300_000
    assert report["latency_us"]["mean"] > 60_000


def test_without_a_rate_the_same_stall_hides_in_few_requests(load):
    with serving(stalling(0.5)) as port:
        status, report = load("http", port, seconds="1")
    assert status == 0
    assert report["latency_us"]["p90"] < 100_000 < report["latency_us"]["max"]


def test_requests_never_answered_are_in_the_histogram(load):
    async def silent(reader, _writer):
        await reader.read()

    with serving(silent) as port:
        status, report = load("http", port, "--rate", "100", seconds="0.5")
    assert status == 1
    assert report["answers"] == 0
    assert report["unanswered"] == pytest.approx(50, abs=2)
    assert report["latency_us"]["p50"] > 1_000_000  # the last answer is waited for one second


def test_the_rate_is_kept(load):
    with serving(answering(answer())) as port:
        status, report = load("http", port, "--rate", "300", seconds="1")
    assert status == 0 and report["rate"] == pytest.approx(300, rel=0.02)


def hold(load_program, port, while_open=lambda: None):
    command = [load_program, "idle", "--port", str(port), "--connections", "50"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as client:
        assert client.stdout.readline() == "ready\n"
        while_open()
        out, _ = client.communicate("\n", timeout=20)
    return client.returncode, json.loads(out)


def test_idle_connections_ask_once_and_stay(load_program):
    seen = []

    async def handler(reader, writer):
        while await reader.readuntil(HEAD_END):
            seen.append(writer)
            writer.write(answer())

    with serving(handler) as port:
        status, report = hold(load_program, port)
    assert status == 0 and report["held"] == 50 and len(seen) == 50


def test_connections_that_the_server_closes_are_not_held(load_program):
    closed = threading.Semaphore(0)

    async def handler(reader, writer):
        await reader.readuntil(HEAD_END)
        writer.write(answer())
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()
        closed.release()

    def wait_for_all():
        for _ in range(50):
            assert closed.acquire(timeout=10)

    with serving(handler) as port:
        _, report = hold(load_program, port, wait_for_all)
    assert report["held"] == 0


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("options", [("--size", "64"), ("--size", "16384", "--pipeline", "4")])
def test_echo_counts_messages(load, options):
    with serving(echo) as port:
        status, report = load("echo", port, *options)
    assert status == 0 and report["answers"] > 10


def test_one_wrong_byte_of_an_echo_is_found(load):
    async def corrupt(reader, writer):
        while data := await reader.readexactly(64):
            writer.write(data[:-1] + b"\0")

    with serving(corrupt) as port:
        status, report = load("echo", port)
    assert status == 1
    assert report is None or set(errors(report)) == {"length"}


@contextlib.contextmanager
def answering(answer):
    """A UDP server in a thread; `answer` gives what is sent back for a datagram, None for nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        over = threading.Event()

        def serve():
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, where = server.recvfrom(2048)
                    if (back := answer(data)) is not None:
                        server.sendto(back, where)

        server.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("options", [("--size", "64"), ("--size", "1200", "--pipeline", "100"),
                                     ("--size", "64", "--pipeline", "40", "--packed")])
def test_udp_counts_messages(load, options):
    with answering(lambda data: data) as port:
        status, report = load("udp", port, "--connections", "2", *options)
    assert status == 0 and report["answers"] > 10


def test_udp_asks_again_for_what_was_lost(load):
    seen = []

    def forget(data):
        seen.append(data)
        return None if len(seen) % 50 == 0 else data

    with answering(forget) as port:
        status, report = load("udp", port, "--connections", "1", "--warmup", "0")
    assert status == 0 and report["answers"] > 10 and report["unanswered"] > 0


def test_one_wrong_byte_of_a_datagram_is_found(load):
    with answering(lambda data: data[:-1] + b"\0") as port:
        status, report = load("udp", port)
    assert status == 1 and (report is None or set(errors(report)) == {"length"})


def test_nobody_listening_is_told(load):
    status, report = load("http", 1)
    assert status == 1 and report is None


@pytest.mark.parametrize("arguments", [
    (), ("http",), ("fly", "--port", "1"), ("http", "--port", "0"), ("http", "--port", "70000"),
    ("http", "--port", "1", "--connections", "0"), ("http", "--port", "1", "--seconds", "x"),
    ("http", "--port", "1", "--rate", "5", "--pipeline", "2"), ("http", "--port", "1", "more"),
    ("http", "--port", "1", "--no-such-option"), ("udp", "--port", "1", "--size", "7"),
    ("udp", "--port", "1", "--size", "1401"), ("udp", "--port", "1", "--rate", "5"),
])
def test_wrong_usage_is_refused(load_program, arguments):
    done = subprocess.run([load_program, *arguments], capture_output=True, text=True, timeout=10,
                          check=False)
    assert done.returncode == 2 and "usage:" in done.stderr
