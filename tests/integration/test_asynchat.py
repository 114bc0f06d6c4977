# SPDX-License-Identifier: MIT
"""The same scripts through CPython's asynchat and through Thrum's chats: what the handlers hear, and
what the peer gets, is the same, byte for byte and piece for piece.

What differs by intent, and is not in the scripts: a terminator that is changed by the handler that
collects a part of a counted record (asynchat takes the length of the part off the new one), and what
a handler that fails has been told of (asynchat tells it again).
"""
import fcntl
import pathlib
import random
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest

from serving import TIMEOUT

ASYNCHAT = pathlib.Path(__file__).parent / "peers" / "asynchat_probe.py"
SCRIPTS = 40  # for each seed


def reference(loop):
    return [sys.executable, "-W", "ignore", str(ASYNCHAT), loop]


def has_asynchat():
    return subprocess.run([sys.executable, "-W", "ignore", "-c", "import asynchat"],
                          capture_output=True).returncode == 0


def is_taken(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0] == 0


def sleeps(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "SZ"


def wait_until_taken(sock, pid):
    """
    Waits until the other end has received everything, and has nothing to do: then the next piece is
    one of its own. A call that is still receiving would take it, too.
    """
    end = time.monotonic() + TIMEOUT
    while not (is_taken(sock) and sleeps(pid)):
        assert time.monotonic() < end
        time.sleep(0)


def converse(program, stages, pieces):
    """Runs one side on a socket; returns what it said of its handlers, and what it sent."""
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen([*program, str(theirs.fileno()), *stages], stdout=subprocess.PIPE,
                                pass_fds=[theirs.fileno()], text=True) as done:
        theirs.close()
        ours.settimeout(TIMEOUT)
        for piece in pieces:
            ours.sendall(piece)
            wait_until_taken(ours, done.pid)
        ours.shutdown(socket.SHUT_WR)
        sent = b""
        while data := ours.recv(65536):
            sent += data
        told = done.stdout.read().split("\n")
        assert done.wait(TIMEOUT) == 0
    return told, sent


ALPHABET = b"ab\r\n."


class Script:
    """A conversation made up from a seed: few letters, so that terminators nearly occur often."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.closes = self.random.random() < 0.2  # then all arrives in one piece
        self.discards = not self.closes and self.random.random() < 0.2
        count = self.random.randint(1, 8)
        self.terminators = [self.terminator() for _ in range(count)]
        self.stages = [self.stage(i) for i in range(count)]
        if self.closes:
            self.stages.append("=,c")
        self.pieces = self.cut(self.text())

    def letters(self, low, high):
        return bytes(self.random.choice(ALPHABET)
                     for _ in range(self.random.randint(low, high)))

    def terminator(self):
        kind = self.random.random()
        if kind < 0.6:
            return self.random.choice([b"\n", b"\r\n", b"\r\n\r\n", b"aab", self.letters(1, 9)])
        if kind < 0.9:
            return self.random.randint(0, 30)
        return None

    def stage(self, i):
        term = self.terminators[i]
        said = "-" if term is None else f"n{term}" if isinstance(term, int) else f"b{term.hex()}"
        if i and self.random.random() < 0.3:
            said = "="
        for _ in range(self.random.choice([0, 0, 1, 2])):
            said += self.action(i)
        return said

    def action(self, i):
        if self.discards:
            return self.random.choice([",d", f",p{self.letters(1, 9).hex()}"]) if i else ""
        if self.random.random() < 0.6:
            return f",p{self.letters(1, 50).hex()}"
        return f",s{self.random.randint(1, 20)}:{self.letters(0, 90).hex()}"

    def text(self):
        parts = []
        for _ in range(self.random.randint(1, 25)):
            term = self.random.choice(self.terminators)
            parts.append(self.letters(0, 12))
            parts.append(term if isinstance(term, bytes) else b"")
        return b"".join(parts)

    def cut(self, text):
        if self.closes:
            return [text] if text else []
        pieces, longest = [], self.random.choice([1, 2, 5, 40, 1000])
        while text:
            size = self.random.randint(1, longest)
            pieces.append(text[:size])
            text = text[size:]
        return pieces

    def result(self, program):
        told, sent = converse(program, self.stages, self.pieces)
        if self.closes:  # whether the end is read before the loop gets round to closing is open
            told = [line for line in told if line != "end"]
        return told, sent


@pytest.mark.skipif(not has_asynchat(), reason="this Python has no asynchat (it went with 3.12)")
@pytest.mark.parametrize("backend", ["epoll", "uring", "poll", "select"])
def test_scripts_do_the_same(build, backend, monkeypatch):
    monkeypatch.setenv("THRUM_BACKEND", backend)
    ours = [str(build / "tests" / "integration" / "chat_probe")]
    for i in range(SCRIPTS):
        seed = f"{backend} {i}"
        script = Script(seed)
        expected = script.result(reference("poll" if i % 2 else "select"))
        assert script.result(ours) == expected, (seed, script.stages, script.pieces)


def test_the_scripts_reach_what_they_are_about(build):
    """Most of them find terminators, send, and end."""
    ours = [str(build / "tests" / "integration" / "chat_probe")]
    results = [Script(f"epoll {i}").result(ours) for i in range(SCRIPTS)]
    assert sum("found" in told for told, _ in results) > SCRIPTS // 2
    assert sum(told.count("found") > 3 for told, _ in results) > SCRIPTS // 4
    assert sum(bool(sent) for _, sent in results) > SCRIPTS // 3
