#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Tell the system of a host and the packages that it has
version_added: 0.1.0
description:
  - Answers in one task what the roles of this collection ask of each host. M(ansible.builtin.setup) and
    M(ansible.builtin.package_facts) tell far more, and take longer.
  - Changes nothing, and sets no facts.
  - Can refuse a host that the roles do not support.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: none
options:
  refuse_unsupported:
    description:
      - Whether to fail on a host that the roles of this collection do not support. They need Ubuntu 22.04 or later, or
        Debian 12 or later, with systemd.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Ask the host what it is
  emperor.web.host_info:
  register: host

- name: Refuse a host that the roles do not support
  emperor.web.host_info:
    refuse_unsupported: true

- name: Refuse a host that lacks packages
  emperor.web.host_info:
  register: host
  failed_when: "['git', 'nginx'] | difference(host.packages) | length > 0"
"""

RETURN = r"""
system:
  description: What C(/etc/os-release) says.
  returned: success
  type: dict
  contains:
    id:
      description: The distribution, in lower case; C(linux) when the file does not say.
      type: str
    name:
      description: The distribution, for people.
      type: str
    version:
      description: Number of the release; empty where there is none yet, as in Debian's testing.
      type: str
  sample: {id: ubuntu, name: Ubuntu, version: "24.04"}
systemd:
  description: Whether systemd runs the host.
  returned: success
  type: bool
  sample: true
packages:
  description: Names of the Debian packages that are installed and configured; none where there is no C(dpkg-query).
  returned: success
  type: list
  elements: str
  sample: [adduser, apt, zlib1g]
"""

from ansible_collections.emperor.web.plugins.module_utils._module_host_info import main

if __name__ == "__main__":
    main()
