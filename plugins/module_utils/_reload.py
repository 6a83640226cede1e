# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""A command that has to follow a change of files, by a later run where one was ended between the two.

What is due is noted on the disk before the first file is written, until the command has succeeded.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from contextlib import suppress

from ansible_collections.emperor.web.plugins.module_utils._files import install
from ansible_collections.emperor.web.plugins.module_utils._process import Result, run

FOLDER = "/var/lib/emperor/reload"


class Reload:
    """One command, or none where it is empty; whichever files it was for, it does all that it does."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.note = os.path.join(FOLDER, hashlib.sha256(command.encode()).hexdigest()[:16])

    def is_due(self) -> bool:
        """Whether an earlier run has changed files, and was ended before the command had succeeded."""
        return bool(self.command) and os.path.exists(self.note)

    def announce(self) -> None:
        """Note that it is due from now on."""
        if self.command and not self.is_due():
            install(self.note, f"{self.command}\n", mode=0o644, owner=os.geteuid())

    def perform(self) -> Result:
        """Run it; it stays due where it fails."""
        outcome = run(shlex.split(self.command), timeout=120)
        if outcome.rc == 0:
            with suppress(FileNotFoundError):  # two runs at once
                os.unlink(self.note)
        return outcome
