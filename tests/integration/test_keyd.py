# SPDX-License-Identifier: MIT
"""thrum keyd: a process that holds the keys, the server that does not, and the end of either."""
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import serving
import tls_wire

STRANGER = 65534  # nobody


@pytest.fixture(scope="module")
def pairs(authority):
    """Certificates for this machine: {"rsa:2048": (cert, key), "ec": ...}."""
    return {kind: authority.issue("localhost", "127.0.0.1", key=kind) for kind in ("rsa:2048", "ec")}


class Keyd:
    """A key process at a socket of its own, to be started, and started again."""

    def __init__(self, start, thrum_bin, folder):
        self.path = folder / "keyd"
        self.command = [thrum_bin, "keyd", "--listen", f"unix:{self.path}"]
        self.begin = start
        self.server = None

    def start(self, *options):
        self.server = self.begin(*self.command, *options)
        return self.server

    def status(self):
        done = subprocess.run([*self.command, "--status"], capture_output=True, text=True,
                              timeout=serving.TIMEOUT, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def count(self, what):
        return int(re.search(rf"^{what} (\d+)$", self.status(), re.M)[1])


@pytest.fixture
def keyd(start, thrum_bin, tmp_path):
    return Keyd(start, thrum_bin, tmp_path)


@pytest.fixture
def serve(start, thrum_bin, tmp_path, authority):
    """Starts `thrum serve` with a certificate whose key is where it is said: serve(cert, key)."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "hello").write_text("hello")

    def start_serve(cert, key, *options, **more):
        server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off",
                       "--cert", cert, "--key", key, *options, tmp_path / "www", **more)
        return tls_wire.secured(server, authority.client())
    return start_serve


def shake(server, authority, version=None):
    """One new connection, and a request on it."""
    context = authority.client()
    if version:
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(server.address, timeout=serving.TIMEOUT) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := secure.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")


def complained(server, times, why):
    """The log has told that the key fails, so often at least, and nothing else: how often."""
    prefix = "thrum: warning: handshakes fail: the key process at "
    lines = server.err.wait(lambda lines: len(lines) >= times and list(lines))
    assert all(line.startswith(prefix) and re.search(why, line) for line in lines), lines
    server.err.lines.clear()
    return len(lines)


# ---- a server without a key

@pytest.mark.parametrize("kind", ["rsa:2048", "ec"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_handshakes_are_signed_elsewhere(keyd, serve, pairs, authority, kind, version):
    cert, key = pairs[kind]
    keyd.start("--key", f"web={key}")
    server = serve(cert, f"keyd:unix:{keyd.path}#web")
    for _ in range(5):
        shake(server, authority, version)
    assert keyd.count("signed") == 5
    metrics = server.ask(target="/metrics").body  # over one more
    assert b'thrum_tls_private_operations_total{where="keyd"} 6\n' in metrics


def primes(key):
    """The secret primes of an RSA key, as bytes in the order in which a bignum has them."""
    text = tls_wire.openssl("pkey", "-in", key, "-text", "-noout").decode()
    for name in ("prime1", "prime2"):
        digits = re.search(rf"{name}:\n((?:    [0-9a-f:]+\n)+)", text)[1]
        yield bytes.fromhex(re.sub(r"[^0-9a-f]", "", digits))[-64:][::-1]


def memory_has(pid, needles):
    """Whether any of the needles is in what the process can write to."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            low, high = (int(end, 16) for end in span.split("-"))
            if not rights.startswith("rw") or high - low > 1 << 30:
                continue
            try:
                memory.seek(low)
                block = memory.read(high - low)
            except OSError:
                continue
            if any(needle in block for needle in needles):
                return True
    return False


def test_the_server_never_has_the_key_in_memory(keyd, serve, pairs, authority):
    cert, key = pairs["rsa:2048"]
    secrets = list(primes(key))
    with_key = serve(cert, key)
    shake(with_key, authority)
    if not os.access(f"/proc/{with_key.pid}/mem", os.R_OK):
        pytest.skip("this user may not look at the memory of its processes")
    assert memory_has(with_key.pid, secrets)  # they would be found
    keyd.start("--key", f"web={key}")
    without = serve(cert, f"keyd:unix:{keyd.path}")
    for _ in range(3):
        shake(without, authority)
    assert not memory_has(without.pid, secrets)


def test_no_descriptor_but_its_own(keyd, pairs, tmp_path):
    (tmp_path / "secret").write_text("x")
    inherited = os.open(tmp_path / "secret", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    command = [*keyd.command, "--key", pairs["ec"][1]]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, close_fds=False,
                               text=True)
    try:
        assert "holding 1 key" in process.stdout.readline()
        assert "listening on" in process.stdout.readline()
        kinds = {os.readlink(f"/proc/{process.pid}/fd/{fd}")
                 for fd in os.listdir(f"/proc/{process.pid}/fd") if int(fd) > 2}
        assert not [kind for kind in kinds if kind.startswith("/")], kinds
        limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
    finally:
        process.terminate()
        assert process.wait(serving.TIMEOUT) == 0
        process.stdout.close()
        os.close(inherited)
    assert not keyd.path.exists()


# ---- its end under load

def shaken(server, authority, times=1):
    """Tries until so many in a row are good: each worker has a pause of its own to wait for."""
    end = time.monotonic() + serving.TIMEOUT
    good = 0
    while good < times:
        try:
            shake(server, authority)
            good += 1
        except (ssl.SSLError, ConnectionResetError):
            good = 0
            assert time.monotonic() < end


class Load(threading.Thread):
    """Makes one connection after the other, and counts what comes of them."""

    def __init__(self, server, authority):
        super().__init__(daemon=True)
        self.server, self.authority = server, authority
        self.good = self.bad = 0
        self.odd = []
        self.over = False

    def run(self):
        while not self.over:
            try:
                shake(self.server, self.authority)
                self.good += 1
            except (ssl.SSLError, ConnectionResetError):
                self.bad += 1
            except Exception as error:  # pylint: disable=broad-except
                self.odd.append(error)


def end(loads):
    for load in loads:
        load.over = True
    for load in loads:
        load.join(serving.TIMEOUT)
        assert load.odd == []


def test_it_is_killed_under_load_and_comes_back(keyd, serve, pairs, authority):
    cert, key = pairs["rsa:2048"]
    process = keyd.start("--key", f"web={key}")
    server = serve(cert, f"keyd:unix:{keyd.path}#web")
    lasting = server.connect()
    assert lasting.ask("GET", "/hello").body == b"hello"
    loads = [Load(server, authority) for _ in range(6)]
    for load in loads:
        load.start()
    for _ in range(3):
        before = sum(load.good for load in loads)
        serving.eventually(lambda: sum(load.good for load in loads) > before + 20)
        process.kill()
        bad = sum(load.bad for load in loads)
        serving.eventually(lambda: sum(load.bad for load in loads) > bad + 6)
        assert lasting.ask("GET", "/hello").body == b"hello"  # who is in notices nothing
        process = keyd.start("--key", f"web={key}")
        good = sum(load.good for load in loads)
        serving.eventually(lambda: sum(load.good for load in loads) > good)
    end(loads)
    shaken(server, authority, times=10)
    lasting.close()
    complained(server, 3, "has ended$|is not there|does not answer")


def test_one_that_hangs_does_not_hold_up_who_is_in(keyd, serve, pairs, authority):
    cert, key = pairs["ec"]
    process = keyd.start("--key", f"web={key}")
    server = serve(cert, f"keyd:unix:{keyd.path}#web")
    shake(server, authority)
    lasting = server.connect()
    process.signal(signal.SIGSTOP)
    loads = [Load(server, authority) for _ in range(6)]
    for load in loads:
        load.start()
    for _ in range(50):
        assert lasting.ask("GET", "/hello").body == b"hello"
    # after the time that an answer may take; then most come within a pause
    serving.eventually(lambda: sum(load.bad for load in loads) > 20)
    process.signal(signal.SIGCONT)
    serving.eventually(lambda: sum(load.good for load in loads) > 20)
    end(loads)
    shaken(server, authority, times=10)
    lasting.close()
    complained(server, 1, "does not answer")


# ---- who may ask, and for what

def connect_as(uid, path, script):
    """Runs a script of Python as another user, which has a connection as `s`."""
    code = f"import socket,struct\ns=socket.socket(socket.AF_UNIX)\ns.connect({str(path)!r})\n{script}"
    return subprocess.run(["setpriv", f"--reuid={uid}", "--clear-groups", "/usr/bin/python3", "-c",
                           code], capture_output=True, text=True, timeout=60, check=False)


def ask_for_status():
    return "s.sendall(struct.pack('>IBB', 2, 1, 2))\nprint(s.recv(9000)[5])"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_other_users_may_not_ask(start, thrum_bin, pairs):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # so that it is the socket that they fail at
        keyd = Keyd(start, thrum_bin, folder)
        keyd.start("--key", pairs["ec"][1])
        assert "PermissionError" in connect_as(STRANGER, keyd.path, ask_for_status()).stderr
        keyd.server.stop()
        keyd.start("--key", pairs["ec"][1], "--user", "1")
        assert connect_as(STRANGER, keyd.path, ask_for_status()).stdout == "2\n"  # refused
        assert connect_as(1, keyd.path, ask_for_status()).stdout == "0\n"
        assert keyd.count("refused") == 1
        said = keyd.server.err.wait(lambda lines: lines)
        assert "user 65534" in said[0]
        keyd.server.signal()
        assert keyd.server.wait() == 0


def test_what_is_no_message_is_refused_and_others_are_served(keyd, pairs):
    keyd.start("--key", pairs["ec"][1])
    for bad in (b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", struct.pack(">IBB", 2, 9, 1),
                struct.pack(">IBB", 2, 1, 7), struct.pack(">I", 0)):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(serving.TIMEOUT)
            client.connect(str(keyd.path))
            client.sendall(bad)
            answer = client.recv(9000)
            assert answer[5] == 5, answer
    for cut in (b"", b"\0", b"\0\0\0\x40\x01\x01"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(keyd.path))
            client.sendall(cut)
    assert keyd.count("refused") == 5


def test_the_rate_is_bounded(keyd, serve, pairs, authority):
    cert, key = pairs["ec"]
    keyd.start("--key", f"web={key}", "--rate", "3")
    server = serve(cert, f"keyd:unix:{keyd.path}")
    outcomes = []
    for _ in range(8):
        try:
            shake(server, authority)
            outcomes.append(True)
        except (ssl.SSLError, ConnectionResetError):
            outcomes.append(False)
    assert outcomes[0] and not all(outcomes)
    assert keyd.count("limited") == outcomes.count(False)


# ---- what it says

def test_status_names_keys_and_counts(keyd, pairs):
    keyd.start("--key", f"web={pairs['rsa:2048'][1]}", "--key", pairs["ec"][1])
    lines = keyd.status().splitlines()
    assert lines[:4] == ["signed 0", "refused 0", "limited 0", "failed 0"]
    der = tls_wire.openssl("pkey", "-in", pairs["ec"][1], "-pubout", "-outform", "DER")
    print_of = tls_wire.openssl("dgst", "-sha256", "-r", data=der).split()[0].decode()
    assert lines[4].startswith("key web RSA-2048 ")
    assert lines[5] == f"key {pathlib.Path(pairs['ec'][1]).stem} P-256 {print_of}"


def test_a_key_with_a_pass_phrase(keyd, serve, pairs, authority, tmp_path):
    cert, key = pairs["ec"]
    sealed, phrase = tmp_path / "sealed.pem", tmp_path / "phrase"
    tls_wire.openssl("pkey", "-in", key, "-aes256", "-passout", "pass:loom", "-out", sealed)
    phrase.write_text("loom\n")
    keyd.start("--key", sealed, "--phrase-file", phrase)
    shake(serve(cert, f"keyd:unix:{keyd.path}#sealed"), authority)


@pytest.mark.parametrize("words, said", [
    (["--key", "/nowhere"], "--listen is missing"),
    (["--listen", "unix:/tmp/x"], "--key is missing"),
    (["--listen", "unix:/tmp/x", "--key", "/nowhere/key.pem"], "/nowhere/key.pem"),
    (["--listen", "127.0.0.1:0", "--key", "KEY"], "listens on a Unix socket"),
    (["--listen", "unix:/nowhere/x", "--key", "KEY"], "/nowhere/x"),
    (["--listen", "unix:/tmp/x", "--key", "=KEY"], "a name has 1 to 63 bytes"),
    (["--listen", "unix:/tmp/x", "--key", "KEY", "--rate", "0"], "from 1 to 1000000"),
    (["--listen", "unix:/tmp/x", "--key", "KEY", "--user", "no such"], "there is no such user"),
    (["--listen", "unix:/nowhere/x", "--status"], "No such file or directory"),
])
def test_what_is_wrong_is_said_in_one_line(thrum_bin, pairs, words, said):
    words = [word.replace("KEY", str(pairs["ec"][1])) for word in words]
    done = subprocess.run([thrum_bin, "keyd", *words], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode in (1, 2)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_wrong_place_is_told_at_the_start(thrum_bin, pairs, tmp_path):
    (tmp_path / "www").mkdir()
    for key, said in (("keyd:127.0.0.1:1", "at a Unix socket"),
                      (f"keyd:unix:/x#{'0' * 64}", "is not that of the certificate")):
        done = subprocess.run([thrum_bin, "serve", "--listen", "127.0.0.1:0", "--cert",
                               pairs["ec"][0], "--key", key, tmp_path / "www"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert said in done.stderr


def test_it_comes_later_than_the_server(keyd, serve, pairs, authority):
    cert, key = pairs["ec"]
    server = serve(cert, f"keyd:unix:{keyd.path}")
    for _ in range(3):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            shake(server, authority)
    keyd.start("--key", f"web={key}")
    shaken(server, authority)
    assert complained(server, 1, "is not there: No such file or directory$") == 1


def test_a_key_that_is_not_there_is_told_each_time_it_begins(keyd, serve, pairs, authority):
    cert, key = pairs["ec"]
    server = serve(cert, f"keyd:unix:{keyd.path}#web", "--workers", "1")
    for _ in range(2):
        keyd.start("--key", f"other={key}")
        for _ in range(3):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                shake(server, authority)
        keyd.server.stop()
        keyd.start("--key", f"web={key}")
        shaken(server, authority)
        keyd.server.stop()
        assert complained(server, 1, f"unix:{keyd.path}: it has no key") == 1
