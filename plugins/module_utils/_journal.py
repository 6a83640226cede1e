# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What services wrote, as systemd's journal has it."""

from __future__ import annotations

from ansible_collections.emperor.web.plugins.module_utils._process import run


def lines_since(since: float, match: str) -> list[str]:
    """All that was written since a time, by whom C(match) names as journalctl does, C(--unit=nginx) for example."""
    run(["journalctl", "--sync"], timeout=20)
    # Of all lines since a time, systemd 252 takes the first ones for --lines.
    argv = ["journalctl", match, f"--since=@{since:.3f}", "--output=cat", "--no-pager"]
    return run(argv, timeout=20).stdout.strip().splitlines()
