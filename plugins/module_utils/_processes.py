# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Have systemd run the processes and timers of apps: those that are wanted, as they are wanted, and no others."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils import _journal, _unit_links
from ansible_collections.emperor.web.plugins.module_utils._files import ensure_directory, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._lock import processes_with
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run
from ansible_collections.emperor.web.plugins.module_utils._process_units import (
    DROP_IN,
    TEMPLATE,
    Units,
    is_job,
    release_of,
)

UNITS = "/etc/systemd/system"
STAMPS = "/var/lib/systemd/timers"
# In the environment of all that runs for a release: its id.
RELEASE = "EMPEROR_RELEASE"
_PAUSE = 0.2
# How many times longer a process has to stay up that systemd had to start again.
_AGAIN = 5
_LOG_LINES = 15
_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,NRestarts,MainPID,Result,ExecMainCode,"
    "ExecMainStatus,ActiveEnterTimestamp,ActiveEnterTimestampMonotonic,"
    "StatusText,LastTriggerUSec,NextElapseUSecRealtime"
)


class ProcessesError(Exception):
    """The host does not do what it should; C(units) are those that did not stay up."""

    def __init__(self, message: str, units: list[str] | None = None) -> None:
        super().__init__(message)
        self.units = units or []


# What is there.


def path_of(unit: str, folder: str = UNITS) -> str:
    """The file of a unit: a drop-in of a service, all of a timer."""
    return os.path.join(folder, unit if unit.endswith(".timer") else f"{unit}.d/{DROP_IN}")


def units_of(app: str, folder: str = UNITS) -> dict[str, str]:
    """The units that an app has, and what each says."""
    start = os.path.join(glob.escape(folder), f"django@{app}:*")
    services = [os.path.dirname(path).removesuffix(".d") for path in glob.glob(f"{start}.service.d/{DROP_IN}")]
    names = sorted(map(os.path.basename, [*services, *glob.glob(f"{start}.timer")]))
    return {unit: read_text(path_of(unit, folder)) or "" for unit in names}


def states_of(units: list[str]) -> dict[str, dict[str, str]]:
    """What systemd knows of each unit; times are in UTC."""
    if not units:
        return {}
    argv = ["systemctl", "show", f"--property={_PROPERTIES}", *units]
    outcome = _done(run(argv, environment={"TZ": "UTC"}, timeout=60))
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in outcome.stdout.strip().split("\n\n")
    ]
    return {unit: _unit_links.as_on_disk(unit, state) for unit, state in zip(units, blocks, strict=True)}


def check_schedules(schedules: list[str]) -> None:
    """Refuse what systemd does not understand, or what never comes."""
    for schedule in sorted(set(schedules)):
        outcome = run(["systemd-analyze", "calendar", "--", schedule], timeout=20)
        if outcome.rc:
            raise ProcessesError(
                f"systemd does not understand the schedule {schedule!r}: {outcome.last_lines(1)}; write it as "
                f"OnCalendar= of systemd.timer(5), and try it with: systemd-analyze calendar '{schedule}'"
            )
        if re.search(r"Next elapse: *(never|-)", outcome.stdout):
            raise ProcessesError(f"the schedule {schedule!r} never comes again; see systemd-analyze calendar")


# The way there.


@dataclass
class Plan:
    """What differs from what is wanted, in the order in which it is put right."""

    stop: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    write: dict[str, str] = field(default_factory=dict)
    enable: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)

    def changes(self) -> list[str]:
        """All of it in words."""
        kept = [unit for unit in self.stop if unit not in self.remove]
        done = [f"{unit} stopped" for unit in kept if unit not in self.start]
        done += [f"{unit} removed" for unit in self.remove]
        done += [f"{unit} written" for unit in self.write]
        done += [f"{unit} enabled" for unit in self.enable]
        restarted = [*(unit for unit in self.start if unit in kept), *self.restart]
        started = [unit for unit in self.start if unit not in kept]
        return done + [f"{unit} restarted" for unit in restarted] + [f"{unit} started" for unit in started]


