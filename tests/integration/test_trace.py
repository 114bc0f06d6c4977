# SPDX-License-Identifier: MIT
"""thrum trace: a trace as text and as JSON that trace viewers open."""
import json
import os
import re
import struct
import subprocess

import pytest

from serving import TIMEOUT

HEAD = struct.Struct("=8sIIqqIIQ")
RING = struct.Struct("=IIQQ")
RECORD = struct.Struct("=qIBBHQQ")
NAME = struct.Struct("=QII")


@pytest.fixture
def trace(thrum_bin):
    """Runs the subcommand: (status, output, errors)."""
    def run(*words):
        done = subprocess.run([thrum_bin, "trace", *words], text=True, timeout=TIMEOUT,
                              capture_output=True, errors="surrogateescape")
        return done.returncode, done.stdout, done.stderr
    return run


@pytest.fixture(params=["epoll", "uring"])
def recorded(request, start, thrum_bin, tmp_path):
    """The trace of a server that has answered a hundred times."""
    path = tmp_path / "trace"
    server = start(thrum_bin, "echo", "--listen", "127.0.0.1:0", "--workers", "2",
                   "--backend", request.param, env={**os.environ, "THRUM_TRACE": str(path)})
    with server.connect() as client:
        for _ in range(100):
            client.send(b"warp")
            assert client.take(4) == b"warp"
    server.stop()
    return path


def made(path, rings, names=(), version=1):
    """Writes a trace: rings are (worker, dropped, records)."""
    data = HEAD.pack(b"thrumtr\0", version, RECORD.size, 10**9, 2 * 10**18, 4711, len(rings),
                     len(names))
    for worker, dropped, records in rings:
        data += RING.pack(worker, 100 + worker, len(records), dropped)
        data += b"".join(RECORD.pack(*record) for record in records)
    for address, text in names:
        data += NAME.pack(address, len(text), 0) + text
    path.write_bytes(data)
    return path


def mark(text):
    return struct.unpack("=QQ", text.ljust(16, b"\0"))


def test_a_servers_trace_as_text(trace, recorded):
    status, out, err = trace(recorded)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    rings = [line for line in lines if line.startswith("worker ")]
    assert 1 <= len(rings) <= 2
    events = [line.split() for line in lines[len(rings) + 1:]]
    times = [float(words[0]) for words in events]
    assert times == sorted(times) and times[0] == 0
    kinds = {words[3] for words in events}
    assert {"sleep", "event", "fiber", "message"} <= kinds
    fibers = [words for words in events if words[3] == "fiber"]
    assert len(fibers) >= 10
    assert any("+0x0" in words[-2] for words in fibers), fibers[:5]


def test_a_servers_trace_as_json_is_what_viewers_want(trace, recorded):
    """The form is Chrome's trace event format: complete events, properly nested on each thread."""
    status, out, _ = trace("--json", recorded)
    document = json.loads(out)
    events = document["traceEvents"]
    assert status == 0 and document["displayTimeUnit"] == "ns"
    assert {"process_name", "thread_name"} <= {e["name"] for e in events if e["ph"] == "M"}
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) >= 50
    for e in spans:
        assert isinstance(e["pid"], int) and isinstance(e["tid"], int)
        assert e["ts"] > 0 and e["dur"] >= 0 and e["name"] and e["cat"]
        assert set(e["args"]) == {"channel", "function"}
    for thread in {e["tid"] for e in spans}:
        open_ends = []
        for e in sorted((e for e in spans if e["tid"] == thread),
                        key=lambda e: (e["ts"], -e["dur"])):
            begin, end = round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000)
            while open_ends and open_ends[-1] <= begin:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] + 1, e
            open_ends.append(end)


