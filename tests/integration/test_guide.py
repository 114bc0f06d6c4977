# SPDX-License-Identifier: MIT
"""The user's guide: its programs and fragments compile and run, its sessions go as they are shown.

tools/guide.py says how the blocks of a page are marked. Expected output is compared as doctest does
it: `...` stands for anything in a line, and alone in a line for any lines. Ports of 127.0.0.1 are
replaced by free ones, the same for the whole page, except in fragments. In a session, `COMMAND &`
starts a server, which must print what stands below and then listen; `kill %1` ends it as an
operator would, shows what it printed since, and its status must be 0.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from serving import TIMEOUT, eventually, sanitizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import guide  # noqa: E402

LIMIT = 120  # seconds for a command
PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=//localhost:))\d+")
WARNINGS = "-Wall -Wextra -Werror -g"
PKG_CONFIG = "$(pkg-config --cflags --libs thrum)"


def matches(expected, printed):
    """Whether the text is as shown; `...` stands for what is left out."""
    lines = [r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
             for line in expected.split("\n")[:-1]]
    if not printed.endswith("\n"):
        printed += "\n" if printed else ""  # as a person sees it
    return re.fullmatch("".join(lines), printed) is not None


def is_listening(pid):
    """Whether a process has a TCP or Unix socket that listens, or a UDP socket without a peer."""
    sockets = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(fd))
        except FileNotFoundError:
            pass
    for table, state in (("tcp", "0A"), ("udp", "07")):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().split("\n")[1:-1]:
            words = line.split()
            if words[3] == state and f"socket:[{words[9]}]" in sockets:
                return True
    for line in pathlib.Path(f"/proc/{pid}/net/unix").read_text().split("\n")[1:-1]:
        words = line.split()
        if words[3] == "00010000" and f"socket:[{words[6]}]" in sockets:  # __SO_ACCEPTCON
            return True
    return False


class Job:
    """A server of a session, and what it has printed."""

    def __init__(self, session, command):
        self.path = session.folder / f"job-{len(session.jobs) + 1}.out"
        self.seen = 0
        with open(self.path, "wb") as out:
            command = re.sub(r"^((?:\w+=\S+ )*)", r"\1exec ", command)  # the shell is not the server
            self.process = subprocess.Popen(["bash", "-c", command], cwd=session.folder,
                                            env=session.env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)

    def printed(self):
        """What it has printed since the last look."""
        return self.path.read_bytes().decode()[self.seen:]

    def start(self, expected):
        def ready():
            assert self.process.poll() is None, self.printed()
            return matches(expected, self.printed()) and is_listening(self.process.pid)
        try:
            eventually(ready)
        finally:
            printed = self.printed()
        self.seen += len(printed)
        return printed

    def end(self):
        """Ends it as an operator does; returns what it said."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(TIMEOUT) == 0, self.printed()
        return self.printed()


