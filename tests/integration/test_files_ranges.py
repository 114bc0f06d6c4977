# SPDX-License-Identifier: MIT
"""Ranges and conditions (RFC 9110, 13 and 14), for files in memory and files that are not."""
import email
import email.policy
import email.utils
import os

import pytest

from files import content, fields_of, serve, site, www  # noqa: F401 (fixtures)

TIME = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
SIZES = (1000, 100000)


@pytest.fixture(params=SIZES)
def file(request, serve, www):
    """A client, the file's bytes, and its tag."""
    data = content(request.param)
    (www / "f").write_bytes(data)
    os.utime(www / "f", (TIME, TIME))
    with serve().connect() as client:
        yield client, data, client.ask(target="/f").get("ETag")


def parts_of(answer):
    """The parts of a multipart answer: [(Content-Range, Content-Type, bytes)]."""
    head = f"Content-Type: {answer.get('Content-Type')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    assert message.is_multipart() and not message.defects
    boundary = message.get_boundary().encode()
    assert answer.body.endswith(b"\r\n--" + boundary + b"--\r\n")
    pieces = answer.body.split(b"--" + boundary)[1:-1]
    result = []
    for piece in pieces:
        head, _, body = piece.partition(b"\r\n\r\n")
        part = email.message_from_bytes(head.strip() + b"\r\n\r\n")
        assert body.endswith(b"\r\n")
        result.append((part["Content-Range"], part["Content-Type"], body[:-2]))
    return result


# ---- one range

@pytest.mark.parametrize("value, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-", 0, -1), ("bytes=1-", 1, -1), ("bytes=-1", -1, -1),
    ("bytes=-10", -10, -1), ("bytes=10-19", 10, 19), ("bytes=0-999999", 0, -1),
    ("bytes=-999999", 0, -1), ("bytes=999-", 999, -1), ("bytes=0-18446744073709551616", 0, -1),
    ("bytes=-99999999999999999999999", 0, -1), ("BYTES=5-6", 5, 6), ("bytes=5-6,", 5, 6),
    ("bytes= 5-6 ", 5, 6), ("bytes=5-6,1000000-", 5, 6), ("bytes=0-0,-0", 0, 0),
])
def test_one_range(file, value, first, last):
    client, data, tag = file
    first, last = first % len(data), last % len(data)
    answer = client.ask("GET", "/f", f"Range: {value}")
    assert answer.status == 206
    assert answer.body == data[first:last + 1]
    assert answer.get("Content-Range") == f"bytes {first}-{last}/{len(data)}"
    assert answer.get("Content-Length") == str(last - first + 1)
    assert answer.get("ETag") == tag and answer.get("Last-Modified") == DATE
    assert answer.get("Content-Type") == "application/octet-stream"


@pytest.mark.parametrize("value", ["bytes=1000000-", "bytes=100000-100000", "bytes=-0",
                                   "bytes=100000-,-0", "bytes=18446744073709551616-"])
def test_no_such_range(file, value):
    client, data, _ = file
    answer = client.ask("GET", "/f", f"Range: {value}")
    assert (answer.status, answer.get("Content-Range")) == (416, f"bytes */{len(data)}")
    assert answer.get("Content-Type").startswith("text/plain")


@pytest.mark.parametrize("value", ["bytes", "bytes=", "bytes=a-b", "bytes=5", "bytes=5-4", "bytes=--5",
                                   "bytes=5-6-7", "bytes=1-2;3-4", "items=0-1", "0-1", "=0-1",
                                   "bytes=0x1-2", "bytes=+1-2", "bytes=1 -2", "bytes:0-1", "bytes=-"])
def test_a_malformed_range_is_ignored(file, value):
    client, data, _ = file
    answer = client.ask("GET", "/f", f"Range: {value}")
    assert (answer.status, answer.body, answer.get("Content-Range")) == (200, data, None)


def test_two_fields_are_no_range(file):
    client, data, _ = file
    assert client.ask("GET", "/f", "Range: bytes=0-1", "Range: bytes=0-1").body == data


