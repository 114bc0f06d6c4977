#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Looks into a server under load again and again; neither may crash, and the server must not err.

Usage: soak.py [--program build/test/thrum/thrum] [--runs 1000] [--clients 8]

Each run is one of ps, ps --stacks, ps --json, ps --summary, tree, or a short profile. Prints how
many runs and requests there were.
"""
import argparse
import json
import pathlib
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAYS = (["ps"], ["ps", "--stacks"], ["ps", "--json", "--stacks"], ["ps", "--summary"], ["tree"])


class Client(threading.Thread):
    """Asks as fast as it is answered, by new connections now and then."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.answers = 0
        self.error = None
        self.over = False

    def ask(self, connection):
        connection.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.receive(connection)
        head, _, body = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise OSError(f"answered {head[:60]}")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self.receive(connection)
        self.answers += 1

    @staticmethod
    def receive(connection):
        data = connection.recv(65536)
        if not data:
            raise OSError("the connection was closed")
        return data

    def run(self):
        try:
            while not self.over:
                with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                    for _ in range(20):
                        self.ask(connection)
        except (OSError, StopIteration) as error:
            self.error = error


def start_server(program):
    server = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--workers", "2"],
                              text=True, stdout=subprocess.PIPE)
    for line in server.stdout:
        if "listening on" in line:
            port = int(line.rstrip("/\n").rpartition(":")[2])
        if "stop with" in line:
            break
    drain = threading.Thread(target=lambda: [None for _ in server.stdout], daemon=True)
    drain.start()
    return server, port


def look(program, pid, number):
    """One run; says what went wrong, or nothing."""
    if number % 50 == 49:
        words = ["profile", "--wait", "--seconds", "1", "--rate", "100", str(pid)]
    else:
        words = [*WAYS[number % len(WAYS)], str(pid)]
    done = subprocess.run([program, *words], text=True, capture_output=True, timeout=60)
    if done.returncode != 0 or done.stderr:
        return f"{words}: {done.returncode} {done.stderr}"
    if "--json" in words:
        fibers = json.loads(done.stdout)["fibers"]
        if not any(fiber["name"] == "main" for fiber in fibers):
            return "the main fiber was not seen"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "build" / "test" / "thrum" / "thrum")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    server, port = start_server(args.program)
    clients = [Client(port) for _ in range(args.clients)]
    errors = []
    for client in clients:
        client.start()
    try:
        for number in range(args.runs):
            error = look(args.program, server.pid, number)
            errors += [f"run {number}: {error}"] if error else []
    finally:
        for client in clients:
            client.over = True
        for client in clients:
            client.join(60)
        server.terminate()
        status = server.wait(60)
    errors += [f"a client: {client.error}" for client in clients if client.error]
    errors += [f"the server ended with {status}"] if status else []
    print(*errors[:20], sep="\n", end="\n" if errors else "")
    print(f"{args.runs} runs, {sum(client.answers for client in clients)} requests, "
          f"{len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
