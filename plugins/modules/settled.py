#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settled
short_description: Tell in one task whether several modules of this collection would change a host
version_added: 0.1.0
description:
  - Most of the time of a play that has nothing to do goes into bringing each task to the host. This module brings all
    of them at once, runs each in check mode, those that do not wait for one another side by side, and stops at the
    first that would change something or fail. The play then does its tasks; where all is as it should be, it can skip
    them.
  - It does not fail when a module does; RV(differs) says why, and the task itself will. That is different for a step
    that is O(steps[].required).
  - Options, checks and results of each step are those of its module.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
attributes:
  diff_mode:
    support: none
options:
  steps:
    description: What to compare, in an order in which each can wait for those before it.
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
          - django_processes
          - django_release
          - host_info
          - linked_folders
          - nginx_config
          - system_files
          - system_locale
          - tls_certificates
          - uwsgi_emperor
          - uwsgi_vassal
        required: true
      options:
        description: Options of the module.
        type: dict
        default: {}
      apps:
        description:
          - For each app, by its name, the options that are its own, as for M(emperor.web.steps). Without it the module
            runs once.
        type: dict
      after:
        description: Steps that have to be found as they should be before this one begins.
        type: list
        elements: str
        default: []
      take:
        description:
          - Return values of other steps that this one takes for the options of the same names, by the names of the
            steps. It begins after them. Both are for the same apps.
        type: dict
        default: {}
      verify:
        description:
          - Whether the module runs for real, unless the task is in check mode, when it would change nothing. It is for
            modules that see to it that what they leave works, as M(emperor.web.uwsgi_vassal) does.
        type: bool
        default: false
      required:
        description:
          - Whether the step runs even where something differs already, and the task fails when it does. It is for what
            has to be refused before anything is changed.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Ask whether the locale and the units of a host are as they should be
  emperor.web.settled:
    steps:
      - name: locale
        module: system_locale
        options:
          default: de_DE.UTF-8
      - name: units
        module: system_files
        options:
          files: "{{ my_units }}"
          reload: systemctl daemon-reload
  register: host # so that tasks can be done when: not host.settled

- name: Find drift, in a job that runs each night
  emperor.web.settled:
    steps:
      - name: nginx
        module: nginx_config
        options:
          files: "{{ my_sites }}"
  register: drift
  failed_when: not drift.settled

- name: Ask whether what is on a branch is live, migrated and well
  emperor.web.settled:
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
          foresee: [migrate, collectstatic]
        apps:
          shop:
            user: shop
        take:
          release: [project, settings, virtualenv, environment_file, wsgi]
      - name: live
        module: uwsgi_vassal
        verify: true
        apps:
          shop:
            name: shop
            host: shop.example.com
        take:
          release: [release]
"""

RETURN = r"""
settled:
  description: Whether no step would change anything or fail.
  returned: always
  type: bool
  sample: false
differs:
  description: What is not as it should be, as far as it was looked for; empty where RV(settled).
  returned: always
  type: list
  elements: str
  sample: ["release of app shop: would be put live"]
deploy:
  description: Names this run of Ansible; the same for all its tasks.
  returned: always
  type: str
  sample: 5d41402abc4b2a76
results:
  description:
    - What the modules returned, by the names of the steps; without the steps of which one call failed or was not made.
    - The result of a step with C(apps) has a list C(results), as that of M(emperor.web.steps).
  returned: always
  type: dict
  sample:
    host:
      changed: false
      took: 0.05
      system: {id: ubuntu, name: Ubuntu, version: "24.04"}
      systemd: true
      packages: [adduser, apt, zlib1g]
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._each import told, usual_parallel
from ansible_collections.emperor.web.plugins.module_utils._settled import Comparison, Question
from ansible_collections.emperor.web.plugins.module_utils._steps import main_of, steps_argument, steps_given

if TYPE_CHECKING:
    # So that Ansible sends them too; each is loaded when its step begins.
    from ansible_collections.emperor.web.plugins.module_utils import (  # noqa: F401
        _module_django_check,
        _module_django_processes,
        _module_django_release,
        _module_host_info,
        _module_linked_folders,
        _module_nginx_config,
        _module_system_files,
        _module_system_locale,
        _module_tls_certificates,
        _module_uwsgi_emperor,
        _module_uwsgi_vassal,
    )

MODULES = [
    "django_check",
    "django_processes",
    "django_release",
    "host_info",
    "linked_folders",
    "nginx_config",
    "system_files",
    "system_locale",
    "tls_certificates",
    "uwsgi_emperor",
    "uwsgi_vassal",
]

STEP_ARGUMENTS = {
    "after": {"type": "list", "elements": "str", "default": []},
    "verify": {"type": "bool", "default": False},
    "required": {"type": "bool", "default": False},
}


def main() -> None:
    """Compare; the action plugin makes one answer of those of the apps of a step."""
    module = AnsibleModule(argument_spec={"steps": steps_argument(MODULES, STEP_ARGUMENTS)}, supports_check_mode=True)
    steps = steps_given(module, Question)
    comparison = Comparison(steps, main_of, check_mode=module.check_mode, parallel=usual_parallel())
    comparison.run()
    if comparison.refusals:
        more = comparison.refusals[0][1] if len(comparison.refusals) == 1 else {}
        said = {name: more[name] for name in ("cmd", "rc", "stdout", "stderr") if name in more}
        module.fail_json(msg="; ".join(told(app, str(result["msg"])) for app, result in comparison.refusals), **said)
    module.exit_json(changed=comparison.acted, differs=comparison.differs, by_step=comparison.results)


if __name__ == "__main__":
    main()