def test_ranges_are_for_get(file):
    client, data, _ = file
    answer = client.ask("HEAD", "/f", "Range: bytes=0-1")
    assert (answer.status, answer.get("Content-Length")) == (200, str(len(data)))


def test_ranges_of_nothing(serve, www):
    (www / "f").write_bytes(b"")
    with serve().connect() as client:
        for value in ("bytes=0-", "bytes=-0", "bytes=0-0"):
            answer = client.ask("GET", "/f", f"Range: {value}")
            assert (answer.status, answer.get("Content-Range")) == (416, "bytes */0")
        # RFC 9110, 14.1.2: satisfiable, and all there is
        answer = client.ask("GET", "/f", "Range: bytes=-1")
        assert (answer.status, answer.get("Content-Range")) == (200, None)


# ---- several ranges

@pytest.mark.parametrize("value, ranges", [
    ("bytes=0-0,-1", [(0, 0), (-1, -1)]),
    ("bytes=10-19, 0-9", [(10, 19), (0, 9)]),
    ("bytes=1-2,3-4,5-6", [(1, 2), (3, 4), (5, 6)]),
    ("bytes=0-99,50-149,-100", [(0, 99), (50, 149), (-100, -1)]),
    ("bytes=0-1,1000000-,2-3", [(0, 1), (2, 3)]),
    ("bytes=" + ",".join(f"{20 * i}-{20 * i + 9}" for i in range(16)),
     [(20 * i, 20 * i + 9) for i in range(16)]),
])
def test_several_ranges(serve, www, value, ranges):
    with serve().connect() as client:
        for size in (1000, 100000):
            data = content(size)
            (www / f"{size}.css").write_bytes(data)
            answer = client.ask("GET", f"/{size}.css", f"Range: {value}")
            wanted = [(first % size, last % size) for first, last in ranges]
            assert answer.status == 206 and answer.get("Content-Range") is None
            assert answer.get("Content-Length") == str(len(answer.body))
            assert parts_of(answer) == [
                (f"bytes {first}-{last}/{size}", "text/css; charset=utf-8", data[first:last + 1])
                for first, last in wanted]


def test_large_parts(serve, www):
    data = content(1 << 20)
    (www / "f").write_bytes(data)
    answer = serve().ask("GET", "/f", "Range: bytes=1-300000,400000-700000,-1")
    assert [body for _, _, body in parts_of(answer)] == [data[1:300001], data[400000:700001],
                                                         data[-1:]]


@pytest.mark.parametrize("value", [
    "bytes=" + ",".join(f"{20 * i}-{20 * i + 9}" for i in range(17)),  # one more than the limit
    "bytes=" + ",".join(["0-"] * 16),
    "bytes=0-,0-", "bytes=0-9,0-9,0-9,0-9", "bytes=0-499,-500", "bytes=0-99999,0-1"])
def test_too_much_is_answered_with_the_whole(serve, www, value):
    data = content(1000)
    (www / "f").write_bytes(data)
    answer = serve().ask("GET", "/f", f"Range: {value}")
    assert (answer.status, answer.body) == (200, data)


def test_boundaries_differ(file):
    client, _, _ = file
    kinds = {client.ask("GET", "/f", "Range: bytes=0-1,4-5").get("Content-Type") for _ in range(20)}
    assert len(kinds) == 20


# ---- conditions: TAG stands for the file's tag

