# SPDX-License-Identifier: MIT
"""Certificates that change while `thrum serve` runs: at SIGHUP, when files change, under load.

THRUM_RELOADS is how often they are swapped under load, at 500 a minute; 50 by default.
"""
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import serving
import tls_wire
from files import content, www  # noqa: F401 (fixtures)
from test_https import shown_serial, tls_serve  # noqa: F401 (a fixture)
from wire import request

RELOADS = int(os.environ.get("THRUM_RELOADS", "50"))
PACE = 60 / 500  # seconds between two


@pytest.fixture
def pairs(authority):
    """Certificates with the serial numbers 501 and up, each with its key."""
    return [authority.issue("localhost", "127.0.0.1", serial=501 + i) for i in range(3)]


@pytest.fixture
def live(tmp_path, pairs):
    """The pair that is served: files in a folder of their own."""
    folder = tmp_path / "live"
    folder.mkdir()
    install(folder, pairs[0])
    return folder


def install(folder, pair, rename=True):
    """Puts a pair in place, as tools do it: by renaming, or by writing over what is there."""
    for source, name in zip(pair, ("cert.pem", "key.pem")):
        if rename:
            shutil.copy(source, folder / f".{name}")
            os.replace(folder / f".{name}", folder / name)
        else:
            (folder / name).write_bytes(pathlib.Path(source).read_bytes())


def put(file, pair):
    new = file.with_suffix(".new")
    new.write_bytes(b"".join(pathlib.Path(source).read_bytes() for source in pair))
    os.replace(new, file)


def told(server, words, count=1):
    """Waits until standard error has so many lines with these words, and returns the last."""
    def heard(lines):
        found = [line for line in lines if words in line]
        return found[-1] if len(found) >= count else None
    found = server.err.wait(heard)
    assert found, server.err.lines
    return found


RENEWED = "read again and are in use"
REFUSED = "were not renewed, those in use stay"


@pytest.fixture
def serve_live(tls_serve, live):
    def start_serve(*options, **more):
        server = tls_serve(*options, pair=(live / "cert.pem", live / "key.pem"), **more)
        server.stop = lambda: ended_well(server)
        return server
    return start_serve


def ended_well(server):
    """What it has told of renewals is no complaint."""
    server.signal()
    assert server.wait() == 0
    rest = [line for line in serving.complaints(server.err.lines)
            if RENEWED not in line and REFUSED not in line]
    assert rest == []


def test_at_sighup(serve_live, live, pairs, authority):
    """A connection that lives keeps its certificate, and goes on."""
    server = serve_live()
    with server.connect() as client:
        assert client.ask().status == 403
        assert shown_serial(server, authority.client()) == 501
        os.chmod(live, 0o755)
        install(live, pairs[1])
        server.signal(signal.SIGHUP)
        told(server, RENEWED)
        assert shown_serial(server, authority.client()) == 502
        assert client.ask().status == 403
        assert int(client.socket.tls.getpeercert()["serialNumber"], 16) == 501


@pytest.mark.parametrize("rename", [True, False], ids=["renamed", "written"])
def test_when_the_files_change(serve_live, live, pairs, authority, rename):
    server = serve_live()
    for i in (1, 2, 0):
        install(live, pairs[i], rename)
        serving.eventually(lambda i=i: shown_serial(server, authority.client()) == 501 + i)


def test_when_a_link_changes(tls_serve, tmp_path, pairs, authority):
    """As orchestrators do it: a link to a folder is replaced, in which the files are."""
    for i in (0, 1):
        (tmp_path / f"data{i}").mkdir()
        install(tmp_path / f"data{i}", pairs[i])
    (tmp_path / "data").symlink_to("data0")
    live = tmp_path / "mount"
    live.mkdir()
    for name in ("cert.pem", "key.pem"):
        (live / name).symlink_to(f"../data/{name}")
    (live / "..data").symlink_to("../data0")
    for name in ("cert.pem", "key.pem"):
        (live / name).unlink()
        (live / name).symlink_to(f"..data/{name}")
    server = tls_serve(pair=(live / "cert.pem", live / "key.pem"))
    server.stop = lambda: ended_well(server)
    assert shown_serial(server, authority.client()) == 501
    (live / ".new").symlink_to("../data1")
    os.replace(live / ".new", live / "..data")
    serving.eventually(lambda: shown_serial(server, authority.client()) == 502)


