"""What the tests of this scenario trust."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root_of(tmp_path_factory) -> Callable[[int], Path]:
    """Gets the certificate authority of a pebble, which makes a new one at each start, from its port for that."""

    def get(port: int) -> Path:
        python = f"import urllib.request as u; print(u.urlopen('https://localhost:{port}/roots/0').read().decode())"
        host = os.environ["EMPEROR_HOST"]
        done = subprocess.run(
            ["docker", "exec", host, "python3", "-c", python], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        path = tmp_path_factory.mktemp("acme") / "root.pem"
        path.write_text(done.stdout)
        return path

    return get


@pytest.fixture(scope="session")
def acme_root(root_of) -> Path:
    """That of the one that the scenario begins with."""
    return root_of(15000)
