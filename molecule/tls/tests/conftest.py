"""What the tests of this scenario trust."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# As prepare.yml starts the first one.
SETTLED = "--setenv PEBBLE_VA_NOSLEEP=1 --setenv PEBBLE_WFE_NONCEREJECT=0 --setenv PEBBLE_AUTHZREUSE=0"


@pytest.fixture(scope="session")
def acme_server() -> Callable[..., str]:
    """Starts another ACME server, with ports of its own; the URL of its directory."""

    def start(host, number: int, **settings: int) -> str:
        pebble = json.loads(host.file("/etc/pebble.json").content_string)["pebble"]
        pebble |= {
            "listenAddress": f"127.0.0.1:{14000 + number}",
            "managementListenAddress": f"127.0.0.1:{15000 + number}",
        }
        host.check_output(f"printf %s > /etc/pebble-{number}.json", json.dumps({"pebble": pebble | settings}))
        unit = f"systemd-run --quiet --collect --unit pebble-{number} {SETTLED}"
        host.check_output(f"{unit} pebble -config /etc/pebble-{number}.json")
        return f"https://localhost:{14000 + number}/dir"

    return start


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
