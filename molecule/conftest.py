"""What the tests of all scenarios share: runs of Ansible, the host's address, and HTTP requests by a site's name."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
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


def ansible(program: str, *arguments: str | Path, **environment: str) -> dict:
    """What ansible or ansible-playbook says of its run, which may have failed, as the callback's JSON."""
    # ansible, unlike ansible-playbook, has no callbacks unless it is told to.
    callback = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true"}
    done = subprocess.run(
        [Path(sys.executable).parent / program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | callback | environment,
        cwd=os.environ["EMPEROR_PROJECT"],
    )
    assert done.stdout.lstrip().startswith("{"), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def changed_by(playbook: str, inventory: Path) -> int:
    """How many tasks of a playbook changed something on the host of a scenario; the playbook must not fail."""
    said = ansible("ansible-playbook", "-i", inventory, playbook)
    stats = said["stats"]["server"]
    assert not stats["failures"] and not stats["unreachable"], json.dumps(said, indent=1)[-3000:]
    return stats["changed"]


def run_module(inventory: Path, name: str, options: dict, *flags: str, **environment: str) -> dict:
    """What a module of the collection returns when it is run alone, whether it fails or not."""
    arguments = ["-i", inventory, "server", "-m", f"emperor.web.{name}", "-a", json.dumps(options), *flags]
    return ansible("ansible", *arguments, **environment)["plays"][0]["tasks"][0]["hosts"]["server"]


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


class Visitors:
    """Ask for a page of a site again and again, from entry to exit; each answer has to be good."""

    def __init__(self, site: Site, path: str) -> None:
        self.site, self.path = site, path
        self.asked = 0
        self.odd: list[int | str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _number in range(2)]

    def _ask(self) -> None:
        while not self.over.is_set():
            try:
                answer = self.site.get(self.path)
                self.odd += [answer.status] if answer.status != 200 else []
            except OSError as error:
                self.odd.append(str(error))
            self.asked += 1
            time.sleep(0.02)

    def __enter__(self) -> Visitors:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert self.asked > 10
        assert self.odd == [], f"of {self.asked}"


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


def where() -> str:
    """The host's address now: another container may have taken the one that it had before a boot."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    done = subprocess.run(["docker", "inspect", "--format", template, HOST], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def address() -> str:
    """The host's IP address."""
    return where()


@pytest.fixture
def site(address: str, request: pytest.FixtureRequest) -> Site:
    """The site that the module's DOMAIN names."""
    return Site(address, request.module.DOMAIN)
