# SPDX-License-Identifier: MIT

"""
The servers that are compared: how each is started, and what it serves where.

All run on one CPU with one worker, without access log, with keep-alive that does not end. Each is
configured as its own documentation recommends for speed; what was chosen and why stands beside it.
"""

import getpass
import os
import pathlib
import shutil

from harness import machine

HELLO = b"hello, world\n"
CONNECTIONS = 16384  # more than any scenario opens, less than the usual limit of descriptors


class Server:
    """One way of serving. Subclasses say what they can do and how they start."""

    name = ""
    purposes = frozenset()  # of "hello", "files", "echo", "udp", "forward"
    hello_path = "/hello"

    def __init__(self, build):
        self.build = pathlib.Path(build)

    def missing(self, purpose):
        """Why this server cannot serve the purpose here, or None."""
        raise NotImplementedError

    def version(self):
        """One line that names what was measured."""
        return "built here"

    def command(self, purpose, port, root, to=None):
        """The command line that serves `purpose` on the port; root/www holds the files. A forwarder
        forwards to port `to`."""
        raise NotImplementedError


class Built(Server):
    """A server of this directory that Meson builds."""

    program = ""

    def path(self):
        return self.build / "bench" / self.program

    def missing(self, _purpose):
        return None if os.access(self.path(), os.X_OK) else f"{self.path()} is not built"

    def command(self, purpose, port, root, to=None):
        return [str(self.path()), purpose if purpose in ("echo", "udp") else "http", str(port)]


class RawEpoll(Built):
    """No parser, no work: what TCP and epoll allow."""

    name = "raw-epoll"
    program = "raw_epoll"
    purposes = frozenset({"hello", "echo"})


class Libuv(Built):
    """The same without a parser on libuv."""

    name = "libuv"
    program = "libuv_server"
    purposes = frozenset({"hello", "echo", "udp"})


class Asio(Built):
    """The echo on Boost.Asio."""

    name = "asio"
    program = "asio_server"
    purposes = frozenset({"echo"})


class ThrumProtocol(Built):
    """The echo of thrum_server.c with a protocol: callbacks instead of a fiber per connection."""

    name = "thrum-protocol"
    program = "thrum_server"
    purposes = frozenset({"echo"})

    def command(self, purpose, port, root, to=None):
        return [str(self.path()), "protocol", str(port)]


class ThrumDispatcher(ThrumProtocol):
    """The same with dispatchers."""

    name = "thrum-dispatcher"

    def command(self, purpose, port, root, to=None):
        return [str(self.path()), "dispatcher", str(port)]


class Installed(Server):
    """A server from the distribution's packages."""

    program = ""
    package = ""

    def missing(self, _purpose):
        where = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin")
        return None if where else f"not installed (package {self.package})"


class Nginx(Installed):
    """
    nginx. hello is answered by `return 200`, its fastest way. Files go out by sendfile with
    tcp_nopush (head and file in full packets), as its documentation recommends; open_file_cache
    helps or harms by the case, so that both ways are measured.
    """

    name = "nginx"
    program = "nginx"
    package = "nginx-light"
    purposes = frozenset({"hello", "files"})
    file_cache = "off"

    def version(self):
        return machine.first_line([self.program, "-v"])

    def command(self, purpose, port, root, to=None):
        conf = root / "nginx.conf"
        conf.write_text(f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile {CONNECTIONS + 1024};
pid {root}/nginx.pid;
error_log {root}/nginx.log crit;
events {{
    worker_connections {CONNECTIONS};
    multi_accept on;
}}
http {{
    access_log off;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    sendfile on;
    tcp_nopush on;
    open_file_cache {self.file_cache};
    client_body_temp_path {root}/nginx-body;
    proxy_temp_path {root}/nginx-proxy;
    fastcgi_temp_path {root}/nginx-fastcgi;
    scgi_temp_path {root}/nginx-scgi;
    uwsgi_temp_path {root}/nginx-uwsgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root}/www;
        location = /hello {{
            default_type text/plain;
            return 200 "hello, world\\n";
        }}
    }}
}}
""")
        # -e: the message that the compiled-in log cannot be opened would come before the file's.
        return [self.program, "-e", f"{root}/nginx.log", "-p", str(root), "-c", str(conf)]


class NginxFileCache(Nginx):
    """nginx that keeps files open between requests."""

    name = "nginx-cache"
    purposes = frozenset({"files"})
    file_cache = "max=1000 inactive=1h"


class H2o(Installed):
    """
    h2o. It has no built-in fixed answer with status 200 except through mruby, which is slower
    than its file handler; hello therefore is a file of 13 bytes, which h2o keeps open.
    """

    name = "h2o"
    program = "h2o"
    package = "h2o"
    purposes = frozenset({"hello", "files"})
    hello_path = "/hello.txt"

    def version(self):
        return machine.first_line([self.program, "-v"])

    def command(self, purpose, port, root, to=None):
        # A process that changes its user is no longer killed when the one that started it dies.
        conf = root / "h2o.conf"
        conf.write_text(f"""
user: {getpass.getuser()}
listen:
  host: 127.0.0.1
  port: {port}
num-threads: 1
num-name-resolution-threads: 1
max-connections: {CONNECTIONS}
http1-request-timeout: 3600
hosts:
  default:
    paths:
      /:
        file.dir: {root}/www
""")
        return [self.program, "-m", "worker", "-c", str(conf)]


class HAProxy(Installed):
    """HAProxy in TCP mode, with its own buffers."""

    name = "haproxy"
    program = "haproxy"
    package = "haproxy"
    purposes = frozenset({"forward"})
    options = ""

    def version(self):
        return machine.first_line([self.program, "-v"])

    def command(self, purpose, port, root, to=None):
        conf = root / "haproxy.cfg"
        conf.write_text(f"""
global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    {self.options}
listen forward
    bind 127.0.0.1:{port}
    server echo 127.0.0.1:{to}
""")
        return [self.program, "-db", "-q", "-f", str(conf)]


class HAProxySplice(HAProxy):
    """HAProxy that splices where it finds that to be worth while."""

    name = "haproxy-splice"
    options = "option splice-auto"


class Thrum(Server):
    """
    What all this is about. A fixed answer and an echo are written in C with the library
    (thrum_server.c); files are served by the program, as a user would.
    """

    name = "thrum"
    purposes = frozenset({"hello", "files", "echo", "udp", "forward"})

    def __init__(self, build, program=None):
        super().__init__(build)
        self.program = pathlib.Path(program) if program else self.build / "thrum" / "thrum"
        self.server = self.build / "bench" / "thrum_server"

    def missing(self, purpose):
        path = self.program if purpose == "files" else self.server
        return None if os.access(path, os.X_OK) else f"{path} is not built"

    def command(self, purpose, port, root, to=None):
        if purpose == "files":
            return [str(self.program), "serve", "--listen", f"127.0.0.1:{port}", "--workers", "1",
                    "--access-log", "off", f"{root}/www"]
        if purpose == "forward":
            return [str(self.server), "forward", str(port), str(to)]
        return [str(self.server), purpose if purpose in ("echo", "udp") else "http", str(port)]


def all_servers(build, thrum=None):
    """name -> server, in the order in which tables show them."""
    servers = [Thrum(build, thrum), ThrumProtocol(build), ThrumDispatcher(build),
               RawEpoll(build), Libuv(build), Asio(build), Nginx(build), NginxFileCache(build),
               H2o(build), HAProxy(build), HAProxySplice(build)]
    return {s.name: s for s in servers}
