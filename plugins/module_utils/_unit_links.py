# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Whether a unit of ours starts at boot, from its links on the disk: systemd tells of those that it has last read.

Ours have WantedBy and no alias, so a link is all that there is to it; many are looked at without starting a program.
"""

from __future__ import annotations

import glob

FOLDER = "/etc/systemd/system"


def is_linked(unit: str) -> bool:
    """Whether a target wants or requires the unit, or something else does."""
    return any(glob.glob(f"{glob.escape(FOLDER)}/*.{kind}/{glob.escape(unit)}") for kind in ("wants", "requires"))


def as_on_disk(unit: str, state: dict[str, str]) -> dict[str, str]:
    """What systemctl has shown of a unit, which is not enabled any more where its link has been removed."""
    lost = state.get("UnitFileState") == "enabled" and not is_linked(unit)
    return state | {"UnitFileState": "disabled"} if lost else state
