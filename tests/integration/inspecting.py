# SPDX-License-Identifier: MIT
"""Programs to look into, and looking into them."""
import contextlib
import json
import subprocess

from serving import TIMEOUT, Lines

# What fibers wait for in tests/inspect/waits.c, in turn; each name is also the fiber's.
KINDS = ("sleep", "mutex", "event", "get", "join", "scope", "spawn", "read", "write", "offload",
         "select")


class Waits:
    """tests/inspect/waits.c, once all its fibers wait."""

    def __init__(self, program, *words):
        self.process = subprocess.Popen([str(program), *map(str, words)], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)
        ready = self.out.wait(lambda lines: lines and lines[0].startswith("ready "))
        assert ready, f"{program} did not get there"
        self.holder = int(self.out.lines[0].split()[1])  # the thread that holds a mutex

    def end(self):
        self.process.kill()
        self.process.wait(TIMEOUT)
        self.out.join(TIMEOUT)


@contextlib.contextmanager
def waiting(program, *words):
    waits = Waits(program, *words)
    try:
        yield waits
    finally:
        waits.end()


class Look:
    """Runs subcommands that look inside."""

    def __init__(self, program):
        self.program = program

    def run(self, *words, **options):
        """Status, output, errors. It never ends by a signal, nor with a sanitizer's report."""
        done = subprocess.run([str(self.program), *map(str, words)], text=True, timeout=120,
                              capture_output=True, **options)
        assert done.returncode in (0, 1, 2, 3), (words, done.returncode, done.stderr)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def say(self, *words):
        """What it prints when all goes well."""
        status, out, err = self.run(*words)
        assert (status, err) == (0, ""), (words, status, err)
        return out

    def ps(self, *words):
        return json.loads(self.say("ps", "--json", *words))


def functions(fiber):
    return [place["function"] for place in fiber["stack"]]


def named(snapshot, name):
    """The only fiber of a name."""
    found = [fiber for fiber in snapshot["fibers"] if fiber["name"] == name]
    assert len(found) == 1, name
    return found[0]
