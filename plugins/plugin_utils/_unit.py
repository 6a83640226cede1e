# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's plugins only; it may change in any release.

"""What the unit of an app is told, from the app's entry in django_apps."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.module_utils._limits import DEFAULTS, LimitError, check_limits
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import UwsgiError, check_options, named, number


def emperor_of(app: dict[str, Any], folder: str) -> dict[str, Any]:
    """An entry for uwsgi_emperor; refuses options of uWSGI and limits that cannot work."""
    name, uwsgi, limits = app["name"], app.get("uwsgi") or {}, app.get("limits") or {}
    try:
        check_options(uwsgi)
        check_limits(limits)
    except (UwsgiError, LimitError) as error:
        raise AnsibleFilterError(f"django_apps: app {name}: {error}") from None
    needs = tasks_of(uwsgi)
    if int(limits.get("tasks") or needs) < needs:
        raise AnsibleFilterError(
            f"django_apps: app {name}: limits.tasks is {limits['tasks']}, but two releases side by side need {needs} "
            f"for the processes and threads of uwsgi; give {needs} or more, or fewer processes or threads"
        )
    return {
        "name": name,
        "root": folder,
        "writable": [f"{folder}/shared", *(app.get("writable") or [])],
        "hidden": [os.path.dirname(folder)],
        "listen": number(uwsgi, "listen", 0) or None,
        "limits": {"tasks": max(DEFAULTS["tasks"], 2 * needs)} | {k: v for k, v in limits.items() if v is not None},
    }


def tasks_of(uwsgi: dict[str, Any]) -> int:
    """Processes and threads that an Emperor needs for two generations; a number of the host's choice is small."""
    threads = number(uwsgi, "threads", 1) + number(uwsgi, "offload-threads", 0)
    others = number(uwsgi, "mules", 0) + number(uwsgi, "spooler-processes", 0)
    processes = number(uwsgi, "processes", 16) if "processes" in named(uwsgi) else 16
    # Beside the workers: their master, the program that starts it, and the Emperor itself.
    return 2 * (processes * threads + others + 2) + 1
