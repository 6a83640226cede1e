# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What a host has for uWSGI: its version's options, processors and memory, and the kernel's longest listen queue."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import (
    UwsgiError,
    check_options,
    named,
    number,
    plugins,
    settings,
)

# Memory in GB below which a host gets no more than so many processes by default. The bounds are between the sizes that
# hosts are sold in: another kernel counts some MB more or less, and this must not change anybody's releases.
_PROCESSES_OF_MEMORY = ((0.75, 2), (1.5, 4), (3.0, 8), (float("inf"), 16))

SOMAXCONN = "/proc/sys/net/core/somaxconn"
SYSCTL = "/etc/sysctl.d/60-emperor-web.conf"
# What Linux has had since 5.4 by itself, so that it is there after a boot without a file of ours.
_KERNEL_DEFAULT = 4096


class KernelError(Exception):
    """The kernel does not do what was asked for; the message says what to do."""


# Options.


def settings_here(options: dict[str, Any]) -> dict[str, Any]:
    """A user's options with those that follow from this host; what it does not have is refused."""
    check_options(options)
    return completed(options, known_options(plugins(options)))


def known_options(names: str) -> frozenset[str]:
    """All options of this host's uWSGI with some plugins; empty where uWSGI is not installed yet."""
    if not shutil.which("uwsgi"):
        return frozenset()
    outcome = run(["uwsgi", "--plugins", names, "--help"], timeout=30)
    return frozenset(re.findall(r"^\s*(?:-\w\|)?--([a-z0-9_-]+)", outcome.stdout, re.MULTILINE))


def completed(options: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The options of a release, with those that follow from the host; refuses what this host's uWSGI does not have."""
    given = named(options)
    if known:
        _check_known(options, known)
    if "processes" not in given:
        given["processes"] = default_processes(cores(), memory())
    # Without it, workers that got as many requests each would all be replaced at the same moment.
    if "max-requests-delta" in known and "max-requests-delta" not in given and number(given, "max-requests", 0):
        given["max-requests-delta"] = max(1, number(given, "max-requests", 0) // 20)
    check_options(given)
    return given


def _check_known(options: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(options) - known)
    if not unknown:
        return
    version = run(["uwsgi", "--version"], timeout=30).stdout.strip()
    near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.75)
    hint = f"did you mean {' or '.join(near)}?" if near else "see uwsgi --plugins python3 --help on the host"
    raise UwsgiError(f"uwsgi: {', '.join(unknown)}: this host's uWSGI ({version}) has no such option; {hint}")


def default_processes(count: int, size: int) -> int:
    """Two for each processor, as one of them may wait for a database; fewer where the memory is small."""
    most = next(number for limit, number in _PROCESSES_OF_MEMORY if size < limit * (1 << 30))
    return max(2, min(2 * count, most))


def cores() -> int:
    """The processors that processes of this host may use."""
    return len(os.sched_getaffinity(0))


def memory(meminfo: str = "/proc/meminfo") -> int:
    """Bytes of memory of this host."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", read_text(meminfo) or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def served_python() -> str | None:
    """The Python version that uWSGI's plugin carries, or None where uWSGI is not installed yet."""
    if not shutil.which("uwsgi"):
        return None
    outcome = run(["uwsgi", "--plugin", "python3", "--python-version"], timeout=30)
    return ".".join(outcome.stdout.strip().split(".")[:2]) or None


# The listen queue.


def check_listen(options: dict[str, Any], *, final: bool, path: str = SOMAXCONN) -> None:
    """Refuse a queue that the kernel cannot be told to give, or, C(final), was not told to: uWSGI would not start."""
    listen, allowed = int(settings(options).get("listen", 0)), somaxconn(path)
    if allowed is None or listen <= allowed:
        return
    if not os.access(path, os.W_OK):
        raise UwsgiError(f"uwsgi: {_too_long(listen, allowed)}")
    if final:
        raise UwsgiError(
            f"uwsgi: listen is {listen}, but the kernel gives queues of {allowed} at most (net.core.somaxconn); give "
            f"listen from 1 to {allowed}, or have emperor.web.uwsgi_emperor raise it first, by its option listen"
        )


def somaxconn(path: str = SOMAXCONN) -> int | None:
    """The longest queue of a socket that the kernel gives, or None where it does not tell."""
    text = (read_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def allow_listen(
    listen: int, dry_run: bool, *, path: str = SOMAXCONN, file: str = SYSCTL
) -> list[tuple[str, str, str]]:
    """Have the kernel give queues of this length, now and after a boot: path, before and after of what was changed."""
    done = []
    allowed, before = somaxconn(path), read_text(file) or ""
    kept = re.search(r"^net\.core\.somaxconn = (\d+)$", before, re.MULTILINE)
    if allowed is None or listen <= min(allowed, _KERNEL_DEFAULT):
        return []
    if allowed < listen:
        if not dry_run:
            _write_somaxconn(listen, allowed, path)
        done.append((path, f"{allowed}\n", f"{listen}\n"))
    if not kept or int(kept.group(1)) < listen:
        text = f"# Written by emperor.web.uwsgi_emperor: queues of the apps' sockets.\nnet.core.somaxconn = {listen}\n"
        if not dry_run:
            os.makedirs(os.path.dirname(file), exist_ok=True)
            write_atomic(file, text, mode=0o644)
        done.append((file, before, text))
    return done


def _write_somaxconn(listen: int, allowed: int, path: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(str(listen))
    except OSError as error:
        raise KernelError(f"{_too_long(listen, allowed)} ({error.strerror})") from None
    if (has := somaxconn(path)) is None or has < listen:
        raise KernelError(_too_long(listen, has or 0))


def _too_long(listen: int, allowed: int) -> str:
    return (
        f"listen is {listen}, but the kernel gives queues of {allowed} at most (net.core.somaxconn) and does not let "
        f"this host change it; give listen from 1 to {allowed}, or set it where this host is started"
    )
