# SPDX-License-Identifier: MIT
"""How the program ends: what is in progress is finished, and what is cut off is owned up to."""
import pytest


@pytest.fixture
def echo(start, thrum_bin):
    return start(thrum_bin, "echo", "--listen", "127.0.0.1:0", well=False)


def exchange(client, text):
    client.send(text)
    return client.take(len(text))


def test_what_is_in_progress_is_finished(echo):
    with echo.connect() as client:
        assert exchange(client, b"warp") == b"warp"
        echo.signal()
        assert exchange(client, b"weft") == b"weft"
    assert (echo.wait(), echo.err.lines) == (0, [])


def test_a_second_signal_cuts_off_and_says_so(echo):
    with echo.connect() as client:
        assert exchange(client, b"warp") == b"warp"
        echo.signal()
        assert exchange(client, b"weft") == b"weft"
        echo.signal()
        assert client.rest() == b""
    assert (echo.wait(), echo.err.lines) == (
        1, ["thrum echo: stopped before all that was in progress had ended"])
