# SPDX-License-Identifier: MIT
"""Malformed, ambiguous and odd requests, from a table, against a live server: each gets the answer
that the table gives, whatever pieces it comes in, and never hurts the next client."""
import pathlib
import re
import sys
import threading

import pytest

import serving
import wire

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "data" / "http1"))
import table  # noqa: E402

ENTRIES = table.load()
PARSED = [entry for entry in ENTRIES if entry.layer == "parser"]

# What the servers are set up with; "file" is the program itself, on a folder.
SETTINGS = {
    "": {},
    "small-body": {"body_size": 1 << 20},
    "length-required": {"length_required": 1},
    "timeout": {"head_time": 300, "idle_time": 300},
    "no-http2": {},
}


def whole(client, data):
    client.send(data)


def bytewise(client, data):
    """Byte by byte; where there are very many, the first and the last of them."""
    few = 400
    client.send_slowly(data[:few])
    client.send_slowly(data[few:-few], 4096)
    client.send_slowly(data[few:][-few:])


def halves(client, data):
    client.send_slowly(data, max(1, (len(data) + 1) // 2))


def seen_target(response):
    """The target that the handler saw; of the absolute form, path and query."""
    target = response.get("X-Target")
    match = re.match(r"(?i)https?://[^/?]*", target)
    target = target[match.end():] if match else target
    return target if target[:1] in ("/", "*") else "/" + target


def check_handled(client, expected):
    response = client.response(expected.method)
    assert response.status in expected.statuses
    assert response.get("X-Method") == expected.method
    assert seen_target(response) == expected.target
    if expected.method != "HEAD":
        assert response.body == expected.body
    assert response.closing == (expected.closes is True)


def check_refused(client, expected):
    response = client.response()
    assert response.status in expected.statuses
    if expected.closes is True:
        assert response.closing and response.body.startswith(b"%d " % response.status)


def replay(server, entry, send):
    """Sends an entry and checks what comes back; leaves an open connection by finishing it."""
    with server.connect() as client:
        send(client, entry.send)
        open_end = True
        for expected in entry.expect:
            if not expected.statuses:
                open_end = not expected.closes
                break
            check = check_handled if expected.method else check_refused
            check(client, expected)
            if expected.closes is not False:
                open_end = None if expected.closes is None else False
        if open_end:
            assert client.quiet()
        if open_end is not False:
            client.finish()
        assert client.at_end(), client.buffer


def still_good(server):
    assert server.ask("POST", "/after?x=1", body=b"abc").body == b"abc"


def failures_of(server, entries, send):
    """The entries that fail, each with its reason."""
    failures = {}
    for entry in entries:
        try:
            replay(server, entry, send)
            still_good(server)
        except (AssertionError, wire.Closed, OSError) as err:
            failures[entry.name] = f"{type(err).__name__}: {err} ({entry.why})"
    return failures


@pytest.fixture(scope="module")
def server(servers):
    """One server for all entries: each follows upon the damage that the others did."""
    with serving.running([servers / "http_probe", "workers=1"]) as server:
        yield server


@pytest.mark.parametrize("entry", PARSED,
                         ids=lambda entry: entry.name)
def test_request(server, entry):
    replay(server, entry, whole)
    still_good(server)


@pytest.mark.parametrize("send", [bytewise, halves], ids=lambda send: send.__name__)
def test_all_in_pieces(server, send):
    assert failures_of(server, PARSED, send) == {}


def test_all_on_every_back_end(probe, setup):
    backend, workers = setup
    server = probe(backend=backend, workers=workers)
    assert failures_of(server, PARSED, whole) == {}


def test_all_that_are_good_in_one_connection(server):
    """Requests that leave the connection open, one after another, and then all at once."""
    good = [e for e in PARSED if e.expect and all(
        x.method and x.closes is False for x in e.expect)]
    assert len(good) > 40
    with server.connect() as client:
        for entry in good:
            client.send(entry.send)
            for expected in entry.expect:
                check_handled(client, expected)
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=[e.send for e in good], daemon=True)
        sender.start()
        for entry in good:
            for expected in entry.expect:
                check_handled(client, expected)
        sender.join()


@pytest.mark.parametrize("needs", ["small-body", "length-required", "no-http2"])
def test_limits(probe, needs):
    server = probe(**SETTINGS[needs])
    entries = [e for e in ENTRIES if e.needs == needs]
    assert entries
    assert failures_of(server, entries, whole) == {}
    still_good(server)


def test_timeouts(probe):
    """All at once, since the pace of a body is judged over some seconds."""
    server = probe(**SETTINGS["timeout"])
    entries = [e for e in ENTRIES if e.needs == "timeout"]
    failures = {}
    threads = [threading.Thread(target=lambda e=e: failures.update(
        failures_of(server, [e], whole))) for e in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == {}


def test_files(start, thrum_bin, tmp_path):
    (tmp_path / "file.txt").write_text("a file\n")
    server = start(thrum_bin, "serve", tmp_path, "--listen", "127.0.0.1:0")
    entries = [e for e in ENTRIES if e.needs == "file"]
    failures = {}
    for entry in entries:
        try:
            replay(server, entry, whole)
        except (AssertionError, wire.Closed) as err:
            failures[entry.name] = str(err)
    assert failures == {}
    assert server.ask("GET", "/file.txt").body == b"a file\n"
