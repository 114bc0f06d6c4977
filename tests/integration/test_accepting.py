# SPDX-License-Identifier: MIT
"""Who comes in, and from where: PROXY headers with HAProxy as the peer, sockets that systemd passes,
options of sockets and limits on the command line."""
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from serving import TIMEOUT, eventually
from tls_peers import needs
from wire import Client

systemd = needs("systemd-socket-activate", "systemd")
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, source="127.0.0.1", target="/"):
    """An HTTP request from an address of choice; the body of the answer."""
    done = subprocess.run(["curl", "-sS", "--max-time", str(TIMEOUT), "--interface", source,
                           f"http://127.0.0.1:{port}{target}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        return True
    except ConnectionRefusedError:
        return False


@pytest.fixture
def haproxy(tmp_path):
    """Runs HAProxy with sections of its configuration; ends it with the test."""
    if not os.path.exists(HAPROXY):
        pytest.skip("there is no haproxy")
    processes = []

    def start_haproxy(sections, *ports):
        config = tmp_path / f"haproxy{len(processes)}.cfg"
        config.write_text("global\n  maxconn 100\n"
                          "defaults\n  timeout connect 10s\n  timeout client 10s\n"
                          "  timeout server 10s\n" + sections)
        processes.append(subprocess.Popen([HAPROXY, "-db", "-f", config], stdout=subprocess.DEVNULL,
                                          stderr=open(tmp_path / "haproxy.err", "ab")))
        for port in ports:
            eventually(lambda port=port: answers(port))
    yield start_haproxy
    for process in processes:
        process.kill()
        process.wait()


def peers(lines):
    """The peers of a common log, without the port."""
    return [line.split()[0] for line in lines if '"GET ' in line]


# ---- PROXY headers from HAProxy


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
@pytest.mark.parametrize("backend", ["epoll", "uring", "poll", "select"])
def test_haproxy_tells_who_the_client_is(start, thrum_bin, haproxy, version, backend):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--backend", backend,
                   "--proxy-protocol", "required", "--proxy-from", "127.0.0.1")
    port = free_port()
    haproxy(f"listen in\n  mode tcp\n  bind 127.0.0.1:{port}\n"
            f"  unique-id-format %[uuid()]\n"
            f"  server next 127.0.0.1:{server.address[1]} {version}\n", port)
    for source in ("127.0.0.1", "127.0.0.5", "127.0.0.6"):
        assert "<html" in ask(port, source)
    seen = server.out.wait(lambda lines: peers(lines) if len(peers(lines)) >= 3 else None)
    assert sorted(seen) == ["127.0.0.1", "127.0.0.5", "127.0.0.6"]


def test_health_checks_by_haproxy_are_taken(start, thrum_bin, haproxy):
    """They come with a header that names nobody (LOCAL), and HTTP behind it."""
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--proxy-protocol", "required")
    port = free_port()
    haproxy(f"listen in\n  mode http\n  bind 127.0.0.1:{port}\n  option httpchk GET /health\n"
            f"  http-check expect status 404\n"
            f"  server next 127.0.0.1:{server.address[1]} check inter 50ms send-proxy-v2 "
            "check-send-proxy\n", port)
    server.out.wait(lambda lines: any('"GET /health' in line for line in lines))
    assert any(line.startswith("127.0.0.1 ") and '"GET /health' in line
               for line in server.out.lines)
    assert "<html" in ask(port, "127.0.0.7")
    assert server.out.wait(lambda lines: "127.0.0.7" in peers(lines))


def test_without_a_header_nobody_gets_in(start, thrum_bin):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--proxy-protocol", "required",
                   well=False)
    with socket.create_connection(server.address, TIMEOUT) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert any("no PROXY header" in line for line in server.err.wait(lambda lines: lines))


# ---- PROXY headers to HAProxy


@pytest.mark.parametrize("version", [1, 2])
def test_haproxy_understands_what_is_sent(start, build, haproxy, version):
    """A client, HAProxy that adds a header, the example that hands it on, HAProxy that answers."""
    first, last = free_port(), free_port()
    haproxy(f"frontend last\n  mode http\n  bind 127.0.0.1:{last} accept-proxy\n"
            "  http-request return status 200 content-type text/plain "
            'lf-string "%[src] %[dst_port]"\n')
    example = start(build / "examples" / "announce", "127.0.0.1:0", f"127.0.0.1:{last}", version,
                    env={"PROXY_FROM": "127.0.0.1"}, well=False)
    direct = example.address[1]
    assert eventually(lambda: subprocess.run(
        ["curl", "-s", "--interface", "127.0.0.8", f"http://127.0.0.1:{direct}/"],
        capture_output=True, text=True).stdout) == f"127.0.0.8 {direct}"
    haproxy(f"listen first\n  mode tcp\n  bind 127.0.0.1:{first}\n"
            f"  server next 127.0.0.1:{direct} send-proxy-v2\n", first)
    assert ask(first, "127.0.0.9") == f"127.0.0.9 {first}"


# ---- sockets that systemd passes

PASS_SOCKETS = pathlib.Path(__file__).with_name("servers") / "pass_sockets.py"


def test_sockets_are_served_by_their_names(start, thrum_bin, tmp_path):
    server = start("/usr/bin/python3", PASS_SOCKETS, "web=127.0.0.1:0", "other=127.0.0.1:0",
                   "web=127.0.0.1:0", f"unix={tmp_path}/socket", "--",
                   thrum_bin, "serve", "--listen", "systemd:web", "--listen", "systemd:unix", count=3)
    assert server.addresses[2] == f"{tmp_path}/socket"
    for where in server.addresses:
        with Client(where) as client:
            assert client.ask().status == 200
    server.stop()
    assert (tmp_path / "socket").exists()  # whose file it is


