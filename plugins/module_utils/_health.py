# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Whether a release is well: what it answers on its own socket, and which one answers behind the web server."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ansible_collections.emperor.web.plugins.module_utils import _uwsgi, _vassals
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import number
from ansible_collections.emperor.web.plugins.module_utils._vassals import Vassals

# A healthy release may first answer 503 while it warms up; one that is still wrong after this stays wrong.
_PATIENCE = 5.0
_CONFIRM_SECONDS = 5.0
# The Emperor looks after its vassals once a second.
_NEWS = 2.5
# For each worker of a release to answer for the first time; the others do while one takes longer.
_WARM_SECONDS = 3.0
# Between two questions to a release that has answered well.
_INTERVAL = 0.25
# Of the log, with the failure.
_SHOWN_LINES = 60


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


@dataclass(frozen=True)
class Expectation:
    """A question to a release, and the answers that are good."""

    path: str
    host: str
    https: bool
    status: str
    text: str
    script_name: str = ""

    def ask(self, address: str, timeout: float) -> _uwsgi.Answer:
        """The answer of the app that listens on a Unix socket."""
        return _uwsgi.get(
            self.path,
            address=address,
            host=self.host,
            script_name=self.script_name,
            https=self.https,
            timeout=timeout,
        )

    def problem(self, answer: _uwsgi.Answer) -> str:
        """What is wrong with an answer: what came, and what was expected. Empty when it is good."""
        asked = f"{self.path} (Host: {self.host})"
        if answer.status not in parse_statuses(self.status):
            advice = {
                400: f"; Django answers so when ALLOWED_HOSTS has not {self.host}",
                404: "; set the health path to one that exists, for example health: {path: /admin/login/}",
            }.get(answer.status, "")
            return f"{asked} answers {answer.status}, expected was {self.status}{advice}"
        body = answer.body.decode("utf-8", "replace")
        if self.text not in body:
            begin = " ".join(body.split())[:80]
            return f"the body of {asked} has not the text {self.text!r} that was expected, it begins with {begin!r}"
        return ""


class Health:
    """One release under observation."""

    def __init__(self, vassals: Vassals, release: str, options: dict[str, Any]) -> None:
        self.vassals, self.release = vassals, release
        self.timeout: float = options["timeout"]
        self.expected = Expectation(
            options["health_path"],
            options["host"],
            options["https"],
            options["health_status"],
            options["health_text"] or "",
            options["script_name"],
        )
        # Deaths and replaced workers of an earlier attempt do not count.
        self.began = time.time()
        self.deaths = vassals.deaths(release)

    def wait(self, count: int = 1) -> None:
        """Return when the release has given as many good answers in a row; raise with the reason when it does not."""
        deadline = time.monotonic() + self.timeout
        wrong_since: float | None = None
        problem, good = "no answer", 0
        while (left := deadline - time.monotonic()) > 0:
            try:
                wrong = self._question(max(0.1, left))
            except OSError as error:
                # The last question has hardly any time, which says nothing against what was found before.
                if not isinstance(error, socket.timeout) or left > self.timeout / 10:
                    problem = self._why_silent(error)
                good = 0
                self.notice_the_end("does not start")
                time.sleep(_vassals.PAUSE)
                continue
            if not wrong:
                good, wrong_since = good + 1, None
                if good >= count:
                    return
                continue
            problem, good, wrong_since = wrong, 0, wrong_since or time.monotonic()
            self.notice_the_end("does not start")
            if time.monotonic() - wrong_since > _PATIENCE:
                break
            time.sleep(_vassals.PAUSE)
        self.fail(f"is not healthy: {problem}")

    def settle(self, seconds: float) -> None:
        """Return when the release has been well for a while; raise at the first sign that it is not."""
        began, respawns = time.monotonic(), self.vassals.respawns(self.release)
        master = (self.vassals.stats(self.release) or {}).get("pid")
        self._warm(began + min(seconds, _WARM_SECONDS), master)
        while (passed := time.monotonic() - began) < seconds:
            time.sleep(min(_INTERVAL, seconds - passed))
            self._judge(self._patient_question(), master)
        if seconds:
            self._check_workers(self.vassals.respawns(self.release) - respawns, seconds)

    def _warm(self, deadline: float, master: int | None) -> None:
        """Have each worker answer, so that no visitor waits for the imports and templates of a first request."""
        while time.monotonic() < deadline:
            workers = (self.vassals.stats(self.release) or {}).get("workers", [])
            if all(worker.get("requests", 1) for worker in workers if worker.get("status") != "cheap"):
                return
            with ThreadPoolExecutor(len(workers)) as pool:
                asked = [pool.submit(self._patient_question) for _worker in workers]
            self._judge(next((found for question in asked if (found := question.result())), ""), master)

    def _judge(self, problem: str, master: int | None) -> None:
        # Workers answer for some seconds without their master, until they and the Emperor notice its end.
        if master and not _vassals.is_alive(master):
            self.fail("died soon after its start")
        if problem:
            self._wait_for_news()
            self.fail(f"was healthy, but is not any more: {problem}")
        self.notice_the_end("died soon after its start")

    def _wait_for_news(self) -> None:
        deadline = time.monotonic() + _NEWS
        while time.monotonic() < deadline:
            self.notice_the_end("died soon after its start")
            time.sleep(_vassals.PAUSE)

    def _check_workers(self, lost: int, seconds: float) -> None:
        if lost > 0:
            self.fail(f"does not keep its workers: {lost} died within {seconds:g} s")
        manifest = self.vassals.layout.manifest(self.release)
        limit = number(manifest.uwsgi, "reload-on-rss", 0) if manifest else 0
        uses = self.vassals.largest_worker(self.release) >> 20
        if limit and uses >= limit:  # uWSGI does so when a worker is a minute old
            self.fail(
                f"eats memory: a worker uses {uses} MB, more than reload-on-rss ({limit} MB), so each would be "
                f"replaced again and again. Find out what uses it, or give more: uwsgi: {{reload-on-rss: {uses * 2}}}"
            )

    def _question(self, timeout: float) -> str:
        """What is wrong with the release's answer, empty when it is good."""
        try:
            return self.expected.problem(self.expected.ask(self.vassals.socket(self.release), timeout))
        except _uwsgi.UwsgiError as error:
            return f"{self.expected.path} (Host: {self.expected.host}): {error}"

    def _patient_question(self) -> str:
        try:
            return self._question(self.timeout)
        except OSError as error:
            return self._why_silent(error)

    def notice_the_end(self, what: str) -> None:
        # The Emperor forgets the deaths at the start of a vassal that has served since.
        if any(now > then for now, then in zip(self.vassals.deaths(self.release), self.deaths, strict=True)):
            self.fail(what)
        if not os.path.exists(self.vassals.ini(self.release)):
            raise SwitchError(
                f"release {self.release} was stopped while it started: its file is not in {self.vassals.folder} any "
                f"more. The Emperor was restarted, which keeps the live release only, or somebody removed it; run again"
            )

    def _why_silent(self, error: Exception) -> str:
        if isinstance(error, socket.timeout):
            return f"it accepted the request for {self.expected.path}, but did not answer it within {self.timeout:g} s"
        return f"no answer within {self.timeout:g} s ({error})"

    def fail(self, what: str, lines: list[str] | None = None) -> NoReturn:
        """Raise with the last line of the log that gives a cause, and with the log and lines of another one."""
        log = self.vassals.log(self.began, self.release)
        cause = _vassals.cause(log)
        what = self.vassals.without_secrets(what, self.release)
        said = log[-_SHOWN_LINES:] + (lines or [])
        raise SwitchError(f"release {self.release} {what}{'; ' + cause if cause else ''}", said)


