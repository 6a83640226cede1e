# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.uwsgi_vassal) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._health import SwitchError, parse_statuses
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS, Holder, locked
from ansible_collections.emperor.web.plugins.module_utils._outcome import noted_migrations
from ansible_collections.emperor.web.plugins.module_utils._process import UserError
from ansible_collections.emperor.web.plugins.module_utils._switch import Switch
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

# Where the app is, and how a release is asked.
VASSAL: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "root": {"type": "path"},
    "vassals": {"type": "path"},
    "run_directory": {"type": "path"},
    "unit": {"type": "str"},
    "host": {"type": "str", "default": "localhost"},
    "script_name": {"type": "str", "default": ""},
    "health_path": {"type": "str", "default": "/"},
    "health_status": {"type": "str", "default": "200-399,401,403"},
    "health_text": {"type": "str"},
    "health_count": {"type": "int", "default": 3},
    "https": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
    "confirm": {"type": "str"},
    "overlap": {"type": "bool", "default": True},
    "drain": {"type": "int", "default": 60},
}
ARGUMENTS = (
    LOCK_ARGUMENTS
    | VASSAL
    | {
        "release": {"type": "str", "required": True},
        "settle": {"type": "int", "default": 6},
        "probation": {"type": "int", "default": 0},
        "probation_errors": {"type": "int", "default": 3},
        "access_log": {"type": "path", "default": "/var/log/nginx/access.log"},
        "action": {"type": "str", "choices": ["release", "rollback"], "default": "release"},
        "migrations": {"type": "list", "elements": "str", "default": []},
    }
)


# The least that a number may be.
LEAST = {"health_count": 1, "settle": 0, "timeout": 1, "probation": 0, "probation_errors": 1, "drain": 0}


def check(options: dict) -> None:
    """Refuse values that mean nothing."""
    parse_statuses(options["health_status"])
    for name, least in LEAST.items():
        if options[name] < least:
            raise SwitchError(f"{name} is {options[name]}, it has to be {least} or more")
    if options["script_name"] and not re.fullmatch(r"(/[^/\s]+)+", options["script_name"]):
        raise SwitchError(f"script_name: {options['script_name']!r} is no path; write for example /shop")
    if not options["health_path"].startswith("/"):
        raise SwitchError(f"health_path: {options['health_path']!r} is no path; write for example /healthz")


def switched(module: AnsibleModule, switch: Switch, holder: Holder) -> dict:
    """Compare what is live with what is wanted, and switch when they differ."""
    switch.by = holder.by
    noted = noted_migrations(switch.layout, switch.release, holder)
    switch.options["migrations"] = list(dict.fromkeys([*noted, *module.params["migrations"]]))
    before = switch.layout.live() or ""
    changed = switch.needed()
    report = {"release": switch.release, "previous": before, "changed": changed}
    if changed:
        report["diff"] = {"before": f"live: {before or 'none'}\n", "after": f"live: {switch.release}\n"}
    if not module.check_mode:
        report |= switch.go() if changed else switch.confirm_live()
    return report


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Do it under the app's deploy lock."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    app = module.params["name"]
    try:
        check(module.params)
        switch = Switch(module.params)
    except SwitchError as error:
        module.fail_json(msg=f"app {app}: {error}")
    try:
        with locked(module, switch.layout.root, what=module.params["release"]) as holder:
            report = switched(module, switch, holder)
    except (SwitchError, UwsgiError, UserError, OSError) as error:
        for warning in switch.warnings:
            module.warn(warning)
        state = {"served": switch.served(), "seconds": switch.seconds, "step": switch.step}
        module.fail_json(msg=f"app {app}: {error}", log=getattr(error, "log", []), **state)
    for warning in switch.warnings:
        module.warn(warning)
    module.exit_json(**report)
