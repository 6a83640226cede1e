# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Limits of one app: what its unit says of them, and what the kernel then holds it to."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import read_text

# An app that leaks takes three quarters of the host at most, so that the host itself is never out of memory and the
# kernel looks for whom to kill in this app alone. Tasks are processes and threads.
DEFAULTS: dict[str, Any] = {"memory": "75%", "memory_swap": "", "cpu": 0, "tasks": 512, "open_files": 65536}

# Per option: what a value looks like, in words and as a pattern, and the least and the most.
_SIZE = r"(\d+)([KMGT]?)"
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_LEAST_MEMORY = 64 << 20
_NUMBERS = {
    "cpu": (1, 100000, "percent of one processor, 150 is one and a half"),
    "tasks": (32, 1 << 20, "processes and threads"),
    "open_files": (256, 1 << 20, "files and connections of one process"),
}
OPTIONS = {
    "memory": {"type": "str"},
    "memory_swap": {"type": "str"},
    "cpu": {"type": "int"},
    "tasks": {"type": "int"},
    "open_files": {"type": "int"},
}

# Below this the Emperor closes all descriptors in no time, see the unit's template.
_SOFT_FILES = 1024


class LimitError(Exception):
    """A limit that cannot be one; the message says what can."""


@dataclass(frozen=True)
class Controller:
    """Where the kernel has a limit: the controller, and its files in both versions of control groups."""

    name: str
    unified: str
    legacy: str


CONTROLLERS = {
    "memory": Controller("memory", "memory.max", "memory.limit_in_bytes"),
    "memory_swap": Controller("memory", "memory.swap.max", ""),
    "cpu": Controller("cpu", "cpu.max", "cpu.cfs_quota_us"),
    "tasks": Controller("pids", "pids.max", "pids.max"),
}


# What is wanted.


