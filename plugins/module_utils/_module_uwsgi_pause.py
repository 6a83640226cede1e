# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.uwsgi_pause) does, for itself and for M(emperor.web.steps)."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _sleep
from ansible_collections.emperor.web.plugins.module_utils._pause import Pause, PauseError
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["paused", "running"], "default": "paused"},
    "seconds": {"type": "int", "default": 30},
    "drain": {"type": "int", "default": 10},
    "root": {"type": "path"},
    "run_directory": {"type": "path"},
}


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Pause the app, or let it go on."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    name, wanted = params["name"], params["state"] == "paused"
    if not 1 <= params["seconds"] <= 45:
        module.fail_json(msg=f"seconds is {params['seconds']}; give 1 to 45, because visitors wait that long")
    if not 0 < params["drain"] <= params["seconds"]:
        module.fail_json(msg=f"drain is {params['drain']}; give 1 to {params['seconds']}, which is seconds")
    release = Layout(params["root"] or f"/srv/django/{name}").live() or ""
    if not release:
        module.fail_json(msg=f"app {name}: no release is live, so there is nothing to pause; deploy it first")
    run_directory = params["run_directory"] or f"/run/emperor/{name}"
    pause = Pause(name, os.path.dirname(run_directory))
    try:
        changed = pause.is_paused() != wanted
        if changed and not module.check_mode:
            if wanted:
                _sleep.wake(name, run_directory, release)
                pause.start(os.path.join(run_directory, f"{release}.stats"), params["seconds"], params["drain"])
            else:
                pause.end()
                pause.disarm()
    except (PauseError, OSError, KeyError) as error:
        module.fail_json(msg=f"app {name}: {error}")
    module.exit_json(changed=changed, release=release)
