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
    protocol for O(health_path) until it answers as it should, and then for O(settle) seconds more. Then one rename
    points C(current) at the release. Nginx connects to C(current/live.sock), so that rename moves the traffic, without
    a reload.
  - A release that does not answer is stopped again. The live one is not touched before the new one has answered,
    unless O(overlap=false).
  - With O(confirm) the web server is asked which release answers; if it is not the new one, the rename is undone.
    With O(probation) it is undone as well when the new release gives errors to visitors.
  - The vassal before is stopped when it has nothing in flight any more. The Emperor is never restarted.
  - A release that failed has a file C(failed.json) with C(time), C(reason) and C(step), until it becomes live. A step
    before this one that fails in a run of the role P(emperor.web.django#role) marks it in the same way.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
  - emperor.web.deploy
  - emperor.web.vassal
options:
  release:
    description: Id of a finished release, RV(emperor.web.django_release#module:release).
    type: str
    required: true
  settle:
    description:
      - Seconds for which the release has to stay healthy on its own socket before the traffic is moved, without losing
        a worker, and without one that uses more memory than C(reload-on-rss). Each worker is asked meanwhile, so that
        no visitor waits for its first answer. This finds a release that dies, or eats memory, soon after its start.
      - V(0) moves the traffic at once. With O(overlap=false) these seconds come after the traffic was moved.
    type: int
    default: 6
  probation:
    description:
      - Seconds for which the vassal before is kept running after the traffic was moved. When the new release gives
        O(probation_errors) server errors in this time, or dies, the traffic goes back and the module fails.
      - V(0) is no probation.
    type: int
    default: 0
  probation_errors:
    description:
      - Number of answers with status 500 or above that end a O(probation). A visitor who finds a page that always fails
        can give as many, so choose it with the traffic of the site in mind.
    type: int
    default: 3
  access_log:
    description:
      - The web server's log that O(probation) reads. Its lines have to end with the upstream's address and the release,
        C($upstream_addr $upstream_http_x_emperor_release), or be JSON with C(status), C(upstream) and C(release), as
        the role P(emperor.web.nginx#role) has it.
    type: path
    default: /var/log/nginx/access.log
  action:
    description: What the app's history calls this, V(rollback) for going back to a release that was live before.
    type: str
    choices: [release, rollback]
    default: release
  migrations:
    description:
      - Migrations that were applied on the way to this release, as V(shop.0004_item_colour). They are for the app's
        history only. Those that M(emperor.web.django_migrate) has applied in the same run, under its lock, are known.
    type: list
    elements: str
    default: []
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

- name: Put a release live, and watch for a minute what its visitors get
  emperor.web.uwsgi_vassal:
    name: shop
    release: 3f2a9c1b-7d04e6aa
    host: shop.example.com
    health_path: /healthz
    health_text: all systems go
    confirm: http://127.0.0.1/
    probation: 60

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
  description:
    - Id of the release that answers now, asked through the web server with O(confirm), else at the socket that the web
      server uses. Empty where nobody names one, and for an app that sleeps and was left alone.
  returned: outside check mode, also on failure
  type: str
  sample: 3f2a9c1b-7d04e6aa
seconds:
  description: Seconds that each step took; steps that were not taken are left out.
  returned: outside check mode, also on failure
  type: dict
  sample:
    preflight: 0.01
    stop: 0.2
    start: 2.1
    settle: 6.01
    publish: 0.1
    switch: 0.001
    confirm: 0.01
    probation: 0.0
    retire: 1.0
step:
  description: Step that failed, one of those in RV(seconds).
  returned: on failure
  type: str
  sample: start
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
log:
  description:
    - The last lines that the app's Emperor and its vassals wrote. After a failed O(probation) the errors in
      O(access_log) follow.
  returned: on failure
  type: list
  elements: str
  sample: ["ModuleNotFoundError: No module named 'shop.wsgi'"]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_vassal import main

if __name__ == "__main__":
    main()
