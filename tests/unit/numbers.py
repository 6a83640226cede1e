# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation of modules and of roles says of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a number counts, told first.
UNITS = r"Seconds|Percent|Number of|How many|Processes|Files|Requests|Connections|Finished releases"


def all_options(options: dict) -> Iterator[tuple[str, dict]]:
    """Options, and those of options."""
    for name, about in options.items():
        yield name, about
        yield from all_options(about.get("options") or about.get("suboptions") or {})


def without_unit(options: dict) -> dict[str, str]:
    """The documented numbers of which nobody learns what they count."""
    numbers = [(name, about) for name, about in all_options(options) if about["type"] in ("int", "float")]
    told = {name: "".join(about["description"]) for name, about in numbers}
    return {name: text for name, text in told.items() if not re.match(UNITS, text)}
