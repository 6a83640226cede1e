# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Move an app's traffic from one release to another, and back when the new one is not what it should be."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cached_property, partial
from typing import Any, NoReturn

from ansible_collections.emperor.web.plugins.module_utils import _memory, _outcome, _probation, _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, full, replace_link
from ansible_collections.emperor.web.plugins.module_utils._health import Health, SwitchError, WebServer
from ansible_collections.emperor.web.plugins.module_utils._process import UserError
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import number
from ansible_collections.emperor.web.plugins.module_utils._vassals import Vassals

# Seconds that a switch without overlap may take longer than its limits, before systemd takes it for dead.
_RETURN_MARGIN = 30


class Switch:
    """One release of one app on its way to be live."""

    def __init__(self, options: dict[str, Any]) -> None:
        name = options["name"]
        self.options = options
        self.release: str = options["release"]
        self.layout = Layout(options["root"] or f"/srv/django/{name}")
        self.vassals = Vassals(options, self.layout)
        self.health = Health(self.vassals, self.release, options)
        self.web = WebServer(options["confirm"], self.health.expected) if options["confirm"] else None
        self.step = ""
        self.seconds: dict[str, float] = {}
        self.warnings: list[str] = []
        self.by = os.environ.get("SUDO_USER") or "root"

    @cached_property
    def before(self) -> str | None:
        """The release to go back to, as it is when this is asked first: under the deploy lock."""
        live = self.layout.live()
        if live != self.release:
            return live if live and self.layout.manifest(live) else None
        # A run that was ended between its switch and its last word has left the release before running.
        last = next(iter(self.layout.last_live(1)), None)
        return last if last in self.vassals.others(self.release) else None

    def needed(self) -> bool:
        """Whether anything differs from this release, alone, being live."""
        if self.layout.live() != self.release or not self.layout.manifest(self.release):
            return True
        return not self.vassals.is_up_to_date(self.release) or bool(self.vassals.others(self.release))

    def go(self) -> dict[str, Any]:
        """Start, ask, switch, confirm, retire; a failure before the end leaves the release before serving."""
        try:
            self._timed("preflight", self._preflight)
            if self.options["overlap"] or not self.before:
                self._timed("start", self._start)
                self._timed("settle", self._settle)
            else:
                self._timed("stop", partial(self._stop, self.before))
                self._timed("start", self._start)
            self._timed("publish", self._publish)
            log = _probation.AccessLog(self.options["access_log"])
            self._timed("switch", lambda: self._point_current_at(self.release))
            served = self._timed("confirm", self._confirm)
            if not self.options["overlap"] and self.before:
                self._timed("settle", self._settle)  # only now, as nobody is served while it takes
            self._timed("probation", lambda: self._watch(log))
        except Exception as error:  # whatever it is, a site must not stay down for it
            self._fail(error)
        finally:
            if not self.options["overlap"]:
                self.vassals.cancel_return()
        self._record({"result": "live"})
        with suppress(FileNotFoundError):
            os.unlink(self.layout.failure(self.release))
        self._timed("retire", self._retire)
        return {"served": served, "seconds": self.seconds}

    def confirm_live(self) -> dict[str, Any]:
        """Ask a release that is live already whether it is well; one that sleeps is left alone."""
        if self.vassals.is_asleep():
            return {"served": "", "seconds": self.seconds}
        self.vassals.wake()
        self._timed("start", self.health.wait)
        return {"served": self._timed("confirm", self._confirm), "seconds": self.seconds}

    def served(self) -> str:
        """The release that answers visitors now, empty where none does."""
        if self.web:
            return self.web.ask()[1]
        try:
            answer = self.health.expected.ask(os.path.join(self.layout.current, "live.sock"), self.options["timeout"])
        except (OSError, _uwsgi.UwsgiError):
            return ""
        return answer.headers.get(_uwsgi.RELEASE_HEADER.lower(), "")

    def _timed(self, step: str, action: Callable[[], Any]) -> Any:
        started, self.step = time.monotonic(), step
        try:
            return action()
        finally:
            self.seconds[step] = round(time.monotonic() - started, 3)

    # The way there.

    def _preflight(self) -> None:
        """Refuse what cannot work while nothing has been changed."""
        self.vassals.wake()
        manifest = self.layout.manifest(self.release)
        if not manifest:
            raise SwitchError(
                f"release {self.release} does not exist or was never finished; build it with django_release"
            )
        emperor = self.vassals.emperor()
        if not emperor:
            raise SwitchError(
                f"the Emperor does not run; see systemctl status {self.vassals.unit}",
                self.vassals.log(time.time() - 60, self.release),
            )
        places = full(self.vassals.folder, self.layout.root, self.vassals.run_directory)
        if places:
            raise SwitchError(
                f"release {self.release} is not started: {'; '.join(places)}. Make room there and run again"
            )
        if self.before and self.options["overlap"] and not self.vassals.is_up_to_date(self.release):
            self._check_memory(self.before, manifest, emperor)
        if self.options["probation"] and not os.path.exists(self.options["access_log"]):
            raise SwitchError(f"access_log {self.options['access_log']} does not exist, and probation reads it")
        if self.before and not self.options["overlap"]:
            self._watch_over(self.before)

    def _check_memory(self, before: str, manifest: Manifest, emperor: dict[str, Any]) -> None:
        running = self.vassals.processes(before)
        if not running:
            return
        wanted = number(manifest.uwsgi, "processes", len(running) - 1)
        left = _memory.available(emperor.get("pid", 0))
        reason = _memory.shortage(_memory.used(running), len(running) - 1, wanted, left)
        if reason:
            raise SwitchError(f"release {self.release} is not started beside {before}: {reason}")

    def _watch_over(self, before: str) -> None:
        """Have systemd watch over this module while what serves is stopped, or stop nothing."""
        problem = self.vassals.schedule_return(2 * self.options["drain"] + _RETURN_MARGIN)
        if problem:
            raise SwitchError(
                f"release {self.release} is not started in place of {before}: systemd takes no timer that would start "
                f"{before} again, should this run be killed while nothing serves: {problem}. Mend that, or set "
                f"overlap: true, and run again"
            )

    def _stop(self, before: str) -> None:
        """Stop what serves; until something does again, systemd watches over this module."""
        self.vassals.park(before, self.options["drain"])
        problem = self.vassals.schedule_return(self.options["timeout"] + _RETURN_MARGIN)
        if problem:  # going back now would keep visitors waiting no less than going on
            self.warnings.append(
                f"while nothing served, systemd had no timer that would have started {before} again, had this run been "
                f"killed: {problem}"
            )

    def _start(self) -> None:
        self.vassals.start(self.release)
        self.health.wait(self.options["health_count"])

    def _settle(self) -> None:
        self.health.settle(self.options["settle"])

    def _point_current_at(self, release: str) -> None:
        replace_link(self.layout.current, os.path.join("releases", release))

    def _confirm(self) -> str:
        """Ask the web server, or else the socket that it would use, which release answers."""
        if not self.web:
            return self.served()
        answered = self.web.confirm(self.release)
        if answered:
            raise SwitchError(
                f"the web server at {self.web.url} answers {self.options['health_path']} "
                f"(Host: {self.options['host']}) with {answered}, not with {self.release}; look at its error log"
            )
        return self.release

    def _watch(self, log: _probation.AccessLog) -> None:
        """Keep the release before running for a while, and go back to it when this one gives errors to visitors."""
        with closing(log):
            if not self.options["probation"]:
                return
            seen = _probation.watch(
                self.health,
                log,
                self.vassals.web_sockets(),
                seconds=self.options["probation"],
                errors=self.options["probation_errors"],
            )
        if not seen and self.web:  # whose confirmation has to be among them
            self.warnings.append(
                f"probation found no request to {self.release} in {log.path}, so it could see no error; each "
                f"line has to end with $upstream_addr $upstream_http_x_emperor_release, as the role nginx writes it"
            )

    # The way back.

    def _fail(self, error: Exception) -> NoReturn:
        """Have the release before serve, mark this one, and raise what went wrong and what is now."""
        reason, step, outcome = self._explain(error), self.step, ""
        if step != "preflight":  # which has changed nothing, and says nothing about the release
            outcome = self._go_back()
            if self.layout.live() != self.release:
                _outcome.mark(self.layout, self.release, reason.splitlines()[0], step)
        self._record({"result": "failed", "reason": reason.splitlines()[0], "step": step})
        log = error.log if isinstance(error, SwitchError) else []
        raise SwitchError(reason + (f". {outcome}" if outcome else ""), log) from None

    def _explain(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return explain_os_error(error, self.vassals.folder, self.layout.root)
        known = isinstance(error, (SwitchError, UserError))
        return str(error) if known else f"an error of this module, please report it: {error!r}"

    def _go_back(self) -> str:
        """Undo what was done; says what serves after it, where anything that serves had been touched."""
        switched, before, drain = self.layout.live() == self.release, self.before, self.options["drain"]
        if not before:
            if not switched:  # what is live, though it may be ill, is never stopped: nothing else could serve
                self.vassals.stop(self.release, drain, kill=True)
            return ""
        stopped = not os.path.exists(self.vassals.ini(before))
        try:
            if stopped and not self.options["overlap"]:
                self.vassals.stop(self.release, drain, kill=not switched)  # there is no room for both
            if stopped:
                self.vassals.bring_back(before)
                Health(self.vassals, before, self.options).wait()
            if switched:
                self._point_current_at(before)
                self.vassals.drain(self.release, drain)
            self.vassals.stop(self.release, drain, kill=not switched)
        except Exception as error:
            return f"Going back to {before} failed as well: {self._explain(error)}"
        if not (switched or stopped):
            return ""
        answered = self.web.confirm(before) if self.web else "" if self.served() == before else "no answer of it"
        if answered:
            return f"The one before, {before}, was made live again, but what answers is {answered}"
        return f"{before} is live again"

    def _record(self, entry: dict[str, Any]) -> None:
        known = {"previous": self.before or "", "by": self.by, "seconds": self.seconds}
        known |= {"action": self.options.get("action", "release"), "migrations": self.options.get("migrations", [])}
        try:
            _outcome.record(self.layout, self.release, known | entry)
        except OSError as error:
            self.warnings.append(f"{self.layout.log} could not be written: {self._explain(error)}")

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
        for release in self.vassals.others(self.release):
            self.vassals.drain(release, self.options["drain"])
            self.vassals.stop(release, self.options["drain"])


def _link(source: str, target: str) -> None:
    """Make the target the same file as the source, at no moment absent; a copy where a link is not possible."""
    if os.path.islink(source) or (os.path.exists(target) and os.path.samefile(source, target)):
        return
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.link(source, temporary, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, temporary, follow_symlinks=False)
    os.replace(temporary, target)
