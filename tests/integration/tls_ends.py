# SPDX-License-Identifier: MIT
"""Thrum's ends of TLS, servers/tls_ends.c, to which peers connect that follow a script."""
import socket

import serving
from tls_messages import DATA
from tls_script import Identity
from tls_script13 import Client13, Server13

IDENTITY = Identity()  # that both sides believe
WORKERS = 2
HEAP_MAX = 1_000_000  # bytes that a process may have more than at its beginning
ROLES = ("server", "client", "counters")


class Ends:
    """Both ends, of one process: ends.meet(Client13) is a client that has come to its server."""

    def __init__(self, running):
        self.running = running
        self.begun = {}  # by port, which comes again one day: the lines that were told before
        self.quiet = serving.eventually(self.begun_state)
        self.heap = self.counters()["heap_bytes"]  # with a sanitizer it is always 0

    def connect(self, role, room=0):
        """`room`: bytes that come and are not read, about."""
        sock = socket.socket()
        sock.settimeout(serving.TIMEOUT)
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.connect(self.running.addresses[role])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def meet(self, kind, room=0, **how):
        """A peer of a kind in tls_script12 or 13, at the end that it is for."""
        sock = self.connect(ROLES.index(kind.meets), room)
        self.begun[sock.getsockname()[1]] = len(self.running.out.lines)
        return kind(sock, **{"identity": IDENTITY, **how})

    def outcome(self, port):
        """How the connection of this peer ended for Thrum: (role, error, detail)."""
        def told(lines):
            found = [words for words in
                     (line.split(" ", 3) for line in lines[self.begun[port]:])
                     if words[1] == str(port)]
            return found[0] if found else None
        words = self.running.out.wait(told)
        assert words, "it has not ended"
        return words[0], words[2], words[3]

    def refuse(self, peer, alert, words="", **changes):
        """Goes on with the handshake as far as Thrum's end lets it, which refuses it."""
        peer.fail(**changes)
        self.refused(peer, alert, words)

    def refused(self, peer, alert, words=""):
        """Thrum's end has sent this alert as its last word, and tells why."""
        assert peer.end() == alert, (peer.alerted, self.outcome(peer.port))
        _, error, detail = self.outcome(peer.port)
        assert error == "TH_ETLS" and words in detail, (error, detail)
        doing, _, why = detail.partition(": ")
        assert doing in ("handshake", "TLS") and why

    def serve(self):
        """Both ends talk to a peer as it should be."""
        for peer in (self.meet(Client13), self.meet(Server13)):
            with peer:
                peer.handshake().record(DATA, b"some")
                peer.alert(1, 0)
                assert peer.text().endswith(b"some")

    # ---- what is left behind

    def counters(self):
        with self.connect(ROLES.index("counters")) as sock, sock.makefile() as lines:
            pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            return {name: float(value) for name, value in pairs}

    def state(self):
        return int(self.counters()["thrum_fibers_live"]), self.running.descriptors()

    def begun_state(self):
        """The state, once each worker has begun to serve, beside the first fiber."""
        state = self.state()
        return state if state[0] == WORKERS + 1 else None

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
            words = {"workers": WORKERS, "cert": self.cert, "key": self.key, trust: self.cert,
                     **settings}
            self.started[which] = Ends(serving.Server(
                [self.program, *(f"{name}={value}" for name, value in words.items())], count=3))
        return self.started[which]

    def stop(self):
        """All of them have to end well, and with nothing left over but a few sessions."""
        for ends in self.started.values():
            ends.is_well()
            assert ends.counters()["heap_bytes"] < ends.heap + HEAP_MAX
            ends.running.stop()

    def kill(self):
        for ends in self.started.values():
            ends.running.kill()
