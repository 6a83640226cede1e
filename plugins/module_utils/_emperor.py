# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What an app needs of its host before it can have a release: an account, and an Emperor that runs as it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.emperor.web.plugins.module_utils._files import ensure_directory, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import NO_LOGIN, run

_HEAD = "# Written by emperor.web.uwsgi_emperor; what is changed here is lost.\n"


class EmperorError(Exception):
    """The host cannot be made what it should be; the message says what to do."""


@dataclass
class Emperor:
    """One app and its Emperor, on a host whose folders may be those of a test."""

    name: str
    root: str | None = None
    writable: list[str] = field(default_factory=list)
    vassals: str = "/etc/uwsgi/emperor"
    units: str = "/etc/systemd/system"
    commands: str = "/usr/local/bin"

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return f"uwsgi-emperor@{self.name}.service"

    @property
    def home(self) -> str:
        """The home of the account; nothing has to be there."""
        return f"{self.root}/shared" if self.root else "/nonexistent"

    # What is wanted.

    def files(self) -> Iterator[tuple[str, str, int]]:
        """Path, content and mode of each file."""
        yield f"{self.units}/{self.unit}.d/emperor.conf", self.additions(), 0o644
        if self.root:
            yield f"{self.commands}/{self.name}-manage", self.command(), 0o755

    def additions(self) -> str:
        """What the unit of this app says besides the template."""
        lines = [f"{_HEAD}[Service]"]
        if self.root:
            lines += [
                "# A deploy that was killed may have left a release that nobody has found good. This must not keep the "
                "Emperor from starting.",
                "ExecStartPre=-+/usr/bin/python3 -I /usr/local/lib/emperor/live_only.py "
                f'{self.vassals}/%i "{self.root}"',
            ]
        lines += [f"ReadWritePaths=-{path}" for path in self.writable]
        return "\n".join([*lines, ""])

    def command(self) -> str:
        """A program that runs manage.py as the app would."""
        return (
            f"#!/bin/sh\n{_HEAD}"
            f"# manage.py of the live release of {self.name}, in its environment and as its user: "
            f"sudo {self.name}-manage shell\n"
            f'exec /usr/bin/python3 -IS /usr/local/lib/emperor/run.py "{self.root}/current" python manage.py "$@"\n'
        )

    # What is there.

    def wrong_files(self) -> list[tuple[str, str, int, str]]:
        """Path, content, mode, and the content before, of each file that is not as it should be."""
        found = []
        for path, content, mode in self.files():
            before = read_text(path)
            if before != content or stat.S_IMODE(os.stat(path).st_mode) != mode:
                found.append((path, content, mode, before or ""))
        return found

    # The way there.

    def make_account(self, dry_run: bool) -> list[str]:
        """Make the group and the user; what was done, in words."""
        done = []
        if not _group(self.name):
            done.append(f"group {self.name} created")
            if not dry_run:
                _call("groupadd", "--system", self.name)
        entry = _entry(self.name)
        options = ["--gid", self.name, "--home-dir", self.home, "--shell", NO_LOGIN]
        options += ["--comment", f"Django app {self.name}"]
        if not entry:
            done.append(f"user {self.name} created")
            if not dry_run:
                _call("useradd", "--system", "--no-create-home", *options, self.name)
        elif (entry.pw_dir, entry.pw_gid) != (self.home, _group(self.name)):
            done.append(f"user {self.name} changed")
            if not dry_run:
                _call("usermod", "--gid", self.name, "--home", self.home, self.name)
        return done

    def make_files(self, dry_run: bool) -> list[str]:
        """Make the folders and the files; the paths of those that were not as they should be."""
        folder = f"{self.vassals}/{self.name}"
        done = []
        if ensure_directory(folder, mode=0o750, uid=os.geteuid(), gid=_group(self.name) or 0, dry_run=dry_run):
            done.append(folder)
        # A folder that is missing when an Emperor starts stays read-only for its app until it starts again.
        for path in self.writable:
            if not os.path.isdir(path):
                done.append(path)
                if not dry_run:
                    user = _entry(self.name)
                    ensure_directory(path, mode=0o750, uid=user.pw_uid, gid=user.pw_gid)
        for path, content, mode, _before in self.wrong_files():
            done.append(path)
            if not dry_run:
                ensure_directory(os.path.dirname(path), mode=0o755, uid=os.geteuid(), gid=os.getegid())
                write_atomic(path, content, mode=mode)
        return done


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _call(*argv: str) -> str:
    outcome = run(list(argv), timeout=60)
    if outcome.rc:
        raise EmperorError(f"{' '.join(argv)} failed: {outcome.last_lines()}")
    return outcome.stdout


# The units, all of them in as few calls as can be.


def unit_states(units: list[str]) -> dict[str, dict[str, str]]:
    """What systemd knows of each unit."""
    properties = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload"
    shown = _call("systemctl", "show", f"--property={properties}", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    return dict(zip(units, blocks))


def run_units(units: list[str], dry_run: bool, *, reload: bool) -> list[str]:
    """Have the units run, now and at boot; what was done, in words. One that runs already is never restarted."""
    states = unit_states(units)
    if not dry_run and (reload or any(_stale(state) for state in states.values())):
        _call("systemctl", "daemon-reload")
        states = unit_states(units)
    if not dry_run and any(state["LoadState"] != "loaded" for state in states.values()):
        raise EmperorError(
            "systemd has no unit uwsgi-emperor@.service; use the role emperor.web.uwsgi on this host first"
        )
    disabled = [unit for unit, state in states.items() if state["UnitFileState"] != "enabled"]
    stopped = [unit for unit, state in states.items() if state["ActiveState"] not in ("active", "reloading")]
    if disabled and not dry_run:
        _call("systemctl", "enable", *disabled)
    if stopped and not dry_run:
        _start(stopped)
    return [f"{unit} enabled" for unit in disabled] + [f"{unit} started" for unit in stopped]


def _stale(state: dict[str, str]) -> bool:
    return state["NeedDaemonReload"] == "yes" or state["LoadState"] != "loaded"


def _start(units: list[str]) -> None:
    outcome = run(["systemctl", "start", *units], timeout=120)
    if outcome.rc:
        status = run(["systemctl", "--no-pager", "--lines=10", "status", *units], timeout=20)
        raise EmperorError(f"{outcome.last_lines()}\n{status.stdout.strip()}")