class Session:
    """A shell's user who does what a page says, in a folder of its own."""

    def __init__(self, build, folder):
        self.folder = folder
        self.sanitizer = sanitizer(build)
        self.jobs = []
        self.ports = {}
        self.status = 0
        tools = folder / ".bin"
        tools.mkdir()
        flags = WARNINGS + (f" -fsanitize={self.sanitizer}" if self.sanitizer else "")
        (tools / "cc").write_text(f'#!/bin/sh\nexec {shutil.which("cc")} {flags} "$@"\n')
        (tools / "cc").chmod(0o755)
        (folder / "tools").symlink_to(ROOT / "tools")
        self.env = dict(os.environ, PATH=f"{tools}:{build / 'thrum'}:{os.environ['PATH']}",
                        PKG_CONFIG_PATH=str(build / "meson-uninstalled"),
                        LD_LIBRARY_PATH=str(build), LC_ALL="C.UTF-8")
        self.env.pop("THRUM_BACKEND", None)

    # ---- what a page says

    def local(self, text):
        """The text with ports that are free here."""
        def replace(match):
            while match.group() not in self.ports:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = str(probe.getsockname()[1])
                if port not in self.ports.values():
                    self.ports[match.group()] = port
            return self.ports[match.group()]
        return PORT.sub(replace, text)

    def write(self, block):
        where = f'#line {block.line} "{block.page.relative_to(ROOT)}"\n'
        text = self.local(block.text) if block.is_program else where + block.text
        (self.folder / block.name).write_text(text)

    # ---- doing it

    def run(self, command):
        done = subprocess.run(["bash", "-c", command.replace("$?", str(self.status))],
                              cwd=self.folder, env=self.env, text=True, errors="backslashreplace",
                              timeout=LIMIT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return done.stdout

    def compile(self, source, program, *options):
        printed = self.run(" ".join(["cc", *options, str(source), PKG_CONFIG, "-o", program]))
        assert self.status == 0, printed

    def do(self, command, expected):
        """Does a command; returns what it printed once that is as expected, or at last."""
        kill = re.fullmatch(r"kill %(\d+)", command)
        if kill:
            return self.jobs[int(kill.group(1)) - 1].end()
        if command.endswith(" &"):
            self.jobs.append(Job(self, command[:-2]))
            return self.jobs[-1].start(expected)
        if not command.startswith("cat "):
            return self.run(command)
        for _ in range(100):  # what another process writes
            printed = self.run(command)
            if matches(expected, printed):
                break
            self.run("sleep 0.05")
        return printed

    def follow(self, block):
        """Does what a console block shows."""
        if block.name == "plain" and self.sanitizer:
            return
        parts = re.split(r"^\$ ", self.local(block.text), flags=re.M)
        assert parts[0] == "", f"{block.page}:{block.line}: a session starts with `$ `"
        for part in parts[1:]:
            command, expected = re.fullmatch(r"((?:.*\\\n)*.*)\n((?:.*\n)*)", part).groups()
            printed = self.do(command, expected)
            assert matches(expected, printed), \
                f"{block.page.name}:{block.line}: $ {command}\nshown:\n{expected}\ngot:\n{printed}"

    def close(self):
        running = [job for job in self.jobs if job.process.poll() is None]
        try:
            for job in running:
                job.end()
        finally:
            for job in running:
                job.process.kill()
                job.process.wait()


@pytest.fixture
def session(build, tmp_path):
    session = Session(build, tmp_path)
    try:
        yield session
    finally:
        session.close()


def runs_itself(block, blocks):
    """Whether no session of the page runs the program."""
    program = re.compile(rf"^\$ (?:.* )?\./{re.escape(block.name[:-2])}\b", re.M)
    return not any(b.kind == "console" and program.search(b.text) for b in blocks)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in guide.pages()])
def test_programs_and_sessions(session, page):
    blocks = list(guide.blocks(page))
    for block, after in zip(blocks, blocks[1:] + [None]):
        if block.is_program:
            session.write(block)
            session.compile(block.name, block.name[:-2])
            if runs_itself(block, blocks):
                expected = after.text if after and after.kind == "text" else ""
                printed = session.run(f"./{block.name[:-2]}")
                assert matches(expected, printed), printed
                assert session.status == 0
        elif block.kind == "console":
            session.follow(block)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in guide.pages()
                                  if guide.frame_of(page).exists()])
def test_fragments(session, page):
    for block in guide.blocks(page):
        if block.is_fragment:
            session.write(block)
    session.compile(guide.frame_of(page), "fragments", "-I.")
    printed = session.run("./fragments")
    assert (session.status, printed) == (0, "")


def rows(page, pattern):
    """What a pattern finds at the beginnings of the rows of a page's tables."""
    text = (ROOT / "docs" / "guide" / page).read_text()
    return re.findall(rf"^\| {pattern}", text, re.M)


def test_every_metric_is_explained(start, thrum_bin):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off")
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", server.ask(target="/metrics").body.decode(), re.M)
    assert rows("program.md", r"`(thrum_\w+)` \| (\w+) \|") == kinds


def test_a_refused_back_end_is_told_as_shown(start, servers, thrum_bin):
    server = start(servers / "refuse", thrum_bin, "echo", "--backend", "uring", "--workers", "1",
                   "--listen", "127.0.0.1:0")
    line = server.out.wait(lambda lines: next((l for l in lines if "back end" in l), None))
    assert f"```text\n{line}\n```" in (ROOT / "docs" / "guide" / "back-ends.md").read_text()


def test_every_option_is_listed(thrum_bin):
    options = set()
    for command in ("serve", "echo"):
        shown = subprocess.run([thrum_bin, command, "--help"], text=True, check=True,
                               capture_output=True).stdout
        options |= set(re.findall(r"^  (--[\w-]+)", shown, re.M))
    listed = [row for page in ("program.md", "https.md") for row in rows(page, r"`(--[\w-]+)")]
    assert set(listed) == options


@pytest.mark.parametrize("expected, printed, same", [
    ("a\nb\n", "a\nb\n", True), ("a\n", "a\nb\n", False), ("a.\n", "ab\n", False), ("", "", True),
    ("a ... c\n", "a b b c\n", True), ("a...\n", "a\nb\n", False),
    ("a\n...\nd\n", "a\nb\nc\nd\n", True), ("a\n...\n", "a\n", True), ("a\n...\n", "b\n", False),
])
def test_output_is_compared(expected, printed, same):
    assert matches(expected, printed) == same
