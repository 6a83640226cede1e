# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_processes) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._environment import (
    EnvironmentFileError,
    read_file,
    secret_values,
)
from ansible_collections.emperor.web.plugins.module_utils._limits import OPTIONS, LimitError, check_limits
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS, locked
from ansible_collections.emperor.web.plugins.module_utils._process_units import (
    UnitError,
    Units,
    complete_processes,
    complete_timers,
)
from ansible_collections.emperor.web.plugins.module_utils._processes import (
    ProcessesError,
    carry_out,
    check_schedules,
    path_of,
    plan,
    states_of,
    units_of,
    watch,
)

ARGUMENTS = LOCK_ARGUMENTS | {
    "apps": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "root": {"type": "path"},
            "writable": {"type": "list", "elements": "path", "default": []},
            "hidden": {"type": "list", "elements": "path", "default": []},
            "limits": {"type": "dict", "options": OPTIONS},
            "processes": {"type": "dict", "default": {}},
            "timers": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "releases": {"type": "dict", "default": {}},
}


def units_from(options: dict[str, Any], release: str | None) -> Units:
    """The units that an app is to have."""
    name = options["name"]
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise UnitError(f"{name!r} is no name of an app; write it as django_apps does")
    present = options["state"] == "present"
    units = Units(
        name,
        options["root"] or f"/srv/django/{name}",
        "",
        options["writable"],
        options["hidden"],
        options["limits"] or {},
        complete_processes(name, options["processes"]) if present else {},
        complete_timers(name, options["timers"]) if present else {},
    )
    return Units(**(vars(units) | {"release": release or units.layout.live() or ""}))


def problem_of(units: Units) -> str:
    """Why the processes of an app cannot run; empty where they can."""
    live = units.layout.live() or ""
    if not live and (units.processes or units.timers):
        return f"app {units.name}: no release is live, so there is nothing to run; deploy it first"
    if units.processes and units.release != live:
        return (
            f"app {units.name}: release {units.release} is not live, {live} is; processes and timers run what is live, "
            f"and were left as they are"
        )
    return ""


def hide_secrets(module: AnsibleModule, apps: list[Units]) -> None:
    """What a process has written may have a secret of its environment in it."""
    for units in apps:
        try:
            module.no_log_values |= secret_values(read_file(os.path.join(units.layout.current, "env")))
        except EnvironmentFileError as error:
            if units.processes:
                module.fail_json(msg=f"app {units.name}: {error}")


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Compare, put right what differs, and see whether it stays."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        apps = [units_from(options, params["releases"].get(options["name"])) for options in params["apps"]]
        check_schedules([one for units in apps for timer in units.timers.values() for one in timer["schedule"]])
        for options in params["apps"]:
            check_limits(options["limits"] or {})
    except (UnitError, LimitError, ProcessesError) as error:
        module.fail_json(msg=str(error))
    absent = {options["name"] for options in params["apps"] if options["state"] == "absent"}
    with ExitStack() as locks:
        for units in apps:
            if os.path.isdir(units.root):
                locks.enter_context(locked(module, units.root, app=units.name, what="processes"))
        problems = [] if module.check_mode else [problem for units in apps if (problem := problem_of(units))]
        if problems:
            module.fail_json(msg="; ".join(problems))
        if not module.check_mode:
            hide_secrets(module, apps)
        act(module, apps, absent)


def act(module: AnsibleModule, apps: list[Units], absent: set[str]) -> None:
    """Do it, and report."""
    wanted = {unit: text for units in apps for unit, text in units.texts()}
    found = {unit: text for units in apps for unit, text in units_of(units.name).items()}
    settle = {units.unit(name): one["settle"] for units in apps for name, one in units.processes.items()}
    changes: list[str] = []
    try:
        states = states_of([*wanted, *(unit for unit in found if unit not in wanted)])
        ended = {unit for unit in found if re.split("[@:]", unit)[1] in absent}
        todo = plan(wanted, found, states, end_jobs=ended)
        diff = [
            {
                "before_header": path_of(unit),
                "after_header": path_of(unit),
                "before": found.get(unit, ""),
                "after": wanted.get(unit, ""),
            }
            for unit in [*todo.write, *todo.remove]
        ]
        changes = todo.changes()
        if not module.check_mode:
            carry_out(todo, wanted, states)
            watch(settle)
    except ProcessesError as error:
        module.fail_json(msg=str(error), changed=bool(changes), **({"units": error.units} if error.units else {}))
    except OSError as error:
        module.fail_json(msg=f"the units cannot be written: {error}; the module has to run as root (become: true)")
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)
