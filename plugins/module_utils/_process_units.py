# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules and filters only; it may change in any release.

"""Processes and timers of an app: what a user may write of them, and what their systemd units say."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._environment import url_passwords
from ansible_collections.emperor.web.plugins.module_utils._limits import (
    check_limits,
    directives,
    missing_controllers,
    view,
)
from ansible_collections.emperor.web.plugins.module_utils._release import LAUNCHER, Layout

# The template unit of the role uwsgi. A colon, which no name has, parts the app from its process or timer.
TEMPLATE = "django@.service"
DROP_IN = "django.conf"
# What makes a unit a process, and what makes it a timer's job.
_PROCESS = (
    "Type=exec",
    "Restart=always",
    "# Soon enough to be missed little, seldom enough for one that always fails to leave the processors to others.",
    "RestartSec=5",
)
_JOB = ("# While it runs it is not started again.", "Type=oneshot")
_HEAD = "# Written by emperor.web.django_processes; what is changed here is lost.\n"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SHELLS = ("sh", "bash", "dash", "zsh")
_SHELL_WORDS = re.compile(r"&&|\|\|?|;|&|\d?>>?(&\d)?|<")
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_({]")

PROCESS_DEFAULTS: dict[str, Any] = {"command": "", "stop_timeout": 60, "settle": 6}
TIMER_DEFAULTS: dict[str, Any] = {"command": "", "schedule": "", "timeout": 3600, "persistent": True}
_LEAST = {"stop_timeout": 1, "settle": 0, "timeout": 0}


class UnitError(ValueError):
    """A process or a timer that cannot be; the message says what to write."""


# What a user may write.


def complete_processes(app: str, given: Any) -> dict[str, dict[str, Any]]:
    """The processes of an app with all their options."""
    sample = f"write for example processes: {{worker: celery -A {app} worker}}"
    found = {}
    for name, value in _mapping(f"processes of app {app}", given, sample).items():
        what = f"process {name} of app {app}"
        found[str(name)] = _complete(
            what, name, {"command": value} if isinstance(value, str) else value, PROCESS_DEFAULTS
        )
    return found


def complete_timers(app: str, given: Any) -> dict[str, dict[str, Any]]:
    """The timers of an app with all their options; each schedule is a list."""
    sample = "write for example timers: {clearsessions: {command: python manage.py clearsessions, schedule: daily}}"
    found = {}
    for name, value in _mapping(f"timers of app {app}", given, sample).items():
        what = f"timer {name} of app {app}"
        options = _complete(what, name, value, TIMER_DEFAULTS)
        found[str(name)] = options | {"schedule": _schedules(what, options["schedule"])}
    return found


def for_module(name: str, root: str, app: dict[str, Any]) -> dict[str, Any]:
    """What django_processes is told of an app of django_apps."""
    processes, timers = complete_processes(name, app.get("processes")), complete_timers(name, app.get("timers"))
    twice = sorted(set(processes) & set(timers))
    if twice:
        raise UnitError(f"processes and timers of app {name} both have {twice[0]}; each needs a name of its own")
    writable = [f"{root}/shared", *(app.get("writable") or [])]
    return {"name": name, "root": root, "writable": writable, "processes": processes, "timers": timers}


def celery_environment(processes: dict[str, dict[str, Any]], root: str) -> dict[str, str]:
    """Where Celery's scheduler remembers what it has started; by itself it would write into the release."""
    beat = any(re.search(r"\bcelery\b.*\bbeat\b", one["command"]) for one in processes.values())
    return {"CELERY_BEAT_SCHEDULE": f"{root}/shared/celerybeat-schedule"} if beat else {}