class WebServer:
    """The web server of this host, asked the way a visitor would."""

    def __init__(self, url: str, expected: Expectation) -> None:
        self.url, self.expected = url, expected

    def confirm(self, release: str) -> str:
        """Wait until it answers with a release; what it answers in the end where it does not, empty where it does."""
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while True:
            status, served = self.ask()
            if served == release:
                return ""
            if time.monotonic() > deadline:
                return f"release {served}" if served else f"{status} of no release"
            time.sleep(_vassals.PAUSE)

    def ask(self) -> tuple[str, str]:
        """What it answers, and the id of the release that has done so; a redirect to HTTPS is followed."""
        url = urlsplit(self.url)
        try:
            status, served, location = self._get(url.hostname or "", url.port, url.scheme == "https")
            if not served and url.scheme == "http" and status in (301, 308) and location.startswith("https://"):
                status, served, _location = self._get(url.hostname or "", urlsplit(location).port, True)
        except (OSError, http.client.HTTPException) as error:
            return f"an error ({error})", ""
        return f"status {status}", served

    def _get(self, address: str, port: int | None, tls: bool) -> tuple[int, str, str]:
        """Status, release and location of an answer."""
        if tls:
            connection: http.client.HTTPConnection = _NamedHTTPS(address, port, self.expected.host)
        else:
            connection = http.client.HTTPConnection(address, port, timeout=10)
        try:
            connection.request(
                "GET", self.expected.script_name + self.expected.path, headers={"Host": self.expected.host}
            )
            answer = connection.getresponse()
            return answer.status, answer.getheader(_uwsgi.RELEASE_HEADER, ""), answer.getheader("Location", "")
        finally:
            connection.close()


class _NamedHTTPS(http.client.HTTPSConnection):
    """HTTPS to an address by a site's name. It asks who answers there, not whether the certificate is right."""

    def __init__(self, address: str, port: int | None, name: str) -> None:
        self._unverified = ssl._create_unverified_context()
        super().__init__(address, port, timeout=10, context=self._unverified)
        self._name = name.strip("[]")

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._unverified.wrap_socket(self.sock, server_hostname=self._name)