def plan(
    wanted: dict[str, str], found: dict[str, str], states: dict[str, dict[str, str]], end_jobs: Container[str] = ()
) -> Plan:
    """Compare. A process that is to change is stopped before its unit is written, so one that runs is what it says.

    The job of a timer that is not wanted comes to its end, unless it is among C(end_jobs).
    """
    todo = Plan(write={unit: text for unit, text in wanted.items() if found.get(unit) != text})
    for unit, text in found.items():
        job, again = is_job(text), unit in wanted
        if again and is_job(wanted[unit]) == job:
            continue
        todo.remove.append(unit)
        if _exists(states[unit]) and (not job or again or unit in end_jobs):
            todo.stop.append(unit)
    for unit, text in wanted.items():
        if is_job(text):
            continue
        state, new = states[unit], unit in todo.write
        if state.get("UnitFileState") != "enabled" or unit in todo.remove:
            todo.enable.append(unit)
        if unit.endswith(".timer"):
            runs = state.get("ActiveState") == "active"
            (todo.restart if runs else todo.start).extend([unit] if new or not runs else [])
            continue
        if new or state.get("ActiveState") not in ("active", "reloading"):
            todo.start.append(unit)
            if _exists(state) and unit not in todo.stop:
                todo.stop.append(unit)
    return todo


def _exists(state: dict[str, str]) -> bool:
    """Whether something of the unit runs, or is about to run again."""
    return state.get("ActiveState") not in ("inactive", "failed", None)


def carry_out(todo: Plan, wanted: dict[str, str], states: dict[str, dict[str, str]], folder: str = UNITS) -> None:
    """Do what the plan says."""
    if wanted and not os.path.exists(os.path.join(folder, TEMPLATE)):
        raise ProcessesError(
            f"systemd has no unit {TEMPLATE}; use the role emperor.web.uwsgi on this host first (the playbook "
            f"emperor.web.site does)"
        )
    timers = [unit for unit in todo.stop if unit.endswith(".timer")]
    # Timers first, or one that is due starts its job again. Systemd ends what does not stop after its stop_timeout.
    for units in (timers, [unit for unit in todo.stop if unit not in timers]):
        if units:
            _done(run(["systemctl", "stop", *units]))
    if todo.remove:
        _done(run(["systemctl", "disable", "--quiet", *todo.remove], timeout=60))
    for unit in todo.remove:
        os.unlink(path_of(unit, folder))
        with suppress(OSError):  # others may have put more beside it, and of a timer there is no folder
            os.rmdir(os.path.join(folder, f"{unit}.d"))
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(STAMPS, f"stamp-{unit}"))
    for unit, text in todo.write.items():
        path = path_of(unit, folder)
        ensure_directory(os.path.dirname(path), mode=0o755, uid=os.geteuid(), gid=os.getegid())
        write_atomic(path, text)
    if todo.remove or todo.write or any(state.get("NeedDaemonReload") == "yes" for state in states.values()):
        _done(run(["systemctl", "daemon-reload"], timeout=120))
    if todo.remove:
        run(["systemctl", "reset-failed", *todo.remove], timeout=20)  # of one that has not failed it says so
    if todo.enable:
        _done(run(["systemctl", "--quiet", "enable", *todo.enable], timeout=120))
    timers = [unit for unit in todo.start if unit.endswith(".timer")]
    processes = [unit for unit in todo.start if unit not in timers]
    if timers + todo.restart:
        _done(run(["systemctl", "restart", *timers, *todo.restart], timeout=120))
    if processes:
        run(["systemctl", "start", *processes], timeout=120)  # one that does not start is told of by watch


def _done(outcome: Result) -> Result:
    if outcome.rc:
        raise ProcessesError(f"{' '.join(outcome.cmd)} failed: {outcome.last_lines()}")
    return outcome


# Whether they stay.


def watch(settle: dict[str, int]) -> None:
    """Return when each process has been up for its seconds; raise when one has not stayed up."""
    began = time.time()
    before = {unit: state.get("NRestarts") for unit, state in states_of(list(settle)).items()}
    # One that dies again and again is up in between.
    settle = {unit: seconds * (_AGAIN if before[unit] not in ("0", None) else 1) for unit, seconds in settle.items()}
    deadline = time.monotonic() + max(settle.values(), default=0) + 30
    fallen: dict[str, dict[str, str]] = {}
    young = set(settle)
    while young and time.monotonic() < deadline:
        for unit, state in states_of(sorted(young)).items():
            if _has_fallen(state, before[unit]):
                fallen[unit] = state  # as it is now: systemd soon starts it again
            if unit in fallen or _is_up(state, settle[unit]):
                young.remove(unit)
        if young:
            time.sleep(_PAUSE)
    fallen |= states_of(sorted(young))
    if fallen:
        raise ProcessesError(_explain(fallen, began - max(settle.values())), list(fallen))


