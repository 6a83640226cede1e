# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What an app needs of its host before it can have a release: an account, and an Emperor that runs as it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils import _sleep, _unit_links
from ansible_collections.emperor.web.plugins.module_utils._files import (
    ensure_directory,
    has_mode,
    read_text,
    write_atomic,
)
from ansible_collections.emperor.web.plugins.module_utils._limits import (
    CONTROLLERS,
    check_limits,
    differences,
    directives,
    in_force,
    missing_controllers,
    properties,
    set_open_files,
    view,
)
from ansible_collections.emperor.web.plugins.module_utils._process import NO_LOGIN, run
from ansible_collections.emperor.web.plugins.module_utils._release import LAUNCHER, LIVE_ONLY

# Seconds that requests have which came in before the web server was told that an app is elsewhere, or gone.
_DRAIN_SECONDS = 30
_ENDING = "nginx: worker process is shutting down"
_HEAD = "# Written by emperor.web.uwsgi_emperor; what is changed here is lost.\n"


class EmperorError(Exception):
    """The host cannot be made what it should be; the message says what to do."""


@dataclass
class Emperor:
    """One app and its Emperor, on a host whose folders may be those of a test."""

    name: str
    root: str | None = None
    writable: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    listen: int | None = None
    state: str = "present"
    purge: bool = False
    sleep: int = 0
    web_group: str = "www-data"
    sockets: str = "/run/emperor"
    vassals: str = "/etc/uwsgi/emperor"
    units: str = "/etc/systemd/system"
    commands: str = "/usr/local/bin"

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return f"uwsgi-emperor@{self.name}.service"

    @property
    def wanted_unit(self) -> str:
        """What has to run, now and at boot: the Emperor, or what wakes it."""
        return _sleep.socket_unit(self.name) if self.sleep else self.unit

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
        if self.sleep:
            yield from _sleep.files(self)

    def additions(self) -> str:
        """What the unit of this app says besides the template."""
        lines = [f"{_HEAD}[Service]"]
        if self.root:
            lines += [
                "# A deploy that was killed may have left a release that nobody has found good. This must not keep the "
                "Emperor from starting.",
                f'ExecStartPre=-+/usr/bin/python3 -I {LIVE_ONLY} {self.vassals}/%i "{self.root}"',
            ]
        lines += [f"ReadWritePaths=-{path}" for path in self.writable]
        lines += view(self.hidden, [path for path in (self.root, *self.writable) if path])
        lines += directives(check_limits(self.limits), missing=missing_controllers())
        return "\n".join([*lines, ""])

    def command(self) -> str:
        """A program that runs manage.py as the app would."""
        return (
            f"#!/bin/sh\n{_HEAD}"
            f"# manage.py of the live release of {self.name}, in its environment and as its user: "
            f"sudo {self.name}-manage shell\n"
            f'exec /usr/bin/python3 -IS {LAUNCHER} "{self.root}/current" python manage.py "$@"\n'
        )

    # What is there.

    def wrong_files(self) -> list[tuple[str, str, int, str]]:
        """Path, content, mode, and the content before, of each file that is not as it should be."""
        found = []
        for path, content, mode in self.files():
            before = read_text(path)
            if before != content or not has_mode(path, mode):
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
        for path in (os.path.dirname(self.vassals), self.vassals):
            if not os.path.isdir(path) and not dry_run:
                ensure_directory(path, mode=0o755, uid=os.geteuid(), gid=os.getegid())
        if ensure_directory(folder, mode=0o750, uid=os.geteuid(), gid=_group(self.name) or 0, dry_run=dry_run):
            done.append(folder)
        # A folder that is missing when an Emperor starts stays read-only for its app until it starts again.
        for path in self.writable:
            if not os.path.isdir(path):
                done.append(path)
                user = _entry(self.name)
                if user and not dry_run:
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
    properties = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ControlGroup,MainPID"
    properties += ",MemoryMax,MemorySwapMax"
    shown = _call("systemctl", "show", f"--property={properties}", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    # Of no units systemctl shows its own block.
    return {unit: _unit_links.as_on_disk(unit, state) for unit, state in zip(units, blocks, strict=False)}


def run_units(units: list[str], dry_run: bool, *, reload: bool) -> list[str]:
    """Have the units run, now and at boot; what was done, in words. One that runs already is never restarted."""
    states = unit_states(units)
    stale = any(state["NeedDaemonReload"] == "yes" or state["LoadState"] != "loaded" for state in states.values())
    if not dry_run and (reload or stale):
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


def retire_units(emperors: list[Emperor], dry_run: bool) -> list[str]:
    """Take away what an app had before it could sleep, or while it could; what was done, in words."""
    sleepers = [emperor.unit for emperor in emperors if emperor.sleep]
    left = {_sleep.socket_unit(one.name): _left(one) for one in emperors if not one.sleep and _left(one)}
    states = unit_states([*sleepers, *left]) if sleepers or left else {}
    disabled = [unit for unit, state in states.items() if state["UnitFileState"] == "enabled"]
    stopped = [unit for unit in left if states[unit]["ActiveState"] == "active"]
    paths = [path for found in left.values() for path in found]
    if not dry_run:
        if stopped:
            wait_for_web_server()
            _call("systemctl", "stop", *stopped)
        if disabled:
            _call("systemctl", "disable", *disabled)
        for path in paths:
            os.unlink(path)
        if paths:
            _call("systemctl", "daemon-reload")
    done = [f"{unit} stopped" for unit in stopped] + [f"{unit} disabled" for unit in disabled]
    return done + [f"{path} removed" for path in paths]


def _left(emperor: Emperor) -> list[str]:
    """Units of an app that slept once."""
    return [path for path, _content, _mode in _sleep.files(emperor) if os.path.exists(path)]


def wait_for_web_server() -> None:
    """Let Nginx's workers that were told to end finish what they have: they still go by the configuration before."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    while _ending_workers() and time.monotonic() < deadline:
        time.sleep(0.2)


def _ending_workers() -> list[str]:
    titles = {number: read_text(f"/proc/{number}/cmdline") for number in os.listdir("/proc") if number.isdigit()}
    return [number for number, title in titles.items() if (title or "").startswith(_ENDING)]


def _start(units: list[str]) -> None:
    outcome = run(["systemctl", "start", *units], timeout=120)
    if outcome.rc:
        status = run(["systemctl", "--no-pager", "--lines=10", "status", *units], timeout=20)
        raise EmperorError(f"{outcome.last_lines()}\n{status.stdout.strip()}")


# The limits, which a running Emperor is held to without being restarted.

_LIMITS_SECONDS = 3


def running(emperors: list[Emperor]) -> Iterator[tuple[Emperor, dict[str, str], str, int]]:
    """Those that run, with what systemd knows of each, its control group and its process."""
    states = unit_states([emperor.unit for emperor in emperors]) if emperors else {}
    for emperor in emperors:
        state = states[emperor.unit]
        group, pid = state.get("ControlGroup", ""), int(state.get("MainPID") or 0)
        if state["ActiveState"] == "active" and group and pid:
            yield emperor, state, group, pid


def limits_in_force(emperors: list[Emperor]) -> dict[str, dict[str, int | None]]:
    """What the kernel holds each app to that runs."""
    return {emperor.name: in_force(group, pid) for emperor, _state, group, pid in running(emperors)}


def hold_to_limits(
    emperors: list[Emperor], dry_run: bool, before: dict[str, dict[str, int | None]]
) -> tuple[list[str], dict[str, Any], list[str]]:
    """See that the kernel has the limits of those that run: what was done, the limits by app, and what is wrong.

    What was in force C(before) systemd was told to read its files tells what that alone has put right.
    """
    done: list[str] = []
    found: dict[str, Any] = {}
    lacking: dict[str, list[str]] = {}
    for emperor, state, group, pid in running(emperors):
        limits = check_limits(emperor.limits)
        found[emperor.name] = in_force(group, pid)
        mended = {name for name, value in before.get(emperor.name, {}).items() if value != found[emperor.name][name]}
        wrong = differences(limits, found[emperor.name], state)
        repairable = set(wrong) - _without_controller()
        if repairable and not dry_run:
            set_limits(emperor.unit, limits)
            set_open_files(group, pid, limits["open_files"])
            found[emperor.name], wrong = _settled(limits, state, group, pid)
            repairable -= set(wrong)
        if repairable | mended:
            done.append(f"{emperor.unit} held to its limits ({', '.join(sorted(repairable | mended))})")
        if (emperor.limits.get("open_files") or 0) > (found[emperor.name]["open_files"] or 0):
            wrong = sorted({*wrong, "open_files"})
        for name in wrong:
            lacking.setdefault(name, []).append(emperor.name)
    return done, found, [_not_in_force(name, apps) for name, apps in lacking.items() if not dry_run]


def set_limits(unit: str, limits: dict[str, Any]) -> None:
    """Put the limits of a control group in force. After a daemon-reload alone systemd 257 knows them and does not."""
    _call("systemctl", "set-property", "--runtime", unit, *properties(limits))
    # The unit's own file says the same, and is what the next change is made in.
    shutil.rmtree(f"/run/systemd/system.control/{unit}.d", ignore_errors=True)
    _call("systemctl", "daemon-reload")


def _settled(limits: dict[str, Any], state: dict[str, str], group: str, pid: int) -> tuple[dict[str, Any], list[str]]:
    """What is in force, and what should be and is not."""
    deadline = time.monotonic() + _LIMITS_SECONDS
    while True:
        found = in_force(group, pid)
        wrong = differences(limits, found, state)
        if set(wrong) <= _without_controller() | {"open_files"} or time.monotonic() >= deadline:
            return found, wrong
        time.sleep(0.1)


def _without_controller() -> set[str]:
    missing = missing_controllers()
    return {name for name, controller in CONTROLLERS.items() if controller.name in missing}


def _not_in_force(name: str, apps: list[str]) -> str:
    if name in _without_controller():
        instead = "; the processes of the app's user are counted in its place" if name == "tasks" else ""
        why = f"systemd has no cgroup controller {CONTROLLERS[name].name} on this host{instead}"
    elif name == "open_files":
        why = "it is more than this host allows, or cannot be changed before the Emperor starts again"
    else:
        why = "the kernel has another value; see systemctl cat and systemctl show of the unit"
    return f"limits.{name} of {', '.join(apps)} is not in force: {why}"
