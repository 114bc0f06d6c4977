# SPDX-License-Identifier: MIT
"""What holds of plain HTTP holds over TLS: the same tests with the same server, over TLS."""
import pytest

from test_bodies import *  # noqa: F401,F403 (the tests)
from test_connections import *  # noqa: F401,F403
from test_refusals import *  # noqa: F401,F403
from test_replies import *  # noqa: F401,F403
from test_slow import *  # noqa: F401,F403

# A client that has to wait until it is accepted waits in its handshake then, and one that is told of
# the end in the very moment of its request sees no reset: test_https.py has tests of its own.
del test_max_connections_lets_the_next_one_wait  # noqa: F821
del test_a_request_just_when_the_time_is_over  # noqa: F821


@pytest.fixture
def probe(tls_probe):
    """In place of the plain one, also for the fixtures that use it."""
    return tls_probe
