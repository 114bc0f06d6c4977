# SPDX-License-Identifier: MIT
"""Thrum's ends of TLS, servers/tls_ends.c, to which peers connect that follow a script."""
import socket

import serving
from tls_script import Identity

IDENTITY = Identity()  # that both sides believe


class Ends:
    """Both ends, of one process: ends.server(Client13) is a client that has connected to it."""

    def __init__(self, running):
        self.running = running
        self.quiet = self.state()

    def connect(self, role):
        sock = socket.create_connection(self.running.addresses[role], serving.TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def server(self, kind, **how):
        """A client, of a kind in tls_script, that has connected to Thrum's server."""
        return kind(self.connect(0), **{"identity": IDENTITY, **how})

    def client(self, kind, **how):
        """A server that Thrum's client has come to."""
        return kind(self.connect(1), **{"identity": IDENTITY, **how})

    def outcome(self, port):
        """How the connection of this peer ended for Thrum: (role, error, detail)."""
        def told(lines):
            found = [words for words in (line.split(" ", 3) for line in lines)
                     if words[1] == str(port)]
            return found[-1] if found else None
        words = self.running.out.wait(told)
        assert words, "it has not ended"
        return words[0], words[2], words[3]

    # ---- what is left behind

    def counters(self):
        with self.connect(2) as sock, sock.makefile() as lines:
            pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            return {name: float(value) for name, value in pairs}

    def state(self):
        return int(self.counters()["thrum_fibers_live"]), self.running.descriptors()

    def is_well(self):
        """As before, with nothing of those who came."""
        serving.eventually(lambda: self.state() == self.quiet)


class Several:
    """Processes with both ends, one for each set of settings that is asked for."""

    def __init__(self, program, folder):
        self.program = program
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.cert.write_bytes(IDENTITY.pem)
        self.key.write_bytes(IDENTITY.key_pem())
        self.started = {}

    def get(self, **settings):
        """`asks`: its server asks for a certificate; else as servers/settings.c has it."""
        which = tuple(settings.items())
        if which not in self.started:
            trust = "client_ca" if settings.pop("asks", False) else "ca"
            words = {"workers": 1, "cert": self.cert, "key": self.key, trust: self.cert, **settings}
            self.started[which] = Ends(serving.Server(
                [self.program, *(f"{name}={value}" for name, value in words.items())], count=3))
        return self.started[which]

    def stop(self):
        """All of them have to end well, and with nothing left over."""
        for ends in self.started.values():
            ends.is_well()
            ends.running.stop()

    def kill(self):
        for ends in self.started.values():
            ends.running.kill()
