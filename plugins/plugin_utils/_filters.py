# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's plugins only; it may change in any release.

"""Load the filters of the collection once for a run, and not once for each task."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import filter_loader


def load_filters() -> None:
    """Load them in this process; action plugins call it when they are imported.

    Ansible imports a task's action plugin in its own process, and then forks a worker for the task. What a worker
    loads is gone with it, so each would compile the filters from their source again, which takes longer than the task.
    """
    for path in sorted((Path(__file__).parents[1] / "filter").glob("*.py")):
        filter_loader.get(f"emperor.web.{path.stem}")
