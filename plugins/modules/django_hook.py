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

from ansible_collections.emperor.web.plugins.module_utils._module_django_hook import main

if __name__ == "__main__":
    main()
