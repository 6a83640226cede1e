#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_rollback
short_description: Put an earlier release of an app live again
version_added: 0.1.0
description:
  - Goes to the release that was live before, or to one that O(release) names. Nothing is built. The release has to
    start, as M(emperor.web.django_check) asks without O(emperor.web.django_check#module:deploy), and then to answer
    well before it gets the traffic, as with M(emperor.web.uwsgi_vassal), which moves it without O(ignore:settle) and
    O(ignore:probation). If anything is wrong, the live release stays.
  - Only a release that was live is gone back to, because a deployment has asked all of it. One that has failed since
    then has to be named.
  - The database stays as it is, unless O(migrations) is set. Migrations that the release does not know are returned in
    RV(unknown); a release that has some which the database lacks is refused.
  - The deploy lock of the app is held from the check to the end. In check mode nothing is locked or changed, and what
    would be done is asked of the release and of the database as far as that is possible.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
  - emperor.web.deploy
  - emperor.web.vassal
attributes:
  idempotent:
    description: A second run without O(release) comes back, as the release that was live before is another one then.
    support: partial
    details: With O(release) a second run is refused, because that release is live already.
options:
  release:
    description: Id of the release, the start of it, or its version; the one that was live before unless given.
    type: str
    default: ""
  migrations:
    description:
      - Undo the migrations that the release does not know, before it goes live and with the code of the live release,
        which meanwhile runs without them. Apply those that it has and the database lacks.
      - Should the release not get live then, the migrations of the live one are applied again. What was in their
        columns is gone.
    type: bool
    default: false
  allow:
    description:
      - Migrations that may destroy data or break running code, each as C(app.migration_name), or V(all), see
        O(emperor.web.django_migrate#module:allow). To undo a migration mostly destroys what it made.
    type: list
    elements: str
    default: []
  migrate_timeout:
    description: Seconds after which to undo the migrations, or to apply them, is given up.
    type: int
    default: 600
  units:
    description:
      - The processes and timers of the app, an entry of O(emperor.web.django_processes#module:apps). They are taken to
        the release when it is live. Without it they are left alone.
    type: dict
"""

EXAMPLES = r"""
- name: Go back to the release that was live before
  emperor.web.django_rollback:
    name: shop
    host: shop.example.com
    health_path: /healthz
    confirm: http://127.0.0.1/

- name: See where an app would go, and what its database has that the release does not know
  emperor.web.django_rollback:
    name: shop
  check_mode: true
  register: back # back.release, back.unknown

- name: Go back to a version, take a migration back with it, and its worker too
  emperor.web.django_rollback:
    name: shop
    release: v1.4.1
    host: shop.example.com
    migrations: true
    allow:
      - shop.0009_item_colour
    units:
      name: shop
      writable: [/srv/django/shop/shared]
      processes:
        worker: celery -A shop worker
"""

RETURN = r"""
release:
  description: Id of the release that is live now, or would be.
  returned: when it was found
  type: str
  sample: 9e107d9d-372bb682
version:
  description: Branch or tag that it was built from, empty where it was none.
  returned: when it was found
  type: str
  sample: v1.4.1
previous:
  description: Id of the release that was live before.
  returned: when it was found
  type: str
  sample: 3f2a9c1b-7d04e6aa
unknown:
  description: Migrations that the database has and the release does not know; without those that O(migrations) undoes.
  returned: success
  type: list
  elements: str
  sample: [shop.0009_item_colour]
migrated:
  description: Migrations that were undone or applied, or would be in check mode, as the app's history has them.
  returned: success
  type: list
  elements: str
  sample: [shop.0009_item_colour (undone)]
changes:
  description: What was changed of the processes and timers, or would be in check mode; empty without O(units).
  returned: success
  type: list
  elements: str
  sample: ["django@shop:worker.service written", "django@shop:worker.service restarted"]
summary:
  description: What is live now, in sentences for people.
  returned: success
  type: list
  elements: str
  sample:
    - "shop: release 9e107d9d-372bb682 v1.4.1 is live again after 2.1 s"
    - before it was 3f2a9c1b-7d04e6aa v1.4.2; the next deploy goes to what the inventory says
served:
  description: Id of the release that answers now, RV(emperor.web.uwsgi_vassal#module:served).
  returned: outside check mode, when the traffic was moved, or could not be
  type: str
  sample: 9e107d9d-372bb682
seconds:
  description: Seconds that each step of the switch took; steps that were not taken are left out.
  returned: outside check mode, when the traffic was moved, or could not be
  type: dict
  sample:
    preflight: 0.01
    stop: 0.2
    start: 2.1
    settle: 0.0
    publish: 0.1
    switch: 0.001
    confirm: 0.01
    probation: 0.0
    retire: 1.0
step:
  description: Step of the switch that failed, one of those in RV(seconds).
  returned: when the traffic could not be moved
  type: str
  sample: start
log:
  description: The last lines that the app's Emperor and its vassals wrote.
  returned: when the traffic could not be moved
  type: list
  elements: str
  sample: ["ModuleNotFoundError: No module named 'shop.wsgi'"]
units:
  description: The units that did not stay up.
  returned: when a process fails
  type: list
  elements: str
  sample: ["django@shop:worker.service"]
traceback:
  description: The exception that Django raised.
  returned: when a migration failed or the project does not start
  type: str
  sample: "Traceback (most recent call last): ..."
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
import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._django_rollback import RollbackError, choose, live_of
from ansible_collections.emperor.web.plugins.module_utils._django_rollback_parts import SWITCH, Failed, Rollback
from ansible_collections.emperor.web.plugins.module_utils._health import SwitchError
from ansible_collections.emperor.web.plugins.module_utils._info import choices, read_history
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS, VARIABLE, locked
from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_vassal import VASSAL, check
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

ARGUMENTS = (
    LOCK_ARGUMENTS
    | VASSAL
    | {
        "release": {"type": "str", "default": ""},
        "migrations": {"type": "bool", "default": False},
        "allow": {"type": "list", "elements": "str", "default": []},
        "migrate_timeout": {"type": "int", "default": 600},
        "units": {"type": "dict"},
    }
)


def main() -> None:
    """Choose, and go there."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    name, root = module.params["name"], module.params["root"] or f"/srv/django/{module.params['name']}"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        module.fail_json(msg=f"{name!r} is no name of an app; write it as django_apps does")
    try:
        check(module.params | SWITCH)
        layout = Layout(root)
        found = choices(name, layout, read_history(layout.log))
        target = choose(found, module.params["release"])
        live = live_of(found)
    except SwitchError as error:
        module.fail_json(msg=f"app {name}: {error}")
    except (RollbackError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"the releases cannot be read: {error}; the module has to run as root (become: true)")
    releases = {"release": target["release"], "version": target["version"], "previous": live["release"]}
    # The check is no step of a deployment, of which a failure would be noted.
    os.environ.pop(VARIABLE, None)
    with locked(module, root, what=target["release"]) as holder:
        rollback = Rollback(module, target, live, holder)
        try:
            rollback.go()
        except Failed as failure:
            module.fail_json(msg=str(failure), changed=rollback.changed, **(releases | rollback.told | failure.told))
    module.exit_json(changed=rollback.changed, diff=rollback.diffs, **releases, **rollback.told)


if __name__ == "__main__":
    main()
