# SPDX-License-Identifier: MIT
"""What every integration test starts from: the program under test, and its build folder."""
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def build():
    """The build folder under test; `make test` sets THRUM_BUILD."""
    return pathlib.Path(os.environ.get("THRUM_BUILD", ROOT / "build" / "test"))


@pytest.fixture(scope="session")
def thrum_bin(build):
    """Path of the program under test; `make test` sets THRUM_BIN."""
    return pathlib.Path(os.environ.get("THRUM_BIN", build / "thrum" / "thrum"))
