# SPDX-License-Identifier: MIT
"""Other implementations of TLS that the tests talk to: what is run of them, and how it is built."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


def needs(program, package):
    """A mark: the test needs a program of a Debian package."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"{package} is not installed")


def build_go(folder, source, *options):
    """Builds a program of one file, without any network; gives its path."""
    program = folder / source.removesuffix(".go")
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0",
                   "GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "path"),
                   "GOTOOLCHAIN": "local"}
    done = subprocess.run(["go", "build", *map(str, options), "-o", program,
                           HERE / "servers" / source], env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return program


class GoPeer:
    """Go's crypto/tls as a client: peer.get(server, ca=..., max="1.2") gives a list of results."""

    def __init__(self, program):
        self.program = program

    def get(self, server, **settings):
        words = [f"-{name}={value}" for name, value in settings.items()]
        host, port = server.address
        done = subprocess.run([self.program, "get", f"-addr={host}:{port}", *words],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def gnutls_client(server, *words, data, authority=None, name="localhost", timeout=60):
    """Runs gnutls-cli with the bytes to send; gives the finished process.

    It reads on after the end of what it sends, until the server ends.
    """
    host, port = server.address
    trust = [f"--x509cafile={authority.cert}"] if authority else []
    command = ["gnutls-cli", *trust, f"--sni-hostname={name}", f"--verify-hostname={name}", "-p",
               str(port), *map(str, words), host]
    return subprocess.run(command, input=data, capture_output=True, timeout=timeout, check=False)