@pytest.mark.parametrize("broken", ["no certificate", "another key", "no file"])
def test_what_is_broken_is_reported_and_the_old_stays(serve_live, live, pairs, authority, broken):
    server = serve_live()
    if broken == "no certificate":
        (live / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    elif broken == "another key":
        shutil.copy(pairs[1][1], live / "key.pem")
    else:
        (live / "cert.pem").unlink()
        server.signal(signal.SIGHUP)
    line = told(server, REFUSED)
    assert ("key.pem" if broken == "another key" else "cert.pem") in line
    assert shown_serial(server, authority.client()) == 501
    install(live, pairs[2])
    told(server, RENEWED)
    assert shown_serial(server, authority.client()) == 503


def test_other_files_of_the_folder_mean_nothing(serve_live, live, pairs, authority):
    server = serve_live()
    (live / "other").write_text("x")
    os.utime(live / "other")
    install(live, pairs[1])
    told(server, RENEWED)
    assert server.err.lines == [told(server, RENEWED)]


def test_sessions_are_resumed_after_a_renewal(serve_live, live, pairs, authority):
    server = serve_live()
    context = authority.client()
    with socket.create_connection(server.address, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(request("GET", "/", "Connection: close"))
            while secure.recv(4096):
                pass
            session = secure.session
    install(live, pairs[1])
    server.signal(signal.SIGHUP)
    told(server, RENEWED)
    with socket.create_connection(server.address, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
            assert secure.session_reused


def test_a_terminal_that_goes_is_no_wish_for_certificates(thrum_bin, live, www, authority):
    """The kernel's SIGHUP ends the server in order."""
    import pty
    parent, child = pty.openpty()
    script = ("import os,sys,fcntl,termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
              "os.execv(sys.argv[1], sys.argv[1:])")
    words = [thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off", "--cert",
             live / "cert.pem", "--key", live / "key.pem", www]
    process = subprocess.Popen(["/usr/bin/python3", "-c", script, *map(str, words)], stdin=child,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(child)
    try:
        while "stop with" not in process.stdout.readline():
            pass
        os.close(parent)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


class Crowd:
    """Clients under way: those who come and go, and those who stay and talk."""

    def __init__(self, server, context):
        self.server, self.context = server, context
        self.over = threading.Event()
        self.failures = []
        self.seen = set()
        self.came = self.asked = 0

    def run(self, what, seed):
        try:
            what(random.Random(seed))
        except Exception as err:  # noqa: BLE001 (told at the end)
            self.failures.append(repr(err))

    def come_and_go(self, chance):
        while not self.over.is_set():
            with socket.create_connection(self.server.address, timeout=20) as plain:
                with self.context.wrap_socket(plain, server_hostname="localhost") as secure:
                    self.seen.add(int(secure.getpeercert()["serialNumber"], 16))
                    secure.sendall(request("GET", "/page", "Connection: close"))
                    data = b""
                    while part := secure.recv(65536):
                        data += part
                    assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"end"), data[:100]
            self.came += 1
            time.sleep(chance.random() * 0.2)

    def stay_and_talk(self, chance):
        with self.server.connect() as client:
            while not self.over.is_set():
                assert client.ask(target="/page").body.endswith(b"end")
                self.asked += 1
                time.sleep(0.1 + chance.random() * 0.5)


def test_under_load(tls_serve, tmp_path, pairs, www, authority, sanitized):
    """Swap after swap while 200 clients come and go and 200 stay: no error, no leak."""
    (www / "page").write_bytes(content(5000) + b"end")
    clients = 200 if RELOADS >= 500 else 40
    live = tmp_path / "both.pem"  # certificate and key in one file, which nobody sees half
    put(live, pairs[0])
    server = tls_serve(pair=(live, live))
    server.stop = lambda: ended_well(server)
    assert shown_serial(server, authority.client()) == 501
    descriptors = server.descriptors()
    crowd = Crowd(server, authority.client())
    with concurrent.futures.ThreadPoolExecutor(2 * clients) as pool:
        work = [pool.submit(crowd.run, what, seed) for seed in range(clients)
                for what in (crowd.come_and_go, crowd.stay_and_talk)]
        serving.eventually(lambda: crowd.came >= clients and crowd.asked >= clients, 60)
        swap(server, live, pairs, 3)  # what is made once is there
        before = server.memory()
        renewals = count(server)
        took = swap(server, live, pairs, RELOADS)
        renewals = count(server) - renewals
        after = server.memory()
        crowd.over.set()
        concurrent.futures.wait(work)
    assert crowd.failures == []
    assert [line for line in serving.complaints(server.err.lines) if RENEWED not in line] == []
    assert crowd.seen == {501, 502, 503}
    serving.eventually(lambda: server.descriptors() <= descriptors + 4)
    if not sanitized:
        # A context has some 200 KiB: those of before are gone, with their connections.
        assert after - before < 8 * 1024 * 1024, f"{before} bytes before, {after} after"
    # Two that come close together may be one.
    assert renewals >= RELOADS // 4
    print(f"{RELOADS} swaps in {took:.1f} s, seen by {renewals} renewals; {crowd.came} came and "
          f"went, {crowd.asked} answers; {before >> 10} KiB before, {after >> 10} after; "
          f"{descriptors} descriptors before, {server.descriptors()} after")


def count(server):
    return sum(RENEWED in line for line in server.err.lines)


# In a process of its own: among hundreds of threads of Python it would not keep its pace.
SWAPPER = """
import os, sys, time
file, pid, times, pace, *pairs = sys.argv[1:]
began = time.monotonic()
for i in range(int(times)):
    with open(file + ".new", "wb") as new:
        for source in pairs[2 * (i % 3)], pairs[2 * (i % 3) + 1]:
            with open(source, "rb") as part:
                new.write(part.read())
    os.replace(file + ".new", file)
    os.kill(int(pid), 1)
    time.sleep(max(0, began + (i + 1) * float(pace) - time.monotonic()))
print(time.monotonic() - began)
"""


def swap(server, live, pairs, times):
    """So many, and then the first of the pairs, which is seen by new connections. The seconds."""
    context = tls_wire.ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    words = [live, server.pid, times, PACE, *(path for pair in pairs for path in pair)]
    took = subprocess.run(["/usr/bin/python3", "-c", SWAPPER, *map(str, words)], check=True,
                          capture_output=True, timeout=20 * times * PACE + 60).stdout
    put(live, pairs[0])
    server.signal(signal.SIGHUP)
    serving.eventually(lambda: own_serial(server, context) == 501)
    return float(took)


def own_serial(server, context):
    with socket.create_connection(server.address, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            der = secure.getpeercert(binary_form=True)
    text = tls_wire.openssl("x509", "-inform", "DER", "-noout", "-serial", data=der)
    return int(text.decode().strip().partition("=")[2], 16)
