"""What the tests of all scenarios share: runs of Ansible, the host's address, and HTTP requests by a site's name."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOST = os.environ.get("EMPEROR_HOST", "emperor-test")
PATIENCE = 300


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


def answers(result: dict) -> list[dict]:
    """What a task has returned of each item, or of the apps of each step that it did; nothing where it has none."""
    found = result.get("results", [])
    if isinstance(found, dict):  # of steps; those of settled were only compared
        done = [] if "settled" in result else found.values()
        return [answer for step in done for answer in step.get("results", [step])]
    return found


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


class Prober(threading.Thread):
    """A visitor of the example who comes back again and again, and notes which release answered.

    One page has a query and a template behind it, the other one has neither: an app that lost its database or its
    files answers the second as if nothing were wrong.
    """

    PAGES = ("/release", "/")

    def __init__(self, site: Site, pause: float = 0.07) -> None:
        super().__init__(daemon=True)
        self.site, self.pause = site, pause
        self.answers: list[tuple[int, str]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for path in self.PAGES:
                self.answers.append(self._ask(path))
                self.over.wait(self.pause)

    def _ask(self, path: str) -> tuple[int, str]:
        """Status and release, and what was said in place of it where the answer is no good one."""
        try:
            answer = self.site.get(path)
            told = r'"release": "([^"]+)"' if path == "/release" else r"Release <code>([^<]+)</code>"
            found = re.search(told, answer.text)
            good = answer.status == 200 and found
            return answer.status, found.group(1) if good else f"{path}: {answer.text[:80]}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, f"{path}: {error!r}"

    def since(self, number: int) -> set[tuple[int, str]]:
        """Every kind of answer since there were so many, with one of each page that was asked for just now."""
        enough = len(self.answers) + len(self.PAGES) + 1
        while len(self.answers) < enough:
            time.sleep(0.05)
        return set(self.answers[number:])

    def __enter__(self) -> Prober:
        self.start()
        return self

    def __exit__(self, *_error) -> None:
        self.over.set()
        self.join()


def post_entry(site: Site, message: str, name: str, content: bytes) -> Answer:
    """Sign the example, with a file of that name."""
    page = site.get("/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text).group(1)
    parts = [("csrfmiddlewaretoken", token), ("name", "Molecule"), ("message", message), ("email", "")]
    body = b"".join(
        f'--border\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in parts
    )
    body += f'--border\r\nContent-Disposition: form-data; name="attachment"; filename="{name}"\r\n'.encode()
    body += b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n--border--\r\n"
    return site.request(
        "POST",
        "/",
        body,
        Content_Type="multipart/form-data; boundary=border",
        Cookie=page.headers["Set-Cookie"].partition(";")[0],
        Referer=f"http://{site.domain}/",
    )


def servers(host, app: str) -> dict[str, str]:
    """The processes that a reload of Nginx, or a restart of an app's Emperor, would replace."""
    main = "systemctl show --property=MainPID --value"
    workers = host.check_output(f"cat /proc/$({main} nginx)/task/*/children")
    assert workers
    return {"workers of Nginx": workers, "Emperor": host.check_output(f"{main} uwsgi-emperor@{app}")}


# Processes that have a variable in their environment, and the same with their end.
PROCESSES = """
import glob, os, sys
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if any(entry.startswith(sys.argv[1].encode() + b"=") for entry in open(path, "rb").read().split(b"\\0")):
            print(path.split("/")[2])
    except OSError:
        pass
"""
KILLED = PROCESSES.replace("    except OSError", "            os.kill(int(path.split('/')[2]), 9)\n    except OSError")


def host_python(code: str, *arguments: str, python: str = "/usr/bin/python3") -> list[str]:
    """The words that a program prints on the host."""
    command = ["docker", "exec", HOST, python, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def wait_until(what: str, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What the condition returns as soon as that is anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.3)
    return found


def kill_tasks() -> None:
    """Kill the modules of a deploy or a rollback that run on the host, and not what they have started."""
    assert host_python(KILLED, "EMPEROR_DEPLOY"), "no task runs on the host"
    wait_until("they have ended", lambda: not host_python(PROCESSES, "EMPEROR_DEPLOY"))


STATS = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.makefile().read())"


def workers(host, name: str, release: str) -> list[dict]:
    """What uWSGI says of the workers of a release."""
    return json.loads(host.check_output("python3 -c %s %s", STATS, f"/run/emperor/{name}/{release}.stats"))["workers"]


@pytest.fixture
def gixy_says(host, tmp_path) -> str:
    """What gixy says against the configuration that Nginx has read; empty for nothing."""
    (tmp_path / "nginx.conf").write_text(host.check_output("nginx -T 2>/dev/null"))
    gixy = shutil.which("gixy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert gixy, "gixy is not installed; it is in dev/requirements.txt"
    # try_files with a cache would serve files of the release before; distributions mend versions without a new number;
    # the curve that old versions of OpenSSL do not know is written for those that do.
    argv = [gixy, "--skips", "try_files_is_evil_too,nginx_cves,ssl_ecdh_curve", tmp_path / "nginx.conf"]
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