def test_every_kind_has_its_words(trace, tmp_path):
    records = [
        (1000, 500, 1, 0, 0, 0, 0), (2000, 1500, 2, 0, 5, 7, 0xa0), (3000, 0, 3, 0, 0, 1000, 0xa1),
        (4000, 1, 4, 0, 0, 0xbeef, 0xa2), (5000, 1, 5, 0, 0, 0xbee5, 0xa2),
        (6000, 1, 6, 0, 1, 0xbee6, 0xa2), (7000, 1, 7, 0, 1, 12, 0xa0), (8000, 1, 8, 0, 0, 9, 0xa0),
        (9000, 0, 9, 0, 0, *mark(b"a \"mark\"\n")), (9500, 2**32 - 1, 77, 0, 0, 0, 0xa0)]
    path = made(tmp_path / "trace", [(3, 17, records)],
                [(0xa1, b"ring+0x0 (bell)"), (0xa0, b"weave+0x1c (loom)")])
    status, out, err = trace(path)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "worker 3: thread 103, 10 events, 17 older ones were overwritten"
    told = [re.sub(r" +", " ", line.strip()) for line in out.splitlines()[2:]]
    assert told == [
        "0.000000 3 0.500 sleep sleep", "0.001000 3 1.500 event descriptor 7 read hangup "
        "weave+0x1c (loom)", "0.002000 3 0.000 timer 2.000 us late ring+0x0 (bell)",
        "0.003000 3 0.001 message 0xbeef 0xa2", "0.004000 3 0.001 deferred 0xbee5 0xa2",
        "0.005000 3 0.001 call 0xbee6 failed 0xa2", "0.006000 3 0.001 fiber fiber 12 ended "
        "weave+0x1c (loom)", "0.007000 3 0.001 callback descriptor 9 weave+0x1c (loom)",
        "0.008000 3 0.000 mark a \"mark\"?", "0.008500 3 4294967.295 ? weave+0x1c (loom)"]
    events = json.loads(trace("--json", path)[1])["traceEvents"]
    moment = next(e for e in events if e["ph"] == "i")
    assert (moment["name"], moment["s"]) == ("a \"mark\"\n", "t")
    assert [e["name"] for e in events if e["ph"] == "X"][1:3] == ["weave", "ring"]


def test_workers_are_put_together_by_time(trace, tmp_path):
    path = made(tmp_path / "trace", [(0, 0, [(10, 1, 7, 0, 0, n, 0) for n in (1, 2)]),
                                     (1, 0, [(5, 1, 7, 0, 0, 3, 0), (20, 1, 7, 0, 0, 4, 0)])])
    told = [line.split()[5] for line in trace(path)[1].splitlines()[3:]]
    assert told == ["3", "1", "2", "4"]


def test_a_trace_without_events(trace, tmp_path):
    path = made(tmp_path / "trace", [])
    assert trace(path)[0] == 0
    assert json.loads(trace("--json", path)[1])["traceEvents"][0]["name"] == "process_name"


def test_what_is_wrong_is_one_line(trace, tmp_path):
    good = made(tmp_path / "good", [(0, 0, [(10, 1, 7, 0, 0, 1, 0)])], [(1, b"x" * 40)]).read_bytes()
    path = tmp_path / "trace"
    for data, wrong in [(b"", "it is no trace"), (b"#!/bin/sh\n" * 20, "it is no trace"),
                        (good[:-1], "it ends too early"), (good[:70], "it ends too early"),
                        (made(path, [], version=2).read_bytes(), "it is of another version"),
                        (good[:36] + b"\xff\xff\xff\x7f" + good[40:], "it is damaged"),
                        (good[:56] + b"\xff" * 8 + good[64:], "it is damaged")]:
        path.write_bytes(data)
        assert trace(path) == (1, "", f"thrum trace: {path}: {wrong}\n")
    assert trace(tmp_path / "none")[0::2] == (
        1, f"thrum trace: {tmp_path}/none: No such file or directory\n")
    assert trace()[0::2] == (2, "thrum trace: which file? (see thrum trace --help)\n")
    assert trace("a", "b")[0] == 2


def test_no_cut_and_no_flipped_bit_does_harm(trace, tmp_path):
    good = made(tmp_path / "good", [(0, 0, [(10, 1, 7, 0, 0, 1, 1)])], [(1, b"weave")]).read_bytes()
    path = tmp_path / "trace"
    for at in range(0, len(good)):
        for data in (good[:at], good[:at] + bytes([good[at] ^ 0xff]) + good[at + 1:]):
            path.write_bytes(data)
            status, _, err = trace("--json", path)
            assert status in (0, 1) and err.count("\n") == status
