#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_hook
short_description: Run commands of your own between the steps of a deployment
version_added: 0.1.0
description:
  - Runs each command with C(/bin/sh), as the app's user, in the folder that has C(manage.py), in exactly the
    environment of the release, which is there but need not be live. C(python) is the one of its virtual environment.
  - The first command that fails fails the module, and with it the deployment. Where the run deploys the release, with
    O(lock=run), the release is marked as failed, as M(emperor.web.uwsgi_vassal) does it.
  - Secrets of the environment are kept out of all that is returned. A command itself is shown, also in the host's list
    of processes, so take secrets from the environment.
  - The role P(emperor.web.django#role) uses it for the C(hooks) of an app.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
  - emperor.web.deploy
attributes:
  idempotent:
    description: Each run runs the commands, so they should be such that running them again does no harm.
    support: none
options:
  name:
    description: Name of the app.
    type: str
    required: true
  root:
    description: Folder of the app. C(/srv/django/) and O(name) unless given.
    type: path
  release:
    description: Id of a finished release, RV(emperor.web.django_release#module:release).
    type: str
    required: true
  step:
    description: Where in the deployment this is; it appears in messages.
    type: str
    choices:
      - before_check
      - after_check
      - before_collectstatic
      - after_collectstatic
      - before_migrate
      - after_migrate
      - before_switch
      - after_switch
    required: true
  commands:
    description: Commands, one after the other.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which one command and all its children are ended.
    type: int
    default: 1800
requirements:
  - The role P(emperor.web.uwsgi#role), which installs the program that takes on a release's environment
"""

EXAMPLES = r"""
- name: Save the database before its schema changes
  emperor.web.django_hook:
    name: shop
    release: "{{ release.release }}"
    step: before_migrate
    commands:
      - python manage.py dumpdata --output "$HOME/before.json"

- name: Fill the caches of a release that is about to go live, for ten minutes at most
  emperor.web.django_hook:
    name: shop
    release: "{{ release.release }}"
    step: before_switch
    commands:
      - python manage.py compile_templates
      - python manage.py warm_cache --quiet
    timeout: 600

- name: Tell the team what is live
  emperor.web.django_hook:
    name: shop
    release: "{{ release.release }}"
    step: after_switch
    commands: ['python manage.py announce "$EMPEROR_REVISION"']
"""

RETURN = r"""
commands:
  description: The commands that were run, each with its status, what it printed and how long it took.
  returned: success, outside check mode
  type: list
  elements: dict
  sample: [{cmd: python manage.py clearcache, rc: 0, stdout: "", stderr: "", seconds: 0.412}]
cmd:
  description: The command that failed.
  returned: when a command fails
  type: str
  sample: python manage.py clearcache
rc:
  description: Its status; negative for the signal that ended it.
  returned: when a command fails
  type: int
  sample: 1
stdout:
  description: What it printed.
  returned: when a command fails
  type: str
  sample: ""
stderr:
  description: What it printed as errors.
  returned: when a command fails
  type: str
  sample: "Unknown command: 'clearcache'"
seconds:
  description: How long the command that failed took.
  returned: when a command fails
  type: float
  sample: 0.412
deploy:
  description: Names this run of Ansible; the same for all its tasks.
  returned: always
  type: str
  sample: 5d41402abc4b2a76
locked_by:
  description: Who has the deploy lock.
  returned: when another run has it
  type: str
  sample: "ann from laptop (pid 4711) since 2026-11-22 12:03:10 UTC, v1.4.2"
"""

import os
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


def main() -> None:
    """Run the commands; in check mode only say which."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
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


if __name__ == "__main__":
    main()
