# SPDX-License-Identifier: MIT
"""TLS for wire.Client: Python's own, over bytes in memory, so that every end of it is seen."""
import pathlib
import socket
import ssl
import subprocess
import threading


class TlsSocket:
    """A socket that speaks TLS as a client, with the calls of a socket that wire.Client makes.

    Unlike Python's it tells apart how the server ends: by TLS (an empty read), by the end of the
    connection alone (ssl.SSLEOFError), by a reset; and it can say the end and go on reading.

    One thread may read while another writes. Python lets go of its lock within OpenSSL, which must
    not be entered twice with one connection: `using` is held for that, and never while the socket
    is waited for.
    """

    def __init__(self, plain, context, name="localhost", session=None):
        self.plain = plain
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.using = threading.Lock()
        self.sending = threading.Lock()
        self.receiving = threading.Lock()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                    session=session)
        self.handshake()

    # ---- bytes of TLS

    def push(self):
        """Sends what there is. While another thread does, it takes that as well."""
        while self.outgoing.pending and self.sending.acquire(blocking=False):
            try:
                with self.using:
                    data = self.outgoing.read()
                self.plain.sendall(data)
            finally:
                self.sending.release()

    def pull(self):
        with self.receiving:
            data = self.plain.recv(65536)
            with self.using:
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def until(self, step):
        """Makes a step until it goes, with the bytes that it wants."""
        while True:
            try:
                with self.using:
                    return step()
            except ssl.SSLWantReadError:
                self.push()
                self.pull()
            finally:
                if not self.plain.gettimeout() == 0:
                    self.push()

    def handshake(self):
        self.until(self.tls.do_handshake)

    # ---- as a socket

    def sendall(self, data):
        """In pieces, as a server that does not read would stop the rest."""
        view = memoryview(data)
        while view:
            view = view[self.until(lambda piece=view[:16384]: self.tls.write(piece)):]

    def recv(self, size):
        try:
            return self.until(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, _how):
        """Says the end of what this side sends, and goes on reading."""
        try:
            with self.using:
                self.tls.unwrap()
        except ssl.SSLError:  # it wants the server's end, which may be far away
            pass
        self.push()
        self.plain.shutdown(socket.SHUT_WR)

    def settimeout(self, seconds):
        self.plain.settimeout(seconds)

    def gettimeout(self):
        return self.plain.gettimeout()

    def setblocking(self, blocking):
        self.plain.setblocking(blocking)

    def close(self):
        self.plain.close()

    def fileno(self):
        return self.plain.fileno()


def peer_has_ended(plain):
    """Whether the other side of a connection on this machine has sent its last, and it is not all
    received: its socket is in FIN_WAIT1, for the kernel's table."""
    def word(address):
        number = int.from_bytes(socket.inet_aton(address[0]), "little")
        return f"{number:08X}:{address[1]:04X}"
    wanted = [word(plain.getpeername()), word(plain.getsockname()), "04"]
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()
    return any(line.split()[1:4] == wanted for line in lines)


def openssl(*words, data=None):
    """Runs openssl(1) and returns what it prints."""
    done = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


# Kinds of keys that servers have, and what Authority.issue() calls them.
KINDS = {"p256": "ec", "rsa": "rsa", "ed25519": "ed25519"}


class Authority:
    """A certificate authority in a folder, for a test."""

    def __init__(self, folder, name="Test Authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        self.count = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "30", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, stem=None, usage="serverAuth", key="ec", serial=None, days=20):
        """A certificate for host names and addresses: (certificate file, key file)."""
        self.count += 1
        stem = self.folder / (stem or f"{names[0].replace('*', 'any')}-{self.count}")
        cert, keyfile, request = (pathlib.Path(f"{stem}{end}") for end in (".pem", ".key", ".csr"))
        alternative = ",".join(f"{'IP' if name[-1].isdigit() or ':' in name else 'DNS'}:{name}"
                               for name in names)
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else [key]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", f"/CN={names[0]}", "-keyout",
                keyfile, "-out", request, "-addext", f"subjectAltName={alternative}", "-addext",
                f"extendedKeyUsage={usage}")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", days,
                "-set_serial", str(serial or 1000 + self.count), "-copy_extensions", "copyall",
                "-out", cert)
        return cert, keyfile

    def crl(self, *serials):
        """A list of certificates that were revoked: the file."""
        stem = self.folder / f"list-{len(serials)}"
        index, config, crl = (stem.with_suffix(end) for end in (".index", ".conf", ".crl"))
        index.write_text("".join(f"R\t401231235959Z\t250101000000Z\t{serial:06X}\tunknown\t/CN=x\n"
                                 for serial in serials))
        config.write_text(f"[ca]\ndefault_ca = c\n[c]\ndatabase = {index}\ndefault_md = sha256\n"
                          "default_crl_days = 30\n")
        openssl("ca", "-config", config, "-gencrl", "-cert", self.cert, "-keyfile", self.key, "-out",
                crl)
        return crl

    def ocsp(self, cert, revoked=False):
        """A response about one of its certificates, as it is stapled: the file."""
        serial = openssl("x509", "-in", cert, "-noout", "-serial").decode().strip().split("=")[1]
        state = "R\t401231235959Z\t250101000000Z" if revoked else "V\t401231235959Z\t"
        index, response = (cert.with_suffix(f"{'.bad' if revoked else '.good'}{end}")
                           for end in (".index", ".ocsp"))
        index.write_text(f"{state}\t{serial}\tunknown\t/CN=x\n")
        openssl("ocsp", "-index", index, "-rsigner", self.cert, "-rkey", self.key, "-CA", self.cert,
                "-issuer", self.cert, "-cert", cert, "-respout", response, "-ndays", "2")
        return response

    def client(self, cert=None, key=None, **settings):
        """A context of clients that believe this authority, perhaps with a certificate."""
        context = ssl.create_default_context(cafile=str(self.cert))
        for name, value in settings.items():
            setattr(context, name, value)
        if cert:
            context.load_cert_chain(str(cert), str(key))
        return context


def secured(server, context, name="localhost"):
    """The server (of serving), whose clients speak TLS from now on."""
    server.tls = lambda plain: TlsSocket(plain, context, name)
    return server
