#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_release_info
short_description: Tell which releases of an app there are, which one is live, and how it is
version_added: 0.1.0
description:
  - Reads what M(emperor.web.django_release) and M(emperor.web.uwsgi_vassal) left on the host, and asks the app's
    Emperor and its vassals what they do.
  - Changes nothing. An app that was never deployed is reported as one without releases.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: none
options:
  name:
    description: Names of the apps, one or several.
    type: list
    elements: str
    required: true
  root:
    description: Folder that has a folder for each app.
    type: path
    default: /srv/django
  run_directory:
    description: Folder that has a folder with the sockets of each app.
    type: path
    default: /run/emperor
  history:
    description: How many of the last entries of each app's history to return; V(0) for none.
    type: int
    default: 10
  health:
    description:
      - How to ask the live releases whether they are well, by the app's name. Each may have C(host), V(localhost)
        unless given, C(script_name), the path below which the app is, empty, C(path), V(/), C(status),
        V(200-399,401,403), C(https), V(false), and C(timeout) in seconds, V(10).
      - An app that is not named here is not asked.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Find out what is live
  emperor.web.django_release_info:
    name: [shop, blog]
    health:
      shop:
        host: shop.example.com
        path: /healthz
  register: info

- name: Wait until a worker has time
  emperor.web.django_release_info:
    name: shop
    history: 0
  register: info
  until: info.apps[0].vassals | sum(attribute='busy') < info.apps[0].vassals | sum(attribute='workers')
  retries: 10
  delay: 1

- name: Read the whole history of an app that is elsewhere
  emperor.web.django_release_info:
    name: shop
    root: /data/django
    history: 100000
"""

RETURN = r"""
apps:
  description: What is known of each app, in the order of O(name).
  returned: success
  type: list
  elements: dict
  sample: [{name: shop, live: 3f2a9c1b-7d04e6aa, previous: 9e107d9d-372bb682, since: "2026-11-22T20:15:03Z"}]
  contains:
    name:
      description: Name of the app.
      type: str
      sample: shop
    root:
      description: Folder of the app.
      type: str
      sample: /srv/django/shop
    live:
      description: Id of the live release, empty where none is.
      type: str
      sample: 3f2a9c1b-7d04e6aa
    revision:
      description: Commit or digest that the live release was built from.
      type: str
      sample: 3f2a9c1b5d7e8f90112233445566778899aabbcc
    version:
      description: Branch or tag that the live release was built from.
      type: str
      sample: v1.4.2
    since:
      description: When the live release went live last, ISO 8601 in UTC.
      type: str
      sample: "2026-11-22T20:15:03Z"
    by:
      description: Who put it live.
      type: str
      sample: ann
    previous:
      description: Id of the release that was live before it, empty where none was. It may be gone by now.
      type: str
      sample: 9e107d9d-372bb682
    migrations:
      description: The migrations that were applied, or undone, by the run that made the release live.
      type: list
      elements: str
      sample: [shop.0009_item_colour]
    asleep:
      description: Whether nothing of the app runs until the next request, see M(emperor.web.uwsgi_emperor).
      type: bool
      sample: false
    maintenance:
      description: Whether the site is closed to visitors.
      type: bool
      sample: false
    lock:
      description: What a deploy that runs wrote about itself; empty when none runs.
      type: dict
      sample: {}
    releases:
      description:
        - The finished releases, newest first, with the options that other modules want for them.
        - C(was_live) says that it became live at least once, according to the app's history, so it has passed all that
          a deployment asks of a release.
        - C(failed) says that it did not get live, or did not stay it, when that was last tried; its C(failed.json) says
          why.
      type: list
      elements: dict
      sample:
        - app: shop
          release: 3f2a9c1b-7d04e6aa
          live: true
          was_live: true
          failed: false
          revision: 3f2a9c1b5d7e8f90112233445566778899aabbcc
          version: v1.4.2
          created: "2026-11-22T20:14:40Z"
          path: /srv/django/shop/releases/3f2a9c1b-7d04e6aa
          project: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src
          virtualenv: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/venv
          environment_file: /srv/django/shop/releases/3f2a9c1b-7d04e6aa/env
          settings: shop.settings
          wsgi: shop.wsgi:application
    vassals:
      description:
        - The vassals that the app's Emperor runs. C(workers) are processes, C(busy) those that work on a request,
          C(waiting) the connections that no worker has accepted yet.
      type: list
      elements: dict
      sample:
        - release: 3f2a9c1b-7d04e6aa
          answers: true
          pid: 4711
          respawns: 0
          workers: 4
          busy: 1
          paused: false
          waiting: 0
    processes:
      description:
        - The processes of M(emperor.web.django_processes). C(state) is V(running), V(starting), V(restarting) while one
          that has died waits to be started again, V(stopping), V(stopped) or V(failed); C(since) is when the one that
          runs was started, C(restarts) how often systemd had to start it again, C(ended) how the last one ended.
      type: list
      elements: dict
      sample:
        - name: worker
          unit: "django@shop:worker.service"
          release: 3f2a9c1b-7d04e6aa
          state: running
          since: "2026-11-22T20:15:05Z"
          pid: 4720
          restarts: 0
          ended: ""
    timers:
      description:
        - The timers of M(emperor.web.django_processes). C(last) is when the job was started last, C(running) whether it
          still runs, C(failed) whether it failed, and C(ended) how it ended, which systemd knows until the host is
          started again; C(next) is when it is due.
      type: list
      elements: dict
      sample:
        - name: clearsessions
          unit: "django@shop:clearsessions.timer"
          schedule: [daily]
          running: false
          last: "2026-11-22T00:00:00Z"
          ended: ended with status 0
          failed: false
          next: "2026-11-23T00:00:00Z"
    history:
      description: The last entries of the app's history, oldest first.
      type: list
      elements: dict
      sample:
        - time: "2026-11-22T20:15:03Z"
          action: release
          release: 3f2a9c1b-7d04e6aa
          previous: 9e107d9d-372bb682
          version: v1.4.2
          revision: 3f2a9c1b5d7e8f90112233445566778899aabbcc
          by: ann
          migrations: [shop.0009_item_colour]
          result: live
          seconds: {start: 2.104, publish: 0.01, switch: 0.001, confirm: 0.012}
    health:
      description:
        - What the live release answered, C(status) is 0 for no answer; empty unless O(health) has the app, and it is
          awake.
      type: dict
      sample: {healthy: true, status: 200, problem: "", seconds: 0.012}
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._health import SwitchError, parse_statuses
from ansible_collections.emperor.web.plugins.module_utils._info import AppInfo
from ansible_collections.emperor.web.plugins.module_utils._processes import ProcessesError