def _has_fallen(state: dict[str, str], restarts: str | None) -> bool:
    if state.get("ActiveState") in ("failed", "inactive") or state.get("NRestarts") != restarts:
        return True
    return state.get("SubState", "").startswith("auto-restart")


def _is_up(state: dict[str, str], seconds: int) -> bool:
    up = time.monotonic() - int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    return state.get("ActiveState") == "active" and up >= seconds


def _explain(fallen: dict[str, dict[str, str]], since: float) -> str:
    told = []
    for unit, state in fallen.items():
        log = "\n".join(_journal.lines_since(since, f"_SYSTEMD_UNIT={unit}")[-_LOG_LINES:])
        end = ending(state) or f"is {_state(state)}"
        told.append(
            f"{unit} did not stay up, it {end}" + (f"; its last lines:\n{log}" if log else "; it wrote nothing")
        )
    return (
        "\n".join(told)
        + "\nThe site is live without that; systemd tries it again every few seconds. Mend the command, "
        f"or the release, and run again; see journalctl -u {next(iter(fallen))}"
    )


def ending(state: dict[str, str]) -> str:
    """How the last process of a unit ended, in words; empty where none has."""
    code, status = state.get("ExecMainCode", "0"), state.get("ExecMainStatus", "0")
    if state.get("Result") == "timeout":
        return "took too long and was ended"
    if code == "1":
        return f"ended with status {status}"
    return f"was ended by signal {status}" if code in ("2", "3") else ""


# What is told to people.


def report(units: Units, folder: str = UNITS) -> dict[str, list[dict[str, Any]]]:
    """The processes and timers that an app has on this host, and how they are."""
    found = units_of(units.name, folder)
    states = states_of(list(found))
    told: dict[str, list[dict[str, Any]]] = {"processes": [], "timers": []}
    for unit, text in found.items():
        name, state = unit.partition(":")[2].rpartition(".")[0], states[unit]
        if unit.endswith(".timer"):
            job = states.get(units.unit(name), {})
            told["timers"].append({"name": name, "unit": unit} | _timer(text, state, job))
        elif not is_job(text):
            process = {"name": name, "unit": unit, "release": release_of(text, units.layout)}
            told["processes"].append(process | _process(state))
    return told


def _process(state: dict[str, str]) -> dict[str, Any]:
    runs = state.get("ActiveState") == "active"
    return {
        "state": _state(state),
        "since": iso(state.get("ActiveEnterTimestamp")) if runs else "",
        "pid": int(state.get("MainPID") or 0),
        "restarts": int(state.get("NRestarts") or 0),
        "ended": "" if runs else ending(state),
    }


def _timer(text: str, state: dict[str, str], job: dict[str, str]) -> dict[str, Any]:
    running = job.get("ActiveState") == "activating"
    return {
        "schedule": re.findall(r"^OnCalendar=(.*)$", text, re.MULTILINE),
        "running": running,
        "last": iso(state.get("LastTriggerUSec")),
        "ended": "" if running else ending(job),
        "failed": job.get("ActiveState") == "failed",
        "next": iso(state.get("NextElapseUSecRealtime")),
    }


def _state(state: dict[str, str]) -> str:
    if state.get("SubState", "").startswith("auto-restart"):
        return "restarting"
    names = {"active": "running", "activating": "starting", "deactivating": "stopping", "inactive": "stopped"}
    return names.get(state.get("ActiveState", ""), state.get("ActiveState", "unknown"))


def iso(text: str | None) -> str:
    """A time that systemd wrote in UTC, as ISO 8601; empty for none."""
    found = re.search(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", text or "")
    return f"{found.group(1)}T{found.group(2)}Z" if found else ""


# What a release that is to be removed may still be needed for.


def releases_in_use(units: Units, folder: str = UNITS) -> set[str]:
    """Releases that a unit names or runs, or that any other process on the host was started for or works in."""
    used = set(processes_with(RELEASE).values())
    found = units_of(units.name, folder)
    used |= {release_of(text, units.layout) for text in found.values()}
    for state in states_of(list(found)).values():
        if _exists(state):  # run.py tells this, as another user's processes cannot be looked into in every container
            used.add(state.get("StatusText", "").removeprefix("release "))
    start = os.path.realpath(units.layout.releases) + os.sep
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with suppress(OSError):
            where = os.readlink(f"/proc/{pid}/cwd")
            if where.startswith(start):
                used.add(where.removeprefix(start).partition(os.sep)[0])
    return used - {""}
