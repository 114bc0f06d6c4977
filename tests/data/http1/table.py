# SPDX-License-Identifier: MIT
"""Reads malformed.txt, whose head describes it: for x in table.load(): x.name, x.send, x.expect ..."""
import dataclasses
import pathlib
import re

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"'}


@dataclasses.dataclass
class Expectation:
    """One answer. Of status, method and target only those are set that the table gives."""
    statuses: tuple = ()     # acceptable ones; empty when no answer is expected
    method: str = ""         # what the handler sees; empty for a refusal
    target: str = ""
    body: bytes = b""
    closes: bool | None = False  # the connection is closed afterwards; None: it may be either way


@dataclasses.dataclass
class Entry:
    name: str
    layer: str = ""
    needs: str = ""
    send: bytes = b""
    expect: list = dataclasses.field(default_factory=list)
    why: str = ""


def _bytes(text):
    def one(match):
        letter = match.group(1)
        return _ESCAPES[letter] if letter in _ESCAPES else bytes([int(letter[1:], 16)])
    parts = re.split(r"(\\(?:x[0-9a-fA-F]{2}|.))", text)
    return b"".join(one(re.match(r"\\(.*)", part)) if part.startswith("\\") else part.encode()
                    for part in parts)


def _expectation(text, layer):
    words = text.split(" ")
    if text == "wait":
        return Expectation()
    if text == "close":
        return Expectation(closes=True)
    if len(words) == 1:
        closes = True if layer == "parser" else None
        return Expectation(tuple(map(int, text.split("|"))), closes=closes)
    return Expectation((int(words[0]),), words[1], words[2], closes=words[3:] == ["closing"])


def load(path=pathlib.Path(__file__).with_name("malformed.txt")):
    """Returns the entries of the table in order."""
    entries = []
    for line in pathlib.Path(path).read_text().splitlines():
        line = line.rstrip()
        if not line or line.startswith("#"):
            continue
        key, value = re.match(r"([a-z]+(?:\*\d+)?): ?(.*)", line).groups()
        key, _, times = key.partition("*")
        if key == "name":
            entries.append(Entry(value))
        elif key == "send":
            entries[-1].send += _bytes(value) * int(times or 1)
        elif key == "expect":
            entries[-1].expect.append(_expectation(value, entries[-1].layer))
        elif key == "body":
            entries[-1].expect[-1].body = _bytes(value)
        else:
            setattr(entries[-1], key, value)
    return entries