def check_limits(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that are none; the limits with the defaults."""
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise LimitError(
            f"limits has {', '.join(unknown)}, and there is no such limit; there are {', '.join(DEFAULTS)}"
        )
    limits = DEFAULTS | {name: value for name, value in given.items() if value is not None}
    for name, (least, most, what) in _NUMBERS.items():
        if name in given and given[name] is not None:
            value = limits[name]
            if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)) or not least <= int(value) <= most:
                raise LimitError(f"limits.{name} is {value!r}; give a number from {least} to {most} ({what})")
            limits[name] = int(value)
    for name in ("memory", "memory_swap"):
        limits[name] = _check_size(name, limits[name])
    return limits


def _check_size(name: str, value: Any) -> str:
    text = str(value).strip()
    if not text or text == "infinity":
        return text
    percent = re.fullmatch(r"(\d{1,3})%", text)
    size = re.fullmatch(_SIZE, text.upper())
    bytes_ = int(size.group(1)) << _UNITS[size.group(2)] if size else 0
    if (percent and 1 <= int(percent.group(1)) <= 100) or (size and (bytes_ >= _LEAST_MEMORY or name != "memory")):
        return text.upper()
    raise LimitError(
        f"limits.{name} is {value!r}; give bytes with K, M, G or T, 64M or more for memory, a percentage of the host's "
        f"from 1% to 100%, or infinity"
    )


def properties(limits: dict[str, Any]) -> list[str]:
    """The limits of a control group, in systemd's words; systemd changes these of a unit that runs."""
    return [
        f"MemoryMax={limits['memory'] or 'infinity'}",
        f"MemorySwapMax={limits['memory_swap'] or 'infinity'}",
        f"CPUQuota={limits['cpu']}%" if limits["cpu"] else "CPUQuota=",
        f"TasksMax={limits['tasks']}",
    ]


def directives(limits: dict[str, Any], *, missing: Iterable[str] = ()) -> list[str]:
    """Lines of the unit. Without a controller for tasks the processes of the app's user are counted in its place."""
    lines = properties(limits)
    if "pids" in missing:
        lines.append(f"LimitNPROC={limits['tasks']}")
    return [*lines, f"LimitNOFILE={min(_SOFT_FILES, limits['open_files'])}:{limits['open_files']}"]


def view(hidden: Iterable[str], own: Iterable[str]) -> list[str]:
    """Lines of the unit by which an app sees nothing of some folders but what is its own."""
    lines = []
    for folder in hidden:
        lines.append(f"TemporaryFileSystem={folder}:ro")
        lines += [f"BindPaths=-{path}" for path in own if path.startswith(f"{folder}/")]
    return lines


# What is.


def missing_controllers(root: str = "/sys/fs/cgroup") -> list[str]:
    """The controllers that systemd can use on no unit of this host."""
    unified = (read_text(f"{root}/cgroup.controllers") or read_text(f"{root}/unified/cgroup.controllers") or "").split()
    wanted = sorted({controller.name for controller in CONTROLLERS.values()})
    return [name for name in wanted if name not in unified and not os.path.isdir(f"{root}/{name}")]


def in_force(group: str, pid: int, root: str = "/sys/fs/cgroup") -> dict[str, int | None]:
    """What the kernel holds the processes of a control group to; None is no limit, or none that the host can set."""
    found: dict[str, int | None] = {name: _read(controller, group, root) for name, controller in CONTROLLERS.items()}
    return found | {"open_files": most_files(pid)}


def most_files(pid: int) -> int | None:
    """How many files a process may have open at most; that of process 1 is the most that systemd can give."""
    found = re.search(r"^Max open files +\d+ +(\d+)", read_text(f"/proc/{pid}/limits") or "", re.MULTILINE)
    return int(found.group(1)) if found else None


def _read(controller: Controller, group: str, root: str) -> int | None:
    text = read_text(f"{root}{group}/{controller.unified}")
    if text is None and controller.legacy:
        folder = f"{root}/{controller.name}{group}"
        text = read_text(f"{folder}/{controller.legacy}")
        if text and controller.name == "cpu":
            text = f"{text.strip()} {read_text(f'{folder}/cpu.cfs_period_us')}"
    words = (text or "").split()
    if not words or not words[0].isdigit() or int(words[0]) > 1 << 60:  # "max", -1, and the most that there is
        return None
    return round(100 * int(words[0]) / int(words[1])) if len(words) > 1 else int(words[0])


def differences(limits: dict[str, Any], found: dict[str, int | None], shown: dict[str, str]) -> list[str]:
    """The limits that are not in force. What systemd shows of the unit says how many bytes a percentage is."""
    wanted: dict[str, int | None] = {name: limits[name] or None for name in ("cpu", "tasks")}
    wanted["open_files"] = min(limits["open_files"], most_files(1) or limits["open_files"])
    wanted["memory"] = _bytes(limits["memory"], shown.get("MemoryMax", ""))
    if limits["memory_swap"]:
        wanted["memory_swap"] = _bytes(limits["memory_swap"], shown.get("MemorySwapMax", ""))
    # The kernel counts memory in pages.
    return sorted(
        name
        for name, value in wanted.items()
        if (value is None) != (found[name] is None)
        or abs((value or 0) - (found[name] or 0)) >= (1 << 16 if name.startswith("memory") else 1)
    )


def _bytes(size: str, shown: str) -> int | None:
    if size.endswith("%"):
        return int(shown) if shown.isdigit() else None
    parts = re.fullmatch(_SIZE, size)
    return int(parts.group(1)) << _UNITS[parts.group(2)] if parts else None


def set_open_files(group: str, emperor: int, most: int, root: str = "/sys/fs/cgroup") -> None:
    """Give processes that run already the limit that their unit gives to those that start."""
    for pid in processes(group, root):
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(_SOFT_FILES, most) if pid == emperor else most, most))
        except ProcessLookupError:
            continue
        except PermissionError:  # a container's root may not, but at the next start systemd can
            return


def processes(group: str, root: str = "/sys/fs/cgroup") -> list[int]:
    """The processes of a control group."""
    for tree in (root, f"{root}/unified", f"{root}/systemd"):
        text = read_text(f"{tree}{group}/cgroup.procs")
        if text is not None:
            return [int(pid) for pid in text.split()]
    return []
