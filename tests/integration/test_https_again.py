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

# Python's ssl objects may not be read and written by two threads at the same time before 3.13, which
# the client of these does; test_tls_peers.py moves more than the sockets hold in both directions.
del test_an_echo_of_more_than_the_sockets_hold  # noqa: F821
del test_pipelined_requests_are_answered_in_order  # noqa: F821
del test_the_answer_gets_through_to_a_client_that_is_still_sending  # noqa: F821

# Targets with http:// are misdirected here, and which listeners speak TLS is what their addresses
# say: test_https.py has tests of both.
del test_many_listeners  # noqa: F821
del test_paths_are_decoded_and_targets_are_not  # noqa: F821
del test_the_host_is_that_of_the_target_if_it_has_one  # noqa: F821


@pytest.fixture
def probe(tls_probe):
    """In place of the plain one, also for the fixtures that use it."""
    return tls_probe
