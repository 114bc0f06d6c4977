# SPDX-License-Identifier: MIT
"""How the server says no: what goes with the status, and what becomes of the connection."""
import pytest

from wire import request


@pytest.mark.parametrize("status, data", [
    (400, request("HEAD", "/", "X : y")),
    (400, b"HEAD  / HTTP/1.1\r\n"),
    (400, request("HEAD", host=None)),
    (414, request("HEAD", "/" + "a" * 9000)),
    (417, request("HEAD", "/", "Expect: much")),
    (431, request("HEAD", "/", "X: " + "x" * 20000)),
    (505, request("HEAD", version="2.0")),
])
def test_a_refusal_of_head_has_no_content(probe, status, data):
    """RFC 9110, 9.3.2: the method was read, though not the rest."""
    with probe().connect() as client:
        client.send(data)
        answer = client.response("HEAD")
        assert (answer.status, answer.closing) == (status, True)
        assert int(answer.get("Content-Length")) > 0
        assert client.at_end()
