#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: each
short_description: Run a module of this collection for several apps in one task
version_added: 0.1.0
description:
  - Does what a loop over the apps of a host does, in one call, so that the time of a play does not grow with each app.
  - Every app is done even if another one fails. The task then fails with what each of these says.
  - For an app each option, result and message is that of the module.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
options:
  module:
    description: The module to run.
    type: str
    choices: [django_check, django_collectstatic, django_migrate, django_release, uwsgi_vassal]
    required: true
  options:
    description: Options of the module for all apps.
    type: dict
    default: {}
  apps:
    description: For each app, by its name, the options that are its own. They count where O(options) has the same one.
    type: dict
    required: true
  parallel:
    description:
      - How many apps are worked on at a time; as many as the host has processors, 4 at most, unless given.
      - With V(1) they are done in their order. A run that has to wait for the deploy lock of an app goes no further
        before it has it, so that no two runs wait for each other.
    type: int
  tolerate:
    description:
      - Whether the task succeeds although an app fails; its result has C(failed) and C(msg) then.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Check two projects
  emperor.web.each:
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

- name: Remove old releases of all apps
  emperor.web.each:
    module: django_release
    options:
      state: pruned
      keep: 2
    apps: "{{ dict(['shop', 'blog'] | zip([{'name': 'shop'}, {'name': 'blog'}])) }}"
    parallel: 1

- name: Collect the static files of one project after the other, on a host with little memory
  emperor.web.each:
    module: django_collectstatic
    apps: "{{ projects }}"
    parallel: 1
"""

RETURN = r"""
results:
  description:
    - What the module returns for each app, in their order, with C(app), its name, and C(took), the seconds it took.
      RV(ignore:changed) is true when it is for one of them.
    - When the task fails, only those of the apps that do.
  returned: always
  type: list
  elements: dict
  sample:
    - app: shop
      took: 0.61
      changed: false
      messages: []
    - app: blog
      took: 0.58
      changed: false
      messages: []
"""

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._each import run_each, usual_parallel

MODULES = ["django_check", "django_collectstatic", "django_migrate", "django_release", "uwsgi_vassal"]


def main_of(module: str) -> Callable[..., None]:
    """What a module does; only its own parts are loaded."""
    if module == "django_check":
        from ansible_collections.emperor.web.plugins.module_utils._module_django_check import main
    elif module == "django_collectstatic":
        from ansible_collections.emperor.web.plugins.module_utils._module_django_collectstatic import main
    elif module == "django_migrate":
        from ansible_collections.emperor.web.plugins.module_utils._module_django_migrate import main
    elif module == "django_release":
        from ansible_collections.emperor.web.plugins.module_utils._module_django_release import main
    else:
        from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_vassal import main
    # They load it when they meet a release; loaded here, it is compiled once and not in each app's process.
    from ansible_collections.emperor.web.plugins.module_utils import _outcome  # noqa: F401

    return main


def main() -> None:
    """Run the module for each app; the action plugin makes one answer of theirs."""
    module = AnsibleModule(
        argument_spec={
            "module": {"type": "str", "choices": MODULES, "required": True},
            # Each app's module logs its own options, and knows which of them are secret.
            "options": {"type": "dict", "default": {}, "no_log": True},
            "apps": {"type": "dict", "required": True, "no_log": True},
            "parallel": {"type": "int"},
            "tolerate": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    # Results are without secrets already; these are all values, the harmless ones too.
    module.no_log_values.clear()
    options, apps = module.params["options"], module.params["apps"]
    # What is returned as the invocation, too.
    module.params |= {"options": {}, "apps": {}}
    wrong = [app for app, own in apps.items() if not isinstance(own, dict)]
    if wrong:
        module.fail_json(msg=f"apps: the options of {wrong[0]} are no dictionary")
    parallel = module.params["parallel"]
    if parallel is None:
        parallel = usual_parallel()
    if parallel < 1:
        module.fail_json(msg=f"parallel is {parallel}; give 1 or more, or leave it out")
    name = module.params["module"]
    calls = {app: options | own for app, own in apps.items()}
    results = run_each(f"emperor.web.{name}", main_of(name), calls, parallel)
    module.params["apps"] = {app: result.pop("invocation", {}).get("module_args") for app, result in results.items()}
    changed = any(result.get("changed") for result in results.values())
    module.exit_json(changed=changed, by_app=results, tolerate=module.params["tolerate"])


if __name__ == "__main__":
    main()