ARGUMENTS = {
    "name": {"type": "list", "elements": "str", "required": True},
    "root": {"type": "path", "default": "/srv/django"},
    "run_directory": {"type": "path", "default": "/run/emperor"},
    "history": {"type": "int", "default": 10},
    "health": {"type": "dict", "default": {}},
}
QUESTION = {
    "host": "localhost",
    "script_name": "",
    "path": "/",
    "status": "200-399,401,403",
    "https": False,
    "timeout": 10,
}


def question_of(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """A question with what it leaves out."""
    unknown = sorted(set(given) - set(QUESTION))
    if unknown:
        raise SwitchError(f"health of {name} has {unknown[0]}; what it may have is {', '.join(QUESTION)}")
    asked: dict[str, Any] = QUESTION | {key: value for key, value in given.items() if value is not None}
    return asked | {"status": parse_statuses(str(asked["status"])), "timeout": float(asked["timeout"])}


def main() -> None:
    """Look at each app."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    wrong = [name for name in params["name"] if not re.fullmatch(r"[a-z][a-z0-9-]*", name)]
    if wrong:
        module.fail_json(msg=f"{wrong[0]!r} is no name of an app; write it as django_apps does")
    if params["history"] < 0:
        module.fail_json(msg=f"history is {params['history']}; give a number of entries, 0 or more")
    try:
        questions = {name: question_of(name, given or {}) for name, given in params["health"].items()}
        found = [
            AppInfo(name, params["root"], params["run_directory"]).report(params["history"], questions.get(name))
            for name in params["name"]
        ]
    except (SwitchError, ProcessesError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"the releases cannot be read: {error}; the module has to run as root (become: true)")
    module.exit_json(changed=False, apps=found)


if __name__ == "__main__":
    main()
