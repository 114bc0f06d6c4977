# SPDX-License-Identifier: MIT
"""Servers of TLS that other people wrote, for Thrum as a client: OpenSSL's, GnuTLS's, Go's,
Python's and nginx. And the client: tests/integration/clients/tls_ask.c."""
import contextlib
import fcntl
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import termios
import threading

from serving import TIMEOUT, Lines, eventually

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"  # which is not in everybody's PATH
REQUEST = "GET /small HTTP/1.0\r\n\r\n"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_listening(port, kind="tcp"):
    """By the kernel's table, so that the server does not see anybody come and go."""
    end, state = f":{port:04X}", "0A" if kind == "tcp" else "07"
    lines = [line.split() for name in (kind, f"{kind}6")
             for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return any(words[1].endswith(end) and words[3] == state for words in lines)


class Program:
    """A program that serves: what it says, and its end with the test."""

    def __init__(self, stack, command, folder=None):
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace")
        stack.callback(self.end)
        self.out = Lines(self.process.stdout)

    def says(self, words, timeout=TIMEOUT):
        """Waits for a line with these words; the line."""
        found = self.out.wait(lambda lines: [line for line in lines if words in line], timeout)
        assert found, (words, self.out.lines[-20:])
        return found[0]

    def hears(self, line):
        """Gives it a line, and waits until it has taken it, alone."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        left = bytearray(4)

        def is_taken():
            fcntl.ioctl(self.process.stdin, termios.FIONREAD, left)
            return not any(left)
        eventually(is_taken)

    def cut(self):
        """Ends it in the middle of what it does: nothing is said any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def at_free_port(stack, command, folder=None, kind="tcp"):
    """A program that has to be told its port: command(port) gives its words. Somebody else may
    have taken the port when it comes to it: then it ends, and another one is tried."""
    for _ in range(5):
        port = free_port(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        program = Program(stack, command(port), folder)
        eventually(lambda: is_listening(port, kind) or program.process.poll() is not None)
        if program.process.poll() is None:
            program.address = f"127.0.0.1:{port}"
            return program
    raise AssertionError(program.out.lines)


class Settings:
    """What a server is to be: `pair` its certificate and key, `version` the only one that it
    speaks, `client_ca` whose certificates clients have to show, `alpn` what it knows, `folder`
    where it runs, which matters if it serves files."""

    def __init__(self, pair, version=None, client_ca=None, alpn="http/1.1", folder=None):
        self.pair, self.version, self.client_ca, self.alpn = pair, version, client_ca, alpn
        self.folder = folder


# ---- the servers. Each gives a line back, with `said` to be sent and `heard` to be expected;
# `whom` finds in what it says which client has come.

class Openssl:
    said, heard, needs = "warp\n", "praw\n", ("openssl", "openssl")

    def __init__(self, stack, s, *more):
        words = more or ["-rev"]
        if s.version:
            words = [*words, "-tls" + s.version.replace(".", "_")]
        if s.client_ca:
            words = [*words, "-Verify", "1", "-verify_return_error", "-CAfile", s.client_ca]
        self.program = Program(stack, ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                                       s.pair[0], "-key", s.pair[1], "-alpn", s.alpn, *words],
                               s.folder)
        self.address = self.program.says("ACCEPT ").partition(" ")[2]

    def saw(self, name):
        return name in self.program.says("Peer certificate: ")


class Gnutls:
    said, heard, needs = "warp\n", "warp\n", ("gnutls-serv", "gnutls-bin")

    def __init__(self, stack, s, *more):
        words = more or ["--echo"]
        if s.version:
            words = [*words, f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{s.version}"]
        words = [*words, "--require-client-cert", "--verify-client-cert", "--x509cafile",
                 s.client_ca] if s.client_ca else [*words, "--disable-client-cert"]
        self.program = at_free_port(stack, lambda port: [
            "gnutls-serv", "--port", port, "--x509certfile", s.pair[0], "--x509keyfile", s.pair[1],
            "--alpn", s.alpn, *words])
        self.address = self.program.address

    def saw(self, name):
        return bool(self.program.says(f"Subject: CN={name}"))


class Go:
    said, heard, needs = "warp\n", "warp\n", ("go", "golang-go")
    built = None  # the program, set by who builds it

    def __init__(self, stack, s, *more):
        words = [f"-cert={s.pair[0]}", f"-key={s.pair[1]}", f"-alpn={s.alpn}", *more]
        if s.version:
            words.append(f"-max={s.version}")
        if s.client_ca:
            words.append(f"-ca={s.client_ca}")
        self.program = Program(stack, [Go.built, "echo", *words])
        self.address = self.program.says("listening on ").rpartition(" ")[2]

    def saw(self, name):
        return self.program.says("certificates: ").endswith(f"certificates: 1 {name}")


class Python:
    """In a thread. `ends` says how: "well", or "cut" after the first bytes."""
    said, heard, needs = "warp\n", "warp\n", ("python3", "python3")

    def __init__(self, stack, s, ends="well"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(str(s.pair[0]), str(s.pair[1]))
        self.context.set_alpn_protocols([s.alpn])
        if s.version:
            self.context.minimum_version = self.context.maximum_version = VERSIONS[s.version]
        if s.client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(str(s.client_ca))
        self.ends = ends
        self.clients, self.errors = [], []
        self.changed = threading.Condition()
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        stack.callback(self.stop)

    def stop(self):
        with contextlib.suppress(OSError):  # it has been done
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT)

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            plain.settimeout(TIMEOUT)
            with plain:
                try:
                    self.talk(plain)
                except OSError as error:
                    self.tell(self.errors, error)

    def tell(self, to, what):
        with self.changed:
            to.append(what)
            self.changed.notify_all()

    def talk(self, plain):
        peer = self.context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        with peer:
            self.tell(self.clients, peer.getpeercert())
            while data := peer.recv(65536):
                peer.sendall(data)
                if self.ends == "cut":
                    return
            peer.unwrap()

    def saw(self, name):
        with self.changed:
            assert self.changed.wait_for(lambda: self.clients, TIMEOUT)
        return ((("commonName", name),),) == self.clients[0]["subject"]


class Nginx:
    said, needs = REQUEST, (NGINX, "nginx-light")
    heard = "warp\n"  # the end of what comes

    CONF = """daemon off; master_process off; pid {folder}/pid; error_log stderr info;
events {{ worker_connections 32; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_protocols {protocols};
        {more}
        add_header Client $ssl_client_s_dn;
        root {folder};
    }}
}}
"""

    def __init__(self, stack, s, folder, more=""):
        if s.client_ca:
            more += f" ssl_client_certificate {s.client_ca}; ssl_verify_client on;"
        protocols = f"TLSv{s.version}" if s.version else "TLSv1.2 TLSv1.3"
        (folder / "small").write_text("warp\n")

        def command(port):
            conf = folder / "nginx.conf"
            conf.write_text(self.CONF.format(folder=folder, port=port, cert=s.pair[0],
                                             key=s.pair[1], protocols=protocols, more=more))
            return [NGINX, "-p", folder, "-c", conf, "-e", "stderr"]
        self.program = at_free_port(stack, command)
        self.address = self.program.address


ALL = {"openssl": Openssl, "gnutls": Gnutls, "go": Go, "python": Python, "nginx": Nginx}


# ---- the client

class Ask:
    """tls_ask: ask(address, name="localhost", times=3) gives what it found of each connection."""

    def __init__(self, program, authority):
        self.program, self.authority = program, authority

    def words(self, to, **settings):
        settings = {"to": to, "name": "localhost", "ca": self.authority.cert, **settings}
        return [str(self.program), *(f"{name}={value}" for name, value in settings.items()
                                     if value is not None)]

    def __call__(self, to, **settings):
        done = subprocess.run(self.words(to, **settings), capture_output=True, text=True,
                              timeout=3 * TIMEOUT, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def going_on(self, to, **settings):
        """While it runs: .answer() waits for the end."""
        with subprocess.Popen(self.words(to, **settings), stdout=subprocess.PIPE,
                              text=True) as process:
            try:
                process.answer = lambda: json.loads(process.communicate(timeout=TIMEOUT)[0])
                yield process
            finally:
                process.kill()
