"""Hosts that are reached over SSH, the repository that they get the project from, and what a visitor sees of them."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import Server, lab

DOMAIN = "guestbook.example.com"
EXAMPLE = lab.ROOT / "examples/guestbook"
# A change of code that ours puts live without health.settle, as the others do.
UNWATCHED = "unwatched"
# Each release with a new dependency brings a version of this that no host has had: pure Python, and small.
DEPENDENCY = "markdown"
DEPENDENCY_VERSIONS = ("3.4.1", "3.4.2", "3.4.3", "3.4.4", "3.5", "3.5.1", "3.5.2", "3.6", "3.7", "3.8")


class Odd(Exception):
    """A way did not do what is measured, so that its figures would mislead."""


# The repository.


def make_repository(place: Path, rounds: int) -> Path:
    """A folder with guestbook.git: a branch v1, and for each round two changes of code and a new dependency."""
    if rounds > len(DEPENDENCY_VERSIONS):
        raise lab.Missing(f"there are dependencies for {len(DEPENDENCY_VERSIONS)} rounds only; take fewer rounds")
    work, served = place / "work", place / "served"
    shutil.copytree(EXAMPLE, work, ignore=shutil.ignore_patterns("__pycache__", "var", ".venv"))
    git = ["git", "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com", "-C", work]
    lab.run(*git, "init", "--quiet", "--initial-branch", "start")
    lab.run(*git, "add", ".")
    lab.run(*git, "commit", "--quiet", "--message", "Start")
    kinds = ("code", UNWATCHED, "dependency")
    for version in ["v1", *(f"{kind}-{number}" for number in range(rounds) for kind in kinds)]:
        lab.run(*git, "checkout", "--quiet", "-b", version, "start")
        change(work, version)
        lab.run(*git, "commit", "--quiet", "--all", "--message", version)
    served.mkdir()
    lab.run("git", "clone", "--quiet", "--bare", work, served / "guestbook.git")
    return served


def change(work: Path, version: str) -> None:
    """Code that differs, in Python and in what a visitor sees; of a dependency also what is required and imported."""
    template, views = work / "entries/templates/base.html", work / "entries/views.py"
    text = template.read_text()
    if "</body>" not in text:
        raise Odd(f"{template} has no </body>, before which the version is written")
    template.write_text(text.replace("</body>", f"{mark(version)}</body>"))
    kind, _dash, number = version.partition("-")
    if kind == "dependency":
        with open(work / "requirements.txt", "a") as requirements:
            requirements.write(f"{DEPENDENCY}=={DEPENDENCY_VERSIONS[int(number)]}\n")
        views.write_text(f"import {DEPENDENCY}  # noqa: F401\n{views.read_text()}")
    else:
        views.write_text(f"{views.read_text()}\n# {version}\n")


@contextmanager
def git_server(served: Path, address: str) -> Iterator[str]:
    """Serve the repository to the containers; its URL."""
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    options = ["--export-all", f"--base-path={served}", f"--listen={address}", f"--port={port}", "--reuseaddr"]
    # By its own name: `git daemon` would be a second process that outlives the first.
    program = Path(lab.run("git", "--exec-path").stdout.strip()) / "git-daemon"
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(address, port)
            yield f"git://{address}:{port}/guestbook.git"
        finally:
            server.terminate()


def wait_for_port(address: str, port: int) -> None:
    for _attempt in range(100):
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise lab.Missing(f"nothing answers at {address}, port {port}")


@contextmanager
def relay(server: Server, milliseconds: float) -> Iterator[int]:
    """The port of 127.0.0.1 at which the host's sshd is so many milliseconds away, there and back."""
    program = [sys.executable, Path(__file__).with_name("relay.py"), server.address, "22", str(milliseconds)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            yield int(running.stdout.readline())
        finally:
            running.terminate()


# What a visitor sees.


def mark(version: str) -> str:
    """What the page of a version has, and no other."""
    return f"<!-- version {version}. -->"


def get(address: str, path: str) -> tuple[int, str]:
    """Status and text."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": DOMAIN})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def verify(way: str, address: str, version: str) -> None:
    """The example's page of this version is served, with its form and its style sheet, and the database answers."""
    status, text = 0, ""
    for _attempt in range(100):
        try:
            status, text = get(address, "/")
        except OSError as error:
            text = str(error)
        if status == 200 and mark(version) in text:
            break
        time.sleep(0.1)
    else:
        raise Odd(f"{way} does not serve {version}: status {status}\n{text[-1000:]}")
    style = re.search(r'href="(/static/[^"]+\.css)"', text)
    if "Sign the guestbook" not in text or not style:
        raise Odd(f"{way}: that is not the example's page:\n{text[:1000]}")
    for path, wanted in ((style.group(1), "{"), ("/healthz", "ok")):
        status, text = get(address, path)
        if status != 200 or wanted not in text:
            raise Odd(f"{way}: {path} is answered with {status}\n{text[:1000]}")


class Watch(threading.Thread):
    """A visitor who asks ten times a second, and notes when a version was first seen and another one last."""

    def __init__(self, address: str, version: str) -> None:
        super().__init__(daemon=True)
        self.address, self.wanted = address, mark(version)
        self.began = time.monotonic()
        self.first: float | None = None
        self.other = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            asked = time.monotonic() - self.began
            try:
                status, text = get(self.address, "/")
            except OSError:
                status, text = 0, ""
            if status == 200 and self.wanted in text:
                self.first = self.first or time.monotonic() - self.began
            else:
                self.other = asked

    def live(self, patience: float = 60.0) -> float:
        """Seconds from the start until everybody got the version; waits for that, and ends."""
        deadline = time.monotonic() + patience
        while self.first is None or time.monotonic() - self.began - self.other < 1.0:
            if time.monotonic() > deadline:
                raise Odd(f"{self.wanted} is not live after {patience:.0f} s")
            time.sleep(0.1)
        self.ended.set()
        self.join()
        return max(self.first, self.other)


def tools_environment() -> dict[str, str]:
    """What the programs of all ways run with: nothing of this user's own configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYINFRA_"))}
    return kept | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
