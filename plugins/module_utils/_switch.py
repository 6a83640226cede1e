# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Move an app's traffic from one release to another, and back when the new one is not what it should be."""

from __future__ import annotations

import glob
import http.client
import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.emperor.web.plugins.module_utils import _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._environment import read_file, secret_values
from ansible_collections.emperor.web.plugins.module_utils._files import read_text, replace_link, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import account, run
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest

# A healthy release may first answer 503 while it warms up; one that is still wrong after this stays wrong.
_PATIENCE = 5.0
_CONFIRM_SECONDS = 5.0
_PAUSE = 0.1


class SwitchError(Exception):
    """The release is not, or not any more, going live."""

    def __init__(self, message: str, log: list[str] | None = None) -> None:
        super().__init__(message)
        self.log = log or []


def parse_statuses(text: str) -> set[int]:
    """The statuses that V(200-399,401) names."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not re.fullmatch(r"[1-5]\d\d", first) or (dash and not re.fullmatch(r"[1-5]\d\d", last)):
            raise SwitchError(f"health_status: {part!r} is no HTTP status or range; write for example 200-399,401")
        statuses = set(range(int(first), int(last or first) + 1))
        if not statuses:
            raise SwitchError(f"health_status: the range {part} is empty; write the smaller status first")
        found |= statuses
    return found


class Switch:
    """One release of one app on its way to be live."""

    def __init__(self, options: dict[str, Any]) -> None:
        name = options["name"]
        self.options = options
        self.release: str = options["release"]
        self.layout = Layout(options["root"] or f"/srv/django/{name}")
        self.vassals = options["vassals"] or f"/etc/uwsgi/emperor/{name}"
        self.run_directory = options["run_directory"] or f"/run/emperor/{name}"
        self.unit = options["unit"] or f"uwsgi-emperor@{name}"
        self.seconds: dict[str, float] = {}

    @cached_property
    def manifest(self) -> Manifest:
        """The record of the release; only a finished one has it."""
        found = self.layout.manifest(self.release)
        if not found:
            raise SwitchError(
                f"release {self.release} does not exist or was never finished; build it with django_release"
            )
        return found

    def needed(self) -> bool:
        """Whether anything differs from this release, alone, being live."""
        if self.layout.live() != self.release or not self.layout.manifest(self.release):
            return True
        return read_text(self._ini(self.release)) != self._vassal() or bool(self._others())

    def go(self) -> dict[str, Any]:
        """Start, ask, switch, confirm, retire; a failure before the end leaves the release before serving."""
        before = self.layout.live()
        entry = {"time": round(time.time(), 3), "release": self.release, "previous": before or ""}
        entry |= {"revision": self.manifest.revision, "version": self.manifest.version}
        entry |= {"by": os.environ.get("SUDO_USER") or "root"}
        try:
            self._timed("start", self._start)
            self._timed("publish", self._publish)
            self._timed("switch", lambda: replace_link(self.layout.current, os.path.join("releases", self.release)))
            served = self._timed("confirm", lambda: self._confirm(before))
        except (SwitchError, OSError) as error:
            self._abandon()
            self.layout.record(
                entry | {"result": "failed", "reason": str(error).splitlines()[0], "seconds": self.seconds}
            )
            raise
        self.layout.record(entry | {"result": "live", "seconds": self.seconds})
        self._timed("retire", self._retire)
        return {"served": served, "seconds": self.seconds}

    def confirm_live(self) -> dict[str, Any]:
        """Ask a release that is live already whether it is well."""
        self._timed("start", lambda: self._wait(time.time(), self._deaths()))
        return {"served": self._timed("confirm", lambda: self._confirm(self.release)), "seconds": self.seconds}

    def _timed(self, step: str, action: Callable[[], Any]) -> Any:
        started = time.monotonic()
        try:
            return action()
        finally:
            self.seconds[step] = round(time.monotonic() - started, 3)

    # The vassal.

    def _ini(self, release: str) -> str:
        return os.path.join(self.vassals, f"{release}.ini")

    def _vassal(self) -> str:
        return _uwsgi.render(
            self.manifest.uwsgi,
            app=self.options["name"],
            release=self.release,
            folder=self.layout.release(self.release),
            project=self.manifest.project,
            wsgi=self.manifest.wsgi,
            run=self.run_directory,
        )

    def _others(self) -> list[str]:
        names = [os.path.basename(path).removesuffix(".ini") for path in glob.glob(os.path.join(self.vassals, "*.ini"))]
        return sorted(name for name in names if name != self.release)

    def _start(self) -> None:
        if not self._emperor():
            raise SwitchError(
                f"the Emperor does not run; see systemctl status {self.unit}", self._log(time.time() - 60)
            )
        began, deaths = time.time(), self._deaths()
        if read_text(self._ini(self.release)) != self._vassal():
            group = account(self.options["name"]).pw_gid
            write_atomic(self._ini(self.release), self._vassal(), mode=0o640, uid=0, gid=group)
        self._wait(began, deaths)

    def _abandon(self) -> None:
        """Stop the new vassal, unless it is the live release itself: nothing else could serve then."""
        if self.layout.live() != self.release:
            self._stop(self.release)

    def _emperor(self) -> dict[str, Any] | None:
        return _uwsgi.read_stats(os.path.join(self.run_directory, "emperor.stats"))

    def _socket(self, release: str) -> str:
        return os.path.join(self.run_directory, f"{release}.sock")

    # Health.

    def _wait(self, began: float, deaths: tuple[int, int]) -> None:
        """Return when the release answers well; raise with the reason when it does not."""
        deadline = time.monotonic() + self.options["timeout"]
        wrong_since: float | None = None
        problem = "no answer"
        while time.monotonic() < deadline:
            try:
                answer = _uwsgi.get(
                    self.options["health_path"],
                    address=self._socket(self.release),
                    host=self.options["host"],
                    https=self.options["https"],
                    timeout=max(0.1, deadline - time.monotonic()),
                )
            except (OSError, _uwsgi.UwsgiError) as error:
                problem = self._why_silent(error)
                if self._deaths() > deaths:
                    self._fail(f"release {self.release} does not start", began)
            else:
                if answer.status in self.options["health_status"]:
                    return
                problem = self._why_wrong(answer.status)
                wrong_since = wrong_since or time.monotonic()
                if time.monotonic() - wrong_since > _PATIENCE:
                    break
            time.sleep(_PAUSE)
        self._fail(f"release {self.release} is not healthy: {problem}", began)

    def _why_silent(self, error: Exception) -> str:
        if isinstance(error, socket.timeout):
            return f"it accepted the request for {self.options['health_path']}, but did not answer it"
        return f"no answer within {self.options['timeout']} s ({error})"

    def _why_wrong(self, status: int) -> str:
        path, host = self.options["health_path"], self.options["host"]
        advice = {
            400: f"; Django answers so when ALLOWED_HOSTS has not {host}",
            404: "; set the health path to one that exists, for example health: {path: /admin/login/}",
        }.get(status, "")
        return f"{path} (Host: {host}) answers {status}{advice}"

    def _deaths(self) -> tuple[int, int]:
        """How often the vassal has died: before it served anything, and after that, as the Emperor counts."""
        stats = self._emperor() or {}
        mine = {
            kind: [entry for entry in stats.get(kind, []) if entry.get("id", "").endswith(f"/{self.release}.ini")]
            for kind in ("blacklist", "vassals")
        }
        # uWSGI counts the first death in its blacklist as attempt 0.
        return (
            max((entry.get("attempt", 0) + 1 for entry in mine["blacklist"]), default=0),
            max((entry.get("respawns", 0) for entry in mine["vassals"]), default=0),
        )

    def _fail(self, message: str, began: float) -> None:
        log = self._log(began)
        causes = [line for line in log if re.match(r"([\w.]*(Error|Exception|Exit)\b|\[strict-mode\])", line)]
        raise SwitchError(f"{message}{'; ' + causes[-1] if causes else ''}", log)

    def _log(self, since: float) -> list[str]:
        """What the Emperor and its vassals wrote, without the app's secrets."""
        outcome = run(
            [
                "journalctl",
                f"--unit={self.unit}",
                f"--since=@{since - 1:.0f}",
                "--output=cat",
                "--no-pager",
                "--lines=60",
            ],
            timeout=20,
        )
        text = outcome.stdout
        for secret in secret_values(read_file(os.path.join(self.layout.release(self.release), "env"))):
            text = text.replace(secret, "********")
        return text.splitlines()

    def _confirm(self, before: str | None) -> str:
        """Ask the web server which release answers; when it is not this one, go back to the one before."""
        if not self.options["confirm"]:
            return ""
        deadline = time.monotonic() + _CONFIRM_SECONDS
        served = ""
        while time.monotonic() < deadline:
            status, served = self._ask_web_server()
            if served == self.release:
                return served
            time.sleep(_PAUSE)
        if before and before != self.release:
            replace_link(self.layout.current, os.path.join("releases", before))
        answered = f"release {served}" if served else f"{status} of no release"
        raise SwitchError(
            f"the web server at {self.options['confirm']} answers {self.options['health_path']} "
            f"(Host: {self.options['host']}) with {answered}, not with {self.release}; "
            + (f"{before} is live again" if before else "look at its error log")
        )

    def _ask_web_server(self) -> tuple[str, str]:
        url = urlsplit(self.options["confirm"])
        if url.scheme == "https":
            connection = _NamedHTTPS(url.hostname, url.port, self.options["host"])
        else:
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        try:
            connection.request("GET", self.options["health_path"], headers={"Host": self.options["host"]})
            answer = connection.getresponse()
            return f"status {answer.status}", answer.getheader(_uwsgi.RELEASE_HEADER, "")
        except (OSError, http.client.HTTPException) as error:
            return f"an error ({error})", ""
        finally:
            connection.close()

    # What visitors see besides the app, and what the app leaves behind.

    def _publish(self) -> None:
        """Put the release's static files beside those of earlier ones, which pages in browsers still ask for."""
        source = os.path.join(self.layout.release(self.release), "static")
        for parent, folders, names in os.walk(source):
            target = os.path.join(self.layout.static, os.path.relpath(parent, source))
            for name in folders:
                os.makedirs(os.path.join(target, name), exist_ok=True)
            for name in names:
                if not name.startswith("."):  # what django_collectstatic remembers is nobody's page
                    _link(os.path.join(parent, name), os.path.join(target, name))

    def _retire(self) -> None:
        for release in self._others():
            self._drain(release)
            self._stop(release)

    def _drain(self, release: str) -> None:
        """Wait until nothing is in flight: the socket's queue is empty and no worker is busy."""
        deadline = time.monotonic() + self.options["drain"]
        while time.monotonic() < deadline:
            time.sleep(2 * _PAUSE)
            stats = _uwsgi.read_stats(os.path.join(self.run_directory, f"{release}.stats"))
            if not stats:
                return
            busy = [worker for worker in stats.get("workers", []) if worker.get("status") == "busy"]
            if not busy and not stats.get("listen_queue"):
                return

    def _stop(self, release: str) -> None:
        """Take a vassal's file away; the Emperor stops it gracefully, and it removes its socket last."""
        try:
            os.unlink(self._ini(release))
        except FileNotFoundError:
            return
        deadline = time.monotonic() + self.options["drain"]
        while os.path.exists(self._socket(release)) and time.monotonic() < deadline:
            time.sleep(_PAUSE)


class _NamedHTTPS(http.client.HTTPSConnection):
    """HTTPS to an address by a site's name. It asks who answers there, not whether the certificate is right."""

    def __init__(self, address: str, port: int | None, name: str) -> None:
        super().__init__(address, port, timeout=10, context=ssl._create_unverified_context())
        self._name = name.strip("[]")

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


def _link(source: str, target: str) -> None:
    """Make the target the same file as the source, at no moment absent; a copy where a link is not possible."""
    if os.path.islink(source) or (os.path.exists(target) and os.path.samefile(source, target)):
        return
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    os.replace(temporary, target)
