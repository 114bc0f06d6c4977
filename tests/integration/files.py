# SPDX-License-Identifier: MIT
"""What the tests of files share: folders to serve, bytes to put into them, servers of both kinds."""
import functools
import random

import pytest

SIZES = (0, 1, 4095, 4096, 8191, 8192, 8193, 65535, 65536, 65537, 1 << 20, 10 << 20)


@functools.lru_cache
def content(size, seed=1):
    """Bytes that differ from place to place, the same in every run."""
    return random.Random(f"{seed} {size}").randbytes(size)


def fields_of(answer):
    """The fields of a response, without those that belong to the moment."""
    return [field for field in answer.fields if field[0] != "Date"]


@pytest.fixture
def www(tmp_path):
    """The folder that is served; beside it lies what must never be seen."""
    path = tmp_path / "www"
    path.mkdir()
    return path


@pytest.fixture
def site(start, servers, www):
    """Starts the server of files for tests: site("listing", workers=1, ...)."""
    def start_site(*options, **settings):
        words = [f"{name}={value}" for name, value in {"workers": 2, **settings}.items()]
        return start(servers / "files_probe", www, *options, *words)
    return start_site


@pytest.fixture
def serve(start, thrum_bin, www):
    """Starts `thrum serve` for the folder: serve("--listing", ...)."""
    def start_serve(*options):
        return start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off",
                     *options, www)
    return start_serve
