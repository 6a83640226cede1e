# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.uwsgi_emperor) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _metrics, _removal
from ansible_collections.emperor.web.plugins.module_utils._emperor import (
    Emperor,
    EmperorError,
    hold_to_limits,
    limits_in_force,
    retire_units,
    run_units,
)
from ansible_collections.emperor.web.plugins.module_utils._limits import OPTIONS, LimitError, check_limits
from ansible_collections.emperor.web.plugins.module_utils._process import UserError, refuse_person
from ansible_collections.emperor.web.plugins.module_utils._removal import Removal
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_host import KernelError, allow_listen
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import RANGES

ARGUMENTS = {
    "emperors": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "root": {"type": "path"},
            "writable": {"type": "list", "elements": "path", "default": []},
            "hidden": {"type": "list", "elements": "path", "default": []},
            "listen": {"type": "int"},
            "limits": {"type": "dict", "options": OPTIONS},
            "sleep": {"type": "int", "default": 0},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
        },
    },
    "metrics": {"type": "str"},
    "web_group": {"type": "str", "default": "www-data"},
    "retire": {"type": "bool", "default": True},
}


def problem_of(emperors: list[Emperor]) -> str:
    """What is wrong with the input, or with an account that is there; empty where nothing is."""
    for emperor in emperors:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", emperor.name):
            return (
                f"{emperor.name!r} cannot be the name of a user; use a-z, 0-9, _ and -, with a letter first, at most 31"
            )
        for path in [emperor.root or "/", *emperor.writable, *emperor.hidden]:
            if not re.fullmatch(r"/[^\s\"'%\\$]*", path):
                return f"app {emperor.name}: {path!r} has to be absolute, without spaces, quotes, %, $ and backslashes"
        least, most, _what = RANGES["listen"]
        if emperor.listen is not None and not least <= emperor.listen <= most:
            return f"app {emperor.name}: listen is {emperor.listen}; give a number from {least} to {most}"
        if emperor.sleep < 0 or (emperor.sleep and not emperor.root):
            return (
                f"app {emperor.name}: sleep is {emperor.sleep}; give seconds, 0 for always awake, and a root with them"
            )
        if problem := _removal.problem_of(emperor):
            return problem
        try:
            refuse_person(emperor.name)
            check_limits(emperor.limits)
        except (UserError, LimitError) as error:
            return f"app {emperor.name}: {error}"
    names = [emperor.name for emperor in emperors]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"{', '.join(twice)} is given twice; each app has one Emperor" if twice else ""


def retire(present: list[Emperor], gone: list[Removal], dry_run: bool) -> list[str]:
    """Take away what is not wanted any more; what was done, in words."""
    return retire_units(present, dry_run) + [change for removal in gone for change in removal.go(dry_run)]


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Compare, then make what is missing, app by app, and start all units at once."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    options = {"web_group": module.params["web_group"]}
    emperors = [Emperor(**given | options | {"limits": given["limits"] or {}}) for given in module.params["emperors"]]
    address = module.params["metrics"]
    if problem := problem_of(emperors) or _metrics.problem_of(address or ""):
        module.fail_json(msg=problem)
    metrics = _metrics.Metrics(address, options["web_group"]) if address is not None else None
    present = [emperor for emperor in emperors if emperor.state == "present"]
    gone = [Removal(emperor) for emperor in emperors if emperor.state == "absent"]
    changes: list[str] = []
    retiring: list[str] = []
    try:
        texts = [(path, before, content) for one in present for path, content, _mode, before in one.wrong_files()]
        if module.params["retire"]:
            texts += [(path, before, "") for removal in gone for path, before in removal.files()]
        texts += metrics.wrong_files() if metrics else []
        kernel = allow_listen(max((one.listen or 0 for one in present), default=0), module.check_mode)
        texts += kernel
        changes += [path for path, _before, _after in kernel]
        for emperor in present:
            changes += emperor.make_account(module.check_mode) + emperor.make_files(module.check_mode)
        before = limits_in_force(present)
        stale = any(change.startswith("/etc/systemd/") for change in changes)
        units = [emperor.wanted_unit for emperor in present]
        changes += run_units(units, module.check_mode, reload=stale) if units else []
        done, limits, warnings = hold_to_limits(present, module.check_mode, before)
        changes += done
        changes += metrics.settle(module.check_mode) if metrics else []
        if module.params["retire"]:
            changes += retire(present, gone, module.check_mode)
        else:
            retiring = retire(present, gone, dry_run=True)
    except (EmperorError, KernelError, OSError) as error:
        module.fail_json(msg=str(error), changes=changes)
    for warning in warnings:
        module.warn(warning)
    diff = [
        {"before_header": path, "after_header": path, "before": before, "after": after} for path, before, after in texts
    ]
    module.exit_json(changed=bool(changes), changes=changes, retiring=retiring, limits=limits, diff=diff)