def _mapping(what: str, given: Any, sample: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise UnitError(f"{what} are no mapping of names; {sample}")
    return given or {}


def _complete(what: str, name: Any, given: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    if not _NAME.fullmatch(str(name)):
        raise UnitError(
            f"{what}: its name has to be of lower-case letters, digits and -, a letter first, 31 characters at most"
        )
    if not isinstance(given, dict):
        raise UnitError(f"{what} is no mapping with {', '.join(defaults)}")
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise UnitError(f"{what} has {unknown[0]}; what it may have is {', '.join(defaults)}")
    options = defaults | {key: value for key, value in given.items() if value is not None}
    for key, least in _LEAST.items():
        if key in options:
            options[key] = _seconds(f"{key} of {what}", options[key], least)
    if "persistent" in options and str(options["persistent"]).lower() not in ("true", "false"):
        raise UnitError(f"persistent of {what} is {options['persistent']!r}; write true or false")
    if "persistent" in options:
        options["persistent"] = str(options["persistent"]).lower() == "true"
    options["command"] = _command(what, options["command"])
    return options


def _seconds(what: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,7}", str(value)) or int(value) < least:
        raise UnitError(f"{what} is {value!r}; write seconds, {least} or more")
    return int(value)


def _command(what: str, command: Any) -> str:
    """The command, if it is one that can be run without a shell and shown to everybody."""
    if not isinstance(command, str) or not command.strip():
        raise UnitError(f"{what} has no command; write for example command: python manage.py clearsessions")
    if not command.strip().isprintable():
        raise UnitError(f"the command of {what} has a line break or a control character; write it in one line")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UnitError(f"the command of {what} cannot be split into words: {error}") from None
    if not words or not words[0]:
        raise UnitError(f"the command of {what} has no program")
    for word in words if os.path.basename(words[0]) not in _SHELLS else []:
        if _SHELL_WORDS.fullmatch(word) or _SHELL_VARIABLE.search(word):
            raise UnitError(
                f"the command of {what} has {word}, which only a shell understands, and none runs it; write "
                f"sh -c 'exec ...', in which $NAME is a variable of the app's environment"
            )
    if any(url_passwords(word) for word in words):
        raise UnitError(
            f"the command of {what} has a URL with a password, and everybody on the host can read it; put the URL into "
            f"environment, and let the settings or sh -c 'exec ... \"$NAME\"' take it from there"
        )
    return command.strip()


def _schedules(what: str, given: Any) -> list[str]:
    schedules = list(given) if isinstance(given, (list, tuple)) else [given]
    if not all(isinstance(one, str) and one.strip() and one.isprintable() for one in schedules) or not schedules:
        raise UnitError(
            f"the schedule of {what} is {given!r}; write one line of text, or a list of these, as in OnCalendar= of "
            f'systemd.timer(5), for example daily, hourly or "Mon..Fri *-*-* 04:30" (in quotes, as YAML makes a number '
            f"of 4:30)"
        )
    return [one.strip() for one in schedules]


# What the units say.


def quote(word: str) -> str:
    """A word as systemd reads it back unchanged; variables are not expanded where the line starts with a colon."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


@dataclass(frozen=True)
class Units:
    """The units of one app, and the release that its processes are to run."""

    name: str
    root: str
    release: str = ""
    writable: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    timers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The app's folders."""
        return Layout(self.root)

    def unit(self, name: str, kind: str = "service") -> str:
        """The unit of a process, of a timer's job, or of a timer."""
        return f"django@{self.name}:{name}.{kind}"

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each unit, and what it says; a service says it besides the template."""
        for name, options in self.processes.items():
            # The folder of the release, not the link: what runs is known from the unit, and the same after a reboot.
            lines = self._service(name, self.layout.release(self.release), options["command"])
            yield self.unit(name), _join(*lines, *_PROCESS, f"TimeoutStopSec={options['stop_timeout']}")
        for name, options in self.timers.items():
            # The link: a job runs what is live when it starts, and a release leaves its unit alone.
            lines = self._service(name, self.layout.current, options["command"])
            yield self.unit(name), _join(*lines, *_JOB, f"TimeoutStartSec={options['timeout'] or 'infinity'}")
            schedule = [f"OnCalendar={one.replace('%', '%%')}" for one in options["schedule"]]
            persistent = f"Persistent={'yes' if options['persistent'] else 'no'}"
            lines = ["[Unit]", self._description(name), "[Timer]", *schedule, persistent, "AccuracySec=1s"]
            yield self.unit(name, "timer"), _join(*lines, "[Install]", "WantedBy=timers.target")

    def _description(self, name: str) -> str:
        return f"Description=Django app {self.name}: {name}"

    def _service(self, name: str, folder: str, command: str) -> list[str]:
        words = " ".join(map(quote, [folder, *shlex.split(command)]))
        return [
            "[Unit]",
            self._description(name),
            "[Service]",
            f"User={self.name}",
            f"Group={self.name}",
            f"SyslogIdentifier={self.name}-{name}",
            f"ExecStart=:/usr/bin/python3 -IS {LAUNCHER} {words}",
            *(f"ReadWritePaths={quote(f'-{path}')}" for path in self.writable),
            *view(self.hidden, [self.root, *self.writable]),
            *directives(check_limits(self.limits), missing=missing_controllers()),
        ]


def _join(*lines: str) -> str:
    return _HEAD + "\n".join([*lines, ""])


def is_job(text: str) -> bool:
    """Whether a unit is what a timer starts."""
    return _JOB[-1] in text.splitlines()


def release_of(text: str, layout: Layout) -> str:
    """The release that the unit of a process names; empty where it names none."""
    found = re.search(rf"\"{re.escape(quote(layout.releases)[1:-1])}/([^\"/]+)\"", text)
    return found.group(1) if found else ""
