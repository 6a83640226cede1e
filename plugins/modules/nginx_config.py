#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config
short_description: Change a set of Nginx configuration files, all of them or none
version_added: 0.1.0
description:
  - Copies the live configuration, puts the given files into the copy, and has Nginx test the copy. Only when it is
    valid the files are swapped in, tested once more where they are, and Nginx is reloaded.
  - When the reload fails, or Nginx starts no new workers, the files before are put back and loaded again.
  - So a broken file never stays behind, and a second run with the same broken input fails again.
  - With nothing to change the live configuration is still tested.
  - A run that is killed, or a power failure, leaves either all the files before or all the new ones; the next run has
    Nginx load them, or puts those before back. Runs at the same time wait for each other.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: full
    details: Contents are shown; keep secrets in files of their own and include them.
options:
  root:
    description: Folder of the configuration.
    type: path
    default: /etc/nginx
  files:
    description: The files. Other files below O(root) are left as they are, unless O(owns) names their folder.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path relative to O(root).
        type: str
        required: true
      content:
        description: Content of the file; needed unless O(files[].state=absent).
        type: str
      mode:
        description: Permissions, in octal and quoted.
        type: str
        default: "0644"
      state:
        description: Whether the file, or link, is to be there.
        type: str
        choices: [present, absent]
        default: present
  owns:
    description:
      - Folders below O(root), relative to it, in which nothing but O(files) is to be. Other files and links in them,
        and in folders below them, are removed.
    type: list
    elements: str
    default: []
  validate:
    description: Command that tests a configuration; V(%s) stands for its folder.
    type: str
    default: nginx -t -q -c %s/nginx.conf
  refuse:
    description:
      - Regular expressions. A line of what O(validate) says that one of them is found in counts as a failure, although
        the command succeeded, unless the live configuration makes it say the same; then it is a warning.
      - The default finds a server name that two servers have, of which Nginx would serve one only.
    type: list
    elements: str
    default: ['conflicting server name "(?!_?")']
  reload:
    description: Command that makes the running daemon take the files.
    type: str
    default: systemctl try-reload-or-restart nginx
  service:
    description:
      - Name of the systemd service that is to run now and at boot; none when omitted.
      - One that does not run is started in place of O(reload), when the files are in place; one that is not enabled
        is enabled after that; see RV(service_changes).
      - When it does not start with changed files, those before are put back, it is started with them, and the module
        fails; the message has the last lines of its log, and says whether it runs now. This is so as well when it did
        not run before and does not start with either, because of a port that another program has, say. So a failed
        task leaves no files behind that nobody has seen work, and the next run tries the same ones again.
      - A service that is masked, or that systemd does not know, is refused before anything is changed. In check mode
        where the daemon is not installed yet nothing is foreseen of it, because its package may start it.
    type: str
  pid_file:
    description: File with the process id of the daemon, to see whether new child processes start; empty to not look.
    type: str
    default: /run/nginx.pid
notes:
  - In the copy that is tested, the text of O(root) is replaced by the copy's folder, so absolute includes of files
    below O(root) are tested as they will be.
  - Several files are swapped in by exchanging O(root) for a complete new folder of hard links in one system call, so
    a shell that stands in the folder has to enter it again. Where O(root) is a mount point, has one below it, or comes
    from a lower layer of an overlay, files are renamed one by one; see RV(atomic).
"""

EXAMPLES = r"""
- name: Add two sites
  emperor.web.nginx_config:
    files:
      - path: conf.d/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"
      - path: conf.d/blog.conf
        content: "{{ lookup('ansible.builtin.template', 'blog.conf.j2') }}"

- name: Add a site, and have Nginx run now and at boot
  emperor.web.nginx_config:
    service: nginx
    files:
      - path: conf.d/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"

- name: Remove the site that the package brings
  emperor.web.nginx_config:
    files:
      - path: sites-enabled/default
        state: absent

- name: Have these sites in the folder and no others
  emperor.web.nginx_config:
    owns: [sites-enabled]
    files:
      - path: sites-enabled/shop.conf
        content: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"

- name: Change HAProxy's configuration in the same way
  emperor.web.nginx_config:
    root: /etc/haproxy
    validate: haproxy -c -f %s/haproxy.cfg
    reload: systemctl try-reload-or-restart haproxy
    pid_file: /run/haproxy.pid
    files:
      - path: haproxy.cfg
        content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""

RETURN = r"""
files:
  description: Paths of the files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [conf.d/shop.conf]
atomic:
  description:
    - Whether the files were swapped in one step. When false, a power failure meanwhile would have left some old and
      some new ones, for the next run to put right.
  returned: files were swapped
  type: bool
  sample: true
service_changes:
  description: What was done to O(service), or would be in check mode; empty when it ran and was enabled.
  returned: O(service) is given, and RV(tested) is true
  type: list
  elements: str
  choices: [enabled, started]
  sample: [started]
tested:
  description: Whether the configuration was tested; false in check mode where the daemon is not installed yet.
  returned: success
  type: bool
  sample: true
"""

from ansible_collections.emperor.web.plugins.module_utils._module_nginx_config import main

if __name__ == "__main__":
    main()
