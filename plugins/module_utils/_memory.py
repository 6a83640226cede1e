# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Memory: what an app's processes use, and what is left for more of them."""

from __future__ import annotations

import os
import re

from ansible_collections.emperor.web.plugins.module_utils._files import read_text

# Estimates are rough: only what clearly does not fit is refused.
_ENOUGH = 0.8


def used(pids: list[int], proc: str = "/proc") -> int:
    """Bytes of memory of some processes, what they share counted once."""
    return sum(_kilobytes(read_text(f"{proc}/{pid}/smaps_rollup") or "", "Pss") for pid in pids) * 1024


def available(pid: int, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> int:
    """Bytes that more processes beside this one could use: of the machine, and of the limits of its control groups."""
    machine = read_text(f"{proc}/meminfo") or ""
    swap = _kilobytes(machine, "SwapFree") * 1024
    left = [_kilobytes(machine, "MemAvailable") * 1024 + swap]
    found = re.search(r"^0::/(.*)$", read_text(f"{proc}/{pid}/cgroup") or "", re.MULTILINE)
    group = found.group(1) if found else ""
    while group:
        left += _left_in_group(os.path.join(groups, group), swap)
        group = os.path.dirname(group)
    return min(left)


def _left_in_group(folder: str, swap: int) -> list[int]:
    limit = (read_text(f"{folder}/memory.max") or "max").strip()
    if limit == "max":
        return []
    # Cached files are given back when the group needs the room.
    cache = re.search(r"^inactive_file (\d+)$", read_text(f"{folder}/memory.stat") or "", re.MULTILINE)
    now = int(read_text(f"{folder}/memory.current") or 0) - (int(cache.group(1)) if cache else 0)
    swap_limit = (read_text(f"{folder}/memory.swap.max") or "max").strip()
    if swap_limit != "max":
        swap = min(swap, int(swap_limit) - int(read_text(f"{folder}/memory.swap.current") or 0))
    return [max(0, int(limit) - now) + max(0, swap)]


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def shortage(uses: int, processes: int, wanted: int, left: int) -> str:
    """Why a second copy of an app does not fit, or nothing: from the memory and workers of the live one."""
    needs = uses * (wanted + 1) // (processes + 1)
    if left >= needs * _ENOUGH:
        return ""
    return (
        f"it would need about {_megabytes(needs)} for {wanted} workers, as the live one uses {_megabytes(uses)} with "
        f"{processes}, and {_megabytes(left)} are available. Give fewer processes (uwsgi: {{processes: 2}}), add "
        f"swap or memory, or set overlap: false, which stops the live release before the new one starts"
    )


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.0f} MB"
