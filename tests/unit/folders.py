# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders of tests, written from a dict of names and contents and read into one."""

from __future__ import annotations

import os
from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write a folder of files; a value that starts with -> is a link, one that starts with #! is executable."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content)
            path.chmod(0o755 if content.startswith("#!") else 0o644)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """A folder in the form that write() takes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"->{os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_text()
    return found
