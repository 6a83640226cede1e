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
  - A running Emperor is never restarted, because that would interrupt its app. Limits take effect at once; what else
    changes in its unit does at the next boot, or when you restart it.
  - An app that may sleep has a socket that systemd holds for it, C(/run/emperor/<app>.wake), in place of an Emperor
    that starts at boot. The first request to it starts the Emperor, and without requests for O(emperors[].sleep)
    seconds nothing of the app runs.
  - With O(emperors[].state=absent) an app is stopped and what belongs to it is removed; its data stays unless
    O(emperors[].purge). Take it out of the web server first.
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
      hidden:
        description:
          - Folders of which the app sees nothing but O(emperors[].root) and O(emperors[].writable), C(/srv/django) for
            example, which has a folder for each app.
        type: list
        elements: path
        default: []
      listen:
        description:
          - Connections that may wait at the app's socket. The kernel's C(net.core.somaxconn) is raised to the largest
            number, now and in C(/etc/sysctl.d/60-emperor-web.conf), and read back. Left alone unless given.
        type: int
      limits:
        description:
          - What the app may take of the host, all its processes together but for O(emperors[].limits.open_files).
          - A limit for which the host has no cgroup controller is not in force, and a warning says so. The processes of
            the app's user are then counted for O(emperors[].limits.tasks).
        type: dict
        suboptions:
          memory:
            description:
              - Memory, in bytes with V(K), V(M), V(G) or V(T), 64M or more, or as a percentage of the host's, or
                V(infinity). A process of the app that needs more is killed. V(75%) unless given.
            type: str
          memory_swap:
            description: Swap besides that, written the same way. No limit unless given.
            type: str
          cpu:
            description:
              - Percent of one processor, V(150) for one and a half. No limit unless given; when processors are short,
                each app gets an equal share.
            type: int
          tasks:
            description: Processes and threads, 32 or more. V(512) unless given.
            type: int
          open_files:
            description: Files and connections that one process may have open, 256 or more. V(65536) unless given.
            type: int
      sleep:
        description:
          - Seconds without a request after which the Emperor is stopped, until the next one; V(0) for one that is
            always awake. It needs O(emperors[].root), whose live release the requests go to.
          - An Emperor that a deploy needs is not stopped.
        type: int
        default: 0
      state:
        description:
          - V(absent) stops the Emperor gracefully and removes its unit, its vassals, its sockets and its command, and
            below O(emperors[].root) what a deploy makes again (releases, environments, static files, repository).
          - C(shared) with uploads and database, C(secret_key) and C(releases.jsonl) stay, and so do the user and the
            group, to whom they belong. So the app can come back, and finds all of it.
        type: str
        choices: [present, absent]
        default: present
      purge:
        description:
          - With O(emperors[].state=absent), also remove O(emperors[].root) with all that is in it, the user and the
            group. B(Uploads and an SQLite database are lost.) Other databases and O(emperors[].writable) stay.
          - Refused where O(emperors[].root) does not end with the name of the app, or something else still runs as its
            user.
        type: bool
        default: false
  metrics:
    description:
      - Address and port on the loopback interface, for example V(127.0.0.1:9117), where C(/metrics) tells the figures
        of all apps of the host in the format of Prometheus. Every user of the host can read them there.
      - Empty for nowhere. Left as it is unless given.
    type: str
  web_group:
    description: Group of the web server, which may speak to the sockets of apps that sleep.
    type: str
    default: www-data
  retire:
    description:
      - Whether to take away now what is not wanted any more, apps that are absent, and the sockets of those that do not
        sleep any more.
      - V(false) leaves it, and names it in RV(retiring), because the web server may still lead there.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Run the Emperors of two apps
  emperor.web.uwsgi_emperor:
    emperors:
      - name: shop
        root: /srv/django/shop
        writable: [/srv/django/shop/shared]
        hidden: [/srv/django]
        limits:
          memory: 1G
          cpu: 150
      - name: blog
        root: /srv/django/blog
        hidden: [/srv/django]
        limits:
          memory: 512M

- name: Run one for vassals of your own
  emperor.web.uwsgi_emperor:
    emperors:
      - name: wiki
        writable: [/var/lib/wiki]

- name: Let one sleep after a quarter of an hour
  emperor.web.uwsgi_emperor:
    emperors:
      - name: shop
        root: /srv/django/shop
        writable: [/srv/django/shop/shared]
        sleep: 900

- name: Remove one, and keep its data
  emperor.web.uwsgi_emperor:
    emperors:
      - name: shop
        root: /srv/django/shop
        state: absent

- name: Tell Prometheus how the apps are
  emperor.web.uwsgi_emperor:
    emperors: []
    metrics: 127.0.0.1:9117

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
limits:
  description:
    - What the kernel holds each running app to, read back. C(null) is no limit, or one that the host cannot set.
  returned: success
  type: dict
  sample: {shop: {memory: 1073741824, memory_swap: null, cpu: 150, tasks: 512, open_files: 65536}}
retiring:
  description: With O(retire=false), what is not wanted any more and was left.
  returned: success
  type: list
  elements: str
  sample: [uwsgi-emperor@blog.service stopped, /etc/uwsgi/emperor/blog removed]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_emperor import main

if __name__ == "__main__":
    main()
