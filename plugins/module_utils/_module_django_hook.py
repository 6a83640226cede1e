# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.django_hook) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._environment import (
    EnvironmentFileError,
    read_file,
    secret_values,
)
from ansible_collections.emperor.web.plugins.module_utils._hooks import STEPS, HookError, run_hooks
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS, locked
from ansible_collections.emperor.web.plugins.module_utils._outcome import failed_before_switch
from ansible_collections.emperor.web.plugins.module_utils._release import LAUNCHER, Layout

ARGUMENTS = LOCK_ARGUMENTS | {
    "name": {"type": "str", "required": True},
    "root": {"type": "path"},
    "release": {"type": "str", "required": True},
    "step": {"type": "str", "choices": list(STEPS), "required": True},
    "commands": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 1800},
}


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Run the commands; in check mode only say which."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    name, release, step, commands = (module.params[option] for option in ("name", "release", "step", "commands"))
    result: dict[str, Any] = {"changed": bool(commands)}
    if commands:
        result["diff"] = {"before": "", "after": "".join(f"{step}: {command}\n" for command in commands)}
    if module.check_mode:
        module.exit_json(**result)
    layout = Layout(module.params["root"] or f"/srv/django/{name}")
    if not layout.manifest(release):
        module.fail_json(
            msg=f"app {name}: release {release} does not exist or was never finished; build it with django_release"
        )
    if not os.path.exists(LAUNCHER):
        module.fail_json(
            msg=f"app {name}: {LAUNCHER} does not exist; use the role emperor.web.uwsgi on this host first"
        )
    environment_file = os.path.join(layout.release(release), "env")
    try:
        module.no_log_values |= secret_values(read_file(environment_file))
        with locked(module, layout.root, what=release):
            result["commands"] = run_hooks(
                commands,
                step=step,
                root=layout.root,
                folder=layout.release(release),
                timeout=module.params["timeout"],
            )
    except EnvironmentFileError as error:
        module.fail_json(msg=f"app {name}: {error}")
    except HookError as error:
        failed_before_switch(
            module,
            environment_file,
            step=step,
            reason=str(error),
            seconds={step: error.report["seconds"]},
        )
        live = f"; release {release} is live already" if layout.live() == release else f"; {release} does not go live"
        module.fail_json(msg=f"app {name}: {error}{live}", changed=True, **error.report)
    module.exit_json(**result)
