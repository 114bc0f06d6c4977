# SPDX-License-Identifier: MIT
"""Each message of TLS, in the place where it belongs and under the right keys, with bytes that
somebody has changed at random: nothing is hurt, and nothing is believed."""
import os
import random
import socket

import pytest

from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

TRIES = int(os.environ.get("THRUM_STRESS", "1")) * 100  # of each message


def flip(data, dice):
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def overwrite(data, dice):
    at = dice.randrange(len(data))
    data[at:at + dice.choice((1, 2, 4))] = dice.choice((b"\0", b"\xff", b"\0\0", b"\xff\xff"))


def cut(data, dice):
    at = dice.randrange(len(data))
    del data[at:at + dice.randrange(1, 20)]


def repeat(data, dice):
    at = dice.randrange(len(data))
    data[at:at] = data[at:at + dice.randrange(1, 40)]


def change(data, dice):
    """What is left of it, whose length may be right or not."""
    data = bytearray(data)
    dice.choice((flip, flip, flip, overwrite, cut, repeat))(data, dice)
    if len(data) > 4 and dice.random() < 0.5:
        data[1:4] = (len(data) - 4).to_bytes(3, "big")
    return bytes(data)


@pytest.fixture
def asking(several_ends):
    """Ends whose server asks for a certificate, so that there is all that there can be."""
    found = several_ends.get(asks=True)
    yield found
    found.serve()
    found.is_well()


@pytest.mark.parametrize("kind, state", [
    (kind, state) for kind in (Client12, Client13, Server12, Server13) for state in kind.names
    if state not in ("second_hello", "change_cipher_spec")])
def test_changed_bytes(asking, kind, state):
    how = {"request": True} if kind.meets == "client" else {}
    dice = random.Random(f"{kind.__name__} {state}")
    for _ in range(TRIES):
        with asking.meet(kind, **how) as peer:
            peer.handshake(until=state)
            _name, number, make = peer.held
            right = make()
            while (wrong := change(right, dice)).startswith(right):  # it would be the right one
                pass
            peer.record(number, wrong)
            peer.socket.shutdown(socket.SHUT_WR)
            peer.drain()
            _role, error, why = asking.outcome(peer.port)
            assert error in ("TH_ETLS", "TH_ETRUNCATED") and why, (right, wrong, error)
            assert why != "the connection ended without the end that TLS has", (right, wrong)
