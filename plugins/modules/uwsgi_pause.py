#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: uwsgi_pause
short_description: Have requests for an app wait for a moment, without losing one
version_added: 0.1.0
description:
  - Pauses the workers of the live release. Requests that were being worked on are finished first; later ones wait in
    the socket's queue, and are answered when the app goes on.
  - It is meant for a short step that must not meet requests, such as a migration that locks a table.
  - A timer of systemd on the host ends each pause after O(seconds), whatever becomes of Ansible meanwhile.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: none
options:
  name:
    description: Name of the app.
    type: str
    required: true
  state:
    description:
      - V(paused) has requests wait. An app that is paused already keeps the time limit that it has.
      - V(running) lets the app go on.
    type: str
    choices: [paused, running]
    default: paused
  seconds:
    description:
      - Seconds after which the app goes on by itself, 1 to 45. Nginx waits 65 seconds for an answer, and the
        requests that have waited need some of them.
    type: int
    default: 30
  drain:
    description:
      - Seconds that requests which are being worked on have to finish. If one takes longer, the app goes on and the
        task fails.
    type: int
    default: 10
  root:
    description: Folder of the app. C(/srv/django/) and O(name) unless given.
    type: path
  run_directory:
    description: Folder of the app's sockets. C(/run/emperor/) and O(name) unless given.
    type: path
notes:
  - Workers with threads cannot be paused, because uWSGI lets each thread take one more request.
  - As many connections can wait as O(ignore:listen) of uWSGI says, 1024 unless the app sets another number, and Nginx
    needs two of its C(worker_connections) for each. More are answered with an error.
"""

EXAMPLES = r"""
- name: Have requests wait, for twenty seconds at most
  emperor.web.uwsgi_pause:
    name: shop
    seconds: 20

- name: Answer them, in the part "always" of the block that did something meanwhile
  emperor.web.uwsgi_pause:
    name: shop
    state: running

- name: Have requests wait, once those that take half a minute are finished
  emperor.web.uwsgi_pause:
    name: shop
    seconds: 45
    drain: 40
"""

RETURN = r"""
release:
  description: Id of the live release.
  returned: success
  type: str
  sample: 3f2a9c1b-7d04e6aa
"""

from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_pause import main

if __name__ == "__main__":
    main()