def test_a_descriptor_is_served_by_its_number(start, thrum_bin):
    server = start("/usr/bin/python3", PASS_SOCKETS, "a=127.0.0.1:0", "b=127.0.0.1:0", "--",
                   thrum_bin, "echo", "--listen", "fd:4")
    with server.connect() as client:
        client.send(b"weft")
        assert client.take(4) == b"weft"


def test_a_name_that_was_not_passed_is_told(thrum_bin):
    done = subprocess.run(["/usr/bin/python3", PASS_SOCKETS, "web=127.0.0.1:0", "--", thrum_bin,
                           "serve", "--listen", "systemd:wed"], capture_output=True, text=True,
                          timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (
        1, "thrum serve: systemd:wed: no socket of this name was passed: No such file or directory\n")


def test_nobody_is_refused_while_the_service_is_restarted(thrum_bin):
    """The socket stays with whoever passed it; clients that come meanwhile wait in its queue."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        fd = listener.fileno()
        waiting = []
        for _ in range(3):
            command = ["/usr/bin/python3", PASS_SOCKETS, f"web={fd}", "--", thrum_bin, "echo",
                       "--listen", "systemd:web"]
            process = subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.DEVNULL)
            try:
                waiting.append(Client(listener.getsockname()))
                for client in waiting:
                    client.send(b"weft")
                    assert client.take(4) == b"weft"
                    client.close()
                process.terminate()
                assert process.wait(TIMEOUT) == 0
            finally:
                process.kill()
                process.wait()
            waiting = [Client(listener.getsockname()) for _ in range(5)]
        for client in waiting:
            client.close()


@systemd
def test_systemd_itself_passes_a_socket(thrum_bin):
    port = free_port()
    process = subprocess.Popen(["systemd-socket-activate", "-l", f"127.0.0.1:{port}",
                                "--fdname=web", thrum_bin, "serve", "--listen", "systemd:web"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port))
        assert "<html" in ask(port)
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()


@systemd
def test_systemd_itself_passes_a_socket_of_datagrams(build):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(0.2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        process = subprocess.Popen(["systemd-socket-activate", "--datagram", "-l",
                                    f"{address[0]}:{address[1]}", build / "examples" / "udp_echo", "systemd:"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answered():
            client.sendto(b"warp", address)
            try:
                return client.recv(100) == b"warp"
            except (TimeoutError, ConnectionRefusedError):
                return False
        try:
            assert eventually(answered)
            process.terminate()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            process.wait()


# ---- options of sockets and limits


@pytest.mark.parametrize("words, complaint", [
    (["--tune", "nodelay,speed=fast"], "there is no option 'speed=fast'"),
    (["--tune", "rcvbuf=lots"], "rcvbuf=lots: must be a number of bytes, such as 65536 or 64K"),
    (["--proxy-protocol", "maybe"], "must be required or optional"),
    (["--max-per-peer", "0"], "must be a number above 0"),
])
def test_a_wrong_option_is_named(thrum_bin, words, complaint):
    done = subprocess.run([thrum_bin, "serve", *words], capture_output=True, text=True,
                          timeout=TIMEOUT)
    assert done.returncode == 2 and complaint in done.stderr


@pytest.mark.parametrize("words, complaint", [
    (["--tune", "congestion=none-such"], "congestion=none-such"),
    (["--tune", "syncnt=3"], "syncnt=3: is for dialling"),
    (["--proxy-protocol", "optional"], "needs networks"),
    (["--proxy-from", "10.0.0.0/8"], "of no use without PROXY headers"),
    (["--proxy-protocol", "required", "--proxy-from", "10.0.0.1/8"], "bits beyond its prefix"),
])
def test_what_cannot_be_had_is_named(thrum_bin, words, complaint):
    done = subprocess.run([thrum_bin, "serve", "--listen", "127.0.0.1:0", *words],
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1 and complaint in done.stderr


def test_options_are_in_force_on_connections(start, thrum_bin):
    """As ss(8) would show it: the kernel's timer of keep-alive probes runs."""
    server = start(thrum_bin, "echo", "--listen", "127.0.0.1:0", "--tune", "keepalive=77/5/3")
    with server.connect() as client:
        client.send(b"x")
        assert client.take(1) == b"x"
        ends = f":{server.address[1]:04X}", f":{client.socket.getsockname()[1]:04X}"
        table = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        rows = [row.split() for row in table]
        row = next(r for r in rows if (r[1][-5:], r[2][-5:]) == ends)  # the server's end
        timer, left = row[5].split(":")
        assert timer == "02" and 7000 <= int(left, 16) <= 7700  # hundredths of a second


def test_a_peer_has_so_many_connections(start, thrum_bin):
    server = start(thrum_bin, "echo", "--listen", "127.0.0.1:0", "--max-per-peer", "2")
    clients = [server.connect() for _ in range(2)]
    for client in clients:
        client.send(b"x")
        assert client.take(1) == b"x"
    with pytest.raises(ConnectionResetError):  # while it connects, or right after
        with socket.create_connection(server.address, TIMEOUT) as third:
            third.recv(1)
    with socket.create_connection(server.address, TIMEOUT, ("127.0.0.9", 0)) as other:
        other.sendall(b"x")
        assert other.recv(1) == b"x"
    for client in clients:
        client.close()
