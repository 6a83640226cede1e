#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: django_processes
short_description: Run the processes and timers of apps by systemd
version_added: 0.1.0
description:
  - Has for all apps at once one systemd unit for each process, a Celery worker for example, and a timer with its
    service for each command on a schedule; those that are not wanted any more are stopped and removed.
  - All run as the app's user, in the environment and project folder of its live release, hardened like its Emperor.
  - A process is stopped, gracefully, and started again when its release, its command or its options are others than
    before. One that does not run is started. Each has to stay up for its C(settle) seconds, or the module fails with
    the last lines that it wrote; the site is live without it.
  - A timer starts what is live when it is due, and is left alone by a release. A job that runs is not stopped, and how
    it ends never fails this module.
  - The role P(emperor.web.django#role) uses it after the switch, for the C(processes) and C(timers) of its apps.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
  - emperor.web.attributes.action
  - emperor.web.deploy
options:
  apps:
    description: The apps. Others on the host are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the app, which is also its user and its group.
        type: str
        required: true
      root:
        description: Folder of the app. C(/srv/django/) and the name unless given.
        type: path
      writable:
        description: Folders that the processes and timers may write to, besides C(/tmp), which each has of its own.
        type: list
        elements: path
        default: []
      hidden:
        description: Folders of which they see nothing but O(apps[].root) and O(apps[].writable).
        type: list
        elements: path
        default: []
      limits:
        description:
          - What each of them may take of the host, as the option of the same name of M(emperor.web.uwsgi_emperor), with
            the same defaults.
        type: dict
        suboptions:
          memory:
            description: Memory, V(1G) or V(50%) for example.
            type: str
          memory_swap:
            description: Swap besides that.
            type: str
          cpu:
            description: Percent of one processor.
            type: int
          tasks:
            description: Processes and threads.
            type: int
          open_files:
            description: Files and connections of one process.
            type: int
      processes:
        description:
          - Processes by their names, each a command, or a mapping of C(command), C(stop_timeout), V(60) seconds unless
            given, after which one that was asked to stop (SIGTERM to its first process) is killed, and C(settle), V(6)
            seconds unless given, for which it has to stay up after its start.
          - A command is split into words as a shell does it, and run without one, so C(sh -c 'exec ...') is for
            variables. Everybody on the host can read it; take secrets from the environment.
        type: dict
        default: {}
      timers:
        description:
          - Timers by their names, each a mapping of C(command), C(schedule), one or a list of what C(OnCalendar=) of
            systemd.timer(5) takes, C(timeout), seconds after which a job is ended, V(3600) unless given and V(0) for
            never, and C(persistent), whether a run that was missed while the host was off is made up for at its
            start, V(true) unless given.
          - A job that is due while the one before still runs is left out.
        type: dict
        default: {}
      state:
        description: V(absent) removes all processes and timers of the app, and ends jobs that run.
        type: str
        choices: [present, absent]
        default: present
  releases:
    description:
      - Ids of the releases to run, by the names of their apps; the live ones unless given. Each has to be the live one,
        but in check mode, which so foresees what a switch will make of the processes.
    type: dict
    default: {}
requirements:
  - The role P(emperor.web.uwsgi#role), which installs the template unit, and the program that takes on a release's
    environment
"""

EXAMPLES = r"""
- name: Run a worker, the scheduler of Celery, and a job each night
  emperor.web.django_processes:
    apps:
      - name: shop
        writable: [/srv/django/shop/shared]
        processes:
          worker: celery -A shop worker --loglevel info --concurrency 2
          beat:
            command: celery -A shop beat --schedule /srv/django/shop/shared/celerybeat-schedule
            stop_timeout: 30
        timers:
          clearsessions:
            command: python manage.py clearsessions
            schedule: "*-*-* 04:30"
            timeout: 600

- name: Let a variable of the app's environment choose
  emperor.web.django_processes:
    apps:
      - name: shop
        writable: [/srv/django/shop/shared]
        processes:
          worker: sh -c 'exec celery -A shop worker --concurrency "$WORKERS"'

- name: Stop all of an app
  emperor.web.django_processes:
    apps:
      - name: shop
        state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["django@shop:worker.service written", "django@shop:worker.service restarted"]
units:
  description: The units that did not stay up.
  returned: when a process fails
  type: list
  elements: str
  sample: ["django@shop:worker.service"]
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

from ansible_collections.emperor.web.plugins.module_utils._module_django_processes import main

if __name__ == "__main__":
    main()
