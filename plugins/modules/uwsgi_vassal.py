#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: uwsgi_vassal
short_description: Run a release under the uWSGI Emperor and move the traffic to it
version_added: 0.1.0
description:
  - Starts the release as a second vassal beside the live one, on a socket of its own, and asks it over the uwsgi
    protocol for O(health_path) until it answers as it should. Then one rename points C(current) at the release.
    Nginx connects to C(current/live.sock), so that rename moves the traffic, without a reload.
  - A release that does not answer is stopped again. The live one is not touched before the new one has answered.
  - With O(confirm) the web server is asked which release answers; if it is not the new one, the rename is undone.
  - The vassal before is stopped when it has nothing in flight any more. The Emperor is never restarted.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  name:
    description: Name of the app.
    type: str
    required: true
  release:
    description: Id of a finished release, RV(emperor.web.django_release#module:release).
    type: str
    required: true
  root:
    description: Folder of the app. C(/srv/django/) and O(name) unless given.
    type: path
  vassals:
    description: Folder that the app's Emperor watches. C(/etc/uwsgi/emperor/) and O(name) unless given.
    type: path
  run_directory:
    description: Folder of the app's sockets. C(/run/emperor/) and O(name) unless given.
    type: path
  unit:
    description: Systemd unit of the app's Emperor. C(uwsgi-emperor@) and O(name) unless given.
    type: str
  host:
    description: Host name to ask for, one that the app accepts (C(ALLOWED_HOSTS)).
    type: str
    default: localhost
  health_path:
    description: Path that a healthy release answers. It should use what the app needs, the database for example.
    type: str
    default: /
  health_status:
    description:
      - Statuses of a healthy answer, as numbers and ranges.
      - V(404) is not among them, because a wrong path would pass then.
    type: str
    default: 200-399,401,403
  https:
    description: Tell the app that the request came over HTTPS, for projects that redirect others.
    type: bool
    default: false
  timeout:
    description: Seconds in which the release has to become healthy.
    type: int
    default: 60
  confirm:
    description:
      - URL on this host where the web server listens, for example V(http://127.0.0.1/); the path is O(health_path).
      - Not asked unless given.
    type: str
  action:
    description: What the app's history calls this, V(rollback) for going back to a release that was live before.
    type: str
    choices: [release, rollback]
    default: release
  drain:
    description: Seconds that the vassal before has to finish its requests.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Put a release live
  emperor.web.uwsgi_vassal:
    name: shop
    release: 3f2a9c1b-7d04e6aa
    host: shop.example.com
    health_path: /healthz
    confirm: http://127.0.0.1/

- name: Go back to an earlier release
  emperor.web.uwsgi_vassal:
    name: shop
    release: 9e107d9d-372bb682
    host: shop.example.com
    action: rollback

- name: Accept only one answer, from an app that needs a minute and a half to start
  emperor.web.uwsgi_vassal:
    name: shop
    release: "{{ release.release }}"
    host: shop.example.com
    health_path: /status/ready
    health_status: "204"
    timeout: 90
"""

RETURN = r"""
release:
  description: Id of the release that is live now.
  returned: success
  type: str
  sample: 3f2a9c1b-7d04e6aa
previous:
  description: Id of the release that was live before, empty where none was.
  returned: success
  type: str
  sample: 9e107d9d-372bb682
served:
  description: Id of the release that answered through the web server, empty without O(confirm).
  returned: outside check mode
  type: str
  sample: 3f2a9c1b-7d04e6aa
seconds:
  description: Seconds that each step took.
  returned: outside check mode
  type: dict
  sample: {start: 2.104, switch: 0.001, confirm: 0.012, retire: 1.02}
log:
  description: The last lines that the app's Emperor and its vassals wrote.
  returned: when the release did not become healthy
  type: list
  elements: str
  sample: ["ModuleNotFoundError: No module named 'shop.wsgi'"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._process import UserError
from ansible_collections.emperor.web.plugins.module_utils._switch import Switch, SwitchError, parse_statuses
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "release": {"type": "str", "required": True},
    "root": {"type": "path"},
    "vassals": {"type": "path"},
    "run_directory": {"type": "path"},
    "unit": {"type": "str"},
    "host": {"type": "str", "default": "localhost"},
    "health_path": {"type": "str", "default": "/"},
    "health_status": {"type": "str", "default": "200-399,401,403"},
    "https": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
    "confirm": {"type": "str"},
    "action": {"type": "str", "choices": ["release", "rollback"], "default": "release"},
    "drain": {"type": "int", "default": 60},
}


def main() -> None:
    """Compare what is live with what is wanted, and switch when they differ."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.params["health_status"] = parse_statuses(module.params["health_status"])
        switch = Switch(module.params)
        before = switch.layout.live() or ""
        changed = switch.needed()
        report = {"release": module.params["release"], "previous": before, "changed": changed}
        if changed:
            report["diff"] = {"before": f"live: {before or 'none'}\n", "after": f"live: {module.params['release']}\n"}
        if not module.check_mode:
            report |= switch.go() if changed else switch.confirm_live()
    except SwitchError as error:
        module.fail_json(msg=f"app {module.params['name']}: {error}", log=error.log)
    except (UwsgiError, UserError, OSError) as error:
        module.fail_json(msg=f"app {module.params['name']}: {error}")
    module.exit_json(**report)


if __name__ == "__main__":
    main()
