# SPDX-License-Identifier: MIT

"""
The servers whose TLS is compared: each serves the same by HTTPS on one port and by HTTP on another.

All run on one CPU with one worker or thread, without access log, with tickets and without a cache
of sessions, by OpenSSL's defaults for groups and ciphers; Go has its own TLS.
"""

import dataclasses
import getpass
import os
import pathlib
import subprocess

from harness import machine, process, servers

KEYS = {
    "p256": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    "rsa2048": ("-newkey", "rsa:2048"),
}


@dataclasses.dataclass(frozen=True)
class Place:
    """What a server is told: a folder of its own with www/, cert.pem and key.pem, and the ports."""

    root: pathlib.Path
    secure: int
    plain: int

    @property
    def cert(self):
        return self.root / "cert.pem"

    @property
    def key(self):
        return self.root / "key.pem"


def make_certificate(place, kind):
    """A self-signed certificate; both.pem has the key behind it, as HAProxy wants them."""
    command = ["openssl", "req", "-x509", *KEYS[kind], "-nodes", "-days", "30", "-subj",
               "/CN=localhost", "-keyout", str(place.key), "-out", str(place.cert)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=60)
    if done.returncode != 0:
        raise process.Failed(f"openssl req: {done.stderr}")
    place.root.joinpath("both.pem").write_bytes(place.cert.read_bytes() + place.key.read_bytes())


class Nginx(servers.Nginx):
    """nginx; its tickets are on by default, its cache of sessions is off."""

    purposes = frozenset({"hello", "files"})

    def command_tls(self, purpose, place):
        command = self.command(purpose, place.plain, place.root)
        conf = place.root / "nginx.conf"
        text = conf.read_text()
        at = f"listen 127.0.0.1:{place.plain} backlog=4096;"
        conf.write_text(text.replace(at, f"""{at}
        listen 127.0.0.1:{place.secure} ssl backlog=4096;
        ssl_certificate {place.cert};
        ssl_certificate_key {place.key};
        ssl_protocols TLSv1.2 TLSv1.3;"""))
        return command


class H2o(servers.H2o):
    """
    h2o. It signs in a process of its own (neverbleed), which costs it handshakes and guards the
    key; `h2o-neverbleed` is h2o as it comes, `h2o` the same without.
    """

    purposes = frozenset({"hello", "files"})
    neverbleed = "OFF"

    def command_tls(self, _purpose, place):
        conf = place.root / "h2o.conf"
        conf.write_text(f"""
user: {getpass.getuser()}
listen:
  host: 127.0.0.1
  port: {place.plain}
listen:
  host: 127.0.0.1
  port: {place.secure}
  ssl:
    certificate-file: {place.cert}
    key-file: {place.key}
    neverbleed: {self.neverbleed}
    ocsp-update-interval: 0
num-threads: 1
num-name-resolution-threads: 1
max-connections: {servers.CONNECTIONS}
http1-request-timeout: 3600
ssl-session-resumption:
  mode: ticket
hosts:
  default:
    paths:
      /:
        file.dir: {place.root}/www
""")
        return [self.program, "-m", "worker", "-c", str(conf)]


class H2oNeverbleed(H2o):
    """h2o with the key in a process of its own."""

    name = "h2o-neverbleed"
    neverbleed = "ON"


class HAProxy(servers.HAProxy):
    """HAProxy answers by itself; it serves no files, and so takes no part in downloads."""

    purposes = frozenset({"hello"})

    def command_tls(self, _purpose, place):
        conf = place.root / "haproxy.cfg"
        conf.write_text(f"""
global
    nbthread 1
    maxconn 4000
    tune.ssl.cachesize 0
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout client 1h
    timeout connect 10s
    timeout server 1h
frontend all
    bind 127.0.0.1:{place.plain}
    bind 127.0.0.1:{place.secure} ssl crt {place.root}/both.pem
    http-request return status 200 content-type text/plain lf-file {place.root}/www/hello.txt
""")
        return [self.program, "-db", "-q", "-f", str(conf)]


class Go(servers.Built):
    """net/http and crypto/tls of Go, HTTP/1.1."""

    name = "go"
    program = "tls_go"
    purposes = frozenset({"hello", "files"})

    def version(self):
        return machine.first_line(["go", "version"])

    def command_tls(self, _purpose, place):
        return [str(self.path()), str(place.cert), str(place.key), f"{place.root}/www",
                str(place.secure), str(place.plain)]


class Thrum(servers.Thrum):
    """A handler on both ports of one process (tls/storm_server.c), and files by the program."""

    purposes = frozenset({"hello", "files"})

    def __init__(self, build, program=None):
        super().__init__(build, program)
        self.server = self.build / "bench" / "tls_storm_server"

    def missing(self, purpose):
        path = self.program if purpose == "files" else self.server
        return None if os.access(path, os.X_OK) else f"{path} is not built"

    def command_tls(self, purpose, place):
        if purpose == "files":
            return [str(self.program), "serve", "--listen", f"127.0.0.1:{place.secure}",
                    "--workers", "1", "--access-log", "off", "--tls", "--cert", str(place.cert),
                    "--key", str(place.key), f"{place.root}/www"]
        return [str(self.server), str(place.cert), str(place.key), str(place.plain),
                str(place.secure), "1"]


def all_servers(build, thrum=None):
    """name -> server, in the order in which tables show them."""
    found = [Thrum(build, thrum), Nginx(build), HAProxy(build), H2o(build), H2oNeverbleed(build),
             Go(build)]
    return {s.name: s for s in found}
