#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: uwsgi_emperor
short_description: Run an unprivileged uWSGI Emperor for each app
version_added: 0.1.0
description:
  - Makes for all apps at once a system user and group, the folder of vassals, what the unit of the app says besides the
    template C(uwsgi-emperor@.service), and a command C(<app>-manage); then starts the Emperors, now and at boot.
  - A running Emperor is never restarted, because that would interrupt its app. What changes in its unit takes effect at
    the next boot, or when you restart it.
  - The template and the programs that it starts come from the role P(emperor.web.uwsgi#role).
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  emperors:
    description: The apps.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the app, its user and its group. A user who can log in is refused, because it belongs to a person.
        type: str
        required: true
      root:
        description:
          - Folder of the app, which has the link C(current) to the live release. An Emperor that starts then runs that
            release only, and not what a killed deploy has left; C(<app>-manage) runs C(manage.py) of it; and
            C(shared) below it is the user's home. Every vassal is started unless given.
        type: path
      writable:
        description:
          - Folders that the app may write to, besides its socket folder and C(/tmp), which is its own. One that is
            missing is made, for this app alone; one that is there keeps its owner and mode.
        type: list
        elements: path
        default: []
"""

EXAMPLES = r"""
- name: Run the Emperors of two apps
  emperor.web.uwsgi_emperor:
    emperors:
      - name: shop
        root: /srv/django/shop
        writable: [/srv/django/shop/shared]
      - name: blog
        root: /srv/django/blog

- name: Run one for vassals of your own
  emperor.web.uwsgi_emperor:
    emperors:
      - name: wiki
        writable: [/var/lib/wiki]

- name: Show what would be changed
  emperor.web.uwsgi_emperor:
    emperors: "{{ my_emperors }}"
  check_mode: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [user shop created, /etc/uwsgi/emperor/shop, uwsgi-emperor@shop.service started]
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor, EmperorError, run_units
from ansible_collections.emperor.web.plugins.module_utils._process import UserError, refuse_person

ARGUMENTS = {
    "emperors": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "root": {"type": "path"},
            "writable": {"type": "list", "elements": "path", "default": []},
        },
    },
}


def problem_of(emperors: list[Emperor]) -> str:
    """What is wrong with the input, or with an account that is there; empty where nothing is."""
    for emperor in emperors:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", emperor.name):
            return (
                f"{emperor.name!r} cannot be the name of a user; use a-z, 0-9, _ and -, with a letter first, at most 31"
            )
        for path in [emperor.root or "/", *emperor.writable]:
            if not re.fullmatch(r"/[^\s\"'%\\$]*", path):
                return f"app {emperor.name}: {path!r} has to be absolute, without spaces, quotes, %, $ and backslashes"
        try:
            refuse_person(emperor.name)
        except UserError as error:
            return f"app {emperor.name}: {error}"
    names = [emperor.name for emperor in emperors]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"{', '.join(twice)} is given twice; each app has one Emperor" if twice else ""


def main() -> None:
    """Compare, then make what is missing, app by app, and start all units at once."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    emperors = [Emperor(**options) for options in module.params["emperors"]]
    if problem := problem_of(emperors):
        module.fail_json(msg=problem)
    diff = [
        {"before_header": path, "after_header": path, "before": before, "after": content}
        for emperor in emperors
        for path, content, _mode, before in emperor.wrong_files()
    ]
    changes: list[str] = []
    units = [emperor.unit for emperor in emperors]
    try:
        for emperor in emperors:
            changes += emperor.make_account(module.check_mode) + emperor.make_files(module.check_mode)
        stale = any(change.startswith("/etc/systemd/") for change in changes)
        changes += run_units(units, module.check_mode, reload=stale) if units else []
    except (EmperorError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
