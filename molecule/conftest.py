"""What the tests of all scenarios share: the host's address, and HTTP requests with the Host header of a site."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

HOST = os.environ.get("EMPEROR_HOST", "emperor-test")


def pytest_report_header() -> str:
    release = subprocess.run(
        ["docker", "exec", HOST, "cat", "/etc/os-release"], capture_output=True, text=True, check=False
    ).stdout
    name = next((line.partition("=")[2] for line in release.splitlines() if line.startswith("PRETTY_NAME=")), "unknown")
    image = os.environ.get("EMPEROR_IMAGE") or "the default of dev/lab.py"
    return f"host {HOST}: {name.strip(chr(34))}, image {image}"


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Site:
    """One site of the host, as a visitor reaches it."""

    def __init__(self, address: str, domain: str) -> None:
        self.address = address
        self.domain = domain

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; header names are written with underscores."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=30)
        try:
            wire = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": self.domain} | wire)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def wait(self, path: str = "/", seconds: float = 30) -> Answer:
        """The first answer that is no error of the server, for a site that is coming back."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.get(path)
                if answer.status < 500 or time.monotonic() > deadline:
                    return answer
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)


def judged_by_gixy(host, folder: Path) -> str:
    """What gixy says against the configuration that Nginx has read; empty for nothing."""
    (folder / "nginx.conf").write_text(host.check_output("nginx -T 2>/dev/null"))
    gixy = shutil.which("gixy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert gixy, "gixy is not installed; it is in dev/requirements.txt"
    # try_files with a cache would serve files of the release before; distributions mend versions without a new number;
    # the curve that old versions of OpenSSL do not know is written for those that do.
    argv = [gixy, "--skips", "try_files_is_evil_too,nginx_cves,ssl_ecdh_curve", folder / "nginx.conf"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found_nothing = done.returncode == 0 and "No issues found" in done.stdout
    return "" if found_nothing else done.stdout + done.stderr


@pytest.fixture(scope="session")
def address() -> str:
    """The host's IP address."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    done = subprocess.run(["docker", "inspect", "--format", template, HOST], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def site(address: str, request: pytest.FixtureRequest) -> Site:
    """The site that the module's DOMAIN names."""
    return Site(address, request.module.DOMAIN)
