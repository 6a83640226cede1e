# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository stays one that can be read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_file_of_the_plugins_is_too_long_to_read():
    lengths = {str(path): len(path.read_text().splitlines()) for path in (ROOT / "plugins").rglob("*.py")}
    assert len(lengths) > 50
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}
