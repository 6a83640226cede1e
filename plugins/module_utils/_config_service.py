# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The systemd service that reads a set of configuration files, and is to run now and at boot."""

from __future__ import annotations

import time

from ansible_collections.emperor.web.plugins.module_utils import _journal
from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run

_PROPERTIES = "LoadState,ActiveState,UnitFileState"
_LOG_LINES = 12
# The other states of a unit file, such as static, are not for systemctl enable to change.
_NOT_AT_BOOT = ("disabled", "enabled-runtime", "linked", "linked-runtime")


class StartError(ConfigError):
    """The service did not start."""

    def __init__(self, service: str, reasons: str, outcome: Result) -> None:
        super().__init__(f"{service} did not start. {reasons}", outcome)
        self.reasons = reasons


class Service:
    """What a service lacks of running now and at boot."""

    def __init__(self, name: str) -> None:
        self.name = name
        state = self._state()
        if state["LoadState"] == "masked" or state["UnitFileState"].startswith("masked"):
            raise ConfigError(
                f"the service {name} is masked, so it can neither be started nor enabled; nothing was changed. Unmask "
                f"it with: systemctl unmask {name}"
            )
        if state["LoadState"] == "not-found":
            raise ConfigError(
                f"systemd knows no service {name}; nothing was changed. Mend the name in service, or install what "
                f"brings its unit; systemctl list-unit-files --type=service has the names"
            )
        if state["LoadState"] != "loaded":
            raise ConfigError(
                f"systemd cannot load the unit of the service {name} ({state['LoadState']}); nothing was changed. See "
                f"systemctl status {name}"
            )
        self.running = state["ActiveState"] in ("active", "reloading", "refreshing")
        self.lacks = ["enabled"] if state["UnitFileState"] in _NOT_AT_BOOT else []
        self.lacks += [] if self.running else ["started"]

    def _state(self) -> dict[str, str]:
        outcome = run(["systemctl", "show", f"--property={_PROPERTIES}", "--", self.name], timeout=60)
        state = dict(line.split("=", 1) for line in outcome.stdout.splitlines() if "=" in line)
        if outcome.rc or not {*_PROPERTIES.split(",")} <= set(state):
            raise ConfigError(
                f"systemd does not tell the state of the service {self.name}; nothing was changed. Leave service out "
                f"on a host that systemd does not run. {outcome.last_lines()}".rstrip(),
                outcome,
            )
        # What it shows is from when it last read its files; this reads them, and knows aliases and other names.
        if state["UnitFileState"] == "enabled" and run(["systemctl", "is-enabled", "--", self.name], timeout=60).rc:
            state["UnitFileState"] = "disabled"
        return state

    def complete(self) -> None:
        """Have it run, and start at boot; the files are in place."""
        if not self.running:
            self.start()
        if "enabled" in self.lacks:
            outcome = run(["systemctl", "enable", "--", self.name], timeout=90)
            if outcome.rc:
                raise ConfigError(
                    f"the files are in place and {self.name} runs, but it could not be enabled, so it will not start "
                    f"at boot: {outcome.last_lines()}",
                    outcome,
                )

    def start(self) -> None:
        """Start it."""
        began = time.time()
        outcome = self._begin("start")
        if outcome.rc:
            reasons = (
                f"{self._log(began) or outcome.last_lines()}\nMend what these lines name and run this again; ss -ltnup "
                f"shows which program has an address, and journalctl -u {self.name} has more lines"
            )
            raise StartError(self.name, reasons, outcome)
        self.running = True

    def start_again(self) -> bool:
        """Have it run with the files before, whatever a start with others has left behind."""
        self.running = self._begin("restart").rc == 0
        return self.running

    def _begin(self, verb: str) -> Result:
        # The limit of starts in a time is for those that nobody asked for.
        run(["systemctl", "reset-failed", "--", self.name], timeout=60)
        return run(["systemctl", verb, "--", self.name], timeout=120)

    def _log(self, since: float) -> str:
        """What it and systemd wrote, each line once: Nginx tries five times, and says the same each time."""
        lines = list(dict.fromkeys(_journal.lines_since(since, f"--unit={self.name}")))
        return "\n".join(["Its last lines:", *lines[-_LOG_LINES:]]) if lines else ""
