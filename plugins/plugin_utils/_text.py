# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's filters only; it may change in any release.

"""How filters write what people read."""

from __future__ import annotations


def row(label: str, text: str) -> str:
    """One line of a block."""
    return f"  {label:<11}{text}"


def words(*parts: str) -> str:
    """Parts that are there, in one line."""
    return "  ".join(part for part in parts if part)
