# SPDX-License-Identifier: MIT
"""What servers/chat_probe.c does, by CPython's asynchat; see there.

Usage: asynchat_probe.py select|poll FD STAGE...
"""
import asynchat
import asyncore
import socket
import sys


class Probe(asynchat.async_chat):
    def __init__(self, sock, stages):
        super().__init__(sock)
        self.stages = iter(stages)
        self.ended = False
        self.terminator = None
        self.next_stage()

    def next_stage(self):
        stage = next(self.stages, None)
        if stage is None:
            return
        terminator, *actions = stage.split(",")
        if terminator[0] == "b":
            self.set_terminator(bytes.fromhex(terminator[1:]))
        elif terminator[0] == "n":
            self.set_terminator(int(terminator[1:]))
        elif terminator == "-":
            self.set_terminator(None)
        for action in actions:
            self.act(action[0], action[1:])

    def act(self, kind, rest):
        if kind == "p":
            self.push(bytes.fromhex(rest))
        elif kind == "s":
            size, data = rest.split(":")
            self.push_with_producer(asynchat.simple_producer(bytes.fromhex(data), int(size)))
        elif kind == "c":
            self.close_when_done()
        else:
            self.discard_buffers()

    def collect_incoming_data(self, data):
        print("collect", data.hex())

    def found_terminator(self):
        print("found")
        self.next_stage()

    def readable(self):
        return not self.ended

    def handle_close(self):
        if self.ended:
            self.close()
            return
        print("end")
        self.ended = True
        self.close_when_done()

    def handle_error(self):
        print("error", sys.exc_info()[0].__name__)
        self.close()


def main():
    Probe(socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
    asyncore.loop(use_poll=sys.argv[1] == "poll")


main()
