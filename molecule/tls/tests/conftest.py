"""What the tests of this scenario trust."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def acme_root(tmp_path_factory) -> Path:
    """The certificate authority of pebble, which makes a new one at each start."""
    python = "import urllib.request as u; print(u.urlopen('https://localhost:15000/roots/0').read().decode())"
    host = os.environ["EMPEROR_HOST"]
    done = subprocess.run(
        ["docker", "exec", host, "python3", "-c", python], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path_factory.mktemp("acme") / "root.pem"
    path.write_text(done.stdout)
    return path