CONDITIONS = [
    (["If-None-Match: TAG"], 304), (["If-None-Match: W/TAG"], 304), (["If-None-Match: *"], 304),
    (['If-None-Match: "x", TAG , "y"'], 304), (['If-None-Match: "x"'], 200),
    (['If-None-Match: "x"', "If-None-Match: TAG"], 304), (["If-None-Match: TAGx"], 200),
    (["If-None-Match: "], 200),
    (["If-Modified-Since: " + DATE], 304), (["If-Modified-Since: " + LATER], 304),
    (["If-Modified-Since: " + EARLIER], 200), (["If-Modified-Since: yesterday"], 200),
    (["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
    (["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 304),
    (['If-None-Match: "x"', "If-Modified-Since: " + LATER], 200),
    (["If-None-Match: TAG", "If-Modified-Since: " + EARLIER], 304),
    (["If-Match: TAG"], 200), (["If-Match: *"], 200), (["If-Match: W/TAG"], 412),
    (['If-Match: "x"'], 412), (['If-Match: "x", TAG'], 200), (["If-Match: x"], 412),
    (["If-Match: "], 412),
    (["If-Unmodified-Since: " + DATE], 200), (["If-Unmodified-Since: " + LATER], 200),
    (["If-Unmodified-Since: " + EARLIER], 412), (["If-Unmodified-Since: never"], 200),
    (["If-Match: TAG", "If-Unmodified-Since: " + EARLIER], 200),
    (['If-Match: "x"', "If-Unmodified-Since: " + LATER], 412),
    (['If-Match: "x"', "If-None-Match: TAG"], 412), (["If-Match: TAG", "If-None-Match: TAG"], 304),
    (["If-Unmodified-Since: " + EARLIER, "If-None-Match: TAG"], 412),
    (["If-Unmodified-Since: " + DATE, "If-Modified-Since: " + DATE], 304),
    (["Range: bytes=0-1", "If-None-Match: TAG"], 304), (["Range: bytes=0-1", 'If-Match: "x"'], 412),
    (["Range: bytes=0-1", "If-Match: TAG"], 206), (['Range: bytes=0-1', 'If-None-Match: "x"'], 206),
    (["Range: bytes=9999999-", 'If-Match: "x"'], 412),
    (["Range: bytes=9999999-", "If-None-Match: TAG"], 304),
    (["Range: bytes=0-1", "If-Range: TAG"], 206), (["Range: bytes=0-1", "If-Range: W/TAG"], 200),
    (["Range: bytes=0-1", 'If-Range: "x"'], 200), (["Range: bytes=0-1", "If-Range: " + DATE], 206),
    (["Range: bytes=0-1", "If-Range: " + LATER], 200),
    (["Range: bytes=0-1", "If-Range: " + EARLIER], 200), (["Range: bytes=0-1", "If-Range: x"], 200),
    (["Range: bytes=0-1", "If-Range: "], 200),
    (["Range: bytes=9999999-", 'If-Range: "x"'], 200), (["Range: bytes=9999999-", "If-Range: TAG"], 416),
    (["Range: bytes=0-1,3-4", 'If-Range: "x"'], 200), (["Range: bytes=0-1,3-4", "If-Range: TAG"], 206),
    (["If-Range: TAG"], 200),
]


@pytest.mark.parametrize("conditions, status", CONDITIONS,
                         ids=lambda value: "; ".join(value) if isinstance(value, list) else None)
def test_conditions(file, conditions, status):
    client, data, tag = file
    lines = [line.replace("TAG", tag) for line in conditions]
    for method in ("GET", "HEAD"):
        wanted = status
        if method == "HEAD" and status in (206, 416):
            wanted = 200
        answer = client.ask(method, "/f", *lines)
        assert answer.status == wanted
        if wanted == 200:
            assert answer.body == (data if method == "GET" else b"")
            assert answer.get("Content-Length") == str(len(data))
        if wanted == 304:
            assert fields_of(answer) == [("ETag", tag)]
            assert answer.body == b""
        if wanted == 412:
            assert answer.get("ETag") is None


def test_the_tag_follows_the_content(serve, www):
    path = www / "f"
    with serve().connect() as client:
        tags = set()
        for i in range(10):
            path.write_text(f"same size {i}")
            os.utime(path, ns=(TIME * 10**9, TIME * 10**9 + i))
            answer = client.ask(target="/f")
            assert answer.body == f"same size {i}".encode()
            tags.add(answer.get("ETag"))
            assert client.ask("GET", "/f", "If-None-Match: " + answer.get("ETag")).status == 304
        assert len(tags) == 10


def test_the_date_is_that_of_the_file(serve, www):
    (www / "f").write_text("x")
    answer = serve().ask(target="/f")
    modified = email.utils.parsedate_to_datetime(answer.get("Last-Modified")).timestamp()
    assert modified == int((www / "f").stat().st_mtime)
    assert email.utils.parsedate_to_datetime(answer.get("Date")).timestamp() >= modified
