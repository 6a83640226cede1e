#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: system_files
short_description: Write the system files of a service in one task
version_added: 0.1.0
description:
  - Writes units, programs and settings that belong together. Each is root's, and is replaced as a whole; missing
    folders are made with mode 0755.
  - With M(ansible.builtin.copy) each file is a task, and most of a task's time is spent on the way to the host.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description:
          - Content of the file; required unless it is to go. It is shown in the diff, so it is no place for a secret.
        type: str
      mode:
        description: Permissions, in octal and quoted.
        type: str
        default: "0644"
      state:
        description: Whether the file is to be there.
        type: str
        choices: [present, absent]
        default: present
  reload:
    description:
      - Command to run when a file was changed, V(systemctl daemon-reload) for units.
      - Where a run is ended before it, or it fails, the next run with the same command runs it. What is due so is noted
        in C(/var/lib/emperor/reload).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Install a unit, and the program that it starts
  emperor.web.system_files:
    reload: systemctl daemon-reload
    files:
      - path: /etc/systemd/system/backup.service
        content: "{{ lookup('ansible.builtin.template', 'backup.service.j2') }}"
      - path: /usr/local/sbin/backup
        content: "{{ lookup('ansible.builtin.file', 'backup') }}\n"
        mode: "0755"

- name: Let a kernel setting hold over reboots, and now
  emperor.web.system_files:
    reload: sysctl --system
    files:
      - path: /etc/sysctl.d/50-queue.conf
        content: |
          net.core.somaxconn = 4096

- name: Open a site again
  emperor.web.system_files:
    files:
      - path: /srv/www/closed
        state: absent

- name: Show what would be changed
  emperor.web.system_files:
    files: "{{ my_files }}"
  check_mode: true
"""

RETURN = r"""
files:
  description: Paths of the files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/sbin/backup]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_system_files import main

if __name__ == "__main__":
    main()
