#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: steps
short_description: Run modules of this collection one after the other, each for several apps, in one task
version_added: 0.1.0
description:
  - Does what a task for each step with a loop over the apps of a host does, in one call, so that the time of a play
    does not grow with each step and each app.
  - Every app has a step done even if another one fails there. The task then ends with what each of these says, and no
    later step begins.
  - Options, check mode and results of each step are those of its module. M(emperor.web.settled) asks in the same way
    whether there is anything to do.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
options:
  steps:
    description: What to do, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the step, that of its results.
        type: str
        required: true
      module:
        description: The module.
        type: str
        choices:
          - django_check
          - django_collectstatic
          - django_hook
          - django_migrate
          - django_processes
          - django_release
          - linked_folders
          - nginx_config
          - system_files
          - tls_certificates
          - uwsgi_emperor
          - uwsgi_pause
          - uwsgi_vassal
        required: true
      options:
        description: Options of the module.
        type: dict
        default: {}
      apps:
        description:
          - For each app, by its name, the options that are its own. They count where O(steps[].options) has the same
            one. Without it the module runs once.
        type: dict
      take:
        description:
          - Return values of earlier steps that this one takes for the options of the same names, by the names of the
            steps. Both are for the same apps.
        type: dict
        default: {}
      only:
        description:
          - A return value for each of some earlier steps, by their names. Apps for which one of these values is
            false or empty are left out.
        type: dict
        default: {}
      parallel:
        description:
          - How many apps are worked on at a time; as many as the host has processors, 4 at most, unless given.
          - With V(1) they are done in their order. A run that has to wait for the deploy lock of an app goes no
            further before it has it, so that no two runs wait for each other.
        type: int
      tolerate:
        description:
          - Whether later steps begin, and the task succeeds, although an app fails; its result has C(failed) and C(msg)
            then.
        type: bool
        default: false
  known:
    description: Results of steps that were done already; set by the action plugin, not for playbooks.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Check two projects
  emperor.web.steps:
    steps:
      - name: check
        module: django_check
        options:
          deploy: true
        apps:
          shop:
            project: /srv/shop
            virtualenv: /srv/shop/.venv
            settings: shop.settings
          blog:
            project: /srv/blog
            virtualenv: /srv/blog/.venv
            settings: blog.settings
            accept:
              - security.W004

- name: Build a release and check it
  emperor.web.steps:
    steps:
      - name: release
        module: django_release
        apps:
          shop:
            name: shop
            source: https://github.com/acme/shop.git
            version: main
      - name: check
        module: django_check
        options:
          deploy: true
        apps:
          shop:
            user: shop
        take:
          release: [project, settings, virtualenv, environment_file, wsgi]
        only:
          release: pending

- name: Collect the static files of one project after the other, on a host with little memory
  emperor.web.steps:
    steps:
      - name: static files
        module: django_collectstatic
        apps: "{{ projects }}"
        parallel: 1
"""

RETURN = r"""
results:
  description:
    - What the modules returned, by the names of the steps.
    - The result of a step with C(apps) has a list C(results), the results of the apps in their order, with C(app), the
      name of the app, and C(took), the seconds it took. Its C(changed) is true when that of one of them is.
    - When the task fails, only those that failed.
  returned: always
  type: dict
  sample:
    check:
      changed: false
      results:
        - app: shop
          took: 0.61
          changed: false
          messages: []
        - app: blog
          took: 0.58
          changed: false
          messages: []
failed_step:
  description: The step that failed, whose result the task has besides.
  returned: when a step fails
  type: str
  sample: check
deploy:
  description: Names this run of Ansible; the same for all its tasks.
  returned: always
  type: str
  sample: 5d41402abc4b2a76
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._steps import (
    Deed,
    run_steps,
    steps_argument,
    steps_given,
)

if TYPE_CHECKING:
    # So that Ansible sends them too; each is loaded when its step begins.
    from ansible_collections.emperor.web.plugins.module_utils import (  # noqa: F401
        _module_django_check,
        _module_django_collectstatic,
        _module_django_hook,
        _module_django_migrate,
        _module_django_processes,
        _module_django_release,
        _module_linked_folders,
        _module_nginx_config,
        _module_system_files,
        _module_tls_certificates,
        _module_uwsgi_emperor,
        _module_uwsgi_pause,
        _module_uwsgi_vassal,
    )

MODULES = [
    "django_check",
    "django_collectstatic",
    "django_hook",
    "django_migrate",
    "django_processes",
    "django_release",
    "linked_folders",
    "nginx_config",
    "system_files",
    "tls_certificates",
    "uwsgi_emperor",
    "uwsgi_pause",
    "uwsgi_vassal",
]

STEP_ARGUMENTS = {
    "only": {"type": "dict", "default": {}},
    "parallel": {"type": "int"},
    "tolerate": {"type": "bool", "default": False},
}


def main() -> None:
    """Do the steps; the action plugin makes one answer of those of the apps of a step."""
    module = AnsibleModule(
        argument_spec={
            "steps": steps_argument(MODULES, STEP_ARGUMENTS),
            # Results of the steps that need not be done again, see the action plugin.
            "known": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    steps, known = steps_given(module, Deed), module.params["known"]
    module.params["known"] = {}
    for step in steps:
        if step.parallel is not None and step.parallel < 1:
            module.fail_json(msg=f"steps: parallel of {step.name} is {step.parallel}; give 1 or more, or leave it out")
    results, ended = run_steps(steps, known)
    for answer in (answer for by_app in results.values() for answer in by_app.values()):
        answer.pop("invocation", None)
    changed = any(answer.get("changed") for by_app in results.values() for answer in by_app.values())
    module.exit_json(changed=changed, by_step=results, ended=ended)


if __name__ == "__main__":
    main()
